"""Which purchase belongs to which payment. No column says it, so this rule does (docs/decisions.md 1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from kcfix.core.events import own_purchase_id
from kcfix.core.payments import Payment, PaymentFacts, PaymentId, Purchase, metadata_mapping

TOLERANCE = timedelta(seconds=5)
"""How much earlier than its payment's confirmation a purchase may be stamped (two clocks)."""


@dataclass(frozen=True, slots=True)
class Matching:
    """The purchases of one student and course, handed out to their payments."""

    by_payment: Mapping[PaymentId, Purchase] = field(default_factory=dict)
    unmatched: tuple[Purchase, ...] = ()
    """Purchases that no succeeded payment explains, oldest first."""

    def purchase_of(self, payment_id: PaymentId) -> Purchase | None:
        """The purchase that settles this payment, None if there is none."""
        return self.by_payment.get(payment_id)

    def payment_of(self, purchase_id: str) -> PaymentId | None:
        """The payment that this purchase settles, None if there is none."""
        return next((p for p, purchase in self.by_payment.items() if purchase.id == purchase_id), None)


def _order_ids(payment: Payment) -> set[str]:
    fields = metadata_mapping(payment.metadata)
    ids = {payment.provider_payment_id, fields.get("razorpayOrderId"), fields.get("razorpay_orderId")}
    return {i for i in ids if isinstance(i, str) and i}


def match(payments: Iterable[Payment], purchases: Iterable[Purchase]) -> Matching:
    """Hand out the purchases of one student and course to its succeeded payments.

    First what is certain: kcfix's own purchase ids, then an order id that both carry. Then in time order each purchase,
    active or not, to the earliest unmatched payment that was confirmed before it. One purchase to a payment at most.
    """
    left = sorted(purchases, key=lambda p: (p.created_at, p.id))
    if not left:
        return Matching()
    waiting = sorted((p for p in payments if p.succeeded), key=lambda p: (p.paid_at, p.id))
    found: dict[PaymentId, Purchase] = {}

    def take(payment: Payment, purchase: Purchase) -> None:
        found[payment.id] = purchase
        waiting.remove(payment)
        left.remove(purchase)

    for purchase in tuple(left):
        owner = next((p for p in waiting if own_purchase_id(p.id) == purchase.id), None)
        if owner:
            take(owner, purchase)
    for purchase in tuple(left):
        owners = [p for p in waiting if purchase.order_id and purchase.order_id in _order_ids(p)]
        if len(owners) == 1:
            take(owners[0], purchase)
    for purchase in tuple(left):
        owner = next((p for p in waiting if p.paid_at <= purchase.created_at + TOLERANCE), None)
        if owner:
            take(owner, purchase)
    return Matching(found, tuple(left))


def match_facts(facts: PaymentFacts) -> Matching:
    """The matching for the student and course of this payment."""
    return match(facts.siblings, facts.purchases)


def own_course(facts: PaymentFacts) -> str | None:
    """The course of the purchase that kcfix itself made for this payment, None if it made none.

    A person may have named it (docs/decisions.md 3, `--course`): the payment then still names none.
    """
    if not facts.purchases:
        return None
    own = own_purchase_id(facts.payment_id)
    return next((p.course_id for p in facts.purchases if p.id == own), None)
