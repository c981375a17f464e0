"""Everything that the doctor looks at, read at once; a silent system is a reading with its error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, cast

from kcfix.cli.observing import Seen, deadline, observed, reading, see, seen_sources
from kcfix.core.doctor.examination import Examination, Host, PaymentsLooked, skew
from kcfix.core.doctor.read import by_worker, read_broker, read_engine, read_logs, read_payments, users_of
from kcfix.core.judging.snapshot import Reading
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.logs.container_log import ContainerLog
from kcfix.core.logs.entry import LogEntry
from kcfix.core.ports.health import DatabaseHealth
from kcfix.core.setup.discovery import Discovery
from kcfix.core.setup.dsn import database_address
from kcfix.core.setup.same_system import Apart, apart
from kcfix.core.status.read import read_database
from kcfix.core.status.system import DAY, DatabaseFacts, KafkaFacts, PaymentsFacts, Unpurchased
from kcfix.core.workers import Container
from kcfix.errors import KcfixError, Unreachable
from kcfix.services import Services
from kcfix.settings import Source

HAVE_PURCHASE = frozenset(
    {
        VerdictKind.DUPLICATE_PURCHASES,
        VerdictKind.WRONG_TIER,
        VerdictKind.UNANNOUNCED,
        VerdictKind.NO_ALLOCATION,
        VerdictKind.PENDING_ALLOCATION,
        VerdictKind.NO_SESSIONS,
    }
)
"""Verdicts on payments that a purchase belongs to: trouble after it, and not what `status` lists."""
IMPATIENT = timedelta(seconds=4)
"""A system that has not answered by then is silent, unless a setting allows it longer."""
Logs = Mapping[str, ContainerLog]


def examine(services: Services, sample: timedelta | None = None) -> tuple[Examination, tuple[KcfixError, ...]]:
    """One look, or two that far apart; and the errors of the systems that did not answer."""
    services.hurry(IMPATIENT)
    seen = see(
        services,
        sample,
        {
            "database": lambda: read_database(services.database),
            "health": partial(_health, services),
            "logs": partial(_logs, services),
        },
    )
    database: DatabaseFacts | KcfixError = seen.others["database"]
    health, database_skew = _timed(seen.others["health"])
    logs: Logs | KcfixError = seen.others["logs"]
    discovery = None if isinstance(seen.docker, KcfixError) else seen.docker
    entries = by_worker(services.flow, {} if discovery is None else discovery.workers, logs)
    later = services.readings(_later(services, seen, database, logs, entries), deadline=deadline(services))
    payments: PaymentsLooked | KcfixError = later["payments"]
    known = observed(
        services,
        seen,
        {s.worker: None if isinstance(logs, KcfixError) else entries[s.worker] for s in services.flow.stages},
        database,
        payments if isinstance(payments, KcfixError) else _as_status_sees(payments),
    )
    examination = Examination(
        observed=known,
        discovery=_docker(discovery, seen),
        logs=reading(logs),
        engine=reading(later["engine"]),
        broker=reading(later["broker"]),
        health=reading(health),
        payments=reading(payments),
        stuck=reading(later["stuck"]),
        host=_value(later["host"]) or Host(),
        sample=sample,
        before=_before(seen),
        database_skew=database_skew,
        database_container=_database_container(services, discovery),
    )
    errors = [e for e in (seen.kafka, database, seen.docker, payments) if isinstance(e, KcfixError)]
    return examination, tuple({e.message: e for e in errors}.values())


def _docker(discovery: Discovery | None, seen: Seen) -> Reading[Discovery]:
    return reading(seen.docker) if discovery is None else Reading(discovery)


def _later(
    services: Services,
    seen: Seen,
    database: DatabaseFacts | KcfixError,
    logs: Logs | KcfixError,
    entries: Mapping[str, list[LogEntry]],
) -> dict[str, Callable[[], Any]]:
    """What is asked once it is known who answers: nobody is waited for a second time."""
    purchase_log = logs if isinstance(logs, KcfixError) else entries[services.flow.purchase_worker]

    def broker() -> object:
        facts = _answered(seen.kafka, "kafka")
        return read_broker(services.kafka, services.flow, cast("KafkaFacts", facts), entries, services.now())

    def payments() -> object:
        facts = cast("DatabaseFacts", _answered(database, "database"))
        words = services.acknowledgements.read().by_payment
        now = facts.payments_identity.now
        sources = seen_sources(services, seen, purchase_log)
        return read_payments(services.database, sources, now, services.settings.overdue, words)

    def stuck() -> object:
        now = cast("DatabaseFacts", _answered(database, "database")).payments_identity.now
        return services.database.stuck_payments(now - 7 * DAY, now - timedelta(hours=1))

    def engine() -> object:
        found = cast("Discovery", _answered(seen.docker, "docker"))
        return read_engine(services.docker, _of(found), services.now)

    def host() -> object:
        return _host(services, None if isinstance(seen.docker, KcfixError) else seen.docker, seen.kafka)

    return {"broker": broker, "payments": payments, "stuck": stuck, "engine": engine, "host": host}


def _answered(found: object, system: str) -> object:
    if isinstance(found, KcfixError):
        raise Unreachable(found.message, system=system, hint=found.hint)
    return found


def _of(discovery: Discovery) -> tuple[Container, ...]:
    """Workers, broker's containers and payment-service."""
    every = [c for those in discovery.workers.values() for c in those]
    every += [c for those in discovery.infrastructure.values() for c in those]
    return tuple(sorted({c.id: c for c in (*every, *discovery.producers)}.values(), key=lambda c: c.name))


