"""The last looks: rates, standstill, expiry, lines of a chart, in bounded memory."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kcfix.core.offsets import TopicPartition
from kcfix.core.watching.history import History, retention_left
from kcfix.core.watching.progress import Progress
from kcfix.core.workers import ContainerState
from kcfix.errors import Unreachable
from tests.conftest import NOW
from tests.system import FLOW, box
from tests.watching import PURCHASE, Watched

GROUP = FLOW.purchase_group
HALF = timedelta(seconds=30)


@pytest.fixture
def world() -> Watched:
    return Watched()


def silence(world: Watched, *, on: bool = True) -> None:
    world.kafka.down = Unreachable("kafka: no answer", system="kafka") if on else None


def test_a_worker_that_stops_committing_is_stalled_and_its_staleness_grows(world: Watched) -> None:
    world.look()
    world.put(5)
    world.looks(10, HALF)
    found = world.history.evaluation(GROUP, PURCHASE[0])
    assert found.progress is Progress.STALLED
    assert world.history.staleness(GROUP, PURCHASE[0]) == 9 * HALF
    assert world.history.staleness(GROUP, PURCHASE[1]) == timedelta(0)


def test_a_group_whose_members_can_not_be_seen_is_stalled_and_not_said_to_have_none(world: Watched) -> None:
    world.kafka.hidden_members.add(GROUP)
    world.put(5)
    world.looks(10, HALF)
    found = world.history.evaluation(GROUP, PURCHASE[0])
    assert found.progress is Progress.STALLED
    assert "no member" not in found.reason


def test_a_commit_that_moves_begins_the_standstill_anew(world: Watched) -> None:
    world.put(5)
    world.looks(4, HALF)
    world.commit(2)
    world.looks(2, HALF)
    assert world.history.staleness(GROUP, PURCHASE[0]) == HALF


def test_a_silent_kafka_leaves_the_standstill_unknown_and_does_not_forget_it(world: Watched) -> None:
    world.put(5)
    world.looks(2, HALF)
    silence(world)
    world.looks(2, HALF)
    assert world.history.staleness(GROUP, PURCHASE[0]) is None
    assert world.history.evaluation(GROUP, PURCHASE[0]).progress is Progress.UNKNOWN
    assert world.history.rates(GROUP).lag is None
    silence(world, on=False)
    world.look(HALF)
    assert world.history.staleness(GROUP, PURCHASE[0]) == 4 * HALF


def test_a_partition_without_an_answer_does_not_begin_its_standstill_anew(world: Watched) -> None:
    world.put(5)
    world.looks(2, HALF)
    world.kafka.partition_errors[PURCHASE[0]] = "no leader"
    world.look(HALF)
    assert world.history.staleness(GROUP, PURCHASE[0]) is None
    assert world.history.rates(GROUP).lag is None
    world.kafka.partition_errors.clear()
    world.look(HALF)
    assert world.history.staleness(GROUP, PURCHASE[0]) == 3 * HALF


def test_rates_are_those_of_the_last_looks(world: Watched) -> None:
    def between(n: int) -> None:
        world.put(30)
        world.commit(15 * (n + 1))

    world.looks(11, HALF, between)
    found = world.history.rates(GROUP)
    assert (found.arrived, found.committed, found.falls_behind) == (1.0, 0.5, True)
    assert world.history.rates(GROUP, PURCHASE[1]).arrived == 0
    assert world.history.rates("no such group").lag is None


def test_what_nothing_is_committed_for_has_no_rate_and_no_staleness(world: Watched) -> None:
    world.kafka.forget_commit(GROUP, PURCHASE[0])
    world.put(5)
    world.looks(3, HALF)
    assert world.history.staleness(GROUP, PURCHASE[0]) is None
    assert world.history.rates(GROUP).committed is None


def test_a_partition_in_which_there_is_nothing_does_not_hide_the_pace_of_its_group(world: Watched) -> None:
    world.kafka.forget_commit(GROUP, PURCHASE[2])
    world.put(10)
    world.looks(3, HALF, lambda n: world.commit(2 * n))
    assert world.history.rates(GROUP).lag == 6
    assert world.history.rates(GROUP).committed == 4 / 60
    world.kafka.put(FLOW.purchase_confirmed, partition=2)
    world.look(HALF)
    assert world.history.rates(GROUP).lag is None


def test_offsets_of_an_empty_group_expire_counted_from_when_it_was_seen_empty(world: Watched) -> None:
    world.look()
    assert world.history.expires_in(GROUP) is None
    world.kafka.leave(GROUP)
    world.look(HALF)
    assert world.history.expires_in(GROUP) == timedelta(days=7)
    world.look(timedelta(days=1))
    assert world.history.expires_in(GROUP) == timedelta(days=6)


def test_a_worker_that_stopped_before_the_first_look_brings_the_expiry_nearer(world: Watched) -> None:
    world.stop()
    old = world.docker.inspect("kodingcaravan-purchase-worker")
    stopped = box("purchase-worker", ContainerState.EXITED, exit_code=0, finished_at=NOW - timedelta(days=2))
    world.docker.boxes[old.id] = stopped
    world.look()
    assert world.history.expires_in(GROUP) == timedelta(days=5)


def test_the_oldest_unread_record_has_so_long_until_retention(world: Watched) -> None:
    world.put(1, at=NOW - timedelta(days=6))
    seen = world.look()
    row = next(r for g in seen.groups for r in g.rows if r.lag.partition == PURCHASE[0])
    assert retention_left(row, seen.taken_at) == timedelta(days=1)
    other = next(r for g in seen.groups for r in g.rows if r.lag.partition == PURCHASE[1])
    assert retention_left(other, seen.taken_at) is None


def test_lines_of_a_chart_keep_peaks_and_leave_gaps(world: Watched) -> None:
    def between(n: int) -> None:
        world.put(10) if n == 3 else None
        world.commit(10) if n == 4 else None
        silence(world, on=n in (6, 7))

    world.looks(8, HALF, between)
    assert world.history.lag_line(GROUP, 8) == (0, 0, 0, 10, 0, 0, None, None)
    assert world.history.lag_line(GROUP, 4) == (0, 10, 0, None)
    assert world.history.lag_line(GROUP, 100) == world.history.lag_line(GROUP, 8)
    assert world.history.payments_line(2) == (0, 0)
    assert History().lag_line(GROUP, 10) == ()


def test_memory_is_bounded_whatever_number_of_looks(world: Watched) -> None:
    world.history = History(kept=5)
    world.looks(12, HALF)
    assert len(world.history.samples) == 5
    assert world.history.looks == 12
    assert world.history.first is not None
    assert world.history.first.taken_at == NOW + HALF


def test_a_topic_that_is_gone_leaves_nothing_behind(world: Watched) -> None:
    world.put(5)
    world.look()
    world.kafka.remove_topic(FLOW.purchase_confirmed)
    world.look(HALF)
    assert world.history.staleness(GROUP, TopicPartition(FLOW.purchase_confirmed, 0)) is None
