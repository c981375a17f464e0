"""The proof of a restart: that the worker works, not merely that its container is up (docs/decisions.md 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kcfix.core.logs.entry import Level, LogEntry
from kcfix.core.move.pin import Pin
from kcfix.core.move.settlement import Settlement, settlements
from kcfix.core.offsets import PartitionLag, TopicPartition
from kcfix.core.ports.database import DatabasePort
from kcfix.core.ports.docker import DockerPort
from kcfix.core.ports.kafka import KafkaPort, OffsetRange
from kcfix.core.restart.read import entries_since_start, look
from kcfix.core.workers import Container
from kcfix.core.working.worker import Look, Work, WorkState, work
from kcfix.flow import Stage

POLL = timedelta(seconds=1)
SPEAK = timedelta(seconds=5)
"""How often the wait says that it goes on."""
ERRORS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Proof:
    """What the worker was seen to do after its start."""

    work: Work
    started: bool
    """Whether every container was started since the command."""
    looks: tuple[Look, Look]
    entries: tuple[LogEntry, ...]
    """Lines since the start, in time order; empty also where they could not be read."""
    took: timedelta

    @property
    def proven(self) -> bool:
        """Whether it is working, or joined with nothing to consume."""
        return self.started and self.work.state in (WorkState.WORKING, WorkState.IDLE)

    @property
    def missing(self) -> tuple[str, ...]:
        """What was not seen; empty when it is proven."""
        if self.proven:
            return ()
        return (*(() if self.started else ("not every container was started since the command",)), *self.work.reasons)

    @property
    def errors(self) -> tuple[LogEntry, ...]:
        """The newest error lines, each text once, oldest first."""
        newest: dict[str, LogEntry] = {}
        for entry in reversed(self.entries):
            if entry.level is Level.ERROR and entry.message not in newest:
                newest[entry.message] = entry
                if len(newest) == ERRORS_SHOWN:
                    break
        return tuple(sorted(newest.values(), key=lambda e: e.timestamp))


@dataclass(frozen=True, slots=True)
class Watching:
    """What the proof looks through."""

    stage: Stage
    docker: DockerPort
    kafka: Callable[[], KafkaPort]
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    progress: Callable[[str], None]


def prove(watching: Watching, ids: Sequence[str], since: datetime, wait: timedelta) -> Proof:
    """Look until the worker is seen to work, at most `wait`; `since` is the engine's time before the start."""
    begun = spoken = watching.monotonic()
    first: Look | None = None
    while True:
        last = look(watching.stage, ids, watching.docker, watching.kafka, watching.now())
        first = first or last
        boxes = last.containers or ()
        entries = entries_since_start(watching.docker, boxes) if boxes else None
        seen = work(watching.stage, _sample(first, last), entries, watching.now())
        started = bool(boxes) and all(_started(c, since) for c in boxes)
        passed = watching.monotonic() - begun
        proof = Proof(seen, started, (first, last), entries or (), timedelta(seconds=passed))
        if proof.proven or passed >= wait.total_seconds():
            return proof
        if watching.monotonic() - spoken >= SPEAK.total_seconds():
            spoken = watching.monotonic()
            watching.progress(f"{watching.stage.worker}: {seen.reasons[0]} ({passed:.0f} s of {wait.seconds} s)")
        watching.sleep(POLL.total_seconds())


def _sample(first: Look, last: Look) -> list[Look]:
    return [last] if first is last else [first, last]


def _started(container: Container, since: datetime) -> bool:
    return container.running and container.started_at is not None and container.started_at >= since


def gap_ranges(pins: Sequence[Pin], before: Sequence[PartitionLag], after: Sequence[PartitionLag]) -> list[OffsetRange]:
    """What has to be read again on each partition that was unprotected: from its end before the stop to now.

    Where the pin was not checked, or there is none (nothing could be committed), all of its log.
    """
    pinned = {pin.partition: pin for pin in pins}
    ends = {lag.partition: lag.log_end_offset for lag in after}
    ranges = []
    for lag in before:
        end, pin = ends.get(lag.partition), pinned.get(lag.partition)
        if not lag.unprotected or end is None or lag.log_end_offset is None or lag.log_start_offset is None:
            continue
        start = lag.log_end_offset if pin is not None and pin.checked else lag.log_start_offset
        if start < end:
            ranges.append(OffsetRange(lag.partition, start, end))
    return ranges


def lost_in_gap(
    stage: Stage,
    ranges: Sequence[OffsetRange],
    after: Sequence[PartitionLag],
    kafka: KafkaPort,
    database: Callable[[], DatabasePort],
) -> tuple[Settlement, ...]:
    """Owed messages of these ranges that the group will not read any more: behind its commit, or without one.

    Raises:
        Unreachable: Kafka or the database did not answer.
        Refused: a table that is needed is missing.
    """
    committed: dict[TopicPartition, int | None] = {
        lag.partition: None if lag.unprotected else lag.committed_offset for lag in after
    }
    lost = []
    for s in settlements(stage, ranges, kafka, database):
        offset = committed.get(s.partition)
        if s.owed and (offset is None or s.offset < offset):
            lost.append(s)
    return tuple(lost)
