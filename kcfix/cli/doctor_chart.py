"""The chart of the incident report: payments and what waits, over time, of nothing but what was read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from kcfix.core.doctor.backlog import Backlog, interesting
from kcfix.core.doctor.examination import Examination
from kcfix.core.judging.snapshot import Reading
from kcfix.core.offsets import GroupLag, GroupState
from kcfix.core.times import format_duration, format_time
from kcfix.render.chart import Panel

MOMENTS = 32
"""Moments at which the log is asked what had been written before."""
LONGEST = timedelta(days=7)
SHORTEST = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Span:
    """The time that the chart shows."""

    begin: datetime
    end: datetime

    def share(self, at: datetime) -> float:
        """Where the moment lies: 0 at the beginning, 1 at the end."""
        return (at - self.begin) / (self.end - self.begin)

    def holds(self, at: datetime) -> bool:
        """Whether the moment is shown."""
        return self.begin <= at <= self.end

    @property
    def moments(self) -> tuple[datetime, ...]:
        """Evenly over the span, its end included."""
        step = (self.end - self.begin) / MOMENTS
        return tuple(self.begin + step * n for n in range(1, MOMENTS + 1))

    def ticks(self, zone: tzinfo | None) -> tuple[tuple[float, str], ...]:
        """Times below the drawing: of the day where it is one day, with seconds where it is minutes."""
        length = self.end - self.begin
        form = (
            "%H:%M:%S" if length < timedelta(minutes=20) else "%H:%M" if length < timedelta(hours=20) else "%d %b %H:%M"
        )
        times = (self.begin, self.begin + length / 2, self.end)
        return tuple((n / 2, at.astimezone(zone).strftime(form)) for n, at in enumerate(times))


def span_of(examination: Examination, moments: Iterable[datetime]) -> Span:
    """From shortly before the first thing that is known of the incident until the look; a week at the most.

    A time that lies after the look was set by a wrong clock, and makes no chart longer.
    """
    end, broker = examination.at, examination.broker.value
    known = [*moments, *(broker.written_at.values() if broker is not None else ())]
    looked = examination.payments.value
    known += [f.payment.paid_at for f in looked.found] if looked is not None else []
    if examination.sample is not None:
        known.append(end - examination.sample)
    begin = min((at for at in known if end - LONGEST <= at <= end), default=end)
    length = max(end - begin, SHORTEST)
    return Span(end - length - length / 20, end)


def waiting_groups(examination: Examination) -> tuple[GroupLag, ...]:
    """Groups for which something waits, or may."""
    kafka = examination.observed.kafka.value
    optional = {s.group for s in examination.flow.stages if not s.required}
    return tuple(
        lag
        for lag in interesting(kafka.groups if kafka is not None else ())
        if lag.group.state is not GroupState.NOT_FOUND or lag.group.group_id not in optional
    )


def panels(
    examination: Examination, backlogs: Reading[tuple[Backlog, ...]], span: Span, zone: tzinfo | None
) -> tuple[tuple[Panel, ...], tuple[str, ...]]:
    """The panels, and what is said in place of those that there are none of."""
    drawn = []
    said = []
    payments = _payments(examination, span, zone)
    if isinstance(payments, Panel):
        drawn.append(payments)
    else:
        said.append(payments)
    kafka = examination.observed.kafka
    if kafka.value is None:
        said.append(f"What waits for the workers is not known: {kafka.error}")
    elif backlogs.value is None:
        said.append(f"What waits, by the time at which it was written, is not known: {backlogs.error}")
    elif not backlogs.value:
        said.append("Nothing waits for any of the workers.")
    for backlog in backlogs.value or ():
        if backlog.waiting:
            drawn.append(_backlog(examination, backlog, span, zone))
        else:
            said.append(f"{backlog.group}: no message waits where something is committed. {_left_out(backlog)}")
    return tuple(drawn), tuple(said)


def _left_out(backlog: Backlog) -> str:
    names = ", ".join(str(tp) for tp in backlog.unknown)
    more = f"; up to {backlog.retained} messages may wait there" if backlog.retained else ""
    return f"Not counted: {names}, whose lag is no number (nothing committed, or no answer){more}."


def _payments(examination: Examination, span: Span, zone: tzinfo | None) -> Panel | str:
    looked = examination.payments.value
    if looked is None:
        return f"Payments are not known: {examination.payments.error}"
    paid = sorted(f.payment.paid_at for f in looked.found)
    if not paid:
        young = f"; {looked.in_flight} are in flight" if looked.in_flight else ""
        return f"No payment since {format_time(looked.since, zone)} is overdue and not well{young}."
    until = paid[-1] if looked.cut else span.end
    since = max(looked.since, span.begin)
    steps = [(span.share(since), float(sum(at < since for at in paid)))]
    for count, at in enumerate(paid, 1):
        if since <= at <= span.end:
            steps.append((span.share(at), float(count)))
    late = sum(at > span.end for at in paid)
    steps.append((span.share(until), float(len(paid) - late)))
    gaps = []
    others = looked.payments - len(paid)
    rest = "well, in flight, or not read" if looked.cut else "well or in flight; when they were paid was not read"
    notes = [
        "Adds up the payments that are overdue and not well, at the time of each one's confirmation."
        + (f" {others} others are {rest}." if others > 0 else "")
    ]
    if since > span.begin:
        gaps.append((0.0, span.share(since)))
        notes.append(f"Grey: payments before {format_time(looked.since, zone)} were not looked at.")
    if looked.cut:
        gaps.append((span.share(until), 1.0))
        notes.append(f"There are more than the {len(paid)} that were read; the newest are not drawn (grey).")
    if late:
        notes.append(f"{late} were paid after the look, by the clock that said so, and are not drawn.")
    moments = [at for at in span.moments if since <= at <= until]
    table = tuple((format_time(at, zone), str(sum(p <= at for p in paid))) for at in moments)
    return Panel(
        "Payments that are not well",
        "payments",
        tuple(steps),
        steps=True,
        gaps=tuple(gaps),
        notes=tuple(notes),
        table=table,
    )


def _backlog(examination: Examination, backlog: Backlog, span: Span, zone: tzinfo | None) -> Panel:
    points = tuple((span.share(at), float(count)) for at, count in backlog.written)
    looks = _looks(examination, backlog.group)
    notes = [
        f"Of the messages that wait now, how many had been written by then, as the log says at {MOMENTS} moments: so "
        "many waited at least. How far the group had read before is recorded nowhere."
    ]
    dots = tuple((span.share(at), float(count)) for at, count in looks if count is not None)
    if dots:
        said = "; ".join(f"{count} at {format_time(at, zone)}" for at, count in looks if count is not None)
        notes.append(f"Dots: the lag itself where kcfix looked ({said}).")
    if backlog.unknown:
        notes.append(_left_out(backlog))
    if examination.sample is not None:
        notes.append(_committed(examination, backlog.group, examination.sample))
    return Panel(
        f"Messages that wait for {backlog.group}",
        "messages",
        points,
        dots=dots,
        notes=tuple(note for note in notes if note),
        table=tuple((format_time(at, zone), str(count)) for at, count in backlog.written),
    )


def _looks(examination: Examination, group: str) -> Sequence[tuple[datetime, int | None]]:
    """The lag at each look, on the partitions where it is known at both; None where there is no such partition."""
    kafka = examination.observed.kafka.value
    now = next((g.partitions for g in kafka.groups if g.group.group_id == group), ()) if kafka else ()
    before = examination.before.get(group) if examination.sample is not None else None
    known = {p.partition: p.lag_records for p in now if p.lag_records is not None}
    if before is None or examination.sample is None:
        return [(examination.at, sum(known.values()) if known else None)]
    earlier = {p.partition: p.lag_records for p in before if p.lag_records is not None and p.partition in known}
    same = bool(earlier) and earlier.keys() == known.keys()
    return [
        (
            examination.at - examination.sample,
            sum(earlier.values()) if same else None,
        ),
        (examination.at, sum(known.values()) if known else None),
    ]


def _committed(examination: Examination, group: str, sample: timedelta) -> str:
    """How far the group's commits went within the sample; empty where that was not seen."""
    kafka = examination.observed.kafka.value
    now = next((g.partitions for g in kafka.groups if g.group.group_id == group), ()) if kafka else ()
    before = {p.partition: p.committed_offset for p in examination.before.get(group, ())}
    went = [
        p.committed_offset - earlier
        for p in now
        if p.committed_offset is not None and (earlier := before.get(p.partition)) is not None
    ]
    if not went:
        return ""
    return f"Within the sample of {format_duration(sample)} its commits went on by {sum(went)}."
