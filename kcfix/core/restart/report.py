"""How a restart ended for each worker, and the exit code that follows (docs/decisions.md 4 and 5)."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field

from kcfix.core.move.pin import Pin
from kcfix.core.move.settlement import Settlement
from kcfix.core.restart.plan import Plan, Way
from kcfix.core.restart.proof import Proof
from kcfix.errors import KcfixError, NotFound, PartlyApplied, Refused, Unreachable, worst_code


class Outcome(enum.StrEnum):
    """How it ended for one worker."""

    WORKING = "WORKING"
    IDLE = "IDLE"
    """Joined, nothing to consume: unproven, and good."""
    UNPROVEN = "UNPROVEN"
    """Started, and not seen to work within the wait."""
    STOPPED = "STOPPED"
    """Left stopped: a start now would skip messages, or it did not start."""
    STARTED_AGAIN = "STARTED_AGAIN"
    """Stopped, and started again without its offsets: the group did not become empty."""
    PINNED = "PINNED"
    """The offsets are set, all or some; the worker has to be started by other means."""
    UNCHANGED = "UNCHANGED"
    """Nothing was done about it."""
    UNKNOWN = "UNKNOWN"
    """A change was sent and not answered."""


SETTLED = (Outcome.WORKING, Outcome.IDLE)


@dataclass
class Report:
    """What was done about one worker; filled as it goes, so that it can be shown on every way out."""

    plan: Plan
    outcome: Outcome = Outcome.UNCHANGED
    text: str = ""
    """Why it is so."""
    next: tuple[str, ...] = ()
    """How to go on, commands to paste."""
    steps: list[str] = field(default_factory=list)
    """What was done, in order; one that was begun and not seen to end says so."""
    pins: tuple[Pin, ...] = ()
    """As read once the group was empty."""
    stopped: tuple[str, ...] = ()
    """Names of containers that are stopped, or may be, and that this run was to start."""
    proof: Proof | None = None
    lost: tuple[Settlement, ...] | None = None
    """Owed messages that nobody will read any more; None: not known, `lost_error` may say why."""
    lost_error: str | None = None
    error: KcfixError | None = None
    """What it failed with before anything was done."""

    @property
    def worker(self) -> str:
        """The Compose service."""
        return self.plan.stage.worker

    @property
    def changed(self) -> bool:
        """Whether anything was done, or may have been."""
        return bool(self.steps)

    @property
    def code(self) -> int:
        """Its exit code."""
        if self.outcome in SETTLED:
            return PartlyApplied.code if self.lost else 0
        if self.changed:
            return PartlyApplied.code
        if self.error is not None:
            return self.error.code
        return refused_code(self.plan)


def refused_code(plan: Plan) -> int:
    """The exit code of a worker about which nothing is done."""
    if plan.way is Way.ELSEWHERE:
        return Unreachable.code
    if plan.refusal is not None:
        return Refused.code
    return NotFound.code if plan.way is Way.MISSING else 0


def exit_code(reports: Iterable[Report]) -> int:
    """The worst that holds; 6 as soon as something was changed and not all is well."""
    found = list(reports)
    worst = worst_code(r.code for r in found)
    return PartlyApplied.code if worst and any(r.changed for r in found) else worst
