"""Rules about workers whose container runs and that do not do their work."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kcfix.core.doctor.diagnosis import Confidence, Evidence, EvidenceKind, Found, Need, Severity
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.heads import FAILURE_PHRASES
from kcfix.core.doctor.rule import Rule, because, same, same_trouble, same_trouble_told
from kcfix.core.doctor.rules.pace import catch_up
from kcfix.core.doctor.rules.proof import (
    LATELY,
    backlog,
    container_line,
    deadline,
    group_line,
    log_line,
    partition_thing,
    required,
    sign,
    things_of,
    told,
    trouble_thing,
)
from kcfix.core.doctor.troubles import OF_DATABASE, OF_KAFKA
from kcfix.core.logs.milestones import Milestone, unanswered_crash
from kcfix.core.logs.parse import offset_of
from kcfix.core.offsets import TopicPartition
from kcfix.core.status.system import WorkerFacts
from kcfix.core.workers import Container
from kcfix.core.working.corroborate import client_started_at
from kcfix.core.working.signs import SETTLED, Sure

SLOW_SECONDS = 1.0

"""A message that takes longer than this is slow: the system's own aim is below half a second."""


TOO_LONG = timedelta(minutes=5)


def consumer_dead(examination: Examination) -> Iterator[Found]:
    """The consumer died inside a live process: a `Crash` line of kafkajs without a `Restarting` line after it.

    A message whose value is empty or is no JSON does it (a SyntaxError outside the handler); kafkajs calls that not
    retriable and does not start again. The container runs, Docker sees nothing wrong, no dead letter is written, the
    group is empty and its lag grows.

    The restart alone dies again at the same message where the offset is committed: move the group past it first.
    """
    for worker in required(examination):
        if sign(worker, "alive").sure is not Sure.NO:
            continue
        entries = examination.entries(worker.containers or ())
        crash = unanswered_crash(entries)
        failed = [e for e in entries if any(p in e.message for p in FAILURE_PHRASES) and offset_of(e) is not None]
        place = offset_of(failed[-1]) if failed else None
        heads = _heads(examination, worker)
        words = crash.message if crash is not None else sign(worker, "alive").text
        cause = f"its consumer crashed and was not started again: {words[:200]}"
        if place is not None:
            cause += f"; it died at {place[0]} offset {place[1]}"
        yield Found(
            symptom=f"{worker.stage.worker} runs and consumes nothing: its consumer is dead inside the live process",
            cause=cause,
            evidence=(
                *((log_line(crash),) if crash is not None else ()),
                *((log_line(failed[-1]),) if failed else ()),
                *heads,
                *((group_line(worker.lag),) if worker.lag is not None else ()),
                *backlog(examination, worker.stage),
            ),
            action=(
                f"kcfix logs {worker.stage.worker} --errors",
                *_skip(examination, worker),
                f"kcfix restart {worker.stage.worker}",
            ),
            about=(*things_of(worker), *((partition_thing(place[0]),) if place is not None else ())),
            since=crash.timestamp if crash is not None else None,
            deadline=deadline(examination, worker.stage),
            catch_up=catch_up(examination, worker),
        )


def _heads(examination: Examination, worker: WorkerFacts) -> tuple[Evidence, ...]:
    """The messages that the group stands on and that can't be decoded."""
    broker = examination.broker.value
    heads = [h for (g, _), h in broker.heads.items() if g == worker.stage.group and h.failing] if broker else []
    return tuple(
        Evidence(EvidenceKind.OFFSETS, f"{h.partition} stands on offset {h.offset}: {h.failures[-1]}") for h in heads
    )


def skip_line(worker: WorkerFacts, tp: TopicPartition) -> tuple[str, ...]:
    """How the group is moved past the message that it stands on: the worker stopped, then the offset moved."""
    boxes = [c.name for c in worker.containers or () if c.running]
    move = f"kcfix offsets skip-one --group {worker.stage.group} --topic {tp.topic}:{tp.partition} --apply"
    return (*((f"docker stop {' '.join(boxes)}",) if boxes else ()), move)


def _skip(examination: Examination, worker: WorkerFacts) -> tuple[str, ...]:
    broker = examination.broker.value
    for (group, tp), head in broker.heads.items() if broker else ():
        if group == worker.stage.group and head.failing:
            return skip_line(worker, tp)
    return ()


