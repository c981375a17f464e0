"""What a message is about: two messages of one topic about the same thing have the same effect on its worker."""

from __future__ import annotations

from kcfix.core.events import Event
from kcfix.core.move.settlement import payment_of
from kcfix.core.payments import parse_uuid
from kcfix.flow import Stage


def pair(event: Event) -> str | None:
    """Student and course of the event; None where it names no usable ones."""
    student, course = parse_uuid(event.student_id), parse_uuid(event.course_id)
    return f"pair:{student}:{course}" if student and course else None


def own_subjects(stage: Stage, event: Event) -> tuple[str, ...]:
    """By which a copy of this message, or one that does the same, is known."""
    found = [f"event:{event.event_id}" if event.event_id not in (None, "unknown") else None]
    match stage.name:
        case "purchase":
            found.append(f"payment:{event.payment_id}" if event.payment_id else None)
        case "allocation":
            found.append(pair(event))
        case "session":
            allocation = parse_uuid(event.body.get("allocationId"))
            found.append(f"allocation:{allocation}" if allocation else None)
        case _:
            found.append(None if found[0] else f"payment:{payment_of(event)}")
    return tuple(subject for subject in found if subject)


def rival(stage: Stage, event: Event) -> str | None:
    """For a purchase its student and course: another payment of theirs takes the purchase away from it."""
    return pair(event) if stage.name == "purchase" else None


def subjects(stage: Stage, event: Event) -> tuple[str, ...]:
    """All of them."""
    other = rival(stage, event)
    return (*own_subjects(stage, event), *((other,) if other else ()))
