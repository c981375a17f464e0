"""The whole system at one moment, and what is not well about it, worst first.

Pure: `kcfix.core.status_read` fills an `Observed`, `findings` judges it, `kcfix.core.status_next` says what to do. A
system that did not answer is a `Reading` with an error, and makes a finding of its own; nothing is concluded from it.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from kcfix.core.offsets import GroupLag, GroupState, LagState
from kcfix.core.payments import Payment, PaymentId
from kcfix.core.ports import Cluster, DatabaseIdentity, IndexState, SchemaFacts, Topic
from kcfix.core.remedy import REMEDIES, Remedy
from kcfix.core.snapshot import Reading
from kcfix.core.verdict import Verdict, VerdictKind
from kcfix.core.workers import Container, ContainerState
from kcfix.core.working import Sure, Work, WorkState
from kcfix.flow import Flow, Stage


class Health(enum.StrEnum):
    """How well something is, the worst first."""

    BAD = "BAD"
    UNKNOWN = "UNKNOWN"
    CAUTION = "CAUTION"
    """Worth knowing and no alarm: `status` still ends with 0."""
    GOOD = "GOOD"

    @property
    def rank(self) -> int:
        """0 for the worst, to sort by."""
        return list(Health).index(self)


def worst(healths: Iterator[Health]) -> Health:
    """The worst of them; GOOD where there is none."""
    return min(healths, key=lambda h: h.rank, default=Health.GOOD)


@dataclass(frozen=True, slots=True)
class KafkaFacts:
    """What the cluster said. `groups` has one entry for each stage of the flow, in its order."""

    cluster: Cluster
    topics: Mapping[str, Topic]
    groups: tuple[GroupLag, ...]


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """Which databases answered, and what they hold."""

    identity: DatabaseIdentity
    payments_identity: DatabaseIdentity
    """The same as `identity` unless payments live elsewhere."""
    schema: SchemaFacts


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """One worker of the flow: its containers, its group and whether it works."""

    stage: Stage
    containers: tuple[Container, ...] | None
    """Empty: Docker knows none. None: Docker did not answer."""
    lag: GroupLag | None
    """None: Kafka did not answer."""
    work: Work


@dataclass(frozen=True, slots=True)
class Unpurchased:
    """A succeeded, overdue payment that no purchase belongs to."""

    payment: Payment
    verdict: Verdict | None
    """None: not looked into, because there are too many."""

    @property
    def kind(self) -> VerdictKind | None:
        """The verdict's kind, None if there is none."""
        return self.verdict.kind if self.verdict else None

    @property
    def remedy(self) -> Remedy | None:
        """What `repair` would do by itself, None if there is no verdict."""
        return REMEDIES[self.verdict.kind] if self.verdict else None


@dataclass(frozen=True, slots=True)
class PaymentsFacts:
    """The succeeded payments of a stretch of time that have no purchase."""

    since: datetime
    unpurchased: tuple[Unpurchased, ...]
    """Overdue ones, oldest first."""
    in_flight: int
    """Younger ones without a purchase: on their way, no finding."""
    cut: bool = False
    """Whether there may be more: only the oldest were read."""

    @property
    def ids(self) -> tuple[PaymentId, ...]:
        """Of all overdue ones, oldest first."""
        return tuple(u.payment.id for u in self.unpurchased)


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that was read, and what did not answer."""

    flow: Flow
    taken_at: datetime
    docker: Reading[tuple[Container, ...]]
    """Containers of the broker (broker, ZooKeeper, topic set-up), sorted by name."""
    kafka: Reading[KafkaFacts]
    database: Reading[DatabaseFacts]
    payments: Reading[PaymentsFacts]
    workers: tuple[WorkerFacts, ...]
    """Stages of the flow in order; an optional one only if there is a trace of it."""

    @property
    def could_say_nothing(self) -> bool:
        """Whether not one of the systems answered."""
        return not any(r.error is None for r in (self.docker, self.kafka, self.database))


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be."""

    health: Health
    subject: str
    """What it is about: a system, a worker, a group."""
    text: str
    """What is the case, in one sentence."""
    weight: int = 9
    """Order among findings: the smaller, the earlier. 0: a system is silent, so that much else can't be known."""


