"""What of a run can be undone, decided on its journal and on what was read now. Nothing here asks or changes anything.

What was sent can't be called back. The rest is undone only where it is still as the run left it; what could not be
looked at is unknown, and then nothing is done about it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kcfix.core.events import advisory_lock_key, own_purchase_id
from kcfix.core.journal import JournalStep, RunRecord
from kcfix.core.offsets import Committed, LogOffsets, TopicPartition
from kcfix.core.payments import PaymentFacts, PaymentId, Purchase, parse_uuid
from kcfix.core.ports import DeleteOrder
from kcfix.core.snapshot import AnnouncementEvidence, Reading

IN_DOUBT = timedelta(minutes=2)
"""A send that was not answered is looked for in the log only after this: until then a broker may yet append it."""


class UndoAction(enum.StrEnum):
    """What undo does about one step of the run."""

    DELETE_PURCHASE = "DELETE_PURCHASE"
    COMMIT_OFFSET = "COMMIT_OFFSET"
    NOTHING = "NOTHING"
    """It had no effect, or the effect is gone."""
    CANNOT = "CANNOT"
    """It had an effect that stays; `why` says why."""
    UNKNOWN = "UNKNOWN"
    """A system did not answer, or was not looked at far enough."""


@dataclass(frozen=True, slots=True)
class UndoStep:
    """One step of the run and what undo does about it."""

    step_id: str
    kind: str
    """As journalled: insert, announce, replay, commit, stop, start and the like."""
    action: UndoAction
    why: str
    payment_id: PaymentId | None = None
    order: DeleteOrder | None = None
    """The deletion; None unless the action is DELETE_PURCHASE."""
    group: str | None = None
    partition: TopicPartition | None = None
    committed_offset: int | None = None
    """As the run committed it."""
    committed_offset_before: int | None = None
    """As it was before the run, and is to be again; None: nothing was committed."""


@dataclass(frozen=True, slots=True)
class GroupNow:
    """A consumer group whose offsets the run moved."""

    empty: bool
    """Whether it has no member."""
    running: tuple[str, ...]
    """Names of running containers of its worker."""
    committed: Mapping[TopicPartition, Committed]
    logs: Mapping[TopicPartition, LogOffsets]


@dataclass(frozen=True, slots=True)
class UndoFacts:
    """What was read for the steps of one run. What is left out was not read."""

    now: datetime
    payments: Mapping[PaymentId, Reading[PaymentFacts]] = field(default_factory=dict)
    announcements: Mapping[PaymentId, Reading[AnnouncementEvidence]] = field(default_factory=dict)
    groups: Mapping[str, Reading[GroupNow]] = field(default_factory=dict)


_UNREAD = "it was not read"


def plan_undo(run: RunRecord, facts: UndoFacts) -> tuple[UndoStep, ...]:
    """One step for each that the run journalled, the newest first; empty for a run that began none."""
    return tuple(_step(step, run, facts) for step in reversed(run.steps))


def _step(step: JournalStep, run: RunRecord, facts: UndoFacts) -> UndoStep:
    match _kind(step):
        case "insert":
            return _insert(step, run, facts)
        case "announce" | "replay":
            return _sent(step)
        case "commit":
            return _commit(step, facts)
        case "delete":
            why = "a deletion is not undone by undo: kcfix repair makes the purchase again"
            return UndoStep(step.id, "delete", UndoAction.CANNOT, why, _payment(step))
        case "stop" | "start" | "restart" as kind:
            return UndoStep(step.id, kind, UndoAction.NOTHING, "containers are left as they are now")
        case kind:
            return UndoStep(step.id, kind, UndoAction.CANNOT, "this version does not know how to undo such a step")


def _kind(step: JournalStep) -> str:
    return str(step.what.get("step", ""))


def _payment(step: JournalStep) -> PaymentId | None:
    id = parse_uuid(step.what.get("payment_id"))
    return PaymentId(id) if id else None


def _state(step: JournalStep) -> str | None:
    """How the step ended by the journal; None where that is not recorded."""
    return str(step.result.get("state")) if step.result is not None else None


def _sent(step: JournalStep) -> UndoStep:
    if _state(step) == "REJECTED":
        return UndoStep(step.id, _kind(step), UndoAction.NOTHING, "it was not sent", _payment(step))
    what = "the announcement" if _kind(step) == "announce" else "the message"
    sure = "was sent" if _state(step) == "ACKNOWLEDGED" else "may have been sent"
    why = f"{what} {sure}; a message can't be called back"
    return UndoStep(step.id, _kind(step), UndoAction.CANNOT, why, _payment(step))


def _insert(step: JournalStep, run: RunRecord, facts: UndoFacts) -> UndoStep:
    payment = _payment(step)

    def decided(action: UndoAction, why: str, order: DeleteOrder | None = None) -> UndoStep:
        return UndoStep(step.id, "insert", action, why, payment, order)

    if payment is None or step.what.get("purchase_id") != own_purchase_id(payment):
        return decided(UndoAction.CANNOT, "the journal does not name kcfix's own purchase of a payment")
    if _state(step) in ("REFUSED", "FAILED"):
        return decided(UndoAction.NOTHING, "it was not inserted")
    # With a reason it is the run's own insert, found after a commit that was not answered.
    if _state(step) == "EXISTS" and not (step.result or {}).get("reason"):
        return decided(UndoAction.NOTHING, "an earlier run had inserted it; undo that run")
    reading = facts.payments.get(payment, Reading.unknown(_UNREAD))
    if reading.value is None:
        return decided(UndoAction.UNKNOWN, f"its purchase: {reading.error}")
    if reading.value.payment is None:
        return decided(UndoAction.UNKNOWN, "the payment is not in this database, so its purchase was not looked for")
    purchase = next((p for p in reading.value.purchases if p.id == step.what["purchase_id"]), None)
    if purchase is None:
        return decided(UndoAction.NOTHING, "its purchase is not there")
    why_not = _why_it_stays(step, reading.value, purchase)
    if why_not is not None:
        return decided(UndoAction.CANNOT, why_not)
    action, why = _unannounced(payment, run, facts)
    if action is not UndoAction.DELETE_PURCHASE:
        return decided(action, why)
    keys = (advisory_lock_key(purchase.student_id, purchase.course_id),)
    return decided(action, why, DeleteOrder(payment, purchase, keys))


def _why_it_stays(step: JournalStep, facts: PaymentFacts, purchase: Purchase) -> str | None:
    if not purchase.is_active:
        return "its purchase was made inactive since"
    if purchase.tier != step.what.get("tier"):
        return f"its purchase has tier {purchase.tier} now; the run inserted {step.what.get('tier')}"
    if any(a.allocated or a.requested_at >= purchase.created_at for a in facts.allocations):
        return "an allocation of its student and course is there; something acts on the purchase"
    return None


def _unannounced(payment: PaymentId, run: RunRecord, facts: UndoFacts) -> tuple[UndoAction, str]:
    announced = "its announcement was sent; the allocation worker acts on it"
    for step in run.steps:
        if _kind(step) != "announce" or _payment(step) != payment:
            continue
        if _state(step) == "ACKNOWLEDGED":
            return UndoAction.CANNOT, announced
        if _state(step) != "REJECTED" and (step.at is None or facts.now - step.at < IN_DOUBT):
            return UndoAction.UNKNOWN, "its announcement may be on its way; look again in 2 minutes"
    reading = facts.announcements.get(payment, Reading.unknown(_UNREAD))
    if reading.value is None:
        return UndoAction.UNKNOWN, f"whether it was announced: {reading.error}"
    if reading.value.announcements:
        return UndoAction.CANNOT, announced
    if not reading.value.reaches_back:
        return UndoAction.UNKNOWN, "the log does not reach back to the purchase, so it may have been announced"
    return UndoAction.DELETE_PURCHASE, "not announced, and as the run left it"


def _commit(step: JournalStep, facts: UndoFacts) -> UndoStep:
    what = step.what
    group, topic, number = what.get("group"), what.get("topic"), what.get("partition")
    made, before = what.get("committed_offset"), what.get("committed_offset_before")
    named = isinstance(group, str) and isinstance(topic, str) and isinstance(number, int) and isinstance(made, int)
    if not named or not isinstance(before, int | None):
        return UndoStep(step.id, "commit", UndoAction.CANNOT, "the journal does not name what was committed")
    where = TopicPartition(str(topic), int(str(number)))
    action, why = _offset_back(where, int(str(made)), before, facts.groups.get(str(group), Reading.unknown(_UNREAD)))
    return UndoStep(
        step.id,
        "commit",
        action,
        why,
        group=str(group),
        partition=where,
        committed_offset=int(str(made)),
        committed_offset_before=before,
    )


def _offset_back(
    where: TopicPartition, made: int, before: int | None, reading: Reading[GroupNow]
) -> tuple[UndoAction, str]:
    if reading.value is None:
        return UndoAction.UNKNOWN, f"the group: {reading.error}"
    group = reading.value
    found = group.committed.get(where, Committed(None))
    if found.error is not None:
        return UndoAction.UNKNOWN, f"the committed offset: {found.error}"
    if found.offset == before:
        return UndoAction.NOTHING, "the committed offset is as it was before the run"
    if found.offset != made:
        at = "nothing" if found.offset is None else str(found.offset)
        return UndoAction.CANNOT, f"the committed offset is {at} now; the run committed {made}"
    if before is None:
        why = "nothing was committed before: without an offset the next start would skip what waits"
        return UndoAction.CANNOT, why
    if not group.empty:
        return UndoAction.CANNOT, "the group has a member, whose next commit would undo it; stop the worker first"
    if group.running:
        return UndoAction.CANNOT, f"{', '.join(group.running)} is running; stop it first"
    log = group.logs.get(where)
    if log is None or log.error is not None or log.log_start_offset is None or log.log_end_offset is None:
        return UndoAction.UNKNOWN, f"the log: {(log.error if log else None) or _UNREAD}"
    if not log.log_start_offset <= before <= log.log_end_offset:
        why = f"{before} is outside the log ({log.log_start_offset} to {log.log_end_offset}): it would protect nothing"
        return UndoAction.CANNOT, why
    if before > made:
        return UndoAction.CANNOT, f"moving on from {made} to {before} would skip up to {before - made} messages"
    return UndoAction.COMMIT_OFFSET, f"from {made} back to {before}: up to {made - before} messages are read again"
