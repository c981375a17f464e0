"""How a payment's story is shown: the verdict and what follows from it, then the stages, then the timeline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo

from kcfix.cli.invocation import as_called
from kcfix.cli.money import amount
from kcfix.cli.trace_detail import details
from kcfix.cli.trace_rows import malformed_row, story_row
from kcfix.cli.trace_told import Told
from kcfix.core.judging.capture import capture_unproven
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.story.maker import Maker
from kcfix.core.story.prognosis import Heals
from kcfix.core.story.stages import StageState
from kcfix.core.times import format_duration, format_time
from kcfix.errors import KcfixError, NotFound, Unreachable, worst_code
from kcfix.render.view import Cell, Column, Line, Problem, Section, Table, Text, Tone, View
from kcfix.services import Services

TOLD = 5
"""As many payments are told of in full; of more there is a row each, and all in `-o json`."""
NAMED = 20
"""Payments that one command names."""
ROOMY = 120
"""Columns of a terminal from which the source of a moment has a column of its own."""

_STATES = {
    StageState.DONE: Tone.GOOD,
    StageState.WAITING: Tone.WARN,
    StageState.UNPROTECTED: Tone.WARN,
    StageState.PASSED: Tone.BAD,
    StageState.MISSING: Tone.BAD,
    StageState.NOT_SEEN: Tone.PLAIN,
    StageState.NOT_DUE: Tone.DIM,
    StageState.UNKNOWN: Tone.WARN,
}
_HEALS = {
    Heals.SETTLED: "nothing to heal",
    Heals.YES: "by itself",
    Heals.ONLY_IF: "not by itself",
    Heals.NO: "never by itself",
    Heals.UNKNOWN: "unknown",
}


def trace_view(
    told: Sequence[Told],
    malformed: Sequence[str],
    services: Services,
    *,
    warnings: Iterable[str] = (),
    scanned_offsets: int | None = None,
) -> View:
    """The stories, with the worst exit code of them."""
    sections: list[Section] = []
    if len(told) > TOLD:
        sections.append(_overview(told))
    else:
        for one in told:
            sections += [Text(("",))] if sections else []
            sections += _sections(one, services)
    if malformed:
        sections += [Text(("",))] if sections else []
        sections.append(Text(tuple(f"{word[:60]}  NOT_FOUND  no payment has such an id" for word in malformed)))
    if not sections:
        sections.append(Text(("no payment was given",)))
    verdicts = Counter(str(one.story.verdict.kind) for one in told)
    verdicts.update([str(VerdictKind.NOT_FOUND)] * len(malformed))
    codes = [*(one.code for one in told), *(NotFound.code for _ in malformed)]
    alone = len(told) + len(malformed) == 1
    quiet = [(one.story.payment_id, one.story.verdict.kind) for one in told]
    quiet += [(word, VerdictKind.NOT_FOUND) for word in malformed]  # type: ignore[misc]

    def called(command: str) -> str:
        return as_called(command, services)

    return View(
        schema="trace",
        sections=tuple(sections),
        data=[*(story_row(one, called) for one in told), *(malformed_row(word) for word in malformed)],
        summary={"payments": len(codes), "verdicts": dict(verdicts), "scanned_offsets": scanned_offsets},
        warnings=(*warnings, *_silent(told, "docker", "journal")),
        errors=tuple(Problem(Unreachable.code, Unreachable.kind, text) for text in _silent(told, "database", "kafka")),
        next=_next(told),
        ids=tuple(str(kind) if alone else f"{id} {kind}" for id, kind in quiet),
        exit_code=worst_code(codes),
    )


def _next(told: Sequence[Told]) -> tuple[str, ...]:
    """The commands of all stories, each once; the plain repairs as one, which takes many ids."""
    commands = dict.fromkeys(command for one in told for command in one.prognosis.commands)
    repairs = [f"kcfix repair {one.story.payment_id}" for one in told]
    plain = [command for command in repairs if command in commands]
    if len(plain) > 1:
        for command in plain:
            commands.pop(command, None)
        ids = dict.fromkeys(command.rpartition(" ")[2] for command in plain)
        commands[f"kcfix repair {' '.join(ids)}" if len(ids) <= NAMED else "kcfix missing"] = None
    return tuple(commands)


def _silent(told: Sequence[Told], *systems: str) -> tuple[str, ...]:
    """What these systems did not say, each sentence once."""
    said = {
        looked.error: looked.error
        for one in told
        for looked in one.story.looked
        if looked.silent and looked.error is not None and looked.system in systems
    }
    return tuple(said.values())


def _overview(told: Sequence[Told]) -> Table:
    return Table(
        (
            Column("PAYMENT"),
            Column("VERDICT"),
            Column("WAITED", right=True, priority=1),
            Column("HEALS", priority=2),
            Column("MAKER", priority=3),
        ),
        tuple(
            (
                one.story.payment_id,
                Cell(one.story.verdict.kind, _tone(one)),
                format_duration(one.waited),
                _HEALS[one.prognosis.heals],
                one.maker.maker if one.maker else None,
            )
            for one in told
        ),
        notes=("Give fewer ids to read their stories; all of them are in `-o json`.",),
    )


def _tone(told: Told) -> Tone:
    return Tone.GOOD if told.code == 0 else Tone.BAD


def _sections(told: Told, services: Services) -> list[Section]:
    zone, width = services.zone, services.style().width
    roomy = width is None or width >= ROOMY
    sections: list[Section] = [Text(_headline(told, services), wrap=True)]
    day = _day(told, zone)
    if told.stages:
        sections.append(_stages(told, day, zone))
    if len(told.timeline.moments) > 1:  # more than the moment of this look
        sections.append(_timeline(told, day, zone, roomy=roomy))
    sections.append(Text(_searched(told, verbose=services.verbosity > 0), wrap=True))
    if services.verbosity:
        sections += details(told, zone)
    return sections


def _headline(told: Told, services: Services) -> tuple[Line, ...]:
    story, verdict, foretold, zone = told.story, told.story.verdict, told.prognosis, services.zone
    detail = f" ({verdict.detail.replace('_', ' ')})" if verdict.detail else ""
    lines: list[Line] = [(Cell(story.payment_id, Tone.STRONG), "  ", Cell(f"{verdict.kind}{detail}", _tone(told)))]
    lines.append(f"  is        {verdict.reason}")
    lines += [f"  also      {fact}" for fact in verdict.also]
    if verdict.kind is VerdictKind.NOT_FOUND and (database := _payments_database(services)):
        lines.append(f"  asked     {database}")
    payment = story.payment
    if payment is not None:
        paid = format_time(payment.paid_at, zone)
        what = amount(payment.amount_minor, payment.currency)
        tier = f", tier {payment.tier}" if payment.tier and payment.succeeded else ""
        word = "paid   " if payment.succeeded or payment.confirmed_at else "created"
        lines.append(f"  {word}   {what}{tier}, {paid}")
        if payment.succeeded and (doubt := capture_unproven(payment)) is not None:
            lines.append(f"  money     capture unproven: {doubt}; the provider's dashboard tells")
    lines.append(f"  customer  {foretold.means}")
    if told.waited is not None:
        end = " so far, without a purchase" if told.still_waiting else " from the payment to its purchase"
        lines.append(f"  waited    {format_duration(told.waited)}{end}")
    if foretold.heals is not Heals.SETTLED:
        lines.append(f"  heals     {_HEALS[foretold.heals]}: {foretold.how}")
    if foretold.deadline is not None:
        lines.append(f"  until     {format_time(foretold.deadline, zone)}: {foretold.deadline_reason}")
    elif foretold.deadline_reason is not None:
        lines.append(f"  until     unknown: {foretold.deadline_reason}")
    if told.maker is not None:
        maker = told.maker
        doubt = "" if maker.sure or maker.maker is Maker.UNKNOWN else ", not certain"
        who = f"{maker.maker}{f' ({maker.name})' if maker.name else ''}{doubt}"
        lines.append(f"  made by   {who}: {maker.because}")
    return tuple(lines)


def _payments_database(services: Services) -> str | None:
    """The database that was asked for payments; None where it does not answer any more."""
    try:
        return services.database.payments_identity().label
    except KcfixError:
        return None


def _day(told: Told, zone: tzinfo | None) -> datetime:
    """The day that the times of a story are shown on: that of its first moment."""
    return told.timeline.moments[0].at.astimezone(zone)


def short_time(moment: datetime | None, day: datetime, zone: tzinfo | None) -> str | None:
    """The time of day to the millisecond; of another day with date to the second, of another year to the minute."""
    if moment is None:
        return None
    shown = moment.astimezone(zone)
    if shown.date() == day.date():
        return f"{shown:%H:%M:%S}.{shown.microsecond // 1000:03d}"
    return f"{shown:%m-%d %H:%M:%S}" if shown.year == day.year else f"{shown:%Y-%m-%d %H:%M}"


def _on(day: datetime) -> str:
    offset = day.strftime("%z")
    return f"{day:%Y-%m-%d}, {'UTC' if offset in ('+0000', '') else f'{offset[:3]}:{offset[3:5]}'}"


def _stages(told: Told, day: datetime, zone: tzinfo | None) -> Table:
    return Table(
        (Column("STAGE"), Column("STATE"), Column("WHEN"), Column("PROOF", wrap=True)),
        tuple((s.name, Cell(s.state, _STATES[s.state]), short_time(s.at, day, zone), s.proof) for s in told.stages),
        title=f"stages ({_on(day)})",
    )


def _timeline(told: Told, day: datetime, zone: tzinfo | None, *, roomy: bool) -> Table:
    columns = [Column("TIME"), Column("GAP", right=True)]
    columns += [Column("SOURCE")] if roomy else []
    columns.append(Column("WHAT", wrap=True))
    rows = []
    for moment, gap in zip(told.timeline.moments, told.timeline.gaps, strict=True):
        until = f", until {short_time(moment.until, day, zone)}" if moment.until else ""
        text = moment.text + until
        of = f"{moment.source} {text}" if text.startswith("offset ") else f"{moment.source}: {text}"
        what = Cell(text if roomy else of, Tone.PLAIN if moment.sure else Tone.DIM)
        row = (short_time(moment.at, day, zone), _gap(gap), *((moment.source,) if roomy else ()), what)
        rows.append(row)
    notes = tuple(f"no time is recorded: {u.source}: {u.text}" for u in told.timeline.undated)
    return Table(tuple(columns), tuple(rows), title=f"timeline ({_on(day)})", notes=notes)


def _gap(gap: timedelta | None) -> str | None:
    if gap is None:
        return None
    if timedelta(0) < gap < timedelta(seconds=1):
        return f"{gap.total_seconds() * 1000:.0f}ms"
    return format_duration(gap)


def _searched(told: Told, *, verbose: bool) -> tuple[Line, ...]:
    looked = told.story.looked
    names = {"database": "the database", "kafka": "topics", "docker": "containers' logs", "journal": "the journal"}
    parts = []
    for system, name in names.items():
        count = len({k.what for k in looked if k.system == system and k.found is not None})
        if count:
            parts.append(f"{count} {name}" if system in ("kafka", "docker") else name)
    lines: list[Line] = [f"searched: {', '.join(parts) or 'nothing'}{'' if verbose else ' (-v: where)'}"]
    places: dict[str, list[str]] = {}
    for k in looked:
        if k.error is not None:
            places.setdefault(k.error, []).append(k.what)
    lines += [(Cell("unknown: ", Tone.WARN), f"{', '.join(whats)}: {error}") for error, whats in places.items()]
    return tuple(lines)
