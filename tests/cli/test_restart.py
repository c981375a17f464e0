"""`kcfix restart` on a system in memory whose worker joins, starts at latest and handles what it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kcfix.core.workers import Container, ContainerState
from kcfix.errors import OutcomeUnknown, Refused, Unreachable
from tests.fakes_docker import container
from tests.restart_world import BEGIN, GROUP, TOPIC, World

WORKER = "kodingcaravan-purchase-worker"


@pytest.fixture
def world() -> World:
    """Partition 0 without a commit: one settled message and one skipped; 1 protected; 2 empty."""
    made = World()
    made.pay(0, bought=True)
    made.pay(0)
    made.pay(1, bought=True)
    made.commit(p1=1)
    return made


def test_a_worker_is_stopped_pinned_and_started_and_nothing_is_lost(world: World, tmp_path: Path) -> None:
    ran = world.run(tmp_path, "restart", "purchase-worker", "--yes")
    assert ran.code == 0, ran.err
    assert world.docker.done == [f"stop {WORKER}", f"start {WORKER}"]
    assert world.committed() == {0: 2, 1: 1, 2: 0}
    assert all(world.purchased(p) for p in world.database.payments)
    assert [offset for _, offset in world.handled] == [1]
    assert "purchase-worker  WORKING" in ran.out
    assert "committed purchase-confirmed-0 at 1 (before: nothing)" in ran.out
    assert "joined the group" in ran.out
    assert "no message was skipped" in ran.out


def test_the_plan_is_shown_before_and_goes_to_standard_error(world: World, tmp_path: Path) -> None:
    ran = world.run(tmp_path, "restart", "purchase-worker", "--yes", "-o", "json")
    assert world.database.payments[1].id in ran.err
    assert "purchase-worker: stop, wait until the group is empty, commit 2 offsets, start" in ran.err
    (row,) = ran.document["data"]
    assert (row["way"], row["outcome"], row["proven"], row["exit_code"]) == ("PIN", "WORKING", True, 0)
    assert [(p["partition"], p["committed_offset"], p["pin_offset"]) for p in row["partitions"]] == [
        (0, None, 1),
        (2, None, 0),
    ]
    assert row["partitions"][0]["unsettled"][0]["payment_id"] == world.database.payments[1].id
    assert row["skipped"] == []
    assert {m["milestone"] for m in row["milestones"]} >= {"INITIALIZED", "JOINED", "HANDLED"}


def test_a_dry_run_changes_nothing(world: World, tmp_path: Path) -> None:
    ran = world.run(tmp_path, "restart", "purchase", "--dry-run")
    assert ran.code == 0
    assert world.docker.done == []
    assert world.kafka.commits == []
    assert world.database.payments[1].id in ran.out
    assert not list(tmp_path.rglob("*.jsonl"))


def test_with_every_partition_protected_it_is_one_plain_restart(world: World, tmp_path: Path) -> None:
    world.commit(p0=2, p2=0)
    ran = world.run(tmp_path, "restart", WORKER, "--yes")
    assert ran.code == 0
    assert world.docker.done == [f"restart {WORKER}"]
    assert world.kafka.commits == []
    assert "purchase-worker  IDLE" in ran.out
    assert "joined, idle, unproven" in ran.out


def test_a_stopped_worker_is_pinned_and_started(tmp_path: Path) -> None:
    world = World(running=False)
    waiting = [world.pay(2), world.pay(2)]
    ran = world.run(tmp_path, "restart", "purchase-worker", "--yes")
    assert ran.code == 0
    assert world.docker.done == [f"start {WORKER}"]
    assert all(world.purchased(p) for p in waiting)


def test_a_plain_start_would_have_lost_them(tmp_path: Path) -> None:
    world = World(running=False)
    waiting = world.pay(2)
    world.docker.start(WORKER)
    assert not world.purchased(waiting)


def test_what_arrives_while_the_worker_is_down_is_handled(world: World, tmp_path: Path) -> None:
    late: list[Any] = []

    def pay() -> None:
        late.extend((world.pay(0), world.pay(2)))

    world.between = pay
    assert world.run(tmp_path, "restart", "purchase-worker", "--yes").code == 0
    assert all(world.purchased(p) for p in late)


def test_a_question_is_asked_and_a_no_changes_nothing(world: World, tmp_path: Path) -> None:
    ran = world.run(tmp_path, "restart", "purchase-worker", stdin="n\n", tty=True)
    assert ran.code == 5
    assert "Restart purchase-worker?" in ran.err
    assert world.docker.done == []
    yes = world.run(tmp_path, "restart", "purchase-worker", stdin="y\n", tty=True)
    assert yes.code == 0


def test_without_a_terminal_it_needs_yes(world: World, tmp_path: Path) -> None:
    ran = world.run(tmp_path, "restart", "purchase-worker")
    assert (ran.code, world.docker.done) == (5, [])
    assert "--yes" in ran.err


def test_what_changes_while_the_question_stands_is_left_alone(world: World, tmp_path: Path) -> None:
    services = world.services(tmp_path, tty=True)

    def answer() -> str:
        world.commit(p0=2, p2=0)
        return "y\n"

    services.stdin.readline = answer  # type: ignore[method-assign]
    from kcfix.main import main

    assert main(["restart", "purchase-worker"], services) == 5
    assert world.docker.done == []


def test_a_failing_message_in_the_way_refuses_and_nothing_is_changed(world: World, tmp_path: Path) -> None:
    good = world.database.payments[1]
    world.pay(0, tier=12)
    ran = world.run(tmp_path, "restart", "purchase-worker", "--yes")
    assert (ran.code, world.docker.done, world.kafka.commits) == (5, [], [])
    assert f"kcfix repair {good.id} --apply" in ran.out
    document = world.run(tmp_path, "restart", "purchase-worker", "--yes", "-o", "json").document
    assert (document["ok"], document["data"][0]["refused"]) == (False, True)
    assert [m["offset"] for m in document["data"][0]["partitions"][0]["blocking"]] == [2]
    world.database.purchase(good)
    again = world.run(tmp_path, "restart", "purchase-worker", "--yes")
    assert again.code == 0
    assert world.committed() == {0: 3, 1: 1, 2: 0}


def test_a_failing_message_that_comes_after_the_plan_leaves_the_worker_stopped(world: World, tmp_path: Path) -> None:
    def pay(box: Container) -> None:
        world.pay(0, tier=12)

    world.docker.on_stop.append(pay)
    ran = world.run(tmp_path, "restart", "purchase-worker", "--yes")
    assert ran.code == 6
    assert world.docker.done == [f"stop {WORKER}"]
    assert world.kafka.commits == []
    assert f"{WORKER} IS STOPPED NOW" in ran.out
    assert "kcfix restart purchase-worker" in ran.out


def test_accept_skip_goes_on_and_names_what_is_lost(world: World, tmp_path: Path) -> None:
    good = world.database.payments[1]
    world.pay(0, tier=12)
    behind = world.pay(0)
    ran = world.run(tmp_path, "restart", "purchase-worker", "--yes", "--accept-skip")
    assert ran.code == 6
    assert world.purchased(behind)
    assert "skipped for good" in ran.err
    assert good.id in ran.out.partition("skipped for good")[2]
    assert f"kcfix repair {good.id}" in ran.out


def test_a_group_that_does_not_become_empty_gets_its_worker_back(world: World, tmp_path: Path) -> None:
    world.leaves = False
    ran = world.run(tmp_path, "restart", "purchase-worker", "--yes")
    assert ran.code == 6
    assert world.docker.done == [f"stop {WORKER}", f"start {WORKER}"]
    assert world.kafka.commits == []
    assert 44 <= sum(world.clock.asleep) <= 47
    assert "STARTED_AGAIN" in ran.out
    assert "IS STOPPED NOW" not in ran.out


def test_a_ghost_is_waited_for(world: World, tmp_path: Path) -> None:
    world.leaves = False
    real = world.clock.sleep

    def sleep(seconds: float) -> None:
        real(seconds)
        if 20 < sum(world.clock.asleep) < 21:
            world.kafka.leave(GROUP)

    world.clock.sleep = sleep  # type: ignore[method-assign]
    assert world.run(tmp_path, "restart", "purchase-worker", "--yes").code == 0


def test_a_worker_that_does_not_join_is_not_called_working(world: World, tmp_path: Path) -> None:
    world.joins = False
    world.docker.on_start.append(lambda box: world.log(box, "error", "[PurchaseWorker] Fatal error"))
    ran = world.run(tmp_path, "restart", "purchase-worker", "--yes", "--wait", "20s")
    assert ran.code == 6
    assert "UNPROVEN" in ran.out
    assert "Fatal error" in ran.out
    assert "kcfix logs purchase-worker" in ran.out
    assert 19 <= sum(world.clock.asleep) <= 25


def test_a_worker_that_can_t_be_started_stays_stopped_with_its_offsets(world: World, tmp_path: Path) -> None:
    def start(container_id: str) -> None:
        raise Refused("driver failed programming external connectivity")

    world.docker.start = start  # type: ignore[method-assign]
    ran = world.run(tmp_path, "restart", "purchase-worker", "--yes")
    assert ran.code == 6
    assert world.committed() == {0: 1, 1: 1, 2: 0}
    assert f"{WORKER} IS STOPPED NOW" in ran.out
    assert "driver failed" in ran.out


def test_a_stop_without_an_answer_that_was_done_counts_as_done(world: World, tmp_path: Path) -> None:
    real = world.docker.stop

    def stop(container_id: str, **more: Any) -> None:
        real(container_id, **more)
        raise OutcomeUnknown("Docker did not answer in time")

    world.docker.stop = stop  # type: ignore[method-assign]
    assert world.run(tmp_path, "restart", "purchase-worker", "--yes").code == 0


def test_a_stop_that_is_refused_changes_nothing(world: World, tmp_path: Path) -> None:
    world.docker.failing_changes = Refused("no rights")
    ran = world.run(tmp_path, "restart", "purchase-worker", "--yes")
    assert (ran.code, world.kafka.commits) == (5, [])
    assert "no rights" in ran.err


def test_kafka_that_dies_after_the_stop_leaves_the_worker_stopped_and_the_next_run_finishes(
    world: World, tmp_path: Path
) -> None:
    def die(box: Container) -> None:
        world.kafka.down = Unreachable("Kafka: refused")

    world.docker.on_stop.append(die)
    ran = world.run(tmp_path, "restart", "purchase-worker", "--yes")
    assert ran.code == 6
    assert f"{WORKER} IS STOPPED NOW" in ran.out
    world.kafka.down = None
    world.docker.on_stop.clear()
    assert world.run(tmp_path, "restart", "purchase-worker", "--yes").code == 0
    assert all(world.purchased(p) for p in world.database.payments)


def test_the_commands_it_prints_are_for_the_system_that_was_named(world: World, tmp_path: Path) -> None:
    world.kafka.down = Unreachable("kafka: refused")
    ran = world.run(tmp_path, "--brokers", "elsewhere:9092", "restart", "purchase-worker", "--dry-run", "-o", "json")
    assert "kcfix --brokers elsewhere:9092 status" in ran.document["errors"][0]["hint"]


@pytest.mark.parametrize("system", ["kafka", "database"])
def test_nothing_is_stopped_where_a_system_does_not_answer(world: World, tmp_path: Path, system: str) -> None:
    getattr(world, system).down = Unreachable(f"{system}: refused")
    ran = world.run(tmp_path, "restart", "purchase-worker", "--yes")
    assert (ran.code, world.docker.done) == (5, [])
    assert "--accept-skip" in ran.err
    assert f"{system}: refused" in ran.err


def test_accept_skip_without_kafka_is_a_plain_restart_and_says_so(world: World, tmp_path: Path) -> None:
    world.kafka.down = Unreachable("Kafka: refused")
    ran = world.run(tmp_path, "restart", "purchase-worker", "--yes", "--accept-skip", "--wait", "5s")
    assert world.docker.done == [f"restart {WORKER}"]
    assert ran.code == 6
    assert "plain restart that protects nothing" in ran.err
    assert "whether messages were skipped could not be read" in ran.out


def test_accept_skip_without_the_database_protects_what_comes_later(world: World, tmp_path: Path) -> None:
    world.database.down = Unreachable("database: refused")
    ran = world.run(tmp_path, "restart", "purchase-worker", "--yes", "--accept-skip")
    assert world.committed() == {0: 2, 1: 1, 2: 0}
    assert "skipped for good" in ran.err
    assert "could not be read" in ran.out


def test_a_removed_worker_gets_the_line_that_makes_it_and_apply_pins_first(world: World, tmp_path: Path) -> None:
    del world.docker.boxes[world.box.id]
    world.kafka.leave(GROUP)
    labels = {
        "com.docker.compose.project": "kc-backend",
        "com.docker.compose.service": "allocation-worker",
        "com.docker.compose.project.config_files": "/srv/kc/docker-compose.yml",
        "com.docker.compose.project.working_dir": "/srv/kc",
    }
    sibling = container("allocation-worker", labels=labels)
    world.docker.boxes[sibling.id] = sibling
    line = (
        "docker compose -p kc-backend -f /srv/kc/docker-compose.yml --project-directory /srv/kc up -d purchase-worker"
    )
    document = world.run(tmp_path, "restart", "purchase-worker", "-o", "json").document
    assert document["data"][0]["up_command"] == line
    asked = world.run(tmp_path, "restart", "purchase-worker")
    assert (asked.code, world.kafka.commits) == (3, [])
    assert asked.out.index("kcfix restart purchase-worker --apply") < asked.out.index(line)
    done = world.run(tmp_path, "restart", "purchase-worker", "--apply", "--yes")
    assert done.code == 6
    assert world.committed() == {0: 1, 1: 1, 2: 0}
    assert line in done.out
    again = world.run(tmp_path, "restart", "purchase-worker", "--apply", "--yes")
    assert again.code == 3
    assert line in again.out


def test_without_docker_it_says_what_it_can_t_do_and_can_still_pin(world: World, tmp_path: Path) -> None:
    world.docker.failure = Unreachable("Docker: no socket")
    ran = world.run(tmp_path, "restart", "purchase-worker")
    assert (ran.code, world.kafka.commits) == (4, [])
    assert "neither stop nor start" in ran.out
    busy = world.run(tmp_path, "restart", "purchase-worker", "--apply", "--yes")
    assert (busy.code, world.kafka.commits) == (5, [])
    assert "has members" in busy.err
    world.kafka.leave(GROUP)
    done = world.run(tmp_path, "restart", "purchase-worker", "--apply", "--yes")
    assert done.code == 6
    assert world.committed() == {0: 1, 1: 1, 2: 0}


def test_a_paused_worker_is_refused(world: World, tmp_path: Path) -> None:
    world.docker.boxes[world.box.id] = replace(world.box, state=ContainerState.PAUSED)
    ran = world.run(tmp_path, "restart", "purchase-worker", "--yes")
    assert (ran.code, world.docker.done) == (5, [])
    assert f"docker unpause {WORKER}" in ran.err


def test_projects_that_look_alike_are_refused_until_one_is_chosen(world: World, tmp_path: Path) -> None:
    other = container("purchase-worker", project="kc-copy", name="other-purchase-worker", started_at=BEGIN)
    world.docker.boxes[other.id] = other
    ran = world.run(tmp_path, "restart", "purchase-worker", "--yes")
    assert (ran.code, world.docker.done) == (5, [])
    assert "--project" in ran.err
    chosen = world.run(tmp_path, "restart", "purchase-worker", "--yes", "--project", "kc-backend")
    assert chosen.code == 0
    assert world.docker.done == [f"stop {WORKER}", f"start {WORKER}"]


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["purchse-worker"], 3, "did you mean purchase-worker?"),
        (["nothing-like-it"], 3, "the workers are"),
        ([], 2, "name the workers"),
        (["purchase", "--all"], 2, "name the workers"),
        (["purchase", "--wait", "soon"], 2, "no duration"),
        (["purchase", "--dry-run", "--yes"], 2, "excludes"),
    ],
)
def test_wrong_words_are_told_apart(world: World, tmp_path: Path, argv: list[str], code: int, words: str) -> None:
    ran = world.run(tmp_path, "restart", *argv)
    assert (ran.code, world.docker.done) == (code, [])
    assert words in ran.err


def test_all_goes_in_the_order_of_the_flow_and_a_failure_stops_no_other(world: World, tmp_path: Path) -> None:
    allocation = container("allocation-worker")
    world.docker.boxes[allocation.id] = allocation
    world.docker.boxes[world.box.id] = replace(world.box, state=ContainerState.PAUSED)
    ran = world.run(tmp_path, "restart", "--all", "--yes", "--wait", "2s", "-o", "json")
    assert ran.code == 6
    assert [row["worker"] for row in ran.document["data"]] == [
        "purchase-worker",
        "allocation-worker",
        "session-worker",
        "cache-worker",
    ]
    assert ran.document["data"][0]["exit_code"] == 5
    assert world.docker.done == ["stop kodingcaravan-allocation-worker", "start kodingcaravan-allocation-worker"]


def test_a_journal_that_can_t_be_written_changes_nothing(world: World, tmp_path: Path) -> None:
    (tmp_path / ".local").write_text("in the way")
    ran = world.run(tmp_path, "restart", "purchase-worker", "--yes")
    assert (ran.code, world.docker.done) == (5, [])


class Killed(KeyboardInterrupt):
    """The end of the process, at an instant of the test's choice."""


