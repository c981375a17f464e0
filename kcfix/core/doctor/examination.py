"""Everything that the doctor looks at, read once. Pure: `kcfix.core.doctor.read` fills it, rules conclude from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kcfix.core.doctor.diagnosis import Need
from kcfix.core.events import DeadLetter
from kcfix.core.judging.snapshot import Head, Reading
from kcfix.core.logs.container_log import ContainerLog
from kcfix.core.logs.entry import LogEntry
from kcfix.core.missing import Finding as PaymentFinding
from kcfix.core.offsets import Group, PartitionLag, TopicPartition
from kcfix.core.ports.health import DatabaseHealth, StuckPayments
from kcfix.core.ports.kafka import TopicConfig
from kcfix.core.setup.discovery import Discovery
from kcfix.core.setup.same_system import Apart
from kcfix.core.status.system import Observed, WorkerFacts
from kcfix.core.workers import Container, ContainerEvent
from kcfix.flow import Flow, Stage


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What Docker says beyond its containers."""

    skew: timedelta = timedelta(0)
    """How far its clock is ahead of this host's, as far as the asking itself leaves that open."""
    events: tuple[ContainerEvent, ...] = ()
    """Oldest first, as far as the engine remembers."""
    images: Mapping[str, str] = field(default_factory=dict)
    """By name: the id of the image that it stands for now."""


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """What Kafka says beyond the groups of the flow. Empty where a right is missing (`denied`)."""

    configs: Mapping[str, TopicConfig] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of one broker."""
    groups: Mapping[str, Group] = field(default_factory=dict)
    """Every group of the cluster."""
    read_topics: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By group: topics that it subscribes to, holds, or has committed on."""
    heads: Mapping[tuple[str, TopicPartition], Head] = field(default_factory=dict)
    """By group: the record at the committed offset of each partition on which something waits."""
    written_at: Mapping[tuple[str, TopicPartition], datetime] = field(default_factory=dict)
    """When these records were written."""
    letters: tuple[DeadLetter, ...] = ()
    """Dead letters of the last 24 hours, oldest first; of each partition the newest few hundred."""
    letters_error: str | None = None
    recent: Mapping[TopicPartition, int] = field(default_factory=dict)
    """Offsets written in the last ten minutes, for the topics that the flow's groups read."""
    newest: Mapping[TopicPartition, datetime] = field(default_factory=dict)
    """Timestamp of the last record."""
    denied: tuple[str, ...] = ()
    """What could not be read, and why."""


@dataclass(frozen=True, slots=True)
class PaymentsLooked:
    """The payments of the last 24 hours, as `missing` sees them."""

    since: datetime
    payments: int
    """Succeeded ones, settled or not."""
    found: tuple[PaymentFinding, ...]
    """Overdue and not well, oldest first; without those that a person has acknowledged."""
    in_flight: int | None
    """None where it was not read to the end."""
    cut: bool = False
    """Whether there are more than were read: these are the oldest."""


@dataclass(frozen=True, slots=True)
class Host:
    """What this host knows: how kcfix reaches the systems, and what lies beside the containers."""

    brokers: tuple[str, ...] = ()
    """kcfix's own."""
    database: str | None = None
    """host:port/name of kcfix's own."""
    apart: tuple[Apart, ...] = ()
    """Containers that are configured with another system than kcfix talks to."""
    discovered: frozenset[str] = frozenset()
    """Of `kafka` and `database`: those whose address kcfix has from a container."""
    unresolved: tuple[str, ...] = ()
    """Hosts that brokers advertise and that this host can't resolve."""
    files: Mapping[str, datetime] = field(default_factory=dict)
    """When the Compose files and env files that containers were made from were last written, by path."""


