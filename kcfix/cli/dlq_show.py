"""`kcfix dlq show`: one message, all its letters, what is left of the original, and what to do."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime

from kcfix.cli.dlq_reading import Looked, Window, looked, named, required
from kcfix.cli.dlq_rows import message_row
from kcfix.core.dlq.letter import DlqState, Original, Place, letter_of
from kcfix.core.dlq.message import REPLAYS, Source, sources
from kcfix.core.events import Event, parse_dead_letter
from kcfix.core.offsets import TopicPartition
from kcfix.core.ports.kafka import OffsetRange
from kcfix.core.times import format_time
from kcfix.errors import NOT_WELL, OK, Unreachable
from kcfix.render.view import Cell, Column, Line, Section, Table, Text, Tone, View
from kcfix.services import Services

PIECE = 5_000
"""Offsets that are searched at once: a message may have a hundred thousand letters, of which few are kept."""
NEWEST = 20
TOLD = frozenset({"eventId", "correlationId", "eventType", "source", "version", REPLAYS})
"""Headers whose value is shown. Others may hold anything, a student's name among it."""


@dataclass
class Letters:
    """The letters of one message: the newest, and how many of each cause."""

    newest: deque[tuple[Place, datetime | None, int | None, str, str]] = field(
        default_factory=lambda: deque(maxlen=NEWEST)
    )
    causes: Counter[str] = field(default_factory=Counter)
    unread: dict[TopicPartition, str] = field(default_factory=dict)
    """Partitions that were not searched to their end, and why."""


def run(words: list[str], services: Services) -> View:
    """Read all, and show what the words name.

    Raises:
        NotFound: a word names no dead letter.
    """
    with looked(services, Window()) as found:
        originals = required(named(words, found, services), found)
        left = sources(services.kafka, originals)
        shown = [(o, left.get(o.id), _letters(o, services)) for o in originals]
        return _view(shown, found, services)


def _letters(original: Original, services: Services) -> Letters:
    """Its letters, found by an id that each of them holds."""
    kafka, topic = services.kafka, services.flow.dead_letters
    needle = (original.event_id or original.payment_id or original.place.topic).encode("utf-8", "replace")
    letters = Letters()
    found = kafka.topics().get(topic)
    logs = kafka.log_offsets([TopicPartition(topic, p.partition) for p in found.partitions] if found else [])
    for tp, log in sorted(logs.items()):
        start, end = log.log_start_offset, log.log_end_offset
        if start is None or end is None:
            continue
        for first in range(start, end, PIECE):
            piece = OffsetRange(tp, first, min(first + PIECE, end))
            result = kafka.search([piece], [needle], anywhere=True)
            letters.unread |= result.failed
            for record in result.records:
                parsed = parse_dead_letter(record)
                letter = letter_of(parsed) if parsed is not None else None
                if parsed is not None and letter is not None and letter.original == original.place:
                    letters.causes[letter.cause] += 1
                    letters.newest.append((letter.letter, letter.at, parsed.attempts, letter.cause, letter.reason))
    return letters


def advice(original: Original) -> str:
    """What to do about it."""
    match original.state:
        case DlqState.SETTLED:
            return "nothing: it is settled"
        case DlqState.WAITING:
            return "nothing: its worker will read it; `kcfix status` says whether the worker works"
        case DlqState.UNSETTLED:
            return f"`kcfix dlq replay {original.place}`, once the cause is gone"
        case DlqState.WOULD_FAIL if original.payment_id:
            repair = f"`kcfix repair {original.payment_id}` settles the payment without the message, or park it"
            return f"{repair}; if its partition stands on it, `kcfix offsets skip-one` goes past it"
        case DlqState.WOULD_FAIL | DlqState.WOULD_HARM | DlqState.SECOND_PAYMENT:
            return f'a person decides; then `kcfix dlq park {original.place} --reason "…"`'
        case DlqState.PARKED:
            return f"nothing, as a person said; `kcfix dlq park {original.place} --unpark` takes that back"
        case DlqState.UNKNOWN:
            return "look again when all systems answer; what can't be checked is replayed only by its name"


