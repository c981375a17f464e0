"""`kcfix history`: the runs that changed something, from the journal."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from kcfix.cli.completing import complete_run
from kcfix.cli.context import services_of
from kcfix.core.journal import JournalStep, RunRecord, find_run
from kcfix.core.times import format_duration, format_time, parse_time
from kcfix.errors import PartlyApplied
from kcfix.jsonable import dumps
from kcfix.render.view import Cell, Column, Table, Text, Tone, Value, View
from kcfix.services import Services


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked: one run by id or its beginning, or the newest of all."""

    run: str | None = None
    limit: int = 20
    since: str | None = None


def command(
    ctx: typer.Context,
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN", help="A run's id, or as much of its beginning as is unique.", autocompletion=complete_run
        ),
    ] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="List at most so many, the newest first.")] = 20,
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="Only runs since then.")] = None,
) -> View:
    """Every change is in the journal with who made it, when, each step, and what was there before and after.

    A run that is shown as UNFINISHED was killed or is still running; running its command again finds out and finishes.

    Examples:
        kcfix history
        kcfix history --since 2d
        kcfix history 20260115T120000Z-3fa91c
    """
    return show_history(Options(run, limit, since), services_of(ctx))


def show_history(options: Options, services: Services) -> View:
    """The list, or one run.

    Raises:
        NotFound: no run has that id, or several begin so.
    """
    runs = services.journal.runs()
    if options.run is not None:
        return run_view(find_run(runs, options.run), services)
    if options.since is not None:
        start = parse_time(options.since, services.now(), services.zone)
        runs = tuple(run for run in runs if run.started_at is None or run.started_at >= start)
    return list_view(runs, options, services)


def list_view(runs: tuple[RunRecord, ...], options: Options, services: Services) -> View:
    """The newest runs, one a row."""
    shown = runs[: options.limit]
    left = len(runs) - len(shown)
    return View(
        schema="history",
        sections=(
            Table(
                columns=(
                    Column("RUN"),
                    Column("AT", priority=2),
                    Column("WHO", priority=1),
                    Column("CONTEXT", priority=3),
                    Column("RESULT"),
                    Column("STEPS", right=True, priority=2),
                    Column("COMMAND", wrap=True),
                ),
                rows=tuple(
                    (
                        run.id,
                        format_time(run.started_at, services.zone),
                        run.who,
                        run.context,
                        _result(run),
                        len(run.steps),
                        shlex.join(run.argv),
                    )
                    for run in shown
                ),
                notes=(f"{left} older: --limit {len(runs)}",) if left else (),
                empty="no run has changed anything",
            ),
        ),
        data=[run_row(run) for run in shown],
        summary={"runs": len(runs), "unfinished": sum(1 for run in runs if not run.finished)},
        next=(f"kcfix history {shown[0].id}",) if shown else (),
    )


def _result(run: RunRecord) -> Cell:
    if not run.finished:
        return Cell("UNFINISHED", Tone.WARN)
    if run.code == 0:
        return Cell("DONE", Tone.GOOD)
    return Cell(f"EXIT {'?' if run.code is None else run.code}", Tone.BAD if run.code == 6 else Tone.WARN)


def _meaning(run: RunRecord) -> str:
    """What the result means, where that is worth a word."""
    if not run.finished:
        return ": killed, or still running; the command can be run again: it finds out and finishes"
    return ": something was changed, or may have been, and not all is settled" if run.code == PartlyApplied.code else ""


def _counts(value: object) -> str:
    """A value of a run's summary: counts in words, e.g. `3 SETTLED, 1 LEFT`."""
    if isinstance(value, Mapping):
        return ", ".join(f"{count} {name}" for name, count in value.items()) or "none"
    return value if isinstance(value, str) else dumps(value)


def run_row(run: RunRecord) -> dict[str, object]:
    """The run as a JSON row."""
    return {
        "run": run.id,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "finished": run.finished,
        "who": run.who,
        "command": run.command,
        "context": run.context,
        "argv": run.argv,
        "reason": run.reason,
        "exit_code": run.code,
        "steps": len(run.steps),
        "summary": run.summary,
    }


