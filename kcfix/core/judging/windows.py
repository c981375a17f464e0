"""Which offsets have to be read to find what a few payments sent (docs/decisions.md 2, "The search for messages").

The time index and the key's partition lead there in a few requests: the cost does not grow with the topic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from kcfix.core.offsets import LogOffsets, PartitionLag, TopicPartition
from kcfix.core.ports.kafka import KafkaPort, OffsetRange
from kcfix.errors import KcfixError

BEFORE = timedelta(minutes=10)
AFTER = timedelta(hours=1)
MOST = 64
"""Spans at most: each costs two requests. Of more, the closest are made one, and what lies between them is read too."""


@dataclass(frozen=True, slots=True)
class Window:
    """A span of record time."""

    start: datetime
    end: datetime


def windows(moments: Iterable[datetime]) -> tuple[Window, ...]:
    """Spans from 10 minutes before to 1 hour after each moment, sorted, those that touch made one; at most `MOST`."""
    spans: list[Window] = []
    for moment in sorted(moments):
        start, end = moment - BEFORE, moment + AFTER
        if spans and start <= spans[-1].end:
            spans[-1] = Window(spans[-1].start, max(end, spans[-1].end))
        else:
            spans.append(Window(start, end))
    return _closest_made_one(spans)


def _closest_made_one(spans: Sequence[Window]) -> tuple[Window, ...]:
    if len(spans) <= MOST:
        return tuple(spans)
    widest = sorted(range(1, len(spans)), key=lambda i: spans[i].start - spans[i - 1].end)[-(MOST - 1) :]
    cuts = [0, *sorted(widest), len(spans)]
    return tuple(Window(spans[a].start, spans[b - 1].end) for a, b in pairwise(cuts))


def merged(ranges: Iterable[OffsetRange]) -> tuple[OffsetRange, ...]:
    """The same offsets in as few ranges as possible, sorted; empty ones left out."""
    result: list[OffsetRange] = []
    for r in sorted(ranges, key=lambda r: (r.partition, r.start)):
        if r.start >= r.end:
            continue
        if result and result[-1].partition == r.partition and r.start <= result[-1].end:
            result[-1] = OffsetRange(r.partition, result[-1].start, max(r.end, result[-1].end))
        else:
            result.append(r)
    return tuple(result)


def offsets_at(
    kafka: KafkaPort, logs: Mapping[TopicPartition, LogOffsets], time: datetime
) -> dict[TopicPartition, int]:
    """First offset at or after the time on each partition whose log is known; its log end where there is none."""
    known = {tp: log.log_end_offset for tp, log in logs.items() if log.log_end_offset is not None}
    found = kafka.offsets_for_time(dict.fromkeys(known, time))
    return {tp: end if (offset := found.get(tp)) is None else offset for tp, end in known.items()}


def kept_since(kafka: KafkaPort, topic: str, now: datetime) -> datetime | None:
    """Since when retention has deleted no record of the topic; None where its settings do not tell.

    Time deletes a segment only once its newest record is too old, so a partition that is empty, or begins late, may
    still hold all that was written since. On a quiet topic that is the normal case. A limit of size deletes at any age.
    """
    try:
        config = kafka.topic_configs([topic]).get(topic)
    except KcfixError:
        return None
    if config is None or config.retention is None or config.retention_bytes is not None:
        return None
    try:
        return now - config.retention if config.cleanup_policy == "delete" else None
    except OverflowError:
        return None


def since(kafka: KafkaPort, logs: Mapping[TopicPartition, LogOffsets], time: datetime) -> tuple[OffsetRange, ...]:
    """Everything written at or after the time, to the log ends as read."""
    starts = offsets_at(kafka, logs, time)
    return merged(OffsetRange(tp, start, logs[tp].log_end_offset or 0) for tp, start in starts.items())


def message_ranges(
    kafka: KafkaPort, lags: Mapping[TopicPartition, PartitionLag], moments: Mapping[TopicPartition, Iterable[datetime]]
) -> tuple[OffsetRange, ...]:
    """What to read for payments confirmed at `moments`, by partition of their key.

    Their windows, and all that still waits: from the committed offset to the log end, or on an unprotected partition,
    where any record may be waiting, from the first window on.
    """
    ranges: list[OffsetRange] = []
    spans = {tp: windows(times) for tp, times in moments.items()}
    logs = {
        tp: LogOffsets(lag.log_start_offset, lag.log_end_offset)
        for tp, lag in lags.items()
        if tp in spans and lag.log_end_offset is not None and lag.log_start_offset is not None
    }
    for i in range(max((len(s) for s in spans.values()), default=0)):
        now = {tp: spans[tp][i] for tp in logs if i < len(spans[tp])}
        starts = kafka.offsets_for_time({tp: w.start for tp, w in now.items()})
        ends = kafka.offsets_for_time({tp: w.end for tp, w in now.items()})
        for tp in now:
            end = logs[tp].log_end_offset or 0
            first, last = starts.get(tp), ends.get(tp)
            ranges.append(OffsetRange(tp, end if first is None else first, end if last is None else last))
            if i == 0 and lags[tp].unprotected and first is not None:
                ranges.append(OffsetRange(tp, first, end))
    for tp, log in logs.items():
        lag = lags[tp]
        if not lag.unprotected and lag.committed_offset is not None:
            ranges.append(OffsetRange(tp, lag.committed_offset, log.log_end_offset or 0))
    return merged(ranges)