def event_ids(event: Event) -> dict[str, str | None]:
    """What of the event is shown: its type and its ids."""
    allocation = event.body.get("allocationId")
    return {
        "type": event.type,
        "event_id": event.event_id,
        "correlation_id": event.correlation_id,
        "source": event.source,
        "payment_id": event.payment_id,
        "student_id": event.student_id,
        "course_id": event.course_id,
        "purchase_id": event.purchase_id,
        "allocation_id": allocation if isinstance(allocation, str) else None,
    }


def _headers(source: Source) -> dict[str, str | None]:
    return {
        name: None if value is None else value.decode(errors="replace") if name in TOLD else f"({len(value)} bytes)"
        for name, value in source.record.headers
    }


def _view(shown: list[tuple[Original, Source | None, Letters]], found: Looked, services: Services) -> View:
    sections: list[Section] = []
    data = []
    for original, source, letters in shown:
        sections += _sections(original, source, letters, services)
        data.append(_row(original, source, letters, services))
    owed = sum(o.judged is None or o.judged.owed for o, _, _ in shown)
    sendable = [o for o, _, _ in shown if o.state is DlqState.UNSETTLED]
    unread = {tp: why for _, _, letters in shown for tp, why in letters.unread.items()}
    return View(
        schema="dlq-show",
        sections=tuple(sections),
        data=data,
        summary={"messages": len(shown), "unsettled": owed},
        warnings=(*found.parked.problems, *(f"not all letters are shown: {tp}: {why}" for tp, why in unread.items())),
        errors=found.problems,
        next=tuple(f"kcfix dlq replay {o.place}" for o in sendable[:1]),
        ids=tuple(str(o.place) for o, _, _ in shown),
        exit_code=Unreachable.code if found.unread else NOT_WELL if owed else OK,
    )


def _row(original: Original, source: Source | None, letters: Letters, services: Services) -> dict[str, object]:
    return {
        **message_row(original, services.flow),
        "in_topic": source.from_log if source else None,
        "key": _key(source),
        "replays": source.replays if source else None,
        "event": event_ids(source.event) if source else None,
        "headers": _headers(source) if source else {},
        "causes": dict(letters.causes),
        "letter_list": [
            {"letter": str(place), "at": at, "attempts": attempts, "cause": cause, "reason": reason}
            for place, at, attempts, cause, reason in letters.newest
        ],
        "advice": advice(original),
    }


def _key(source: Source | None) -> str | None:
    key = source.record.key if source else None
    return None if key is None else key.decode(errors="replace")


def _sections(original: Original, source: Source | None, letters: Letters, services: Services) -> list[Section]:
    state = Cell(original.state, Tone.GOOD if original.state is DlqState.SETTLED else Tone.WARN)
    facts: list[tuple[str, str]] = [("why", original.judged.why if original.judged else "not looked at")]
    facts.append(("do", advice(original)))
    facts.append(("payment", original.payment_id or "-"))
    if source is None:
        facts.append(("original", "neither in its topic nor in its letter"))
    else:
        gone = "no longer in its topic; shown as the dead letter has it"
        facts.append(("original", "still in its topic" if source.from_log else gone))
        facts += [(f"  {name}", value) for name, value in event_ids(source.event).items() if value]
        facts.append(("key", _key(source) or "-"))
        facts.append(("headers", ", ".join(f"{n}={v}" for n, v in _headers(source).items()) or "none"))
    by_cause = ", ".join(f"{count} {cause}" for cause, count in letters.causes.most_common(5))
    facts.append(("causes", by_cause or "-"))
    lines: list[Line] = [(Cell(str(original.place), Tone.STRONG), "  ", state)]
    lines += [(Cell(f"  {name:<16} ", Tone.DIM), text) for name, text in facts]
    total = sum(letters.causes.values())
    newest = f"the newest {len(letters.newest)} of " if total > len(letters.newest) else ""
    table = Table(
        (
            Column("LETTER"),
            Column("AT", priority=1),
            Column("TRIES", right=True, priority=2),
            Column("REASON", wrap=True),
        ),
        tuple(
            (str(place), format_time(at, services.zone), attempts, reason)
            for place, at, attempts, _, reason in letters.newest
        ),
        title=f"{newest}{total} letter{'s' * (total != 1)}",
    )
    return [Text(tuple(lines), wrap=True), table]
