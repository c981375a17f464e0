"""What the later topics hold about payments, and where each consumer group stands at it (docs/system.md 2.1 to 2.5).

The records are found by the time index around the known times of a payment's life: the cost does not grow with a topic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from kcfix.core.events import DeadLetter, Record, parse_event
from kcfix.core.judging.id_index import IdIndex
from kcfix.core.judging.windows import merged, windows
from kcfix.core.offsets import (
    NOTHING_COMMITTED,
    Committed,
    Group,
    LogOffsets,
    PartitionLag,
    TopicPartition,
    partition_lag,
)
from kcfix.core.payments import PaymentId
from kcfix.core.ports.kafka import KafkaPort, OffsetRange, SearchResult, Topic, TopicConfig
from kcfix.core.story.payment_story import Hop, Letters, Marks, Reach, Reader
from kcfix.core.workers import Container
from kcfix.core.working.corroborate import vouched
from kcfix.errors import KcfixError
from kcfix.flow import Flow, Stage

WAITING_AT_MOST = 10_000
"""Records read of what waits behind a committed offset, beyond the known times: a backlog may be of any size."""


@dataclass(frozen=True, slots=True)
class Positions:
    """The topics of the flow, their logs, and how far each of its groups is."""

    topics: Mapping[str, Topic]
    logs: Mapping[TopicPartition, LogOffsets]
    committed: Mapping[str, Mapping[TopicPartition, Committed]]
    groups: Mapping[str, Group]
    configs: Mapping[str, TopicConfig] = field(default_factory=dict)
    """Empty where they may not be read."""
    broker: Mapping[str, str] = field(default_factory=dict)


def read_positions(kafka: KafkaPort, flow: Flow) -> Positions:
    """All of it, committed offsets before log ends. Raises Unreachable."""
    groups = [stage.group for stage in flow.stages]
    committed = kafka.committed(groups)
    topics = kafka.topics()
    partitions = [TopicPartition(t, p.partition) for t in flow.topics if t in topics for p in topics[t].partitions]
    return Positions(
        topics=topics,
        logs=kafka.log_offsets(partitions),
        committed=committed,
        groups=kafka.groups(groups),
        configs=_configs(kafka, [t for t in flow.topics if t in topics]),
        broker=_broker(kafka),
    )


def _configs(kafka: KafkaPort, topics: Sequence[str]) -> Mapping[str, TopicConfig]:
    try:
        return kafka.topic_configs(topics)
    except KcfixError:
        return {}


def _broker(kafka: KafkaPort) -> Mapping[str, str]:
    try:
        return kafka.broker_config()
    except KcfixError:
        return {}


def later_topics(flow: Flow) -> tuple[str, ...]:
    """The topics behind purchase-confirmed, the dead letters last."""
    return tuple(t for t in flow.topics if t != flow.purchase_confirmed)


def search_later(kafka: KafkaPort, flow: Flow, positions: Positions, marks: Iterable[Marks]) -> SearchResult:
    """The records of the later topics that name one of the ids, anywhere in key or value. One search for all."""
    known = tuple(m for m in marks if m.moments)
    ranges = _ranges(kafka, flow, positions, [moment for m in known for moment in m.moments])
    needles = {i.encode() for m in known for i in m.ids}
    found = kafka.search(ranges, needles, anywhere=True) if ranges and needles else SearchResult((), (), {})
    broken = {
        tp: log.error or "its offsets are not known"
        for tp, log in positions.logs.items()
        if log.log_end_offset is None and tp.topic in later_topics(flow)
    }
    return SearchResult(found.records, found.searched, {**broken, **found.failed})


def _ranges(kafka: KafkaPort, flow: Flow, positions: Positions, moments: Sequence[datetime]) -> tuple[OffsetRange, ...]:
    later = later_topics(flow)
    ends = {
        tp: log.log_end_offset
        for tp, log in positions.logs.items()
        if tp.topic in later and log.log_end_offset is not None
    }
    ranges: list[OffsetRange] = []
    for window in windows(moments):
        starts = kafka.offsets_for_time(dict.fromkeys(ends, window.start))
        stops = kafka.offsets_for_time(dict.fromkeys(ends, window.end))
        for tp, end in ends.items():
            first, last = starts.get(tp), stops.get(tp)
            ranges.append(OffsetRange(tp, end if first is None else first, end if last is None else last))
    for by_partition in positions.committed.values():
        for tp, committed in by_partition.items():
            if tp in ends and committed.offset is not None and committed.offset < ends[tp]:
                start = max(committed.offset, positions.logs[tp].log_start_offset or 0)
                ranges.append(OffsetRange(tp, start, min(ends[tp], start + WAITING_AT_MOST)))
    return merged(ranges)


def as_judged(positions: Positions, lag: PartitionLag, group: str) -> Positions:
    """The positions with one group on one partition as the verdict saw it, so that the story can't contradict it."""
    where = lag.partition
    committed = {**positions.committed.get(group, {}), where: Committed(lag.committed_offset, lag.error)}
    return replace(
        positions,
        committed={**positions.committed, group: committed},
        logs={**positions.logs, where: LogOffsets(lag.log_start_offset, lag.log_end_offset, error=lag.error)},
    )


