"""`kcfix logs --milestones`: what each worker and payment reached, by the lines that prove it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, tzinfo

from kcfix.core.logs.milestones import Looked, Milestone, Reached, Seen
from kcfix.core.logs.query import Source
from kcfix.core.payments import PaymentId
from kcfix.core.times import format_time
from kcfix.render.view import Cell, Column, Section, Table, Tone, View

Found = Sequence[tuple[Source, Reached]]

NEWEST_PAYMENTS = 20
"""Payments that are listed for each worker, unless one was asked for."""
_BAD = frozenset({Milestone.CONNECTION_ERROR, Milestone.CRASHED, Milestone.FATAL, Milestone.DEAD_LETTERED})
_RARE = frozenset(
    {Milestone.RETRIED, Milestone.DEAD_LETTERED, Milestone.CRASHED, Milestone.RESTARTING, Milestone.FATAL}
)
"""Left out of the table for people where they were not seen: their absence is what one hopes for."""


def milestones_view(found: Found, payment: PaymentId | None, zone: tzinfo | None) -> View:
    """A table for each worker, one of payments, and every milestone as a row for programs."""
    sections: list[Section] = [_worker_table(source, reached, zone) for source, reached in found]
    wanted = _payments(found, payment)
    if wanted:
        sections.append(_payment_table(found, wanted, zone))
    return View(
        schema="logs-milestones",
        sections=tuple(sections),
        data=[*_rows(found, wanted)],
        summary={
            "lines_looked_at": sum(r.looked.lines for _, r in found),
            "dead_workers": [s.label for s, r in found if r.dead is not None],
        },
        ids=tuple(wanted),
    )


def _worker_table(source: Source, reached: Reached, zone: tzinfo | None) -> Table:
    rows: list[tuple[str | Cell | int | None, ...]] = []
    for seen in reached.worker:
        if not seen.count:
            if seen.rule.milestone not in _RARE:
                rows.append((seen.rule.title, 0, None, None, Cell(_unseen(reached.looked), Tone.DIM)))
            continue
        tone = Tone.BAD if seen.rule.milestone in _BAD else Tone.PLAIN
        rows.append(
            (
                Cell(seen.rule.title, tone),
                seen.count,
                format_time(seen.first, zone),
                format_time(seen.last, zone),
                Cell(seen.example or "", Tone.DIM),
            )
        )
    if reached.dead is not None:
        when = format_time(reached.dead.timestamp, zone)
        rows.append(
            (Cell("DEAD", Tone.BAD), 1, when, when, "crashed and did not restart: a dead consumer in a live process")
        )
    columns = (
        Column("MILESTONE"),
        Column("COUNT", right=True),
        Column("FIRST", priority=3),
        Column("LAST"),
        Column("LINE", priority=2, wrap=True),
    )
    since = f" since {format_time(reached.looked.since, zone)}" if reached.looked.since else ""
    return Table(columns, tuple(rows), title=f"{source.label}: {reached.looked.lines} lines looked at{since}")


def _unseen(looked: Looked) -> str:
    return f"not seen in {looked.lines} lines" if looked.lines else "no line there"


def _payments(found: Found, payment: PaymentId | None) -> tuple[PaymentId, ...]:
    """The payments to be listed, oldest first.

    Where the purchase or allocation worker was read, only ids that it has seen: in later stages the correlation id may
    be an allocation's (docs/system.md 2.3).
    """
    if payment is not None:
        return (payment,)
    early = [r for s, r in found if s.stage is not None and s.stage.name in ("purchase", "allocation")]
    first_seen: dict[PaymentId, datetime] = {}
    for reached in early or [r for _, r in found]:
        for one, steps in reached.payments.items():
            times = [s.first for s in steps if s.first is not None]
            first_seen[one] = min([*times, *([first_seen[one]] if one in first_seen else [])])
    return tuple(sorted(first_seen, key=lambda one: first_seen[one])[-NEWEST_PAYMENTS:])


def _payment_table(found: Found, payments: tuple[PaymentId, ...], zone: tzinfo | None) -> Table:
    rows: list[tuple[str | None, ...]] = []
    for payment in payments:
        for source, reached in found:
            steps = [s for s in reached.payments.get(payment, ()) if s.count]
            if steps:
                rows.append((payment, source.label, format_time(_last(steps), zone), _steps(steps)))
            elif len(payments) == 1:
                rows.append((payment, source.label, None, _unseen(reached.looked)))
    columns = (Column("PAYMENT"), Column("WORKER"), Column("LAST"), Column("REACHED", wrap=True))
    return Table(columns, tuple(rows), title="payments, oldest first")


def _last(steps: list[Seen]) -> datetime:
    return max(s.last for s in steps if s.last is not None)


def _steps(steps: list[Seen]) -> str:
    return ", ".join(s.rule.title if s.count == 1 else f"{s.rule.title} x{s.count}" for s in steps)


def _rows(found: Found, payments: tuple[PaymentId, ...]) -> Iterator[Mapping[str, object]]:
    for source, reached in found:
        for seen in reached.worker:
            yield _row(source, reached.looked, None, seen)
        if reached.dead is not None:
            yield {
                "worker": source.label,
                "container": source.container.name,
                "payment_id": None,
                "milestone": Milestone.DEAD,
                "count": 1,
                "first_at": reached.dead.timestamp,
                "last_at": reached.dead.timestamp,
                "message": reached.dead.message,
                "lines_looked_at": reached.looked.lines,
                "looked_since": reached.looked.since,
            }
        for payment in payments:
            for seen in reached.payments.get(payment, ()):
                yield _row(source, reached.looked, payment, seen)


def _row(source: Source, looked: Looked, payment: PaymentId | None, seen: Seen) -> Mapping[str, object]:
    return {
        "worker": source.label,
        "container": source.container.name,
        "payment_id": payment,
        "milestone": seen.rule.milestone,
        "count": seen.count,
        "first_at": seen.first,
        "last_at": seen.last,
        "message": seen.example,
        "lines_looked_at": looked.lines,
        "looked_since": looked.since,
    }
