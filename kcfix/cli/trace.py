"""`kcfix trace`: the story of one payment through every stage, and exactly one verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer

from kcfix.cli.context import services_of
from kcfix.cli.sources import sources
from kcfix.cli.trace_scan import scanned_by
from kcfix.cli.trace_told import tell
from kcfix.cli.trace_view import trace_view
from kcfix.core.ids import GivenIds, parse_ids
from kcfix.core.ports.kafka import SearchResult
from kcfix.core.setup.discovery import of_system, service_of
from kcfix.core.story.read import StorySources, read_stories
from kcfix.core.times import parse_time
from kcfix.core.workers import Container
from kcfix.errors import KcfixError, UsageError
from kcfix.render.view import View
from kcfix.services import Services


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked."""

    ids: tuple[str, ...]
    """Words as they were given; `-` stands for standard input."""
    scan: bool = False
    since: datetime | None = None
    until: datetime | None = None


def command(
    ctx: typer.Context,
    payment_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PAYMENT_ID]...", help="Payments; `-` reads them from standard input."),
    ] = None,
    scan: Annotated[
        bool, typer.Option("--scan", help="Search all of purchase-confirmed and of the dead letters for the ids.")
    ] = False,
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="With --scan: only what was written since then.")
    ] = "",
    until: Annotated[
        str, typer.Option("--until", metavar="TIME", help="With --scan: only what was written before then.")
    ] = "",
) -> View:
    """Nothing is changed. Every system is asked; what did not answer is named, and what rests on it is unknown.

    Shown are the verdict with its proof, what it means for the customer, whether it heals by itself and until when, who
    made the purchase, the stages, and a timeline of everything that is recorded. With -v also each record's headers,
    the log lines in full, and where was searched. With -q the verdict alone; of several payments ID and VERDICT.

    The messages are found by their key and the broker's time index, whatever the size of the topic. --scan reads the
    topic from end to end instead, for messages with a foreign key or a wrong time; what it finds counts as evidence.

    Exit code: 0 settled, on its way, or nothing owed; 1 not well; 3 an unknown id; 4 nothing could be said.

    Examples:
        kcfix trace 00000000-0000-4000-8000-000000000001
        kcfix trace 00000000-0000-4000-8000-000000000001 -v
        kcfix trace 00000000-0000-4000-8000-000000000001 --scan --since 2d
        kcfix status -q | kcfix trace - -o json
    """
    services = services_of(ctx)
    if (since or until) and not scan:
        raise UsageError("--since and --until go with --scan")
    now = services.now()
    first = parse_time(since, now, services.zone) if since else None
    last = parse_time(until, now, services.zone) if until else None
    if first is not None and last is not None and first >= last:
        raise UsageError("--since must lie before --until")
    return run(Options(tuple(payment_ids or ()), scan, first, last), services)


def run(options: Options, services: Services) -> View:
    """Read, and tell."""
    given = _given(options, services)
    if not given.valid:
        return trace_view((), given.malformed, services)
    scanned = scanned_by(given.valid, options.since, options.until, services) if options.scan else None
    where = story_sources(services, scanned.result if scanned else None)
    told = [tell(story, services.flow) for story in read_stories(given.valid, where, overdue=services.settings.overdue)]
    return trace_view(
        told,
        given.malformed,
        services,
        warnings=(*(scanned.warnings if scanned else ()), *_about_containers(services)),
        scanned_offsets=scanned.offsets if scanned else None,
    )


def _given(options: Options, services: Services) -> GivenIds:
    words = [word for word in options.ids if word != "-"]
    if "-" in options.ids:
        words += services.stdin.read().split("\n")
    elif not words:
        raise UsageError("no payment id was given", hint="kcfix trace PAYMENT_ID")
    return parse_ids(words)


def _about_containers(services: Services) -> list[str]:
    """What is doubtful about which containers are meant; nothing where Docker is silent, which is said elsewhere."""
    try:
        alike = services.discovery.alike
    except KcfixError:
        return []
    named = ", ".join(name or "(none)" for name in alike)
    return [f"several Compose projects look alike: {named}; choose one with --project"] if alike else []


def story_sources(services: Services, scanned: SearchResult | None = None) -> StorySources:
    """Where the story of a payment is read, by the services of a run."""
    return StorySources(
        payments=sources(services),
        docker=lambda: services.docker,
        containers=lambda: _containers(services),
        runs=lambda payments: services.journal.runs(payments),
        scanned=scanned,
    )


def _containers(services: Services) -> Mapping[str, tuple[Container, ...]]:
    """The workers' containers, and payment-service's where one is here."""
    flow, discovery = services.flow, services.discovery
    ours = of_system(services.containers, services.settings.project)
    senders = tuple(
        c for c in ours if service_of(flow, c) == flow.payment_service and (c.project or "") in discovery.projects
    )
    return {**discovery.workers, flow.payment_service: senders}
