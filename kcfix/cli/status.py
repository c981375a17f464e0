"""`kcfix status`: everything on one screen, worst first, with what to do next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, TypeVar, cast

import typer

from kcfix.cli.context import problem, services_of
from kcfix.cli.invocation import invocation
from kcfix.cli.status_rows import rows, summary
from kcfix.cli.status_view import ROOMY, SHOWN, sections
from kcfix.core.discovery import Discovery, discover
from kcfix.core.gather import Sources, WorkerContainers
from kcfix.core.logentry import LogEntry
from kcfix.core.ports import DatabasePort, KafkaPort
from kcfix.core.snapshot import Reading
from kcfix.core.status import DAY, DatabaseFacts, KafkaFacts, Observed, PaymentsFacts
from kcfix.core.status_findings import all_well
from kcfix.core.status_next import next_steps
from kcfix.core.status_read import (
    Glance,
    WithoutPurchase,
    judged,
    read_database,
    read_kafka,
    read_without_purchase,
    without_acknowledged,
    worker_facts,
)
from kcfix.core.times import parse_duration
from kcfix.core.worker_lines import newest_lines
from kcfix.core.workers import Container
from kcfix.errors import NOT_WELL, OK, KcfixError, Unreachable, UsageError
from kcfix.render.style import Format
from kcfix.render.view import View
from kcfix.services import Services

T = TypeVar("T")

GRACE = 5.0
"""Seconds that a reading may take beyond the adapters' own deadlines: libraries are imported in it, on a busy host."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `kcfix status` was asked."""

    sample: timedelta | None = None
    """Look twice, that far apart; None: once."""


def command(
    ctx: typer.Context,
    sample: Annotated[
        str | None,
        typer.Option("--sample", metavar="TIME", help="Look twice, so far apart: 60s settles what one look can't."),
    ] = None,
) -> View:
    """All systems are asked at the same time; one that does not answer is shown as UNKNOWN, and the rest still appears.

    Shown are the workers and whether they work, the broker's containers, Kafka, the groups, the database, and every
    payment of the last 24 hours that has no purchase. With -q only the ids of those payments, oldest first.

    Exit code: 0 all well; 1 not well, or a system is silent; 4 nothing could be said, with -q about payments.

    Examples:
        kcfix status
        kcfix status --sample 60s
        kcfix status -q | kcfix repair -
        kcfix status --json
    """
    return run(Options(_sample(sample) if sample else None), services_of(ctx))


