"""What was read about one payment at one time, before anything is concluded from it.

A system that did not answer is a value here (`Reading.error`), never an empty answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from kcfix.core.events import DeadLetter, Event, Record
from kcfix.core.offsets import Group, PartitionLag, TopicPartition
from kcfix.core.payments import PaymentFacts, PaymentId
from kcfix.core.ports.database import Behind
from kcfix.core.ports.kafka import OffsetRange
from kcfix.core.working.worker import Work

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """An answer, or why there is none. Exactly one of `value` and `error` is set."""

    value: T | None = None
    error: str | None = None

    @classmethod
    def unknown(cls, error: str) -> Reading[T]:
        """No answer, and why."""
        return cls(None, error or "no answer")


@dataclass(frozen=True, slots=True)
class FoundMessage:
    """A PURCHASE_CONFIRMED record of a payment, decoded where it can be."""

    record: Record
    event: Event | None
    """None: the value is no JSON object."""


@dataclass(frozen=True, slots=True)
class Head:
    """The record at a partition's committed offset, where the group stands still or goes on."""

    partition: TopicPartition
    offset: int
    payment_id: PaymentId | None
    """Whose it is; None where it can't be decoded."""
    failures: tuple[str, ...] = ()
    """What the worker fails with there, newest last: as seen (dead letters, log lines), or because there is no event in
    its value. Empty: never seen to fail."""

    @property
    def failing(self) -> bool:
        """Whether the worker fails at this very offset."""
        return bool(self.failures)


@dataclass(frozen=True, slots=True)
class MessageEvidence:
    """What Kafka holds about one payment."""

    partition: TopicPartition
    """The partition of the purchase-confirmed topic that its key hashes to."""
    lag: PartitionLag
    """The purchase group on that partition."""
    messages: tuple[FoundMessage, ...]
    """Its PURCHASE_CONFIRMED records, oldest first."""
    searched: tuple[OffsetRange, ...]
    complete: bool
    """Whether the whole search went through; else `incomplete_reason` says why not."""
    incomplete_reason: str | None = None
    log_begins_at: datetime | None = None
    """Time of the first retained record; None where the log was never cut, holds no record or could not be read."""
    kept_since: datetime | None = None
    """Since when retention has deleted no record; None where that is not known, or nothing was ever deleted."""
    log_was_cut: bool = False
    """Whether records have been deleted at its beginning (log start > 0)."""
    head: Head | None = None
    """The record at the committed offset; None where the group has no committed offset or nothing waits."""
    dead_letters: tuple[DeadLetter, ...] = ()
    dead_letters_error: str | None = None
    """Why the dead letters could not be read; None if they were."""
    dead_letters_absent: bool = False
    """Whether that is because there is no topic for them: then nothing can have been dead-lettered and kept."""

    @property
    def dead_letters_unread(self) -> bool:
        """Whether there may be dead letters that were not seen."""
        return self.dead_letters_error is not None and not self.dead_letters_absent


@dataclass(frozen=True, slots=True)
class AnnouncementEvidence:
    """Whether PURCHASE_CREATED was sent for a purchase, as far as the log reaches."""

    purchase_id: str
    announcements: tuple[Record, ...]
    reaches_back: bool
    """Whether all that was sent since the purchase is still in the log of every partition."""
    waits: bool | None = False
    """Whether one of the announcements lies at or past the allocation group's committed offset; None where that is not
    known, or no committed offset protects its partition."""


@dataclass(frozen=True, slots=True)
class PurchaseWorkers:
    """What is known of the purchase group and the containers that work for it."""

    group: Reading[Group]
    work: Work
    starts: tuple[datetime, ...] = ()
    """Known starts of its consumers: containers, consumer joins in their logs, members' client ids. Sorted."""
    containers_known: bool = True
    """False where Docker did not answer or has no such container: a start may then be unknown."""


@dataclass(frozen=True, slots=True)
class PaymentSnapshot:
    """All that was read about one payment."""

    payment_id: PaymentId
    taken_at: datetime
    facts: Reading[PaymentFacts]
    evidence: Reading[MessageEvidence]
    announcement: Reading[AnnouncementEvidence] | None
    """None: not looked for, because no purchase needs it."""
    workers: PurchaseWorkers
    behind: Behind | None = None
    """The database is a standby that lacks what has happened since then."""


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Snapshots by payment, with what they share."""

    by_payment: Mapping[PaymentId, PaymentSnapshot]
    workers: PurchaseWorkers
    lags: Mapping[TopicPartition, PartitionLag] = field(default_factory=dict)
    """The purchase group on every partition of its topic; empty where Kafka did not answer."""