def findings(observed: Observed) -> tuple[Finding, ...]:
    """Everything that is not GOOD, worst first."""
    found = [
        *_silent(observed),
        *_payments(observed),
        *_workers(observed),
        *_infrastructure(observed),
        *_kafka(observed),
        *_database(observed),
    ]
    return tuple(sorted(found, key=lambda f: (f.health is Health.CAUTION, f.weight, f.health.rank)))


def _silent(observed: Observed) -> Iterator[Finding]:
    for name, reading in (("Kafka", observed.kafka), ("database", observed.database), ("Docker", observed.docker)):
        if reading.error is not None:
            # Errors name their system themselves, for they are also shown alone.
            yield Finding(Health.UNKNOWN, name, reading.error.removeprefix(f"{name}: "), 0)
    if observed.database.error is None and observed.payments.error is not None:
        yield Finding(Health.UNKNOWN, "payments", observed.payments.error, 0)


def _payments(observed: Observed) -> Iterator[Finding]:
    payments = observed.payments.value
    if payments is None or not payments.unpurchased:
        return
    count = len(payments.unpurchased)
    kinds = Counter(str(u.kind or "not looked into") for u in payments.unpurchased)
    told = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items(), key=lambda k: (-k[1], k[0])))
    more = "at least " if payments.cut else ""
    what = f"{more}{count} paid and without a purchase: {told}"
    yield Finding(Health.BAD, "payments", what, 1)


def worker_health(worker: WorkerFacts) -> Health:
    """How well a worker is. An optional one is never worse than CAUTION."""
    health = _required_health(worker)
    return health if worker.stage.required or health is Health.GOOD else Health.CAUTION


def _required_health(worker: WorkerFacts) -> Health:
    signs = {sign.name: sign.sure for sign in worker.work.signs}
    match worker.work.state:
        case WorkState.WORKING | WorkState.IDLE:
            return Health.GOOD
        case WorkState.NOT_WORKING:
            return Health.BAD
        case WorkState.UNKNOWN:
            return Health.BAD if worker.containers == () else Health.UNKNOWN
        case WorkState.UNPROVEN:
            vital = {sure for name, sure in signs.items() if name not in ("consumed", "nothing_waits")}
            if Sure.UNCLEAR in vital:
                return Health.BAD
            if Sure.UNKNOWN in vital:
                return Health.UNKNOWN
            waits = worker.lag is not None and worker.lag.known_lag_records > 0
            return Health.BAD if waits else Health.CAUTION


def _workers(observed: Observed) -> Iterator[Finding]:
    for position, worker in enumerate(observed.workers):
        health = worker_health(worker)
        if health is Health.GOOD:
            continue
        if health is Health.UNKNOWN and (observed.docker.error or observed.kafka.error):
            continue  # the silent system is the finding; the worker's row says UNKNOWN
        yield Finding(health, worker.stage.worker, _worker_words(worker), 2 if position == 0 else 3)


def _worker_words(worker: WorkerFacts) -> str:
    if worker.containers == () and worker.work.state is WorkState.UNKNOWN:
        return "missing: Docker knows no container of it"
    return f"{worker.work.summary}: {'; '.join(worker.work.reasons)}"


def container_health(container: Container) -> Health:
    """How well a container is that has no group to show its work: the broker's own, or the topic set-up that ends."""
    if container.state in (ContainerState.UNKNOWN, ContainerState.REMOVING):
        return Health.UNKNOWN
    if not container.running:
        done = container.restart_policy == "no" and container.state is ContainerState.EXITED
        return Health.GOOD if done and container.exit_code == 0 else Health.BAD
    if container.health == "unhealthy":
        return Health.BAD
    return Health.CAUTION if container.health == "starting" else Health.GOOD


def container_words(container: Container) -> str:
    """State, and how it ended where it did: `EXITED 137, out of memory`."""
    words = container.state.value
    if container.running or container.state is ContainerState.PAUSED:
        return f"{words} {container.health}" if container.health else words
    if container.exit_code is not None and container.state is not ContainerState.CREATED:
        words += f" {container.exit_code}"
    return f"{words}, out of memory" if container.oom_killed else words


