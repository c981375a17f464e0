"""The plan of a restart, from values to a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kcfix.core.judging.snapshot import Reading
from kcfix.core.move.pin import Pin, pins
from kcfix.core.move.settlement import Effect, Settlement
from kcfix.core.offsets import (
    Committed,
    Group,
    GroupState,
    LogOffsets,
    Member,
    PartitionLag,
    TopicPartition,
    partition_lag,
)
from kcfix.core.payments import PaymentId
from kcfix.core.ports.kafka import OffsetRange
from kcfix.core.restart.plan import GroupView, Plan, Situation, Way, plan_restart, up_line
from kcfix.core.restart.proof import gap_ranges
from kcfix.core.restart.report import Outcome, Report, exit_code
from kcfix.core.workers import Container, ContainerState
from kcfix.errors import Unreachable
from kcfix.flow import Flow
from tests.fakes_docker import container

STAGE = Flow().stages[0]
BOX = container()
LETTERS = {".": Effect.PASSES, "u": Effect.SETTLES, "x": Effect.FAILS}


def tp(partition: int) -> TopicPartition:
    return TopicPartition("purchase-confirmed", partition)


def lag(partition: int, log: str, committed: int | None = None, error: str | None = None) -> PartitionLag:
    return partition_lag(tp(partition), Committed(committed, error), LogOffsets(0, len(log)))


def messages(partition: int, log: str) -> list[Settlement]:
    return [
        Settlement(tp(partition), i, LETTERS[c], c, c in "ux", PaymentId(f"p{partition}.{i}"))
        for i, c in enumerate(log)
    ]


def situation(
    lags: Sequence[PartitionLag],
    logs: Sequence[str] = (),
    *,
    boxes: tuple[Container, ...] | None = (BOX,),
    pin_error: str | None = None,
    siblings: tuple[Container, ...] = (),
) -> Situation:
    found = pins(lags, [s for p, log in enumerate(logs) for s in messages(p, log)])
    return Situation(
        STAGE,
        Reading.unknown("no socket") if boxes is None else Reading(boxes),
        Reading(GroupView(Group(STAGE.group, GroupState.STABLE), tuple(lags))),
        Reading.unknown(pin_error) if pin_error else Reading(found),
        siblings,
    )


def plan(*lags: PartitionLag, logs: Sequence[str] = (), accept_skip: bool = False, **more: object) -> Plan:
    return plan_restart(situation(lags, logs, **more), accept_skip=accept_skip)  # type: ignore[arg-type]


EXITED = replace(BOX, state=ContainerState.EXITED)


@pytest.mark.parametrize(
    ("boxes", "committed", "way"),
    [
        ((BOX,), 2, Way.RESTART),
        ((BOX,), None, Way.PIN),
        ((EXITED,), 2, Way.START),
        ((EXITED,), None, Way.PIN),
        ((replace(BOX, state=ContainerState.RESTARTING),), 2, Way.RESTART),
        ((replace(BOX, state=ContainerState.CREATED),), 2, Way.START),
        ((), 2, Way.MISSING),
        ((), None, Way.MISSING),
        (None, None, Way.ELSEWHERE),
    ],
)
def test_the_way_follows_from_the_container_and_the_protection(
    boxes: tuple[Container, ...] | None, committed: int | None, way: Way
) -> None:
    made = plan(lag(0, "..", committed), logs=[".."], boxes=boxes)
    assert (made.way, made.refusal) == (way, None)
    assert [p.offset for p in made.pins] == ([] if committed is not None else [2])
    assert made.changes is (bool(boxes) or committed is None)


def test_one_empty_unprotected_partition_is_enough_to_pin() -> None:
    made = plan(lag(0, "..", 2), lag(1, ""), logs=["..", ""])
    assert (made.way, [(str(p.partition), p.offset) for p in made.pins]) == (Way.PIN, [("purchase-confirmed-1", 0)])


def test_all_running_replicas_are_stopped_and_stopped_ones_are_started_too() -> None:
    second = replace(EXITED, name="kodingcaravan-purchase-worker-2", id="2")
    made = plan(lag(0, "u"), logs=["u"], boxes=(second, BOX))
    assert [c.name for c in made.stopping] == [BOX.name]
    assert made.containers == (BOX, second)


@pytest.mark.parametrize(
    ("state", "words"),
    [(ContainerState.PAUSED, "is paused"), (ContainerState.DEAD, "is dead"), (ContainerState.REMOVING, "removing")],
)
def test_a_container_that_can_t_be_moved_refuses(state: ContainerState, words: str) -> None:
    made = plan(lag(0, "", 0), boxes=(replace(BOX, state=state),))
    assert made.refusal is not None
    assert words in made.refusal.reason
    if state is ContainerState.PAUSED:
        assert made.refusal.hint == f"docker unpause {BOX.name}"


def test_a_failing_message_behind_an_unsettled_one_refuses_and_names_the_repairs() -> None:
    made = plan(lag(0, ".uxu"), lag(1, "u"), logs=[".uxu", "u"])
    assert made.refusal is not None
    assert "purchase-confirmed-0 offset 2 (payment p0.2)" in made.refusal.reason
    assert made.refusal.hint == "kcfix repair p0.1 --apply, then kcfix restart purchase-worker"
    assert not made.changes


def test_a_failing_message_before_the_first_unsettled_one_is_passed_and_named() -> None:
    made = plan(lag(0, "x.u"), logs=["x.u"])
    assert (made.way, made.pins[0].offset, made.refusal) == (Way.PIN, 2, None)
    assert any("p0.0" in note for note in made.notes)


def test_accept_skip_goes_behind_the_failing_message_and_names_the_loss() -> None:
    made = plan(lag(0, "uxu"), logs=["uxu"], accept_skip=True)
    assert (made.refusal, made.pins[0].offset) == (None, 2)
    assert made.loss == (
        "purchase-confirmed-0: all up to offset 1 is skipped for good; of these something is owed to p0.0, p0.1",
    )


def test_payments_that_can_t_be_checked_refuse_unless_the_skip_is_accepted() -> None:
    made = plan(lag(0, "..."), pin_error="database: refused")
    assert made.refusal is not None
    assert "database: refused" in made.refusal.reason
    assert "--accept-skip" in made.refusal.reason
    assert made.refusal.hint == "kcfix status"
    accepted = plan(lag(0, "..."), pin_error="database: refused", accept_skip=True)
    assert (accepted.way, accepted.pins[0].offset, accepted.pins[0].checked) == (Way.PIN, 3, False)
    assert "all 3 offsets on purchase-confirmed-0 are skipped for good" in accepted.loss[1]


def test_protected_partitions_need_no_database() -> None:
    made = plan(lag(0, "...", 1), pin_error="database: refused")
    assert (made.way, made.refusal) == (Way.RESTART, None)


def test_a_member_that_is_none_of_the_containers_is_named() -> None:
    assert BOX.started_at is not None
    born = int(BOX.started_at.timestamp() * 1000) + 900
    mine = Member("m1", f"purchase-worker-{born}", "172.18.0.5", (tp(0),))
    other = Member("m2", f"purchase-worker-{born - 5000}", "10.0.0.9", ())
    found = situation([lag(0, "u")], ["u"])
    assert found.view.value is not None
    view = replace(found.view.value, group=Group(STAGE.group, GroupState.STABLE, (mine, other)))
    notes = plan_restart(replace(found, view=Reading(view)), accept_skip=False).notes
    assert len(notes) == 1
    assert "10.0.0.9 is none of these containers" in notes[0]


def test_unknown_offsets_refuse_and_with_accept_skip_it_is_a_plain_restart() -> None:
    for found in (
        situation([lag(0, "...", None, "not authorized")]),
        replace(situation([]), view=Reading.unknown("Kafka: refused")),
    ):
        made = plan_restart(found, accept_skip=False)
        assert made.refusal is not None
        assert "--accept-skip" in made.refusal.reason
        assert made.refusal.hint == "kcfix status"
        accepted = plan_restart(found, accept_skip=True)
        assert (accepted.way, accepted.refusal) == (Way.RESTART, None)
        assert "plain restart" in accepted.loss[0]
        assert "skipped for good" in accepted.loss[1]


def test_a_missing_container_can_t_be_started_blindly() -> None:
    found = replace(situation([], boxes=()), view=Reading.unknown("Kafka: refused"))
    assert plan_restart(found, accept_skip=True).refusal is not None


@pytest.mark.parametrize(
    ("labels", "line"),
    [
        ({}, None),
        ({"com.docker.compose.project": "kc"}, "docker compose -p kc up -d purchase-worker"),
        (
            {
                "com.docker.compose.project": "kc-backend",
                "com.docker.compose.project.config_files": "/srv/kc/docker-compose.yml,/srv/kc/more ones.yml",
                "com.docker.compose.project.working_dir": "/srv/kc",
                "com.docker.compose.project.environment_file": "/srv/kc/.env.production",
            },
            "docker compose -p kc-backend -f /srv/kc/docker-compose.yml -f '/srv/kc/more ones.yml' "
            "--project-directory /srv/kc --env-file /srv/kc/.env.production up -d purchase-worker",
        ),
    ],
)
def test_the_up_line_is_complete(labels: dict[str, str], line: str | None) -> None:
    bare = container("kafka", labels={})
    told = container("allocation-worker", labels=labels)
    assert up_line("purchase-worker", [bare, told]) == line
    assert plan(lag(0, ".", 1), boxes=(), siblings=(bare, told)).up_line == line


def test_only_a_group_without_members_is_empty() -> None:
    assert Group("g", GroupState.NOT_FOUND).is_empty
    assert Group("g", GroupState.EMPTY).is_empty
    assert not Group("g", GroupState.STABLE).is_empty
    assert not Group("g", GroupState.PREPARING_REBALANCE).is_empty
    assert not Group("g", GroupState.UNKNOWN, error="not authorized").is_empty


def test_the_gap_is_read_from_the_end_before_the_stop_and_unchecked_partitions_whole() -> None:
    before = [lag(0, "...", None), lag(1, "...", 1), lag(2, "..", None)]
    after = [lag(0, ".....", 3), lag(1, "......", 6), lag(2, "..", 2)]
    checked = [Pin(tp(0), None, 0, 4), Pin(tp(2), None, 0, 2)]
    assert gap_ranges(checked, before, after) == [OffsetRange(tp(0), 3, 5)]
    unchecked = [replace(pin, checked=False) for pin in checked]
    assert gap_ranges(unchecked, before, after) == [OffsetRange(tp(0), 0, 5), OffsetRange(tp(2), 0, 2)]


def report(outcome: Outcome, *, steps: int = 1, **more: object) -> Report:
    made = Report(plan(lag(0, "", 0)), outcome, steps=["x"] * steps)
    for name, value in more.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("reports", "code"),
    [
        ([], 0),
        ([report(Outcome.WORKING)], 0),
        ([report(Outcome.IDLE)], 0),
        ([report(Outcome.IDLE, lost=messages(0, "u"))], 6),
        ([report(Outcome.UNPROVEN)], 6),
        ([report(Outcome.STOPPED)], 6),
        ([report(Outcome.PINNED)], 6),
        ([report(Outcome.UNCHANGED, steps=0, error=Unreachable("no"))], 4),
        ([report(Outcome.WORKING), report(Outcome.UNCHANGED, steps=0, error=Unreachable("no"))], 6),
        ([Report(plan(lag(0, "ux"), logs=["ux"]))], 5),
        ([Report(plan(lag(0, "", 0), boxes=()))], 3),
        ([Report(plan(lag(0, "", 0), boxes=None))], 4),
        ([Report(plan(lag(0, "", 0), boxes=())), Report(plan(lag(0, "ux"), logs=["ux"]))], 5),
    ],
)
def test_the_exit_code_is_the_worst_and_6_once_something_was_changed(reports: list[Report], code: int) -> None:
    assert exit_code(reports) == code
