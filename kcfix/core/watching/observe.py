"""Takes one look after the other for `watch` and `monitor`, by the readings that `status`, `lag` and `missing` make.

What one look can't tell, several can: an observer keeps what was seen a minute before, so that a worker that commits is
seen to work, and one whose group stays empty is seen not to.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from kcfix.clean import clean
from kcfix.core.acknowledgement import Acknowledgement
from kcfix.core.doctor.troubles import words_of
from kcfix.core.judging.gather import Sources, WorkerContainers
from kcfix.core.judging.snapshot import Reading
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.lag import LagReport, read_lag
from kcfix.core.logs.entry import LogEntry
from kcfix.core.logs.parse import is_error
from kcfix.core.logs.tail import LogTail
from kcfix.core.missing import AHEAD, Finding, Span, Tally, findings
from kcfix.core.payments import PaymentId
from kcfix.core.ports.database import DatabasePort
from kcfix.core.ports.docker import DockerPort
from kcfix.core.ports.kafka import KafkaPort
from kcfix.core.setup.discovery import Discovery
from kcfix.core.status.read import Glance, worker_facts
from kcfix.core.status.system import DAY
from kcfix.core.watching.observation import ErrorLine, Observation, PaymentsSeen, Waiting, WorkerLog
from kcfix.core.workers import Container
from kcfix.core.working.signs import SETTLED
from kcfix.errors import KcfixError, Unreachable
from kcfix.flow import Flow, Stage
from kcfix.parallel import run_readings

T = TypeVar("T")

NEWEST_ERRORS = 10
"""Error lines of each worker that are kept."""
OLDEST_PAYMENTS = 20
"""Waiting payments that are kept one by one."""
LONGEST_TEXT = 300
"""Characters of an error line."""
SPACING = timedelta(seconds=5)
"""Looks that follow each other more quickly are not all kept to be compared with."""
LONGEST_SAMPLE = timedelta(minutes=10)
"""A look that lies further back is not compared with: there was a gap."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where an observer looks. The callables are called at each look and may raise a KcfixError."""

    flow: Flow
    kafka: Callable[[], KafkaPort]
    docker: Callable[[], DockerPort]
    discovery: Callable[[], Discovery]
    """The containers as they are now."""
    database: Callable[[], DatabasePort]
    words: Callable[[], Mapping[PaymentId, Acknowledgement]]
    """What persons have said of payments."""
    now: Callable[[], datetime]
    overdue: timedelta
    """A payment younger than this is in flight."""
    deadline: float
    """Seconds that a round of readings may take; a system that is late is silent."""
    window: timedelta = DAY
    """How far back payments are looked at."""


@dataclass(slots=True)
class Observer:
    """Looks again and again. One thread at a time may ask it; memory does not grow with the looks."""

    places: Places
    _glances: deque[Glance] = field(default_factory=deque)
    _tail: LogTail = field(default_factory=LogTail)
    _looked: bool = False
    _under_way: dict[str, threading.Lock] = field(default_factory=dict)

    def look(self) -> Observation:
        """Everything as it is now. Never raises a KcfixError: a system that is silent is in the observation."""
        places = self.places
        began = places.now()
        found = self._ask(
            {"Docker": self._read_docker, "Kafka": self._read_kafka, "database": lambda: places.database().identity()}
        )
        docker = cast("_Docker | KcfixError", found["Docker"])
        kafka = cast("LagReport | KcfixError", found["Kafka"])
        glance = Glance(
            at=places.now(),
            containers=None if isinstance(docker, KcfixError) else dict(docker.discovery.workers),
            groups=None if isinstance(kafka, KcfixError) else {g.group.group_id: g.lag for g in kafka.groups},
        )
        self._remember(glance)
        identity = found["database"]
        payments = identity if isinstance(identity, KcfixError) else self._read_payments(identity.now, docker, kafka)
        logs: Mapping[str, Reading[_Log]] = {} if isinstance(docker, KcfixError) else docker.logs
        entries: dict[str, Sequence[LogEntry] | None] = {
            s.worker: _entries(logs.get(s.worker)) for s in places.flow.stages
        }
        workers = worker_facts(places.flow, tuple(self._glances), entries, glance.at)
        self._looked = True
        at = places.now()
        return Observation(
            flow=places.flow,
            taken_at=at,
            took=at - began,
            docker=_reading(docker, lambda seen: _infrastructure(seen.discovery)),
            kafka=_reading(kafka),
            database=_reading(identity, lambda answer: answer.now),
            payments=_reading(payments),
            workers=workers,
            logs={w.stage.worker: _told(w.stage, logs.get(w.stage.worker), docker) for w in workers},
        )

    def _ask(self, tasks: Mapping[str, Callable[[], Any]]) -> Mapping[str, Any]:
        """The answers under the deadline. A task that still waits since an earlier look is not begun once more."""
        return run_readings({name: self._once(name, task) for name, task in tasks.items()}, self.places.deadline)

    def _once(self, name: str, task: Callable[[], T]) -> Callable[[], T]:
        lock = self._under_way.setdefault(name, threading.Lock())

        def run() -> T:
            if not lock.acquire(blocking=False):
                raise Unreachable(f"{name}: an earlier look still waits for an answer", system=name.lower())
            try:
                return task()
            finally:
                lock.release()

        return run

    def _remember(self, glance: Glance) -> None:
        """Keep what lies just long enough before the newest glance to tell a standstill from a gap, and few between."""
        glances = self._glances
        if len(glances) > 1 and glances[-1].at - glances[-2].at < SPACING:
            glances.pop()
        glances.append(glance)
        while len(glances) > 2 and glance.at - glances[1].at >= SETTLED:
            glances.popleft()
        while len(glances) > 1 and glance.at - glances[0].at > LONGEST_SAMPLE:
            glances.popleft()

    # readings

    def _read_kafka(self) -> LagReport:
        places = self.places
        return read_lag(places.kafka(), places.flow, places.now(), also=(places.flow.dead_letters,))

    def _read_docker(self) -> _Docker:
        docker, discovery = self.places.docker(), self.places.discovery()
        self._tail.keep_only([c for those in discovery.workers.values() for c in those])
        return _Docker(discovery, {w: self._read_log(docker, those) for w, those in discovery.workers.items()})

    def _read_log(self, docker: DockerPort, containers: Sequence[Container]) -> Reading[_Log]:
        try:
            entries, new = self._tail.read(docker, containers)
        except KcfixError as error:
            return Reading.unknown(error.message)
        return Reading(_Log(entries, sum(map(is_error, new)) if self._looked else None))

    def _read_payments(
        self, now: datetime, docker: _Docker | KcfixError, kafka: LagReport | KcfixError
    ) -> PaymentsSeen | KcfixError:
        places = self.places
        span = Span(now - places.window, now + AHEAD, now, places.overdue)
        sources = Sources(
            places.flow,
            places.database,
            _unless_silent(kafka, places.kafka),
            lambda: _purchase_containers(places.flow, docker),
            places.now,
        )
        task = {"payments": lambda: payments_seen(places.database(), sources, span, places.words())}
        return cast("PaymentsSeen | KcfixError", self._ask(task)["payments"])


