"""What of a run can be undone, decided on its journal and on what was read now. Nothing here asks or changes anything.

What was sent can't be called back. The rest is undone only where it is still as the run left it; what could not be
looked at is unknown, and then nothing is done about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kcfix.core.events import advisory_lock_key
from kcfix.core.journal import JournalStep, RunRecord
from kcfix.core.judging.snapshot import AnnouncementEvidence, MessageEvidence, Reading
from kcfix.core.payments import PaymentFacts, PaymentId, Purchase
from kcfix.core.ports.database import DeleteOrder
from kcfix.core.undo.journal import inserted_payment, moved_offset, step_kind, step_payment, step_state
from kcfix.core.undo.offsets import UNREAD, GroupNow, offset_back
from kcfix.core.undo.step import UndoAction, UndoStep

IN_DOUBT = timedelta(minutes=2)
"""What was sent and not answered may yet take effect for so long: a broker may append it, a server commit it."""
SLACK = timedelta(minutes=1)
"""By how much a clock may err when it is asked whether a purchase was made within a run."""


@dataclass(frozen=True, slots=True)
class UndoFacts:
    """What was read for the steps of one run. What is left out was not read."""

    now: datetime
    payments: Mapping[PaymentId, Reading[PaymentFacts]] = field(default_factory=dict)
    announcements: Mapping[PaymentId, Reading[AnnouncementEvidence]] = field(default_factory=dict)
    messages: Mapping[PaymentId, Reading[MessageEvidence]] = field(default_factory=dict)
    groups: Mapping[str, Reading[GroupNow]] = field(default_factory=dict)
    database_ahead: timedelta = timedelta(0)
    """How far the database's clock is ahead of this host's."""
    other_runs: tuple[RunRecord, ...] = ()
    """The other runs of the journal."""


def plan_undo(run: RunRecord, facts: UndoFacts) -> tuple[UndoStep, ...]:
    """One step for each that the run journalled, the newest first; empty for a run that began none."""
    return tuple(_step(step, run, facts) for step in reversed(run.steps))


def _step(step: JournalStep, run: RunRecord, facts: UndoFacts) -> UndoStep:
    match step_kind(step):
        case "insert":
            return _insert(step, run, facts)
        case "announce" | "replay":
            return _sent(step)
        case "commit":
            return _commit(step, facts)
        case "delete":
            return _deleted(step)
        case "stop" | "start" | "restart" as kind:
            return UndoStep(step.id, kind, UndoAction.NOTHING, "containers are left as they are now")
        case kind:
            return UndoStep(step.id, kind, UndoAction.CANNOT, "this version does not know how to undo such a step")


def _sent(step: JournalStep) -> UndoStep:
    kind, payment = step_kind(step), step_payment(step)
    if step_state(step) == "REJECTED":
        return UndoStep(step.id, kind, UndoAction.NOTHING, "it was not sent", payment)
    what = "the announcement" if kind == "announce" else "the message"
    sure = "was sent" if step_state(step) == "ACKNOWLEDGED" else "may have been sent"
    return UndoStep(step.id, kind, UndoAction.CANNOT, f"{what} {sure}; a message can't be called back", payment)


def _deleted(step: JournalStep) -> UndoStep:
    payment, purchase = step_payment(step), step.what.get("purchase_id")
    id = purchase if isinstance(purchase, str) else None
    if step_state(step) in ("REFUSED", "FAILED", "GONE"):
        why = "it was not deleted by this run"
        return UndoStep(step.id, "delete", UndoAction.NOTHING, why, payment, purchase_id=id)
    why = "a deletion is not undone by undo; a repair of the payment makes its purchase again"
    return UndoStep(step.id, "delete", UndoAction.CANNOT, why, payment, purchase_id=id)


def _insert(step: JournalStep, run: RunRecord, facts: UndoFacts) -> UndoStep:
    payment = inserted_payment(step)
    named = step.what.get("purchase_id")
    purchase_id = named if isinstance(named, str) else None

    def decided(
        action: UndoAction, why: str, order: DeleteOrder | None = None, notes: tuple[str, ...] = ()
    ) -> UndoStep:
        return UndoStep(step.id, "insert", action, why, step_payment(step), order, purchase_id=purchase_id, notes=notes)

    if payment is None:
        return decided(UndoAction.CANNOT, "the journal does not name kcfix's own purchase of a payment")
    if step_state(step) in ("REFUSED", "FAILED"):
        return decided(UndoAction.NOTHING, "it was not inserted")
    # With a reason it is the run's own insert, found after a commit that was not answered.
    if step_state(step) == "EXISTS" and not (step.result or {}).get("reason"):
        return decided(UndoAction.NOTHING, "an earlier run had inserted it; undo that run")
    reading = facts.payments.get(payment, Reading.unknown(UNREAD))
    if reading.value is None:
        return decided(UndoAction.UNKNOWN, f"its purchase: {reading.error}")
    if reading.value.payment is None:
        return decided(UndoAction.UNKNOWN, "the payment is not in this database, so its purchase was not looked for")
    purchase = next((p for p in reading.value.purchases if p.id == purchase_id), None)
    if purchase is None:
        if step_state(step) in (None, "UNKNOWN") and _in_doubt(step, facts):
            return decided(UndoAction.UNKNOWN, "its purchase is not there, and the insert may be under way; look again")
        return decided(UndoAction.NOTHING, "its purchase is not there")
    if (again := _inserted_again(run, payment, facts)) is not None:
        return decided(UndoAction.NOTHING, f"its purchase was inserted again by run {again}; undo that run")
    why_not = _why_it_stays(step, reading.value, purchase, facts.database_ahead)
    if why_not is not None:
        return decided(UndoAction.CANNOT, why_not)
    action, why = _unannounced(payment, run, facts)
    if action is not UndoAction.DELETE_PURCHASE:
        return decided(action, why)
    keys = (advisory_lock_key(purchase.student_id, purchase.course_id),)
    return decided(action, why, DeleteOrder(payment, purchase, keys), _what_follows(payment, facts))


def _in_doubt(step: JournalStep, facts: UndoFacts) -> bool:
    return step.at is None or facts.now - step.at < IN_DOUBT


def _inserted_again(run: RunRecord, payment: PaymentId, facts: UndoFacts) -> str | None:
    """The later run that surely made the purchase which is there now: its id is the same each time."""
    for other in facts.other_runs:
        if _is_later(other, run) and any(
            inserted_payment(s) == payment and step_state(s) == "INSERTED" for s in other.steps
        ):
            return other.id
    return None


def _is_later(other: RunRecord, run: RunRecord) -> bool:
    """By its start, for the ids of runs that began within one second do not sort by time."""
    if other.started_at is not None and run.started_at is not None:
        return other.started_at > run.started_at
    return other.id > run.id


def _why_it_stays(step: JournalStep, facts: PaymentFacts, purchase: Purchase, ahead: timedelta) -> str | None:
    if not purchase.is_active:
        return "its purchase was made inactive since"
    if purchase.tier != step.what.get("tier"):
        return f"its purchase has tier {purchase.tier} now; the run inserted {step.what.get('tier')}"
    if purchase.updated_at not in (None, purchase.created_at):
        return "its purchase was updated since it was made"
    if any(a.allocated or a.requested_at >= purchase.created_at for a in facts.allocations):
        return "an allocation of its student and course is there; something acts on the purchase"
    made = purchase.created_at - ahead
    if step.at is not None and not step.at - SLACK <= made <= (step.done_at or step.at + IN_DOUBT) + SLACK:
        return "its purchase was made at another time than the run's insert: by another run, or on another host"
    return None


def _unannounced(payment: PaymentId, run: RunRecord, facts: UndoFacts) -> tuple[UndoAction, str]:
    announced = "its announcement was sent; the allocation worker acts on it"
    for one in (run, *facts.other_runs):
        for step in one.steps:
            if step_kind(step) != "announce" or step_payment(step) != payment:
                continue
            if step_state(step) == "ACKNOWLEDGED":
                return UndoAction.CANNOT, announced
            if step_state(step) != "REJECTED" and _in_doubt(step, facts):
                return UndoAction.UNKNOWN, "its announcement may be on its way; look again in 2 minutes"
    reading = facts.announcements.get(payment, Reading.unknown(UNREAD))
    if reading.value is None:
        return UndoAction.UNKNOWN, f"whether it was announced: {reading.error}"
    if reading.value.announcements:
        return UndoAction.CANNOT, announced
    if not reading.value.reaches_back:
        return UndoAction.UNKNOWN, "the log does not reach back to the purchase, so it may have been announced"
    return UndoAction.DELETE_PURCHASE, "not announced, and as the run left it"


def _what_follows(payment: PaymentId, facts: UndoFacts) -> tuple[str, ...]:
    """What the purchase-worker will do about the payment once its purchase is gone."""
    reading = facts.messages.get(payment, Reading.unknown(UNREAD))
    if reading.value is None:
        return (f"whether its own message still waits for the worker is not known: {reading.error}",)
    evidence = reading.value
    committed = evidence.lag.committed_offset if evidence.lag.unprotected is False else None
    here = [m.record for m in evidence.messages if m.record.partition == evidence.partition.partition]
    waiting = [record for record in here if committed is not None and record.offset >= committed]
    if waiting:
        where = f"{evidence.partition} offset {waiting[0].offset}"
        return (f"its own message waits ({where}): the worker makes a purchase when it reads it",)
    return ()


def _commit(step: JournalStep, facts: UndoFacts) -> UndoStep:
    moved = moved_offset(step)
    if moved is None:
        return UndoStep(step.id, "commit", UndoAction.CANNOT, "the journal does not name what was committed")
    reading = facts.groups.get(moved.group, Reading.unknown(UNREAD))
    action, why = offset_back(moved, reading)
    notes: tuple[str, ...] = ()
    if action.changes and reading.value is not None and reading.value.running is None:
        notes = ("whether a container of its worker runs is not known; the group has no member",)
    return UndoStep(
        step.id,
        "commit",
        action,
        why,
        group=moved.group,
        partition=moved.partition,
        committed_offset=moved.made,
        committed_offset_before=moved.before,
        notes=notes,
    )
