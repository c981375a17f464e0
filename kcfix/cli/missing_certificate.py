"""`kcfix missing --certify`: the statement that every payment of a window has exactly one purchase, or the list."""

from __future__ import annotations

from collections.abc import Callable

from kcfix import __version__
from kcfix.cli.money import amount
from kcfix.cli.sources import sources
from kcfix.cli.window import pasted, window_words
from kcfix.core.certificate import Certificate, certificate
from kcfix.core.judging import standby
from kcfix.core.judging.messages import PurchaseOffsets, purchase_offsets
from kcfix.core.missing import Span
from kcfix.core.ports.database import DatabaseIdentity
from kcfix.core.times import format_duration, format_time
from kcfix.errors import NOT_WELL, OK, Refused, Unreachable, UsageError
from kcfix.render.view import Cell, Column, Line, Problem, Table, Text, Tone, View
from kcfix.services import Services

SHOWN = 200
"""Payments without purchase that are listed on a screen; `-o json` has all."""


def certify(span: Span, services: Services, progress: Callable[[int], None]) -> View:
    """The statement, or the list of payments that stand against it.

    Raises:
        UsageError: the window reaches to what is in flight or still to come: nobody can say what will become of it.
        Unreachable: the database did not answer, or not to the end. Refused: the acknowledgements can't be read.
    """
    if span.behind is not None and span.until > span.now - span.overdue:
        raise Unreachable(
            f"{standby.told(span.behind, services.now())}: nothing can be certified that it may not have yet",
            system="database",
            hint=f"give the primary's address (--dsn), or --until {pasted(span.now - span.overdue)}"
            if span.behind.as_of
            else "give the primary's address (--dsn)",
        )
    if span.until > span.now - span.overdue:
        least = format_duration(span.overdue)
        raise UsageError(
            f"--certify can't speak of payments that are in flight or still to come: --until has to lie {least} back"
            " (--older-than)"
        )
    told = services.acknowledgements.read()
    if told.problems:
        raise Refused(f"which payments are acknowledged is not known: {told.problems[0]}")
    here, payments = services.database.identity(), services.database.payments_identity()
    found = certificate(services.database, sources(services), span, told.by_payment, progress)
    if span.behind is not None and not found.holds:
        lacked = len(found.lacking) + len(found.undecided)
        raise Unreachable(
            f"{standby.told(span.behind, services.now())}: {lacked} payments of the window lacked their purchase then,"
            " and may have it by now: nothing is certified",
            system="database",
            hint="give the primary's address (--dsn)",
        )
    warnings: tuple[str, ...] = ()
    offsets, cluster = None, None
    try:
        offsets, cluster = purchase_offsets(services.kafka, services.flow), services.kafka.cluster().cluster_id
    except Unreachable as error:
        warnings = (f"the offsets are unknown, and the statement is about the tables alone: {error.message}",)
    row = _row(found, here, payments, cluster, offsets)
    return View(
        schema="missing-certificate",
        sections=_sections(found, here, payments, cluster, offsets, services),
        data=[row],
        warnings=warnings,
        ids=(found.sha256,) if found.holds else found.lacking,
        errors=_silent(found),
        next=_next(found, span),
        exit_code=OK if found.holds else NOT_WELL if found.lacking else Unreachable.code,
    )


def _next(found: Certificate, span: Span) -> tuple[str, ...]:
    same = " ".join(window_words(span))
    if found.lacking:
        return f"kcfix repair --missing {same}", f"kcfix missing {same}"
    return ("kcfix status",) if found.undecided else ()


def _silent(found: Certificate) -> tuple[Problem, ...]:
    """Why it is not known whether what a person said still stands; the first payment's reason for all."""
    if not found.undecided:
        return ()
    why = found.findings[found.undecided[0]].verdict.reason
    text = f"whether {len(found.undecided)} acknowledged payments are still what they were judged as is unknown: {why}"
    return (Problem(Unreachable.code, Unreachable.kind, text),)


