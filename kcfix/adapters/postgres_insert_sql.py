"""The statements of the inserting transaction, with the live names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg import sql

from kcfix.adapters.postgres_facts import Place
from kcfix.adapters.postgres_link import Cursor
from kcfix.adapters.postgres_schema import Schema, identifier, statement
from kcfix.adapters.postgres_unchanged import stands
from kcfix.core.ports.database import InsertOrder


def lock_payments(at: Place, ids: Sequence[str]) -> None:
    """Lock the payments' rows against change until the transaction ends, always in the same order."""
    s = at.schema
    query = sql.SQL("SELECT count(*) FROM (SELECT FROM {} AS p WHERE {} ORDER BY {} FOR SHARE) AS locked").format(
        s.table("payments"), s.is_any("payments", "id", "p"), s.column("payments", "id", "p")
    )
    at.cursor.execute(query, [text_array(s.these("payments", "id", ids))])


_COLUMNS = (
    *("id", "student_id", "course_id", "purchase_tier", "expiry_date", "metadata", "is_active", "created_at"),
    "updated_at",
)


def insert_unchanged_statement(s: Schema) -> sql.Composed:
    """sql/insert_unchanged.sql with the live names and types."""
    return sql.SQL(statement("insert_unchanged")).format(
        purchases=s.table("purchases"),
        stands=stands(s),
        expiry_type=sql.SQL(s.type("purchases", "expiry_date")),
        composed=sql.SQL(_COMPOSED if composes(s) else "o.metadata::{metadata_type}").format(
            metadata=s.column("payments", "metadata", "p"), metadata_type=sql.SQL(s.type("purchases", "metadata"))
        ),
        **_names(s),
    )


# Where no metadata are given, the payment's own with the tier and the course: the server has them already.
_COMPOSED = """coalesce(o.metadata::jsonb, {metadata} || jsonb_build_object(
         'purchaseTier', o.tier, 'sessionCount', o.tier, 'courseId', o.course::text))"""


def composes(s: Schema) -> bool:
    """Whether the server can compose a purchase's metadata from the payment's."""
    return s.type("payments", "metadata") == s.type("purchases", "metadata") == "jsonb"


def as_composed(order: InsertOrder) -> bool:
    """Whether what it would compose is what is to be inserted: each other value is the payment's own, the very object.

    (Equal would not do: to Python 1 is equal to true.)
    """
    own = order.planned_on.payment.metadata if order.planned_on.payment else None
    if not isinstance(own, dict):
        return False
    last = {"purchaseTier": order.tier, "sessionCount": order.tier, "courseId": order.course_id}
    wanted = order.metadata
    return wanted.keys() == own.keys() | last.keys() and all(
        value == last[key] if key in last else value is own[key] for key, value in wanted.items()
    )


def text_array(texts: Iterable[str | None]) -> str:
    """The texts as PostgreSQL writes a text[]: the driver takes far longer over thousands of them."""
    quoted = ('"' + t.replace("\\", "\\\\").replace('"', '\\"') + '"' if t is not None else "NULL" for t in texts)
    return "{" + ",".join(quoted) + "}"


def _names(s: Schema) -> dict[str, sql.Composable]:
    return {name: identifier(s.flow.column("purchases", name)) for name in _COLUMNS}


def insert_statement(s: Schema) -> sql.Composed:
    """sql/insert.sql with the live names and types."""
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
        **_names(s),
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
