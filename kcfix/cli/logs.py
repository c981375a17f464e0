"""`kcfix logs`: many workers in one order of time."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated

import typer

from kcfix.cli.completing import complete_worker
from kcfix.cli.context import services_of
from kcfix.cli.logs_milestones import milestones_view
from kcfix.cli.logs_reading import Reading, tell
from kcfix.cli.logs_view import raw_line, row, text_line
from kcfix.core.logs.merge import Folded, folded
from kcfix.core.logs.milestones import reached
from kcfix.core.logs.query import Filter, sources
from kcfix.core.payments import PaymentId, parse_uuid
from kcfix.core.times import format_time, parse_time
from kcfix.errors import OK, NotFound, Unreachable, UsageError
from kcfix.render.style import Format
from kcfix.render.view import Column, Table, View
from kcfix.services import Services

DEFAULT_LINES = 50
MILESTONE_LINES = 20_000
"""Lines of each worker in which milestones are looked for, unless -n says otherwise."""
THIS = "this Docker engine"
_STREAMED = (Format.TABLE, Format.PLAIN, Format.JSONL)


@dataclass(frozen=True, slots=True)
class Options:
    """What `kcfix logs` was asked."""

    workers: tuple[str, ...] = ()
    """Empty: all workers of the flow."""
    lines: int | None = DEFAULT_LINES
    """Of each worker; None: all."""
    follow: bool = False
    filter: Filter = field(default_factory=Filter)
    milestones: bool = False
    raw: bool = False
    exact: bool = False
    """Docker's own time, to the microsecond."""


def command(
    ctx: typer.Context,
    worker: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WORKER]...",
            help="purchase-worker or purchase, a service, a container; default: all.",
            autocompletion=complete_worker,
        ),
    ] = None,
    tail: Annotated[
        str | None,
        typer.Option("-n", "--tail", metavar="N", help="Newest lines of each worker, or `all`; default 50."),
    ] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with new lines, over restarts.")] = False,
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="Only lines from then on.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only lines up to then.")] = None,
    grep: Annotated[
        str | None,
        typer.Option("--grep", metavar="REGEX", help="Only lines that match; without capitals: in any case."),
    ] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Only lines that tell of a failure.")] = False,
    payment: Annotated[
        str | None, typer.Option("--payment", metavar="ID", help="Only lines that name this payment.")
    ] = None,
    milestones: Annotated[
        bool, typer.Option("--milestones", help="What each worker and payment reached, in place of the lines.")
    ] = False,
    raw: Annotated[bool, typer.Option("--raw", help="The lines as they were written, nothing folded.")] = False,
    timestamps: Annotated[
        bool, typer.Option("-t", "--timestamps", help="Docker's own time, to the microsecond.")
    ] = False,
) -> View | int:
    """Lines are in the order of Docker's clock. A line that repeats is shown once, with its count (xN).

    With --grep, --errors or --payment the newest N lines that match are shown, however far back they are.
    TIME is a moment (2026-01-31, '2026-01-31 18:30', RFC 3339, unix seconds) or how long ago (10m, 2h30m).

    Examples:
        kcfix logs purchase-worker
        kcfix logs -f --errors
        kcfix logs --payment 00000000-0000-4000-8000-000000000001 --since 2h
        kcfix logs purchase-worker --milestones
    """
    services = services_of(ctx)
    now = services.now()
    selection = Filter(
        since=parse_time(since, now, services.zone) if since else None,
        until=parse_time(until, now, services.zone) if until else None,
        pattern=_pattern(grep) if grep else None,
        errors=errors,
        payment=_payment(payment) if payment else None,
    )
    if follow and until:
        raise UsageError("-f goes on for ever and --until ends: choose one")
    if milestones and (follow or raw or grep or errors):
        raise UsageError("--milestones goes with --payment, --since, --until and -n only")
    if selection.since and selection.until and selection.since > selection.until:
        raise UsageError("--since is later than --until")
    options = Options(
        workers=tuple(worker or ()),
        lines=_count(tail, MILESTONE_LINES if milestones else DEFAULT_LINES),
        follow=follow,
        filter=selection,
        milestones=milestones,
        raw=raw,
        exact=timestamps,
    )
    return run(options, services)


