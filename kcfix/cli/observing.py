"""Asks all systems at the same time what `status` and `doctor` look at; one that is silent is an error in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar, cast

from kcfix.core.judging.gather import Sources, WorkerContainers
from kcfix.core.judging.snapshot import Reading
from kcfix.core.logs.entry import LogEntry
from kcfix.core.ports.kafka import KafkaPort
from kcfix.core.setup.discovery import Discovery, discover
from kcfix.core.status.read import Glance, read_kafka, worker_facts
from kcfix.core.status.system import DatabaseFacts, KafkaFacts, Observed, PaymentsFacts
from kcfix.core.workers import Container
from kcfix.errors import KcfixError, Unreachable
from kcfix.services import Services

T = TypeVar("T")

GRACE = 5.0
"""Seconds that a reading may take beyond the adapters' own deadlines: libraries are imported in it, on a busy host."""
Tasks = Mapping[str, Callable[[], Any]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the systems said: a value or the error in its place."""

    glances: tuple[Glance, ...]
    """One, or the first and the last of a sample."""
    docker: Discovery | KcfixError
    kafka: KafkaFacts | KcfixError
    others: Mapping[str, Any]
    """What the caller's own tasks gave, at the last look."""

    @property
    def glance(self) -> Glance:
        """The last one."""
        return self.glances[-1]


def see(services: Services, sample: timedelta | None, tasks: Tasks) -> Seen:
    """One look at Docker and Kafka, with the caller's tasks beside it; or two, that far apart, the tasks at the last.

    The containers of the last look are those of the run (`services.discovery`), unless there was one before it.
    """
    first = None
    if sample is not None:
        first = _look(services, {}, partial(_discovery, services))
        services.progress(f"looked once; looking again in {sample.total_seconds():g} s")
        services.sleep(sample.total_seconds())
    last = _look(services, tasks, partial(_discovery, services) if first else lambda: services.discovery)
    return last if first is None else Seen((first.glance, last.glance), last.docker, last.kafka, last.others)


def _look(services: Services, tasks: Tasks, docker: Callable[[], Discovery]) -> Seen:
    asked: dict[str, Callable[[], Any]] = {
        "Docker": docker,
        "Kafka": lambda: read_kafka(services.kafka, services.flow),
        **tasks,
    }
    found = services.readings(asked, deadline=deadline(services))
    discovery = cast("Discovery | KcfixError", found["Docker"])
    kafka = cast("KafkaFacts | KcfixError", found["Kafka"])
    glance = Glance(
        at=services.now(),
        containers=None if isinstance(discovery, KcfixError) else {w: discovery.known(w) for w in discovery.workers},
        groups=None if isinstance(kafka, KcfixError) else {lag.group.group_id: lag for lag in kafka.groups},
    )
    return Seen((glance,), discovery, kafka, found)


def _discovery(services: Services) -> Discovery:
    """The containers as they are now, not as they were at the first look."""
    containers = services.docker.containers()
    silent = tuple(services.docker.silent().values())
    return discover(services.flow, containers, services.settings.project, silent=silent)


def deadline(services: Services) -> float:
    """Seconds that one round of readings may take."""
    settings = services.settings
    return (settings.timeout + settings.connect_timeout).total_seconds() + GRACE


def observed(
    services: Services,
    seen: Seen,
    logs: Mapping[str, Sequence[LogEntry] | None],
    database: DatabaseFacts | KcfixError,
    payments: PaymentsFacts | KcfixError,
) -> Observed:
    """All of it as one value. `logs` are the lines of each worker's containers, None where they were not read."""
    return Observed(
        flow=services.flow,
        taken_at=seen.glance.at,
        docker=reading(seen.docker, _infrastructure),
        kafka=reading(seen.kafka),
        database=reading(database),
        payments=reading(payments),
        workers=worker_facts(services.flow, seen.glances, dict(logs), seen.glance.at),
        silent_hosts=() if isinstance(seen.docker, KcfixError) else seen.docker.silent,
    )


def seen_sources(services: Services, seen: Seen, log: Sequence[LogEntry] | KcfixError) -> Sources:
    """Where payments' stories are read, from what has answered: a silent system is not waited for a second time.

    `log` are the lines of the purchase-worker's containers.
    """

    def kafka() -> KafkaPort:
        if isinstance(seen.kafka, KcfixError):
            raise Unreachable(seen.kafka.message, system="kafka", hint=seen.kafka.hint)
        return services.kafka

    def containers() -> WorkerContainers:
        if isinstance(log, KcfixError):
            raise Unreachable(log.message, system="docker", hint=log.hint)
        if isinstance(seen.docker, KcfixError):
            raise Unreachable(seen.docker.message, system="docker", hint=seen.docker.hint)
        found = seen.docker.workers.get(services.flow.purchase_worker, ())
        return WorkerContainers(found, tuple(log))

    return Sources(services.flow, lambda: services.database, kafka, containers, services.now)


def _infrastructure(discovery: Discovery) -> tuple[Container, ...]:
    return tuple(c for those in discovery.infrastructure.values() for c in those)


def reading(found: T | KcfixError, take: Callable[[T], Any] = lambda value: value) -> Reading[Any]:
    """The value as `take` gives it, or why there is none."""
    return Reading.unknown(found.message) if isinstance(found, KcfixError) else Reading(take(found))


def about_containers(services: Services, docker_error: str | None) -> list[str]:
    """What is doubtful about which containers are meant."""
    if docker_error is not None:
        return []
    discovery = services.discovery
    alike = ", ".join(name or "(none)" for name in discovery.alike)
    doubt = [f"several Compose projects look alike: {alike}; choose one with --project"] if alike else []
    return [*doubt, *discovery.disagreements]
