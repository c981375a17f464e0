"""What the journal says of a run's steps, as far as an undo has to know it."""

from __future__ import annotations

from dataclasses import dataclass

from kcfix.core.events import own_purchase_id
from kcfix.core.journal import JournalStep
from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import PaymentId, parse_uuid


@dataclass(frozen=True, slots=True)
class MovedOffset:
    """An offset that a run committed."""

    group: str
    partition: TopicPartition
    made: int
    before: int | None
    """None: nothing was committed."""


def step_kind(step: JournalStep) -> str:
    """insert, announce, replay, commit, delete, stop, start, restart; whatever another version wrote."""
    return str(step.what.get("step", ""))


def step_payment(step: JournalStep) -> PaymentId | None:
    """The payment that a step is about; None where it names none."""
    id = parse_uuid(step.what.get("payment_id"))
    return PaymentId(id) if id else None


def step_state(step: JournalStep) -> str | None:
    """How the step ended; None where that is not recorded: it may have had its effect."""
    return str(step.result.get("state")) if step.result is not None else None


def inserted_payment(step: JournalStep) -> PaymentId | None:
    """The payment for which an insert step made kcfix's own purchase, or may have; None for every other step."""
    payment = step_payment(step)
    own = payment is not None and step.what.get("purchase_id") == own_purchase_id(payment)
    return payment if step_kind(step) == "insert" and own else None


def moved_offset(step: JournalStep) -> MovedOffset | None:
    """What a commit step moved; None for every other step, and where the journal does not name it."""
    what = step.what
    group, topic, number = what.get("group"), what.get("topic"), what.get("partition")
    made, before = what.get("committed_offset"), what.get("committed_offset_before")
    if step_kind(step) != "commit" or not isinstance(before, int | None):
        return None
    if isinstance(group, str) and isinstance(topic, str) and isinstance(number, int) and isinstance(made, int):
        return MovedOffset(group, TopicPartition(topic, number), made, before)
    return None
