"""The nouns of dead letters: the message that letters are copies of, its place, and how it stands.

One failing message has many letters. They are told apart by topic, partition and offset of the original, and by its
event, because a topic that was made again uses the same offsets for other messages.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from kcfix.core.dlq.cause import REASON_KEPT, cause_code
from kcfix.core.events import DeadLetter
from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import PaymentId

_PLACE = re.compile(r"([A-Za-z0-9._-]{1,249})-(\d{1,9})@(\d{1,19})")


class Place(NamedTuple):
    """Where a record lies, or lay."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}@{self.offset}"

    @property
    def in_partition(self) -> TopicPartition:
        """Its partition."""
        return TopicPartition(self.topic, self.partition)


def parse_place(text: str) -> Place | None:
    """The place that the text names, `topic-partition@offset`; None if it is none.

    >>> str(parse_place("purchase-confirmed-2@17"))
    'purchase-confirmed-2@17'
    """
    found = _PLACE.fullmatch(text.strip())
    return Place(found[1], int(found[2]), int(found[3])) if found else None


class DlqState(enum.StrEnum):
    """How the message stands that dead letters are copies of."""

    SETTLED = "SETTLED"
    """What its worker would do is done: it went through later, or somebody made up for it. Nothing is owed."""
    WAITING = "WAITING"
    """It, or a copy of it, lies at or past the committed offset: its worker will read it."""
    UNSETTLED = "UNSETTLED"
    """Not done, nothing waits, and the worker could settle it now: a replay may help."""
    WOULD_FAIL = "WOULD_FAIL"
    """The worker would fail on it again."""
    WOULD_HARM = "WOULD_HARM"
    """The worker would do what must not be done: a second purchase, one of a guessed tier."""
    SECOND_PAYMENT = "SECOND_PAYMENT"
    """Another payment's purchase is active, so the worker would pass it: a person decides."""
    PARKED = "PARKED"
    """A person has said that it is to be left alone, and why."""
    UNKNOWN = "UNKNOWN"
    """A system did not answer, or it can't be checked."""


@dataclass(frozen=True, slots=True)
class Judged:
    """How a message stands, and why it is said."""

    state: DlqState
    why: str
    owed: bool
    """Whether somebody may go without what was paid for. What can't be checked counts (docs/decisions.md 1)."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter, with as much of it as is kept of each."""

    original: Place
    """Of the message; of the letter itself where it names none."""
    letter: Place
    at: datetime | None
    cause: str
    reason: str
    payment_id: PaymentId | None
    event_id: str | None
    """None where the event names none."""
    outline: bytes | None
    """Of the original event what a judgement rests on, as JSON; None where the letter holds no event."""


@dataclass(frozen=True, slots=True)
class Original:
    """A message with all its letters."""

    id: int
    """Its number within this run."""
    place: Place
    letters: int
    first_at: datetime | None
    last_at: datetime | None
    cause: str
    """Of the newest letter, as is the reason."""
    reason: str
    payment_id: PaymentId | None
    event_id: str | None
    letter: Place
    """The newest letter."""
    outline: bytes | None
    judged: Judged | None = None
    """None: not judged yet."""

    @property
    def state(self) -> DlqState:
        """How it stands; UNKNOWN before it is judged."""
        return self.judged.state if self.judged else DlqState.UNKNOWN


def letter_of(found: DeadLetter) -> Letter:
    """What is kept of a dead letter."""
    record = found.record
    letter = Place(record.topic, record.partition, record.offset)
    event_id = _clean(found.event_id) if found.event_id and found.event_id != "unknown" else None
    original = _original_place(found) or letter
    return Letter(
        original=original,
        letter=letter,
        at=record.timestamp,
        cause=cause_code(original.topic, found.reason[:REASON_KEPT]),
        reason=_clean(found.reason[:REASON_KEPT]),
        payment_id=found.payment_id,
        event_id=event_id,
        outline=outline(found.original) if found.original is not None else None,
    )


def _original_place(found: DeadLetter) -> Place | None:
    """Where the original lies by the letter; None where it does not say, or says what can't be."""
    topic, partition, offset = found.original_topic, found.original_partition, found.original_offset
    if not topic or partition is None or offset is None:
        return None
    possible = 0 <= partition < 2**31 and 0 <= offset < 2**63
    return Place(_clean(topic), partition, offset) if possible else None


def _clean(text: str) -> str:
    """The text without halves of surrogate pairs, which JSON may hold and a database does not take."""
    return text.encode("utf-8", "replace").decode()


_KEPT = ("type", "paymentId", "studentId", "courseId", "purchaseId", "allocationId")


def outline(event: Mapping[str, object]) -> bytes:
    """The event with nothing but ids and tier: enough to judge it, and nothing of a student is kept."""
    kept: dict[str, object] = {name: event[name] for name in _KEPT if name in event}
    metadata = event.get("metadata")
    if isinstance(metadata, Mapping):
        kept["metadata"] = {n: metadata[n] for n in ("purchaseTier", "sessionCount") if n in metadata}
    meta = event.get("_metadata")
    if isinstance(meta, Mapping):
        kept["_metadata"] = {n: meta[n] for n in ("eventId", "correlationId") if n in meta}
    return json.dumps(kept).encode()
