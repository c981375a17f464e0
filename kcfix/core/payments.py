"""Payments, purchases and what follows them, as the tables hold them (docs/system.md 1).

Ids are lower-case UUID text. Times are aware UTC. `metadata` is what JSON gave: a mapping, or a string, or None.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import NewType

PaymentId = NewType("PaymentId", str)

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
TIERS = (10, 20, 30)
"""The purchase tiers that the table's CHECK allows (docs/system.md 1.2)."""


def parse_uuid(text: object) -> str | None:
    """The lower-case UUID in the text, None if it is none. Surrounding space is forgiven, braces and urn: are not.

    >>> parse_uuid(" 00000000-0000-4000-8000-00000000000A ")
    '00000000-0000-4000-8000-00000000000a'
    >>> parse_uuid("12") is None
    True
    """
    if not isinstance(text, str):
        return None
    bare = text.strip()
    return _uuid_of(bare) if len(bare) == 36 else None


@lru_cache(maxsize=4096)  # the same few ids are asked for again and again while payments are judged
def _uuid_of(bare: str) -> str | None:
    return bare.lower() if _UUID.fullmatch(bare) else None


def metadata_mapping(metadata: object) -> Mapping[str, object]:
    """The metadata as a mapping, whether it is one or a JSON string of one; empty if it is neither."""
    if isinstance(metadata, str):
        try:
            metadata = json.loads(metadata)
        except (ValueError, RecursionError):
            return {}
    return metadata if isinstance(metadata, Mapping) else {}


def course_of(metadata: object) -> str | None:
    """The course that metadata names: `courseId` if it is a UUID, else None.

    `course_id` does not count: payment-service sends no event for it (docs/system.md 1.1).
    """
    return parse_uuid(metadata_mapping(metadata).get("courseId"))


def stated_tier(metadata: object) -> int | None:
    """The number that `purchaseTier`, else `sessionCount` states, as number or numeric text; None if there is none.

    May be a number that is no valid tier. The worker would take 30 for a missing one; kcfix does not guess.

    >>> stated_tier({"sessionCount": "20"}), stated_tier({"purchaseTier": 12}), stated_tier({})
    (20, 12, None)
    """
    fields = metadata_mapping(metadata)
    for key in ("purchaseTier", "sessionCount"):
        value = fields.get(key)
        if value in (None, "", 0, False):
            continue
        if isinstance(value, bool):
            return None
        if isinstance(value, int):
            return value
        if isinstance(value, float):
            return int(value) if value.is_integer() else None
        if isinstance(value, str):
            text = value.strip()
            return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None
        return None
    return None


def worker_tier(metadata: object) -> object:
    """What the worker takes as tier from a message's metadata: `purchaseTier || sessionCount || 30`, 30 for a string.

    Not validated: 12 stays 12 and then violates the table's CHECK (docs/system.md 6, modes 32).
    """
    if not isinstance(metadata, Mapping):
        return 30
    for key in ("purchaseTier", "sessionCount"):
        value = metadata.get(key)
        if value not in (None, "", 0, False):
            if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,9}\s*", value):
                return int(value)
            return value
    return 30


@dataclass(frozen=True, slots=True)
class Payment:
    """One row of payments."""

    id: PaymentId
    student_id: str
    amount_minor: int
    """In the currency's minor unit (paise for INR)."""
    currency: str
    status: str
    """initiated, processing, succeeded, failed, refunded, cancelled; the column has no CHECK, so any text."""
    metadata: object
    confirmed_at: datetime | None
    created_at: datetime
    updated_at: datetime
    provider_payment_id: str | None = None
    version: str | None = field(default=None, compare=False)
    """Which version of the row was read, as the database tells it: another after each change. None: not known."""

    @property
    def course_id(self) -> str | None:
        """The course that was paid for; None if the metadata names no usable one."""
        return course_of(self.metadata)

    @property
    def stated_tier(self) -> int | None:
        """The tier that was paid for, as stated; None if unknown, and possibly not 10, 20 or 30."""
        return stated_tier(self.metadata)

    @property
    def tier(self) -> int | None:
        """The tier that was paid for: 10, 20 or 30; None if it is unknown or none of these."""
        tier = self.stated_tier
        return tier if tier in TIERS else None

    @property
    def paid_at(self) -> datetime:
        """When it was confirmed; `created_at` where that is not recorded (docs/decisions.md 1)."""
        return self.confirmed_at or self.created_at

    @property
    def succeeded(self) -> bool:
        """Whether its status says that it was paid."""
        return self.status == "succeeded"


@dataclass(frozen=True, slots=True)
class Purchase:
    """One row of student_course_purchases."""

    id: str
    student_id: str
    course_id: str
    tier: int
    is_active: bool
    created_at: datetime
    metadata: object = None
    updated_at: datetime | None = field(default=None, compare=False)
    """None where the table does not keep it. A trigger sets it at each UPDATE (docs/system.md 1.2)."""

    @property
    def order_id(self) -> str | None:
        """The provider's order or payment id that its metadata carries, None if none."""
        fields = metadata_mapping(self.metadata)
        for key in ("razorpayOrderId", "razorpay_orderId"):
            value = fields.get(key)
            if isinstance(value, str) and value:
                return value
        return None


@dataclass(frozen=True, slots=True)
class Allocation:
    """One row of trainer_allocations, with how many sessions it has."""

    id: str
    status: str
    requested_at: datetime
    has_trainer: bool
    sessions: int

    @property
    def allocated(self) -> bool:
        """Whether it counts as allocated everywhere in the system: approved or active."""
        return self.status in ("approved", "active")


@dataclass(frozen=True, slots=True)
class EventRow:
    """One row of processed_events. A hint only: it proves neither a send nor a processing (docs/system.md 1.3)."""

    event_id: str
    correlation_id: str
    event_type: str
    source: str
    version: str
    payload: object
    processed_at: datetime


@dataclass(frozen=True, slots=True)
class PaymentFacts:
    """All that the database says about one payment, read in one snapshot."""

    payment_id: PaymentId
    payment: Payment | None
    """None: no such row in the database that was asked."""
    siblings: tuple[Payment, ...] = ()
    """Succeeded payments of the same student and course, this one included, oldest first by paid_at."""
    purchases: tuple[Purchase, ...] = ()
    """Purchases of that student and course, active or not, oldest first."""
    allocations: tuple[Allocation, ...] = ()
    """Allocations of that student and course, oldest first."""
    events: tuple[EventRow, ...] = ()
    """Rows of processed_events whose correlation id is the payment's id."""
    course_known: bool | None = None
    """Whether the course is in the courses table; None where the payment names none or the table can't be read."""