def _armed(world: World, instant: int) -> Callable[[], int]:
    """Let the process end at the n-th change, before its effect (even n) or just after it (odd n)."""
    count = 0

    def wrapped(real: Callable[..., None]) -> Callable[..., None]:
        def change(*args: Any, **more: Any) -> None:
            nonlocal count
            here, count = count, count + 2
            if here == instant:
                raise Killed
            real(*args, **more)
            if here + 1 == instant:
                raise Killed

        return change

    for port, names in ((world.docker, ("stop", "start")), (world.kafka, ("commit",))):
        for name in names:
            setattr(port, name, wrapped(getattr(type(port), name).__get__(port)))
    return lambda: count


@pytest.mark.parametrize("instant", range(8))
def test_killed_at_any_instant_the_next_run_finishes(world: World, tmp_path: Path, instant: int) -> None:
    _armed(world, instant)
    cut = world.run(tmp_path, "restart", "purchase-worker", "--yes")
    assert cut.code == 130
    assert "Cut short" in cut.err
    if world.docker.boxes[world.box.id].state is ContainerState.EXITED:
        assert "STOPPED NOW" in cut.err
    assert "UNCHANGED" not in cut.err
    assert "kcfix restart purchase-worker" in cut.err
    _armed(world, -1)
    late = world.pay(0)
    if world.docker.boxes[world.box.id].running:
        world.work(world.docker.boxes[world.box.id])
    ran = world.run(tmp_path, "restart", "purchase-worker", "--yes")
    assert ran.code == 0, ran.err
    assert world.docker.boxes[world.box.id].running
    assert all(world.purchased(p) for p in world.database.payments), late.id
    assert len(world.database.purchases) == len(world.database.payments)
    assert set(world.committed()) == {0, 1, 2}


