"""Reads back what a repair did: a payment is settled once it has its purchase, the only active one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kcfix.core.events import own_purchase_id
from kcfix.core.judging.matching import match_facts
from kcfix.core.payments import PaymentFacts
from kcfix.core.repair.means import Made, Means
from kcfix.core.repair.plan import Step
from kcfix.core.repair.result import Outcome
from kcfix.errors import Unreachable


def read_back(means: Means, made: Sequence[Made]) -> None:
    """Look at these purchases again; the payment of one that is not as it should be becomes UNVERIFIED.

    The database itself tells which of kcfix's own stand as they should; only of the others are the facts read.
    """
    if not made:
        return
    means.progress("reading back")
    own = {s.payment_id: p.id for s, p in made if s.order is not None or p.id == own_purchase_id(s.payment_id)}
    try:
        standing = means.database().standing(own) if own else frozenset()
        doubtful = [step for step, _ in made if step.payment_id not in standing]
        facts = means.database().facts([s.payment_id for s in doubtful]) if doubtful else {}
    except Unreachable as error:
        for step, _ in made:
            unverified(means, step, f"could not be read back: {error.message}")
        return
    for step in doubtful:
        why = wrong(facts[step.payment_id])
        if why is not None:
            unverified(means, step, f"reads back otherwise: {why}")


def unverified(means: Means, step: Step, why: str) -> None:
    """Say so, and why, beside what was done."""
    result = means.results[step.payment_id]
    means.results[step.payment_id] = replace(result, outcome=Outcome.UNVERIFIED, text=f"{result.text}; {why}")


def wrong(facts: PaymentFacts) -> str | None:
    """What is not as it should be once a payment is settled; None if all is."""
    purchase = match_facts(facts).purchase_of(facts.payment_id)
    if purchase is None:
        return "it has no purchase"
    active = [p for p in facts.purchases if p.is_active]
    if len(active) > 1:
        return f"{len(active)} active purchases of its student and course: {', '.join(p.id for p in active)}"
    return None if purchase in active else f"its purchase {purchase.id} is not active"