def _infrastructure(observed: Observed) -> Iterator[Finding]:
    for container in observed.docker.value or ():
        health = container_health(container)
        if health is not Health.GOOD:
            yield Finding(health, container.name, f"container {container_words(container)}", 1)


def group_health(lag: GroupLag) -> Health:
    """How well a group's offsets are; whether its members work is the worker's matter."""
    if lag.group.error or lag.group.state is GroupState.UNKNOWN:
        return Health.UNKNOWN
    states = {p.state for p in lag.partitions}
    if states & {LagState.LOST, LagState.AHEAD}:
        return Health.BAD
    if LagState.UNKNOWN in states:
        return Health.UNKNOWN
    if any(p.skipped_by_latest for p in lag.partitions) or lag.group.state is not GroupState.STABLE:
        return Health.CAUTION
    return Health.GOOD


def missing_topics(observed: Observed) -> tuple[str, ...]:
    """Expected topics that the cluster does not have, in the flow's order; empty where it did not answer."""
    kafka = observed.kafka.value
    return () if kafka is None else tuple(t for t in observed.flow.topics if t not in kafka.topics)


def _kafka(observed: Observed) -> Iterator[Finding]:
    kafka = observed.kafka.value
    if kafka is None:
        return
    missing = missing_topics(observed)
    if missing:
        yield Finding(Health.BAD, "Kafka", f"expected topics are missing: {', '.join(missing)}", 2)
    expected = set(observed.flow.topics)
    leaderless = [
        f"{t.name}-{p.partition}"
        for t in kafka.topics.values()
        for p in t.partitions
        if t.name in expected and p.leader is None
    ]
    if leaderless:
        yield Finding(Health.BAD, "Kafka", f"without a leader: {', '.join(sorted(leaderless))}", 2)
    for lag in kafka.groups:
        yield from _group(lag)


def _group(lag: GroupLag) -> Iterator[Finding]:
    group = lag.group
    if group.error:
        yield Finding(Health.UNKNOWN, group.group_id, group.error, 4)
    for p in lag.partitions:
        if p.state is LagState.LOST:
            text = f"{p.partition}: {p.lost_records} records were deleted before they were read"
            yield Finding(Health.BAD, group.group_id, text, 4)
        elif p.state is LagState.AHEAD:
            text = f"{p.partition}: committed {p.committed_offset} lies beyond the log end {p.log_end_offset}"
            yield Finding(Health.BAD, group.group_id, text, 4)
        elif p.state is LagState.UNKNOWN:
            yield Finding(Health.UNKNOWN, group.group_id, f"{p.partition}: {p.error}", 4)
    risky = [p for p in lag.partitions if p.state is LagState.UNCOMMITTED and p.skipped_by_latest]
    if risky:
        count = sum(p.skipped_by_latest or 0 for p in risky)
        where = ", ".join(str(p.partition) for p in risky)
        text = f"no committed offset on {where}: a plain restart begins behind all {count} records there"
        yield Finding(Health.CAUTION, group.group_id, text, 5)


def _database(observed: Observed) -> Iterator[Finding]:
    database = observed.database.value
    if database is None:
        return
    tables = {"payments", "purchases", "events", "allocations", "sessions"}
    missing = sorted(tables - database.schema.tables)
    if missing:
        yield Finding(Health.BAD, "database", f"tables are missing: {', '.join(missing)}", 2)
    if database.identity.read_only:
        yield Finding(Health.BAD, "database", f"{database.identity.label} can't be written to", 2)
    index = database.schema.unique_active_purchase
    if index in (IndexState.MISSING, IndexState.INVALID):
        text = f"unique_active_purchase is {index}: against writers that take no lock nothing stops a second purchase"
        yield Finding(Health.CAUTION, "database", text, 6)


def all_well(observed: Observed) -> bool:
    """Whether there is nothing worse than CAUTION, every system answered and every worker does its work."""
    if observed.docker.error or observed.kafka.error or observed.database.error or observed.payments.error:
        return False
    healths = [f.health for f in findings(observed)] + [worker_health(w) for w in observed.workers]
    return worst(iter(healths)) in (Health.GOOD, Health.CAUTION)


DAY = timedelta(hours=24)
"""How far back status looks for payments without a purchase."""
