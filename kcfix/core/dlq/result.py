"""What became of the messages of a replay, and the exit code (docs/decisions.md 5 and 8)."""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass

from kcfix.core.dlq.letter import DlqState
from kcfix.core.dlq.plan import DlqAction, DlqPlan
from kcfix.errors import worst_code


class DlqOutcome(enum.StrEnum):
    """What became of one message."""

    SETTLED = "SETTLED"
    """What its worker does is done: by the replay, or by somebody else meanwhile."""
    WAITING = "WAITING"
    """Not sent: a copy of it waits already."""
    UNSEEN = "UNSEEN"
    """Sent, or it may have been, and not seen to be settled in time: it may yet be."""
    FAILED_AGAIN = "FAILED_AGAIN"
    """Sent, and the worker wrote a dead letter for it again."""
    UNVERIFIED = "UNVERIFIED"
    """Sent, and what is there now is not as it should be: look before anything else."""
    CHANGED = "CHANGED"
    """The world changed since it was planned: not sent."""
    FAILED = "FAILED"
    """Not sent: a system failed or did not answer."""
    LEFT = "LEFT"
    """Not tried: the run ended before it."""

    @property
    def stops(self) -> bool:
        """Whether a run goes no further after it: what failed for one may fail for all that follow."""
        return self in (DlqOutcome.UNSEEN, DlqOutcome.FAILED_AGAIN, DlqOutcome.UNVERIFIED, DlqOutcome.FAILED)


@dataclass(frozen=True, slots=True)
class DlqResult:
    """What was done about one message, and how it stands."""

    outcome: DlqOutcome
    text: str
    changed: bool
    """Whether it was sent, or may have been."""


Results = dict[str, DlqResult]
"""By the step's name; changed as the run goes, so that it can be shown on every way out."""

_NOT_SENT = {
    DlqAction.NOTHING: 0,
    DlqAction.WAIT: 1,
    DlqAction.NOT_FOUND: 3,
    DlqAction.UNKNOWN: 4,
    DlqAction.REFUSE: 5,
}
_LEFT = {
    DlqState.SETTLED: 0,
    DlqState.PARKED: 0,
    DlqState.UNSETTLED: 5,
    DlqState.WAITING: 1,
    DlqState.WOULD_FAIL: 5,
    DlqState.WOULD_HARM: 5,
    DlqState.SECOND_PAYMENT: 5,
    DlqState.UNKNOWN: 4,
}
_OUTCOMES = {
    DlqOutcome.SETTLED: 0,
    DlqOutcome.WAITING: 1,
    DlqOutcome.UNSEEN: 6,
    DlqOutcome.FAILED_AGAIN: 6,
    DlqOutcome.UNVERIFIED: 6,
    DlqOutcome.CHANGED: 5,
    DlqOutcome.FAILED: 4,
    DlqOutcome.LEFT: 5,
}
"""Where nothing was sent for the message; any send in the run turns what is left into 6."""


def dry_run_code(plan: DlqPlan, *, unread: bool, exit_code: bool) -> int:
    """4 where a system did not answer, 3 for what is unknown, with `exit_code` 1 if anything is to be done; else 0."""
    actions = {s.action for s in plan.steps}
    if unread or DlqAction.UNKNOWN in actions:
        return 4
    if DlqAction.NOT_FOUND in actions:
        return 3
    return 1 if exit_code and (actions - {DlqAction.NOTHING} or any(_LEFT[s] for s, n in plan.left.items() if n)) else 0


def applied_code(plan: DlqPlan, results: Collection[DlqResult], *, unread: bool = False) -> int:
    """6 where something was sent, or may have been, and not all is settled; else the worst of what was left."""
    codes = [_NOT_SENT[s.action] for s in plan.steps if s.action is not DlqAction.SEND]
    codes += [_LEFT[state] for state, count in plan.left.items() if count]
    codes += [_OUTCOMES[r.outcome] for r in results]
    codes += [5] * bool(plan.beyond or plan.unlisted) + [4] * unread
    worst = worst_code(codes)
    return 6 if worst and any(r.changed for r in results) else worst
