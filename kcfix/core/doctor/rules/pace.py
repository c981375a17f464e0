"""How fast a worker goes, and whether it goes at all: times between its lines, commits of a sample, what is left."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from statistics import median

from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.heads import FAILURE_PHRASES
from kcfix.core.doctor.rules.proof import behind
from kcfix.core.logs.entry import LogEntry
from kcfix.core.logs.milestones import Milestone, is_milestone
from kcfix.core.logs.parse import offset_of
from kcfix.core.offsets import TopicPartition
from kcfix.core.status.system import WorkerFacts

BRISK = timedelta(minutes=1)
"""A worker that has handled a message since then does not stand still."""


def durations(entries: Iterable[LogEntry]) -> tuple[float, ...]:
    """How many seconds each message took from its receipt to its end, oldest first, as far as the lines tell."""
    begun: dict[tuple[str, TopicPartition, int], datetime] = {}
    found = []
    for entry in entries:
        place = offset_of(entry)
        if place is None:
            continue
        key = (entry.container, *place)
        if is_milestone(entry, Milestone.RECEIVED):
            begun.setdefault(key, entry.timestamp)
        elif is_milestone(entry, Milestone.HANDLED) and key in begun:
            found.append((entry.timestamp - begun.pop(key)).total_seconds())
    return tuple(found)


def seconds_each(examination: Examination, worker: WorkerFacts) -> float | None:
    """Seconds that the worker takes for a message: by the sample's commits, else by its last lines; None: unknown."""
    before = {p.partition: p.committed_offset for p in examination.before.get(worker.stage.group, ())}
    if before and examination.sample is not None and worker.lag is not None:
        steps = [
            p.committed_offset - earlier
            for p in worker.lag.partitions
            if p.committed_offset is not None and (earlier := before.get(p.partition)) is not None
        ]
        if sum(steps) > 0:
            return examination.sample.total_seconds() / sum(steps)
    taken = durations(examination.earlier_entries(worker.containers or ()))[-50:]
    return median(taken) if len(taken) >= 3 else None


def catch_up(examination: Examination, worker: WorkerFacts) -> timedelta | None:
    """How long the backlog takes at the rate that was measured; None where nothing waits, or no rate is known."""
    each, left = seconds_each(examination, worker), behind(examination, worker.stage)
    return timedelta(seconds=each * left) if each is not None and left else None


def open_message(entries: Iterable[LogEntry]) -> LogEntry | None:
    """The line of the message that is being handled: received, and neither handled nor failed since."""
    found: LogEntry | None = None
    for entry in entries:
        if is_milestone(entry, Milestone.RECEIVED):
            found = entry
        elif is_milestone(entry, Milestone.HANDLED) or any(p in entry.message for p in FAILURE_PHRASES):
            found = None
    return found


def handles(examination: Examination, worker: WorkerFacts) -> bool:
    """Whether each of its running containers says that it has handled a message within a minute, and hangs on none.

    kafkajs takes one partition after the other: where each message takes seconds, others stand still for long.
    """
    running = [c for c in worker.containers or () if c.running]
    for box in running:
        log = examination.log(box)
        last, begun = log.last(Milestone.HANDLED), open_message(log.entries)
        if last is None or examination.at - last > BRISK:
            return False
        if begun is not None and examination.at - begun.timestamp > BRISK:
            return False
    return bool(running)