def _count(text: str | None, default: int) -> int | None:
    if text is None:
        return default
    if text == "all":
        return None
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"-n {text!r} is no number of lines", hint="write a number, or all")
    return int(text)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, 0 if any(c.isupper() for c in text) else re.IGNORECASE)
    except re.error as error:
        raise UsageError(f"--grep {text!r} is no regular expression: {error}") from error


def _payment(text: str) -> PaymentId:
    found = parse_uuid(text)
    if found is None:
        raise NotFound(f"{text!r} is no payment id", hint="a payment id is a UUID")
    return PaymentId(found)


def run(options: Options, services: Services) -> View | int:
    """The lines, written as they come, or as a view where the format is one document."""
    project = services.settings.project
    chosen, missing = sources(services.flow, services.containers, project, options.workers)
    silent = services.docker.silent().values()
    warnings = [f"{text}: no log from there" for text in silent]
    warnings += [f"{name} has no container on {'a Docker host that answers' if silent else THIS}" for name in missing]
    if not chosen and silent:
        raise Unreachable("; ".join(silent), system="docker", hint="kcfix status")
    if not chosen:
        raise NotFound(f"no worker has a container on {THIS}", hint="kcfix status")
    reading = Reading(services, chosen, options.filter, options.lines, fold=not options.raw)
    if options.milestones:
        found = [(source, reached(lines, source.stage, options.filter.payment)) for source, lines in reading.entries()]
        view = milestones_view(found, options.filter.payment, services.zone)
        return reading.finish(view, warnings)
    if options.follow or services.style().format in _STREAMED:
        return _write(reading, options, services, warnings)
    return reading.finish(_document(reading, options, services), warnings)


def _write(reading: Reading, options: Options, services: Services, warnings: list[str]) -> int:
    """The lines as they come; the exit code."""
    for warning in warnings:
        tell(services, f"warning: {warning}")
    with services.stream("logs") as out:

        def show(line: Folded) -> None:
            label = reading.labels.get(line.entry.container, line.entry.container)
            if not out.is_text:
                out.write("", row(line, label, raw=options.raw))
            elif options.raw:
                out.write(raw_line(line.entry, services.zone, exact=options.exact))
            else:
                zone, exact = services.zone, options.exact
                out.write(text_line(line, label, width=reading.width, zone=zone, exact=exact, bare=services.quiet))

        shown = 0
        for line in reading.lines():
            show(line)
            shown += 1
        reading.tell_errors()
        if not shown and out.is_text and not (options.follow or services.quiet):
            tell(services, "no such line")
        if options.follow:
            coming = reading.coming()
            for line in (Folded(e) for e in coming if e is not None) if options.raw else folded(coming):
                show(line)
    return max((error.code for error in reading.errors), default=OK)


def _document(reading: Reading, options: Options, services: Services) -> View:
    lines = list(reading.lines())
    labels = [reading.labels.get(line.entry.container, line.entry.container) for line in lines]
    columns = (Column("TIME"), Column("WORKER"), Column("LEVEL"), Column("COUNT", right=True), Column("MESSAGE"))
    return View(
        schema="logs",
        sections=(
            Table(
                columns,
                tuple(
                    (
                        format_time(line.entry.timestamp, services.zone),
                        label,
                        line.entry.level.value,
                        line.count,
                        line.entry.raw if options.raw else line.entry.message,
                    )
                    for line, label in zip(lines, labels, strict=True)
                ),
                empty="no such line",
            ),
        ),
        data=[row(line, label, raw=options.raw) for line, label in zip(lines, labels, strict=True)],
        ids=tuple(line.entry.message for line in lines),
    )