def _sample(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--sample: {error}") from None


def run(options: Options, services: Services) -> View:
    """Look, and show."""
    observed, errors = observe(options, services)
    style = services.style()
    everything = services.verbosity > 0 or style.format is not Format.TABLE
    roomy = style.width is None or style.width >= ROOMY
    payments = observed.payments.value
    silent = observed.could_say_nothing or (services.quiet and payments is None)
    warnings = [] if payments is None or not payments.cut else ["there are more payments than were read"]
    warnings += services.acknowledgements.read().problems
    warnings += _about_containers(services, observed)
    return View(
        schema="status",
        sections=sections(
            observed,
            services.zone,
            shown=None if everything else SHOWN,
            reasons=roomy,
            kcfix=invocation(services),
        ),
        data=list(rows(observed)),
        summary=summary(observed),
        warnings=tuple(warnings),
        errors=tuple(problem(error) for error in errors),
        next=next_steps(observed),
        ids=payments.ids if payments else (),
        exit_code=Unreachable.code if silent else OK if all_well(observed) else NOT_WELL,
    )


def _about_containers(services: Services, observed: Observed) -> list[str]:
    """What is doubtful about which containers are meant."""
    if observed.docker.error is not None:
        return []
    discovery = services.discovery
    alike = ", ".join(name or "(none)" for name in discovery.alike)
    doubt = [f"several Compose projects look alike: {alike}; choose one with --project"] if alike else []
    return [*doubt, *discovery.disagreements]


@dataclass(frozen=True, slots=True)
class _Look:
    """What the systems said at one moment, each a value or its error."""

    glance: Glance
    docker: Discovery | KcfixError
    kafka: KafkaFacts | KcfixError
    others: Mapping[str, Any]


def observe(options: Options, services: Services) -> tuple[Observed, tuple[KcfixError, ...]]:
    """Everything, and the errors of the systems that did not answer."""
    first = None
    if options.sample is not None:
        first = _look(services, {}, partial(_discovery, services))
        services.progress(f"looked once; looking again in {options.sample.total_seconds():g} s")
        services.sleep(options.sample.total_seconds())
    tasks: dict[str, Callable[[], Any]] = {
        "database": partial(_read_database, services),
        **{f"log of {s.worker}": partial(_read_log, services, s.worker) for s in services.flow.stages},
    }
    look = _look(services, tasks, partial(_discovery, services) if first else lambda: services.discovery)
    database: _Database | KcfixError = look.others["database"]
    without = database.without if isinstance(database, _Database) else database
    logs = {s.worker: _value(look.others[f"log of {s.worker}"]) for s in services.flow.stages}
    payments: PaymentsFacts | KcfixError = (
        without if isinstance(without, KcfixError) else _judged(services, look, without)
    )
    glances = [look.glance] if first is None else [first.glance, look.glance]
    observed = Observed(
        flow=services.flow,
        taken_at=look.glance.at,
        docker=_reading(look.docker, _infrastructure),
        kafka=_reading(look.kafka, lambda facts: facts),
        database=_reading(database, lambda read: read.facts),
        payments=_reading(payments, lambda facts: facts),
        workers=worker_facts(services.flow, glances, logs, look.glance.at),
    )
    found = [e for e in (look.kafka, database, look.docker, payments) if isinstance(e, KcfixError)]
    return observed, tuple({e.message: e for e in found}.values())


def _look(services: Services, tasks: Mapping[str, Callable[[], Any]], docker: Callable[[], Discovery]) -> _Look:
    asked: dict[str, Callable[[], Any]] = {
        "Docker": docker,
        "Kafka": lambda: read_kafka(services.kafka, services.flow),
        **tasks,
    }
    found = services.readings(asked, deadline=_deadline(services))
    discovery = cast("Discovery | KcfixError", found["Docker"])
    kafka = cast("KafkaFacts | KcfixError", found["Kafka"])
    glance = Glance(
        at=services.now(),
        containers=None if isinstance(discovery, KcfixError) else dict(discovery.workers),
        groups=None if isinstance(kafka, KcfixError) else {lag.group.group_id: lag for lag in kafka.groups},
    )
    return _Look(glance, discovery, kafka, found)


def _deadline(services: Services) -> float:
    settings = services.settings
    return (settings.timeout + settings.connect_timeout).total_seconds() + GRACE


def _discovery(services: Services) -> Discovery:
    """The containers as they are now, not as they were at the first look."""
    return discover(services.flow, services.docker.containers(), services.settings.project)


def _infrastructure(discovery: Discovery) -> tuple[Container, ...]:
    return tuple(c for those in discovery.infrastructure.values() for c in those)


@dataclass(frozen=True, slots=True)
class _Database:
    """What was read in one go from the database; the payments may fail by themselves (no such table, say)."""

    facts: DatabaseFacts
    without: WithoutPurchase | KcfixError


def _read_database(services: Services) -> _Database:
    database: DatabasePort = services.database
    facts = read_database(database)
    # By the server's clock: it set the stamps that are compared.
    now = facts.identity.now
    try:
        without: WithoutPurchase | KcfixError = read_without_purchase(
            database, now - DAY, now, services.settings.overdue
        )
    except KcfixError as error:
        without = error
    return _Database(facts, without)


def _read_log(services: Services, worker: str) -> Sequence[LogEntry]:
    containers = services.discovery.workers.get(worker, ())
    return newest_lines(services.docker, containers)


def _judged(services: Services, look: _Look, without: WithoutPurchase) -> PaymentsFacts | KcfixError:
    """The verdicts, from what has answered: a silent system is not waited for a second time."""
    log = look.others[f"log of {services.flow.purchase_worker}"]

    def kafka() -> KafkaPort:
        if isinstance(look.kafka, KcfixError):
            raise Unreachable(look.kafka.message, system="kafka", hint=look.kafka.hint)
        return services.kafka

    def containers() -> WorkerContainers:
        for part in (look.docker, log):
            if isinstance(part, KcfixError):
                raise Unreachable(part.message, system="docker", hint=part.hint)
        found = cast("Discovery", look.docker).workers.get(services.flow.purchase_worker, ())
        return WorkerContainers(found, tuple(log))

    sources = Sources(services.flow, lambda: services.database, kafka, containers, services.now)
    overdue = services.settings.overdue
    asked = {"payments": lambda: judged(without, sources, overdue)}
    found = services.readings(asked, deadline=_deadline(services))["payments"]
    if isinstance(found, KcfixError):
        # Their stories took too long; that they have no purchase is known all the same.
        return judged(without, sources, overdue, limit=0)
    return without_acknowledged(found, services.acknowledgements.read().by_payment)


def _value(found: T | KcfixError) -> T | None:
    return None if isinstance(found, KcfixError) else found


def _reading(found: T | KcfixError, take: Callable[[T], Any]) -> Reading[Any]:
    return Reading.unknown(found.message) if isinstance(found, KcfixError) else Reading(take(found))
