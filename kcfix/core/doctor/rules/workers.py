"""Rules about the workers' containers and processes: not started, ended, paused, crashing, killed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kcfix.core.doctor.diagnosis import Confidence, Found, Need, Severity, Thing
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import Rule, always, because, same, same_trouble, same_trouble_told
from kcfix.core.doctor.rules.pace import catch_up
from kcfix.core.doctor.rules.proof import backlog, container_line, deadline, event_lines, required, things_of
from kcfix.core.restart.plan import up_line
from kcfix.core.status.system import WorkerFacts
from kcfix.core.workers import NO_DOCKER, Container, ContainerState

ENDED = (ContainerState.EXITED, ContainerState.CREATED, ContainerState.DEAD)


FROM_OUTSIDE = (0, 137, 143)

"""Exit codes that a stop or a kill leaves behind."""


YOUNG = timedelta(minutes=2)

"""A container that Docker restarted by itself and that is younger than this may be about to end again."""


CRASHES = 2


CRASH_SPAN = timedelta(minutes=5)


def restarting(worker: WorkerFacts) -> tuple[str, ...]:
    return (f"kcfix restart {worker.stage.worker}",)


def is_down(worker: WorkerFacts) -> bool:
    """Whether it has containers and none of them runs or is about to."""
    boxes = worker.containers or ()
    return bool(boxes) and all(c.state in ENDED for c in boxes)


def killed_for_memory(examination: Examination, container: Container) -> bool:
    """Whether the kernel ended it for want of memory, as far as the engine tells."""
    if container.oom_killed:
        return True
    events = examination.events_of(container)
    ended = [e for e in events if e.action == "die"]
    return any(
        e.action == "oom" and (not ended or ended[-1].at - e.at <= CRASH_SPAN) and examination.at - e.at <= CRASH_SPAN
        for e in events
    )


def worker_stopped(examination: Examination) -> Iterator[Found]:
    """A worker's container was stopped or killed from outside, or never started.

    The document's first family: the worker was not started. Its group empties, and what arrives waits: on a partition
    with a committed offset safely, on any other only until somebody starts the worker in the plain way, which skips it.
    `docker stop` leaves exit code 0, 143 or 137, `docker kill` 137; Docker starts such a container no more, whatever
    its restart policy. A ghost of its member may keep the group Stable for half a minute after a kill.

    Start it with `kcfix restart`, which commits offsets where there are none before it starts the container.
    """
    for worker in required(examination):
        boxes = worker.containers or ()
        if not is_down(worker) or any(killed_for_memory(examination, c) for c in boxes):
            continue
        if any(failed_by_itself(examination, c) for c in boxes):
            continue
        last = max(boxes, key=lambda c: (c.finished_at is not None, c.finished_at or c.started_at or examination.at))
        if last.state is ContainerState.CREATED or last.started_at is None:
            cause = f"the container {last.name} was made and never started"
        elif last.exit_code == 137:
            cause = f"{last.name} was killed from outside (exit code 137)"
            if last.restart_policy == "no":
                cause += "; its restart policy `no` brings it back after no end at all"
        else:
            cause = f"{last.name} was stopped from outside (exit code {last.exit_code})"
        yield Found(
            symptom=f"{worker.stage.worker} does not run; nobody reads {', '.join(worker.stage.topics)} for it",
            cause=cause,
            evidence=(
                *(container_line(c, examination.at) for c in boxes),
                *event_lines(examination, last),
                *backlog(examination, worker.stage),
            ),
            action=restarting(worker),
            about=things_of(worker),
            since=last.finished_at,
            deadline=deadline(examination, worker.stage),
            catch_up=catch_up(examination, worker),
        )


def failed_by_itself(examination: Examination, container: Container) -> bool:
    """Whether it ended by its own fault, or was killed and nothing was there to start it again."""
    if container.state is ContainerState.CREATED or container.exit_code is None:
        return False
    if container.exit_code not in FROM_OUTSIDE:
        return True
    events = examination.events_of(container)
    asked = any(e.action in ("kill", "stop") for e in events)
    return bool(events) and not asked and container.exit_code == 137 and container.restart_policy == "no"


def worker_missing(examination: Examination) -> Iterator[Found]:
    """Docker knows no container of a worker.

    It was never brought up, or removed (`docker compose down`, `rm`), or is missing from the Compose file. Messages
    that were sent before its first start are skipped by that start, unless offsets are committed first: where there
    is no container, `kcfix restart` commits them before it prints the `up -d` line.

    Not reported where Docker knows no container of the system at all: then the workers run elsewhere.
    """
    known = examination.containers
    for worker in required(examination):
        if worker.containers != () or not known:
            continue
        members = worker.lag.group.members if worker.lag is not None else ()
        if members:
            continue
        up = up_line(worker.stage.worker, known)
        yield Found(
            symptom=f"there is no container of {worker.stage.worker}, and nobody is in its group",
            cause="it was never brought up, or was removed",
            evidence=backlog(examination, worker.stage),
            action=(*restarting(worker), *((up,) if up else ())),
            about=things_of(worker),
            deadline=deadline(examination, worker.stage),
        )


def worker_paused(examination: Examination) -> Iterator[Found]:
    """A worker's container is frozen by `docker pause`.

    Its processes exist and do nothing; after half a minute its member is dropped and the group is empty. Unpaused, it
    joins anew. On a partition without a committed offset that is a start like any other: what waits there is skipped,
    so let `kcfix lag` show first whether every partition is protected.
    """
    for worker in required(examination):
        paused = [c for c in worker.containers or () if c.state is ContainerState.PAUSED]
        if not paused:
            continue
        pause = [e for c in paused for e in examination.events_of(c) if e.action == "pause"]
        yield Found(
            symptom=f"{worker.stage.worker} is paused and handles nothing",
            cause=f"somebody ran `docker pause {paused[0].name}`",
            evidence=(
                *(container_line(c, examination.at) for c in paused),
                *(line for c in paused for line in event_lines(examination, c, newest=1)),
                *backlog(examination, worker.stage),
            ),
            action=tuple(f"docker unpause {c.name}" for c in paused),
            about=things_of(worker),
            since=pause[-1].at if pause else None,
            deadline=deadline(examination, worker.stage),
            catch_up=catch_up(examination, worker),
        )


def worker_unhealthy(examination: Examination) -> Iterator[Found]:
    """Docker's health check of a container of the system fails.

    The workers have none in the known Compose file; the broker, ZooKeeper and payment-service do. What the check
    printed is in `docker inspect --format '{{json .State.Health}}'`.
    """
    for container in examination.containers:
        if container.running and container.health == "unhealthy":
            yield Found(
                symptom=f"{container.name} is unhealthy by its own check",
                cause="its health check fails; the container runs on",
                evidence=(container_line(container, examination.at),),
                action=(f"docker inspect --format '{{{{json .State.Health}}}}' {container.name}",),
                about=(Thing("container", container.name),),
                confidence=Confidence.LIKELY,
            )


def docker_silent(examination: Examination) -> Iterator[Found]:
    """Docker does not answer, or kcfix may not use it, so that no container could be looked at.

    Where the settings say that there is none (`docker_host = "none"`) this is no finding. Where the workers run on this
    host, that is worth mending first: a Docker that hangs starts no worker again. Where they run elsewhere, name that
    engine (`--docker-host`), or go without: groups, payments and the database are looked at all the same.
    """
    error = examination.discovery.error
    if error is not None and not error.startswith(NO_DOCKER):
        yield Found(
            symptom="no container could be looked at",
            cause=error,
            action=("docker info", "kcfix config show"),
            about=(Thing("system", "docker"),),
            confidence=Confidence.LIKELY,
        )


DOCKER = frozenset({Need.DOCKER})


ROOTS = (
    *because(same("worker"), "K003", "C001", "C002", "C003", "C004", "C005", "C013", "D003", "G009", "G008"),
    *because(same_trouble_told, "K004"),
    *because(same("worker"), "K004"),
    *because(same_trouble, "K001", "K002", "K013", "D001", "D002"),
)


RULES = (
    Rule(
        "W001",
        Severity.ERROR,
        "A worker was stopped or never started",
        worker_stopped,
        DOCKER,
        modes=("5", "6"),
    ),
    Rule("W002", Severity.ERROR, "A worker has no container", worker_missing, DOCKER, modes=("5",)),
    Rule("W005", Severity.ERROR, "A worker is paused", worker_paused, DOCKER),
    Rule(
        "W010",
        Severity.CAUTION,
        "A container is unhealthy",
        worker_unhealthy,
        DOCKER,
        because(always, "K001", "K002"),
    ),
    Rule("W011", Severity.CAUTION, "Docker does not answer", docker_silent, frozenset()),
)