def by_payment(records: Iterable[Record], marks: Iterable[Marks]) -> dict[PaymentId, list[Record]]:
    """The records that name one of a payment's ids, anywhere in key or value; payments without any are left out."""
    index = IdIndex(marks)
    found: dict[PaymentId, list[Record]] = defaultdict(list)
    for record in records:
        text = b"\n".join((record.key or b"", record.value or b"")).decode("utf-8", "replace")
        for owner in index.named_in(text):
            found[owner].append(record)
    return dict(found)


def make_hop(
    record: Record,
    flow: Flow,
    positions: Positions | None,
    containers: Mapping[str, tuple[Container, ...]] | None,
    *,
    scanned: bool = False,
) -> Hop:
    """The record with the groups that read its topic. `positions` or `containers` None: those did not answer."""
    stages = [stage for stage in flow.stages if record.topic in stage.topics]
    readers = tuple(_reader(record, stage, positions, containers) for stage in stages)
    return Hop(record, parse_event(record), readers, scanned)


def _reader(
    record: Record,
    stage: Stage,
    positions: Positions | None,
    containers: Mapping[str, tuple[Container, ...]] | None,
) -> Reader:
    where = TopicPartition(record.topic, record.partition)
    if positions is None:
        return Reader(stage.group, stage.worker, None, Reach.UNKNOWN)
    committed = positions.committed.get(stage.group, {}).get(where, NOTHING_COMMITTED)
    lag = partition_lag(where, committed, positions.logs.get(where))
    if lag.unprotected is None:
        reach = Reach.UNKNOWN
    elif lag.unprotected or lag.committed_offset is None:
        reach = Reach.UNPROTECTED
    else:
        reach = Reach.PASSED if record.offset < lag.committed_offset else Reach.WAITING
    group = positions.groups.get(stage.group)
    owner = group.owner(where) if group else None
    if group is None or owner is None:
        return Reader(stage.group, stage.worker, lag.committed_offset, reach)
    boxes = (containers or {}).get(stage.worker, ())
    container = next((box.name for member, box in vouched(group.members, boxes, stage) if member == owner), None)
    return Reader(
        group=stage.group,
        worker=stage.worker,
        committed_offset=lag.committed_offset,
        reach=reach,
        member=owner.client_id,
        container=container,
        unvouched=containers is not None and container is None,
    )


def grouped(letters: Iterable[DeadLetter]) -> tuple[Letters, ...]:
    """Dead letters by the record that they are copies of, those that came first first."""
    by_original: dict[tuple[str | None, int | None, int | None], list[DeadLetter]] = {}
    for letter in {(d.record.partition, d.record.offset): d for d in letters}.values():
        key = (letter.original_topic, letter.original_partition, letter.original_offset)
        by_original.setdefault(key, []).append(letter)
    found = []
    for (topic, partition, offset), copies in by_original.items():
        times = sorted(t for d in copies if (t := d.record.timestamp) is not None)
        newest = max(copies, key=lambda d: (d.record.timestamp is not None, d.record.timestamp, d.record.offset))
        first, last = (times[0], times[-1]) if times else (None, None)
        found.append(Letters(topic, partition, offset, len(copies), first, last, newest.reason))
    return tuple(sorted(found, key=lambda g: (g.first_at is None, g.first_at, g.topic or "", g.offset or 0)))
