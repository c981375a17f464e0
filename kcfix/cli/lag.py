"""`kcfix lag`: how far each group is behind, partition by partition."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import typer

from kcfix.cli.completing import complete_group
from kcfix.cli.context import problem, services_of
from kcfix.cli.lag_json import json_rows, json_summary
from kcfix.cli.lag_view import bare_lag, next_commands, sections
from kcfix.cli.lag_watch import watch_line, watch_row
from kcfix.core.lag import LagReport, over, read_lag
from kcfix.core.times import format_time, parse_duration
from kcfix.errors import NOT_WELL, OK, KcfixError, NotFound, Unreachable, UsageError
from kcfix.render.style import Format
from kcfix.render.view import Cell, Tone, View
from kcfix.services import Services

EVERY = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Options:
    """What `kcfix lag` was asked."""

    groups: tuple[str, ...] = ()
    everything: bool = False
    max_lag: int | None = None
    ages: bool = True
    every: timedelta | None = None
    """How long to wait between two looks of --watch; None for one look."""


def command(
    ctx: typer.Context,
    group: Annotated[
        list[str] | None,
        typer.Option(
            "-g",
            "--group",
            metavar="GROUP",
            help="This group; may be given several times.",
            autocompletion=complete_group,
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("-a", "--all", help="Every group that Kafka knows.")] = False,
    max_lag: Annotated[
        int | None,
        typer.Option("--max-lag", metavar="N", min=0, help="Exit 1 if a group is, or may be, further behind."),
    ] = None,
    age: Annotated[
        bool, typer.Option("--age", help="With --all: look up the age of the oldest unread record as well.")
    ] = False,
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Look again and again, one line a group.")] = False,
    every: Annotated[
        str | None, typer.Option("--every", metavar="TIME", help="Time between two looks of --watch (2s).")
    ] = None,
) -> View | int:
    """Without --group or --all: the groups of the purchase flow. COMMITTED is the next offset to be read.

    Every partition has a row. Where nothing is committed there is no lag (-), and the lines below say what a start at
    latest would skip and a start at earliest would read. Nothing is changed, and no group is joined. With -q: the lag
    of each --group, one a line, - where it is not known; without --group the names of the groups.

    Exit codes: 0 shown; 1 over --max-lag, or not known to be within it; 3 no such group; 4 no answer, in whole or part.

    Examples:
        kcfix lag
        kcfix lag --group purchase-creation-workers
        kcfix lag --all --max-lag 1000 -o json
        kcfix lag --watch --every 5s
    """
    return run(parse(tuple(group or ()), everything, max_lag, age, watch, every), services_of(ctx))


def parse(
    groups: tuple[str, ...], everything: bool, max_lag: int | None, age: bool, watch: bool, every: str | None
) -> Options:
    """The options in kcfix's own types.

    Raises:
        UsageError: they contradict each other.
    """
    if groups and everything:
        raise UsageError("--group and --all can't go together")
    if every is not None and not watch:
        raise UsageError("--every goes with --watch")
    pause = (parse_duration(every) if every else EVERY) if watch else None
    if pause is not None and pause < timedelta(milliseconds=100):
        raise UsageError("--every must be at least 100ms")
    return Options(groups, everything, max_lag, age or not everything, pause)


def run(options: Options, services: Services) -> View | int:
    """Look once and show it, or look again and again.

    Raises:
        NotFound: none of the groups named exists, with names that are like theirs.
        Unreachable: Kafka did not answer.
    """
    if options.every is not None:
        return _watch(options, options.every, services)
    report = _read(options, services)
    strangers = tuple(_stranger(name, like) for name, like in report.unknown.items())
    if strangers and not report.groups:
        raise strangers[0] if len(strangers) == 1 else NotFound("; ".join(s.message for s in strangers))
    unanswered = Unreachable("; ".join(report.unanswered), system="kafka") if report.unanswered else None
    problems: list[KcfixError] = [*strangers, *([unanswered] if unanswered else [])]
    above = _above(report, options.max_lag)
    format = services.style().format
    return View(
        schema="lag",
        # Of thousands of groups the tables cost as much as the reading; what is not shown is not made.
        sections=() if format.of_data else sections(report, one_table=options.everything),
        data=json_rows(report),
        summary={} if format is Format.CSV else json_summary(report, options.max_lag, above),
        warnings=(*_missing_topics(report), *above),
        errors=tuple(problem(error) for error in problems),
        next=next_commands(report, services.flow),
        ids=tuple(bare_lag(g) if options.groups else g.group.group_id for g in report.groups),
        exit_code=max([problem.code for problem in problems] + [NOT_WELL if above else OK]),
    )


def _read(options: Options, services: Services) -> LagReport:
    return read_lag(
        services.kafka,
        services.flow,
        services.now(),
        named=options.groups,
        everything=options.everything,
        ages=options.ages,
    )


def _above(report: LagReport, limit: int | None) -> tuple[str, ...]:
    if limit is None:
        return ()
    return tuple(told for g in report.groups if (told := over(g, limit)) is not None)


def _stranger(name: str, like: tuple[str, ...]) -> NotFound:
    hint = f"did you mean {' or '.join(like)}?" if like else "kcfix lag --all"
    return NotFound(f"Kafka knows no group {name!r}", hint=hint)


def _missing_topics(report: LagReport) -> tuple[str, ...]:
    missing = sorted({topic for g in report.groups for topic in g.missing_topics})
    return tuple(f"the topic {topic} does not exist" for topic in missing)


def _watch(options: Options, every: timedelta, services: Services) -> int:
    """Go on until interrupted. A look without an answer is said, and the next one tried."""
    before: LagReport | None = None
    with services.stream("lag") as out:
        while True:
            try:
                report = _read(options, services)
            except Unreachable as error:
                at = services.now()
                row = {"generated_at": at, "group": None, "error": error.message}
                out.write(Cell(f"{format_time(at, services.zone)}  no answer: {error.message}", Tone.BAD), row)
            else:
                shown = {g.group.group_id for g in report.groups}
                for name, like in report.unknown.items():
                    if name not in shown:  # a group of the flow is waited for
                        raise _stranger(name, like)
                for group in report.groups:
                    out.write(watch_line(report, group, before, services.zone), watch_row(report, group, before))
                before = report
            services.sleep(every.total_seconds())
