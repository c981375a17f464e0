"""A Kafka in memory, for tests of what stands on KafkaPort. Kept honest by tests/contract/test_kafka.py."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from kcfix.core.events import Message, Record, murmur2_partition
from kcfix.core.offsets import Committed, Group, GroupState, LogOffsets, Member, RecordTime, TopicPartition
from kcfix.core.ports.kafka import (
    Broker,
    Cluster,
    OffsetRange,
    PartitionInfo,
    Reach,
    SearchResult,
    SendResult,
    SendState,
    Topic,
    TopicConfig,
)
from kcfix.errors import AccessDenied, KcfixError, NotFound, Refused, Unreachable
from kcfix.flow import Flow

WEEK = TopicConfig(retention=timedelta(days=7), retention_unlimited=False, cleanup_policy="delete")

MAX_MESSAGE_BYTES = 1_048_000
"""A little below what a broker takes by default."""


@dataclass
class _Log:
    start: int = 0
    records: list[Record] = field(default_factory=list)
    """All that was ever written; the offset is the index. Those before `start` are deleted."""
    last_stable: int | None = None
    """Where an open transaction holds read_committed consumers back; None: nowhere."""

    @property
    def end(self) -> int:
        return len(self.records)


class FakeKafka:
    """Topics, logs, groups and commits in memory. Without arguments: the flow's topics, empty, and no group.

    Set up with add_topic, put, delete_before, hold_back, commit_as_worker, join, leave. To be broken: `down` (any call
    raises it), `partition_errors` (offsets of these partitions are not given), `group_errors`, `send_states` (fates of
    the next messages, ACKNOWLEDGED when used up), `hidden_members` (groups whose members this client can't see),
    `hidden_topics` and `hidden_groups` (that this user may not see).
    `sent` and `commits` tell what was changed, `calls` what was asked.
    """

    def __init__(self, topics: Mapping[str, int] | None = None, *, now: datetime | None = None) -> None:
        self.now = now or datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
        self.cluster_id = "fake-cluster-0000000000"
        self.down: KcfixError | None = None
        self.partition_errors: dict[TopicPartition, str] = {}
        self.group_errors: dict[str, str] = {}
        self.advertised_errors: dict[int, Unreachable] = {}
        self.send_states: list[SendState] = []
        self.hidden_members: set[str] = set()
        self.hidden_topics: set[str] = set()
        self.hidden_groups: set[str] = set()
        self.configs: dict[str, TopicConfig] = {}
        self.settings: dict[str, str] = {"offsets.retention.minutes": "10080", "log.retention.hours": "168"}
        self.sent: list[Message] = []
        self.commits: list[tuple[str, dict[TopicPartition, int]]] = []
        self.calls: list[str] = []
        self.closed = False
        self._logs: dict[TopicPartition, _Log] = {}
        self._committed: dict[str, dict[TopicPartition, int]] = {}
        self._groups: dict[str, Group] = {}
        for name, count in (dict.fromkeys(Flow().topics, 3) if topics is None else topics).items():
            self.add_topic(name, count)

    # set-up

    def add_topic(self, name: str, partitions: int = 3, config: TopicConfig = WEEK) -> None:
        """An empty topic."""
        self._logs |= {TopicPartition(name, p): _Log() for p in range(partitions)}
        self.configs[name] = config

    def remove_topic(self, name: str) -> None:
        """As if it had never been made. Commits on it stay."""
        self._logs = {tp: log for tp, log in self._logs.items() if tp.topic != name}
        self.configs.pop(name, None)

    def put(
        self,
        topic: str,
        key: str | bytes | None = None,
        value: str | bytes | None = b"{}",
        *,
        headers: Sequence[tuple[str, bytes | None]] = (),
        partition: int | None = None,
        at: datetime | None = None,
    ) -> Record:
        """Write a record, by its key's partition or the one given, at `at` (else now)."""
        raw = key.encode() if isinstance(key, str) else key
        body = value.encode() if isinstance(value, str) else value
        if partition is None:
            partition = murmur2_partition(raw or b"", self._count(topic))
        log = self._logs[TopicPartition(topic, partition)]
        record = Record(topic, partition, log.end, at or self.now, raw, body, tuple(headers))
        log.records.append(record)
        return record

    def delete_before(self, partition: TopicPartition, offset: int) -> None:
        """Retention: records before the offset are gone."""
        self._logs[partition].start = offset

    def hold_back(self, partition: TopicPartition, offset: int) -> None:
        """An open transaction begins at this offset."""
        self._logs[partition].last_stable = offset

    def commit_as_worker(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """What a worker has committed, whether the group has members or not."""
        self._committed.setdefault(group, {}).update(offsets)
        self._groups.setdefault(group, Group(group, GroupState.EMPTY, coordinator=1))

    def forget_commit(self, group: str, partition: TopicPartition) -> None:
        """The committed offset expired."""
        self._committed.get(group, {}).pop(partition, None)

    def join(self, group: str, *members: Member, state: GroupState = GroupState.STABLE) -> None:
        """Put members into a group, in place of those that are in it."""
        ordered = tuple(sorted(members, key=lambda m: (m.assignment[:1], m.member_id)))
        self._groups[group] = Group(group, state, ordered, protocol_type="consumer", coordinator=1)

    def join_worker(
        self, group: str, *topics: str, client_id: str = "purchase-worker-1767805200000", host: str = "172.18.0.7"
    ) -> Member:
        """One member that holds every partition of the topics, as kafkajs names it."""
        assignment = tuple(sorted(tp for tp in self._logs if tp.topic in topics))
        member = Member(f"{client_id}-0000", client_id, host, assignment, tuple(sorted(topics)))
        self.join(group, member)
        return member

    def leave(self, group: str) -> None:
        """All members gone: the group is empty."""
        self._groups[group] = replace(self._groups[group], state=GroupState.EMPTY, members=())

    def log(self, topic: str) -> tuple[Record, ...]:
        """All records of a topic that are still there, by partition and offset."""
        logs = sorted((tp, log) for tp, log in self._logs.items() if tp.topic == topic)
        return tuple(r for _, log in logs for r in log.records[log.start :])

    def _count(self, topic: str) -> int:
        return sum(1 for tp in self._logs if tp.topic == topic)

    def _asked(self, call: str) -> None:
        self.calls.append(call)
        if self.down is not None:
            raise self.down

    # the port

    def cluster(self) -> Cluster:
        self._asked("cluster")
        return Cluster(self.cluster_id, 1, (Broker(1, "kafka", 9092),))

    def reach(self) -> tuple[Reach, ...]:
        self._asked("reach")
        return tuple(
            Reach(broker, f"{broker.host}:{broker.port}", self.advertised_errors.get(broker.id))
            for broker in self.cluster().brokers
        )

    def release(self) -> str | None:
        self._asked("release")
        return "3.5"

    def topics(self) -> Mapping[str, Topic]:
        self._asked("topics")
        if hidden := sorted(self.hidden_topics):
            raise AccessDenied(f"asking Kafka for the topic {hidden[0]}: the broker denies it", system="kafka")
        names: dict[str, list[PartitionInfo]] = {}
        for tp in sorted(self._logs):
            names.setdefault(tp.topic, []).append(PartitionInfo(tp.partition, 1, (1,), (1,)))
        return {name: Topic(name, tuple(partitions)) for name, partitions in names.items()}

    def topic_configs(self, names: Collection[str]) -> Mapping[str, TopicConfig]:
        self._asked("topic_configs")
        return {name: self.configs[name] for name in sorted(set(names)) if name in self.configs}

    def broker_config(self) -> Mapping[str, str]:
        self._asked("broker_config")
        return dict(self.settings)

    def groups(self, ids: Collection[str] | None = None) -> Mapping[str, Group]:
        self._asked("groups")
        wanted = self._groups.keys() - self.hidden_groups if ids is None else ids
        if hidden := sorted(self.hidden_groups & set(wanted)):
            raise AccessDenied(f"asking Kafka for the group {hidden[0]}: the broker denies it", system="kafka")
        return {g: self._group(g) for g in sorted(set(wanted))}

    def _group(self, group: str) -> Group:
        if group in self.group_errors:
            return Group(group, GroupState.UNKNOWN, error=self.group_errors[group], members_known=False)
        found = self._groups.get(group, Group(group, GroupState.NOT_FOUND, coordinator=1))
        if group in self.hidden_members:
            return replace(found, members=(), members_known=False, group_type="consumer")
        return found

    def committed(self, ids: Collection[str]) -> Mapping[str, Mapping[TopicPartition, Committed]]:
        self._asked("committed")
        return {
            g: {tp: Committed(offset) for tp, offset in sorted(self._committed.get(g, {}).items())}
            for g in sorted(set(ids))
        }

    def log_offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, LogOffsets]:
        self._asked("log_offsets")
        return {tp: self._log_offsets(tp) for tp in sorted(set(partitions))}

    def _log_offsets(self, tp: TopicPartition) -> LogOffsets:
        log = self._logs.get(tp)
        if tp in self.partition_errors:
            return LogOffsets(None, None, error=self.partition_errors[tp])
        if log is None:
            return LogOffsets(None, None, error="no such partition")
        return LogOffsets(log.start, log.end, log.end if log.last_stable is None else log.last_stable)

    def offsets_for_time(self, times: Mapping[TopicPartition, datetime]) -> Mapping[TopicPartition, int | None]:
        self._asked("offsets_for_time")
        return {
            tp: next(
                (r.offset for r in self._retained(tp) if r.timestamp is not None and r.timestamp >= times[tp]), None
            )
            for tp in sorted(times)
        }

    def _retained(self, tp: TopicPartition) -> list[Record]:
        log = self._logs[tp]
        return log.records[log.start :]

    def record_times(self, offsets: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, RecordTime | None]:
        self._asked("record_times")
        found: dict[TopicPartition, RecordTime | None] = {}
        for tp, offset in sorted(offsets.items()):
            log = self._logs.get(tp)
            inside = log is not None and log.start <= offset < log.end and tp not in self.partition_errors
            found[tp] = RecordTime(offset, log.records[offset].timestamp) if inside and log is not None else None
        return found

    def records(self, ranges: Iterable[OffsetRange]) -> Iterator[Record]:
        self._asked("records")
        for wanted in ranges:
            yield from (r for r in self._retained(wanted.partition) if wanted.start <= r.offset < wanted.end)

    def search(
        self, ranges: Iterable[OffsetRange], needles: Collection[bytes], *, anywhere: bool = False
    ) -> SearchResult:
        self._asked("search")
        found: dict[tuple[TopicPartition, int], Record] = {}
        searched: list[OffsetRange] = []
        failed: dict[TopicPartition, str] = {}
        for wanted in sorted(ranges, key=lambda r: (r.partition, r.start, r.end)):
            tp = wanted.partition
            if tp in self.partition_errors or tp not in self._logs:
                failed[tp] = self.partition_errors.get(tp, "no such partition")
                continue
            if wanted.end > self._logs[tp].end:
                failed[tp] = f"the log ends at {self._logs[tp].end}, before offset {wanted.end}"
                continue
            start = min(max(wanted.start, self._logs[tp].start), wanted.end)
            searched.append(OffsetRange(tp, start, wanted.end))
            for record in self._logs[tp].records[start : wanted.end]:
                parts = (record.key or b"", record.value or b"")
                if record.key in needles or (anywhere and any(n in part for n in needles for part in parts)):
                    found[tp, record.offset] = record
        return SearchResult(tuple(found[key] for key in sorted(found)), tuple(searched), failed)

    # changes

    def send(self, messages: Sequence[Message]) -> tuple[SendResult, ...]:
        self._asked("send")
        return tuple(self._send(m) for m in messages)

    def _send(self, message: Message) -> SendResult:
        count = self._count(message.topic)
        if not count:
            return SendResult(SendState.REJECTED, error=f"{message.topic}: no such topic")
        partition = message.partition if message.partition is not None else murmur2_partition(message.key or b"", count)
        if TopicPartition(message.topic, partition) not in self._logs:
            return SendResult(SendState.REJECTED, partition, error=f"{message.topic}-{partition}: no such partition")
        if len(message.key or b"") + len(message.value) > MAX_MESSAGE_BYTES:
            return SendResult(SendState.REJECTED, partition, error="MESSAGE_SIZE_TOO_LARGE")
        state = self.send_states.pop(0) if self.send_states else SendState.ACKNOWLEDGED
        if state is not SendState.ACKNOWLEDGED:
            return SendResult(state, partition, error="as the test wants it")
        self.sent.append(message)
        record = self.put(message.topic, message.key, message.value, headers=message.headers, partition=partition)
        return SendResult(state, partition, record.offset)

    def commit(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        self._asked("commit")
        missing = sorted(str(tp) for tp in offsets if tp not in self._logs)
        if missing:
            raise NotFound(f"committing for {group}: no such partition: {', '.join(missing)}")
        found = self._group(group)
        if found.members or found.state not in (GroupState.EMPTY, GroupState.DEAD, GroupState.NOT_FOUND):
            raise Refused(f"the group {group} is {found.state}: offsets of a group in use can't be set from outside")
        if offsets:
            self.commits.append((group, dict(offsets)))
            self.commit_as_worker(group, offsets)

    def close(self) -> None:
        self.closed = True
