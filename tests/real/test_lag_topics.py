"""`kcfix lag` and `kcfix topics` on a real broker: true figures, nothing changed, and bad days told."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest
from kafka.admin import KafkaAdminClient, NewTopic

from kcfix.core.offsets import TopicPartition
from kcfix.drill.faults import break_
from kcfix.drill.state import Drill
from kcfix.flow import Flow
from tests.contract.test_kafka import fill
from tests.real.conftest import Kcfix, eventually
from tests.real.kafka_world import KafkaWorld

FLOW = Flow()


@pytest.fixture
def world(drill: Drill) -> Iterator[KafkaWorld]:
    made = KafkaWorld(drill)
    yield made
    made.close()


def test_a_group_with_commits_on_two_of_three_partitions_has_three_rows(kcfix: Kcfix, world: KafkaWorld) -> None:
    topic, group = fill(world, partitions=3, count=4), world.name("group")
    world.kafka.commit(group, {TopicPartition(topic, 0): 1, TopicPartition(topic, 1): 4})
    ran = kcfix("lag", "--group", group, "-o", "json")
    assert ran.code == 0
    assert [
        (r["partition"], r["committed_offset"], r["log_end_offset"], r["lag_records"], r["state"]) for r in ran.rows
    ] == [(0, 1, 4, 3, "OK"), (1, 4, 4, 0, "OK"), (2, None, 4, None, "UNCOMMITTED")]
    assert ran.rows[2]["skipped_by_latest_records"] == 4
    assert 0 <= ran.rows[0]["age_seconds"] < 120
    shown = kcfix("lag", "--group", group)
    assert f"{topic}-2: nothing committed; a start at latest skips 4 records" in shown.out
    assert kcfix("lag", "--group", group, "--max-lag", "7").code == 0
    assert kcfix("lag", "--group", group, "--max-lag", "6").code == 1


def test_deleted_and_truncated_logs_are_told_apart(kcfix: Kcfix, world: KafkaWorld) -> None:
    topic, group = fill(world, partitions=2, count=5), world.name("group")
    world.kafka.commit(group, {TopicPartition(topic, 0): 1, TopicPartition(topic, 1): 5})
    world.delete_before(TopicPartition(topic, 0), 3)
    ran = kcfix("lag", "--group", group, "-o", "json")
    assert [(r["state"], r["lost_records"], r["lag_records"]) for r in ran.rows] == [("LOST", 2, 2), ("OK", 0, 0)]
    with closing(KafkaAdminClient(**world.settings)) as admin:
        admin.delete_topics([topic])
        eventually(lambda: topic not in world.kafka.topics())
        admin.create_topics([NewTopic(topic, 2, 1)])
    eventually(lambda: topic in world.kafka.topics())
    # The broker forgets a group's commits on a topic that is deleted; a worker may still commit what it knew.
    world.kafka.commit(group, {TopicPartition(topic, 1): 5})
    states = [r["state"] for r in kcfix("lag", "--group", group, "-o", "json").rows]
    assert states == ["UNCOMMITTED", "AHEAD"]


def test_markers_alone_are_no_waiting_records(kcfix: Kcfix, world: KafkaWorld) -> None:
    topic, group = world.topic(1), world.name("group")
    where = TopicPartition(topic, 0)
    with world.producer(transactional_id=world.name("transaction")) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(topic, key=b"k", value=b"v", partition=0)
        producer.commit_transaction()
        eventually(lambda: world.kafka.log_offsets([where])[where].last_stable_offset == 2)
        world.kafka.commit(group, {where: 1})
        settled = kcfix("lag", "--group", group)
        assert f"{where}: 1 offsets, but no record" in settled.out
        producer.begin_transaction()
        producer.send(topic, key=b"k", value=b"v", partition=0).get(10)
        assert f"{where}: an open transaction holds back 1 record from offset 2" in kcfix("lag", "-g", group).out
        producer.abort_transaction()


def test_a_worker_that_has_joined_is_named_with_its_host(kcfix: Kcfix, drill: Drill) -> None:
    def joined() -> list[dict[str, object]]:
        rows = kcfix("lag", "--group", FLOW.purchase_group, "-o", "json").rows
        return rows if all(r["member"] for r in rows) else []

    rows = eventually(joined, seconds=60)
    assert [(r["topic"], r["partition"]) for r in rows] == [(FLOW.purchase_confirmed, p) for p in range(3)]
    assert {str(r["client_id"]).startswith("purchase-worker-") for r in rows} == {True}
    assert {r["group_state"] for r in rows} == {"STABLE"}
    topics = kcfix("topics", FLOW.purchase_confirmed, "-o", "json").rows
    assert {"group": FLOW.purchase_group, "state": "STABLE", "members": 1} in topics[0]["groups"]


def test_a_stopped_worker_leaves_an_empty_group_and_payments_that_wait(kcfix: Kcfix, whole: Drill) -> None:
    break_(whole, "worker-stopped")
    eventually(lambda: "EMPTY" in kcfix("lag", "-g", FLOW.purchase_group).lines[0], seconds=60)
    before = waiting(kcfix)
    assert kcfix("drill", "buy", "4", "-q").code == 0
    assert waiting(kcfix) == before + 4
    ran = kcfix("lag", "--group", FLOW.purchase_group)
    assert f"  kcfix -C drill:{whole.name} restart purchase-worker" in ran.lines
    assert kcfix("lag", "--group", FLOW.purchase_group, "--max-lag", "3").code == 1


def waiting(kcfix: Kcfix) -> int:
    """Records that are unread, or that a start at latest would skip."""
    rows = kcfix("lag", "--group", FLOW.purchase_group, "-o", "json").rows
    return sum((r["lag_records"] or 0) + (r["skipped_by_latest_records"] or 0) for r in rows)


def test_all_groups_at_once_and_nothing_is_changed_by_looking(kcfix: Kcfix, world: KafkaWorld) -> None:
    topic, group = fill(world, count=2), world.name("group")
    world.kafka.commit(group, {TopicPartition(topic, 0): 1})

    def state() -> object:
        groups = world.kafka.groups()
        topics = world.kafka.topics()
        ends = world.kafka.log_offsets([TopicPartition(topic, 0)])
        return sorted(groups), sorted(topics), ends, world.kafka.committed([group])

    before = state()
    stranger = f"never-heard-of-{uuid.uuid4()}"
    ran = kcfix("lag", "--all", "-o", "json")
    assert ran.code == 0
    assert {group, FLOW.purchase_group} <= {r["group"] for r in ran.rows}
    assert kcfix("lag", "--group", stranger).code == 3
    assert kcfix("topics", stranger).code == 3
    assert kcfix("topics", "-o", "json").code == 0
    assert state() == before


def test_topics_of_the_flow_are_all_there(kcfix: Kcfix) -> None:
    ran = kcfix("topics", "-o", "json")
    found = {r["topic"]: r for r in ran.rows}
    assert ran.document["summary"]["missing_topics"] == []
    for topic in FLOW.topics:
        assert found[topic]["state"] == "OK"
        assert len(found[topic]["partitions"]) == 3
        assert found[topic]["retention_seconds"] == 7 * 86400


def test_an_address_that_nothing_listens_at_is_4(kcfix_anywhere: Kcfix) -> None:
    for command in ("lag", "topics"):
        ran = kcfix_anywhere(command, "--brokers", "127.0.0.1:1")
        assert (ran.code, ran.out) == (4, "")
        assert "nothing listens there (connection refused)" in ran.err
        assert ran.seconds < 5


def test_a_dead_broker_is_4_within_the_deadline(kcfix: Kcfix, whole: Drill) -> None:
    break_(whole, "broker-down")
    for command in ("lag", "topics"):
        ran = kcfix(command, "--timeout", "3s")
        assert (ran.code, ran.out) == (4, "")
        assert ran.seconds < 10
        assert "Traceback" not in ran.err
