"""What a KafkaPort does, whatever is behind it: run here on the fake, in tests/real/test_kafka.py on real brokers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Protocol

import pytest

from kcfix.core.events import Message, Record, murmur2_partition
from kcfix.core.offsets import (
    NOTHING_COMMITTED,
    Group,
    GroupState,
    LogOffsets,
    RecordTime,
    TopicPartition,
    partition_lag,
)
from kcfix.core.ports.kafka import KafkaPort, OffsetRange, SendState
from kcfix.errors import NotFound, Refused
from tests.fakes_kafka import FakeKafka


class World(Protocol):
    """A cluster that a test fills and changes behind the port's back. Names are new for each world."""

    @property
    def kafka(self) -> KafkaPort:
        """A port to it."""

    def topic(self, partitions: int = 3) -> str:
        """A new, empty topic."""

    def name(self, what: str) -> str:
        """A name that nothing has."""

    def delete_before(self, partition: TopicPartition, offset: int) -> None:
        """Delete the records before this offset, as retention does."""

    def joined(self, group: str, topic: str) -> AbstractContextManager[None]:
        """A member is in the group and holds every partition of the topic."""


def message(topic: str, key: str, value: bytes = b"{}", partition: int | None = None) -> Message:
    return Message(topic, key.encode(), value, (("eventId", key.encode()), ("version", b"1.0.0")), partition)


def fill(world: World, partitions: int = 1, count: int = 5) -> str:
    """A topic with so many records in each partition: keys k0, k1 … and values v0, v1 and so on."""
    topic = world.topic(partitions)
    results = world.kafka.send(
        [message(topic, f"k{n}", f"v{n}".encode(), p) for p in range(partitions) for n in range(count)]
    )
    assert {r.state for r in results} == {SendState.ACKNOWLEDGED}
    return topic


def everything(kafka: KafkaPort, topic: str) -> list[Record]:
    logs = kafka.log_offsets([TopicPartition(topic, p.partition) for p in kafka.topics()[topic].partitions])
    ranges = [OffsetRange(tp, log.log_start_offset or 0, log.log_end_offset or 0) for tp, log in logs.items()]
    return list(kafka.records(ranges))


