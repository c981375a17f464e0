"""Inserts the purchases of a repair, transaction by transaction, each read back before the next one begins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from kcfix.core.events import own_purchase_id
from kcfix.core.judging.matching import match_facts
from kcfix.core.payments import PaymentFacts, Purchase
from kcfix.core.ports.database import InsertResult, InsertState
from kcfix.core.repair.again import MADE_MEANWHILE
from kcfix.core.repair.back import read_back
from kcfix.core.repair.journal import insert_entry
from kcfix.core.repair.lines import Lines
from kcfix.core.repair.means import Made, Means
from kcfix.core.repair.order import recheck
from kcfix.core.repair.plan import Step
from kcfix.core.repair.result import Outcome
from kcfix.errors import KcfixError, OutcomeUnknown, Unreachable


def insert(means: Means, steps: Sequence[Step]) -> list[Made]:
    """Insert, as far as all goes well; gives what is to be announced, which reads back as it should."""
    made: list[Made] = []
    parts = list(means.parts(steps))
    with Lines(means.journal) as lines:
        for number, part in enumerate(parts):
            means.progress("inserting")
            following = partial(_entries, parts[number + 1]) if number + 1 < len(parts) else None
            outcomes = lines.during(partial(_insert, means, part), partial(_entries, part), following)
            lines.became([{"state": result.state, "reason": result.reason} for result in outcomes])
            new = _after(means, part, outcomes)
            read_back(means, new)
            made += [(step, purchase) for step, purchase in new if means.outcome(step) is Outcome.UNANNOUNCED]
            if any(means.outcome(s).stops and means.outcome(s) is not Outcome.UNANNOUNCED for s in part):
                break
    return made


def _entries(steps: Sequence[Step]) -> list[dict[str, object]]:
    return [insert_entry(step, step.order) for step in steps if step.order is not None]


def _insert(means: Means, steps: Sequence[Step]) -> tuple[InsertResult, ...]:
    orders = [s.order for s in steps if s.order is not None]
    try:
        with means.timed("insert"):
            outcomes = means.database().insert(orders, recheck)
    except OutcomeUnknown as error:
        outcomes = tuple(InsertResult(o.payment_id, InsertState.UNKNOWN, error.message) for o in orders)
    except KcfixError as error:
        outcomes = tuple(InsertResult(o.payment_id, InsertState.FAILED, error.message) for o in orders)
    except BaseException:
        for step in steps:
            means.note(step, Outcome.UNSEEN, "the insert was begun; whether it was committed is unknown", changed=True)
        raise
    return _find_out(means, outcomes) if any(r.state is InsertState.UNKNOWN for r in outcomes) else outcomes


def _after(means: Means, steps: Sequence[Step], outcomes: Sequence[InsertResult]) -> list[Made]:
    made: list[Made] = []
    now = means.now()
    for step, result in zip(steps, outcomes, strict=True):
        purchase = _after_insert(means, step, result, now)
        if purchase is not None:
            made.append((step, purchase))
    return made


def _find_out(means: Means, outcomes: tuple[InsertResult, ...]) -> tuple[InsertResult, ...]:
    """After a commit without an answer: read what is there. What can't be read stays unknown."""
    try:
        facts = means.database().facts([r.payment_id for r in outcomes])
    except Unreachable:
        return outcomes
    return tuple(_found_out(r, facts[r.payment_id]) if r.state is InsertState.UNKNOWN else r for r in outcomes)


def _found_out(unknown: InsertResult, facts: PaymentFacts) -> InsertResult:
    """A purchase that is not kcfix's own proves that the insert was undone: only its own may be announced."""
    purchase = _purchase_in(facts)
    if purchase is None:
        return unknown
    own = purchase.id == own_purchase_id(unknown.payment_id)
    return InsertResult(unknown.payment_id, InsertState.EXISTS if own else InsertState.REFUSED, unknown.reason, facts)


def _after_insert(means: Means, step: Step, result: InsertResult, now: datetime) -> Purchase | None:
    """Note how the insert went; gives the purchase that is to be announced, None if there is none."""
    order = step.order
    assert order is not None  # noqa: S101  an INSERT step has an order
    match result.state:
        case InsertState.INSERTED | InsertState.EXISTS:
            purchase = Purchase(
                order.purchase_id, order.student_id, order.course_id, order.tier, True, now, order.metadata
            )
            text = "inserted, not yet announced"
            means.note(step, Outcome.UNANNOUNCED, text, changed=True, purchase=purchase)
            return purchase
        case InsertState.REFUSED:
            found = _purchase_in(result.facts)
            if found is not None:  # never kcfix's own: that is EXISTS
                means.note(step, Outcome.SETTLED, MADE_MEANWHILE, changed=False, purchase=found)
            else:
                means.note(step, Outcome.CHANGED, result.reason or "the world changed", changed=False)
        case InsertState.FAILED:
            means.note(step, Outcome.FAILED, result.reason or "rolled back", changed=False)
        case InsertState.UNKNOWN:
            text = result.reason or "the commit was sent and not answered"
            means.note(step, Outcome.UNSEEN, text, changed=True)
    return None


def _purchase_in(facts: PaymentFacts | None) -> Purchase | None:
    return match_facts(facts).purchase_of(facts.payment_id) if facts is not None else None
