"""KafkaPort's contract on real brokers of both versions, and what only a real broker can show."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator

import pytest

from kcfix.core.offsets import GroupState, LogOffsets, TopicPartition
from kcfix.core.ports.kafka import OffsetRange, SendState
from kcfix.drill.state import Drill
from kcfix.errors import OutcomeUnknown, Refused, Unreachable
from tests.contract.test_kafka import KafkaContract, World, fill, message
from tests.real.conftest import eventually
from tests.real.kafka_heartbeat import join_by_heartbeat
from tests.real.kafka_proxy import Loss, Proxy
from tests.real.kafka_world import KafkaWorld


@pytest.fixture
def kafka_world(any_drill: Drill) -> Iterator[KafkaWorld]:
    made = KafkaWorld(any_drill)
    yield made
    made.close()


class TestKafka(KafkaContract):
    """The real adapter keeps the contract."""

    @pytest.fixture
    def world(self, kafka_world: KafkaWorld) -> World:
        return kafka_world


# what is in the log


def test_gzip_batches_are_searched_and_read(kafka_world: KafkaWorld) -> None:
    topic = kafka_world.topic(1)
    with kafka_world.producer(compression_type="gzip", linger_ms=50) as producer:
        for n in range(50):
            producer.send(topic, key=b"k%d" % n, value=b"v%d" % n)
    where = OffsetRange(TopicPartition(topic, 0), 0, 50)
    found = kafka_world.kafka.search([where], [b"k7"])
    assert [(r.offset, r.value) for r in found.records] == [(7, b"v7")]
    assert found.failed == {}
    assert len(list(kafka_world.kafka.records([where]))) == 50


def test_transaction_markers_are_no_records_and_an_open_transaction_holds_back(kafka_world: KafkaWorld) -> None:
    topic = kafka_world.topic(1)
    where = TopicPartition(topic, 0)
    with kafka_world.producer(transactional_id=kafka_world.name("transaction")) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(topic, key=b"a", value=b"1", partition=0)
        producer.commit_transaction()
        kafka = kafka_world.kafka
        eventually(lambda: kafka.log_offsets([where])[where] == LogOffsets(0, 2, 2))  # the marker comes a little later
        assert [r.offset for r in kafka.records([OffsetRange(where, 0, 2)])] == [0]
        assert kafka.search([OffsetRange(where, 0, 2)], [b"a"]).searched == (OffsetRange(where, 0, 2),)
        assert kafka.record_times({where: 1}) == {where: None}
        producer.begin_transaction()
        producer.send(topic, key=b"b", value=b"2", partition=0).get(10)
        assert kafka.log_offsets([where])[where] == LogOffsets(0, 3, 2)
        producer.abort_transaction()


def test_a_record_time_is_found_behind_markers(kafka_world: KafkaWorld) -> None:
    topic = kafka_world.topic(1)
    where = TopicPartition(topic, 0)
    with kafka_world.producer(transactional_id=kafka_world.name("transaction")) as producer:
        producer.init_transactions()
        for n in range(3):
            producer.begin_transaction()
            producer.send(topic, key=b"k", value=b"%d" % n, partition=0)
            producer.commit_transaction()
    eventually(lambda: kafka_world.kafka.log_offsets([where])[where].last_stable_offset == 6)
    found = kafka_world.kafka.record_times({where: 3})[where]
    assert found is not None
    assert found.offset == 4


def test_the_brokers_own_clock_is_told_from_the_producers(kafka_world: KafkaWorld) -> None:
    topic = kafka_world.topic(1, configs={"message.timestamp.type": "LogAppendTime"})
    kafka_world.kafka.send([message(topic, "k")])
    where = TopicPartition(topic, 0)
    found = kafka_world.kafka.record_times({where: 0})[where]
    assert found is not None
    assert found.log_append_time


def test_a_record_larger_than_a_peek_has_a_time_too(kafka_world: KafkaWorld) -> None:
    topic = kafka_world.topic(2)
    kafka_world.kafka.send([message(topic, "k", b"x" * 900_000, p) for p in (0, 1)])
    asked = {TopicPartition(topic, p): 0 for p in (0, 1)}
    found = kafka_world.kafka.record_times(asked)
    assert all(time is not None for time in found.values())


# what it costs


def test_many_groups_cost_as_many_requests_as_one(kafka_world: KafkaWorld) -> None:
    topic = fill(kafka_world, count=1)
    groups = [kafka_world.name("group") for _ in range(60)]
    for group in groups:
        kafka_world.kafka.commit(group, {TopicPartition(topic, 0): 1})

    def cost(ids: list[str]) -> int:
        port = kafka_world.open()
        assert {g.state for g in port.groups(ids).values()} == {GroupState.EMPTY}
        assert all(found for found in port.committed(ids).values())
        port.close()
        return port.requests

    assert cost(groups) == cost(groups[:1])


def test_nothing_is_left_open_after_close(kafka_world: KafkaWorld) -> None:
    # pytest turns a socket that is left to the garbage collector into a failure (ResourceWarning).
    port = kafka_world.open()
    port.cluster()
    port.close()
    with pytest.raises(Unreachable):
        kafka_world.open(brokers=["127.0.0.1:1"]).cluster()


# groups of the newer protocol


def test_a_group_whose_members_can_not_be_described_is_never_dead(newest_drill: Drill) -> None:
    world = KafkaWorld(newest_drill)
    topic, group = fill(world), world.name("group")
    where = TopicPartition(topic, 0)
    world.kafka.commit(group, {where: 1})
    join_by_heartbeat(newest_drill.kafka_port, group, topic)
    for found in (world.kafka.groups([group])[group], world.kafka.groups()[group]):
        assert found.state is not GroupState.DEAD
        assert found.state is not GroupState.NOT_FOUND
        assert (found.group_type, found.members, found.members_known) == ("consumer", (), False)
    assert world.kafka.committed([group])[group][where].offset == 1
    with pytest.raises(Refused):
        world.kafka.commit(group, {where: 3})
    assert world.kafka.committed([group])[group][where].offset == 1
    world.kafka.close()


# bad days


def test_an_advertised_name_that_can_not_be_resolved_is_named(
    kafka_world: KafkaWorld, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    port = kafka_world.open(brokers=[f"127.0.0.1:{kafka_world.drill.kafka_port}"], address_map={})
    assert port.cluster().brokers  # the address that was given answers
    topic = TopicPartition("purchase-confirmed", 0)
    error = port.log_offsets([topic])[topic].error
    assert error is not None
    assert "broker 1 advertises kafka:9092: a name that this host can't resolve" in error
    with pytest.raises(Unreachable, match="kafka:9092: a name that this host can't resolve") as raised:
        port.committed(["purchase-creation-workers"])
    assert "--address-map" in str(raised.value.hint)
    port.close()
    assert caplog.records == []
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def proxied(kafka_world: KafkaWorld) -> Iterator[tuple[Proxy, KafkaWorld]]:
    with Proxy(kafka_world.drill.kafka_port) as proxy:
        yield proxy, kafka_world


def through(proxy: Proxy, world: KafkaWorld, timeout: float = 10.0) -> dict[str, object]:
    return {"address_map": {"kafka:9092": f"127.0.0.1:{proxy.port}"}, "timeout": timeout}


def test_a_lost_acknowledgement_does_not_double_the_message(proxied: tuple[Proxy, KafkaWorld]) -> None:
    proxy, world = proxied
    topic = world.topic(1)
    port = world.open(**through(proxy, world))
    port.topics()
    proxy.lose(Loss.ANSWER, api="Produce")
    (result,) = port.send([message(topic, "once")])
    port.close()
    assert proxy.lost == 1
    assert result.state is SendState.ACKNOWLEDGED
    where = TopicPartition(topic, 0)
    assert world.kafka.log_offsets([where])[where].log_end_offset == 1


def test_a_send_without_an_answer_is_unknown(proxied: tuple[Proxy, KafkaWorld]) -> None:
    proxy, world = proxied
    topic = world.topic(1)
    port = world.open(**through(proxy, world, timeout=2.0))
    port.topics()
    proxy.lose(Loss.SILENCE, api="Produce")
    started = time.monotonic()
    (result,) = port.send([message(topic, "perhaps")])
    assert time.monotonic() - started < 4
    port.close()
    assert result.state is SendState.UNKNOWN
    assert result.error


def test_a_commit_without_an_answer_is_unknown(proxied: tuple[Proxy, KafkaWorld]) -> None:
    proxy, world = proxied
    topic, group = fill(world), world.name("group")
    port = world.open(**through(proxy, world, timeout=2.0))
    port.topics()
    proxy.lose(Loss.ANSWER, api="OffsetCommit")
    with pytest.raises(OutcomeUnknown):
        port.commit(group, {TopicPartition(topic, 0): 2})
    port.close()
    assert world.kafka.committed([group])[group][TopicPartition(topic, 0)].offset == 2


def test_a_connection_that_was_closed_while_idle_is_made_anew(proxied: tuple[Proxy, KafkaWorld]) -> None:
    proxy, world = proxied
    topic = fill(world, count=3)
    where = TopicPartition(topic, 0)
    port = world.open(**through(proxy, world))
    assert port.log_offsets([where])[where].log_end_offset == 3
    proxy.cut()
    assert port.log_offsets([where])[where].log_end_offset == 3
    proxy.cut()
    assert topic in port.topics()
    proxy.cut()
    assert port.send([message(topic, "k")])[0].state is SendState.ACKNOWLEDGED
    port.close()


def test_a_broker_that_hangs_in_the_middle_is_told_within_the_deadline(proxied: tuple[Proxy, KafkaWorld]) -> None:
    proxy, world = proxied
    port = world.open(**through(proxy, world, timeout=1.5))
    port.topics()
    proxy.lose(Loss.SILENCE, api="OffsetFetch")
    started = time.monotonic()
    with pytest.raises(Unreachable, match=r"no answer within 1\.5 s"):
        port.committed(["purchase-creation-workers"])
    assert time.monotonic() - started < 3
    port.close()


def test_a_resolver_of_the_process_is_left_alone(kafka_world: KafkaWorld) -> None:
    kafka_world.kafka.topics()
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("kafka", 9092)
