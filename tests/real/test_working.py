"""Whether the worker works, asked while the drill's real worker is idle, at work, stopped, killed and back again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from kcfix.adapters.docker import open_docker
from kcfix.adapters.kafka import open_kafka
from kcfix.core.logs.source import read
from kcfix.core.offsets import Group, GroupState, TopicPartition, group_lag
from kcfix.core.ports.docker import DockerPort
from kcfix.core.ports.kafka import KafkaPort
from kcfix.core.setup.discovery import workers_of
from kcfix.core.working.worker import Look, Work, WorkState, work
from kcfix.drill.buy import buy
from kcfix.drill.engine import Engine
from kcfix.drill.network import kafka_settings
from kcfix.drill.state import Drill
from kcfix.flow import Flow
from tests.real.conftest import Kcfix, eventually, kafka

FLOW = Flow()
STAGE = FLOW.stages[0]


@dataclass
class Observer:
    """One look after the other at the purchase-worker."""

    drill: Drill
    docker: DockerPort
    kafka: KafkaPort

    def look(self) -> Look:
        group = self.kafka.groups([STAGE.group])[STAGE.group]
        committed = self.kafka.committed([STAGE.group])[STAGE.group]
        partitions = {t: [p.partition for p in self.kafka.topics()[t].partitions] for t in STAGE.topics}
        wanted = [tp.partition for tp in group_lag(group, committed, {}, partitions, STAGE.topics).partitions]
        lag = group_lag(group, committed, self.kafka.log_offsets(wanted), partitions, STAGE.topics)
        containers = workers_of(FLOW, self.docker.containers(), self.drill.project)[STAGE.worker]
        return Look(datetime.now(UTC), containers, group, lag.partitions)

    def work(self, *looks: Look) -> Work:
        seen = looks or (self.look(),)
        entries = [
            entry
            for box in seen[-1].containers or ()
            if box.started_at is not None
            for entry in read(self.docker, box, since=box.started_at, tail=2000)
        ]
        return work(STAGE, seen, entries, datetime.now(UTC))

    def until(self, state: WorkState, seconds: float = 60) -> Work:
        return eventually(lambda: found if (found := self.work()).state is state else None, seconds=seconds)  # type: ignore[return-value]


@pytest.fixture
def observer(drill: Drill) -> Iterator[Observer]:
    docker, kafka = open_docker(None, 20), open_kafka(drill.brokers, address_map=drill.address_map, timeout=20)
    yield Observer(drill, docker, kafka)
    kafka.close()
    docker.close()


def group_of(look: Look) -> Group:
    assert look.group is not None
    return look.group


def test_the_signs_follow_the_life_of_the_worker(drill: Drill, observer: Observer, engine: Engine) -> None:
    before = observer.look()
    for partition in range(3):
        buy(drill, 1, partition=partition)
    working = observer.until(WorkState.WORKING)
    assert len(working.held) == 3
    assert "handled a message" in working.reasons[0]
    advanced = observer.work(before, observer.look())
    assert advanced.state is WorkState.WORKING, advanced
    assert "its commit advanced" in advanced.reasons[0]

    engine.stop(drill, STAGE.worker)
    stopped = observer.work()
    assert (stopped.state, stopped.reasons) == (
        WorkState.NOT_WORKING,
        (f"container {drill.container(STAGE.worker)} is exited (exit code 0)",),
    )

    engine.start(drill, STAGE.worker)
    idle = observer.until(WorkState.IDLE)
    assert idle.may_replay
    (member,) = idle.members

    engine.kill(drill, STAGE.worker)
    look = observer.look()
    assert group_of(look).state is GroupState.STABLE, "the ghost is not there any more"
    assert group_of(look).members == (member,)
    killed = observer.work(look)
    assert (killed.state, killed.members) == (WorkState.NOT_WORKING, ())

    engine.start(drill, STAGE.worker)
    soon = observer.work()
    assert soon.state is WorkState.UNPROVEN, soon
    assert not soon.may_replay
    back = observer.until(WorkState.IDLE, seconds=90)
    assert back.members != (member,)
    assert back.sample is None


def test_an_idle_worker_looked_at_twice_stays_idle(drill: Drill, observer: Observer) -> None:
    for partition in range(3):
        buy(drill, 1, partition=partition)
    eventually(lambda: not any(lag.lag_records for lag in observer.look().lags or ()))
    first, second = observer.look(), observer.look()
    found = observer.work(first, second)
    assert found.may_replay
    assert found.sample is not None
    assert found.sample < timedelta(seconds=30)


def test_a_consumer_that_died_in_its_live_container_is_told(
    drill: Drill, observer: Observer, engine: Engine, kcfix: Kcfix
) -> None:
    partition = TopicPartition(STAGE.topics[0], 0)
    buy(drill, 1, partition=partition.partition)
    observer.until(WorkState.WORKING)
    producer = kafka.KafkaProducer(**kafka_settings(drill))
    try:
        empty = producer.send(partition.topic, value=b"", key=b"nobody", partition=partition.partition).get(timeout=20)
        dead = observer.until(WorkState.NOT_WORKING)
        assert any("its consumer died inside the live container" in reason for reason in dead.reasons), dead
        told = kcfix("logs", "purchase", "--milestones", "-o", "json").document["summary"]
        assert told["dead_workers"] == ["purchase-worker"]
    finally:
        producer.close()
        engine.stop(drill, STAGE.worker)
        observer.kafka.commit(STAGE.group, {partition: empty.offset + 1})
        engine.start(drill, STAGE.worker)
    observer.until(WorkState.IDLE)
    assert kcfix("logs", "purchase", "--milestones", "-o", "json").document["summary"]["dead_workers"] == []
