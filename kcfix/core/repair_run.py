"""The course of a repair of many payments: a canary, then batches, at a rate, until one is not settled.

The first payment of each way (insert, announce, replay) is done and read back alone before others go the same way.
After each batch what was done is read back; the first payment that is not settled then stops the run, and the rest is
left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from kcfix.core.matching import match_facts
from kcfix.core.payments import PaymentFacts, PaymentId
from kcfix.core.repair_apply import Applying
from kcfix.core.repair_plan import Action, Step
from kcfix.core.repair_result import Outcome, Result
from kcfix.errors import Unreachable

BATCH = 200
"""Payments that are done between two readings back: as many as fit into an insert (docs/decisions.md 3)."""


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
        """Do the steps, oldest payment first within a batch; what is not reached keeps its result."""
        waiting = list(steps)
        started, through = self.applying.monotonic(), 0
        while waiting:
            batch = self._next(waiting)
            taken = {step.payment_id for step in batch}
            waiting = [step for step in waiting if step.payment_id not in taken]
            self.applying.do(batch)
            self._read_back(batch)
            through += len(batch)
            self.done(len(batch))
            stopper = self._stopper(batch)
            if stopper is not None:
                self._leave(waiting, stopper)
                return
            self._proven |= {s.action for s in batch if self._result(s).outcome is Outcome.SETTLED}
            if waiting and self.rate is not None:
                ahead = through / self.rate - (self.applying.monotonic() - started)
                if ahead > 0:
                    self.applying.sleep(ahead)

    def _next(self, waiting: Sequence[Step]) -> list[Step]:
        first = waiting[0]
        if first.action not in self._proven:
            return [first]
        most = BATCH if self.rate is None else max(1, min(BATCH, int(self.rate)))
        return [step for step in waiting if step.action in self._proven][:most]

    def _result(self, step: Step) -> Result:
        return self.applying.results[step.payment_id]

    def _read_back(self, batch: Sequence[Step]) -> None:
        """Look again at what counts as settled: it has a purchase, the only active one of its student and course."""
        settled = [s for s in batch if self._result(s).outcome is Outcome.SETTLED and self._result(s).changed]
        if not settled:
            return
        self.applying.progress("reading back")
        try:
            facts = self.applying.database().facts([s.payment_id for s in settled])
        except Unreachable as error:
            for step in settled:
                self._unverified(step, f"could not be read back: {error.message}")
            return
        for step in settled:
            wrong = _wrong(facts[step.payment_id])
            if wrong is not None:
                self._unverified(step, f"reads back otherwise: {wrong}")

    def _unverified(self, step: Step, why: str) -> None:
        result = self._result(step)
        results = self.applying.results
        results[step.payment_id] = replace(result, outcome=Outcome.UNVERIFIED, text=f"{result.text}; {why}")

    def _stopper(self, batch: Sequence[Step]) -> PaymentId | None:
        """The payment after which nothing more is done. An insert that is to be announced later stops nothing."""
        for step in batch:
            outcome = self._result(step).outcome
            wanted = outcome is Outcome.UNANNOUNCED and not self.applying.announce
            if outcome.stops and not wanted:
                return step.payment_id
        return None

    def _leave(self, waiting: Sequence[Step], stopper: PaymentId) -> None:
        for step in waiting:
            text = f"not reached: the run stopped at {stopper}, which is not settled"
            self.applying.results[step.payment_id] = Result(step.payment_id, Outcome.LEFT, text, changed=False)


def _wrong(facts: PaymentFacts) -> str | None:
    """What is not as it should be once a payment is settled; None if all is."""
    purchase = match_facts(facts).purchase_of(facts.payment_id)
    if purchase is None:
        return "it has no purchase"
    active = [p for p in facts.purchases if p.is_active]
    if len(active) > 1:
        return f"{len(active)} active purchases of its student and course: {', '.join(p.id for p in active)}"
    return None if purchase in active else f"its purchase {purchase.id} is not active"
