"""What every row about a payment says of the payment itself, under the same names (docs/decisions.md 6)."""

from __future__ import annotations

from collections.abc import Mapping

from kcfix.core.judging.capture import capture_unproven
from kcfix.core.payments import Payment

PAYMENT: Mapping[str, object] = {
    "status": "string",
    "paid_at": "time",
    "amount_minor": "integer",
    "currency": "string",
    "student_id": "string",
    "course_id": "string?",
    "tier": "integer?",
    "capture_unproven": "string?",
}
"""Their shape where the payment is known."""
MAYBE_PAYMENT: Mapping[str, object] = {name: f"{str(kind).rstrip('?')}?" for name, kind in PAYMENT.items()}
"""Their shape where there may be none: then each is null."""


def payment_columns(payment: Payment | None) -> dict[str, object]:
    """The columns; null each where there is no payment, or it could not be read."""
    if payment is None:
        return dict.fromkeys(PAYMENT)
    return {
        "status": payment.status,
        "paid_at": payment.paid_at,
        "amount_minor": payment.amount_minor,
        "currency": payment.currency,
        "student_id": payment.student_id,
        "course_id": payment.course_id,
        "tier": payment.tier,
        "capture_unproven": capture_unproven(payment),
    }
