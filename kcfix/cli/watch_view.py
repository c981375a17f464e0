"""One look of `watch`, for people: a screen, or a line; and what is left of it in the end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta, tzinfo

from kcfix.clean import clean
from kcfix.cli.money import amount
from kcfix.cli.status_view import TONES, since_of
from kcfix.core.lag import GroupReport
from kcfix.core.status.system import Health, WorkerFacts
from kcfix.core.times import format_duration, format_time
from kcfix.core.watching.history import History
from kcfix.core.watching.observation import Observation, PaymentsSeen, health, restarts
from kcfix.core.watching.progress import Rates
from kcfix.core.watching.watched import Change, Watched
from kcfix.render.spark import sparkline
from kcfix.render.view import Cell, Column, Line, Section, Table, Text, Tone, Value

LOW = 24
"""Lines of a terminal into which all fits, with `LEAST` lines of changes, errors and payments each."""
LEAST = 4
NARROW, WIDE = 8, 40
"""Signs of a sparkline in 80 columns, and where there is room."""
ROOMY = 132


def sections(
    seen: Observation,
    history: History,
    watched: Watched,
    zone: tzinfo | None,
    *,
    every: timedelta,
    width: int,
    height: int,
    blocks: bool,
    context: str | None,
) -> tuple[Section, ...]:
    """The parts of the screen, what matters most first: a low terminal shows no more than it can."""
    trend = WIDE if width >= ROOMY else NARROW
    room = max(0, height - LOW)
    payments = _payments(seen, history, watched, trend, LEAST + room // 4, blocks=blocks)
    parts: list[Section] = [
        Text((_headline(seen, history, watched, zone, every if width >= ROOMY else None, context),)),
        Text(tuple(_silent(seen, watched, zone)), wrap=True),
        _workers(seen, history, trend, blocks=blocks),
        payments,
        _changed(watched, zone, LEAST + room // 2),
        _errors(seen, watched, zone, LEAST + room // 4),
    ]
    return tuple(parts)


def _headline(
    seen: Observation,
    history: History,
    watched: Watched,
    zone: tzinfo | None,
    every: timedelta | None,
    context: str | None,
) -> Line:
    bad = _is_bad(seen)
    word = Cell("NOT WELL", Tone.BAD) if bad else Cell("UNKNOWN", Tone.WARN) if seen.silent else Cell("well", Tone.GOOD)
    began = f"{watched.began.astimezone(zone):%H:%M:%S}" if watched.began is not None else "-"
    where = f"  {context}" if context else ""
    pause = f", every {format_duration(every)}" if every is not None else ""
    return (
        word,
        f"  {format_time(seen.taken_at, zone)}{where}  ",
        Cell(f"look {history.looks} since {began}{pause}", Tone.DIM),
    )


def _is_bad(seen: Observation) -> bool:
    payments = seen.payments.value
    owed = payments is not None and payments.count > 0
    return owed or any(health(worker) is Health.BAD for worker in seen.workers)


def _silent(seen: Observation, watched: Watched, zone: tzinfo | None) -> Iterator[Line]:
    for system, why in seen.silent.items():
        since = watched.silent_since.get(system, seen.taken_at)
        for_long = format_duration(seen.taken_at - since)
        yield Cell(f"{system} UNKNOWN since {since.astimezone(zone):%H:%M:%S} ({for_long}): {why}", Tone.WARN)


def _workers(seen: Observation, history: History, trend: int, *, blocks: bool) -> Table:
    columns = (
        Column("WORKER"),
        Column("WORK"),
        Column("UP", right=True, priority=2),
        Column("RST", right=True, priority=1),
        Column("LAG", right=True),
        Column("TREND", priority=1),
        Column("IN/s", right=True),
        Column("OUT/s", right=True),
        Column("CLEAR-IN", right=True),
    )
    groups = {g.group.group_id: g for g in seen.groups}
    rows = tuple(_worker(w, groups.get(w.stage.group), seen, history, trend, blocks=blocks) for w in seen.workers)
    risky = seen.unprotected
    notes = []
    if risky:
        records = sum(row.lag.skipped_by_latest or 0 for row in risky)
        where = f"{len(risky)} partitions without a usable committed offset"
        tone = Tone.BAD if records else Tone.DIM
        notes.append(Cell(f"unprotected: {where}; a plain restart skips {records} records", tone))
    return Table(columns, rows, notes=tuple(notes), empty="no worker is known")


def _worker(
    worker: WorkerFacts,
    group: GroupReport | None,
    seen: Observation,
    history: History,
    trend: int,
    *,
    blocks: bool,
) -> tuple[Value, ...]:
    rates = history.rates(worker.stage.group) if group is not None else Rates(None, None, None)
    running = [since for c in worker.containers or () if c.running and (since := since_of(c)) is not None]
    line = sparkline(history.lag_line(worker.stage.group, trend), blocks=blocks)
    return (
        worker.stage.name,
        Cell(worker.work.state, TONES[health(worker)]),
        format_duration(seen.taken_at - min(running)) if running else "?" if worker.containers is None else None,
        "?" if worker.containers is None else restarts(worker),
        _lag(group),
        line,
        _rate(rates.arrived),
        _rate(rates.committed),
        _clear(rates),
    )


def _lag(group: GroupReport | None) -> Value:
    """The lag as far as it is known; `+?` where some of it is not."""
    if group is None or not group.readable:
        return Cell("?", Tone.WARN)
    known, unknown = group.lag.known_lag_records, group.lag.unknown_partitions
    if unknown and unknown == len(group.lag.partitions):
        return Cell("?", Tone.WARN)
    return Cell(f"{known}+?", Tone.WARN) if unknown else known


def _rate(rate: float | None) -> str | None:
    if rate is None:
        return None
    return f"{rate:,.1f}" if rate < 100 else f"{rate:,.0f}"


def _clear(rates: Rates) -> Value:
    if rates.falls_behind:
        return Cell("never", Tone.BAD)
    if rates.catch_up is None:
        return None
    return format_duration(rates.catch_up) if rates.catch_up else "0s"


def _payments(seen: Observation, history: History, watched: Watched, trend: int, most: int, *, blocks: bool) -> Section:
    payments = seen.payments.value
    if payments is None:
        why = f" ({seen.payments.error})" if seen.database.error is None else ""
        before = watched.last_known("payments without a purchase")
        known = f"; {before} when the database last answered" if before is not None else ""
        return Text(("", Cell(f"payments without a purchase: UNKNOWN{why}{known}", Tone.WARN)), wrap=True)
    line = sparkline(history.payments_line(trend), blocks=blocks)
    head = f"payments without a purchase: {payments.without_purchase}"
    rest = f"  {line}  in flight {payments.in_flight}{_more(payments)}"
    if not payments.oldest:
        return Text(("", (Cell(head, _tone(payments.without_purchase)), rest)))
    rows = tuple(
        (
            f.payment.id,
            format_duration(payments.span.now - f.payment.paid_at),
            Cell(f.verdict.kind, Tone.BAD),
            amount(f.payment.amount_minor, f.payment.currency),
        )
        for f in payments.oldest[:most]
    )
    columns = (
        Column("PAYMENT"),
        Column("AGE", right=True),
        Column("VERDICT"),
        Column("AMOUNT", right=True, priority=1),
    )
    left = payments.count - len(rows)
    notes = (f"and {left} more: kcfix missing",) if left > 0 else ()
    return Table(columns, rows, title=head + rest, notes=notes)


def _more(payments: PaymentsSeen) -> str:
    other = payments.count - payments.without_purchase
    money = ", ".join(amount(minor, currency) for currency, minor in payments.amounts_minor.items())
    parts = [f"with trouble after it {other}"] if other else []
    parts += [money] if money else []
    return "".join(f", {part}" for part in parts)


def _tone(count: int) -> Tone:
    return Tone.BAD if count else Tone.GOOD


def _changed(watched: Watched, zone: tzinfo | None, most: int) -> Section:
    began = f"{watched.began.astimezone(zone):%H:%M:%S}" if watched.began is not None else "-"
    moved = ", ".join(f"{m.name} {m.first} -> {m.now}" for m in watched.moved)
    newest = watched.changes[-most:]
    lines: list[Line] = [moved] if moved else []
    lines += [_change(change, zone) for change in newest]
    return Text(tuple(lines) or ("nothing",), f"changed since {began}", wrap=True)


def _change(change: Change, zone: tzinfo | None) -> Line:
    tone = {True: Tone.BAD, False: Tone.GOOD, None: Tone.PLAIN}[change.worse]
    return (f"{change.at.astimezone(zone):%H:%M:%S}  ", Cell(change.text, tone))


def _errors(seen: Observation, watched: Watched, zone: tzinfo | None, most: int) -> Section:
    lines: list[Line] = [
        (f"{line.at.astimezone(zone):%H:%M:%S}  {line.worker.removesuffix('-worker')}  ", Cell(line.text, Tone.BAD))
        for line in seen.errors(most)
    ]
    silent = [name for name, log in seen.logs.items() if log.error is not None]
    if silent and not lines:
        lines.append(Cell("UNKNOWN: the logs could not be read", Tone.WARN))
    title = f"newest error lines of the workers; {watched.error_lines} since it began"
    return Text(tuple(lines) or ("none",), title)


def watch_line(seen: Observation, history: History, watched: Watched, zone: tzinfo | None) -> Line:
    """One look on one line."""
    parts: list[str | Cell] = [f"{format_time(seen.taken_at, zone)}  "]
    for worker in seen.workers:
        group = next((g for g in seen.groups if g.group.group_id == worker.stage.group), None)
        lag = _lag(group)
        shown = lag.text if isinstance(lag, Cell) else str(lag)
        parts += [f"{worker.stage.name} ", Cell(worker.work.state, TONES[health(worker)]), f" lag {shown}  "]
    payments = seen.payments.value
    parts.append("without purchase ")
    parts.append(
        Cell("UNKNOWN", Tone.WARN)
        if payments is None
        else Cell(str(payments.without_purchase), _tone(payments.without_purchase))
    )
    for system in seen.silent:
        since = format_time(watched.silent_since.get(system, seen.taken_at), zone)
        parts.append(Cell(f"  {system} UNKNOWN since {since}", Tone.WARN))
    return tuple(parts)


def parting(watched: Watched, history: History, zone: tzinfo | None) -> Iterator[str]:
    """What is left on the terminal when the screen is gone: how long it was watched, and what changed."""
    if watched.began is None or history.latest is None:
        yield "not one look was complete"
        return
    span = format_duration(history.latest.taken_at - watched.began)
    looks = "1 look" if history.looks == 1 else f"{history.looks} looks"
    yield f"watched for {span} ({looks}, from {format_time(watched.began, zone)})"
    for m in watched.moved:
        yield f"  {m.name}: {m.first} -> {m.now}"
    for change in watched.changes:
        yield f"  {format_time(change.at, zone)}  {clean(change.text)}"
    if not watched.moved and not watched.changes:
        yield "  nothing changed"
