"""Looks that go on: what is in one, what several tell that one can't, and what a silent system leaves unknown."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.logs.tail import LogTail
from kcfix.core.watching.observation import System as Asked
from kcfix.core.watching.observation import restarts
from kcfix.core.watching.observe import LONGEST_TEXT, Observer
from kcfix.core.working.worker import WorkState
from kcfix.errors import Unreachable
from tests.conftest import NOW
from tests.fakes_docker import FakeDocker, container, line
from tests.system import FLOW
from tests.watching import PURCHASE, Watched

MINUTE = timedelta(minutes=1)


@pytest.fixture
def world() -> Watched:
    return Watched()


def test_a_look_at_a_well_system_has_everything_and_no_alarm(world: Watched) -> None:
    seen = world.look()
    assert seen.silent == {}
    assert [w.work.state for w in seen.workers] == [WorkState.IDLE] * 4
    assert len(seen.groups) == 4
    assert seen.unprotected == ()
    assert (seen.payments.value and seen.payments.value.count) == 0
    assert seen.dead_letters_end == 0
    assert seen.errors(5) == ()
    assert seen.taken_at == NOW


def test_payments_are_counted_by_verdict_with_money_and_age(world: Watched) -> None:
    world.pay(1, ago=timedelta(hours=2), sent=False)
    world.pay(2, ago=timedelta(minutes=5), sent=False)
    world.pay(3, ago=timedelta(seconds=20), sent=False)
    payment = world.database.payment(4, paid_at=NOW - timedelta(hours=1), tier=30)
    world.database.purchase(payment, tier=10)
    found = world.look().payments.value
    assert found is not None
    told = {w.kind: (w.count, w.without_purchase) for w in found.waiting}
    assert told == {VerdictKind.NEVER_SENT: (2, 2), VerdictKind.WRONG_TIER: (1, 0)}
    assert (found.count, found.without_purchase, found.in_flight) == (3, 2, 1)
    assert found.oldest_age == timedelta(hours=2)
    assert found.amounts_minor["INR"] == sum(f.payment.amount_minor for f in found.oldest)
    assert [f.payment.paid_at for f in found.oldest] == sorted(f.payment.paid_at for f in found.oldest)


@pytest.mark.parametrize("system", list(Asked))
def test_a_silent_system_is_unknown_and_the_others_are_told(world: Watched, system: Asked) -> None:
    error = Unreachable(f"{system}: no answer", system=str(system))
    match system:
        case Asked.KAFKA:
            world.kafka.down = error
        case Asked.DOCKER:
            world.docker.failure = error
        case Asked.DATABASE:
            world.database.down = error
    seen = world.look()
    assert seen.silent == {system: f"{system}: no answer"}
    assert (seen.kafka.value is None) is (system is Asked.KAFKA)
    assert (seen.dead_letters_end is None) is (system is Asked.KAFKA)
    assert (seen.payments.value is None) is (system is Asked.DATABASE)
    assert all((w.containers is None) is (system is Asked.DOCKER) for w in seen.workers)
    assert all((log.value is None) is (system is Asked.DOCKER) for log in seen.logs.values())


def test_payments_without_kafka_are_unknown_and_still_counted(world: Watched) -> None:
    world.pay(1)
    world.kafka.down = Unreachable("kafka: no answer", system="kafka")
    found = world.look().payments.value
    assert found is not None
    assert [(w.kind, w.count, w.without_purchase) for w in found.waiting] == [(VerdictKind.UNKNOWN, 1, 1)]


def test_a_second_look_sees_a_commit_that_moves(world: Watched) -> None:
    world.put(3)
    assert world.look().workers[0].work.state is WorkState.UNPROVEN
    world.commit(3)
    assert world.look(MINUTE).workers[0].work.state is WorkState.WORKING


def test_a_group_that_stays_empty_is_not_working_and_one_look_does_not_say_so(world: Watched) -> None:
    world.kafka.leave(FLOW.purchase_group)
    assert world.look().workers[0].work.state is WorkState.UNPROVEN
    assert world.look(timedelta(seconds=20)).workers[0].work.state is WorkState.UNPROVEN
    assert world.look(MINUTE).workers[0].work.state is WorkState.NOT_WORKING


def test_looks_in_quick_succession_are_compared_with_one_that_lies_far_enough_back(world: Watched) -> None:
    world.kafka.leave(FLOW.purchase_group)
    seen = world.looks(40, timedelta(seconds=2))
    assert seen.workers[0].work.state is WorkState.NOT_WORKING
    assert seen.workers[0].work.sample is not None
    assert seen.workers[0].work.sample < timedelta(seconds=55)


def test_however_quickly_looks_follow_each_other_few_of_them_are_kept(world: Watched) -> None:
    world.kafka.leave(FLOW.purchase_group)
    seen = world.looks(200, timedelta(seconds=0.5))
    assert len(world.observer._glances) < 15
    assert seen.workers[0].work.state is WorkState.NOT_WORKING
    assert seen.workers[0].work.sample is not None
    assert timedelta(seconds=45) <= seen.workers[0].work.sample < timedelta(seconds=55)


def test_after_a_long_gap_nothing_is_compared(world: Watched) -> None:
    world.kafka.leave(FLOW.purchase_group)
    world.look()
    assert world.look(timedelta(hours=1)).workers[0].work.sample is None


def test_error_lines_are_shown_and_only_new_ones_are_counted(world: Watched) -> None:
    world.complain("old trouble", at=NOW - MINUTE)
    first = world.look().logs["purchase-worker"].value
    assert first is not None
    assert (len(first.newest), first.fresh) == (1, None)
    world.now += MINUTE
    world.complain("new trouble " + "x" * 1000)
    seen = world.look()
    second = seen.logs["purchase-worker"].value
    assert second is not None
    assert (len(second.newest), second.fresh) == (2, 1)
    assert len(second.newest[-1].text) == LONGEST_TEXT
    assert seen.errors(1)[0].text.startswith("new trouble")
    third = world.look(MINUTE).logs["purchase-worker"].value
    assert third is not None
    assert third.fresh == 0


def test_a_worker_whose_log_can_not_be_read_does_not_hide_the_others(world: Watched) -> None:
    world.docker.unreadable["kodingcaravan-purchase-worker"] = Unreachable("no log", system="docker")
    seen = world.look()
    assert seen.logs["purchase-worker"].error == "no log"
    assert seen.logs["allocation-worker"].error is None
    assert seen.silent == {}


def test_what_a_plain_restart_would_skip_is_seen(world: Watched) -> None:
    world.put(2)
    world.kafka.forget_commit(FLOW.purchase_group, PURCHASE[0])
    (row,) = world.look().unprotected
    assert (row.lag.partition, row.lag.skipped_by_latest) == (PURCHASE[0], 2)


def test_a_worker_is_found_by_either_name_with_its_restarts(world: Watched) -> None:
    box = world.docker.inspect("kodingcaravan-purchase-worker")
    world.docker.boxes[box.id] = replace(box, restart_count=3)
    seen = world.look()
    worker = seen.worker("purchase")
    assert worker is not None
    assert worker is seen.worker("purchase-worker")
    assert restarts(worker) == 3
    assert seen.worker("notification") is None
    assert seen.worker("nonsense") is None


def test_a_system_that_still_waits_is_not_asked_once_more(world: Watched) -> None:
    asked, go_on = [], threading.Event()

    def hangs() -> object:
        asked.append(1)
        go_on.wait(20)
        raise Unreachable("late", system="database")

    observer = Observer(replace(world.places(), database=hangs, deadline=1.0))  # type: ignore[arg-type]
    try:
        first, second = observer.look(), observer.look()
    finally:
        go_on.set()
    assert first.database.error == "database: no answer within 1 s"
    assert second.database.error == "database: an earlier look still waits for an answer"
    assert asked == [1]
    assert second.kafka.value is not None


def test_lines_of_one_instant_are_read_once_each_however_often_it_is_looked() -> None:
    box = container()
    docker = FakeDocker.of([box], [line(box.name, NOW, "a"), line(box.name, NOW, "b")])
    tail = LogTail(kept=3)
    assert [e.message for e in tail.read(docker, [box])[1]] == ["a", "b"]
    docker.lines[box.name].append(line(box.name, NOW, "c"))
    assert [e.message for e in tail.read(docker, [box])[1]] == ["c"]
    docker.lines[box.name] += [line(box.name, NOW + MINUTE, "d"), line(box.name, NOW + MINUTE, "e")]
    kept, new = tail.read(docker, [box])
    assert [e.message for e in new] == ["d", "e"]
    assert [e.message for e in kept] == ["c", "d", "e"]
    assert tail.read(docker, [box])[1] == ()
    tail.keep_only([])
    assert [e.message for e in tail.read(docker, [box])[1]] == ["c", "d", "e"]
