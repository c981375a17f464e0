"""Snapshots of one payment for the tests of decisions: a normal day, from which a test names what differs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from kcfix.core.events import DeadLetter, Record, build_message, murmur2_partition, parse_event
from kcfix.core.judging.snapshot import (
    AnnouncementEvidence,
    FoundMessage,
    Head,
    MessageEvidence,
    PaymentSnapshot,
    PurchaseWorkers,
    Reading,
)
from kcfix.core.offsets import Committed, Group, GroupState, LogOffsets, Member, TopicPartition, partition_lag
from kcfix.core.payments import Allocation, EventRow, Payment, PaymentFacts, PaymentId, Purchase
from kcfix.core.ports.kafka import OffsetRange
from kcfix.core.working.worker import Work, WorkState

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
PAID_AT = NOW - timedelta(minutes=20)
TOPIC = "purchase-confirmed"
STUDENT = "00000000-0000-4000-8000-000000000001"
COURSE = "00000000-0000-4000-8000-000000000002"
PAYMENT = PaymentId("00000000-0000-4000-8000-00000000000a")
OTHER = PaymentId("00000000-0000-4000-8000-00000000000b")
EVENT = "00000000-0000-4000-8000-0000000000e1"
PARTITION = TopicPartition(TOPIC, murmur2_partition(PAYMENT.encode(), 3))


def minutes(n: float) -> timedelta:
    """So many minutes."""
    return timedelta(minutes=n)


def payment(**changes: Any) -> Payment:
    """A payment of tier 20, 20 minutes ago."""
    row = Payment(
        id=PAYMENT,
        student_id=STUDENT,
        amount_minor=720000,
        currency="INR",
        status="succeeded",
        metadata={"courseId": COURSE, "sessionCount": 20},
        confirmed_at=PAID_AT,
        created_at=PAID_AT - minutes(2),
        updated_at=PAID_AT,
    )
    return replace(row, **changes)


def purchase(id: str = "00000000-0000-4000-8000-0000000000c1", **changes: Any) -> Purchase:
    """An active purchase of tier 20, a second after the payment."""
    row = Purchase(id, STUDENT, COURSE, 20, True, PAID_AT + timedelta(seconds=1), {})
    return replace(row, **changes)


def allocation(
    status: str = "approved", sessions: int = 20, at: datetime = PAID_AT + timedelta(seconds=2)
) -> Allocation:
    """An allocation with sessions, two seconds after the payment."""
    return Allocation("00000000-0000-4000-8000-0000000000d1", status, at, True, sessions)


def event_row(**changes: Any) -> EventRow:
    """The row that payment-service writes before it sends."""
    row = EventRow(EVENT, PAYMENT, "PURCHASE_CONFIRMED", "payment-service", "1.0.0", body(), PAID_AT)
    return replace(row, **changes)


def body(**changes: Any) -> dict[str, Any]:
    """The body of the payment's event."""
    made: dict[str, Any] = {
        "type": "PURCHASE_CONFIRMED",
        "timestamp": int(PAID_AT.timestamp() * 1000),
        "userId": STUDENT,
        "role": "student",
        "paymentId": PAYMENT,
        "studentId": STUDENT,
        "courseId": COURSE,
        "amountCents": 720000,
        "metadata": {"courseId": COURSE, "sessionCount": 20},
    }
    return {**made, **changes}


def facts(row: Payment | None = None, **changes: Any) -> PaymentFacts:
    """The facts of a payment without a purchase."""
    row = row or payment()
    siblings = (row,) if row.succeeded else ()
    made = PaymentFacts(PAYMENT, row, siblings=siblings, events=(event_row(),), course_known=True)
    return replace(made, **changes)


def record(offset: int, at: datetime = PAID_AT + timedelta(seconds=1), value: bytes | None = None) -> Record:
    """The payment's message at this offset."""
    message = build_message(
        TOPIC,
        body(),
        event_id=EVENT,
        correlation_id=PAYMENT,
        source="payment-service",
        timestamp_ms=int(PAID_AT.timestamp() * 1000),
    )
    return Record(
        TOPIC,
        PARTITION.partition,
        offset,
        at,
        message.key,
        message.value if value is None else value,
        tuple((k, v) for k, v in message.headers),
    )


def found(offset: int, at: datetime = PAID_AT + timedelta(seconds=1), value: bytes | None = None) -> FoundMessage:
    """The payment's message, found."""
    r = record(offset, at, value)
    return FoundMessage(r, parse_event(r))


def evidence(
    *messages: FoundMessage, committed: int | None = 5, start: int = 0, end: int = 9, **changes: Any
) -> MessageEvidence:
    """What Kafka holds: a log of 9 records, of which 5 are read."""
    made = MessageEvidence(
        partition=PARTITION,
        lag=partition_lag(PARTITION, Committed(committed), LogOffsets(start, end)),
        messages=messages,
        searched=(OffsetRange(PARTITION, start, end),),
        complete=True,
        log_was_cut=start > 0,
    )
    return replace(made, **changes)


def head(offset: int, *failures: str, payment_id: PaymentId | None = PAYMENT) -> Head:
    """The record at the committed offset."""
    return Head(PARTITION, offset, payment_id, failures)


def dead_letter(offset: int, reason: str = "tier check") -> DeadLetter:
    """A dead letter of the payment's message."""
    return DeadLetter(
        Record("dead-letter-queue", 0, 0, PAID_AT + minutes(1), PAYMENT.encode(), b"{}"),
        TOPIC,
        PARTITION.partition,
        offset,
        reason,
        PAYMENT,
    )


def announcement(*, sent: bool, reaches_back: bool = True) -> Reading[AnnouncementEvidence]:
    """Whether a PURCHASE_CREATED was found."""
    records = (Record("purchase-created", 0, 0, PAID_AT, PAYMENT.encode(), b"{}"),) if sent else ()
    return Reading(AnnouncementEvidence("purchase", records, reaches_back))


MEMBER = Member("m-1", "purchase-worker-1768470000000", "172.18.0.5", tuple(TopicPartition(TOPIC, p) for p in range(3)))


def workers(
    state: WorkState = WorkState.NOT_WORKING, *starts: datetime, member: bool = False, **changes: Any
) -> PurchaseWorkers:
    """The purchase-worker; stopped unless told."""
    joined = (MEMBER,) if member else ()
    group = Group("purchase-creation-workers", GroupState.STABLE if member else GroupState.EMPTY, joined)
    held = frozenset(MEMBER.assignment) if member else frozenset()
    work = Work(state, ("a made-up reason",), (), joined, held, None)
    return replace(PurchaseWorkers(Reading(group), work, tuple(sorted(starts)), True), **changes)


def snapshot(
    known: PaymentFacts | Reading[PaymentFacts] | None = None,
    seen: MessageEvidence | Reading[MessageEvidence] | None = None,
    by: PurchaseWorkers | None = None,
    announced: Reading[AnnouncementEvidence] | None = None,
) -> PaymentSnapshot:
    """A snapshot; what is not named is a normal day with the worker stopped."""
    known = known if known is not None else facts()
    seen = seen if seen is not None else evidence()
    return PaymentSnapshot(
        payment_id=PAYMENT,
        taken_at=NOW,
        facts=known if isinstance(known, Reading) else Reading(known),
        evidence=seen if isinstance(seen, Reading) else Reading(seen),
        announcement=announced,
        workers=by or workers(),
    )