def not_in_group(examination: Examination) -> Iterator[Found]:
    """A worker's container runs, and nobody is in its group.

    One look can't tell whether that is the gap of a restart (7 to 11 s; longer while a handler blocks) or for good:
    `kcfix doctor --sample 60s` settles it. A container younger than a minute is still starting: a caution.
    """
    for worker in required(examination):
        running = [c for c in worker.containers or () if c.running]
        joined = sign(worker, "joined")
        if not running or joined.sure not in (Sure.UNCLEAR, Sure.NO) or sign(worker, "alive").sure is Sure.NO:
            continue
        if worker.lag is None or worker.lag.group.is_rebalancing or worker.lag.group.members:
            continue
        settled = joined.sure is Sure.NO
        starting = all(_age(examination, c) < SETTLED for c in running)
        before = max(
            (at for c in running if (at := examination.log(c).last(Milestone.JOINED)) is not None), default=None
        )
        # What it said before it joined last did not keep it from joining.
        tellings = [t for t in told(examination, worker) if before is None or t.entry.timestamp > before]
        recent = [t for t in tellings if t.trouble in OF_KAFKA | OF_DATABASE][-1:]
        yield Found(
            symptom=f"{worker.stage.worker} runs, and its group {worker.stage.group} has no member",
            cause=(
                f"its log says: {recent[0].words[:200]}"
                if recent
                else "it has not joined: it may still be starting"
                if starting
                else "it does not join, or is between two joins"
            ),
            evidence=(
                *(container_line(c, examination.at) for c in running),
                group_line(worker.lag),
                *(log_line(t.entry) for t in recent),
                *backlog(examination, worker.stage),
            ),
            action=(
                *(() if settled else ("kcfix doctor --sample 60s",)),
                f"kcfix logs {worker.stage.worker} --errors",
                f"kcfix restart {worker.stage.worker}",
            ),
            about=(*things_of(worker), *(trouble_thing(t.trouble) for t in recent)),
            confidence=Confidence.PROVEN if settled else Confidence.UNPROVEN,
            severity=Severity.CAUTION if starting and not settled else None,
            deadline=deadline(examination, worker.stage),
        )


def _age(examination: Examination, container: Container) -> timedelta:
    return timedelta.max if container.started_at is None else examination.at - container.started_at


def ghost(examination: Examination) -> Iterator[Found]:
    """The group has a member that started before the worker's container did: what is left of an earlier life.

    After a kill or a restart of the broker Kafka keeps it for its session time-out (30 s), and the group looks Stable
    for so long. It passes by itself; seen for longer than a minute it is another process, somewhere else.
    """
    for worker in required(examination):
        running = [c for c in worker.containers or () if c.running]
        if not running or worker.lag is None or worker.work.members or sign(worker, "member").sure is not Sure.UNCLEAR:
            continue
        pattern = f"{worker.stage.worker}-"
        ghosts = [m for m in worker.lag.group.members if m.client_id.startswith(pattern)]
        if not ghosts or len(ghosts) < len(worker.lag.group.members):
            continue
        young = all(_age(examination, c) < SETTLED for c in running)
        started = client_started_at(ghosts[0].client_id)
        yield Found(
            symptom=f"the member of {worker.stage.group} is none of the worker that runs",
            cause=f"{ghosts[0].client_id} is what is left of an earlier life, or a process elsewhere",
            evidence=(*(container_line(c, examination.at) for c in running), group_line(worker.lag)),
            action=("kcfix doctor --sample 60s",),
            about=things_of(worker),
            confidence=Confidence.UNPROVEN,
            severity=Severity.CAUTION if young or (started and examination.at - started < LATELY) else None,
        )


LOOKED = frozenset({Need.DOCKER, Need.KAFKA})


LOGGED = LOOKED | {Need.LOGS}


SETTINGS = ("K003", "C001", "C002", "C003", "C004", "C005", "C013", "D003")


SYSTEMS = (
    *because(same("worker"), *SETTINGS),
    *because(same_trouble_told, "K004"),
    *because(same("worker"), "K004"),
    *because(same_trouble, "K001", "K002", "K013", "D001", "D002", "D004", "D005", "D006", "D007", "D008"),
    *because(same_trouble, "D010", "D012", "D013", "D014"),
)


RULES = (
    Rule(
        "W006",
        Severity.ERROR,
        "A consumer is dead inside its live process",
        consumer_dead,
        LOGGED,
        modes=("4",),
    ),
    Rule(
        "W008",
        Severity.ERROR,
        "A worker runs and is not in its group",
        not_in_group,
        LOGGED,
        (
            *because(same("worker"), "G008", "G009", "G001", "W003", "W013", "P018", "P021"),
            *SYSTEMS,
        ),
        ("4", "9", "12"),
    ),
    Rule(
        "W015",
        Severity.ERROR,
        "A member of an earlier life holds the partitions",
        ghost,
        LOOKED,
        (*because(same("worker"), "W001", "W003", "W007"),),
        ("4",),
    ),
)
