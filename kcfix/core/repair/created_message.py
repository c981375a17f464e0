"""The PURCHASE_CREATED that kcfix sends for a purchase that nothing has announced (docs/decisions.md 3)."""

from __future__ import annotations

from datetime import datetime

from kcfix.core.events import Message, build_message
from kcfix.core.payments import PaymentId, Purchase, metadata_mapping
from kcfix.core.repair.confirmed_message import SOURCE
from kcfix.flow import PURCHASE_CREATED, Flow


def announcement(payment_id: PaymentId, purchase: Purchase, flow: Flow, now: datetime) -> Message:
    """The message: event id = purchase id, correlation id and key = payment id, as the worker's own."""
    milliseconds = int(now.timestamp() * 1000)
    body: dict[str, object] = {
        "type": PURCHASE_CREATED,
        "timestamp": milliseconds,
        "userId": purchase.student_id,
        "role": "student",
        "purchaseId": purchase.id,
        "studentId": purchase.student_id,
        "courseId": purchase.course_id,
        "purchaseTier": purchase.tier,
        "metadata": dict(metadata_mapping(purchase.metadata)),
    }
    return build_message(
        flow.purchase_created,
        body,
        event_id=purchase.id,
        correlation_id=payment_id,
        source=SOURCE,
        timestamp_ms=milliseconds,
    )
