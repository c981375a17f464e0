"""What waits for a group by the time at which it was written: read from the log's time index, for a chart.

Nobody keeps what the lag was an hour ago. What can be read now is when the messages that wait were written; of them so
many waited at each moment since, at least, for offsets only go on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from kcfix.core.offsets import GroupLag, PartitionLag, TopicPartition
from kcfix.core.ports.kafka import KafkaPort


@dataclass(frozen=True, slots=True)
class Backlog:
    """The messages of one group that wait now."""

    group: str
    waiting: int
    """Now, on the partitions where that is known."""
    written: tuple[tuple[datetime, int], ...]
    """For each moment that was asked about: how many of them had been written before it. Never falls."""
    unknown: tuple[TopicPartition, ...]
    """Partitions without a lag that is a number: nothing committed, or not answered."""
    retained: int
    """Records on the unknown partitions where nothing is committed: as many may wait there."""


def interesting(groups: Collection[GroupLag]) -> tuple[GroupLag, ...]:
    """Groups for which something waits or may wait."""
    return tuple(lag for lag in groups if lag.known_lag_records or any(p.skipped_by_latest for p in lag.partitions))


def read_backlogs(kafka: KafkaPort, groups: Collection[GroupLag], moments: Sequence[datetime]) -> tuple[Backlog, ...]:
    """The backlog of each group at these moments, which must be in order; one request of each broker for a moment.

    Raises:
        Unreachable: Kafka did not answer. AccessDenied: it denies this user.
    """
    known = {p.partition for lag in groups for p in lag.partitions if p.lag_records}
    reached = [kafka.offsets_for_time(dict.fromkeys(known, at)) if known else {} for at in moments]
    return tuple(
        Backlog(
            group=lag.group.group_id,
            waiting=lag.known_lag_records,
            written=tuple(
                (at, sum(_before(p, offsets.get(p.partition)) for p in lag.partitions))
                for at, offsets in zip(moments, reached, strict=True)
            ),
            unknown=tuple(p.partition for p in lag.partitions if p.lag_records is None),
            retained=sum(p.skipped_by_latest or 0 for p in lag.partitions if p.lag_records is None),
        )
        for lag in groups
    )


def _before(part: PartitionLag, first: int | None) -> int:
    """How many of the unread messages of a partition lie before the offset `first`; None: there was none later."""
    waiting, end = part.lag_records, part.log_end_offset
    if waiting is None or end is None:
        return 0
    reached = end if first is None else first
    return min(waiting, max(0, reached - (end - waiting)))
