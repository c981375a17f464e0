"""The purchase that a repair inserts, and whether the world under the lock is still the one that it was planned for."""

from __future__ import annotations

from collections.abc import Mapping

from kcfix.core.events import advisory_lock_key, own_purchase_id
from kcfix.core.judging.matching import match_facts
from kcfix.core.judging.snapshot import PaymentSnapshot
from kcfix.core.payments import Payment, PaymentFacts, Purchase, metadata_mapping
from kcfix.core.ports.database import InsertOrder
from kcfix.flow import PURCHASE_CONFIRMED


def insert_order(
    snapshot: PaymentSnapshot, facts: PaymentFacts, payment: Payment, course_id: str, tier: int
) -> InsertOrder:
    """The purchase as the worker would have written it (docs/system.md 1.2), under kcfix's own id."""
    evidence = snapshot.evidence.value
    events = [m.event for m in evidence.messages if m.event is not None] if evidence else []
    payloads = [metadata_mapping(e.payload) for e in facts.events if e.event_type == PURCHASE_CONFIRMED]
    event_metadata: Mapping[str, object] = {}
    for metadata in (*(e.metadata for e in reversed(events)), *(p.get("metadata") for p in payloads)):
        if isinstance(metadata, Mapping):
            event_metadata = metadata
            break
    metadata = {
        **metadata_mapping(payment.metadata),
        **event_metadata,
        "purchaseTier": tier,
        "sessionCount": tier,
        "courseId": course_id,
    }
    expiry = metadata.get("expiryDate")
    names = {
        (payment.student_id, course_id),
        (payment.student_id, str(metadata_mapping(payment.metadata).get("courseId"))),
    }
    written = [(e.student_id, e.course_id) for e in events] + [
        (p.get("studentId"), p.get("courseId")) for p in payloads
    ]
    names |= {(student, course) for student, course in written if isinstance(student, str) and isinstance(course, str)}
    return InsertOrder(
        payment_id=payment.id,
        purchase_id=own_purchase_id(payment.id),
        student_id=payment.student_id,
        course_id=course_id,
        tier=tier,
        metadata=metadata,
        expiry_date=expiry if isinstance(expiry, str) and expiry else None,
        lock_keys=tuple(sorted({advisory_lock_key(student, course) for student, course in names})),
        planned_on=facts,
        as_planned=True,
    )


def recheck(order: InsertOrder, now: PaymentFacts) -> str | None:
    """Whether the world under the lock is still the one that was planned for: None, or which fact changed."""
    return changed_since(order.planned_on, now)


def changed_since(then: PaymentFacts, now: PaymentFacts) -> str | None:
    """Which fact that a new purchase rests on is another now than it was; None if none is."""
    before, payment = then.payment, now.payment
    if before is None or payment is None:
        return "the payment row is gone"
    if payment.status != before.status:
        return f"the payment's status is now {payment.status}"
    if (payment.student_id, payment.course_id, payment.tier) != (before.student_id, before.course_id, before.tier):
        return "the payment's student, course or tier changed"
    if {p.id for p in now.siblings} != {p.id for p in then.siblings}:
        return "another payment of this student and course appeared"
    if [(p.id, p.is_active) for p in now.purchases] != [(p.id, p.is_active) for p in then.purchases]:
        return "the purchases of this student and course changed"
    if now.course_known is False:
        return "its course is no longer in the courses table"
    return "the payment row changed" if payment != before else None


def announcement_changed(purchase: Purchase, then: PaymentFacts, now: PaymentFacts) -> str | None:
    """Why its purchase must not be announced any more, though it was to be; None if nothing speaks against it."""
    payment = now.payment
    if payment is None:
        return "the payment row is gone"
    if not payment.succeeded:
        return f"the payment's status is now {payment.status}"
    found = match_facts(now).purchase_of(now.payment_id)
    if found is None or found.id != purchase.id:
        return "its purchase is no longer there, or another one"
    if [(a.id, a.status) for a in now.allocations] != [(a.id, a.status) for a in then.allocations]:
        return "the allocations of this student and course changed"
    return None
