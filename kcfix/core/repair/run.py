"""The course of a repair of many payments: a canary, then rounds, at a rate, until one is not settled.

The first payment of each way (insert, announce, replay) is done and read back alone before others go the same way. A
round is begun, announced or waited for as a whole; the first payment that does not read back as settled stops the run,
and the rest is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kcfix.core.payments import PaymentId
from kcfix.core.repair.apply import Applying
from kcfix.core.repair.plan import Action, Step
from kcfix.core.repair.result import Outcome, Result

ROUND = 10_000
"""Payments of a round: at most so many purchases are inserted and not announced, or replays sent and not seen, when a
run is killed or stops."""


@dataclass
class RepairRun:
    """One run over all the steps that are to be done, in their order."""

    applying: Applying
    rate: float | None = None
    """Payments a second, at most; None: as fast as they go."""
    done: Callable[[int], None] = lambda count: None
    """Told how many more payments are through."""
    _proven: set[Action] = field(default_factory=set)

    def run(self, steps: Sequence[Step]) -> None:
        """Do the steps, the oldest payment first; what is not reached keeps its result."""
        waiting = list(steps)
        started, through = self.applying.monotonic(), 0
        while waiting:
            batch = self._next(waiting)
            taken = {step.payment_id for step in batch}
            waiting = [step for step in waiting if step.payment_id not in taken]
            self._do(batch)
            through += len(batch)
            stopper = self.applying.stopper(batch)
            if stopper is not None:
                self._leave([s for s in batch if self.applying.outcome(s) is Outcome.LEFT] + waiting, stopper)
                return
            self._proven |= {s.action for s in batch if self.applying.outcome(s) is Outcome.SETTLED}
            if waiting and self.rate is not None:
                ahead = through / self.rate - (self.applying.monotonic() - started)
                if ahead > 0:
                    self.applying.sleep(ahead)

    def _do(self, batch: Sequence[Step]) -> None:
        told = 0

        def through(count: int) -> None:
            nonlocal told
            told += count
            self.done(count)

        self.applying.through = through
        self.applying.do(batch)
        if told < len(batch):
            self.done(len(batch) - told)

    def _next(self, waiting: Sequence[Step]) -> list[Step]:
        first = waiting[0]
        if first.action not in self._proven:
            return [first]
        most = ROUND if self.rate is None else max(1, min(ROUND, int(self.rate)))
        return [step for step in waiting if step.action is first.action][:most]

    def _leave(self, waiting: Sequence[Step], stopper: PaymentId) -> None:
        for step in waiting:
            text = f"not reached: the run stopped at {stopper}, which is not settled"
            self.applying.results[step.payment_id] = Result(step.payment_id, Outcome.LEFT, text, changed=False)
