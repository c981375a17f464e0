"""Whether a message is still to be sent, by facts read right before: a plan of many payments may be hours old.

An insert needs none of this: its facts are read again under the worker's lock (`kcfix.core.repair.order`).
"""

from __future__ import annotations

from kcfix.core.judging.matching import match_facts
from kcfix.core.payments import PaymentFacts
from kcfix.core.repair.order import announcement_changed, changed_since
from kcfix.core.repair.plan import Action, Step
from kcfix.core.repair.result import Outcome, Result

MADE_MEANWHILE = "the worker (or somebody) made its purchase in the meantime"


def sent_no_more(step: Step, now: PaymentFacts) -> Result | None:
    """What became of a replay or announcement that is no longer to be sent; None if it is."""
    then = step.facts
    assert then is not None  # noqa: S101  every step that changes something rests on facts
    if step.action is Action.REPLAY:
        purchase = match_facts(now).purchase_of(step.payment_id)
        if purchase is not None:
            return Result(step.payment_id, Outcome.SETTLED, MADE_MEANWHILE, changed=False, purchase=purchase)
        why = changed_since(then, now)
    else:
        purchase = step.purchase
        assert purchase is not None  # noqa: S101  an ANNOUNCE step has a purchase
        why = announcement_changed(purchase, then, now)
        found = match_facts(now).purchase_of(step.payment_id)
        its_own = found is not None and found.id == purchase.id
        if why is not None and its_own and any(a.allocated for a in now.allocations):
            text = "its student and course have an allocation by now"
            return Result(step.payment_id, Outcome.SETTLED, text, changed=False, purchase=purchase)
    return None if why is None else Result(step.payment_id, Outcome.CHANGED, f"not sent: {why}", changed=False)
