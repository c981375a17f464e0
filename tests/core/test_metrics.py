"""What the monitor measures: conventions of Prometheus, and no number for what is unknown."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import timedelta

import pytest

from kcfix.core.offsets import TopicPartition
from kcfix.core.watching.history import History
from kcfix.core.watching.metrics import Counters, families
from kcfix.core.watching.metrics_kinds import Family, Kind
from kcfix.core.watching.monitor import Monitor
from kcfix.errors import Unreachable
from tests.conftest import NOW
from tests.system import FLOW
from tests.watching import PURCHASE, Watched

MINUTE = timedelta(minutes=1)
NOTHING = Counters(0, 0, 0, {})


@pytest.fixture
def world() -> Watched:
    return Watched()


def measured(world: Watched) -> Mapping[str, Family]:
    return {f.name: f for f in families(world.history, NOTHING, "1.2.3", 60.0)}


def values(found: Mapping[str, Family], name: str) -> dict[tuple[str, ...], float]:
    return dict(found[name].points)


def value(found: Mapping[str, Family], name: str, *labels: str) -> float | None:
    return next((v for key, v in found[name].points if set(labels) <= set(key)), None)


def test_names_follow_the_conventions(world: Watched) -> None:
    world.pay(1)
    world.look()
    for family in measured(world).values():
        assert re.fullmatch(r"kcfix_[a-z][a-z_]*[a-z]", family.name)
        assert family.name.endswith("_total") is (family.kind is Kind.COUNTER)
        assert family.help.endswith(".")
        assert not re.search(r"_(ms|minutes|hours|millis|bytes_mb|percent)$", family.name)
        assert all(len(key) == len(family.labels) for key, _ in family.points)
        assert len({key for key, _ in family.points}) == len(family.points)


def test_before_the_first_look_only_the_monitor_is_known() -> None:
    names = {f.name for f in families(History(), NOTHING, "1.2.3", 60.0)}
    assert "kcfix_build_info" in names
    assert "kcfix_up" not in names


def test_a_well_system_has_a_zero_for_every_verdict_and_every_worker_good(world: Watched) -> None:
    world.look()
    found = measured(world)
    assert set(values(found, "kcfix_up").values()) == {1}
    assert set(values(found, "kcfix_payments_waiting").values()) == {0}
    assert value(found, "kcfix_worker_health", "purchase-worker", "GOOD") == 1
    assert value(found, "kcfix_worker_working", "purchase-worker") == 1
    assert set(values(found, "kcfix_group_partition_unprotected").values()) == {0}
    assert set(values(found, "kcfix_dead_letters_total").values()) == {0}
    assert values(found, "kcfix_group_offsets_expire_seconds") == {}


def test_what_depends_on_a_silent_kafka_has_no_series(world: Watched) -> None:
    world.kafka.down = Unreachable("kafka: no answer", system="kafka")
    world.look()
    found = measured(world)
    assert value(found, "kcfix_up", "kafka") == 0
    assert value(found, "kcfix_up", "docker") == 1
    for name in found:
        if name.startswith(("kcfix_group", "kcfix_log", "kcfix_dead")):
            assert found[name].points == (), name
    assert value(found, "kcfix_worker_working", "purchase-worker") is None
    assert value(found, "kcfix_worker_state", "purchase-worker", "UNKNOWN") == 1


def test_what_depends_on_a_silent_docker_or_database_has_no_series(world: Watched) -> None:
    world.docker.failure = Unreachable("docker: no answer", system="docker")
    world.database.down = Unreachable("database: no answer", system="database")
    world.look()
    found = measured(world)
    assert {k: v for (k,), v in found["kcfix_up"].points} == {
        "kafka": 1,
        "docker": 0,
        "database": 0,
        "payments": 0,
        "logs": 0,
    }
    assert not any(name.startswith("kcfix_payments") for name in found)
    assert found["kcfix_worker_containers_running"].points == ()
    assert found["kcfix_worker_restarts_total"].points == ()
    assert value(found, "kcfix_group_lag_records", PURCHASE[0].topic, "0") == 0


def test_a_partition_without_a_commit_has_no_lag_and_is_unprotected(world: Watched) -> None:
    world.kafka.forget_commit(FLOW.purchase_group, PURCHASE[0])
    world.put(4)
    world.look()
    found = measured(world)
    of = (FLOW.purchase_group, PURCHASE[0].topic, "0")
    assert value(found, "kcfix_group_lag_records", *of) is None
    assert value(found, "kcfix_group_committed_offset", *of) is None
    assert value(found, "kcfix_group_partition_unprotected", *of) == 1
    assert value(found, "kcfix_group_skipped_by_restart_records", *of) == 4
    assert value(found, "kcfix_group_commit_staleness_seconds", *of) is None


def test_a_standstill_shows_in_age_staleness_and_progress(world: Watched) -> None:
    world.put(5)
    world.looks(10, MINUTE)
    found = measured(world)
    of = (FLOW.purchase_group, PURCHASE[0].topic, "0")
    assert value(found, "kcfix_group_lag_seconds", *of) == 600
    assert value(found, "kcfix_group_commit_staleness_seconds", *of) == 540
    assert value(found, "kcfix_group_progress", *of, "STALLED") == 1
    assert value(found, "kcfix_group_progress_evidence_ratio", *of) == 1
    assert value(found, "kcfix_group_catch_up_seconds", FLOW.purchase_group) == math.inf
    assert value(found, "kcfix_group_retention_left_seconds", *of) == timedelta(days=7).total_seconds() - 600


def test_waiting_payments_have_count_age_and_money(world: Watched) -> None:
    world.pay(1, ago=timedelta(hours=1), sent=False)
    world.look()
    found = measured(world)
    assert value(found, "kcfix_payments_waiting", "NEVER_SENT") == 1
    assert value(found, "kcfix_payments_oldest_waiting_seconds", "NEVER_SENT") == 3600
    assert value(found, "kcfix_payments_waiting_minor_units", "NEVER_SENT", "INR") == 360000
    assert value(found, "kcfix_payments_without_purchase") == 1


def test_a_dead_letter_counts_once_and_a_missing_topic_not_at_all(world: Watched) -> None:
    world.kafka.put(FLOW.dead_letters, partition=1)
    world.look()
    assert sum(values(measured(world), "kcfix_dead_letters_total").values()) == 1
    world.kafka.remove_topic(FLOW.dead_letters)
    world.look(MINUTE)
    assert measured(world)["kcfix_dead_letters_total"].points == ()


# the monitor


def monitor() -> Monitor:
    return Monitor("1.2.3", interval=MINUTE, deadline=timedelta(seconds=30))


def test_a_worker_is_healthy_while_it_works_or_has_nothing_to_do(world: Watched) -> None:
    kept = monitor()
    kept.add(world.look(), 9)
    idle = kept.worker_health("purchase-worker", NOW)
    assert idle is not None
    assert idle.well
    assert idle.words.startswith("purchase-worker: joined, idle, unproven: ")
    world.put(3)
    kept.add(world.look(MINUTE), 18)
    standing = kept.worker_health("purchase", world.now)
    assert standing is not None
    assert not standing.well
    world.commit(3)
    kept.add(world.look(MINUTE), 27)
    working = kept.worker_health("purchase", world.now)
    assert working is not None
    assert (working.well, working.words.partition(": ")[2][:7]) == (True, "working")


def test_a_worker_that_can_not_be_judged_is_not_called_healthy(world: Watched) -> None:
    kept = monitor()
    early = kept.worker_health("purchase-worker", NOW)
    assert early is not None
    assert (early.well, early.words) == (False, "no look is over yet")
    world.kafka.down = Unreachable("kafka: no answer", system="kafka")
    kept.add(world.look(), 1)
    silent = kept.worker_health("purchase-worker", NOW)
    assert silent is not None
    assert not silent.well
    assert kept.health(NOW).well  # the monitor itself looks
    assert kept.health(NOW).words == "looking; no answer from kafka"
    assert kept.worker_health("nonsense", NOW) is None
    optional = kept.worker_health("notification-worker", NOW)
    assert optional is not None
    assert not optional.well


def test_an_old_look_is_not_taken_for_the_present(world: Watched) -> None:
    kept = monitor()
    kept.add(world.look(), 9)
    assert kept.health(NOW + 3 * MINUTE).well
    late = NOW + 4 * MINUTE
    assert kept.health(late).words == "the newest look is 240 s old"
    worker = kept.worker_health("purchase-worker", late)
    assert worker is not None
    assert not worker.well


def test_error_lines_add_up_over_the_looks(world: Watched) -> None:
    kept = monitor()
    kept.add(world.look(), 9)
    for _ in range(3):
        world.now += MINUTE
        world.complain("trouble")
        kept.add(world.look(), 9)
    found = {f.name: f for f in kept.published.families}
    assert value(found, "kcfix_worker_error_lines_total", "purchase-worker") == 3
    assert value(found, "kcfix_looks_total") == 4
    assert value(found, "kcfix_kafka_requests_total") == 9


def test_a_lost_range_is_counted(world: Watched) -> None:
    world.put(5)
    world.kafka.delete_before(TopicPartition(*PURCHASE[0]), 2)
    world.look()
    assert value(measured(world), "kcfix_group_lost_records", FLOW.purchase_group, PURCHASE[0].topic, "0") == 2
