"""Where a group has to begin on partitions that no usable commit protects (docs/decisions.md 4).

Too late loses payments, too early announces purchases again, and a message that the worker fails on turns a skip into
an endless loop. So: at the first message that is unsettled and that the worker can settle, else at the log end as read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from kcfix.core.move.committing import OffsetCommit
from kcfix.core.move.settlement import Effect, Settlement, settlements
from kcfix.core.offsets import PartitionLag, TopicPartition
from kcfix.core.payments import PaymentId
from kcfix.core.ports.database import DatabasePort
from kcfix.core.ports.kafka import KafkaPort, OffsetRange
from kcfix.flow import Stage

Database = Callable[[], DatabasePort]
"""Asked only where the stage can be checked."""
LISTED = 1000
"""Messages of a kind that a pin names; beyond that it only counts them."""


@dataclass(frozen=True, slots=True)
class Pin:
    """The offset to be committed on one unprotected partition, and what that means for the messages there."""

    partition: TopicPartition
    committed_offset: int | None
    """As it was; None: nothing was committed."""
    log_start_offset: int
    log_end_offset: int
    """As read before the messages were; a pin never lies beyond it."""
    first: Settlement | None = None
    """The message that it points at; None: it points at the log end."""
    waiting: tuple[Settlement, ...] = ()
    """Unsettled messages from there on which the worker will settle, in offset order, the first `LISTED`."""
    waiting_count: int = 0
    stops: tuple[Settlement, ...] = ()
    """Messages behind `first` that the worker must not read, the first `LISTED`. With any the pin is not committed."""
    last_stop_offset: int | None = None
    resume: Settlement | None = None
    """The first message behind the last stop that the worker can settle; None if there is none."""
    skipped_count: int = 0
    """How many of `waiting_count` lie before the last stop."""
    passed: tuple[Settlement, ...] = ()
    """Owed messages before the pin: it would fail on them, so nobody reads them, and a repair has to settle them."""
    reread_count: int = 0
    """Settled messages from the pin on: they are read once more and passed."""
    checked: bool = True
    """False: the messages could not be read or judged, and the pin is the log end for want of anything better."""

    @property
    def offset(self) -> int:
        """The offset to commit: the next one to be read."""
        return self.log_end_offset if self.first is None else self.first.offset

    @property
    def commit(self) -> OffsetCommit:
        """What is to be committed."""
        return OffsetCommit(self.partition, self.committed_offset, self.offset)

    @property
    def refused(self) -> bool:
        """Whether it must not be committed as it is."""
        return self.last_stop_offset is not None

    @property
    def needed(self) -> bool:
        """Whether it differs from what is committed."""
        return self.committed_offset != self.offset

    @property
    def repairs(self) -> tuple[PaymentId, ...]:
        """Payments whose repair lets the pin go behind the last message that stops it, in offset order."""
        last = self.last_stop_offset
        if last is None:
            return ()
        return tuple(dict.fromkeys(s.payment_id for s in self.waiting if s.payment_id and s.offset < last))

    @property
    def count(self) -> int:
        """Offsets between log start and log end."""
        return self.log_end_offset - self.log_start_offset


def unprotected(lags: Iterable[PartitionLag]) -> tuple[PartitionLag, ...]:
    """The partitions on which a start would skip, an empty one among them; not those whose offsets are unknown."""
    return tuple(lag for lag in lags if lag.unprotected)


def unreadable(lags: Iterable[PartitionLag]) -> tuple[PartitionLag, ...]:
    """The partitions of which it is not known whether they are protected."""
    return tuple(lag for lag in lags if lag.unprotected is None)


def ranges(lags: Iterable[PartitionLag]) -> tuple[OffsetRange, ...]:
    """The whole retained log, as read, of each of these partitions; empty and unreadable ones left out."""
    return tuple(
        OffsetRange(lag.partition, lag.log_start_offset, lag.log_end_offset)
        for lag in lags
        if lag.log_start_offset is not None
        and lag.log_end_offset is not None
        and lag.log_start_offset < lag.log_end_offset
    )


def bare_pin(lag: PartitionLag) -> Pin:
    """The pin at the log end as read.

    Raises:
        ValueError: the log offsets of this partition are unknown.
    """
    if lag.log_start_offset is None or lag.log_end_offset is None:
        raise ValueError(f"{lag.partition}: its log offsets are unknown")
    return Pin(lag.partition, lag.committed_offset, lag.log_start_offset, lag.log_end_offset)


def _with(pin: Pin, s: Settlement) -> Pin:
    """The pin after one further message, in offset order."""
    if not pin.log_start_offset <= s.offset < pin.log_end_offset:
        return pin
    if pin.first is None:
        if s.effect is Effect.SETTLES:
            return replace(pin, first=s, resume=s, waiting=(s,), waiting_count=1)
        return replace(pin, passed=(*pin.passed, s)) if s.owed and len(pin.passed) < LISTED else pin
    if s.effect is Effect.SETTLES:
        waiting = (*pin.waiting, s) if len(pin.waiting) < LISTED else pin.waiting
        return replace(pin, waiting=waiting, waiting_count=pin.waiting_count + 1, resume=pin.resume or s)
    if s.stops:
        stops = (*pin.stops, s) if len(pin.stops) < LISTED else pin.stops
        return replace(pin, stops=stops, last_stop_offset=s.offset, resume=None, skipped_count=pin.waiting_count)
    return replace(pin, reread_count=pin.reread_count + 1)


def pins(lags: Iterable[PartitionLag], messages: Iterable[Settlement]) -> tuple[Pin, ...]:
    """A pin for each unprotected partition of `lags`, sorted; `messages` are those of their whole logs, in order.

    Records that lie at or beyond the log end as read are not looked at: they are not protected by being read late, but
    by lying behind the pin.
    """
    found: dict[TopicPartition, Pin] = {lag.partition: bare_pin(lag) for lag in unprotected(lags)}
    for s in messages:
        pin = found.get(s.partition)
        if pin is not None:
            found[s.partition] = _with(pin, s)
    return tuple(found[tp] for tp in sorted(found))


def first_to_settle(stage: Stage, log: OffsetRange, kafka: KafkaPort, database: Database) -> Settlement | None:
    """The first message of these offsets that is unsettled and that the worker can settle: where a pin would point.

    Reads no further than it must. Raises as `read_pins` does.
    """
    return next((s for s in settlements(stage, [log], kafka, database) if s.effect is Effect.SETTLES), None)


def read_pins(stage: Stage, lags: Iterable[PartitionLag], kafka: KafkaPort, database: Database) -> tuple[Pin, ...]:
    """The pins of a stage's group, with every message of its unprotected partitions judged now.

    The log ends are those of `lags`, so these must have been read before: a message that comes later is behind the pin.

    Raises:
        Unreachable: Kafka or the database did not answer; nothing may be concluded.
        Refused: a table that is needed is missing.
    """
    todo = unprotected(lags)
    return pins(todo, settlements(stage, ranges(todo), kafka, database))


def beyond_stops(pin: Pin) -> Pin:
    """The pin behind the last message that stops it, for those who accept that what lies before is skipped.

    What is skipped and named is in `passed`.
    """
    if pin.last_stop_offset is None:
        return pin
    last = pin.last_stop_offset
    lost = sorted((*pin.passed, *(s for s in (*pin.waiting, *pin.stops) if s.offset <= last)), key=lambda s: s.offset)
    return replace(
        pin,
        first=pin.resume,
        waiting=tuple(s for s in pin.waiting if s.offset > last),
        waiting_count=pin.waiting_count - pin.skipped_count,
        stops=(),
        last_stop_offset=None,
        skipped_count=0,
        passed=tuple(lost),
    )


def unchecked(lags: Iterable[PartitionLag]) -> tuple[Pin, ...]:
    """Pins at the log ends, for when the messages can't be judged and the operator accepts the loss.

    The loss is that of a start at latest; what arrives while the worker restarts is at least not lost as well.
    """
    return tuple(replace(bare_pin(lag), checked=False) for lag in unprotected(lags))
