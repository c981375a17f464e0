"""Announces purchases (PURCHASE_CREATED) under the worker's locks, some at a time, each lot read back at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from kcfix.core.events import advisory_lock_key
from kcfix.core.payments import Purchase
from kcfix.core.ports.database import HeldPurchase, Hold
from kcfix.core.ports.kafka import SendState
from kcfix.core.repair.back import read_back
from kcfix.core.repair.created_message import announcement
from kcfix.core.repair.means import Made, Means
from kcfix.core.repair.plan import Action, Step
from kcfix.core.repair.result import Outcome, Result
from kcfix.core.repair.send import place, send, still_to_send, where
from kcfix.errors import KcfixError


def announce_again(means: Means, steps: Sequence[Step]) -> None:
    """Announce what these steps found unannounced, if nothing changed since."""
    for part in means.parts(steps):
        _announce(means, [(s, s.purchase) for s in still_to_send(means, part) if s.purchase is not None])
        if means.stopper(part) is not None:
            return


def announce(means: Means, made: Sequence[Made]) -> None:
    """Announce what was inserted; the first lot that is not surely announced ends it, the next run finishes it."""
    if not means.announce:
        for step, purchase in made:
            text = "inserted; to be announced by a later run (kcfix repair, once Kafka is back)"
            means.note(step, Outcome.UNANNOUNCED, text, changed=True, purchase=purchase)
        return
    for part in means.parts(made):
        _announce(means, part)
        if means.stopper([step for step, _ in part]) is not None:
            return


def _announce(means: Means, made: Sequence[Made]) -> None:
    if not made:
        return
    means.progress("announcing")
    topic = means.flow.purchase_created
    with _held(means, made) as hold:
        made = [(step, purchase) for step, purchase in made if purchase.id in hold.there]
        messages = [announcement(step.payment_id, purchase, means.flow, means.now()) for step, purchase in made]
        results = send(means, "announce", [s for s, _ in made], messages, hold.check) if made else ()
    done: list[Made] = []
    for (step, purchase), sent in zip(made, results, strict=True):
        inserted = step.action is Action.INSERT
        if sent.state is SendState.ACKNOWLEDGED:
            text = f"{'inserted and announced' if inserted else 'announced'} ({place(topic, sent)})"
            means.results[step.payment_id] = Result(
                *(step.payment_id, Outcome.SETTLED, text),
                changed=True,
                purchase=purchase,
                announced_at=where(topic, sent),
            )
            done.append((step, purchase))
        else:
            doubt = "not surely announced" if sent.state is SendState.UNKNOWN else "not announced"
            changed = inserted or sent.state is SendState.UNKNOWN
            text = f"{'inserted, ' if inserted else ''}{doubt}: {sent.error}; the next run finishes it"
            means.note(step, Outcome.UNANNOUNCED, text, changed=changed, purchase=purchase)
    read_back(means, done)
    means.through(len(done))


@contextmanager
def _held(means: Means, made: Sequence[Made]) -> Iterator[Hold]:
    """Within the block nobody who takes the worker's lock can change these purchases; gives those that are there.

    So what is announced exists: an undo deletes an unannounced purchase under the same lock.
    """
    with ExitStack() as stack:
        hold = Hold(frozenset(), lambda: None)
        why = "its purchase is no longer there, or no longer active: not announced"
        state = Outcome.CHANGED
        try:
            hold = stack.enter_context(means.database().holding([_purchase(s, p) for s, p in made]))
        except KcfixError as error:
            why, state = f"not announced: {error.message}; the next run finishes it", Outcome.UNANNOUNCED
        for step, purchase in made:
            if purchase.id not in hold.there:
                inserted = step.action is Action.INSERT
                text = f"inserted; {why}" if inserted else why
                means.note(step, state, text, changed=inserted, purchase=purchase)
        yield hold


def _purchase(step: Step, purchase: Purchase) -> HeldPurchase:
    if step.order is not None:
        return HeldPurchase(purchase.id, step.order.lock_keys)
    return HeldPurchase(purchase.id, (advisory_lock_key(purchase.student_id, purchase.course_id),))
