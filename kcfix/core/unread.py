"""The oldest record that a group has not read on a partition: how old it is, and whether it is a record at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from kcfix.core.offsets import GroupLag, LagState, PartitionLag, RecordTime, TopicPartition
from kcfix.core.ports.kafka import KafkaPort, OffsetRange
from kcfix.errors import KcfixError

COUNTED_OFFSETS = 20
"""Up to so many offsets without a record behind the committed one are looked through, for they may all be markers."""


@dataclass(frozen=True, slots=True)
class Unread:
    """The oldest record that the group has not read on one partition."""

    at: datetime | None
    """Its own timestamp; None where it has none, there is no such record, or it could not be read in time."""
    age: timedelta | None
    """None as above, and where the timestamp lies in the future: then the clock that set it is wrong."""
    log_append_time: bool = False
    no_record: bool = False
    """Everything between the committed offset and the end is transaction markers or compacted away: nothing waits."""


NOT_READ = Unread(None, None)


def read_unread(kafka: KafkaPort, lags: Iterable[GroupLag], now: datetime) -> dict[tuple[str, TopicPartition], Unread]:
    """The oldest unread record where there is one to be read: not where it was deleted or lies behind a transaction."""
    places: dict[int, dict[TopicPartition, int]] = {}
    wanted: dict[tuple[str, TopicPartition], PartitionLag] = {}
    for lag in lags:
        for part in lag.partitions:
            if part.state is LagState.OK and part.lag_records and part.last_stable_offset != part.committed_offset:
                wanted[lag.group.group_id, part.partition] = part
    # Groups may stand at different places of one partition; each round asks one place of every partition.
    for (_, where), part in wanted.items():
        offset = part.committed_offset or 0
        depth = next((d for d in range(len(wanted)) if places.get(d, {}).get(where, offset) == offset), 0)
        places.setdefault(depth, {})[where] = offset
    times: dict[tuple[TopicPartition, int], RecordTime | None] = {}
    for places_of_round in places.values():
        for where, time in kafka.record_times(places_of_round).items():
            times[where, places_of_round[where]] = time
    found = {}
    for key, part in wanted.items():
        time = times.get((part.partition, part.committed_offset or 0))
        found[key] = _age(time, now) if time else Unread(None, None, no_record=_only_markers(kafka, part))
    return found


def _age(time: RecordTime, now: datetime) -> Unread:
    age = now - time.timestamp if time.timestamp is not None and time.timestamp <= now else None
    return Unread(time.timestamp, age, time.log_append_time)


def _only_markers(kafka: KafkaPort, part: PartitionLag) -> bool:
    """Whether a small lag consists of no record at all."""
    if part.committed_offset is None or part.log_end_offset is None or (part.lag_records or 0) > COUNTED_OFFSETS:
        return False
    try:
        waiting = kafka.records([OffsetRange(part.partition, part.committed_offset, part.log_end_offset)])
        return next(iter(waiting), None) is None
    except KcfixError:
        return False
