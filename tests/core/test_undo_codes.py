from __future__ import annotations

import pytest

from kcfix.core.undo.apply import UndoOutcome, UndoResult
from kcfix.core.undo.codes import applied_code, dry_run_code
from kcfix.core.undo.step import UndoAction, UndoStep

UNDONE = (UndoOutcome.UNDONE, True)


def steps(*actions: UndoAction) -> list[UndoStep]:
    return [UndoStep(str(n), "insert", action, "") for n, action in enumerate(actions)]


@pytest.mark.parametrize(
    ("actions", "plain", "strict"),
    [
        ((), 0, 0),
        ((UndoAction.NOTHING,), 0, 0),
        ((UndoAction.DELETE_PURCHASE,), 0, 1),
        ((UndoAction.COMMIT_OFFSET, UndoAction.NOTHING), 0, 1),
        ((UndoAction.CANNOT,), 0, 1),
        ((UndoAction.UNKNOWN, UndoAction.CANNOT), 4, 4),
    ],
)
def test_a_dry_run(actions: tuple[UndoAction, ...], plain: int, strict: int) -> None:
    assert dry_run_code(steps(*actions), exit_code=False) == plain
    assert dry_run_code(steps(*actions), exit_code=True) == strict


@pytest.mark.parametrize(
    ("actions", "done", "code"),
    [
        ((), (), 0),
        ((UndoAction.NOTHING,), (), 0),
        ((UndoAction.CANNOT, UndoAction.NOTHING), (), 5),
        ((UndoAction.UNKNOWN, UndoAction.CANNOT), (), 4),
        ((UndoAction.DELETE_PURCHASE, UndoAction.NOTHING), (UNDONE,), 0),
        ((UndoAction.DELETE_PURCHASE, UndoAction.CANNOT), (UNDONE,), 6),
        ((UndoAction.DELETE_PURCHASE, UndoAction.UNKNOWN), (UNDONE,), 6),
        ((UndoAction.DELETE_PURCHASE, UndoAction.DELETE_PURCHASE), (UNDONE, (UndoOutcome.REFUSED, False)), 6),
        ((UndoAction.DELETE_PURCHASE,), ((UndoOutcome.REFUSED, False),), 5),
        ((UndoAction.DELETE_PURCHASE,), ((UndoOutcome.FAILED, False),), 4),
        ((UndoAction.DELETE_PURCHASE,), ((UndoOutcome.UNSEEN, True),), 6),
        ((UndoAction.DELETE_PURCHASE,), ((UndoOutcome.UNSEEN, False),), 4),
        ((UndoAction.DELETE_PURCHASE,), ((UndoOutcome.LEFT, False),), 5),
        ((UndoAction.DELETE_PURCHASE,), ((UndoOutcome.UNDONE, False),), 0),
    ],
)
def test_an_applied_one(actions: tuple[UndoAction, ...], done: tuple[tuple[UndoOutcome, bool], ...], code: int) -> None:
    results = [UndoResult(str(n), outcome, "", changed) for n, (outcome, changed) in enumerate(done)]
    assert applied_code(steps(*actions), results) == code
