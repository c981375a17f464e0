"""`kcfix status`: everything on one screen, worst first, with what to do next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, TypeVar

import typer

from kcfix.cli.context import problem, services_of
from kcfix.cli.invocation import invocation
from kcfix.cli.observing import Seen, about_containers, deadline, observed, see, seen_sources
from kcfix.cli.status_rows import rows, summary
from kcfix.cli.status_view import ROOMY, SHOWN, sections
from kcfix.core.logs.entry import LogEntry
from kcfix.core.logs.worker_lines import newest_lines
from kcfix.core.ports.database import DatabasePort
from kcfix.core.status.findings import all_well
from kcfix.core.status.next import next_steps
from kcfix.core.status.read import (
    WithoutPurchase,
    judged,
    read_database,
    read_without_purchase,
    without_acknowledged,
)
from kcfix.core.status.system import DAY, DatabaseFacts, Observed, PaymentsFacts
from kcfix.core.times import parse_duration
from kcfix.errors import NOT_WELL, OK, KcfixError, Unreachable, UsageError
from kcfix.render.style import Format
from kcfix.render.view import View
from kcfix.services import Services

T = TypeVar("T")


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
    found, errors = observe(options, services)
    style = services.style()
    everything = services.verbosity > 0 or style.format is not Format.TABLE
    roomy = style.width is None or style.width >= ROOMY
    payments = found.payments.value
    silent = found.could_say_nothing or (services.quiet and payments is None)
    warnings = [] if payments is None or not payments.cut else ["there are more payments than were read"]
    warnings += services.acknowledgements.read().problems
    warnings += about_containers(services, found.docker.error)
    return View(
        schema="status",
        sections=sections(
            found,
            services.zone,
            shown=None if everything else SHOWN,
            reasons=roomy,
            kcfix=invocation(services),
        ),
        data=list(rows(found)),
        summary=summary(found),
        warnings=tuple(warnings),
        errors=tuple(problem(error) for error in errors),
        next=next_steps(found),
        ids=payments.ids if payments else (),
        exit_code=Unreachable.code if silent else OK if all_well(found) else NOT_WELL,
    )


def observe(options: Options, services: Services) -> tuple[Observed, tuple[KcfixError, ...]]:
    """Everything, and the errors of the systems that did not answer."""
    stages = services.flow.stages
    tasks: dict[str, Callable[[], Any]] = {
        "database": partial(_read_database, services),
        **{f"log of {s.worker}": partial(_read_log, services, s.worker) for s in stages},
    }
    seen = see(services, options.sample, tasks)
    database: _Database | KcfixError = seen.others["database"]
    without = database.without if isinstance(database, _Database) else database
    payments: PaymentsFacts | KcfixError = (
        without if isinstance(without, KcfixError) else _judged(services, seen, without)
    )
    found = observed(
        services,
        seen,
        {s.worker: _value(seen.others[f"log of {s.worker}"]) for s in stages},
        database.facts if isinstance(database, _Database) else database,
        payments,
    )
    errors = [e for e in (seen.kafka, database, seen.docker, payments) if isinstance(e, KcfixError)]
    return found, tuple({e.message: e for e in errors}.values())


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
    if facts.behind is not None and facts.behind.as_of is not None:
        now = min(now, facts.behind.as_of)
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


def _judged(services: Services, seen: Seen, without: WithoutPurchase) -> PaymentsFacts | KcfixError:
    """The verdicts, from what has answered."""
    sources = seen_sources(services, seen, seen.others[f"log of {services.flow.purchase_worker}"])
    overdue = services.settings.overdue
    asked = {"payments": lambda: judged(without, sources, overdue)}
    found = services.readings(asked, deadline=deadline(services))["payments"]
    if isinstance(found, KcfixError):
        # Their stories took too long; that they have no purchase is known all the same.
        return judged(without, sources, overdue, limit=0)
    return without_acknowledged(found, services.acknowledgements.read().by_payment)


def _value(found: T | KcfixError) -> T | None:
    return None if isinstance(found, KcfixError) else found
