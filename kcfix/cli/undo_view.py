"""How an undo is shown: what of a run can be undone and what can't, what became of it, what to do next."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kcfix.cli.undo_rows import about, undo_row
from kcfix.core.journal import RunRecord
from kcfix.core.times import format_time
from kcfix.core.undo.apply import UndoOutcome, UndoResult
from kcfix.core.undo.step import UndoAction, UndoStep
from kcfix.errors import Unreachable
from kcfix.render.view import Cell, Column, Line, Problem, Table, Text, Tone, View
from kcfix.services import Services

NAMED = 20
"""Payments that a next command names; of more the JSON document tells."""

SENT = ("announce", "replay")
"""Kinds of steps that send a message."""

NOTHING_LEFT = "There is nothing to undo. Nothing was changed."

_TONES = {UndoAction.NOTHING: Tone.DIM, UndoAction.CANNOT: Tone.WARN, UndoAction.UNKNOWN: Tone.BAD}

Results = Mapping[str, UndoResult]
"""By the id of the step that is undone."""


@dataclass(frozen=True, slots=True)
class Undo:
    """A run, and what can be undone of it."""

    run: RunRecord
    steps: tuple[UndoStep, ...]
    """Newest first."""

    @property
    def changing(self) -> tuple[UndoStep, ...]:
        """The steps about which something is to be done."""
        return tuple(s for s in self.steps if s.action.changes)

    @property
    def gone_out(self) -> int:
        """Messages that were sent, or may have been, and can't be called back."""
        return sum(1 for s in self.steps if s.kind in SENT and s.action is UndoAction.CANNOT)


def undo_view(
    undo: Undo,
    services: Services,
    exit_code: int,
    *,
    results: Results | None = None,
    run_id: str | None = None,
    warnings: Sequence[str] = (),
    applying: bool = False,
) -> View:
    """The plan; with `results` what became of it. `applying`: the plan is shown before it is carried out."""
    done = results or {}
    applied = results is not None
    rows = tuple(_row(step, done.get(step.step_id), applied=applied) for step in undo.steps)
    columns = (
        Column("STEP", right=True, priority=1),
        Column("DID"),
        Column("OUTCOME" if applied else "ACTION"),
        Column("ABOUT"),
    )
    return View(
        schema="undo",
        sections=(
            Text(_run_lines(undo.run, services), wrap=True),
            Table(columns, rows, empty="the run began no step: there is nothing to undo"),
            *((Text(("", *_told(undo.steps, done)), wrap=True),) if undo.steps else ()),
            Text(("", *_summary_lines(undo, done, applied=applied, applying=applying, run_id=run_id)), wrap=True),
        ),
        data=[undo_row(step, done.get(step.step_id)) for step in undo.steps],
        summary={
            "applied": applied,
            "run_id": run_id,
            "undone_run": undo.run.id,
            "undone_run_finished": undo.run.finished,
            "steps": len(undo.steps),
            "actions": dict(Counter(str(s.action) for s in undo.steps)),
            "outcomes": dict(Counter(str(r.outcome) for r in done.values())),
            "sent_messages": undo.gone_out,
        },
        warnings=(*_unfinished(undo.run), *warnings),
        next=() if applying else _next(undo, done, services, applied=applied),
        ids=_ids(undo, done, applied=applied),
        errors=_silent(undo.steps, done),
        exit_code=exit_code,
        changed=any(r.changed for r in done.values()),
    )


def _run_lines(run: RunRecord, services: Services) -> tuple[Line, ...]:
    state = Cell("UNFINISHED", Tone.WARN) if not run.finished else Cell(f"exit {run.code}", Tone.DIM)
    return (
        (Cell("run      ", Tone.DIM), run.id, "  ", state),
        (Cell("command  ", Tone.DIM), shlex.join(run.argv)),
        (Cell("by       ", Tone.DIM), f"{run.who}, {format_time(run.started_at, services.zone)}"),
    )


def _unfinished(run: RunRecord) -> tuple[str, ...]:
    if run.finished:
        return ()
    return (
        f"run {run.id} did not come to its end: it was killed or is still running, and which can't be told. "
        "What is undone while it runs it may do again",
    )


def _row(step: UndoStep, result: UndoResult | None, *, applied: bool) -> tuple[Cell | str | None, ...]:
    word = Cell(step.action, _TONES.get(step.action, Tone.STRONG))
    if result is not None:
        word = Cell(result.outcome, Tone.GOOD if result.outcome is UndoOutcome.UNDONE else Tone.BAD)
    return (step.step_id, step.kind, word, about(step))


