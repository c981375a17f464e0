"""`kcfix missing`: every payment of a window that lacks its purchase, or has trouble after it."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import typer

from kcfix.cli.context import problem, services_of
from kcfix.cli.missing_ack import acknowledge, listed, take_back
from kcfix.cli.missing_rows import finding_row, summary
from kcfix.cli.missing_view import SHOWN, findings_table, headline, next_commands, summary_table, window_told
from kcfix.cli.sources import sources
from kcfix.cli.window import SINCE, pasted, window
from kcfix.core.judging import standby
from kcfix.core.missing import Finding, Span, Tally, findings
from kcfix.core.times import parse_duration
from kcfix.errors import NOT_WELL, OK, Unreachable, UsageError
from kcfix.render.style import Format
from kcfix.render.view import View
from kcfix.services import Services

QUIET_SECONDS = 2.0
"""Progress is said no more often: a short look needs none."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `kcfix missing` was asked. Times as they were written: they count from the database's clock."""

    since: str = SINCE
    until: str | None = None
    overdue: timedelta = timedelta(minutes=1)
    summary: bool = False
    everything: bool = False
    """Acknowledged ones as well."""
    older_than: str = ""
    """As it was written."""

    def window(self, span: Span) -> str:
        """The options that choose the same payments for `repair --missing`; empty where its defaults do.

        What was named is said in times that stay: a window that moves on would leave the oldest behind.
        """
        words = [f"--since {pasted(span.since)}"] if self.since != SINCE else []
        words += [f"--until {pasted(span.until)}"] if self.until is not None else []
        words += [f"--older-than {shlex.quote(self.older_than)}"] if self.older_than else []
        return "".join(f" {word}" for word in words)


def command(
    ctx: typer.Context,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="Payments paid from then on.")] = SINCE,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Payments paid before then.", show_default="now")
    ] = None,
    older_than: Annotated[
        str,
        typer.Option("--older-than", metavar="SPAN", help="Younger payments are in flight.", show_default="1m"),
    ] = "",
    summary: Annotated[bool, typer.Option("--summary", help="Only counts and money, by verdict.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Show acknowledged payments as well.")] = False,
    ack: Annotated[
        list[str] | None, typer.Option("--ack", metavar="ID", help="A person has judged it; needs --reason.")
    ] = None,
    unack: Annotated[list[str] | None, typer.Option("--unack", metavar="ID", help="Take that back.")] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, with --ack and --unack.")] = "",
    certify: Annotated[
        bool, typer.Option("--certify", help="State that every payment has exactly one purchase, or say which do not.")
    ] = False,
    acknowledged: Annotated[bool, typer.Option("--acknowledged", help="List what is acknowledged.")] = False,
) -> View | int:
    """One pass over the tables and one search of the log for all payments, with the verdict that `repair` would give.

    Memory does not grow with the payments: with -q and -o jsonl findings are written while the pass goes on. A payment
    whose capture is unproven is marked; no mark is no proof, for nothing in the database is one.

    An acknowledged payment is counted apart for as long as its verdict is the one that was acknowledged.

    --certify states for the window, which then ends a minute ago (--older-than), that every succeeded payment has
    exactly one purchase. Its digest is SHA-256 over a line `payment_id purchase_id` for each, by time of payment and
    id.

    Exit code: 0 nothing found; 1 findings; 4 nothing could be said, or not the whole.

    Examples:
        kcfix missing
        kcfix missing --since 7d --summary
        kcfix missing --since 2026-01-07 --until 2026-01-08 -o jsonl
        kcfix missing --since 7d --older-than 10m
        kcfix missing -q | kcfix repair -
        kcfix missing --ack 00000000-0000-4000-8000-000000000001 --reason "double charge, paid back"
        kcfix missing --acknowledged
        kcfix missing --certify --since 2026-01-07 --until 2026-01-08
    """
    services = services_of(ctx)
    if bool(ack) + bool(unack) + acknowledged + certify > 1:
        raise UsageError("--ack, --unack, --acknowledged and --certify exclude one another")
    if ack:
        return acknowledge(ack, reason, services)
    if unack:
        return take_back(unack, reason, services)
    if acknowledged:
        return listed(services)
    if reason:
        raise UsageError("--reason goes with --ack and --unack")
    overdue = parse_duration(older_than) if older_than else services.settings.overdue
    options = Options(since, until, overdue, summary, everything, older_than)
    if certify:
        from kcfix.cli.missing_certificate import certify as statement

        return statement(window(since, until, overdue, services, ahead=-overdue), services, _progress(services))
    return run(options, services)


def run(options: Options, services: Services) -> View | int:
    """Look at all, and show; or write while looking."""
    span = window(options.since, options.until, options.overdue, services)
    style = services.style()
    as_ids = style.quiet and style.format in (Format.TABLE, Format.PLAIN, Format.MARKDOWN)
    if not options.summary and (as_ids or style.format is Format.JSONL):
        return _stream(span, options, services, as_ids=as_ids)
    return _view(span, options, services)


def _behind(span: Span, services: Services) -> tuple[str, ...]:
    """What a standby that lacks something keeps from being said."""
    if span.behind is None:
        return ()
    return (
        f"{standby.told(span.behind, services.now())}; what was paid later is not looked at, and no payment without a "
        "purchase there is known to lack it: ask the primary (--dsn)",
    )


def _progress(services: Services) -> Callable[[int], None]:
    started = last = services.monotonic()

    def told(looked: int) -> None:
        nonlocal last
        if not looked:
            services.progress("the database is reading the payments")
            return
        now = services.monotonic()
        if now - last < QUIET_SECONDS:
            return
        last = now
        services.progress(f"{looked:,} payments looked at, {looked / (now - started):,.0f}/s")

    return told


def _stream(span: Span, options: Options, services: Services, *, as_ids: bool) -> int:
    tally, told = Tally(), services.acknowledgements.read()
    for warning in (*told.problems, *_behind(span, services)):
        services.warn(warning)
    with services.stream("missing") as out:
        for found in findings(services.database, sources(services), span, tally, told.by_payment, _progress(services)):
            if found.acknowledged and (as_ids or not options.everything):
                continue
            out.write(found.payment.id, None if as_ids else finding_row(found, span))
        if not as_ids:
            out.write("", {"summary": summary(tally, span)})
    return NOT_WELL if tally.findings else OK


def _view(span: Span, options: Options, services: Services) -> View:
    tally, kept = Tally(), list[Finding]()
    limit = 0 if options.summary else SHOWN if services.style().format is Format.TABLE else None
    told = services.acknowledgements.read()
    silent: Unreachable | None = None
    try:
        for found in findings(services.database, sources(services), span, tally, told.by_payment, _progress(services)):
            if found.acknowledged and not options.everything:
                continue
            if limit is None or len(kept) < limit:
                kept.append(found)
    except Unreachable as error:
        if tally.payments is None:
            raise
        silent = error
    zone = services.zone
    head = headline(tally, window_told(span, zone, open_end=options.until is None))
    body = summary_table(tally) if options.summary else findings_table(kept, tally, span, zone)
    return View(
        schema="missing",
        sections=(head, body),
        data=[finding_row(found, span) for found in kept],
        summary=summary(tally, span),
        warnings=(*told.problems, *_behind(span, services)),
        errors=(problem(silent),) if silent else (),
        next=next_commands(kept, tally, options.window(span)),
        ids=tuple(found.payment.id for found in kept if not found.acknowledged),
        exit_code=Unreachable.code if silent else NOT_WELL if tally.findings else OK,
    )