@dataclass(frozen=True, slots=True)
class _Log:
    entries: tuple[LogEntry, ...]
    fresh: int | None


@dataclass(frozen=True, slots=True)
class _Docker:
    discovery: Discovery
    logs: Mapping[str, Reading[_Log]]
    """By worker."""


def payments_seen(
    database: DatabasePort, sources: Sources, span: Span, words: Mapping[PaymentId, Acknowledgement]
) -> PaymentsSeen:
    """The payments of the window by verdict, in one pass.

    Raises:
        Unreachable: the database fell silent. Refused: a table that is needed is missing.
    """
    tally = Tally()
    counts: Counter[VerdictKind] = Counter()
    without: Counter[VerdictKind] = Counter()
    since: dict[VerdictKind, datetime] = {}
    oldest: list[Finding] = []
    for finding in findings(database, sources, span, tally, words):
        if finding.acknowledged:
            continue
        kind, paid_at = finding.verdict.kind, finding.payment.paid_at
        counts[kind] += 1
        without[kind] += finding.verdict.purchase is None
        since[kind] = min(since.get(kind, paid_at), paid_at)
        if len(oldest) < OLDEST_PAYMENTS:
            oldest.append(finding)
    waiting = tuple(
        Waiting(kind, counts[kind], without[kind], tally.minor_of(kind), since[kind])
        for kind in VerdictKind
        if counts[kind]
    )
    return PaymentsSeen(span, tally.payments or 0, waiting, tuple(oldest), tally.in_flight, tally.acknowledged)


def _unless_silent(kafka: LagReport | KcfixError, ask: Callable[[], KafkaPort]) -> Callable[[], KafkaPort]:
    """Kafka, unless it was silent in this look already: it is not waited for a second time."""

    def answer() -> KafkaPort:
        if isinstance(kafka, KcfixError):
            raise Unreachable(kafka.message, system="kafka", hint=kafka.hint)
        return ask()

    return answer


def _purchase_containers(flow: Flow, docker: _Docker | KcfixError) -> WorkerContainers:
    if isinstance(docker, KcfixError):
        raise Unreachable(docker.message, system="docker", hint=docker.hint)
    log = docker.logs[flow.purchase_worker]
    if log.value is None:
        raise Unreachable(log.error or "its log was not read", system="docker")
    return WorkerContainers(docker.discovery.workers[flow.purchase_worker], log.value.entries)


def _entries(log: Reading[_Log] | None) -> tuple[LogEntry, ...] | None:
    return None if log is None or log.value is None else log.value.entries


def _infrastructure(discovery: Discovery) -> tuple[Container, ...]:
    return tuple(sorted((c for those in discovery.infrastructure.values() for c in those), key=lambda c: c.name))


def _told(stage: Stage, log: Reading[_Log] | None, docker: _Docker | KcfixError) -> Reading[WorkerLog]:
    if log is None or log.value is None:
        why = docker.message if isinstance(docker, KcfixError) else log.error if log else None
        return Reading.unknown(why or "not read")
    errors = [entry for entry in log.value.entries if is_error(entry)][-NEWEST_ERRORS:]
    return Reading(WorkerLog(tuple(_line(stage.worker, entry) for entry in errors), log.value.fresh))


def _line(worker: str, entry: LogEntry) -> ErrorLine:
    text = " ".join(clean(words_of(entry)).split())
    clipped = text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"
    return ErrorLine(entry.timestamp, worker, entry.container, clipped)


def _reading(found: T | KcfixError, take: Callable[[T], Any] = lambda value: value) -> Reading[Any]:
    return Reading.unknown(found.message) if isinstance(found, KcfixError) else Reading(take(found))
