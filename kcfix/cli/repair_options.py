"""What `kcfix repair` was asked, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from kcfix.core.repair_plan import Strategy, Wishes
from kcfix.core.verdict import OVERDUE


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one run."""

    ids: tuple[str, ...]
    """Words as they were given; `-` stands for standard input."""
    apply: bool = False
    yes: bool = False
    strategy: Strategy = Strategy.AUTO
    announce_later: bool = False
    limit: int = 100
    wait: timedelta = timedelta(seconds=30)
    reason: str = ""
    exit_code: bool = False
    overdue: timedelta = OVERDUE
    """Younger payments are on their way, and left alone."""

    @property
    def wishes(self) -> Wishes:
        """What bears on the plan."""
        return Wishes(self.strategy, self.announce_later, self.overdue)
