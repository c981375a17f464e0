"""The changing half of `kcfix undo`: guard, show, ask, plan again, undo, show what became of it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from kcfix.cli.guards import confirmed, same_system
from kcfix.cli.preview import show_plan
from kcfix.cli.undo_view import Undo, undo_view
from kcfix.core.journal import find_run
from kcfix.core.undo.apply import Undoing, UndoOutcome, UndoResult
from kcfix.core.undo.codes import applied_code
from kcfix.core.undo.read import unannounced
from kcfix.core.undo.step import UndoAction, UndoStep
from kcfix.errors import KcfixError, PartlyApplied, Refused
from kcfix.render.view import View
from kcfix.services import Services

if TYPE_CHECKING:
    from kcfix.cli.undo import Options


def change(undo: Undo, options: Options, services: Services) -> View:
    """Carry out the plan, the newest step of the run first.

    Raises:
        Refused: nothing was changed. PartlyApplied: something was, and the run could not go on.
    """
    if not undo.changing:
        return undo_view(undo, services, applied_code(undo.steps, ()), results={})
    warnings = same_system(services)
    show_plan(services, undo_view(undo, services, 0, warnings=warnings, applying=True))
    if not options.yes and not _agreed(undo, services):
        raise Refused("declined; nothing was changed")
    confirmed(services)
    journal = services.journal.begin(
        command="undo", context=services.settings.context, argv=services.argv, reason=options.reason
    )
    undoing = Undoing(
        database=lambda: services.database,
        kafka=lambda: services.kafka,
        journal=journal,
        recheck=unannounced(lambda: services.kafka, services.flow, services.now),
        results={s.step_id: UndoResult(s.step_id, UndoOutcome.LEFT, "not reached") for s in undo.changing},
    )
    results = undoing.results
    summary: dict[str, object] = {"undoes": undo.run.id}
    try:
        # The world may have moved while the question stood there: plan again, and do only what is still the same.
        steps = _still_same(undo, _plan_again(undo, services), results)
        with services.bar(len(steps)) as bar:
            undoing.done = bar.advance
            undoing.do(steps)
    except BaseException as error:
        code = 6 if any(r.changed for r in results.values()) else 5
        with contextlib.suppress(Exception):
            journal.end(code, {**summary, "outcomes": _counts(results.values()), "cut_short_by": type(error).__name__})
        with contextlib.suppress(Exception):
            show_plan(services, undo_view(undo, services, code, results=results, run_id=journal.id))
        if code == 6 and isinstance(error, KcfixError):
            raise PartlyApplied(
                f"the undo was cut short: {error.message}", hint=f"kcfix undo {undo.run.id} finds out and finishes"
            ) from error
        raise
    code = applied_code(undo.steps, tuple(results.values()))
    journal.end(code, {**summary, "outcomes": _counts(results.values())})
    return undo_view(undo, services, code, results=results, run_id=journal.id, warnings=warnings)


def _plan_again(undo: Undo, services: Services) -> Undo:
    from kcfix.cli.undo import plan

    runs = services.journal.runs()
    return plan(find_run(runs, undo.run.id), runs, services)


def _still_same(undo: Undo, fresh: Undo, results: dict[str, UndoResult]) -> list[UndoStep]:
    """The steps to be taken, newly planned; for one that became another, the result says so."""
    now = {s.step_id: s for s in fresh.steps}
    going = []
    for step in undo.changing:
        again = now[step.step_id]
        if _what(again) == _what(step):
            going.append(again)
            continue
        became = {UndoAction.NOTHING: UndoOutcome.UNDONE, UndoAction.UNKNOWN: UndoOutcome.FAILED}
        outcome = became.get(again.action, UndoOutcome.REFUSED)
        became_what = "another one" if again.action is step.action else again.action
        text = f"since the plan was made it became {became_what}: {again.why}"
        results[step.step_id] = UndoResult(step.step_id, outcome, text)
    return going


def _what(step: UndoStep) -> tuple[object, ...]:
    """What a step would do, as far as the operator saw it."""
    return (step.action, step.order, step.partition, step.committed_offset_before)


def _agreed(undo: Undo, services: Services) -> bool:
    """Whether a person agrees: with yes to one step, with their number to several."""
    count = len(undo.changing)
    counts = ", ".join(
        f"{n} {action.lower().replace('_', ' ')}"
        for action, n in sorted(Counter(s.action for s in undo.changing).items())
    )
    rest = f" {undo.gone_out} sent can't be called back." if undo.gone_out else ""
    question = f"Undo {count} step{'s' if count != 1 else ''} of run {undo.run.id}: {counts}.{rest}"
    return services.ask_count(question, count) if count > 1 else services.ask(f"{question} Go ahead?")


def _counts(results: Iterable[UndoResult]) -> dict[str, int]:
    return dict(Counter(str(r.outcome) for r in results))
