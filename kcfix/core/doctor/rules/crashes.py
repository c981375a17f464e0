"""Rules about workers that end by themselves: crashes, want of memory, no restart."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kcfix.core.doctor.diagnosis import Confidence, Found, Severity
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import Rule
from kcfix.core.doctor.rules.pace import catch_up
from kcfix.core.doctor.rules.proof import (
    backlog,
    container_line,
    deadline,
    event_lines,
    log_line,
    required,
    things_of,
    told,
    trouble_thing,
)
from kcfix.core.doctor.rules.workers import (
    CRASH_SPAN,
    CRASHES,
    DOCKER,
    ROOTS,
    YOUNG,
    failed_by_itself,
    is_down,
    killed_for_memory,
    restarting,
)
from kcfix.core.logs.milestones import Milestone, is_milestone
from kcfix.core.status.system import WorkerFacts
from kcfix.core.times import format_duration
from kcfix.core.workers import Container, ContainerState
from kcfix.core.working.worker import WorkState


def worker_crash_loop(examination: Examination) -> Iterator[Found]:
    """A worker ends by its own fault, is started again by Docker, and ends again.

    What it logs before it ends names the cause: a broker that does not answer (`Fatal error`, exit 1 after half a
    minute), a missing topic, or a variable without which it can't even load (an uncaught exception and no `Starting`
    line). A restart changes nothing while the cause is there.

    A container that has come back since, and whose worker is seen to work, is no finding.
    """
    for worker in required(examination):
        if worker.work.state in (WorkState.WORKING, WorkState.IDLE):
            continue
        looping = [c for c in worker.containers or () if _loops(examination, worker, c)]
        if not looping or any(killed_for_memory(examination, c) for c in looping):
            continue
        tellings = [
            t for t in told(examination, worker, all_lives=True) if t.entry.container in {c.name for c in looping}
        ]
        fatal = [
            e for e in examination.earlier_entries(looping) if is_milestone(e, Milestone.FATAL) or _uncaught(e.raw)
        ]
        decisive = tellings[-1] if tellings else None
        lines = [t.entry for t in tellings[-2:]] or fatal[-2:]
        cause = (
            f"it ends with: {decisive.words[:200]}" if decisive else "its log does not name a cause that is known here"
        )
        yield Found(
            symptom=f"{worker.stage.worker} crashes and is restarted by Docker, again and again",
            cause=cause,
            evidence=(
                *(container_line(c, examination.at) for c in looping),
                *(log_line(entry) for entry in lines),
                *backlog(examination, worker.stage),
            ),
            action=(f"kcfix logs {worker.stage.worker} --errors", *restarting(worker)),
            about=(*things_of(worker), *((trouble_thing(decisive.trouble),) if decisive else ())),
            confidence=Confidence.PROVEN if decisive else Confidence.LIKELY,
            deadline=deadline(examination, worker.stage),
            catch_up=catch_up(examination, worker),
        )


def _uncaught(raw: str) -> bool:
    return "uncaughtException" in raw or '"exception":true' in raw


def _loops(examination: Examination, worker: WorkerFacts, container: Container) -> bool:
    if container.state is ContainerState.RESTARTING:
        return True
    if not container.running:
        return False
    deaths = [
        e
        for e in examination.events_of(container)
        if e.action == "die" and e.exit_code not in (0, 143, None) and examination.at - e.at <= CRASH_SPAN
    ]
    young = container.started_at is not None and examination.at - container.started_at < YOUNG
    crashed = any(s.name == "steady" and s.sure.value == "NO" for s in worker.work.signs)
    if crashed:
        return True
    # One that has joined its group in this life has got over it, for now.
    joined = examination.log(container).last(Milestone.JOINED) is not None
    return young and not joined and (len(deaths) >= CRASHES or container.restart_count > 0)


def worker_out_of_memory(examination: Examination) -> Iterator[Found]:
    """The kernel killed a worker because its container used more memory than it may.

    Exit code 137 with Docker's OOMKilled, or an `oom` event. Nothing is in its log: it was cut off in the middle.
    Raise the limit, or find out what eats the memory; a restart alone brings it back only until the next time.
    """
    for worker in required(examination):
        hit = [c for c in worker.containers or () if killed_for_memory(examination, c)]
        if not hit or worker.work.state in (WorkState.WORKING, WorkState.IDLE):
            continue
        limits = {c.name: c.memory_limit_bytes for c in hit}
        limit = next((v for v in limits.values() if v), None)
        words = f"its limit is {limit // 2**20} MiB" if limit else "it has no limit of its own: the host ran out"
        more = max(256, 4 * (limit or 0) // 2**20)
        yield Found(
            symptom=f"{worker.stage.worker} was killed for want of memory",
            cause=f"the container needed more memory than it may have; {words}",
            evidence=(
                *(container_line(c, examination.at) for c in hit),
                *(line for c in hit for line in event_lines(examination, c)),
                *backlog(examination, worker.stage),
            ),
            action=(
                *(f"docker update --memory {more}m --memory-swap {more}m {c.name}" for c in hit if limit),
                *restarting(worker),
            ),
            about=things_of(worker),
            since=max((c.finished_at for c in hit if c.finished_at is not None), default=None),
            deadline=deadline(examination, worker.stage),
        )


def worker_ended(examination: Examination) -> Iterator[Found]:
    """A worker ended by its own fault, or was killed, and its restart policy does not bring it back.

    Compose's own setting for the workers is `restart: unless-stopped`; with `no` (or after the retries of `on-failure`)
    a crash is final. Mend what its log names, then start it, and set the policy.
    """
    for worker in required(examination):
        boxes = [c for c in worker.containers or () if failed_by_itself(examination, c)]
        if not is_down(worker) or not boxes or any(killed_for_memory(examination, c) for c in boxes):
            continue
        box = boxes[0]
        tellings = told(examination, worker, all_lives=True)
        decisive = tellings[-1] if tellings else None
        why = f": {decisive.words[:200]}" if decisive else ""
        yield Found(
            symptom=f"{worker.stage.worker} has ended and nothing starts it again",
            cause=f"exit code {box.exit_code}, restart policy `{box.restart_policy}`{why}",
            evidence=(
                *(container_line(c, examination.at) for c in boxes),
                *event_lines(examination, box),
                *((log_line(decisive.entry),) if decisive else ()),
                *backlog(examination, worker.stage),
            ),
            action=(f"docker update --restart unless-stopped {box.name}", *restarting(worker)),
            about=(*things_of(worker), *((trouble_thing(decisive.trouble),) if decisive else ())),
            since=box.finished_at,
            deadline=deadline(examination, worker.stage),
        )


FLAPPING = timedelta(minutes=15)


def flapping(examination: Examination) -> Iterator[Found]:
    """A worker works now and has ended by its own fault several times lately.

    It came back each time, so nothing is lost where offsets are committed. Its log before each end names the cause.
    """
    for worker in required(examination):
        if worker.work.state not in (WorkState.WORKING, WorkState.IDLE):
            continue
        for box in worker.containers or ():
            deaths = [
                e for e in examination.events_of(box) if e.action == "die" and e.exit_code not in (0, 137, 143, None)
            ]
            lately = [e for e in deaths if examination.at - e.at <= FLAPPING]
            if len(lately) >= 3:
                ago = format_duration(examination.at - lately[-1].at)
                yield Found(
                    symptom=f"{box.name} crashed {len(lately)} times in a quarter of an hour, the last one {ago} ago",
                    cause="its log before each end names it",
                    evidence=event_lines(examination, box),
                    action=(f"kcfix logs {worker.stage.worker} --errors --since 1h",),
                    about=things_of(worker),
                    confidence=Confidence.LIKELY,
                )


RULES = (
    Rule("W003", Severity.ERROR, "A worker crashes again and again", worker_crash_loop, DOCKER, ROOTS, ("17a", "52")),
    Rule("W004", Severity.ERROR, "A worker was killed for want of memory", worker_out_of_memory, DOCKER),
    Rule("W007", Severity.ERROR, "A worker ended and is not restarted", worker_ended, DOCKER, ROOTS),
    Rule("W012", Severity.CAUTION, "A worker came back from several crashes", flapping, DOCKER),
)
