"""What one look of `watch` and `monitor` saw: workers, groups, payments, dead letters, newest errors.

Values only: `observe` makes them, `history` compares them. A system that did not answer is a
`Reading` with the reason; nothing here turns an unknown into a number.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from kcfix.core.judging.snapshot import Reading
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.lag import GroupReport, LagReport, LagRow
from kcfix.core.missing import Finding, Span
from kcfix.core.offsets import LogOffsets, TopicPartition
from kcfix.core.status.findings import worker_health
from kcfix.core.status.system import Health, WorkerFacts
from kcfix.core.workers import Container
from kcfix.flow import Flow


class System(enum.StrEnum):
    """What is asked, and may be silent."""

    KAFKA = "kafka"
    DOCKER = "docker"
    DATABASE = "database"


@dataclass(frozen=True, slots=True)
class Waiting:
    """The overdue payments of one verdict, those apart that a person has acknowledged."""

    kind: VerdictKind
    count: int
    without_purchase: int
    """Those of them to which no purchase belongs."""
    amounts_minor: Mapping[str, int]
    """Their money by currency, in its minor unit."""
    oldest: datetime
    """When the oldest was paid."""


@dataclass(frozen=True, slots=True)
class PaymentsSeen:
    """The payments of the window, as `missing` judges them."""

    span: Span
    """The window, and the database's clock."""
    succeeded: int
    """All that succeeded in the window, settled or not."""
    waiting: tuple[Waiting, ...]
    """In the order of the verdicts; a verdict that no payment has is left out."""
    oldest: tuple[Finding, ...]
    """The oldest of the waiting, oldest first; not more than were wanted."""
    in_flight: int
    """Too young to be findings."""
    acknowledged: int
    """Apart from the waiting: judged by a person as what they are."""

    @property
    def count(self) -> int:
        """All that wait, whatever for."""
        return sum(w.count for w in self.waiting)

    @property
    def without_purchase(self) -> int:
        """Those of them to which no purchase belongs."""
        return sum(w.without_purchase for w in self.waiting)

    @property
    def amounts_minor(self) -> Mapping[str, int]:
        """The money of all that wait, by currency, never summed across."""
        total: Counter[str] = Counter()
        for one in self.waiting:
            total.update(one.amounts_minor)
        return dict(sorted(total.items()))

    @property
    def oldest_age(self) -> timedelta | None:
        """How long the oldest has waited; None where none waits."""
        return max((self.age(w) for w in self.waiting), default=None)

    def age(self, waiting: Waiting) -> timedelta:
        """How long the oldest of a verdict has waited, by the database's clock; 0 for a time in the future."""
        return max(timedelta(0), self.span.now - waiting.oldest)


@dataclass(frozen=True, slots=True)
class ErrorLine:
    """A line in which a worker tells of something that failed."""

    at: datetime
    """Docker's clock."""
    worker: str
    container: str
    text: str
    """What failed, in one line, clipped; free of control characters."""


@dataclass(frozen=True, slots=True)
class WorkerLog:
    """What a worker's log told at one look."""

    newest: tuple[ErrorLine, ...]
    """Its newest error lines, oldest first, whenever they were written."""
    fresh: int | None
    """Error lines since the look before; None at the first look, of which nothing can be said."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that one look saw."""

    flow: Flow
    taken_at: datetime
    """When it was complete, by this host's clock."""
    took: timedelta
    """How long the systems kept it waiting."""
    docker: Reading[tuple[Container, ...]]
    """The broker's own containers, sorted by name."""
    kafka: Reading[LagReport]
    """The groups of the flow; `others` has the log of the dead letters."""
    database: Reading[datetime]
    """The database's clock."""
    payments: Reading[PaymentsSeen]
    workers: tuple[WorkerFacts, ...]
    """Stages of the flow in order; an optional one only if there is a trace of it."""
    logs: Mapping[str, Reading[WorkerLog]]
    """By worker."""

    @property
    def silent(self) -> Mapping[System, str]:
        """The systems that did not answer, and why not."""
        found = {System.KAFKA: self.kafka.error, System.DOCKER: self.docker.error, System.DATABASE: self.database.error}
        return {system: error for system, error in found.items() if error is not None}

    @property
    def groups(self) -> tuple[GroupReport, ...]:
        """The groups of the flow, in its order; empty where Kafka did not answer."""
        return () if self.kafka.value is None else self.kafka.value.groups

    @property
    def unprotected(self) -> tuple[LagRow, ...]:
        """Partitions on which a plain restart would skip what waits."""
        return tuple(row for group in self.groups for row in group.unprotected)

    @property
    def dead_letters(self) -> Mapping[TopicPartition, LogOffsets]:
        """The log of the dead letters; empty where Kafka did not answer, or there is no such topic."""
        return {} if self.kafka.value is None else self.kafka.value.others

    @property
    def dead_letters_end(self) -> int | None:
        """Sum of its log ends: it grows by one for each letter. None unless every partition's is known."""
        ends = [log.log_end_offset for log in self.dead_letters.values()]
        return None if not ends or None in ends else sum(end for end in ends if end is not None)

    def worker(self, name: str) -> WorkerFacts | None:
        """The worker of that service name or short name; None where it is not shown."""
        stage = self.flow.stage_of_worker(name)
        return next((w for w in self.workers if stage is not None and w.stage.name == stage.name), None)

    def errors(self, most: int) -> tuple[ErrorLine, ...]:
        """The newest error lines of all workers, oldest first."""
        lines = [line for log in self.logs.values() if log.value is not None for line in log.value.newest]
        return tuple(sorted(lines, key=lambda line: line.at)[-most:]) if most else ()


def restarts(worker: WorkerFacts) -> int | None:
    """How often Docker has restarted the worker's containers; None where that is unknown, or it has none."""
    return sum(c.restart_count for c in worker.containers) if worker.containers else None


def health(worker: WorkerFacts) -> Health:
    """How well a worker is, as `status` says it."""
    return worker_health(worker)
