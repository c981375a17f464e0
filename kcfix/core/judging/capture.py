"""Whether money that a payment's status claims is shown by anything else in its row (docs/system.md 25)."""

from __future__ import annotations

from kcfix.core.payments import Payment

ORDER_PREFIX = "order_"
"""What provider_payment_id begins with until the provider confirms; then it holds a payment id (docs/system.md 1.1)."""


def capture_unproven(payment: Payment) -> str | None:
    """Why the row shows no sign of captured money; None where the signs are there, which is no proof of it either.

    The webhook's signature is not checked, so only the provider's dashboard can prove a capture.

    >>> from datetime import UTC, datetime
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> capture_unproven(Payment("p", "s", 100, "INR", "succeeded", None, at, at, at, "order_made_up"))
    'only an order id of the provider is on record, no payment id'
    """
    provider = (payment.provider_payment_id or "").strip()
    if not provider:
        return "no payment id of the provider is on record"
    if provider.startswith(ORDER_PREFIX):
        return "only an order id of the provider is on record, no payment id"
    return "confirmed_at is not recorded" if payment.confirmed_at is None else None
