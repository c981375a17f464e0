"""Carries out some steps of a repair plan: inserts, announces, replays (docs/decisions.md 3).

Each step is journalled before its effect and guarded by a precondition that is checked inside the change. Killed at
any point, the next run finds out from the tables and the log what happened and finishes; it never needs the journal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kcfix.core.repair.announce import announce, announce_again
from kcfix.core.repair.insert import insert
from kcfix.core.repair.means import Means
from kcfix.core.repair.plan import Action, Step
from kcfix.core.repair.replay import replay


@dataclass
class Applying(Means):
    """One run."""

    def do(self, steps: Sequence[Step]) -> None:
        """Do these steps and read back what became of them; what follows the first that is not settled may be left."""
        announce(self, insert(self, [s for s in steps if s.action is Action.INSERT]))
        announce_again(self, [s for s in steps if s.action is Action.ANNOUNCE])
        replay(self, [s for s in steps if s.action is Action.REPLAY])
