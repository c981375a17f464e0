"""Offsets of a consumer group on a partition, and what they mean: lag, protection, loss.

The words are Kafka's: the committed offset is the *next* offset to be read; the log end offset is the offset that the
next record will get. Rules: docs/decisions.md 1 and the pitfalls in docs/design.md.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


class TopicPartition(NamedTuple):
    """A partition of a topic. Sorts by topic name, then by number."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


@dataclass(frozen=True, slots=True)
class LogOffsets:
    """The retained log of one partition. An offset that the broker did not give is None and `error` says why."""

    log_start_offset: int | None
    log_end_offset: int | None
    """High watermark: one beyond the last record that is replicated; counts transaction markers."""
    last_stable_offset: int | None = None
    """One beyond the last record that a read_committed consumer may see; None where it was not asked or not given."""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Committed:
    """What a group has committed on one partition.

    `offset` None with no `error`: nothing is committed. None with an `error`: unknown.
    """

    offset: int | None
    error: str | None = None
    metadata: str = ""


NOTHING_COMMITTED = Committed(None)


class LagState(enum.StrEnum):
    """How the committed offset lies to the log; only OK has a number that may be trusted as a lag."""

    OK = "OK"
    UNCOMMITTED = "UNCOMMITTED"
    """Nothing was ever committed (or it expired): the next start follows auto.offset.reset."""
    LOST = "LOST"
    """Committed before the log start: records were deleted unread."""
    AHEAD = "AHEAD"
    """Committed beyond the log end: the topic was made anew or truncated."""
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """A group on one partition. Offsets and counts are None where they are unknown or mean nothing."""

    partition: TopicPartition
    committed_offset: int | None
    log_start_offset: int | None
    log_end_offset: int | None
    last_stable_offset: int | None
    state: LagState
    error: str | None = None

    @property
    def lag_records(self) -> int | None:
        """Offsets still to be read; None unless it is known. With a lost range: what is still there to be read."""
        if self.state is LagState.OK and self.committed_offset is not None and self.log_end_offset is not None:
            return self.log_end_offset - self.committed_offset
        if self.state is LagState.LOST:
            return self.retained_records
        return None

    @property
    def retained_records(self) -> int | None:
        """Offsets between log start and log end."""
        if self.log_start_offset is None or self.log_end_offset is None:
            return None
        return self.log_end_offset - self.log_start_offset

    @property
    def lost_records(self) -> int | None:
        """Offsets that were deleted before the group read them; None where that is unknown."""
        if self.state in (LagState.UNKNOWN, LagState.UNCOMMITTED, LagState.AHEAD):
            return None
        if self.committed_offset is None or self.log_start_offset is None:
            return None
        return max(0, self.log_start_offset - self.committed_offset)

    @property
    def unprotected(self) -> bool | None:
        """Whether a start at latest would skip everything here (docs/decisions.md 1); None if unknown."""
        if self.state is LagState.UNKNOWN:
            return None
        return self.state is not LagState.OK

    @property
    def skipped_by_latest(self) -> int | None:
        """Records that a consumer starting at latest would skip here: 0 where the committed offset protects them."""
        if self.unprotected is None:
            return None
        return self.retained_records if self.unprotected else 0

    @property
    def reread_by_earliest(self) -> int | None:
        """Records that a consumer starting at earliest would read from the log start: 0 where it is protected."""
        return self.skipped_by_latest


def partition_lag(partition: TopicPartition, committed: Committed, log: LogOffsets | None) -> PartitionLag:
    """The lag of one group on one partition. Committed must have been read *before* the log, or lag may be negative.

    >>> tp = TopicPartition("t", 0)
    >>> partition_lag(tp, Committed(3), LogOffsets(0, 5)).lag_records
    2
    >>> partition_lag(tp, NOTHING_COMMITTED, LogOffsets(0, 5)).lag_records is None
    True
    >>> partition_lag(tp, Committed(3), LogOffsets(4, 9)).lost_records
    1
    """
    start = log.log_start_offset if log else None
    end = log.log_end_offset if log else None
    error = committed.error or (log.error if log else "the broker gave no offsets for this partition")
    if error is not None or start is None or end is None:
        state = LagState.UNKNOWN
        error = error or "the broker gave no offsets for this partition"
    elif committed.offset is None:
        state = LagState.UNCOMMITTED
    elif committed.offset < start:
        state = LagState.LOST
    elif committed.offset > end:
        state = LagState.AHEAD
    else:
        state = LagState.OK
    return PartitionLag(partition, committed.offset, start, end, log.last_stable_offset if log else None, state, error)


