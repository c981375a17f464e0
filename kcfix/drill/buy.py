"""The drill's checkout: payments succeed as payment-service makes them succeed."""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum

import psycopg

from kcfix.drill import wire
from kcfix.drill.checkout import PARTITIONS, SESSION_TTL, SOURCE, Payment, payment
from kcfix.drill.state import Drill
from kcfix.errors import Refused, Unreachable, UsageError
from kcfix.flow import PURCHASE_CONFIRMED

BATCH = 500
"""Payments that share a transaction and a wait for the broker where no rate is asked for."""


class Emission(StrEnum):
    """How far payment-service comes after the payment row says succeeded."""

    SENT = "sent"
    UNSENT = "unsent"
    """The row of processed_events is there, the send found no broker (docs/system.md 6, modes 11 and 18)."""
    UNEMITTED = "unemitted"
    """Neither row nor message: the process died between the two (mode 19)."""


def buy(
    drill: Drill,
    count: int,
    *,
    rate: float | None = None,
    upgrade: bool = False,
    no_course: bool = False,
    tier: int | str | None = 20,
    unsent: bool = False,
    unemitted: bool = False,
    partition: int | None = None,
    student: str | None = None,
    course: str | None = None,
    metadata_as_string: bool = False,
    metadata: dict[str, object] | None = None,
    gps: bool = True,
    at: datetime | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Makes so many payments succeed, each by a student of its own unless one is named; their ids, in order.

    `rate` is payments a second, None: as fast as they go. `upgrade` pays again for purchases that are there, oldest
    first. `tier` goes into the metadata as given, None leaves it out. `partition` chooses ids whose messages fall on
    that partition. `at` is the time of confirmation (aware), None: now. `metadata` overrides what the checkout wrote;
    `gps` False makes students without a place, for whom no sessions are made. A message that the broker did not take
    is no error, as it is none for payment-service: the payment stands, and `report` is told.

    Raises:
        UsageError: arguments that make no sense. Nothing was made.
        Refused: an upgrade with too few purchases to upgrade. Nothing was made.
        Unreachable: the database did not answer; the payments of the batch in hand were not made, earlier ones were.
    """
    if count < 0 or (rate is not None and rate <= 0):
        raise UsageError("count can't be negative and rate must be more than 0")
    if partition is not None and not 0 <= partition < PARTITIONS:
        raise UsageError(f"partition must be from 0 to {PARTITIONS - 1}")
    if unsent and unemitted:
        raise UsageError("a payment is either unsent or unemitted")
    emission = Emission.UNSENT if unsent else Emission.UNEMITTED if unemitted else Emission.SENT

    def make(number: int, who: str, what: str | None) -> Payment:
        return payment(
            student_id=who,
            course_id=None if no_course else what,
            tier=tier,
            now=at or datetime.now(UTC),
            upgrade=upgrade,
            metadata_as_string=metadata_as_string,
            partition=partition,
            extra=metadata,
        )

    try:
        with (
            psycopg.connect(drill.dsn, connect_timeout=5, autocommit=True) as connection,
            wire.Sender(drill, nowhere=unsent) as sender,
        ):
            buyers = _buyers(connection, count, upgrade=upgrade, student=student, course=course)
            made: list[str] = []
            size = 1 if rate else BATCH
            started = time.monotonic()
            for first in range(0, count, size):
                if rate:
                    time.sleep(max(0.0, started + first / rate - time.monotonic()))
                wanted = [next(buyers) for _ in range(min(size, count - first))]
                batch = [make(first + i, who, what) for i, (who, what) in enumerate(wanted)]
                succeed(connection, batch, emission, gps=gps)
                _emit(sender, batch, emission, at, report)
                made += [p.id for p in batch]
            return made
    except psycopg.Error as error:
        raise Unreachable(f"writing payments to the drill's database: {error}", system="database") from error


def _buyers(
    connection: psycopg.Connection, count: int, *, upgrade: bool, student: str | None, course: str | None
) -> Iterator[tuple[str, str | None]]:
    """Student and course of each payment to come."""
    if upgrade and student is None:
        rows = connection.execute(
            """SELECT student_id::text, course_id::text FROM student_course_purchases AS bought
               WHERE is_active AND purchase_tier < 30 AND (%(course)s::text IS NULL OR course_id::text = %(course)s)
                 AND NOT EXISTS (SELECT 1 FROM payments AS paid WHERE paid.student_id = bought.student_id
                                 AND paid.metadata->>'upgrade' = 'true')
               ORDER BY created_at, id LIMIT %(count)s""",
            {"course": course, "count": count},
        ).fetchall()
        if len(rows) < count:
            raise Refused(
                f"there are {len(rows)} purchases to upgrade, not {count}", hint="kcfix drill buy 1, without --upgrade"
            )
        return iter(rows)
    courses = [row[0] for row in connection.execute("SELECT id::text FROM courses ORDER BY id")]
    chosen = itertools.repeat(course) if course or not courses else itertools.cycle(courses)
    return ((student or str(uuid.uuid4()), what) for what in chosen)


def succeed(
    connection: psycopg.Connection,
    batch: Sequence[Payment],
    emission: Emission = Emission.SENT,
    *,
    gps: bool = True,
) -> None:
    """Initiates and confirms the payments and, as the emitter does, writes their events down before any send."""
    place = (12.9716, 77.5946) if gps else (None, None)
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO students (id, email) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [(p.student_id, f"{p.student_id}@drill.example") for p in batch],
        )
        cursor.executemany(
            """INSERT INTO student_profiles (student_id, latitude, longitude) VALUES (%s, %s, %s)
               ON CONFLICT (student_id) DO NOTHING""",
            [(p.student_id, *place) for p in batch],
        )
        cursor.executemany(
            """INSERT INTO payments (id, student_id, amount_cents, status, provider, provider_payment_id, description,
                                     metadata, payment_url, expires_at, created_at, updated_at)
               VALUES (%s, %s, %s, 'initiated', 'razorpay', %s, 'Course purchase', %s, %s, %s, %s, %s)""",
            [
                (
                    p.id,
                    p.student_id,
                    p.amount_cents,
                    p.order_ref,
                    p.stored_metadata,
                    f"https://pay.drill.example/{p.order_ref}",
                    p.created_at + SESSION_TTL,
                    p.created_at,
                    p.created_at,
                )
                for p in batch
            ],
        )
        cursor.executemany(
            """UPDATE payments SET status = 'succeeded', provider_payment_id = %s, payment_method = 'upi',
                                   payment_url = NULL, expires_at = NULL, confirmed_at = %s, updated_at = %s
               WHERE id = %s""",
            [(p.payment_ref, p.confirmed_at, p.confirmed_at, p.id) for p in batch],
        )
    if emission is Emission.UNEMITTED:
        return
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            """INSERT INTO processed_events (event_id, correlation_id, event_type, payload, source, version)
               VALUES (%s, %s, %s, %s, %s, '1.0.0') ON CONFLICT (event_id) DO NOTHING""",
            [
                (p.event_id, p.id, PURCHASE_CONFIRMED, json.dumps(p.body), SOURCE)
                for p in batch
                if p.course_id is not None
            ],
        )


def _emit(
    sender: wire.Sender,
    batch: Sequence[Payment],
    emission: Emission,
    at: datetime | None,
    report: Callable[[str], None],
) -> None:
    """Sends what payment-service would send: nothing without a course, and nothing again if it fails."""
    if emission is Emission.UNEMITTED:
        return
    messages = [p.message() for p in batch if p.course_id is not None]
    lost = sum(1 for sent in sender.send(messages, at=at) if sent.offset is None)
    if lost and emission is Emission.SENT:
        report(f"{lost} of {len(messages)} messages were not taken by the broker; the payments stand without them")
