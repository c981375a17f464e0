"""Carries out some steps of a repair plan: inserts, announces, replays (docs/decisions.md 3).

Each step is journalled before its effect and guarded by a precondition that is checked inside the change. Killed at
any point, the next run finds out from the tables and the log what happened and finishes; it never needs the journal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from kcfix.core.announce import announcement
from kcfix.core.events import Message, advisory_lock_key, own_purchase_id
from kcfix.core.journal import Recorder
from kcfix.core.matching import match_facts
from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import PaymentFacts, PaymentId, Purchase
from kcfix.core.ports import (
    DatabasePort,
    HeldPurchase,
    Hold,
    InsertResult,
    InsertState,
    KafkaPort,
    SendResult,
    SendState,
)
from kcfix.core.repair_again import MADE_MEANWHILE, sent_no_more
from kcfix.core.repair_journal import insert_entry, send_entry
from kcfix.core.repair_order import recheck
from kcfix.core.repair_plan import Action, Step
from kcfix.core.repair_result import Outcome, Result, Results
from kcfix.errors import KcfixError, OutcomeUnknown, Unreachable
from kcfix.flow import Flow

POLL = timedelta(milliseconds=500)


@dataclass
class Applying:
    """One run."""

    flow: Flow
    database: Callable[[], DatabasePort]
    kafka: Callable[[], KafkaPort]
    journal: Recorder
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    wait: timedelta
    """How long to watch for the purchases after a replay."""
    announce: bool
    progress: Callable[[str], None]
    results: Results

    def do(self, steps: Sequence[Step]) -> None:
        """Do these steps, at most 200: inserts with their announcements, announcements, then replays."""
        self._insert([s for s in steps if s.action is Action.INSERT])
        self._announce([s for s in steps if s.action is Action.ANNOUNCE])
        self._replay([s for s in steps if s.action is Action.REPLAY])

    def _note(
        self, step: Step, outcome: Outcome, text: str, *, changed: bool, purchase: Purchase | None = None
    ) -> None:
        self.results[step.payment_id] = Result(step.payment_id, outcome, text, changed, purchase)

    # inserts

    def _insert(self, steps: Sequence[Step]) -> None:
        if not steps:
            return
        self.progress("inserting")
        orders = [s.order for s in steps if s.order is not None]
        ids = self.journal.intend_all([insert_entry(step, order) for step, order in zip(steps, orders, strict=True)])
        for step in steps:
            self._note(step, Outcome.UNSEEN, "the insert was begun; whether it was committed is unknown", changed=True)
        try:
            outcomes = self.database().insert(orders, recheck)
        except OutcomeUnknown as error:
            outcomes = tuple(InsertResult(o.payment_id, InsertState.UNKNOWN, error.message) for o in orders)
        except KcfixError as error:
            outcomes = tuple(InsertResult(o.payment_id, InsertState.FAILED, error.message) for o in orders)
        if any(r.state is InsertState.UNKNOWN for r in outcomes):
            outcomes = self._find_out(outcomes)
        told = [{"state": result.state, "reason": result.reason} for result in outcomes]
        self.journal.done_all(zip(ids, told, strict=True))
        made: list[tuple[Step, Purchase]] = []
        for step, result in zip(steps, outcomes, strict=True):
            purchase = self._after_insert(step, result)
            if purchase is not None:
                made.append((step, purchase))
        self._send_announcements(made)

    def _find_out(self, outcomes: tuple[InsertResult, ...]) -> tuple[InsertResult, ...]:
        """After a commit without an answer: read what is there. What can't be read stays unknown."""
        try:
            facts = self.database().facts([r.payment_id for r in outcomes])
        except Unreachable:
            return outcomes
        return tuple(_found_out(r, facts[r.payment_id]) if r.state is InsertState.UNKNOWN else r for r in outcomes)

    def _after_insert(self, step: Step, result: InsertResult) -> Purchase | None:
        """Note how the insert went; gives the purchase that is to be announced, None if there is none."""
        order = step.order
        assert order is not None  # noqa: S101  an INSERT step has an order
        match result.state:
            case InsertState.INSERTED | InsertState.EXISTS:
                purchase = Purchase(
                    order.purchase_id, order.student_id, order.course_id, order.tier, True, self.now(), order.metadata
                )
                self._note(step, Outcome.UNANNOUNCED, "inserted, not yet announced", changed=True, purchase=purchase)
                return purchase
            case InsertState.REFUSED:
                found = _purchase_in(result.facts)
                if found is not None:  # never kcfix's own: that is EXISTS
                    self._note(step, Outcome.SETTLED, MADE_MEANWHILE, changed=False, purchase=found)
                else:
                    self._note(step, Outcome.CHANGED, result.reason or "the world changed", changed=False)
            case InsertState.FAILED:
                self._note(step, Outcome.FAILED, result.reason or "rolled back", changed=False)
            case InsertState.UNKNOWN:
                self._note(step, Outcome.UNSEEN, result.reason or "the commit was sent and not answered", changed=True)
        return None

    # announcements

    def _announce(self, steps: Sequence[Step]) -> None:
        self._send_announcements([(s, s.purchase) for s in self._still_to_send(steps) if s.purchase is not None])

    def _send_announcements(self, made: Sequence[tuple[Step, Purchase]]) -> None:
        if not made:
            return
        if not self.announce:
            for step, purchase in made:
                text = "inserted; to be announced by a later run (kcfix repair, once Kafka is back)"
                self._note(step, Outcome.UNANNOUNCED, text, changed=True, purchase=purchase)
            return
        self.progress("announcing")
        with self._held(made) as hold:
            made = [(step, purchase) for step, purchase in made if purchase.id in hold.there]
            messages = [announcement(step.payment_id, purchase, self.flow, self.now()) for step, purchase in made]
            results = self._send("announce", [s for s, _ in made], messages, hold.check) if made else ()
        for (step, purchase), sent in zip(made, results, strict=True):
            inserted = step.action is Action.INSERT
            if sent.state is SendState.ACKNOWLEDGED:
                done = "inserted and announced" if inserted else "announced"
                text = f"{done} ({_place(self.flow.purchase_created, sent)})"
                where = _where(self.flow.purchase_created, sent)
                self.results[step.payment_id] = Result(
                    step.payment_id, Outcome.SETTLED, text, changed=True, purchase=purchase, announced_at=where
                )
            else:
                doubt = "not surely announced" if sent.state is SendState.UNKNOWN else "not announced"
                changed = inserted or sent.state is SendState.UNKNOWN
                text = f"{'inserted, ' if inserted else ''}{doubt}: {sent.error}; the next run finishes it"
                self._note(step, Outcome.UNANNOUNCED, text, changed=changed, purchase=purchase)

    @contextmanager
    def _held(self, made: Sequence[tuple[Step, Purchase]]) -> Iterator[Hold]:
        """Within the block nobody who takes the worker's lock can change these purchases; gives those that are there.

        So what is announced exists: an undo deletes an unannounced purchase under the same lock.
        """
        with ExitStack() as stack:
            hold = Hold(frozenset(), lambda: None)
            why = "its purchase is no longer there, or no longer active: not announced"
            state = Outcome.CHANGED
            try:
                hold = stack.enter_context(self.database().holding([_held(s, p) for s, p in made]))
            except KcfixError as error:
                why, state = f"not announced: {error.message}; the next run finishes it", Outcome.UNANNOUNCED
            for step, purchase in made:
                if purchase.id not in hold.there:
                    inserted = step.action is Action.INSERT
                    text = f"inserted; {why}" if inserted else why
                    self._note(step, state, text, changed=inserted, purchase=purchase)
            yield hold

    # replays

    def _replay(self, steps: Sequence[Step]) -> None:
        steps = self._still_to_send(steps)
        if not steps:
            return
        self.progress("replaying")
        messages = [s.replay.message for s in steps if s.replay is not None]
        results = self._send("replay", steps, messages)
        waiting: dict[PaymentId, tuple[Step, str]] = {}
        for step, sent in zip(steps, results, strict=True):
            if sent.state is SendState.REJECTED:
                self._note(step, Outcome.FAILED, f"not sent: {sent.error}", changed=False)
                continue
            place = _place(self.flow.purchase_confirmed, sent)
            waiting[step.payment_id] = (step, place)
            self._note(step, Outcome.UNSEEN, f"sent ({place}), its purchase not yet seen", changed=True)
        self._watch(waiting)

    def _watch(self, waiting: dict[PaymentId, tuple[Step, str]]) -> None:
        """Wait until the worker made the purchases, or the time is up. A time-out is not a failure."""
        deadline = self.monotonic() + self.wait.total_seconds()
        looks = max(1, math.ceil(self.wait / POLL))
        while waiting:
            looks -= 1
            try:
                facts = self.database().facts(tuple(waiting))
            except Unreachable as error:
                for step, place in waiting.values():
                    self._note(step, Outcome.UNSEEN, f"sent ({place}); then no answer: {error.message}", changed=True)
                return
            for payment_id in tuple(waiting):
                found = _purchase_in(facts[payment_id])
                if found is not None:
                    step, place = waiting.pop(payment_id)
                    text = f"sent ({place}), and the worker made purchase {found.id}"
                    self._note(step, Outcome.SETTLED, text, changed=True, purchase=found)
            if waiting and (looks <= 0 or self.monotonic() >= deadline):
                seconds = int(self.wait.total_seconds())
                for step, place in waiting.values():
                    text = f"sent ({place}); no purchase within {seconds} s; it may yet appear, look again"
                    self._note(step, Outcome.UNSEEN, text, changed=True)
                return
            if waiting:
                self.progress(f"waiting for the worker ({len(waiting)} to go)")
                self.sleep(POLL.total_seconds())

    def _still_to_send(self, steps: Sequence[Step]) -> list[Step]:
        """Those of the steps whose message is still called for, by facts that are read now."""
        if not steps:
            return []
        self.progress("reading again")
        try:
            facts = self.database().facts([s.payment_id for s in steps])
        except Unreachable as error:
            for step in steps:
                self._note(step, Outcome.FAILED, f"not sent: {error.message}", changed=False)
            return []
        over = {s.payment_id: r for s in steps if (r := sent_no_more(s, facts[s.payment_id])) is not None}
        self.results.update(over)
        return [s for s in steps if s.payment_id not in over]

    def _send(
        self, kind: str, steps: Sequence[Step], messages: Sequence[Message], check: Callable[[], None] = lambda: None
    ) -> tuple[SendResult, ...]:
        """Journal the messages and send them; what `check` raises between the two keeps them from being sent."""
        ids = self.journal.intend_all([send_entry(kind, s, m) for s, m in zip(steps, messages, strict=True)])
        try:
            check()
            results = self.kafka().send(messages)
        except OutcomeUnknown as error:
            results = tuple(SendResult(SendState.UNKNOWN, error=error.message) for _ in messages)
        except KcfixError as error:
            results = tuple(SendResult(SendState.REJECTED, error=error.message) for _ in messages)
        told = [{"state": r.state, "partition": r.partition, "offset": r.offset, "error": r.error} for r in results]
        self.journal.done_all(zip(ids, told, strict=True))
        return results


def _held(step: Step, purchase: Purchase) -> HeldPurchase:
    keys = {advisory_lock_key(purchase.student_id, purchase.course_id), *(step.order.lock_keys if step.order else ())}
    return HeldPurchase(purchase.id, tuple(sorted(keys)))


def _where(topic: str, sent: SendResult) -> tuple[TopicPartition, int] | None:
    known = sent.partition is not None and sent.offset is not None
    return (TopicPartition(topic, sent.partition or 0), sent.offset or 0) if known else None


def _place(topic: str, sent: SendResult) -> str:
    return f"{topic}-{sent.partition} offset {sent.offset}" if sent.offset is not None else topic


def _found_out(unknown: InsertResult, facts: PaymentFacts) -> InsertResult:
    """A purchase that is not kcfix's own proves that the insert was undone: only its own may be announced."""
    purchase = _purchase_in(facts)
    if purchase is None:
        return unknown
    own = purchase.id == own_purchase_id(unknown.payment_id)
    return InsertResult(unknown.payment_id, InsertState.EXISTS if own else InsertState.REFUSED, unknown.reason, facts)


def _purchase_in(facts: PaymentFacts | None) -> Purchase | None:
    return match_facts(facts).purchase_of(facts.payment_id) if facts is not None else None
