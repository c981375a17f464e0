"""How the result of a restart is shown: what was done, what stands still, what to do next."""

from __future__ import annotations

from collections.abc import Sequence

from kcfix.cli.restart_rows import datum, milestones
from kcfix.cli.restart_view import TOLD, commands_in, messages_table, problems
from kcfix.core.logs.milestones import Seen
from kcfix.core.restart.report import SETTLED, Outcome, Report
from kcfix.core.times import format_time
from kcfix.render.view import Cell, Column, Line, Section, Table, Text, Tone, View
from kcfix.services import Services

LONGEST = 240
"""Letters of an error that are shown; `kcfix logs` has the rest."""


def result_view(
    reports: Sequence[Report],
    services: Services,
    code: int,
    *,
    run_id: str,
    warnings: Sequence[str] = (),
    cut_short: bool = False,
) -> View:
    """What was done about each worker, and how it stands."""
    rows = tuple(_row(r) for r in reports)
    table = Table((Column("WORKER"), Column("OUTCOME"), Column("BECAUSE", wrap=True)), rows)
    sections: list[Section] = [table]
    for report in reports:
        sections += _report_sections(report, services)
    end = "Cut short. " if cut_short else ""
    sections.append(Text((f"{end}Journal: run {run_id}.",)))
    return View(
        schema="restart",
        sections=tuple(sections),
        data=[datum(r) for r in reports],
        summary={"applied": True, "workers": len(reports), "run_id": run_id},
        warnings=tuple(warnings),
        errors=() if cut_short else tuple(problems(reports)),
        next=_result_next(reports, cut_short=cut_short),
        ids=tuple(r.worker for r in reports if r.outcome in SETTLED),
        exit_code=code,
        changed=any(r.changed for r in reports),
    )


def _row(report: Report) -> tuple[Cell | str | None, ...]:
    tone = Tone.GOOD if report.code == 0 and report.outcome in SETTLED else Tone.BAD
    text = report.text or (report.plan.refusal.reason if report.plan.refusal else None)
    return (report.worker, Cell(report.outcome, tone), text)


def _report_sections(report: Report, services: Services) -> list[Section]:
    lines: list[Line] = [f"  {step}" for step in report.steps]
    if report.stopped:
        # A step that was begun and not seen to end goes on without kcfix.
        open_ended = report.steps[-1:] and report.steps[-1].endswith("begun")
        how = "MAY BE STOPPED NOW" if open_ended else "IS STOPPED NOW"
        lines.append(Cell(f"  {', '.join(report.stopped)} {how}: nothing consumes for it", Tone.BAD))
    proof = report.proof
    if proof is not None:
        lines.append(
            f"  {proof.work.summary}, after {proof.took.total_seconds():.0f} s; seen in its log since the start:"
        )
        lines += [f"    {_milestone(seen, services)}" for seen in milestones(report)] or ["    nothing of note"]
        if not proof.proven:
            lines += _trouble(report, services)
    if report.lost_error:
        lines.append(Cell(f"  whether messages were skipped could not be read: {report.lost_error}", Tone.WARN))
    elif report.lost is not None and not report.lost and report.pins:
        lines.append("  no message was skipped: what came during the restart was read again")
    sections: list[Section] = [Text(tuple(lines), title=report.worker, wrap=True)] if lines else []
    if report.lost:
        title = f"{report.worker}: skipped for good; only a repair can settle these"
        sections.append(messages_table(title, report.lost[:TOLD], len(report.lost) - TOLD))
    return sections


def _trouble(report: Report, services: Services) -> list[Line]:
    """What the worker complains of, and what a restart can't change."""
    proof = report.proof
    if proof is None:
        return []
    lines: list[Line] = ["  newest errors:"] if proof.errors else []
    lines += [
        Cell(f"    {format_time(e.timestamp, services.zone)}  {shortened(e.message)}", Tone.BAD) for e in proof.errors
    ]
    if report.plan.up_line:
        lines.append("  a changed Compose or environment file takes effect only when the container is made anew:")
        lines.append(f"    {report.plan.up_line}")
    return lines


def shortened(message: str) -> str:
    """An error without its stack, and not longer than a few lines."""
    text = message.partition("    at ")[0].rstrip()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _milestone(seen: Seen, services: Services) -> str:
    times = f" x{seen.count}" if seen.count > 1 else ""
    return f"{format_time(seen.last, services.zone)}  {seen.rule.title}{times}"


def _result_next(reports: Sequence[Report], *, cut_short: bool) -> tuple[str, ...]:
    commands: list[str] = []
    for report in reports:
        for hint in report.next:
            commands += commands_in(hint)
        if report.outcome is Outcome.PINNED and report.plan.up_line:
            commands.append(report.plan.up_line)
        if cut_short and report.outcome not in SETTLED:
            commands.append(f"kcfix restart {report.worker}")
        gone = [*(report.lost or ()), *(s for pin in report.pins for s in pin.passed)]
        ids = dict.fromkeys(s.payment_id for s in gone if s.payment_id and s.owed)
        if ids and report.plan.stage.name == "purchase":
            commands.append(f"kcfix repair {' '.join(list(ids)[:TOLD])}")
    return tuple(dict.fromkeys(commands))
