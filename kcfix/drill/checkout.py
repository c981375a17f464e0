"""What payment-service writes down and says when a payment succeeds (docs/system.md 1.1, 2.2, 2.3). No I/O."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from kcfix.core.events import Message, build_message, murmur2_partition
from kcfix.flow import PURCHASE_CONFIRMED, Flow

PARTITIONS = 3
SOURCE = "payment-service"
SESSION_TTL = timedelta(minutes=30)
PAISE_A_SESSION = 36_000
SLOTS = ("9:00 AM", "10:00 AM", "11:00 AM", "4:00 PM", "5:00 PM", "6:00 PM", "7:00 PM", "8:00 PM")


@dataclass(frozen=True, slots=True)
class Payment:
    """One succeeded payment, before it is written anywhere."""

    id: str
    student_id: str
    course_id: str | None
    """None: the metadata names no course, so payment-service sends no event."""
    amount_cents: int
    metadata: Mapping[str, object]
    metadata_as_string: bool
    """Whether the row and the event carry the metadata as a JSON string."""
    event_id: str
    order_ref: str
    """The provider's order, as it stands at creation."""
    payment_ref: str
    """The provider's payment, which replaces the order on confirmation."""
    created_at: datetime
    confirmed_at: datetime

    @property
    def stored_metadata(self) -> str:
        """JSON for the `metadata` column."""
        text = json.dumps(self.metadata)
        return json.dumps(text) if self.metadata_as_string else text

    @property
    def body(self) -> dict[str, object]:
        """The PURCHASE_CONFIRMED event without `_metadata`: also the payload of its processed_events row."""
        return {
            "type": PURCHASE_CONFIRMED,
            "timestamp": milliseconds(self.confirmed_at),
            "userId": self.student_id,
            "role": "student",
            "paymentId": self.id,
            "studentId": self.student_id,
            "courseId": self.course_id,
            "amountCents": self.amount_cents,
            "metadata": json.dumps(self.metadata) if self.metadata_as_string else self.metadata,
        }

    def message(self) -> Message:
        """The event as payment-service sends it."""
        return build_message(
            Flow().purchase_confirmed,
            self.body,
            event_id=self.event_id,
            correlation_id=self.id,
            source=SOURCE,
            timestamp_ms=milliseconds(self.confirmed_at),
        )


def payment(
    *,
    student_id: str,
    course_id: str | None,
    tier: int | str | None,
    now: datetime,
    upgrade: bool = False,
    metadata_as_string: bool = False,
    partition: int | None = None,
    extra: Mapping[str, object] | None = None,
) -> Payment:
    """A payment that succeeds at `now`, with ids of its own.

    `tier` becomes `sessionCount` as it is given, valid or not; None leaves it out. `partition` chooses an id whose
    message falls on that partition; `extra` overrides metadata.
    """
    start = (now + timedelta(days=2)).date().isoformat()
    slot = random.choice(SLOTS)  # noqa: S311 - variety is wanted, not secrecy
    sessions = int(tier) if tier is not None and str(tier).isdigit() and int(tier) > 0 else 30
    amount = sessions * PAISE_A_SESSION
    price = f"{amount / 100:.2f}"
    metadata: dict[str, object] = {
        "groupSize": 1,
        "learningMode": "home",
        "timeSlot": slot,
        "startDate": start,
        "schedule": {"startDate": start, "date": start, "timeSlot": slot, "mode": "everyday"},
        "scheduleType": "everyday",
        "isSundayOnly": False,
        "sessionDuration": 40,
        "pricing": {"base": price, "subtotal": price, "tax": "0.00", "total": price, "isSummerPricing": False},
    }
    if course_id is not None:
        metadata["courseId"] = course_id
    if tier is not None:
        metadata["sessionCount"] = tier
    if upgrade:
        metadata |= {"upgrade": True, "additionalSessions": sessions, "previousPurchaseTier": 10}
    metadata |= extra or {}
    return Payment(
        id=payment_id(partition),
        student_id=student_id,
        course_id=course_id,
        amount_cents=amount,
        metadata=metadata,
        metadata_as_string=metadata_as_string,
        event_id=str(uuid.uuid4()),
        order_ref=f"order_{uuid.uuid4().hex[:14]}",
        payment_ref=f"pay_{uuid.uuid4().hex[:14]}",
        created_at=now - timedelta(seconds=20),
        confirmed_at=now,
    )


def payment_id(partition: int | None) -> str:
    """A new payment id whose message falls on that partition; on any where it is None."""
    while True:
        found = str(uuid.uuid4())
        if partition is None or murmur2_partition(found.encode(), PARTITIONS) == partition:
            return found


def milliseconds(when: datetime) -> int:
    """The time as events carry it: milliseconds of the epoch."""
    return int(when.timestamp() * 1000)
