"""How well each part of the system is, and everything that is not well, worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from kcfix.core.judging import standby
from kcfix.core.offsets import GroupLag, GroupState, LagState
from kcfix.core.ports.database import IndexState
from kcfix.core.status.system import Health, Observed, WorkerFacts, worst
from kcfix.core.workers import Container, ContainerState
from kcfix.core.working.worker import Sure, WorkState


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
    for text in observed.silent_hosts:
        yield Finding(Health.UNKNOWN, "Docker", f"{text}; what runs there is unknown", 0)
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
    database = observed.database.value
    if database is not None and database.behind is not None:
        yield Finding(Health.UNKNOWN, "payments", f"{what}; the standby that says so may lack their purchases", 1)
    else:
        yield Finding(Health.BAD, "payments", what, 1)


def worker_health(worker: WorkerFacts) -> Health:
    """How well a worker is. An optional one is never worse than CAUTION."""
    health = _required_health(worker)
    return health if worker.stage.required or health is Health.GOOD else Health.CAUTION


def _required_health(worker: WorkerFacts) -> Health:
    match worker.work.state:
        case WorkState.WORKING | WorkState.IDLE:
            return Health.GOOD
        case WorkState.NOT_WORKING:
            return Health.BAD
        case WorkState.UNKNOWN:
            return Health.BAD if worker.containers == () else Health.UNKNOWN
        case WorkState.UNPROVEN:
            return _unproven_health(worker)


def _unproven_health(worker: WorkerFacts) -> Health:
    if worker.lag is not None and worker.lag.group.is_rebalancing:
        return Health.UNKNOWN
    # Without Docker nothing can vouch for a member: what is unclear for that reason is unknown.
    blind = {"container", "steady", "member", "alive"} if worker.containers is None else set()
    vital = {s.sure for s in worker.work.signs if s.name not in ("consumed", "nothing_waits") and s.name not in blind}
    if Sure.UNCLEAR in vital:
        return Health.BAD
    if blind or Sure.UNKNOWN in vital:
        return Health.UNKNOWN
    waits = worker.lag is not None and worker.lag.known_lag_records > 0
    return Health.BAD if waits else Health.CAUTION


def _workers(observed: Observed) -> Iterator[Finding]:
    for position, worker in enumerate(observed.workers):
        health = worker_health(worker)
        if health is Health.GOOD:
            continue
        rebalancing = worker.lag is not None and worker.lag.group.is_rebalancing
        if (
            health is Health.UNKNOWN
            and not rebalancing
            and (observed.docker.error or observed.kafka.error or observed.silent_hosts)
        ):
            continue  # the silent system is the finding; the worker's row says UNKNOWN
        yield Finding(health, worker.stage.worker, _worker_words(worker), 2 if position == 0 else 3)


def _worker_words(worker: WorkerFacts) -> str:
    if worker.containers == () and worker.work.state is WorkState.UNKNOWN:
        return "missing: Docker knows no container of it"
    order = [Sure.NO, Sure.UNCLEAR, Sure.UNKNOWN, Sure.YES]
    sure = {sign.text: order.index(sign.sure) for sign in worker.work.signs}
    weightiest = min(worker.work.reasons, key=lambda text: sure.get(text, len(order)))
    return f"{worker.work.summary}: {weightiest}"


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


def shown_groups(observed: Observed) -> tuple[GroupLag, ...]:
    """The groups of the workers that are shown, in the flow's order; empty where Kafka did not answer."""
    shown = {w.stage.group for w in observed.workers}
    kafka = observed.kafka.value
    return () if kafka is None else tuple(lag for lag in kafka.groups if lag.group.group_id in shown)


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
    for lag in shown_groups(observed):
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
        text = f"no committed offset on {where}: a plain restart skips the {count} records there"
        yield Finding(Health.CAUTION, group.group_id, text, 5)


def _database(observed: Observed) -> Iterator[Finding]:
    database = observed.database.value
    if database is None:
        return
    tables = {"payments", "purchases", "events", "allocations", "sessions"}
    missing = sorted(tables - database.schema.tables)
    if missing:
        yield Finding(Health.BAD, "database", f"tables are missing: {', '.join(missing)}", 2)
    if database.behind is not None:
        yield Finding(Health.UNKNOWN, "database", standby.told(database.behind, database.identity.now), 0)
    if database.identity.read_only:
        why = " (a standby)" if database.identity.standby else ""
        yield Finding(Health.BAD, "database", f"{database.identity.label} can't be written to{why}", 2)
    index = database.schema.unique_active_purchase
    if index in (IndexState.MISSING, IndexState.INVALID):
        text = f"unique_active_purchase is {index}: against writers that take no lock nothing stops a second purchase"
        yield Finding(Health.CAUTION, "database", text, 6)


def all_well(observed: Observed) -> bool:
    """Whether there is nothing worse than CAUTION, every system answered and every worker does its work."""
    readings = (observed.docker, observed.kafka, observed.database, observed.payments)
    if observed.silent_hosts or any(reading.error for reading in readings):
        return False
    healths = [f.health for f in findings(observed)] + [worker_health(w) for w in observed.workers]
    return worst(iter(healths)) in (Health.GOOD, Health.CAUTION)
