"""What `topics` looks at: each topic with its partitions, what is in it, how long it stays, and who reads it."""

from __future__ import annotations

import difflib
import enum
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from kcfix.core.offsets import Group, LogOffsets, RecordTime, TopicPartition
from kcfix.core.ports.kafka import KafkaPort, OffsetRange, PartitionInfo, Topic, TopicConfig
from kcfix.errors import AccessDenied, NotFound, Unreachable
from kcfix.flow import Flow

LOOK_BACK_OFFSETS = 10


class TopicState(enum.StrEnum):
    """How a topic does, the worst first."""

    MISSING = "MISSING"
    """The flow needs it and it is not there."""
    NO_LEADER = "NO_LEADER"
    """At least one partition can be neither read nor written."""
    UNKNOWN = "UNKNOWN"
    """At least one partition's leader did not answer."""
    UNDER_REPLICATED = "UNDER_REPLICATED"
    """At least one replica is not in sync."""
    OK = "OK"


@dataclass(frozen=True, slots=True)
class PartitionReport:
    """One partition."""

    info: PartitionInfo
    log: LogOffsets
    newest: datetime | None
    """Timestamp of the last record; None if there is none, or it can't be read."""

    @property
    def records(self) -> int | None:
        """Offsets between log start and end: an upper bound of the records if the topic is compacted."""
        if self.log.log_start_offset is None or self.log.log_end_offset is None:
            return None
        return self.log.log_end_offset - self.log.log_start_offset


@dataclass(frozen=True, slots=True)
class TopicReport:
    """One topic."""

    name: str
    expected: bool
    """Whether the flow needs it."""
    topic: Topic | None
    """None: it does not exist."""
    partitions: tuple[PartitionReport, ...] = ()
    config: TopicConfig | None = None
    """None: not known, or this user may not read it."""
    consumers: tuple[Group, ...] = ()
    """Groups with a member that reads it, or with something committed on it; sorted by id."""
    declared: tuple[str, ...] = ()
    """Groups of the flow that ought to read it."""

    @property
    def state(self) -> TopicState:
        if self.topic is None:
            return TopicState.MISSING
        if any(p.info.leader is None for p in self.partitions):
            return TopicState.NO_LEADER
        if any(p.log.error for p in self.partitions):
            return TopicState.UNKNOWN
        if any(len(p.info.isr) < len(p.info.replicas) for p in self.partitions):
            return TopicState.UNDER_REPLICATED
        return TopicState.OK

    @property
    def records(self) -> int | None:
        """Sum over the partitions; None if that of any is not known."""
        counts = [p.records for p in self.partitions]
        return None if self.topic is None or None in counts else sum(c for c in counts if c is not None)

    @property
    def compacted(self) -> bool:
        return self.config is not None and "compact" in self.config.cleanup_policy

    @property
    def newest(self) -> datetime | None:
        return max((p.newest for p in self.partitions if p.newest is not None), default=None)

    def newest_age(self, now: datetime) -> timedelta | None:
        """How old the newest record is; None if there is none, or it is dated in the future."""
        return now - self.newest if self.newest is not None and self.newest <= now else None


@dataclass(frozen=True, slots=True)
class TopicsReport:
    """Everything that one look gave."""

    taken_at: datetime
    topics: tuple[TopicReport, ...]
    groups_error: str | None = None
    """Why the groups could not be read, so that who reads what is not known."""

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(t.name for t in self.topics if t.topic is None)


def read_topics(
    kafka: KafkaPort, flow: Flow, now: datetime, *, name: str | None = None, internal: bool = False
) -> TopicsReport:
    """Look at one topic, or at those of the flow and all others; Kafka's own only with `internal`, or by name.

    Raises:
        NotFound: no such topic (with names that are like it).
        Unreachable: Kafka did not answer.
    """
    found = kafka.topics()
    if name is not None:
        if name not in found:
            raise _unknown(name, found, flow)
        names = [name]
    else:
        others = [t for t in found if t not in flow.topics and (internal or not found[t].internal)]
        names = [*flow.topics, *others]
    there = {n: found[n] for n in names if n in found}
    configs = _configs(kafka, there)
    logs = kafka.log_offsets([TopicPartition(n, p.partition) for n, t in there.items() for p in t.partitions])
    last = {
        where: log.log_end_offset - 1
        for where, log in logs.items()
        if log.log_end_offset and log.log_end_offset > (log.log_start_offset or 0)
    }
    times = _newest(kafka, last, logs)
    consumers, groups_error = _consumers(kafka)
    reports = tuple(_report(n, found.get(n), logs, times, configs.get(n), consumers.get(n, ()), flow) for n in names)
    return TopicsReport(now, reports, groups_error)


def _newest(
    kafka: KafkaPort, last: Mapping[TopicPartition, int], logs: Mapping[TopicPartition, LogOffsets]
) -> dict[TopicPartition, RecordTime | None]:
    """Times of the last records. Where the last offset is no record (a transaction marker), some before it are read."""
    times = dict(kafka.record_times(last)) if last else {}
    for where in [where for where, time in times.items() if time is None]:
        start = max(logs[where].log_start_offset or 0, last[where] - LOOK_BACK_OFFSETS)
        try:
            for record in kafka.records([OffsetRange(where, start, last[where])]):
                times[where] = RecordTime(record.offset, record.timestamp)
        except Unreachable:
            continue
    return times


def _report(
    name: str,
    topic: Topic | None,
    logs: Mapping[TopicPartition, LogOffsets],
    times: Mapping[TopicPartition, RecordTime | None],
    config: TopicConfig | None,
    consumers: tuple[Group, ...],
    flow: Flow,
) -> TopicReport:
    partitions = []
    for info in topic.partitions if topic else ():
        where = TopicPartition(name, info.partition)
        time = times.get(where)
        partitions.append(PartitionReport(info, logs[where], time.timestamp if time else None))
    declared = tuple(s.group for s in flow.stages if name in s.topics)
    return TopicReport(name, name in flow.topics, topic, tuple(partitions), config, consumers, declared)


def _unknown(name: str, found: Collection[str], flow: Flow) -> NotFound:
    if name in flow.topics:
        return NotFound(
            f"the topic {name} does not exist, though the flow needs it",
            hint="Kafka does not make it by itself here; the service kafka-init does",
        )
    like = difflib.get_close_matches(name, sorted({*found, *flow.topics}), n=2, cutoff=0.7)
    return NotFound(
        f"Kafka knows no topic {name!r}", hint=f"did you mean {' or '.join(like)}?" if like else "kcfix topics"
    )


def _configs(kafka: KafkaPort, names: Collection[str]) -> Mapping[str, TopicConfig]:
    if not names:
        return {}
    try:
        return kafka.topic_configs(names)
    except AccessDenied:
        return {}


def _consumers(kafka: KafkaPort) -> tuple[dict[str, tuple[Group, ...]], str | None]:
    """Groups by the topic that they read or read once; or why groups could not be read."""
    try:
        groups = kafka.groups(None)
        committed = kafka.committed([g for g, found in groups.items() if found.error is None])
    except Unreachable as error:
        return {}, error.message
    readers: dict[str, dict[str, Group]] = defaultdict(dict)
    for group_id, group in groups.items():
        reads = {topic for m in group.members for topic in (*m.subscription, *(tp.topic for tp in m.assignment))}
        for topic in reads | {where.topic for where in committed.get(group_id, {})}:
            readers[topic][group_id] = group
    return {topic: tuple(found[g] for g in sorted(found)) for topic, found in readers.items()}, None
