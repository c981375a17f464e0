"""Three brokers, every partition on each: all up, one down, and leaders that move while kcfix reads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from kcfix.core.offsets import TopicPartition
from kcfix.core.ports.kafka import OffsetRange, SendState
from kcfix.drill.buy import buy
from kcfix.drill.down import down
from kcfix.drill.engine import Engine
from kcfix.drill.network import kafka_answers
from kcfix.drill.state import Drill, Options
from kcfix.drill.up import up
from kcfix.flow import Flow
from tests.contract.test_kafka import message
from tests.real.conftest import Kcfix, eventually
from tests.real.kafka_world import KafkaWorld

pytestmark = pytest.mark.timeout(600)
FLOW = Flow()
RECORDS = 3000


@pytest.fixture(scope="module")
def three(own_state: Path | None) -> Iterator[Drill]:
    name = f"three-{os.getpid()}"
    try:
        yield up(Options(name=name, brokers=3))
    finally:
        down(name)


@pytest.fixture
def kcfix(three: Drill, tmp_path: Path) -> Kcfix:
    return Kcfix(tmp_path, f"drill:{three.name}")


@pytest.fixture
def world(three: Drill) -> Iterator[KafkaWorld]:
    made = KafkaWorld(three)
    yield made
    made.close()


@contextmanager
def stopped(three: Drill, engine: Engine, service: str, *, killed: bool = False) -> Iterator[None]:
    """One broker is down meanwhile; afterwards all partitions are in sync again."""
    if killed:
        engine.kill(three, service)
    else:
        engine.stop(three, service, grace_seconds=30)
    try:
        yield
    finally:
        engine.start(three, service)
        assert eventually(lambda: kafka_answers(three.kafka_ports[service]), seconds=60)
        with closing(KafkaWorld(three).kafka) as kafka:
            assert eventually(
                lambda: all(set(p.isr) == {1, 2, 3} for t in FLOW.topics for p in kafka.topics()[t].partitions),
                seconds=90,
                every=1,
            )


def test_every_partition_lies_on_each_of_them(three: Drill, kcfix: Kcfix) -> None:
    assert three.brokers == ("kafka:9092", "kafka-2:9092", "kafka-3:9092")
    ran = kcfix("topics", "-o", "json")
    assert ran.code == 0, ran.err
    status = kcfix("status", "-o", "json")
    (kafka,) = [r for r in status.rows if r["section"] == "kafka"]
    assert sorted(kafka["brokers"]) == sorted(three.brokers)
    checked = kcfix("config", "check")
    assert "3 brokers" in checked.out


def test_one_down_is_shown_and_all_the_rest_goes_on(three: Drill, engine: Engine, kcfix: Kcfix) -> None:
    with stopped(three, engine, "kafka-2"):
        ids = buy(three, 3)
        settled = eventually(
            lambda: (
                kcfix("trace", ids[0], "-o", "json").document["summary"].get("verdict") == "PURCHASED"
                or kcfix("missing", "-q").out == ""
            ),
            seconds=60,
            every=2,
        )
        assert settled
        lag = kcfix("lag", "--all", "-o", "json")
        assert lag.code == 0, lag.err
        assert all(row["lag_records"] is not None or row["committed_offset"] is None for row in lag.rows)
        status = kcfix("status")
        assert status.code == 1
        assert "kafka-2" in status.out
        checked = kcfix("config", "check")
        assert "kafka-2" in checked.out or "2 brokers" in checked.out


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
def test_a_leader_that_moves_while_it_is_read(three: Drill, engine: Engine, world: KafkaWorld, killed: bool) -> None:
    """Readings go on all the while. One that began when a leader was killed may fail, and says so; none is wrong."""
    topic, group = world.topic(3, replicas=3), world.name("group")
    wanted = [TopicPartition(topic, p) for p in range(3)]
    left = [message(topic, f"k{n}", b"x" * 500, n % 3) for n in range(RECORDS)]

    def sent() -> bool:
        """What a broker rejects that has not heard of the new topic yet is sent again."""
        nonlocal left
        results = world.kafka.send(left)
        assert {r.state for r in results} <= {SendState.ACKNOWLEDGED, SendState.REJECTED}
        left = [m for m, r in zip(left, results, strict=True) if r.state is SendState.REJECTED]
        return not left

    assert eventually(sent)
    world.kafka.commit(group, dict.fromkeys(wanted, 7))
    stop = threading.Event()
    wrong: list[str] = []
    failed: list[str] = []
    rounds = [0]

    def read() -> None:
        port = world.open()
        while not stop.is_set():
            rounds[0] += 1
            try:
                logs = port.log_offsets(wanted)
                failed.extend(f"log_offsets: {log.error}" for log in logs.values() if log.error)
                wrong.extend(f"{w}: {log}" for w, log in logs.items() if not log.error and log.log_end_offset != 1000)
                committed = {w: c.offset for w, c in port.committed([group])[group].items()}
                if committed != dict.fromkeys(wanted, 7):
                    wrong.append(f"committed: {committed}")
                seen = port.search([OffsetRange(w, 0, 1000) for w in wanted], [b"k2999"])
                failed.extend(f"search: {why}" for why in seen.failed.values())
                if not seen.failed and len(seen.records) != 1:
                    wrong.append(f"search found {len(seen.records)}")
                read = sum(1 for _ in port.records([OffsetRange(w, 0, 1000) for w in wanted]))
                if read != RECORDS:
                    wrong.append(f"read {read} records")
            except Exception as error:  # noqa: BLE001 - told below
                failed.append(repr(error))
        port.close()

    reader = threading.Thread(target=read)
    reader.start()
    leader = world.kafka.topics()[topic].partitions[0].leader
    service = "kafka" if leader == 1 else f"kafka-{leader}"
    try:
        with stopped(three, engine, service, killed=killed):
            moved = eventually(
                lambda: all(p.leader not in (None, leader) for p in world.kafka.topics()[topic].partitions), seconds=60
            )
            assert moved
            before = rounds[0]
            assert eventually(lambda: rounds[0] > before + 2, seconds=60)
    finally:
        stop.set()
        reader.join(60)
    assert wrong == []
    print(f"{rounds[0]} rounds; failed: {failed}")
    if not killed:
        assert failed == []
