"""The contract of the Kafka port on each release that kcfix is to get along with, and what else one can change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kcfix.core.offsets import GroupState, TopicPartition
from kcfix.errors import Refused
from tests.contract.test_kafka import KafkaContract, World, fill
from tests.real.conftest import Kcfix
from tests.real.kafka_cluster import Cluster, Release, cluster
from tests.real.kafka_heartbeat import join_by_heartbeat
from tests.real.kafka_world import KafkaWorld
from tests.real.versions import wanted_kafkas

pytestmark = pytest.mark.skipif(not wanted_kafkas(), reason="another system's version is wanted")


@pytest.fixture(scope="module", params=wanted_kafkas(), ids=str)
def broker(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    release: Release = request.param
    with cluster(release) as running:
        yield running


@pytest.fixture
def kafka_world(broker: Cluster) -> Iterator[KafkaWorld]:
    made = KafkaWorld(broker)
    yield made
    made.close()


class TestKafka(KafkaContract):
    """The real adapter keeps the contract."""

    @pytest.fixture
    def world(self, kafka_world: KafkaWorld) -> World:
        return kafka_world


@pytest.fixture
def kcfix(broker: Cluster, tmp_path: Path, own_state: Path | None) -> Kcfix:
    """Kcfix as a process that knows this broker and no Docker."""
    (tmp_path / "kcfix.toml").write_text(
        f'brokers = ["{broker.brokers[0]}"]\n'
        f'address_map = {{ "{broker.brokers[0]}" = "{broker.address_map[broker.brokers[0]]}" }}\n'
    )
    return Kcfix(tmp_path)


def test_lag_of_all_groups_is_told(kafka_world: KafkaWorld, kcfix: Kcfix) -> None:
    topic, group = fill(kafka_world, partitions=2, count=5), kafka_world.name("group")
    kafka_world.kafka.commit(group, {TopicPartition(topic, 0): 2})
    ran = kcfix("lag", "--all", "-o", "json")
    assert ran.code == 0, ran.err
    rows = {(r["topic"], r["partition"]): r for r in ran.rows if r["group"] == group}
    assert rows[topic, 0]["lag_records"] == 3
    assert rows[topic, 1]["committed_offset"] is None


def test_topics_and_the_release_are_told(broker: Cluster, kafka_world: KafkaWorld, kcfix: Kcfix) -> None:
    ran = kcfix("topics", "-o", "json")
    assert ran.code == 0, ran.err
    assert "purchase-confirmed" in {row["topic"] for row in ran.rows}
    told = kafka_world.kafka.release()
    assert told is not None
    # It is told by what the broker can do, which is not new in each release.
    said = tuple(int(number) for number in told.split()[0].split(".")[:2])
    here = tuple(int(number) for number in broker.release.version.split(".")[:2])
    assert said[0] == here[0]
    assert said == here or (said < here and "newer" in told), told


def test_an_active_group_of_the_newer_protocol_is_not_taken_for_a_dead_one(
    broker: Cluster, kafka_world: KafkaWorld, kcfix: Kcfix
) -> None:
    if not broker.release.newer_groups:
        pytest.skip(f"Kafka {broker.release} has no such groups unless a setting turns them on")
    topic, group, gone = fill(kafka_world), kafka_world.name("group"), kafka_world.name("group")
    where = TopicPartition(topic, 0)
    kafka_world.kafka.commit(group, {where: 1})
    join_by_heartbeat(broker.kafka_port, group, topic)
    for found in (kafka_world.kafka.groups([group])[group], kafka_world.kafka.groups()[group]):
        assert found.state not in (GroupState.DEAD, GroupState.NOT_FOUND, GroupState.EMPTY)
        assert (found.group_type, found.members, found.members_known) == ("consumer", (), False)
    assert kafka_world.kafka.groups([gone])[gone].state is GroupState.NOT_FOUND
    assert kafka_world.kafka.committed([group])[group][where].offset == 1
    with pytest.raises(Refused):
        kafka_world.kafka.commit(group, {where: 3})
    told = kcfix("lag", "--group", group, "-o", "json")
    assert told.code == 0, told.err
    assert {row["group_state"] for row in told.rows} <= {"STABLE", "REBALANCING", "UNKNOWN", "ASSIGNING", "RECONCILING"}
