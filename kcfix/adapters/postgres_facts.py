"""Reads everything about some payments in a fixed number of queries, and puts it together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg import sql

from kcfix.adapters.postgres_link import Cursor
from kcfix.adapters.postgres_schema import Schema
from kcfix.core.events import own_purchase_id
from kcfix.core.payments import Allocation, EventRow, Payment, PaymentFacts, PaymentId, Purchase
from kcfix.core.ports.database import StudentCourse

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for a time that a row should have and has not; the columns are NOT NULL in every known shape."""


@dataclass(frozen=True, slots=True)
class Place:
    """A cursor in a transaction, with the schema of the database it is in."""

    cursor: Cursor
    schema: Schema


def read_facts(
    at: Place, payments_at: Place, ids: Collection[PaymentId], courses: Mapping[PaymentId, str]
) -> dict[PaymentId, PaymentFacts]:
    """The facts of each id. `payments_at` may be the same place, or one in another database."""
    payments_at.schema.need("payments")
    at.schema.need("purchases", "allocations", "sessions")
    found = {payment.id: payment for payment in _payments(payments_at, [i.lower() for i in ids])}
    students = {payment.student_id for payment in found.values()}
    succeeded = [payment for payment in found.values() if payment.succeeded]
    succeeded += _others(payments_at, students, found)
    purchases = _purchases(at, students)
    own = {purchase.id: purchase.course_id for purchase in purchases}

    def course_of(payment: Payment) -> str | None:
        made = own.get(own_purchase_id(payment.id)) if own else None
        return courses.get(payment.id) or made or payment.course_id

    course = {payment.id: course_of(payment) for payment in found.values()}
    siblings: dict[tuple[str, str | None], list[Payment]] = defaultdict(list)
    for payment in sorted(succeeded, key=lambda p: (p.paid_at, p.id)):
        siblings[payment.student_id, course_of(payment)].append(payment)
    bought: dict[StudentCourse, list[Purchase]] = defaultdict(list)
    for purchase in purchases:
        bought[purchase.student_id, purchase.course_id].append(purchase)
    allocations = _allocations(at, students)
    events = _events(at, [i.lower() for i in ids])
    known = _courses(at, [c for c in course.values() if c is not None])

    def facts(id: PaymentId) -> PaymentFacts:
        bare = PaymentId(id.lower())
        payment = found.get(bare)
        told = tuple(events.get(bare, ()))
        wanted = course.get(bare)
        if payment is None or wanted is None:
            return PaymentFacts(bare, payment, events=told)
        pair = (payment.student_id, wanted)
        return PaymentFacts(
            payment_id=bare,
            payment=payment,
            siblings=tuple(siblings.get(pair, ())),
            purchases=tuple(bought.get(pair, ())),
            allocations=tuple(allocations.get(pair, ())),
            events=told,
            course_known=None if known is None else wanted in known,
        )

    return {id: facts(id) for id in ids}


def read_allocations(at: Place, pairs: Collection[StudentCourse]) -> dict[StudentCourse, tuple[Allocation, ...]]:
    """The allocations of each pair, oldest first."""
    at.schema.need("allocations", "sessions")
    found = _allocations(at, {student for student, _ in pairs})
    return {pair: tuple(found.get(pair, ())) for pair in pairs}


def read_sessions(at: Place, allocations: Collection[str]) -> dict[str, int]:
    """How many sessions each allocation has."""
    at.schema.need("sessions")
    counts = _sessions(at, allocations)
    return {id: counts.get(id.lower(), 0) for id in allocations}


def read_events(at: Place, correlations: Collection[str]) -> tuple[EventRow, ...]:
    """The rows of processed_events with these correlation ids, oldest first; none where the table is missing."""
    found = _events(at, [i.lower() for i in correlations])
    return tuple(sorted((e for rows in found.values() for e in rows), key=lambda e: (e.processed_at, e.event_id)))


def _rows(at: Place, query: sql.Composed, *ids: list[str]) -> list[tuple[Any, ...]]:
    return at.cursor.execute(query, ids).fetchall() if ids[0] else []