class KafkaContract:
    """The contract of KafkaPort."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    @pytest.fixture
    def kafka(self, world: World) -> KafkaPort:
        return world.kafka

    # the cluster and its topics

    def test_the_cluster_names_itself_and_its_brokers(self, kafka: KafkaPort) -> None:
        cluster = kafka.cluster()
        assert cluster.cluster_id
        assert [(b.host, b.port) for b in cluster.brokers] == [("kafka", 9092)]

    def test_every_broker_is_asked_at_the_address_that_it_advertises(self, kafka: KafkaPort) -> None:
        (one,) = kafka.reach()
        assert (one.broker, one.error) == (kafka.cluster().brokers[0], None)
        assert ":" in one.at

    def test_the_brokers_can_be_told_by_their_release(self, kafka: KafkaPort) -> None:
        release = kafka.release()
        assert release is not None
        assert release[0].isdigit()

    def test_topics_have_their_partitions_in_order(self, world: World, kafka: KafkaPort) -> None:
        name = world.topic(3)
        topic = kafka.topics()[name]
        assert [p.partition for p in topic.partitions] == [0, 1, 2]
        assert all(p.leader == 1 and p.replicas == (1,) and p.isr == (1,) for p in topic.partitions)
        assert not topic.internal

    def test_a_topic_that_does_not_exist_is_not_made_by_asking(self, world: World, kafka: KafkaPort) -> None:
        name = world.name("topic")
        where = TopicPartition(name, 0)
        assert kafka.log_offsets([where])[where].error is not None
        assert kafka.record_times({where: 0}) == {where: None}
        assert kafka.topic_configs([name]) == {}
        assert kafka.send([message(name, "k")])[0].state is SendState.REJECTED
        assert name not in kafka.topics()

    def test_settings_of_a_topic_say_how_long_records_stay(self, world: World, kafka: KafkaPort) -> None:
        name = world.topic()
        config = kafka.topic_configs([name])[name]
        assert config.retention == timedelta(days=7)
        assert not config.retention_unlimited
        assert config.cleanup_policy == "delete"
        assert config.retention_bytes is None

    def test_settings_of_a_broker_say_how_long_offsets_stay(self, kafka: KafkaPort) -> None:
        assert kafka.broker_config()["offsets.retention.minutes"] == "10080"

    def test_nothing_is_asked_for_nothing(self, kafka: KafkaPort) -> None:
        assert kafka.groups([]) == {}
        assert kafka.committed([]) == {}
        assert kafka.log_offsets([]) == {}
        assert kafka.record_times({}) == {}
        assert kafka.offsets_for_time({}) == {}
        assert kafka.topic_configs([]) == {}
        assert kafka.send([]) == ()
        assert list(kafka.records([])) == []
        assert kafka.search([], [b"x"]).records == ()

    # sending and reading

    def test_a_sent_record_comes_back_as_it_was(self, world: World, kafka: KafkaPort) -> None:
        topic = world.topic(1)
        value = b'{"name":"\xc3\xa9"}\x00\xff'
        (result,) = kafka.send([message(topic, "key", value)])
        assert (result.state, result.partition, result.offset, result.error) == (SendState.ACKNOWLEDGED, 0, 0, None)
        (record,) = everything(kafka, topic)
        assert (record.topic, record.partition, record.offset) == (topic, 0, 0)
        assert (record.key, record.value) == (b"key", value)
        assert record.headers == (("eventId", b"key"), ("version", b"1.0.0"))
        assert record.timestamp is not None
        assert record.timestamp.utcoffset() == timedelta(0)

    def test_a_record_without_a_key_and_a_header_without_a_value_come_back_as_they_were(
        self, world: World, kafka: KafkaPort
    ) -> None:
        topic = world.topic(2)
        (result,) = kafka.send([Message(topic, None, b"{}", (("empty", None), ("n", b"1")), 1)])
        assert (result.state, result.partition) == (SendState.ACKNOWLEDGED, 1)
        (record,) = everything(kafka, topic)
        assert (record.key, record.headers) == (None, (("empty", None), ("n", b"1")))

    def test_the_key_decides_on_the_partition_as_in_the_java_client(self, world: World, kafka: KafkaPort) -> None:
        topic = world.topic(3)
        keys = [f"00000000-0000-4000-8000-{n:012d}" for n in range(20)]
        results = kafka.send([message(topic, key) for key in keys])
        assert [r.partition for r in results] == [murmur2_partition(key.encode(), 3) for key in keys]
        assert {r.key: r.partition for r in everything(kafka, topic)} == {
            key.encode(): r.partition for key, r in zip(keys, results, strict=True)
        }

    def test_results_come_in_the_order_of_the_messages(self, world: World, kafka: KafkaPort) -> None:
        topic = world.topic(2)
        results = kafka.send([message(topic, "k", f"v{n}".encode(), n % 2) for n in range(6)])
        assert [(r.partition, r.offset) for r in results] == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)]

    def test_what_can_not_be_sent_is_rejected_and_the_rest_is_sent(self, world: World, kafka: KafkaPort) -> None:
        topic = world.topic(1)
        results = kafka.send(
            [
                message(topic, "a"),
                message(world.name("topic"), "b"),
                message(topic, "c", partition=7),
                message(topic, "d", b"x" * 2_000_000),
                message(topic, "e"),
            ]
        )
        assert [r.state for r in results] == [
            SendState.ACKNOWLEDGED,
            SendState.REJECTED,
            SendState.REJECTED,
            SendState.REJECTED,
            SendState.ACKNOWLEDGED,
        ]
        assert all(r.error for r in results if r.state is SendState.REJECTED)
        assert [r.key for r in everything(kafka, topic)] == [b"a", b"e"]

    def test_records_are_read_from_start_to_before_the_end(self, world: World, kafka: KafkaPort) -> None:
        topic = fill(world, partitions=2)
        first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
        read = kafka.records([OffsetRange(second, 1, 3), OffsetRange(first, 4, 5), OffsetRange(first, 2, 2)])
        assert [(r.partition, r.offset, r.value) for r in read] == [(1, 1, b"v1"), (1, 2, b"v2"), (0, 4, b"v4")]

    def test_many_records_are_all_read(self, world: World, kafka: KafkaPort) -> None:
        topic = world.topic(1)
        kafka.send([message(topic, f"k{n}", b"x" * 1000, 0) for n in range(3000)])
        assert [r.offset for r in everything(kafka, topic)] == list(range(3000))

    # offsets of the log

    def test_log_offsets_are_those_of_the_log(self, world: World, kafka: KafkaPort) -> None:
        topic = fill(world, partitions=2, count=5)
        world.delete_before(TopicPartition(topic, 1), 3)
        asked = [TopicPartition(topic, p) for p in (1, 0)]
        assert kafka.log_offsets(asked) == {
            TopicPartition(topic, 0): LogOffsets(0, 5, 5),
            TopicPartition(topic, 1): LogOffsets(3, 5, 5),
        }

    def test_a_bad_partition_does_not_hide_the_good_ones(self, world: World, kafka: KafkaPort) -> None:
        topic = fill(world, count=2)
        good, bad = TopicPartition(topic, 0), TopicPartition(topic, 9)
        found = kafka.log_offsets([good, bad])
        assert found[good] == LogOffsets(0, 2, 2)
        assert found[bad].error
        assert found[bad].log_start_offset is None
        assert found[bad].log_end_offset is None

    def test_a_time_leads_to_the_first_record_that_is_not_older(self, world: World, kafka: KafkaPort) -> None:
        topic = fill(world, count=3)
        where = TopicPartition(topic, 0)
        times = [r.timestamp for r in everything(kafka, topic)]
        assert times[0] is not None
        assert times[-1] is not None
        assert kafka.offsets_for_time({where: times[0] - timedelta(hours=1)}) == {where: 0}
        assert kafka.offsets_for_time({where: times[0]}) == {where: 0}
        assert kafka.offsets_for_time({where: times[-1] + timedelta(hours=1)}) == {where: None}

    def test_record_times_are_of_the_first_record_at_or_past_an_offset(self, world: World, kafka: KafkaPort) -> None:
        topic = fill(world, partitions=3, count=4)
        zero, one, two = (TopicPartition(topic, p) for p in range(3))
        found = kafka.record_times({zero: 0, one: 3, two: 4})
        records = {(r.partition, r.offset): r.timestamp for r in everything(kafka, topic)}
        assert found[zero] == RecordTime(0, records[0, 0])
        assert found[one] == RecordTime(3, records[1, 3])
        assert found[two] is None

    # searching

    def test_a_search_by_key_finds_whole_keys_only(self, world: World, kafka: KafkaPort) -> None:
        topic = world.topic(1)
        kafka.send([message(topic, "abc", b"xyz"), message(topic, "abcd", b"abc"), message(topic, "abc", b"2")])
        where = OffsetRange(TopicPartition(topic, 0), 0, 3)
        found = kafka.search([where], [b"abc", b"nothing"])
        assert [(r.offset, r.key) for r in found.records] == [(0, b"abc"), (2, b"abc")]
        assert found.searched == (where,)
        assert found.failed == {}

    def test_a_search_anywhere_looks_into_keys_and_values(self, world: World, kafka: KafkaPort) -> None:
        topic = world.topic(2)
        kafka.send(
            [
                message(topic, "p-77", b"{}", 1),
                message(topic, "other", b'{"purchaseId":"p-77"}', 0),
                message(topic, "other", b"{}", 0),
            ]
        )
        ranges = [OffsetRange(TopicPartition(topic, 1), 0, 1), OffsetRange(TopicPartition(topic, 0), 0, 2)]
        found = kafka.search(ranges, [b"p-77"], anywhere=True)
        assert [(r.partition, r.offset) for r in found.records] == [(0, 0), (1, 0)]
        assert kafka.search(ranges, [b"-77"]).records == ()

    def test_a_search_says_what_it_could_look_at(self, world: World, kafka: KafkaPort) -> None:
        topic = fill(world, partitions=2, count=5)
        world.delete_before(TopicPartition(topic, 0), 2)
        found = kafka.search(
            [
                OffsetRange(TopicPartition(topic, 0), 0, 5),
                OffsetRange(TopicPartition(topic, 1), 0, 99),
                OffsetRange(TopicPartition(topic, 8), 0, 1),
            ],
            [b"k1", b"k4"],
        )
        assert [(r.partition, r.offset) for r in found.records if r.partition == 0] == [(0, 4)]
        assert found.searched == (OffsetRange(TopicPartition(topic, 0), 2, 5),)
        assert set(found.failed) == {TopicPartition(topic, 1), TopicPartition(topic, 8)}

    def test_a_search_keeps_to_its_range(self, world: World, kafka: KafkaPort) -> None:
        topic = world.topic(1)
        kafka.send([message(topic, "same") for _ in range(6)])
        where = TopicPartition(topic, 0)
        found = kafka.search([OffsetRange(where, 4, 5), OffsetRange(where, 1, 3)], [b"same"])
        assert [r.offset for r in found.records] == [1, 2, 4]
        assert found.searched == (OffsetRange(where, 1, 3), OffsetRange(where, 4, 5))

    # groups

    def test_a_group_that_never_was_is_not_found(self, world: World, kafka: KafkaPort) -> None:
        name = world.name("group")
        group = kafka.groups([name])[name]
        assert (group.state, group.members, group.error) == (GroupState.NOT_FOUND, (), None)
        assert kafka.committed([name]) == {name: {}}
        assert name not in kafka.groups()

    def test_a_group_with_nothing_but_commits_is_empty(self, world: World, kafka: KafkaPort) -> None:
        topic, name = fill(world, partitions=2), world.name("group")
        kafka.commit(name, {TopicPartition(topic, 1): 3})
        assert _state(kafka, name).state is GroupState.EMPTY
        assert kafka.groups()[name].state is GroupState.EMPTY
        committed = kafka.committed([name])[name]
        assert {where: c.offset for where, c in committed.items()} == {TopicPartition(topic, 1): 3}

    def test_a_commit_may_go_back_and_leaves_other_partitions_alone(self, world: World, kafka: KafkaPort) -> None:
        topic, name = fill(world, partitions=2), world.name("group")
        zero, one = TopicPartition(topic, 0), TopicPartition(topic, 1)
        kafka.commit(name, {zero: 4, one: 5})
        kafka.commit(name, {zero: 1})
        assert {where: c.offset for where, c in kafka.committed([name])[name].items()} == {zero: 1, one: 5}

    def test_a_member_is_seen_with_what_it_holds(self, world: World, kafka: KafkaPort) -> None:
        topic, name = world.topic(3), world.name("group")
        with world.joined(name, topic):
            group = _state(kafka, name)
            assert group.state is GroupState.STABLE
            assert group.members_known
            (member,) = group.members
            assert member.subscription == (topic,)
            assert member.assignment == tuple(TopicPartition(topic, p) for p in range(3))
            assert member.client_id
            assert not member.host.startswith("/")
            assert group.owner(TopicPartition(topic, 2)) == member
            assert kafka.groups()[name].members == (member,)
        assert _state(kafka, name).state is GroupState.EMPTY

    def test_a_commit_for_a_group_with_members_is_refused(self, world: World, kafka: KafkaPort) -> None:
        topic, name = fill(world), world.name("group")
        where = TopicPartition(topic, 0)
        kafka.commit(name, {where: 1})
        with world.joined(name, topic), pytest.raises(Refused):
            kafka.commit(name, {where: 4})
        assert kafka.committed([name])[name][where].offset == 1

    def test_a_commit_on_a_partition_that_does_not_exist_changes_nothing(self, world: World, kafka: KafkaPort) -> None:
        topic, name = fill(world), world.name("group")
        with pytest.raises(NotFound):
            kafka.commit(name, {TopicPartition(topic, 0): 1, TopicPartition(topic, 5): 1})
        assert kafka.committed([name])[name] == {}

    def test_lag_follows_from_what_the_port_tells(self, world: World, kafka: KafkaPort) -> None:
        topic, name = fill(world, partitions=2, count=5), world.name("group")
        zero, one = TopicPartition(topic, 0), TopicPartition(topic, 1)
        kafka.commit(name, {zero: 2})
        committed = kafka.committed([name])[name]
        logs = kafka.log_offsets([zero, one])
        assert partition_lag(zero, committed[zero], logs[zero]).lag_records == 3
        assert partition_lag(one, committed.get(one, NOTHING_COMMITTED), logs[one]).skipped_by_latest == 5


def _state(kafka: KafkaPort, name: str) -> Group:
    return kafka.groups([name])[name]


class FakeWorld:
    """The fake, as a world."""

    def __init__(self) -> None:
        self.fake = FakeKafka()
        self.kafka = self.fake
        self._count = 0

    def name(self, what: str) -> str:
        self._count += 1
        return f"{what}-{self._count}"

    def topic(self, partitions: int = 3) -> str:
        name = self.name("topic")
        self.fake.add_topic(name, partitions)
        return name

    def delete_before(self, partition: TopicPartition, offset: int) -> None:
        self.fake.delete_before(partition, offset)

    @contextmanager
    def joined(self, group: str, topic: str) -> Iterator[None]:
        self.fake.join_worker(group, topic)
        yield
        self.fake.leave(group)


class TestFakeKafka(KafkaContract):
    """The fake keeps the contract."""

    @pytest.fixture
    def world(self) -> World:
        return FakeWorld()
