"""Finds the payments that may lack a purchase, without reading all of them into the program."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from psycopg import sql

from kcfix.adapters.postgres_facts import Place
from kcfix.adapters.postgres_schema import Schema, statement
from kcfix.core.payments import PaymentId

TOLERANCE = timedelta(seconds=5)
"""Clocks may differ: a purchase that is so much older than its payment still counts as made after it."""
UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
"""What counts as a course where SQL looks at it: lower case, nothing around it."""
_PAGE = 2000


def read_candidates(at: Place, since: datetime, until: datetime, limit: int) -> tuple[PaymentId, ...]:
    """In one statement, where one database holds both payments and purchases."""
    s = at.schema
    s.need("payments", "purchases")
    same_type = s.type("payments", "student_id") == s.type("purchases", "student_id")
    # As they are, so that an index serves; by their text only where the two columns can't be compared.
    student = s.column if same_type else s.id
    query = sql.SQL(statement("candidates")).format(
        **payment_parts(s),
        p_student=student("payments", "student_id", "p"),
        o_student=student("payments", "student_id", "o"),
        purchases=s.table("purchases"),
        u_student=student("purchases", "student_id", "u"),
        u_course=s.id("purchases", "course_id", "u"),
        u_created_at=s.time("purchases", "created_at", "u"),
    )
    values = {"since": since, "until": until, "limit": limit, "uuid": UUID}
    return tuple(PaymentId(row[0]) for row in at.cursor.execute(query, values))


def read_candidates_apart(
    at: Place, payments_at: Place, since: datetime, until: datetime, limit: int
) -> tuple[PaymentId, ...]:
    """The same where payments live in a database of their own: page by page, until there are enough."""
    at.schema.need("purchases")
    payments_at.schema.need("payments")
    found: list[PaymentId] = []
    for page in _pages(payments_at, since, until):
        bought = _latest_purchases(at, {student for _, student, _, _, _ in page})
        for id, student, course, paid_at, sole in page:
            made = bought.get((student, course)) if course else None
            if not sole or made is None or made < paid_at - TOLERANCE:
                found.append(PaymentId(id))
        if len(found) >= limit:
            break
    return tuple(found[:limit])


def _pages(at: Place, since: datetime, until: datetime) -> Iterator[list[tuple[str, str, str | None, datetime, bool]]]:
    s = at.schema
    query = sql.SQL(statement("paid")).format(
        **payment_parts(s),
        p_student=s.column("payments", "student_id", "p"),
        o_student=s.column("payments", "student_id", "o"),
    )
    values = {"since": since, "until": until, "limit": _PAGE, "uuid": UUID}
    offset = 0
    while True:
        page = at.cursor.execute(query, {**values, "offset": offset}).fetchall()
        if page:
            yield [(id, student, course, paid, sole) for id, student, course, paid, sole in page]
        if len(page) < _PAGE:
            return
        offset += _PAGE


def _latest_purchases(at: Place, students: set[str]) -> dict[tuple[str, str | None], datetime]:
    s = at.schema
    query = sql.SQL("SELECT {student}, {course}, max({made}) FROM {table} AS u WHERE {match} GROUP BY 1, 2").format(
        student=s.id("purchases", "student_id", "u"),
        course=s.id("purchases", "course_id", "u"),
        made=s.time("purchases", "created_at", "u"),
        table=s.table("purchases"),
        match=s.is_any("purchases", "student_id", "u"),
    )
    rows = at.cursor.execute(query, [s.these("purchases", "student_id", students)])
    return {(student, course): made for student, course, made in rows if made is not None}


def payment_parts(s: Schema) -> dict[str, sql.Composable]:
    """The names that the statements over payments share; `o` is another payment beside `p`."""

    def paid_at(alias: str) -> sql.Composable:
        confirmed, created = s.time("payments", "confirmed_at", alias), s.time("payments", "created_at", alias)
        return sql.SQL("coalesce({}, {})").format(confirmed, created)

    return {
        "payments": s.table("payments"),
        "p_id": s.column("payments", "id", "p"),
        "o_id": s.column("payments", "id", "o"),
        "p_course": s.course("p"),
        "o_course": s.course("o"),
        "p_status": s.column("payments", "status", "p"),
        "o_status": s.column("payments", "status", "o"),
        "p_paid_at": paid_at("p"),
    }
