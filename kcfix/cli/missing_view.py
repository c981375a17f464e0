"""What `missing` shows to people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo

from kcfix.cli.money import amount
from kcfix.core.acknowledgement import Acknowledgement
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.missing import ACTIVE, Finding, Span, Tally, repairable_ids
from kcfix.core.repair.remedy import REMEDIES, Remedy
from kcfix.core.times import format_duration, format_time
from kcfix.render.view import Cell, Column, Line, Section, Table, Text, Tone

SHOWN = 200
"""Rows at most on a terminal."""

_TO_DO = {
    "for `kcfix repair`": ACTIVE,
    "for the worker, once it runs": frozenset({Remedy.WAIT}),
    "for a person to decide": frozenset({Remedy.PERSON, Remedy.ANNOUNCE_AGAIN}),
}
"""Whose turn it is, by what repair would do."""
BEHIND = "behind a record on which the worker fails"
"""Said of those that a worker which runs does not reach either."""


def headline(tally: Tally, window: str) -> Section:
    """The answer, and what it is about. `window` in words."""
    lines: list[Line] = []
    if not tally.complete:
        lines.append(Cell("NOT THE WHOLE: the database fell silent during the pass", Tone.BAD))
    unknown = tally.found[VerdictKind.UNKNOWN]
    known = tally.findings - unknown
    if unknown and not known:
        of = "1 payment" if unknown == 1 else f"{unknown} payments"
        lines.append(Cell(f"Of {of} nobody knows: {money(tally.missing_minor)}", Tone.WARN))
    elif tally.findings:
        is_ = "payment is" if known == 1 else "payments are"
        doubt = f", and of {unknown} nobody knows" if unknown else ""
        lines.append(Cell(f"{known} {is_} not well{doubt}: {money(tally.missing_minor)}", Tone.BAD))
    elif tally.complete:
        apart = f", but for {tally.acknowledged} acknowledged" if tally.acknowledged else ""
        lines.append(Cell(f"Nothing is missing{apart}.", Tone.GOOD))
    if tally.payments is not None and tally.amounts_minor is not None:
        of = f": {money(tally.amounts_minor)}" if tally.payments else ""
        lines.append(f"{tally.payments} succeeded {window}{of}")
    return Text(tuple(lines), wrap=True)


def findings_table(found: Sequence[Finding], tally: Tally, span: Span, zone: tzinfo | None) -> Section:
    """The findings, oldest first, with the totals below: `found` may be fewer than were counted."""
    unproven = any(f.capture_unproven for f in found)
    columns = (
        Column("PAYMENT"),
        Column("AGE", right=True),
        Column("VERDICT"),
        Column("AMOUNT", right=True, priority=1),
        Column("PAID", priority=3),
        *((Column("CAPTURE", priority=1),) if unproven else ()),
        Column("COURSE", priority=5),
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
            *((("unproven" if f.capture_unproven else "not checked"),) if unproven else ()),
            f.payment.course_id,
            f.payment.tier,
            f"{f.note}; {f.verdict.reason}" if f.note else f"{_judged(f)}{f.verdict.reason}",
        )
        for f in found
    )
    left = tally.findings - sum(not f.acknowledged for f in found)
    more: tuple[Line, ...] = (f"… {left} more: -o jsonl shows all, -q their ids",) if left else ()
    why = next((f.verdict.reason for f in found if f.verdict.kind is VerdictKind.UNKNOWN), None)
    notes = (*more, *_totals(tally, why))
    return Table(columns, rows, "oldest first", notes) if rows else Text(notes, wrap=True)


def _judged(finding: Finding) -> str:
    word = finding.word
    return f"acknowledged by {word.who}: {word.reason}; " if word else ""


def words_table(words: Iterable[Acknowledgement], where: str, zone: tzinfo | None) -> Section:
    """Acknowledgements, as they stand or were just written."""
    columns = (
        Column("PAYMENT"),
        Column("VERDICT"),
        Column("AT", priority=2),
        Column("WHO", priority=1),
        Column("REASON", wrap=True),
    )
    rows = tuple((w.payment_id, w.verdict or "taken back", format_time(w.at, zone), w.who, w.reason) for w in words)
    return Table(columns, rows, f"acknowledged in {where}")


def summary_table(tally: Tally) -> Section:
    """One row a verdict."""
    if not tally.found:
        return Text(_totals(tally), wrap=True)
    columns = (Column("VERDICT"), Column("PAYMENTS", right=True), Column("AMOUNT", right=True))
    rows = tuple((kind, count, money(tally.minor_of(kind))) for kind, count in sorted(tally.found.items()))
    return Table(columns, rows, notes=_totals(tally))


def money(sums: Mapping[str, int]) -> str:
    """Money by currency, never summed across currencies."""
    return ", ".join(amount(minor, currency) for currency, minor in sorted(sums.items())) or "none"


def window_told(span: Span, zone: tzinfo | None, *, open_end: bool) -> str:
    """The window in words. `open_end`: nobody named its end, so that it is now."""
    since, until = (format_time(t, zone) for t in (span.since, span.until))
    return f"since {since}" if open_end else f"from {since} to before {until}"


def _totals(tally: Tally, why: str | None = None) -> tuple[Line, ...]:
    """What is true of many. `why`: for what reason one of them is unknown."""
    lines: list[Line] = []
    turns = Counter[str]()
    for kind, count in tally.found.items():
        whose = (
            BEHIND if kind is VerdictKind.BLOCKED else next((w for w, r in _TO_DO.items() if REMEDIES[kind] in r), "")
        )
        turns[whose] += count
    turns.pop("", None)
    if turns:
        lines.append(", ".join(f"{turns[whose]} {whose}" for whose in (*_TO_DO, BEHIND) if turns[whose]))
    if tally.acknowledged:
        lines.append(f"{tally.acknowledged} acknowledged, counted apart: {money(tally.acknowledged_minor)}")
    if tally.in_flight:
        lines.append(f"{tally.in_flight} in flight: too young to be judged")
    if tally.unproven:
        lines.append(f"{tally.unproven} with unproven capture: look at the provider's dashboard before repairing")
    unknown = tally.found[VerdictKind.UNKNOWN]
    if unknown:
        lines.append(Cell(f"{unknown} UNKNOWN: {why or 'a system did not answer'}", Tone.WARN))
    return tuple(lines)


def next_commands(found: Sequence[Finding], tally: Tally, window: str) -> tuple[str, ...]:
    """What to do about it; empty where nothing is to be done. `found` may be fewer than were counted.

    `window`: the options that choose these payments, e.g. ` --since 7d`.
    """
    steps = []
    shown = [f for f in found if not f.acknowledged]
    named = [str(i) for i in repairable_ids(shown)]
    repairable = sum(count for kind, count in tally.found.items() if REMEDIES[kind] in ACTIVE)
    if repairable == len(named) == 1:
        steps.append(f"kcfix repair {named[0]}")
    elif repairable:
        steps.append(f"kcfix repair --missing{window}")
    if tally.findings == len(shown) == 1:
        steps.append(f"kcfix trace {shown[0].payment.id}")
    if tally.found[VerdictKind.POISON] or tally.found[VerdictKind.BLOCKED]:
        steps.append("kcfix offsets --group purchase-creation-workers")
    if tally.found[VerdictKind.PENDING] or tally.found[VerdictKind.AT_RISK]:
        steps.append("kcfix restart purchase-worker")
    if tally.found[VerdictKind.UNKNOWN]:
        steps.append("kcfix status")
    return tuple(steps)
