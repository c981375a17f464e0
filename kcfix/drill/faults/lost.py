"""What a fault has kept from being done, and doing it: events that were not sent, purchases that were not announced."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg

from kcfix.core.events import Message, build_message
from kcfix.drill import wire
from kcfix.drill.checkout import SOURCE, milliseconds
from kcfix.drill.state import Drill
from kcfix.errors import Unreachable
from kcfix.flow import PURCHASE_CONFIRMED, PURCHASE_CREATED, Flow

FLOW = Flow()


def unsettled(connection: psycopg.Connection, payments: Sequence[str]) -> list[str]:
    """Those of the payments that succeeded and whose student has no active purchase of their course, in order."""
    rows = connection.execute(
        """SELECT p.id::text FROM payments AS p
           WHERE p.id = ANY(%s::uuid[]) AND p.status = 'succeeded' AND NOT EXISTS (
             SELECT 1 FROM student_course_purchases AS s
             WHERE s.student_id = p.student_id AND s.is_active
               AND s.course_id::text = p.metadata->>'courseId')""",
        (list(payments),),
    ).fetchall()
    found = {row[0] for row in rows}
    return [p for p in payments if p in found]


def emit(drill: Drill, connection: psycopg.Connection, payments: Sequence[str]) -> None:
    """Sends the event of each payment, as it was recorded; what was not recorded is, first, as the emitter does.

    Raises:
        Unreachable: the broker did not take them all.
    """
    bare = connection.execute(
        """SELECT p.id::text, p.student_id::text, p.amount_cents, p.metadata, p.confirmed_at FROM payments AS p
           WHERE p.id = ANY(%s::uuid[]) AND NOT EXISTS (
             SELECT 1 FROM processed_events AS e
             WHERE e.correlation_id::text = p.id::text AND e.event_type = %s)""",
        (list(payments), PURCHASE_CONFIRMED),
    ).fetchall()
    for payment, student, amount, metadata, confirmed in bare:
        body = {
            "type": PURCHASE_CONFIRMED,
            "timestamp": milliseconds(confirmed),
            "userId": student,
            "role": "student",
            "paymentId": payment,
            "studentId": student,
            "courseId": metadata["courseId"],
            "amountCents": amount,
            "metadata": metadata,
        }
        connection.execute(
            """INSERT INTO processed_events (event_id, correlation_id, event_type, payload, source, version)
               VALUES (%s, %s, %s, %s, %s, '1.0.0')""",
            (str(uuid.uuid4()), payment, PURCHASE_CONFIRMED, json.dumps(body), SOURCE),
        )
    recorded = connection.execute(
        """SELECT event_id::text, correlation_id::text, payload, created_at FROM processed_events
           WHERE event_type = %s AND correlation_id::text = ANY(%s)""",
        (PURCHASE_CONFIRMED, list(payments)),
    ).fetchall()
    _send(
        drill,
        [
            _message(FLOW.purchase_confirmed, body, event, payment, SOURCE, milliseconds(when))
            for event, payment, body, when in recorded
        ],
    )


def unannounced(connection: psycopg.Connection, payments: Sequence[str]) -> list[tuple[Any, ...]]:
    """Payment, purchase, student, course, tier and metadata of those whose purchase has no trainer."""
    return connection.execute(
        """SELECT p.id::text, s.id::text, s.student_id::text, s.course_id::text, s.purchase_tier, s.metadata
           FROM payments AS p JOIN student_course_purchases AS s
             ON s.student_id = p.student_id AND s.is_active AND s.course_id::text = p.metadata->>'courseId'
           WHERE p.id = ANY(%s::uuid[]) AND NOT EXISTS (
             SELECT 1 FROM trainer_allocations AS t
             WHERE t.student_id = s.student_id AND t.course_id = s.course_id AND t.status IN ('approved', 'active'))""",
        (list(payments),),
    ).fetchall()


def announce(drill: Drill, purchases: Sequence[tuple[Any, ...]]) -> None:
    """Sends the PURCHASE_CREATED of each, as purchase-worker does.

    Raises:
        Unreachable: the broker did not take them all.
    """
    now = milliseconds(datetime.now(UTC))
    messages = []
    for payment, purchase, student, course, tier, metadata in purchases:
        body = {
            "type": PURCHASE_CREATED,
            "timestamp": now,
            "userId": student,
            "role": "student",
            "purchaseId": purchase,
            "studentId": student,
            "courseId": course,
            "purchaseTier": tier,
            "metadata": metadata,
        }
        messages.append(_message(FLOW.purchase_created, body, purchase, payment, FLOW.purchase_worker, now))
    _send(drill, messages)


def _message(topic: str, body: dict[str, object], event: str, payment: str, source: str, stamp: int) -> Message:
    return build_message(topic, body, event_id=event, correlation_id=payment, source=source, timestamp_ms=stamp)


def _send(drill: Drill, messages: Sequence[Message]) -> None:
    if any(sent.offset is None for sent in wire.send(drill, messages)):
        raise Unreachable("the drill's broker did not take the messages", system="kafka")
