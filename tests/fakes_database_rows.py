"""Made-up rows of the database: ids from small numbers, and builders that make plausible rows of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from kcfix.core.events import own_purchase_id
from kcfix.core.payments import Allocation, EventRow, Payment, PaymentId, Purchase
from kcfix.core.ports.database import IndexState

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
"""The fake's clock until a test sets another."""
ALL_TABLES = frozenset({"payments", "purchases", "events", "allocations", "sessions", "courses"})
EVENT_SHAPES = {"A": ("uuid", "uuid"), "B": ("uuid", "character varying"), "C": ("text", "uuid")}
"""Types of event_id and correlation_id in the three shapes of processed_events (docs/system.md 1.3)."""


def payment_id(n: int) -> PaymentId:
    """The made-up id of payment n."""
    return PaymentId(f"00000000-0000-4000-8000-0001{n:08d}")


def student_id(n: int) -> str:
    """The made-up id of student n."""
    return f"00000000-0000-4000-8000-0002{n:08d}"


def course_id(n: int) -> str:
    """The made-up id of course n."""
    return f"00000000-0000-4000-8000-0003{n:08d}"


def purchase_id(n: int) -> str:
    """The made-up id of purchase n."""
    return f"00000000-0000-4000-8000-0004{n:08d}"


def allocation_id(n: int) -> str:
    """The made-up id of allocation n."""
    return f"00000000-0000-4000-8000-0005{n:08d}"


def event_id(n: int) -> str:
    """The made-up id of event n."""
    return f"00000000-0000-4000-8000-0006{n:08d}"


@dataclass(frozen=True)
class AllocationRow:
    """An allocation with the columns that the core's value leaves out."""

    student_id: str
    course_id: str | None
    allocation: Allocation


@dataclass
class Rows:
    """Lists of rows, with builders. A test may read and change every field at any time."""

    payments: list[Payment] = field(default_factory=list)
    purchases: list[Purchase] = field(default_factory=list)
    allocation_rows: list[AllocationRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    allocated_at: dict[str, datetime] = field(default_factory=dict)
    """By allocation; NULL where it is not here."""
    sessions_made: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)
    """By allocation: when its first and its last session were made; all at `now` where it is not here."""
    updated_at: dict[str, datetime] = field(default_factory=dict)
    """By purchase; when it was made where it is not here."""
    courses: set[str] = field(default_factory=lambda: {course_id(n) for n in range(1, 10)})
    tables: frozenset[str] = ALL_TABLES
    """Tables that are there, by kcfix's names."""
    index: IndexState = IndexState.VALID
    shape: str = "C"
    now: datetime = NOW
    read_only: bool = False
    host: str = "db.example"
    name: str = "kc_app"
    system_identifier: str | None = "7000000000000000001"

    def payment(
        self,
        n: int,
        *,
        student: int | None = None,
        course: int | None = 1,
        tier: object = 20,
        status: str = "succeeded",
        paid_at: datetime | None = None,
        created_at: datetime | None = None,
        unconfirmed: bool = False,
        amount_minor: int = 360000,
        provider_payment_id: str | None = None,
        metadata: object = ...,
        **more: object,
    ) -> Payment:
        """Payment n, by default of student n for course 1, paid an hour before `now`; `more` goes into its metadata.

        A payment that did not succeed, or is `unconfirmed`, has no confirmed_at.
        """
        paid = paid_at or self.now - timedelta(hours=1)
        if metadata is ...:
            named = {"courseId": course_id(course)} if course is not None else {}
            metadata = {**named, "sessionCount": tier, "purchaseTier": tier, **more}
        confirmed = None if unconfirmed or status not in ("succeeded", "refunded") else paid
        payment = Payment(
            id=payment_id(n),
            student_id=student_id(n if student is None else student),
            amount_minor=amount_minor,
            currency="INR",
            status=status,
            metadata=metadata,
            confirmed_at=confirmed,
            created_at=created_at or (paid if unconfirmed else paid - timedelta(minutes=2)),
            updated_at=paid,
            provider_payment_id=provider_payment_id or f"pay_made_up_{n:04d}",
        )
        self.payments.append(payment)
        return payment

    def purchase(
        self,
        of: Payment,
        *,
        id: str | None = None,
        course: int | None = None,
        tier: int | None = None,
        is_active: bool = True,
        created_at: datetime | None = None,
        metadata: object = ...,
        updated_at: datetime | None = None,
        own: bool = False,
    ) -> Purchase:
        """A purchase as the worker makes it for this payment, two seconds later; `own`: with kcfix's own id."""
        given = of.metadata if metadata is ... else metadata
        purchase = Purchase(
            id=id or (own_purchase_id(of.id) if own else purchase_id(len(self.purchases) + 1)),
            student_id=of.student_id,
            course_id=course_id(course) if course is not None else (of.course_id or course_id(1)),
            tier=tier if tier is not None else (of.tier or 30),
            is_active=is_active,
            created_at=created_at or of.paid_at + timedelta(seconds=2),
            metadata=given,
            updated_at=updated_at or created_at or of.paid_at + timedelta(seconds=2),
        )
        self.purchases.append(purchase)
        return purchase

    def allocation(
        self,
        of: Purchase,
        *,
        status: str = "approved",
        sessions: int = 0,
        has_trainer: bool = True,
        requested_at: datetime | None = None,
        without_course: bool = False,
    ) -> Allocation:
        """An allocation as the worker makes it for this purchase, a second later."""
        allocation = Allocation(
            id=allocation_id(len(self.allocation_rows) + 1),
            status=status,
            requested_at=requested_at or of.created_at + timedelta(seconds=1),
            has_trainer=has_trainer,
            sessions=sessions,
        )
        row = AllocationRow(of.student_id, None if without_course else of.course_id, allocation)
        self.allocation_rows.append(row)
        return allocation

    def event(
        self,
        of: Payment,
        event_type: str = "PURCHASE_CONFIRMED",
        *,
        id: str | None = None,
        source: str = "payment-service",
        payload: object = ...,
        processed_at: datetime | None = None,
    ) -> EventRow:
        """A row of processed_events with this payment as correlation id, by default as payment-service writes it."""
        body = {
            "type": event_type,
            "timestamp": int(of.paid_at.timestamp() * 1000),
            "userId": of.student_id,
            "role": "student",
            "paymentId": of.id,
            "studentId": of.student_id,
            "courseId": of.course_id,
            "amountCents": of.amount_minor,
            "metadata": of.metadata,
        }
        row = EventRow(
            event_id=id or event_id(len(self.events) + 1),
            correlation_id=of.id,
            event_type=event_type,
            source=source,
            version="1.0.0",
            payload=body if payload is ... else payload,
            processed_at=processed_at or of.paid_at + timedelta(seconds=1),
        )
        self.events.append(row)
        return row

    def change(self, id: PaymentId, **fields: object) -> Payment:
        """The payment with some columns changed, in place, as another session would do it."""
        at = next(i for i, payment in enumerate(self.payments) if payment.id == id)
        self.payments[at] = replace(self.payments[at], **fields)  # type: ignore[arg-type]
        return self.payments[at]
