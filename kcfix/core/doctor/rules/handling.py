"""Rules about workers that are in their group and handle nothing, slowly, or in vain."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kcfix.core.doctor.diagnosis import Confidence, Evidence, EvidenceKind, Found, Need, Severity
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.heads import FAILURE_PHRASES
from kcfix.core.doctor.rule import Rule, because, same, same_trouble
from kcfix.core.doctor.rules.consuming import LOGGED, SLOW_SECONDS, SYSTEMS, TOO_LONG
from kcfix.core.doctor.rules.pace import catch_up, durations, handles, open_message, seconds_each
from kcfix.core.doctor.rules.proof import (
    backlog,
    behind,
    deadline,
    group_line,
    lately,
    log_line,
    required,
    sign,
    things_of,
    trouble_thing,
    waits_since,
)
from kcfix.core.doctor.troubles import OF_DATABASE, OF_KAFKA, Trouble, trouble_of
from kcfix.core.logs.entry import LogEntry
from kcfix.core.status.system import WorkerFacts
from kcfix.core.times import format_duration
from kcfix.core.working.signs import Sure
from kcfix.core.working.worker import WorkState


def stalled(examination: Examination) -> Iterator[Found]:
    """A worker is in its group, records wait for it, and it handles none.

    Its last line tells on what it hangs: a message received and neither handled nor failed is in the middle of a
    query, a lock or a send. Two looks a minute apart prove it; in one look the age of the oldest record that waits and
    the last line of the log have to do.
    """
    for worker in required(examination):
        if worker.work.state in (WorkState.WORKING, WorkState.IDLE, WorkState.UNKNOWN) or not worker.work.members:
            continue
        if not behind(examination, worker.stage) or sign(worker, "consumed").sure is Sure.YES:
            continue
        since = waits_since(examination, worker.stage)
        if since is None or examination.at - since < timedelta(seconds=60):
            continue
        if _fails_on_head(examination, worker) or handles(examination, worker):
            continue
        open_line = open_message(examination.entries(worker.containers or ()))
        recent = lately(examination, worker, OF_KAFKA | OF_DATABASE)
        hangs = open_line is not None
        cause = "it has handled nothing since"
        if open_line is not None:
            cause = f"it hangs on one message since {format_duration(examination.at - open_line.timestamp)}"
        if recent:
            cause += f"; its log says: {recent[-1].words[:200]}"
        sampled = examination.sample is not None and examination.sample >= timedelta(seconds=10)
        yield Found(
            symptom=f"{worker.stage.worker} has joined, records wait for it, and it handles none",
            cause=cause,
            evidence=(
                *((log_line(open_line),) if open_line is not None else ()),
                *(log_line(t.entry) for t in recent[-1:]),
                *((group_line(worker.lag),) if worker.lag is not None else ()),
                *backlog(examination, worker.stage),
            ),
            action=(f"kcfix logs {worker.stage.worker} --errors", f"kcfix restart {worker.stage.worker}"),
            about=(*things_of(worker), *dict.fromkeys(trouble_thing(t.trouble) for t in recent)),
            confidence=Confidence.LIKELY if hangs or sampled else Confidence.UNPROVEN,
            since=open_line.timestamp if open_line is not None else since,
            deadline=deadline(examination, worker.stage),
        )


def _fails_on_head(examination: Examination, worker: WorkerFacts) -> bool:
    broker = examination.broker.value
    return broker is not None and any(
        head.failing for (group, _), head in broker.heads.items() if group == worker.stage.group
    )


def slow(examination: Examination) -> Iterator[Found]:
    """A worker works, but each message takes it more than a second, and payments wait for longer than a minute.

    The rate is measured: by the commits of a sample, else by the times between receipt and end of the last messages.
    A backlog that goes down at an ordinary rate is no finding: it heals by itself.
    """
    for worker in required(examination):
        if worker.work.state not in (WorkState.WORKING, WorkState.UNPROVEN) or _fails_on_head(examination, worker):
            continue
        each, left, since = seconds_each(examination, worker), behind(examination, worker.stage), None
        if each is None or each < SLOW_SECONDS or left < 2:
            continue
        since = waits_since(examination, worker.stage)
        if since is None or examination.at - since < timedelta(seconds=60):
            continue
        takes = catch_up(examination, worker)
        taken = durations(examination.earlier_entries(worker.containers or ()))[-5:]
        yield Found(
            symptom=f"{worker.stage.worker} takes {each:.1f} s for a message; {left} wait",
            cause="its handler is slow: the database, a lock, or a service that it calls answers slowly",
            evidence=(
                Evidence(EvidenceKind.LOG, f"the last messages took {', '.join(f'{t:.1f} s' for t in taken)}")
                if taken
                else Evidence(EvidenceKind.OFFSETS, f"{each:.1f} s a commit within the sample"),
                *backlog(examination, worker.stage),
            ),
            action=(f"kcfix logs {worker.stage.worker} --since 5m", f"kcfix lag --group {worker.stage.group}"),
            about=things_of(worker),
            confidence=Confidence.LIKELY,
            since=since,
            severity=Severity.ERROR if takes is not None and takes > TOO_LONG else None,
            deadline=deadline(examination, worker.stage),
            catch_up=takes,
        )


def keeps_failing(examination: Examination) -> Iterator[Found]:
    """A worker fails on every message for a reason that lies outside the message: the database or Kafka.

    Each message is tried and ends in the dead letters; where its partition has no committed offset it is then skipped
    for good. Dead letters that were written for such a reason say nothing against the message: mend the cause, then
    `kcfix repair` replays what was lost.
    """
    for worker in required(examination):
        broken = OF_KAFKA | OF_DATABASE
        if worker.stage.name == "purchase":
            broken -= {Trouble.INDEX_MISSING}  # a line of every ordinary purchase (docs/system.md 6, mode 28)
        recent = [t for t in lately(examination, worker, broken) if _about_a_message(t.entry)]
        heads = [
            (head, trouble)
            for (group, _), head in (examination.broker.value.heads.items() if examination.broker.value else ())
            if group == worker.stage.group and head.failing and (trouble := trouble_of(head.failures[-1])) in broken
        ]
        if not recent and not heads:
            continue
        trouble = recent[-1].trouble if recent else heads[0][1]
        assert trouble is not None  # noqa: S101  both lists hold only lines of a trouble
        words = recent[-1].words if recent else heads[0][0].failures[-1]
        yield Found(
            symptom=f"{worker.stage.worker} fails on every message",
            cause=f"the cause is not in the messages: {words[:200]}",
            evidence=(
                *(log_line(t.entry) for t in recent[-2:]),
                *(
                    Evidence(EvidenceKind.OFFSETS, f"{h.partition} stands on offset {h.offset}: {h.failures[-1][:200]}")
                    for h, _ in heads[:3]
                ),
            ),
            action=(f"kcfix logs {worker.stage.worker} --errors",),
            about=(*things_of(worker), trouble_thing(trouble)),
            confidence=Confidence.LIKELY,
            since=recent[0].entry.timestamp if recent else None,
            deadline=deadline(examination, worker.stage),
        )


def _about_a_message(entry: LogEntry) -> bool:
    return any(p in entry.message for p in (*FAILURE_PHRASES, "[RetryPolicy]", "All retries exhausted"))


RULES = (
    Rule(
        "W009",
        Severity.ERROR,
        "A worker has joined and handles nothing",
        stalled,
        LOGGED | {Need.BROKER},
        (*because(same("worker"), "G007", "G009", "W013", "W005"), *SYSTEMS),
    ),
    Rule(
        "W013",
        Severity.ERROR,
        "A worker fails on every message",
        keeps_failing,
        frozenset({Need.DOCKER, Need.LOGS}),
        SYSTEMS,
        ("53", "12"),
    ),
    Rule(
        "W014",
        Severity.CAUTION,
        "A worker is slow",
        slow,
        LOGGED | {Need.BROKER},
        because(same_trouble, "D005", "D014"),
    ),
)