@dataclass(frozen=True, slots=True)
class Examination:
    """One look at the whole system, or two of a sample."""

    observed: Observed
    """As `status` sees it."""
    discovery: Reading[Discovery]
    logs: Reading[Mapping[str, ContainerLog]]
    """By container name, in time order, since its start: workers and payment-service."""
    engine: Reading[EngineFacts]
    broker: Reading[BrokerFacts]
    health: Reading[DatabaseHealth]
    payments: Reading[PaymentsLooked]
    stuck: Reading[StuckPayments]
    host: Host = Host()
    sample: timedelta | None = None
    before: Mapping[str, tuple[PartitionLag, ...]] = field(default_factory=dict)
    """By group: its partitions at the first look of a sample; empty without one."""
    database_skew: timedelta | None = None
    """How far the database's clock is ahead of this host's; None: not known."""
    database_container: Container | None = None
    """The container in which the database runs, where it is one of this engine's."""

    @property
    def flow(self) -> Flow:
        """Names of the system."""
        return self.observed.flow

    @property
    def at(self) -> datetime:
        """When it was looked at, by this host's clock."""
        return self.observed.taken_at

    @property
    def workers(self) -> Sequence[WorkerFacts]:
        """The workers, as `status` shows them."""
        return self.observed.workers

    @property
    def containers(self) -> tuple[Container, ...]:
        """All containers of the flow: workers, broker, payment-service; empty where Docker did not answer."""
        found = self.discovery.value
        if found is None:
            return ()
        every = {c.id: c for those in found.workers.values() for c in those}
        every |= {c.id: c for those in found.infrastructure.values() for c in those}
        every |= {c.id: c for c in found.producers}
        return tuple(sorted(every.values(), key=lambda c: c.name))

    def silence(self, need: Need) -> str | None:
        """Why this need is not met; None where it answered."""
        reading: Reading[object] = {
            Need.DOCKER: self.discovery,
            Need.LOGS: self.logs,
            Need.KAFKA: self.observed.kafka,
            Need.BROKER: self.broker,
            Need.DATABASE: self.observed.database,
            Need.HEALTH: self.health,
            Need.PAYMENTS: self.payments,
        }[need]  # type: ignore[assignment]
        return reading.error

    def worker(self, stage: Stage) -> WorkerFacts | None:
        """The worker of a stage; None where it is optional and there is no trace of it."""
        return next((w for w in self.workers if w.stage.name == stage.name), None)

    def lags(self, stage: Stage) -> tuple[PartitionLag, ...]:
        """The stage's group on its partitions; empty where Kafka did not answer."""
        kafka = self.observed.kafka.value
        return next((g.partitions for g in kafka.groups if g.group.group_id == stage.group), ()) if kafka else ()

    def log(self, container: Container, *, all_lives: bool = False) -> ContainerLog:
        """What the container logged since its start, or in all of its lives; empty where that was not read."""
        found = (self.logs.value or {}).get(container.name, ContainerLog())
        return found if all_lives else found.since(container.started_at)

    def entries(self, containers: Iterable[Container]) -> tuple[LogEntry, ...]:
        """What these containers logged since their start, in time order."""
        return _in_order(e for c in containers for e in self.log(c).entries)

    def earlier_entries(self, containers: Iterable[Container]) -> tuple[LogEntry, ...]:
        """The same, with what earlier lives of these containers logged."""
        return _in_order(e for c in containers for e in self.log(c, all_lives=True).entries)

    def events_of(self, container: Container) -> tuple[ContainerEvent, ...]:
        """What happened to the container, oldest first; empty where the engine does not remember.

        An earlier container of the same name is another one.
        """
        engine, made = self.engine.value, container.created_at
        every = engine.events if engine is not None else ()
        return tuple(e for e in every if e.container == container.name and (made is None or e.at >= made))


def skew(there: datetime, before: datetime, after: datetime) -> timedelta:
    """How far a clock is ahead of this host's, which was read before and after it was asked; 0 if it lies between.

    >>> from datetime import UTC
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> skew(at + timedelta(seconds=7), at, at + timedelta(seconds=2))
    datetime.timedelta(seconds=5)
    """
    if there < before:
        return there - before
    return max(timedelta(0), there - after)


def _in_order(entries: Iterable[LogEntry]) -> tuple[LogEntry, ...]:
    return tuple(sorted(entries, key=lambda e: e.timestamp))