def run_view(run: RunRecord, services: Services) -> View:
    """One run, step by step."""
    length: timedelta | None = run.ended_at - run.started_at if run.ended_at and run.started_at else None
    facts: list[tuple[str, str]] = [
        ("run", run.id),
        ("command", shlex.join(run.argv)),
        ("who", run.who),
        ("context", run.context),
        ("at", format_time(run.started_at, services.zone)),
        ("took", format_duration(length)),
    ]
    if run.reason:
        facts.append(("reason", run.reason))
    if run.summary:
        facts += [(name, _counts(value)) for name, value in run.summary.items()]
    width = max(8, *(len(name) for name, _ in facts))
    lines: list[tuple[str | Cell, ...]] = [(Cell(f"{name:<{width}} ", Tone.DIM), f" {text}") for name, text in facts]
    lines.insert(1, (Cell(f"{'result':<{width}} ", Tone.DIM), " ", _result(run), _meaning(run)))
    return View(
        schema="history",
        sections=(
            Text(tuple(lines), wrap=True),
            Table(
                columns=(
                    Column("STEP", right=True),
                    Column("AT", priority=2),
                    Column("DID"),
                    Column("ABOUT"),
                    Column("WITH", wrap=True, priority=1),
                    Column("RESULT", wrap=True),
                ),
                rows=tuple(_step_cells(step, services) for step in run.steps),
                title="steps",
                empty="no step was begun",
            ),
        ),
        data=[{**run_row(run), "step_list": [step_row(step) for step in run.steps]}],
        ids=(run.id,),
        next=(f"kcfix undo {run.id}",) if _undoable(run) else (),
    )


def _undoable(run: RunRecord) -> bool:
    """Whether the run began a step of a kind that an undo can take back; whether this one can, `undo` says."""
    return any(step.what.get("step") in ("insert", "commit") for step in run.steps)


def _step_cells(step: JournalStep, services: Services) -> tuple[Value, ...]:
    result: Value = Cell("not recorded: it may have been made", Tone.WARN)
    if step.result is not None:
        state, rest = _taken(step.result, "state")
        said = any(value is not None for value in rest.values())
        result = " ".join(part for part in (state, _words(rest) if said else None) if part) or "-"
    did, rest = _taken(step.what, "step")
    about, rest = _about(rest)
    if not services.verbosity:
        rest = {name: value for name, value in rest.items() if name not in VERBOSE}
    return (step.id, format_time(step.at, services.zone), did, about, _words(rest), result)


VERBOSE = ("before", "headers", "container_id")
"""What of a step is shown with -v only; all of it is in `-o json`."""


def _taken(table: Mapping[str, Any], name: str) -> tuple[str | None, Mapping[str, Any]]:
    """The text under a name, and the rest; None where there is none."""
    value = table.get(name)
    return (value if isinstance(value, str) else None), {n: v for n, v in table.items() if n != name}


def _about(what: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any]]:
    """What a step is about (its payment, partition or container), and the rest of what it says."""
    for name in ("payment_id", "container"):
        if isinstance(what.get(name), str):
            return _taken(what, name)
    if isinstance(what.get("topic"), str) and what.get("partition") is not None:
        rest = {n: v for n, v in what.items() if n not in ("topic", "partition")}
        return f"{what['topic']}-{what['partition']}", rest
    return None, what


def step_row(step: JournalStep) -> dict[str, object]:
    """A step as a JSON row."""
    return {"step": step.id, "at": step.at, "what": step.what, "done_at": step.done_at, "result": step.result}


def _words(table: Mapping[str, Any]) -> str:
    """A table on one line: `name=value`, nested ones as JSON."""

    def word(value: object) -> str:
        if isinstance(value, datetime):
            return format_time(value)
        return value if isinstance(value, str) else dumps(value)

    return " ".join(f"{name}={word(value)}" for name, value in table.items() if value is not None) or "-"
