"""Rows 4 to 9 of docs/decisions.md 2: what the tables (and the announcement) say of a payment."""

from __future__ import annotations

from datetime import timedelta

from kcfix.core.events import own_purchase_id
from kcfix.core.judging.verdict import Case, Verdict, VerdictKind
from kcfix.core.payments import Payment, Purchase, metadata_mapping

ANNOUNCEMENT_OVERDUE = timedelta(minutes=2)
DOWNSTREAM_OVERDUE = timedelta(minutes=5)
DOUBLE_CHARGE = timedelta(minutes=30)
"""Two payments for the same course closer than this look like one customer charged twice."""


def duplicates(case: Case) -> Verdict | None:
    active = [p for p in case.facts.purchases if p.is_active]
    if len(active) < 2:
        return None
    ids = ", ".join(p.id for p in active)
    return case.verdict(VerdictKind.DUPLICATE_PURCHASES, f"{len(active)} active purchases of this course: {ids}")


def second_payment(case: Case) -> Verdict | None:
    if case.purchase is not None:
        return None
    active = [p for p in case.facts.purchases if p.is_active]
    if not active:
        return None
    owner = case.matching.payment_of(active[0].id)
    if owner is None:
        return case.verdict(
            VerdictKind.SECOND_PAYMENT,
            f"purchase {active[0].id} of this course is active and belongs to no succeeded payment",
            detail="unmatched_purchase",
        )
    other = next(p for p in case.facts.siblings if p.id == owner)
    return case.verdict(
        VerdictKind.SECOND_PAYMENT,
        f"payment {owner} already has the active purchase {active[0].id} of this course",
        detail=_second_kind(case.payment, other),
    )


def _second_kind(payment: Payment, other: Payment) -> str:
    fields = metadata_mapping(payment.metadata)
    if fields.get("upgrade") in (True, "true"):
        return "upgrade"
    if fields.get("cycleId") or fields.get("cycleNo"):
        return "next_cycle"
    return "double_charge" if abs(payment.paid_at - other.paid_at) <= DOUBLE_CHARGE else "other"


def wrong_tier(case: Case) -> Verdict | None:
    if case.purchase is None or case.payment.stated_tier in (None, case.purchase.tier):
        return None
    if case.payment.tier is None and case.purchase.id == own_purchase_id(case.payment.id):
        return None  # a person gave the tier, because the payment states none that there is
    paid, got = case.payment.stated_tier, case.purchase.tier
    return case.verdict(VerdictKind.WRONG_TIER, f"paid for {paid} sessions, the purchase {case.purchase.id} has {got}")


def downstream(case: Case) -> Verdict | None:
    """Rows 7 and 8: an active purchase that nothing followed."""
    purchase = case.purchase
    if purchase is None or not purchase.is_active:
        return None
    age = case.snapshot.taken_at - purchase.created_at
    allocated = [a for a in case.facts.allocations if a.allocated]
    requested = [a for a in case.facts.allocations if a.requested_at >= purchase.created_at]
    if not allocated and any(a.status == "completed" for a in requested):
        return None
    own = purchase.id == own_purchase_id(case.payment.id)
    if not allocated and not requested and (own or age >= ANNOUNCEMENT_OVERDUE):
        found = _unannounced(case, purchase)
        if found is not None:
            return found
    if age < DOWNSTREAM_OVERDUE:
        return None
    if not allocated:
        pending = [a for a in case.facts.allocations if a.status == "pending"]
        if pending:
            return case.verdict(
                VerdictKind.PENDING_ALLOCATION, f"{len(pending)} pending allocation rows, none approved"
            )
        return case.verdict(VerdictKind.NO_ALLOCATION, f"purchase {purchase.id} has no allocation")
    if not any(a.sessions for a in allocated):
        return case.verdict(VerdictKind.NO_SESSIONS, f"allocation {allocated[-1].id} has no sessions")
    return None


def _unannounced(case: Case, purchase: Purchase) -> Verdict | None:
    looked = case.snapshot.announcement
    if looked is None:
        return case.unknown("whether its purchase was announced was not looked up")
    if looked.value is None:
        return case.unknown(f"purchase {purchase.id} exists; whether it was announced is unknown: {looked.error}")
    if looked.value.announcements or not looked.value.reaches_back:
        return None
    return case.verdict(
        VerdictKind.UNANNOUNCED, f"purchase {purchase.id} exists, and no PURCHASE_CREATED for it is in the log"
    )


def purchased(case: Case) -> Verdict | None:
    if case.purchase is None:
        return None
    state = "" if case.purchase.is_active else ", no longer active"
    return case.verdict(VerdictKind.PURCHASED, f"purchase {case.purchase.id}{state}")


ROWS = (duplicates, second_payment, wrong_tier, downstream, purchased)
"""In the order of the table."""