class GroupState(enum.StrEnum):
    """State of a consumer group as the coordinator gives it, plus what it cannot say."""

    STABLE = "STABLE"
    EMPTY = "EMPTY"
    PREPARING_REBALANCE = "PREPARING_REBALANCE"
    COMPLETING_REBALANCE = "COMPLETING_REBALANCE"
    ASSIGNING = "ASSIGNING"
    RECONCILING = "RECONCILING"
    DEAD = "DEAD"
    NOT_FOUND = "NOT_FOUND"
    """The coordinator knows no such group: it never joined nor committed, or it was deleted or expired."""
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a consumer group, as the coordinator describes it."""

    member_id: str
    client_id: str
    host: str
    """Address that the coordinator saw, without the leading slash."""
    assignment: tuple[TopicPartition, ...] = ()
    """Sorted. Empty while the group rebalances."""
    subscription: tuple[str, ...] = ()
    """Topics that it subscribed to; empty where they are not given."""


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group. `members_known` is False for a protocol that this client can't describe (KIP-848)."""

    group_id: str
    state: GroupState
    members: tuple[Member, ...] = ()
    protocol_type: str = ""
    """`consumer` for the classic protocol; empty where none ever joined."""
    group_type: str = ""
    """`classic`, `consumer` (KIP-848), `share`, or empty where the broker does not say."""
    coordinator: int | None = None
    error: str | None = None
    members_known: bool = True

    @property
    def is_rebalancing(self) -> bool:
        """Whether its assignment is in motion, so that one look at it proves nothing."""
        return self.state in (
            GroupState.PREPARING_REBALANCE,
            GroupState.COMPLETING_REBALANCE,
            GroupState.ASSIGNING,
            GroupState.RECONCILING,
        )

    @property
    def is_empty(self) -> bool:
        """Whether it has no member, so that offsets can be committed for it."""
        return not self.members and self.state in (GroupState.EMPTY, GroupState.NOT_FOUND, GroupState.DEAD)

    def owner(self, partition: TopicPartition) -> Member | None:
        """The member that holds the partition; None if none does."""
        return next((m for m in self.members if partition in m.assignment), None)


@dataclass(frozen=True, slots=True)
class GroupLag:
    """A group with one row for every partition that concerns it, sorted."""

    group: Group
    partitions: tuple[PartitionLag, ...]
    stale: tuple[PartitionLag, ...] = ()
    """Commits on topics that the group neither subscribes to nor is declared for: shown apart, not in totals."""

    @property
    def known_lag_records(self) -> int:
        """Sum of the lags that are known; a lower bound when `unknown_partitions` is not 0."""
        return sum(p.lag_records for p in self.partitions if p.lag_records is not None)

    @property
    def unknown_partitions(self) -> int:
        """Partitions whose lag is not a number, for whatever reason."""
        return sum(1 for p in self.partitions if p.lag_records is None)

    @property
    def total_lag_records(self) -> int | None:
        """The whole lag; None if that of any partition is not known."""
        return None if self.unknown_partitions else self.known_lag_records

    @property
    def skipped_by_latest(self) -> int | None:
        """Records that a start at latest would skip on unprotected partitions; None if any is unknown."""
        counts = [p.skipped_by_latest for p in self.partitions]
        return None if any(c is None for c in counts) else sum(c for c in counts if c is not None)


def group_lag(
    group: Group,
    committed: Mapping[TopicPartition, Committed],
    logs: Mapping[TopicPartition, LogOffsets],
    partitions_of: Mapping[str, Iterable[int]],
    declared_topics: Iterable[str] = (),
) -> GroupLag:
    """A group with every partition that concerns it: assigned, of a subscribed or declared topic, or committed.

    `partitions_of` gives the partitions of each topic. A declared topic that does not exist has no rows. A committed
    partition whose topic is neither subscribed nor declared is stale if the group has members or a declaration.
    """
    assigned = {tp for m in group.members for tp in m.assignment}
    topics = {t for m in group.members for t in m.subscription} | {tp.topic for tp in assigned} | set(declared_topics)
    universe = {TopicPartition(t, p) for t in topics for p in partitions_of.get(t, ())} | assigned
    known = {tp for tp, c in committed.items() if c.offset is not None or c.error is not None}
    if topics:
        stale = {tp for tp in known - universe if tp.topic not in topics}
        universe |= known - stale
    else:
        # Nobody says what an empty foreign group reads: what it once committed is the best guide, whole topics of it.
        stale = set()
        universe |= known | {TopicPartition(tp.topic, p) for tp in known for p in partitions_of.get(tp.topic, ())}

    def rows(partitions: set[TopicPartition]) -> tuple[PartitionLag, ...]:
        return tuple(partition_lag(tp, committed.get(tp, NOTHING_COMMITTED), logs.get(tp)) for tp in sorted(partitions))

    return GroupLag(group, rows(universe), rows(stale))


@dataclass(frozen=True, slots=True)
class RecordTime:
    """When a record was written, by its own timestamp."""

    offset: int
    timestamp: datetime | None
    """Aware, UTC. None where the record has none."""
    log_append_time: bool = False
    """True: the broker's clock. False: the producer's (CreateTime), which may be wrong."""
