"""The story of one payment: its snapshot and verdict, and all that was found of what came after it.

Values only. `read` reads them; `stages`, `maker`, `prognosis` and `timeline` conclude from them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from kcfix.core.events import Event, Record
from kcfix.core.judging.aftermath import Aftermath
from kcfix.core.judging.matching import match_facts
from kcfix.core.judging.snapshot import PaymentSnapshot, Reading
from kcfix.core.judging.verdict import Verdict
from kcfix.core.logs.entry import LogEntry
from kcfix.core.payments import Allocation, Payment, PaymentFacts, PaymentId, Purchase
from kcfix.core.ports.kafka import OffsetRange

SCANNED = "by --scan"
"""Note of a place that was searched as a whole."""


class Reach(enum.StrEnum):
    """How far a consumer group is, as seen from one record."""

    PASSED = "PASSED"
    """The record lies behind the committed offset. That it was handled well does not follow."""
    WAITING = "WAITING"
    """At or past it: the group will read it."""
    UNPROTECTED = "UNPROTECTED"
    """No usable committed offset: it may have been read, and a start may skip it (docs/decisions.md 1)."""
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Reader:
    """One consumer group at one record."""

    group: str
    worker: str
    committed_offset: int | None
    reach: Reach
    member: str | None = None
    """Client id of the member that holds the partition now; None: nobody, or not known."""
    container: str | None = None
    """The container whose process that member is; None where no running container vouches for it."""
    unvouched: bool = False
    """Whether containers are known and none of them vouches for the member: it may be what is left of a dead one."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One record on one topic that belongs to the payment."""

    record: Record
    event: Event | None
    """None: the value is no JSON object."""
    readers: tuple[Reader, ...]
    """The groups of the flow that read this topic, in the flow's order."""
    scanned: bool = False
    """Whether only a search of the whole topic led to it: its key or its time is not the payment's."""


@dataclass(frozen=True, slots=True)
class Letters:
    """The dead letters of one record: a failing message writes one each time the worker gives up."""

    topic: str | None
    partition: int | None
    offset: int | None
    copies: int
    first_at: datetime | None
    last_at: datetime | None
    reason: str
    """Of the newest."""


@dataclass(frozen=True, slots=True)
class Looked:
    """One place that was searched, and what stood in the way."""

    system: str
    what: str
    """A topic, a table, a container, the journal."""
    found: int | None
    """How many things of this payment; None where it could not be searched at all."""
    ranges: tuple[OffsetRange, ...] = ()
    """Of a topic: the offsets that were read to their end."""
    error: str | None = None
    """Why it was not searched, or not wholly."""
    note: str | None = None
    silent: bool = False
    """Whether the system itself did not answer."""


@dataclass(frozen=True, slots=True)
class StoryLine:
    """A line of a container's log about the payment, with those around a warning or error."""

    worker: str
    """Service of the container."""
    entry: LogEntry
    around: bool = False
    """Not about the payment: it stands beside an error that is."""


@dataclass(frozen=True, slots=True)
class OwnStep:
    """A step of an earlier run of kcfix about this payment."""

    run_id: str
    who: str
    at: datetime | None
    what: Mapping[str, Any]
    result: Mapping[str, Any] | None
    """None: not recorded, so it may have been made."""


@dataclass(frozen=True, slots=True)
class Retention:
    """What ends by itself: records by the topic's retention, offsets of an empty group by the broker's."""

    message: timedelta | None = None
    """Of the purchase-confirmed topic; None where it is not known, or there is none."""
    by_size: bool = False
    """Whether the topic is limited in size as well, by which a record may be deleted at any age."""
    offsets: timedelta | None = None
    group_empty_since: datetime | None = None
    """Since when the purchase group has had no member; None: it has one, or that is not known."""


@dataclass(frozen=True, slots=True)
class Marks:
    """By what the payment's things are known, and when they are to be looked for."""

    payment_id: PaymentId
    purchase_id: str | None = None
    allocation_ids: tuple[str, ...] = ()
    moments: tuple[datetime, ...] = ()
    """Known times of its life, sorted, around which its records are looked for."""
    paid_at: datetime | None = None
    """None where its row is not known: other known times may then lie long after it."""

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids, the payment's first."""
        return (self.payment_id, *((self.purchase_id,) if self.purchase_id else ()), *self.allocation_ids)


@dataclass(frozen=True, slots=True)
class Story:
    """All that was read about one payment, and the verdict."""

    snapshot: PaymentSnapshot
    verdict: Verdict
    marks: Marks
    aftermath: Reading[Aftermath]
    hops: tuple[Hop, ...] = ()
    """In the order of the flow's topics, each oldest first."""
    letters: tuple[Letters, ...] = ()
    lines: tuple[StoryLine, ...] = ()
    """In the order of time."""
    steps: tuple[OwnStep, ...] = ()
    """In the order of time."""
    looked: tuple[Looked, ...] = ()
    retention: Retention = field(default_factory=Retention)

    @property
    def payment_id(self) -> PaymentId:
        """Whose story it is."""
        return self.snapshot.payment_id

    @property
    def facts(self) -> PaymentFacts | None:
        """What the tables hold; None where the database did not answer."""
        return self.snapshot.facts.value

    @property
    def payment(self) -> Payment | None:
        """Its row; None where there is none or the database did not answer."""
        return self.facts.payment if self.facts else None

    @property
    def purchase(self) -> Purchase | None:
        """The purchase that is matched to it; None for none."""
        return purchase_of(self.facts)

    @property
    def allocations(self) -> tuple[Allocation, ...]:
        """Those that can belong to its purchase, oldest first."""
        return allocations_of(self.facts)

    def on(self, topic: str) -> tuple[Hop, ...]:
        """Its records on one topic, oldest first."""
        return tuple(h for h in self.hops if h.record.topic == topic)

    def searched(self, what: str) -> Looked | None:
        """How one place was searched; None where it was not looked at."""
        return next((k for k in self.looked if k.what == what), None)


def purchase_of(facts: PaymentFacts | None) -> Purchase | None:
    """The purchase that is matched to the payment of these facts, None for none."""
    if facts is None or facts.payment is None:
        return None
    return match_facts(facts).purchase_of(facts.payment_id)


def allocations_of(facts: PaymentFacts | None) -> tuple[Allocation, ...]:
    """The allocations requested after the payment's purchase and before the next purchase of that student and course.

    No column links an allocation to a purchase (docs/system.md 1.4). Empty without a purchase.
    """
    mine = purchase_of(facts)
    if facts is None or mine is None:
        return ()
    later = [p.created_at for p in facts.purchases if p.created_at > mine.created_at]
    until = min(later, default=None)
    return tuple(
        a for a in facts.allocations if a.requested_at >= mine.created_at and (until is None or a.requested_at < until)
    )
