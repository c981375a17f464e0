"""Replays PURCHASE_CONFIRMED, and watches for the purchases that the worker makes of it.

All messages of a round are sent before the purchases of the first are waited for: the worker takes a payment in some
milliseconds, a send takes microseconds. While sending, what has come of the oldest is looked at now and then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from kcfix.core.judging.matching import match_facts
from kcfix.core.payments import PaymentId
from kcfix.core.ports.kafka import SendState
from kcfix.core.repair.back import unverified, wrong
from kcfix.core.repair.means import Means
from kcfix.core.repair.plan import Step
from kcfix.core.repair.result import Outcome
from kcfix.core.repair.send import place, send, still_to_send
from kcfix.errors import Unreachable

FIRST_POLL, POLL = 0.05, 0.5
"""Seconds between two looks at what the worker made: soon at first, for a single payment is a matter of moments."""
BETWEEN = 1.0
"""Seconds between two looks while there is still something to be sent; more, if they would take more than a tenth."""
OLDEST = 1000
"""As many of those that wait are looked at then."""


def replay(means: Means, steps: Sequence[Step]) -> None:
    """Send all, unless something fails; then wait until the worker made the purchases, or makes none any more."""
    watch = Watch(means)
    due = means.monotonic() + BETWEEN
    for part in means.parts(steps):
        waiting, surely = _send(means, part)
        watch.waiting |= waiting
        if not surely or watch.doubtful:
            break
        began = means.monotonic()
        if began >= due:
            watch.look(OLDEST)
            took = means.monotonic() - began
            due = means.monotonic() + max(BETWEEN, 9 * took)
    watch.wait()


def _send(means: Means, steps: Sequence[Step]) -> tuple[dict[PaymentId, tuple[Step, str]], bool]:
    """Send; gives what is to be waited for, with where its message lies, and whether all were surely sent."""
    wanted = still_to_send(means, steps)
    if not wanted:
        return {}, not any(means.outcome(s) is Outcome.FAILED for s in steps)
    means.progress("replaying")
    messages = [s.replay.message for s in wanted if s.replay is not None]
    sent = send(means, "replay", wanted, messages)
    waiting: dict[PaymentId, tuple[Step, str]] = {}
    for step, result in zip(wanted, sent, strict=True):
        if result.state is SendState.REJECTED:
            means.note(step, Outcome.FAILED, f"not sent: {result.error}", changed=False)
            continue
        at = place(means.flow.purchase_confirmed, result)
        waiting[step.payment_id] = (step, at)
        means.note(step, Outcome.UNSEEN, f"sent ({at}), its purchase not yet seen", changed=True)
    return waiting, all(result.state is SendState.ACKNOWLEDGED for result in sent)


@dataclass
class Watch:
    """Waits for purchases. A time-out is not a failure."""

    means: Means
    waiting: dict[PaymentId, tuple[Step, str]] = field(default_factory=dict)
    """What was sent and has no purchase yet, with where its message lies."""
    doubtful: bool = False
    """Whether a purchase was seen that is not as it should be, or the database fell silent."""

    def look(self, most: int | None = None) -> int:
        """Take out those whose purchase is there now, of the oldest so many (None: of all); how many they were.

        The database itself tells of which there is nothing new, so that each payment is read about once.
        """
        means = self.means
        try:
            oldest = list(islice(self.waiting.items(), most))
            facts = [step.facts for _, (step, _) in oldest if step.facts is not None]
            nothing_new = means.database().unchanged(facts)
            ids = [payment_id for payment_id, _ in oldest if payment_id not in nothing_new]
            found = means.database().facts(ids) if ids else {}
        except Unreachable as error:
            for step, at in self.waiting.values():
                means.note(step, Outcome.UNSEEN, f"sent ({at}); then no answer: {error.message}", changed=True)
            self.waiting.clear()
            self.doubtful = True
            return 0
        seen = 0
        for payment_id, facts_now in found.items():
            purchase = match_facts(facts_now).purchase_of(payment_id)
            if purchase is None:
                continue
            seen += 1
            step, at = self.waiting.pop(payment_id)
            text = f"sent ({at}), and the worker made purchase {purchase.id}"
            means.note(step, Outcome.SETTLED, text, changed=True, purchase=purchase)
            why = wrong(facts_now)
            if why is not None:
                unverified(means, step, f"reads back otherwise: {why}")
                self.doubtful = True
        means.through(seen)
        return seen

    def wait(self) -> None:
        """Until all are there, or for the run's `wait` none came."""
        means = self.means
        patience = means.wait.total_seconds()
        poll, slept, last = FIRST_POLL, 0.0, means.monotonic()
        while self.waiting:
            began = means.monotonic()
            if self.look():
                slept, last = 0.0, means.monotonic()
            if not self.waiting:
                return
            if slept >= patience or means.monotonic() - last >= patience:
                for step, at in self.waiting.values():
                    text = f"sent ({at}); no purchase within {int(patience)} s; it may yet appear, look again"
                    means.note(step, Outcome.UNSEEN, text, changed=True)
                return
            means.progress(f"waiting for the worker ({len(self.waiting)} to go)")
            # A look at thousands takes its time: the database is not asked more than half of it.
            nap = max(poll, means.monotonic() - began)
            means.sleep(nap)
            slept, poll = slept + nap, min(POLL, 2 * poll)
