"""The statements of the inserting transaction, with the live names."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from kcfix.adapters.postgres_facts import Place
from kcfix.adapters.postgres_link import Cursor
from kcfix.adapters.postgres_schema import Schema, identifier, statement


def lock_payments(at: Place, ids: Sequence[str]) -> None:
    """Lock the payments' rows against change until the transaction ends, always in the same order."""
    s = at.schema
    query = sql.SQL("SELECT 1 FROM {} AS p WHERE {} ORDER BY {} FOR SHARE").format(
        s.table("payments"), s.is_any("payments", "id", "p"), s.column("payments", "id", "p")
    )
    at.cursor.execute(query, [s.these("payments", "id", ids)])


def insert_statement(s: Schema) -> sql.Composed:
    """sql/insert.sql with the live names and types."""
    columns = (
        "id student_id course_id purchase_tier expiry_date metadata is_active created_at updated_at".split()  # noqa: SIM905
    )
    names = {name: identifier(s.flow.column("purchases", name)) for name in columns}
    types = {
        "id": "id",
        "student": "student_id",
        "course": "course_id",
        "expiry": "expiry_date",
        "metadata": "metadata",
    }
    return sql.SQL(statement("insert")).format(
        purchases=s.table("purchases"),
        u_student_id=s.column("purchases", "student_id", "u"),
        u_course_id=s.column("purchases", "course_id", "u"),
        u_is_active=s.column("purchases", "is_active", "u"),
        **names,
        **{f"{short}_type": sql.SQL(s.type("purchases", name)) for short, name in types.items()},
    )


def own_purchases(cursor: Cursor, s: Schema, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Student and course of those purchases that are there."""
    query = sql.SQL("SELECT {}, {}, {} FROM {} AS u WHERE {}").format(
        s.id("purchases", "id", "u"),
        s.id("purchases", "student_id", "u"),
        s.id("purchases", "course_id", "u"),
        s.table("purchases"),
        s.is_any("purchases", "id", "u"),
    )
    rows = cursor.execute(query, [s.these("purchases", "id", ids)]).fetchall()
    return {id: (student, course) for id, student, course in rows}
