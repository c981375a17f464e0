"""The exit code of a repair (docs/decisions.md 5): the worst that holds."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from kcfix.core.repair.plan import Action, Step
from kcfix.core.repair.result import Outcome, Result
from kcfix.errors import worst_code

_NOT_DONE = {
    Action.NOTHING: 0,
    Action.WAIT: 1,
    Action.NOT_FOUND: 3,
    Action.UNKNOWN: 4,
    Action.REFUSE: 5,
}
_OUTCOMES = {
    Outcome.SETTLED: 0,
    Outcome.UNANNOUNCED: 4,
    Outcome.UNSEEN: 6,
    Outcome.UNVERIFIED: 6,
    Outcome.CHANGED: 5,
    Outcome.FAILED: 4,
    Outcome.LEFT: 5,
}
"""Where nothing was changed for the payment; any change in the run turns what is left into 6."""


def dry_run_code(steps: Iterable[Step], *, unknown_ids: bool, exit_code: bool) -> int:
    """4 where a system did not answer, 3 for an unknown id, with `exit_code` 1 if anything is to be done; else 0."""
    actions = {s.action for s in steps}
    if Action.UNKNOWN in actions:
        return 4
    if unknown_ids or Action.NOT_FOUND in actions:
        return 3
    return 1 if exit_code and actions - {Action.NOTHING} else 0


def applied_code(steps: Iterable[Step], results: Collection[Result], *, unknown_ids: bool) -> int:
    """6 where something was changed, or may have been, and not all is settled; else the worst of what was left."""
    codes = [_NOT_DONE[s.action] for s in steps if not s.action.changes]
    codes += [_OUTCOMES[r.outcome] for r in results]
    if unknown_ids:
        codes.append(3)
    worst = worst_code(codes)
    return 6 if worst and any(r.changed for r in results) else worst
