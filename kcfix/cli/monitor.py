"""`kcfix monitor`: looks again and again, and serves what it sees to Prometheus and to health checks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated

import typer

from kcfix import __version__
from kcfix.cli.context import services_of
from kcfix.cli.observer import look, observer_of
from kcfix.cli.observing import deadline
from kcfix.core.times import format_duration
from kcfix.core.watching.metrics import look_age
from kcfix.core.watching.metrics_kinds import Family, Write
from kcfix.core.watching.monitor import Health, Monitor
from kcfix.core.watching.pages import Answer, Page
from kcfix.errors import UsageError
from kcfix.services import Services

LEAST = timedelta(seconds=1)
INDEX = "kcfix monitor: /metrics, /healthz, /healthz/WORKER\n"


def command(
    ctx: typer.Context,
    listen: Annotated[
        str | None,
        typer.Option("--listen", metavar="[HOST:]PORT", help="Where to be scraped.", show_default="127.0.0.1:9787"),
    ] = None,
    interval: Annotated[
        str | None, typer.Option("--interval", metavar="TIME", help="Time between two looks.", show_default="1m")
    ] = None,
) -> int:
    """Serves until Ctrl-C or SIGTERM. Nothing is changed, and no group is joined. Needs `kcfix[monitor]`.

    /metrics: payments that wait by verdict, lag, unprotected partitions, workers, dead letters, what expires when. What
    is unknown has no series; kcfix_up says which system did not answer. A scrape gives the newest look at once, with
    its age, and never waits for a system. Servers may come and go.

    /healthz: 200 while the looks go on, whatever they see. /healthz/WORKER: 200 while that worker is working, or joined
    and idle because nothing waits for it; else 503, also where it is unknown. The text says why.

    A look costs the brokers about ten requests, 25 while payments wait. Looks take half of the time at most: what
    answers slowly is asked less often. docs/monitoring has alert rules, a dashboard, and how to run it as a service.

    Examples:
        kcfix monitor
        kcfix monitor --listen 9787 --interval 30s
        kcfix monitor --listen 0.0.0.0:9787
    """
    services = services_of(ctx)
    services.given = {
        **services.given,
        **{name: value for name, value in (("listen", listen), ("interval", interval)) if value is not None},
    }
    return run(services)


def run(services: Services) -> int:
    """Look and serve, until interrupted."""
    settings = services.settings
    if settings.interval < LEAST:
        raise UsageError("interval must be at least 1s")
    monitor = Monitor(__version__, settings.interval, timedelta(seconds=2 * deadline(services)))
    write = services.metrics_writer(lambda: measured(monitor, services))
    observer = observer_of(services)
    server = services.serve(pages(monitor, services, write))
    try:
        services.warn(f"serving http://{server.address}/metrics; looking every {format_duration(settings.interval)}")
        for warning in settings.warnings:
            services.warn(f"warning: {warning}")
        told: dict[str, str] = {}
        rights: set[str] = set()
        while True:
            began = services.monotonic()
            seen = look(observer, services)
            monitor.add(seen, services.kafka_requests)
            told = _tell({str(system): why for system, why in seen.silent.items()}, told, services)
            _tell_rights(rights, services)
            took = services.monotonic() - began
            services.sleep(max(settings.interval.total_seconds() - took, took))
    finally:
        server.close()


def _tell(silent: dict[str, str], before: dict[str, str], services: Services) -> dict[str, str]:
    """Say on standard error which systems fell silent, and which answer again: once each, for the log of a service."""
    for system, why in silent.items():
        if system not in before:
            services.warn(why)
    for system in before:
        if system not in silent:
            services.warn(f"{system} answers again")
    return silent


def _tell_rights(told: set[str], services: Services) -> None:
    """Say which rights turned out to be missing, once each."""
    for line in services.missing_rights.told():
        if line not in told:
            told.add(line)
            services.warn(line)


def measured(monitor: Monitor, services: Services) -> Iterable[Family]:
    """What a scrape is given: what was published last, and how old that is by now."""
    published = monitor.published
    yield from published.families
    if published.taken_at is not None:
        yield look_age(max(0.0, (services.now() - published.taken_at).total_seconds()))


def pages(monitor: Monitor, services: Services, write: Write) -> Answer:
    """The pages that are served."""

    def told(health: Health) -> Page:
        return Page(200 if health.well else 503, f"{services.redact(health.words)}\n".encode())

    def answer(path: str, accept: str) -> Page:
        if path == "/metrics":
            body, content_type = write(accept)
            return Page(200, body, content_type)
        if path == "/healthz":
            return told(monitor.health(services.now()))
        if path.startswith("/healthz/"):
            health = monitor.worker_health(path.removeprefix("/healthz/"), services.now())
            if health is not None:
                return told(health)
            known = ", ".join(stage.worker for stage in services.flow.stages)
            return Page(404, f"no such worker; there are {known}\n".encode())
        if path == "/":
            return Page(200, INDEX.encode())
        return Page(404, INDEX.encode())

    return answer