def _payments(at: Place, ids: Iterable[str]) -> list[Payment]:
    s = at.schema
    return _read_payments(at, s.is_any("payments", "id", "p"), s.these("payments", "id", ids))


def _others(at: Place, students: Iterable[str], known: Iterable[PaymentId]) -> list[Payment]:
    """The succeeded payments of these students, without those that are known."""
    s = at.schema
    condition = sql.SQL("{of_them} AND {status} = 'succeeded' AND NOT {known}").format(
        of_them=s.is_any("payments", "student_id", "p"),
        status=s.column("payments", "status", "p"),
        known=s.is_any("payments", "id", "p"),
    )
    return _read_payments(at, condition, s.these("payments", "student_id", students), s.these("payments", "id", known))


def _read_payments(at: Place, condition: sql.Composable, *ids: list[str]) -> list[Payment]:
    """The payments for which the condition holds, whose parameters are `ids`; none where the first of them is empty."""
    s = at.schema
    query = sql.SQL(
        "SELECT {id}, {student}, {amount}, {currency}, {status}, {metadata}, {confirmed}, {created}, {updated},"
        " {provider}, {version} FROM {table} AS p WHERE {condition}"
    ).format(
        id=s.id("payments", "id", "p"),
        student=s.id("payments", "student_id", "p"),
        amount=s.text("payments", "amount_cents", "p"),
        currency=s.text("payments", "currency", "p"),
        status=s.column("payments", "status", "p") + sql.SQL("::text"),
        metadata=s.json("payments", "metadata", "p"),
        confirmed=s.time("payments", "confirmed_at", "p"),
        created=s.time("payments", "created_at", "p"),
        updated=s.time("payments", "updated_at", "p"),
        provider=s.text("payments", "provider_payment_id", "p"),
        version=s.version("payments", "p"),
        table=s.table("payments"),
        condition=condition,
    )
    return [
        Payment(
            id=PaymentId(id),
            student_id=student,
            amount_minor=_whole(amount),
            currency=currency or "",
            status=status or "",
            metadata=metadata,
            confirmed_at=_utc(confirmed),
            created_at=_first(created, confirmed, updated),
            updated_at=_first(updated, created, confirmed),
            provider_payment_id=provider,
            version=version,
        )
        for id, student, amount, currency, status, metadata, confirmed, created, updated, provider, version in _rows(
            at, query, *ids
        )
    ]


def _purchases(at: Place, students: Iterable[str]) -> list[Purchase]:
    s = at.schema
    query = sql.SQL(
        "SELECT {id}, {student}, {course}, {tier}, {active} IS TRUE, {created}, {bought}, {metadata}, {updated}"
        " FROM {table} AS p WHERE {match}"
    ).format(
        id=s.id("purchases", "id", "p"),
        student=s.id("purchases", "student_id", "p"),
        course=s.id("purchases", "course_id", "p"),
        tier=s.column("purchases", "purchase_tier", "p") + sql.SQL("::text"),
        active=s.column("purchases", "is_active", "p"),
        created=s.time("purchases", "created_at", "p"),
        bought=s.time("purchases", "purchase_date", "p"),
        metadata=s.json("purchases", "metadata", "p"),
        updated=s.time("purchases", "updated_at", "p"),
        table=s.table("purchases"),
        match=s.is_any("purchases", "student_id", "p"),
    )
    found = [
        Purchase(id, student, course or "", _whole(tier), active, _first(created, bought), metadata, _utc(updated))
        for id, student, course, tier, active, created, bought, metadata, updated in _rows(
            at, query, s.these("purchases", "student_id", students)
        )
    ]
    return sorted(found, key=lambda p: (p.created_at, p.id))