def _told(steps: Sequence[UndoStep], results: Results) -> tuple[Line, ...]:
    """Each reason once, with how many steps it is true of."""
    reasons: Counter[tuple[str, str, str]] = Counter()
    notes: dict[tuple[str, str, str], dict[str, None]] = {}
    for step in steps:
        result = results.get(step.step_id)
        key = (step.kind, str(result.outcome), result.text) if result else (step.kind, str(step.action), step.why)
        reasons[key] += 1
        notes.setdefault(key, {}).update(dict.fromkeys(step.notes))
    lines: list[Line] = []
    for (kind, word, why), count in reasons.items():
        times = f" ({count} times)" if count > 1 else ""
        lines.append((Cell(f"{kind}{times}", Tone.STRONG), f"  {word}: {why}"))
        lines += [f"  note  {note}" for note in notes[kind, word, why]]
    return tuple(lines)


def _summary_lines(
    undo: Undo, results: Results, *, applied: bool, applying: bool, run_id: str | None
) -> tuple[Line, ...]:
    lines: list[Line] = []
    if undo.gone_out:
        were = "message was" if undo.gone_out == 1 else "messages were"
        lines.append(Cell(f"{undo.gone_out} {were} sent, or may have been, and can't be called back.", Tone.WARN))
    if applied and run_id is not None:
        text = ", ".join(f"{n} {outcome}" for outcome, n in Counter(r.outcome for r in results.values()).items())
        lines.append(f"Applied: {text}. Journal: run {run_id}.")
    elif any(s.action is UndoAction.UNKNOWN for s in undo.steps) and not undo.changing:
        lines.append("What can be undone is not known. Nothing was changed.")
    elif not undo.changing:
        lines.append("Nothing of this run can be undone. Nothing was changed." if _in_the_way(undo) else NOTHING_LEFT)
    else:
        text = ", ".join(f"{n} {action}" for action, n in Counter(s.action for s in undo.changing).items())
        lines.append(f"Planned: {text}.{'' if applying else ' Nothing was changed.'}")
    return tuple(lines)


def _in_the_way(undo: Undo) -> bool:
    return any(s.action is UndoAction.CANNOT for s in undo.steps)


def _next(undo: Undo, results: Results, services: Services, *, applied: bool) -> tuple[str, ...]:
    commands: list[str] = []
    if not applied and undo.changing:
        more = ["--reason", "why"] if services.settings.protected else []
        commands.append(shlex.join(["kcfix", "undo", undo.run.id, "--apply", *more]))
    if any(r.outcome is not UndoOutcome.UNDONE for r in results.values()):
        commands.append(shlex.join(["kcfix", "undo", undo.run.id]))
    bare = [s.payment_id for s in undo.steps if s.payment_id is not None and _without_purchase(s, results)]
    if 0 < len(bare) <= NAMED:
        commands.append(shlex.join(["kcfix", "repair", *dict.fromkeys(bare)]))
    if any(s.action is UndoAction.UNKNOWN for s in undo.steps):
        commands.append("kcfix status")
    return tuple(commands)


def _without_purchase(step: UndoStep, results: Results) -> bool:
    """Whether the step left its payment without the purchase that a repair would make again."""
    result = results.get(step.step_id)
    if result is not None:
        return step.order is not None and result.outcome is UndoOutcome.UNDONE
    return step.kind == "delete" and step.action is UndoAction.CANNOT


def _ids(undo: Undo, results: Results, *, applied: bool) -> tuple[str, ...]:
    """`-q`: what is undone after --apply, else what would be: payment ids and partitions."""
    steps = undo.changing
    if applied:
        steps = tuple(s for s in steps if s.step_id in results and results[s.step_id].outcome is UndoOutcome.UNDONE)
    return tuple(name for s in steps if (name := about(s)) is not None)


def _silent(steps: Sequence[UndoStep], results: Results) -> tuple[Problem, ...]:
    """Why something is unknown, and what failed, each reason once."""
    said = dict.fromkeys(s.why for s in steps if s.action is UndoAction.UNKNOWN)
    said |= dict.fromkeys(r.text for r in results.values() if r.outcome is UndoOutcome.FAILED)
    return tuple(Problem(Unreachable.code, Unreachable.kind, text) for text in said)
