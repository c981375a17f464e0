"""Whether a worker works: one situation in which it does, and every way in which a sign can be missing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from kcfix.core.logs.entry import LogEntry
from kcfix.core.logs.parse import parse
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
from kcfix.core.workers import Container, ContainerState, RawLine, Stream
from kcfix.core.working.worker import Look, Sure, Work, WorkState, client_started_at, corroborating, work
from kcfix.flow import Flow
from tests.fakes_docker import container

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
STARTED = NOW - timedelta(hours=2)
STAGE = Flow().stages[0]
GROUP = STAGE.group
ALL = tuple(TopicPartition(STAGE.topics[0], p) for p in range(3))
BOX = container(started_at=STARTED)


def client_id(started: datetime, service: str = STAGE.worker) -> str:
    return f"{service}-{int(started.timestamp() * 1000)}"


def member(
    started: datetime = STARTED + timedelta(seconds=1), *, holds: tuple[TopicPartition, ...] = ALL, **changes: str
) -> Member:
    known = {"member_id": "m", "client_id": client_id(started), "host": "172.18.0.5", **changes}
    return Member(**known, assignment=holds, subscription=STAGE.topics)


def group(*members: Member, state: GroupState = GroupState.STABLE) -> Group:
    return Group(GROUP, state, members, "consumer", "classic")


def lags(*committed: int | None, end: int = 5, error: str | None = None) -> tuple[PartitionLag, ...]:
    return tuple(
        partition_lag(tp, Committed(offset, error), LogOffsets(0, end))
        for tp, offset in zip(ALL, committed, strict=True)
    )


def handled(ago: timedelta, at: datetime = NOW) -> LogEntry:
    text = '{"level":"info","message":"[KafkaConsumer] Message processed successfully","service":"purchase-worker"}'
    return parse(RawLine(BOX.name, at - ago, Stream.STDOUT, text))


def kafkajs(message: str, ago: timedelta, level: str = "ERROR") -> LogEntry:
    text = f'{{"level":"{level}","timestamp":"x","logger":"kafkajs","message":"{message}"}}'
    return parse(RawLine(BOX.name, NOW - ago, Stream.STDERR, text))


CRASH = "[Consumer] Crash: KafkaJSNonRetriableError: Unexpected end of JSON input"
RESTARTING = "[Consumer] Restarting the consumer in 300ms"
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


@dataclass(frozen=True)
class Scene:
    """The worker as it works; tests change one thing."""

    containers: tuple[Container, ...] | None = (BOX,)
    group: Group | None = group(member())  # noqa: RUF009 - a frozen value
    lags: tuple[PartitionLag, ...] | None = lags(5, 5, None)
    entries: tuple[LogEntry, ...] | None = ()
    before: Look | None = None

    def work(self) -> Work:
        now = Look(NOW, self.containers, self.group, self.lags)
        return work(STAGE, [now] if self.before is None else [self.before, now], self.entries, NOW)


IDLE = Scene()
WORKING = replace(IDLE, entries=(handled(MINUTE),))


def earlier(scene: Scene, ago: timedelta = MINUTE, **changes: object) -> Look:
    return replace(Look(NOW - ago, scene.containers, scene.group, scene.lags), **changes)  # type: ignore[arg-type]


def test_a_worker_that_handled_a_message_since_its_start_is_working() -> None:
    found = WORKING.work()
    assert found.state is WorkState.WORKING
    assert found.may_replay
    assert found.members == (member(),)
    assert all(found.holds(tp) for tp in ALL)
    assert found.sample is None
    assert {sign.sure for sign in found.signs} == {Sure.YES}


def test_a_worker_with_nothing_to_do_is_idle_and_said_to_be_unproven() -> None:
    found = IDLE.work()
    assert found.state is WorkState.IDLE
    assert found.may_replay
    assert found.summary == "joined, idle, unproven"


def test_a_commit_that_advanced_within_the_sample_is_proof() -> None:
    found = replace(IDLE, before=earlier(IDLE, lags=lags(4, 5, None))).work()
    assert found.state is WorkState.WORKING
    assert found.sample == MINUTE
    assert "purchase-confirmed-0" in found.reasons[0]


def test_the_first_commit_ever_is_an_advance() -> None:
    assert replace(IDLE, before=earlier(IDLE, lags=lags(None, 5, None))).work().state is WorkState.WORKING


def test_a_commit_that_could_not_be_read_at_first_is_no_advance() -> None:
    unread = lags(None, None, None, error="timed out")
    assert replace(IDLE, before=earlier(IDLE, lags=unread)).work().state is WorkState.IDLE


Case = tuple[str, Scene, WorkState, str]

RESTARTED = replace(BOX, started_at=NOW - 5 * SECOND)
CASES: list[Case] = [
    # the container
    ("stopped", replace(WORKING, containers=(replace(BOX, state=ContainerState.EXITED, exit_code=137),), group=group(
        state=GroupState.EMPTY)), WorkState.NOT_WORKING, "exit code 137"),
    ("paused", replace(WORKING, containers=(replace(BOX, state=ContainerState.PAUSED),)),
     WorkState.NOT_WORKING, "paused"),
    ("between crashes", replace(WORKING, containers=(replace(BOX, state=ContainerState.RESTARTING, exit_code=1,
        finished_at=NOW),)), WorkState.NOT_WORKING, "keeps crashing (exit code 1)"),
    ("killed, its ghost still a member", replace(WORKING, containers=(replace(BOX, state=ContainerState.EXITED,
        exit_code=137, finished_at=NOW - SECOND),)), WorkState.NOT_WORKING, "exit code 137"),
    ("stopped, and a stranger consumes", replace(WORKING, containers=(replace(BOX, state=ContainerState.EXITED,
        finished_at=NOW - MINUTE),), group=group(member(NOW - SECOND, host="10.0.0.9"))),
     WorkState.UNPROVEN, "unknown origin"),
    ("no container here", replace(WORKING, containers=()), WorkState.UNPROVEN, "no container of purchase-worker"),
    ("Docker silent", replace(WORKING, containers=None), WorkState.UNPROVEN, "without Docker"),
    ("restarted by Docker within the sample", replace(WORKING, containers=(replace(RESTARTED, restart_count=3),),
        group=group(member(NOW - SECOND)), before=earlier(WORKING)), WorkState.NOT_WORKING, "restarted 3x"),
    ("started by hand within the sample", replace(WORKING, containers=(RESTARTED,), group=group(member(NOW - SECOND)),
        before=earlier(WORKING)), WorkState.UNPROVEN, "started anew"),
    # the group
    ("Kafka silent", replace(WORKING, group=None, lags=None), WorkState.UNKNOWN, "Kafka did not answer"),
    ("Kafka silent and the container stopped", replace(WORKING, group=None, lags=None, containers=(replace(
        BOX, state=ContainerState.EXITED, exit_code=0),)), WorkState.NOT_WORKING, "exit code 0"),
    ("both silent", Scene(containers=None, group=None, lags=None, entries=None), WorkState.UNKNOWN, "Docker"),
    ("group in error", replace(WORKING, group=Group(GROUP, GroupState.UNKNOWN, error="not authorized")),
     WorkState.UNKNOWN, "not authorized"),
    ("empty at one look", replace(WORKING, group=group(state=GroupState.EMPTY)), WorkState.UNPROVEN, "gap"),
    ("never joined, one look", replace(WORKING, group=group(state=GroupState.NOT_FOUND)),
     WorkState.UNPROVEN, "does not exist"),
    ("empty for a minute", replace(WORKING, group=group(state=GroupState.EMPTY), before=earlier(WORKING, group=group(
        state=GroupState.EMPTY))), WorkState.NOT_WORKING, "had none 60 s ago"),
    ("empty after having been stable", replace(WORKING, group=group(state=GroupState.EMPTY), before=earlier(WORKING)),
     WorkState.UNPROVEN, "gap"),
    ("rebalancing", replace(WORKING, group=group(member(holds=()), state=GroupState.PREPARING_REBALANCE)),
     WorkState.UNPROVEN, "rebalancing"),
    ("a protocol whose members can't be seen", replace(WORKING, group=replace(group(), members_known=False)),
     WorkState.UNPROVEN, "unknown to this client"),
    # the member
    ("a ghost of the life before", replace(WORKING, containers=(RESTARTED,)), WorkState.UNPROVEN, "ghost"),
    ("a client of another make", replace(WORKING, group=group(member(client_id="sarama"))),
     WorkState.UNPROVEN, "sarama"),
    ("another service", replace(WORKING, group=group(member(client_id=client_id(NOW, "cache-worker")))),
     WorkState.UNPROVEN, "cache-worker"),
    ("a partition that nobody holds", replace(WORKING, group=group(member(holds=ALL[:2]))),
     WorkState.UNPROVEN, "no corroborated member holds purchase-confirmed-2"),
    ("no partitions at all", replace(WORKING, lags=()), WorkState.UNPROVEN, "no partitions"),
    # the log
    ("dead consumer", replace(WORKING, entries=(handled(MINUTE), kafkajs(CRASH, MINUTE))),
     WorkState.NOT_WORKING, "Unexpected end of JSON input"),
    ("a crash so young that it may come back", replace(WORKING, entries=(kafkajs(CRASH, 2 * SECOND),)),
     WorkState.UNPROVEN, "crashed 2 s ago"),
    ("crashed, restarted, nothing handled since", replace(WORKING, lags=lags(4, 5, None), entries=(
        handled(3 * MINUTE), kafkajs(CRASH, 2 * MINUTE), kafkajs(RESTARTING, 2 * MINUTE))),
     WorkState.UNPROVEN, "since it last handled"),
    ("crashed and restarted long ago, idle since", replace(WORKING, entries=(
        handled(3 * MINUTE), kafkajs(CRASH, 2 * MINUTE), kafkajs(RESTARTING, 2 * MINUTE))), WorkState.IDLE, "holds"),
    ("handled in its life before", replace(WORKING, entries=(handled(timedelta(hours=3)),)), WorkState.IDLE, "holds"),
    ("dead in its life before", replace(WORKING, entries=(kafkajs(CRASH, timedelta(hours=3)), handled(SECOND))),
     WorkState.WORKING, "handled"),
    ("log unread", replace(WORKING, entries=None), WorkState.UNPROVEN, "log was not read"),
    # consuming
    ("nothing was ever committed", replace(IDLE, lags=lags(None, None, None)),
     WorkState.UNPROVEN, "not seen to consume"),
    ("records wait and nothing was handled", replace(IDLE, lags=lags(3, 5, None)), WorkState.UNPROVEN, "records wait"),
    ("records wait and it handles", replace(WORKING, lags=lags(3, 5, None), entries=(handled(SECOND),)),
     WorkState.WORKING, "handled"),
    ("records wait, last handled long ago", replace(WORKING, lags=lags(3, 5, None), entries=(handled(5 * MINUTE),)),
     WorkState.UNPROVEN, "300 s ago"),
    ("a partition stands still while another moves", replace(WORKING, lags=lags(3, 5, None), before=earlier(
        WORKING, lags=lags(3, 4, None))), WorkState.UNPROVEN, "no commit came within 60 s"),
    ("an offset unknown", replace(IDLE, lags=lags(5, 5, 5)[:2] + lags(5, 5, None, error="timed out")[2:]),
     WorkState.UNPROVEN, "unknown"),
    ("lost records", replace(IDLE, lags=(partition_lag(ALL[0], Committed(1), LogOffsets(3, 9)), *lags(5, 5, 5)[1:])),
     WorkState.UNPROVEN, "records wait"),
]  # fmt: skip


@pytest.mark.parametrize(("scene", "state", "reason"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_each_missing_sign_is_told(scene: Scene, state: WorkState, reason: str) -> None:
    found = scene.work()
    assert (found.state, [r for r in found.reasons if reason in r] != []) == (state, True), found.reasons
    assert found.may_replay == (state in (WorkState.WORKING, WorkState.IDLE))
    assert found.summary


def test_of_several_containers_the_ones_that_hold_partitions_count() -> None:
    other = container(name="kodingcaravan-purchase-worker-2", started_at=STARTED, address="172.18.0.6")
    scene = replace(
        WORKING,
        containers=(BOX, replace(other, state=ContainerState.EXITED, exit_code=1)),
        group=group(member()),
    )
    assert scene.work().state is WorkState.WORKING
    shared = group(member(holds=ALL[:1]), member(holds=ALL[1:], member_id="n", host="172.18.0.6"))
    assert replace(scene, group=shared, containers=(BOX, other)).work().state is WorkState.WORKING


def test_a_container_does_not_vouch_for_the_ghost_of_another() -> None:
    killed = container(
        name="kodingcaravan-purchase-worker-2", state=ContainerState.EXITED, started_at=STARTED, finished_at=NOW
    )
    ghost = member(STARTED + MINUTE, holds=ALL[1:], member_id="a", host="172.18.0.6")
    found = replace(WORKING, group=group(ghost, member(holds=ALL[:1])), containers=(BOX, killed)).work()
    assert (found.state, found.held) == (WorkState.UNPROVEN, frozenset({ALL[0]}))
    unknown_address = member(holds=ALL[:1], host="10.0.0.1")
    assert replace(WORKING, group=group(ghost, unknown_address), containers=(BOX, killed)).work().held == {ALL[0]}


def test_a_dead_consumer_does_not_vouch_for_its_ghost() -> None:
    other = container(name="kodingcaravan-purchase-worker-2", started_at=STARTED, address="172.18.0.6")
    shared = group(member(holds=ALL[:1]), member(holds=ALL[1:], member_id="n", host="172.18.0.6"))
    scene = replace(
        WORKING, containers=(BOX, other), group=shared, entries=(handled(2 * MINUTE), kafkajs(CRASH, MINUTE))
    )
    found = scene.work()
    assert found.state is WorkState.UNPROVEN
    assert found.held == set(ALL[1:])


def test_the_address_decides_between_containers() -> None:
    young = container(name="kodingcaravan-purchase-worker-2", started_at=NOW, address="172.18.0.6")
    assert corroborating(member(), [BOX, young], STAGE) == BOX
    assert corroborating(member(host="172.18.0.6"), [BOX, young], STAGE) is None
    assert corroborating(member(host="10.1.1.1"), [BOX, young], STAGE) == BOX


@pytest.mark.parametrize("odd", ["", "-", "purchase-worker-", "purchase-worker-179543399266", "1795433992661"])
def test_a_client_id_without_a_time_tells_nothing(odd: str) -> None:
    assert client_started_at(odd) is None


def test_every_sign_has_a_name_of_its_own() -> None:
    names = [sign.name for sign in WORKING.work().signs]
    assert len(names) == len(set(names))
