"""What `missing` shows to people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo

from kcfix.cli.money import amount
from kcfix.cli.window import window_words
from kcfix.core.acknowledgement import Acknowledgement
from kcfix.core.missing import ACTIVE, Finding, Span, Tally, repairable_ids
from kcfix.core.remedy import REMEDIES, Remedy
from kcfix.core.times import format_duration, format_time
from kcfix.core.verdict import VerdictKind
from kcfix.render.view import Cell, Column, Line, Section, Table, Tone

SHOWN = 200
"""Rows at most on a terminal."""
FEW = 4
"""As many payments are named in a command; more are piped."""


def findings_table(found: Sequence[Finding], tally: Tally, span: Span, zone: tzinfo | None) -> Section:
    """The findings, oldest first, with the totals below: `found` may be fewer than were counted."""
    columns = (
        Column("PAYMENT"),
        Column("AGE", right=True),
        Column("VERDICT"),
        Column("AMOUNT", right=True, priority=1),
        Column("PAID", priority=3),
        Column("CAPTURE", priority=5),
        Column("COURSE", priority=6),
        Column("TIER", right=True, priority=4),
        Column("WHY", priority=2, wrap=True),
    )
    rows = tuple(
        (
            f.payment.id,
            format_duration(span.now - f.payment.paid_at),
            Cell(f.verdict.kind, Tone.WARN if f.remedy is Remedy.PERSON else Tone.BAD),
            amount(f.payment.amount_minor, f.payment.currency),
            format_time(f.payment.paid_at, zone),
            "unproven" if f.capture_unproven else "not checked",
            f.payment.course_id,
            f.payment.tier,
            f"{f.note}; {f.verdict.reason}" if f.note else f"{_judged(f)}{f.verdict.reason}",
        )
        for f in found
    )
    left = tally.findings - sum(not f.acknowledged for f in found)
    more: tuple[Line, ...] = (f"… {left} more: -o jsonl shows all, -q their ids",) if left else ()
    return Table(columns, rows, _title(span, zone), (*more, *_totals(tally)))


def _judged(finding: Finding) -> str:
    word = finding.word
    return f"acknowledged by {word.who}: {word.reason}; " if word else ""


def words_table(words: Iterable[Acknowledgement], where: str, zone: tzinfo | None) -> Section:
    """Acknowledgements, as they stand or were just written."""
    columns = (
        Column("PAYMENT"),
        Column("VERDICT"),
        Column("AT"),
        Column("WHO", priority=1),
        Column("REASON", wrap=True),
    )
    rows = tuple((w.payment_id, w.verdict or "taken back", format_time(w.at, zone), w.who, w.reason) for w in words)
    return Table(columns, rows, f"acknowledged in {where}")


def summary_table(tally: Tally, span: Span, zone: tzinfo | None) -> Section:
    """One row a verdict."""
    columns = (Column("VERDICT"), Column("PAYMENTS", right=True), Column("AMOUNT", right=True))
    rows = tuple((kind, count, money(tally.minor_of(kind))) for kind, count in sorted(tally.found.items()))
    return Table(columns, rows, _title(span, zone), _totals(tally))


def money(sums: Mapping[str, int]) -> str:
    """Money by currency, never summed across currencies."""
    return ", ".join(amount(minor, currency) for currency, minor in sorted(sums.items())) or "none"


def _title(span: Span, zone: tzinfo | None) -> str:
    since, until = (format_time(t, zone) for t in (span.since, span.until))
    return f"payments from {since} to before {until} that are not well, oldest first"


def _totals(tally: Tally) -> tuple[Line, ...]:
    lines: list[Line] = []
    if not tally.complete:
        lines.append(Cell("NOT THE WHOLE: the database fell silent during the pass", Tone.BAD))
    if tally.payments is not None and tally.amounts_minor is not None:
        lines.append(f"{tally.payments} succeeded payments in the window: {money(tally.amounts_minor)}")
    lines.append(f"{tally.findings} not well: {money(tally.missing_minor)}")
    if tally.acknowledged:
        lines.append(f"{tally.acknowledged} acknowledged, counted apart: {money(tally.acknowledged_minor)}")
    if tally.in_flight:
        lines.append(f"{tally.in_flight} in flight: too young to be judged")
    if tally.unproven:
        lines.append(f"{tally.unproven} with unproven capture: look at the provider's dashboard before repairing")
    unknown = tally.found[VerdictKind.UNKNOWN]
    if unknown:
        lines.append(Cell(f"{unknown} UNKNOWN: a system did not answer", Tone.WARN))
    return tuple(lines)


def next_commands(found: Sequence[Finding], tally: Tally, span: Span) -> tuple[str, ...]:
    """What to do about it; empty where nothing is to be done. `found` may be fewer than were counted."""
    steps = []
    shown = [f for f in found if not f.acknowledged]
    named = [str(i) for i in repairable_ids(shown)]
    repairable = sum(count for kind, count in tally.found.items() if REMEDIES[kind] in ACTIVE)
    if 0 < repairable == len(named) <= FEW:
        steps.append("kcfix repair " + " ".join(named))
    elif repairable:
        steps.append(" ".join(["kcfix repair --missing", *window_words(span)]))
    if tally.findings == len(shown) == 1:
        steps.append(f"kcfix trace {shown[0].payment.id}")
    waiting = (VerdictKind.PENDING, VerdictKind.BLOCKED, VerdictKind.AT_RISK)
    if any(tally.found[kind] for kind in waiting):
        steps.append("kcfix restart purchase-worker")
    return tuple(steps)