def _timed(found: Any) -> tuple[DatabaseHealth | KcfixError, timedelta | None]:
    return (found, None) if isinstance(found, KcfixError) else found


def _health(services: Services) -> tuple[DatabaseHealth, timedelta]:
    """With the users that the workers come as, where their containers tell; and how far its clock is ahead."""
    try:
        dsns = [one.dsn for one in services.discovery.configured]
    except KcfixError:
        dsns = []
    before, found = services.now(), services.database.health(users_of([*dsns, services.dsn[0]]))
    return found, skew(found.at, before, services.now())


def _logs(services: Services) -> Logs:
    return read_logs(services.docker, _of(services.discovery))


def _as_status_sees(looked: PaymentsLooked) -> PaymentsFacts:
    without = tuple(Unpurchased(f.payment, f.verdict) for f in looked.found if f.verdict.kind not in HAVE_PURCHASE)
    return PaymentsFacts(looked.since, without, looked.in_flight or 0, looked.cut)


def _before(seen: Seen) -> Mapping[str, Any]:
    first = seen.glances[0]
    if len(seen.glances) == 1 or first.groups is None:
        return {}
    return {group: lag.partitions for group, lag in first.groups.items()}


@dataclass(frozen=True, slots=True)
class _Own:
    brokers: tuple[str, ...]
    dsn: str | None
    discovered: frozenset[str] = frozenset()


def _own(services: Services) -> _Own:
    try:
        (brokers, one), (dsn, other) = services.brokers, services.dsn
        origins = {"kafka": one, "database": other}
        return _Own(brokers, dsn, frozenset(s for s, o in origins.items() if o.source is Source.DISCOVERED))
    except KcfixError:
        return _Own((), None)


def _host(services: Services, discovery: Discovery | None, kafka: KafkaFacts | KcfixError) -> Host:
    own = _own(services)
    address = database_address(own.dsn) if own.dsn else None
    elsewhere: tuple[Apart, ...] = ()
    files: Mapping[str, Any] = {}
    if discovery is not None:
        addresses = {**discovery.addresses, **services.settings.address_map}
        elsewhere = apart(discovery.configured, own.brokers, own.dsn, addresses)
        files = services.modified_at(_files(discovery))
    advertised = () if isinstance(kafka, KcfixError) else tuple(sorted({b.host for b in kafka.cluster.brokers}))
    return Host(
        brokers=own.brokers,
        database=str(address) if address else None,
        apart=elsewhere,
        discovered=own.discovered,
        unresolved=tuple(host for host in advertised if not services.resolves(host)),
        files=files,
    )


FILES_LABEL = "com.docker.compose.project.config_files"
FOLDER_LABEL = "com.docker.compose.project.working_dir"
ENV_FILES_LABEL = "com.docker.compose.project.environment_file"


def _files(discovery: Discovery) -> tuple[str, ...]:
    """The Compose files and env files that containers say they were made from."""
    found: set[str] = set()
    for container in _of(discovery):
        for label in (FILES_LABEL, ENV_FILES_LABEL):
            found |= {path for path in container.labels.get(label, "").split(",") if path}
        folder = container.labels.get(FOLDER_LABEL)
        if folder:
            found |= {f"{folder}/.env", f"{folder}/.env.{container.environment.get('NODE_ENV', 'production')}"}
    return tuple(sorted(found))


def _database_container(services: Services, discovery: Discovery | None) -> Container | None:
    """The container that answers to the database's host name in the workers' networks."""
    dsn = _own(services).dsn
    dsns = [dsn, *(one.dsn for one in discovery.configured)] if discovery is not None else []
    hosts = {str(a.host) for d in dsns if d and (a := database_address(d)) is not None}
    ports = {f"127.0.0.1:{a.port}" for d in dsns if d and (a := database_address(d)) is not None}
    if discovery is None:
        return None
    ours = {c.id for c in _of(discovery)}
    networks = {n for c in _of(discovery) for n in c.networks}
    near = [c for c in services.containers if c.id not in ours and networks & set(c.networks)]
    named = [c for c in near if hosts & set(c.aliases)]
    return next(iter([*named, *(c for c in near if ports & set(c.published.values()))]), None)


def _value(found: Any) -> Any:
    return None if isinstance(found, KcfixError) else found
