"""Which PURCHASE_CONFIRMED a replay sends, and whether the worker would make the right purchase of it.

The event found in the topic, else the recorded one, with its own event id; else one built from the payment, the same in
every run (docs/decisions.md 3).
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass

from kcfix.core.events import Event, Message, build_message, own_event_id, parse_value
from kcfix.core.judging.snapshot import FoundMessage, PaymentSnapshot
from kcfix.core.payments import Payment, PaymentFacts, metadata_mapping, parse_uuid, worker_tier
from kcfix.flow import PURCHASE_CONFIRMED, Flow

SOURCE = "kcfix"
HEADERS = frozenset({"eventId", "correlationId", "eventType", "source", "version"})


class Origin(enum.StrEnum):
    """Where the event comes from."""

    TOPIC = "TOPIC"
    RECORDED = "RECORDED"
    """processed_events.payload, written by payment-service before its send."""
    BUILT = "BUILT"
    """Made by kcfix from the payment row."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A message ready to be sent, and what speaks against sending it."""

    origin: Origin
    event: Event
    message: Message
    problems: tuple[str, ...]
    """Why the worker would not make the right purchase of it; empty if it would."""


def replay_of(snapshot: PaymentSnapshot, facts: PaymentFacts, payment: Payment, flow: Flow) -> Replay:
    """The replay of this payment's event, the newest copy in the topic first."""
    evidence = snapshot.evidence.value
    for found in reversed(evidence.messages if evidence else ()):
        if found.event is not None:
            return _checked(Origin.TOPIC, _copy(found, flow), payment)
    row = next((e for e in facts.events if e.event_type == PURCHASE_CONFIRMED), None)
    payload = _mapping(row.payload) if row else None
    if row is not None and payload:
        message = build_message(
            flow.purchase_confirmed,
            payload,
            event_id=row.event_id,
            correlation_id=row.correlation_id,
            source=row.source,
            version=row.version,
            timestamp_ms=_milliseconds(payload.get("timestamp"), payment),
        )
        return _checked(Origin.RECORDED, message, payment)
    return _checked(Origin.BUILT, built_message(payment, flow), payment)


def built_message(payment: Payment, flow: Flow) -> Message:
    """The event made of the payment's row, with the same event id whenever it is made."""
    return build_message(
        flow.purchase_confirmed,
        _body_of(payment),
        event_id=own_event_id(payment.id),
        correlation_id=payment.id,
        source=SOURCE,
        timestamp_ms=_milliseconds(None, payment),
    )


def _mapping(payload: object) -> Mapping[str, object]:
    if isinstance(payload, str):
        try:
            payload = json.loads(payload)
        except ValueError:
            return {}
    return payload if isinstance(payload, Mapping) else {}


def _milliseconds(stamp: object, payment: Payment) -> int:
    return stamp if isinstance(stamp, int) else int(payment.paid_at.timestamp() * 1000)


def _body_of(payment: Payment) -> dict[str, object]:
    metadata = metadata_mapping(payment.metadata)
    return {
        "type": PURCHASE_CONFIRMED,
        "timestamp": _milliseconds(None, payment),
        "userId": payment.student_id,
        "role": "student",
        "paymentId": payment.id,
        "studentId": payment.student_id,
        "courseId": metadata.get("courseId"),
        "amountCents": payment.amount_minor,
        "metadata": dict(metadata),
    }


def _copy(found: FoundMessage, flow: Flow) -> Message:
    """The record again, byte for byte; headers are made from its envelope where they were never sent."""
    record, event = found.record, found.event
    assert event is not None  # noqa: S101  only decoded records are copied
    headers = {name: value for name, value in record.headers if value is not None}
    if not set(headers) >= HEADERS:
        made = {
            "eventId": event.event_id,
            "correlationId": event.correlation_id,
            "eventType": event.type,
            "source": event.source,
            "version": event.version,
        }
        headers = {**{k: v.encode() for k, v in made.items() if v is not None}, **headers}
    return Message(flow.purchase_confirmed, record.key or b"", record.value or b"", tuple(headers.items()))


def _checked(origin: Origin, message: Message, payment: Payment) -> Replay:
    event = parse_value(message.value)
    assert event is not None  # noqa: S101  it was decoded, or built, as JSON
    problems: list[str] = []
    if not event.has_metadata_block:
        problems.append("its event has no _metadata")
    elif parse_uuid(event.event_id) is None:
        problems.append("its event id is no UUID")
    if event.type != PURCHASE_CONFIRMED:
        problems.append(f"its event is of type {event.type}")
    if event.payment_id != payment.id or (event.correlation_id or "").lower() != payment.id:
        problems.append("its event names another payment")
    if parse_uuid(event.student_id) != payment.student_id:
        problems.append("its event names another student")
    if parse_uuid(event.course_id) != payment.course_id:
        problems.append("its event names another course")
    if not isinstance(payment.metadata, Mapping):
        problems.append("the payment's metadata is a string, which the worker would not read")
    tier = worker_tier(event.metadata)
    if tier != payment.tier:
        problems.append(f"the worker would make a purchase of tier {tier}, not {payment.tier}")
    return Replay(origin, event, message, tuple(problems))