def _sections(
    found: Certificate,
    here: DatabaseIdentity,
    payments: DatabaseIdentity,
    cluster: str | None,
    offsets: PurchaseOffsets | None,
    services: Services,
) -> tuple[Table | Text, ...]:
    zone, span = services.zone, found.span
    money = ", ".join(amount(minor, currency) for currency, minor in found.amounts_minor.items()) or "none"
    apart = f", but for {len(found.acknowledged)} acknowledged" if found.acknowledged else ""
    head: Line = Cell(f"Every payment of the window has exactly one purchase{apart}.", Tone.GOOD)
    if found.lacking:
        do = "payment does" if len(found.lacking) == 1 else "payments do"
        head = Cell(f"No certificate: {len(found.lacking)} {do} not have exactly one purchase.", Tone.BAD)
    elif found.undecided:
        head = Cell("No certificate: whether acknowledgements still stand is unknown.", Tone.WARN)
    logs = "unknown"
    if offsets is not None:
        logs = ", ".join(
            f"{tp} {'-' if lag.committed_offset is None else lag.committed_offset}/{lag.log_end_offset}"
            for tp, lag in sorted(offsets.lags.items())
        )
    facts = [
        ("paid", f"from {format_time(span.since, zone)} to before {format_time(span.until, zone)}"),
        ("database", f"{here.label} ({here.system_identifier or 'identifier unknown'})"),
        ("payments", f"in {payments.label}; {found.payments} succeeded, {money}"),
        ("with one", f"{found.with_one_purchase} of them have exactly one purchase"),
        ("apart", f"{len(found.acknowledged)} acknowledged by a person"),
        ("trouble", ", ".join(f"{n} {kind}" for kind, n in found.trouble.items()) or "none behind their purchases"),
        ("kafka", f"cluster {cluster or 'unknown'}; committed/log end: {logs}"),
        ("as of", f"{format_time(span.now, zone)}, kcfix {__version__}"),
    ]
    if found.holds:
        facts.append(("sha256", found.sha256))
    lines: list[Line] = [head, *((Cell(f"{name:<9} ", Tone.DIM), text) for name, text in facts)]
    lines += [
        f"acknowledged {f.payment.id} {f.verdict.kind}: {f.word.reason} ({f.word.who}, {format_time(f.word.at, zone)})"
        for f in found.acknowledged
        if f.word is not None
    ]
    sections: list[Table | Text] = [Text(tuple(lines), wrap=True)]
    if not found.holds:
        against = (*found.lacking, *found.undecided)
        left = len(against) - SHOWN
        rows = tuple(
            (i, str(f.verdict.kind) if (f := found.findings.get(i)) else None, f.verdict.reason if f else None)
            for i in against[:SHOWN]
        )
        notes = (f"{left} more: -o json",) if left > 0 else ()
        columns = (Column("PAYMENT"), Column("VERDICT"), Column("WHY", wrap=True, priority=1))
        sections.append(Table(columns, rows, notes=notes))
    return tuple(sections)


def _row(
    found: Certificate,
    here: DatabaseIdentity,
    payments: DatabaseIdentity,
    cluster: str | None,
    offsets: PurchaseOffsets | None,
) -> dict[str, object]:
    return {
        "certified": found.holds,
        "since": found.span.since,
        "until": found.span.until,
        "as_of": found.span.now,
        "kcfix_version": __version__,
        "database": here.label,
        "database_identifier": here.system_identifier,
        "payments_database": payments.label,
        "cluster_id": cluster,
        "partitions": None
        if offsets is None
        else [
            {
                "topic": tp.topic,
                "partition": tp.partition,
                "committed_offset": lag.committed_offset,
                "log_end_offset": lag.log_end_offset,
            }
            for tp, lag in sorted(offsets.lags.items())
        ],
        "payments": found.payments,
        "amounts_minor": found.amounts_minor,
        "with_one_purchase": found.with_one_purchase,
        "acknowledged": [
            {
                "payment_id": f.payment.id,
                "verdict": f.verdict.kind,
                "reason": f.word.reason,
                "who": f.word.who,
                "at": f.word.at,
            }
            for f in found.acknowledged
            if f.word is not None
        ],
        "lacking": [
            {"payment_id": i, "verdict": f.verdict.kind if (f := found.findings.get(i)) else None}
            for i in found.lacking
        ],
        "undecided": list(found.undecided),
        "trouble": found.trouble,
        "sha256": found.sha256 if found.holds else None,
    }