def _allocations(at: Place, students: Iterable[str]) -> dict[StudentCourse, list[Allocation]]:
    """By student and course. One without a course is for no course, and left out."""
    s = at.schema
    query = sql.SQL(
        "SELECT {id}, {student}, {course}, {status}, {requested}, {created}, {trainer} IS NOT NULL"
        " FROM {table} AS a WHERE {match}"
    ).format(
        id=s.id("allocations", "id", "a"),
        student=s.id("allocations", "student_id", "a"),
        course=s.id("allocations", "course_id", "a"),
        status=s.column("allocations", "status", "a") + sql.SQL("::text"),
        requested=s.time("allocations", "requested_at", "a"),
        created=s.time("allocations", "created_at", "a"),
        trainer=s.column("allocations", "trainer_id", "a"),
        table=s.table("allocations"),
        match=s.is_any("allocations", "student_id", "a"),
    )
    rows = [row for row in _rows(at, query, s.these("allocations", "student_id", students)) if row[2] is not None]
    counts = _sessions(at, [row[0] for row in rows])
    found: dict[StudentCourse, list[Allocation]] = defaultdict(list)
    for id, student, course, status, requested, created, has_trainer in rows:
        made = Allocation(id, status or "", _first(requested, created), has_trainer, counts.get(id, 0))
        found[student, course].append(made)
    for made_for in found.values():
        made_for.sort(key=lambda a: (a.requested_at, a.id))
    return found


def _sessions(at: Place, allocations: Iterable[str]) -> dict[str, int]:
    """By allocation; course_id says nothing, for session-worker leaves it NULL (docs/system.md 1.5)."""
    s = at.schema
    query = sql.SQL("SELECT {id}, count(*) FROM {table} AS t WHERE {match} GROUP BY 1").format(
        id=s.id("sessions", "allocation_id", "t"),
        table=s.table("sessions"),
        match=s.is_any("sessions", "allocation_id", "t"),
    )
    return dict(_rows(at, query, s.these("sessions", "allocation_id", (i.lower() for i in allocations))))


def _events(at: Place, ids: Iterable[str]) -> dict[str, list[EventRow]]:
    """By correlation id; nothing where the table is missing, in whichever of its shapes it is there."""
    s = at.schema
    if not s.has("events"):
        return {}
    query = sql.SQL(
        "SELECT {id}, {correlation}, {type}, {source}, {version}, {payload}, {processed}, {created}"
        " FROM {table} AS e WHERE {match}"
    ).format(
        id=s.text("events", "event_id", "e"),
        correlation=s.id("events", "correlation_id", "e"),
        type=s.text("events", "event_type", "e"),
        source=s.text("events", "source", "e"),
        version=s.text("events", "version", "e"),
        payload=s.json("events", "payload", "e"),
        processed=s.time("events", "processed_at", "e"),
        created=s.time("events", "created_at", "e"),
        table=s.table("events"),
        match=s.is_any("events", "correlation_id", "e"),
    )
    found: dict[str, list[EventRow]] = defaultdict(list)
    for id, correlation, kind, source, version, payload, processed, created in _rows(
        at, query, s.these("events", "correlation_id", ids)
    ):
        at_time = _first(processed, created)
        found[correlation].append(
            EventRow(id or "", correlation, kind or "", source or "", version or "", payload, at_time)
        )
    for rows in found.values():
        rows.sort(key=lambda e: (e.processed_at, e.event_id))
    return found


def _courses(at: Place, ids: Iterable[str]) -> set[str] | None:
    """Those of the ids that are courses; None where the table is missing or may not be read."""
    s = at.schema
    if not s.readable("courses", "id"):
        return None
    query = sql.SQL("SELECT {id} FROM {table} AS c WHERE {match}").format(
        id=s.id("courses", "id", "c"), table=s.table("courses"), match=s.is_any("courses", "id", "c")
    )
    return {row[0] for row in _rows(at, query, s.these("courses", "id", ids))}


def _whole(text: str | None) -> int:
    """A number column that may be numeric or empty; 0 for what is no whole number."""
    head = (text or "").partition(".")[0]
    return int(head) if head.lstrip("-").isdigit() else 0


def _utc(time: datetime | None) -> datetime | None:
    return None if time is None else time.astimezone(UTC)


def _first(*times: datetime | None) -> datetime:
    return next((time.astimezone(UTC) for time in times if time is not None), _NEVER)
