"""The exit code of an undo (docs/decisions.md 5): the worst that holds."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from kcfix.core.undo.apply import UndoOutcome, UndoResult
from kcfix.core.undo.step import UndoAction, UndoStep
from kcfix.errors import worst_code

_NOT_DONE = {UndoAction.NOTHING: 0, UndoAction.CANNOT: 5, UndoAction.UNKNOWN: 4}
_OUTCOMES = {
    UndoOutcome.UNDONE: 0,
    UndoOutcome.REFUSED: 5,
    UndoOutcome.FAILED: 4,
    UndoOutcome.UNSEEN: 4,
    UndoOutcome.LEFT: 5,
}
"""Where nothing was changed; any change in the run turns what is left into 6."""


def dry_run_code(steps: Iterable[UndoStep], *, exit_code: bool) -> int:
    """4 where a system did not answer, with `exit_code` 1 if something is to be done or can't be; else 0."""
    actions = {s.action for s in steps}
    if UndoAction.UNKNOWN in actions:
        return 4
    return 1 if exit_code and actions - {UndoAction.NOTHING} else 0


def applied_code(steps: Iterable[UndoStep], results: Collection[UndoResult]) -> int:
    """0 if all that the run did is undone, 6 if something was undone, or may have been, and not all; else the worst."""
    codes = [_NOT_DONE[s.action] for s in steps if not s.action.changes]
    codes += [_OUTCOMES[r.outcome] for r in results]
    worst = worst_code(codes)
    return 6 if worst and any(r.changed for r in results) else worst
