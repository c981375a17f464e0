"""How a replay of dead letters is shown: what would be sent, what became of it, what to do next."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from kcfix.cli.dlq_rows import replay_summary, step_row
from kcfix.core.dlq.plan import DlqAction, DlqPlan, DlqStep
from kcfix.core.dlq.result import DlqOutcome, DlqResult
from kcfix.render.view import Cell, Column, Line, Problem, Section, Table, Text, Tone, Value, View

TOLD = 20
"""Messages that are told of in full; more are left to the table and `-o json`."""

_TONES = {
    DlqAction.SEND: Tone.STRONG,
    DlqAction.NOTHING: Tone.GOOD,
    DlqAction.WAIT: Tone.WARN,
    DlqAction.REFUSE: Tone.WARN,
    DlqAction.UNKNOWN: Tone.BAD,
    DlqAction.NOT_FOUND: Tone.BAD,
}


@dataclass(frozen=True, slots=True)
class Replay:
    """A plan, and what became of it."""

    plan: DlqPlan
    again: Sequence[str]
    """The words that choose the same messages."""
    results: Mapping[str, DlqResult] = field(default_factory=dict)
    run_id: str | None = None
    applied: bool = False
    asking: bool = False
    """Whether it is shown before a change, not as the result of a run."""
    warnings: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def warned(self, warnings: Sequence[str]) -> Replay:
        """With more warnings."""
        return replace(self, warnings=(*self.warnings, *warnings))

    def shown_before(self) -> Replay:
        """As it is shown before it is carried out."""
        return replace(self, asking=True)

    def ended(self, results: Mapping[str, DlqResult], run_id: str | None) -> Replay:
        """With what became of it."""
        return replace(self, results=results, run_id=run_id, applied=True)


def replay_view(shown: Replay, exit_code: int) -> View:
    """The plan, or the result."""
    steps = shown.plan.steps
    columns = (
        Column("MESSAGE"),
        Column("OUTCOME" if shown.applied else "ACTION"),
        Column("PAYMENT"),
        Column("TO", priority=2),
        Column("REPLAYS", right=True, priority=3),
        Column("CAUSE", priority=1),
    )
    rows = tuple(_row(step, shown.results.get(step.name)) for step in steps)
    sections: list[Section] = [Table(columns, rows, empty="nothing that is unsettled and could be sent")]
    told = _told(shown)
    if told:
        sections.append(Text(told, wrap=True))
    sections.append(Text(_summary_lines(shown), wrap=True))
    return View(
        schema="dlq-replay",
        sections=tuple(sections),
        data=[step_row(step, shown.results.get(step.name)) for step in steps],
        summary=replay_summary(shown.plan, shown.results, applied=shown.applied, run_id=shown.run_id),
        warnings=shown.warnings,
        next=() if shown.asking else _next(shown),
        ids=_ids(shown),
        errors=shown.problems,
        exit_code=exit_code,
        changed=any(r.changed for r in shown.results.values()),
    )


def _row(step: DlqStep, result: DlqResult | None) -> tuple[Value, ...]:
    done: Value = Cell(step.action, _TONES[step.action])
    if result is not None:
        done = Cell(result.outcome, Tone.GOOD if result.outcome is DlqOutcome.SETTLED else Tone.BAD)
    original = step.original
    return (
        step.name if len(step.name) <= 300 else f"{step.name[:300]}…",
        done,
        original.payment_id if original else None,
        str(step.target) if step.target else None,
        step.replays if step.target else None,
        original.cause if original else None,
    )


def _told(shown: Replay) -> tuple[Line, ...]:
    steps = shown.plan.steps
    if len(steps) > TOLD:
        return (f"The reasons of {len(steps)} messages are in `-o json`; give fewer to read them here.",)
    lines: list[Line] = []
    for step in steps:
        result = shown.results.get(step.name)
        words = {DlqAction.SEND: "send: ", DlqAction.NOTHING: "nothing: ", DlqAction.WAIT: "nothing: it "}
        plan = words.get(step.action, "left alone: ") + step.why
        lines.append((Cell(step.name, Tone.STRONG), f"  {step.original.state if step.original else ''}"))
        lines.append(f"  {'did ' if result else 'plan'}    {result.text if result else plan}")
        if result is None:
            lines += [f"  note    {note}" for note in step.notes]
    return tuple(lines)


def _summary_lines(shown: Replay) -> tuple[Line, ...]:
    plan = shown.plan
    lines: list[Line] = []
    left = ", ".join(f"{n} {state}" for state, n in sorted(plan.left.items()) if n)
    if left:
        lines.append(f"Of the same selection and left alone: {left}.")
    if plan.unlisted:
        lines.append(f"{plan.unlisted} more are refused.")
    if plan.beyond:
        lines.append(f"{plan.beyond} more are unsettled, beyond --max.")
    if shown.results:
        text = ", ".join(f"{n} {outcome}" for outcome, n in Counter(r.outcome for r in shown.results.values()).items())
        lines.append(f"Applied: {text}. Journal: run {shown.run_id}.")
    elif plan.sending:
        end = "" if shown.asking else " Nothing was sent."
        lines.append(f"Planned: {len(plan.sending)} to be sent.{end}")
    else:
        lines.append("Nothing to be sent. Nothing was changed.")
    return tuple(lines)


def _next(shown: Replay) -> tuple[str, ...]:
    command = ["kcfix", "dlq", "replay", *shown.again]
    if not shown.applied:
        return (shlex.join([*command, "--apply"]),) if shown.plan.sending else ()
    failed = [n for n, r in shown.results.items() if r.outcome in (DlqOutcome.FAILED_AGAIN, DlqOutcome.UNVERIFIED)]
    if failed:
        return (f"kcfix dlq show {failed[0]}",)
    unfinished = any(r.outcome is not DlqOutcome.SETTLED for r in shown.results.values())
    return (shlex.join(command),) if unfinished or shown.plan.beyond else ()


def _ids(shown: Replay) -> tuple[str, ...]:
    """`-q`: after --apply the messages that are settled now, else those that would be sent."""
    if not shown.applied:
        return tuple(step.name for step in shown.plan.sending)
    settled = {name for name, r in shown.results.items() if r.outcome is DlqOutcome.SETTLED}
    return tuple(s.name for s in shown.plan.steps if s.name in settled or s.action is DlqAction.NOTHING)