def test_there_are_four_changes_to_be_killed_at(world: World, tmp_path: Path) -> None:
    count = _armed(world, -1)
    assert world.run(tmp_path, "restart", "purchase-worker", "--yes").code == 0
    assert count() == 8


def test_the_journal_has_the_old_offsets_before_each_effect(world: World, tmp_path: Path) -> None:
    world.run(tmp_path, "restart", "purchase-worker", "--yes", "--reason", "stuck")
    lines = "".join(f.read_text() for f in sorted(tmp_path.rglob("*.jsonl")))
    assert '"committed_offset_before": null' in lines or '"committed_offset_before":null' in lines
    assert lines.count('"intend"') == lines.count('"done"') == 4
    assert "stuck" in lines
    assert TOPIC in lines


def test_a_worker_of_another_system_is_left_alone(world: World, tmp_path: Path) -> None:
    other = replace(world.box, environment={**world.box.environment, "KAFKA_BROKERS": "other-kafka.example:9092"})
    world.docker.boxes[world.box.id] = other
    ran = world.run(tmp_path, "--brokers", "kafka.example:9092", "restart", "purchase", "--yes", guarded=True)
    assert (ran.code, world.docker.done, world.kafka.commits) == (5, [], [])
    assert "another system than the workers" in ran.err
