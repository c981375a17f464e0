"""The payment of a probe, written as payment-service writes one that succeeded; and what earlier probes left."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from psycopg import sql

from kcfix.adapters.postgres_errors import access_denied, first_line
from kcfix.adapters.postgres_facts import Place
from kcfix.adapters.postgres_json import dumps
from kcfix.adapters.postgres_link import Cursor, Link
from kcfix.adapters.postgres_locks import LOCKED_OUT, Fate, begin_locked, commit, locked_out, patience, roll_back
from kcfix.adapters.postgres_schema import Schema, identifier
from kcfix.core.payments import PaymentId
from kcfix.core.ports.database import InsertResult, InsertState, ProbeOrder, ProbesSeen
from kcfix.core.probe import FIRST, LAST, PROVIDER
from kcfix.errors import Unreachable

LATITUDE, LONGITUDE = 12.9716, 77.5946
"""The place of a made-up student: a city's centre."""
Where = tuple[Link, Schema]


def read_probes(here: Place, payments: Place, limit: int) -> ProbesSeen:
    """See `DatabasePort.probes`."""
    s = payments.schema
    s.need("payments")
    kind = sql.SQL(s.type("payments", "id"))
    marked: sql.Composable = sql.SQL("true")
    if s.has("payments", "provider"):
        marked = sql.SQL("{} = %(provider)s").format(s.column("payments", "provider", "p"))
    found = payments.cursor.execute(
        sql.SQL(
            "SELECT {id} FROM {payments} AS p WHERE {live} >= %(first)s::{kind} AND {live} <= %(last)s::{kind} "
            "AND {marked} ORDER BY {made} DESC, 1 LIMIT %(limit)s"
        ).format(
            id=s.id("payments", "id", "p"),
            payments=s.table("payments"),
            live=s.column("payments", "id", "p"),
            kind=kind,
            marked=marked,
            made=s.column("payments", "created_at", "p"),
        ),
        {"first": FIRST, "last": LAST, "provider": PROVIDER, "limit": limit},
    ).fetchall()
    course = None
    if here.schema.has("courses"):
        row = here.cursor.execute(
            sql.SQL("SELECT {} FROM {} AS c ORDER BY {} LIMIT 1").format(
                here.schema.id("courses", "id", "c"),
                here.schema.table("courses"),
                here.schema.column("courses", "id", "c"),
            )
        ).fetchone()
        course = row[0] if row else None
    return ProbesSeen(tuple(PaymentId(id) for (id,) in found), course)


def make_probe(purchases: Where, payments: Where, order: ProbeOrder) -> InsertResult:
    """See `DatabasePort.probe`.

    Raises:
        Unreachable: no connection; nothing was changed.
    """
    if (why := _why_not(purchases, payments, order)) is not None:
        return InsertResult(order.payment_id, InsertState.REFUSED, why)
    link, schema = payments

    def words(error: psycopg.Error) -> str:
        if error.sqlstate in LOCKED_OUT:
            return locked_out(link)
        said = first_line(error, link.address)
        match error.sqlstate:
            case "42501":
                return access_denied(said, link.address, "INSERT").message
            case "25006":
                return f"database {link.address.label} is read-only"
            case None:
                return said
            case code:
                return f"{said} ({code})"

    with link.exclusive() as connection:
        try:
            with connection.cursor() as cursor:
                begin_locked(link, connection, cursor, ())
                with link.watched(connection, patience(link)):
                    made = _write(cursor, schema, order)
        except (psycopg.Error, Unreachable) as error:
            # No COMMIT was sent: the server rolls back, whatever became of the connection.
            roll_back(link, connection)
            reason = error.message if isinstance(error, Unreachable) else words(error)
            return InsertResult(order.payment_id, InsertState.FAILED, reason)
        except BaseException:
            roll_back(link, connection)
            raise
        if not made:
            roll_back(link, connection)
            return InsertResult(order.payment_id, InsertState.EXISTS)
        fate, reason = commit(link, connection, words)
    match fate:
        case Fate.MADE:
            return InsertResult(order.payment_id, InsertState.INSERTED)
        case Fate.NOT_MADE:
            return InsertResult(order.payment_id, InsertState.FAILED, reason)
        case Fate.UNKNOWN:
            return InsertResult(order.payment_id, InsertState.UNKNOWN, reason)


def _why_not(purchases: Where, payments: Where, order: ProbeOrder) -> str | None:
    link, s = purchases
    if order.new_student and payments[0] is not link:
        return "payments are in a database of their own, and no student can be made up across two of them"
    with link.reading("looking before a probe") as cursor:
        if s.has("courses") and not _count(cursor, s, "courses", [("id", order.course_id)]):
            return f"there is no course {order.course_id}"
        mine = [("student_id", order.student_id), ("course_id", order.course_id)]
        if _count(cursor, s, "purchases", mine, active=True):
            return f"student {order.student_id} has an active purchase of course {order.course_id}, which swallows it"
    return None


def _count(cursor: Cursor, s: Schema, table: str, ids: list[tuple[str, str]], *, active: bool = False) -> int:
    wanted = sql.SQL(" AND ").join(s.is_any(table, column, "t") for column, _ in ids)
    if active:
        wanted = sql.SQL("{} AND {}").format(wanted, s.column(table, "is_active", "t"))
    query = sql.SQL("SELECT count(*) FROM {} AS t WHERE {}").format(s.table(table), wanted)
    row = cursor.execute(query, [s.these(table, column, [value]) for column, value in ids]).fetchone()
    return int(row[0]) if row else 0


def _write(cursor: Cursor, s: Schema, order: ProbeOrder) -> bool:
    """Whether the payment was written; not where its id is there already."""
    if order.new_student:
        _write_student(cursor, s, order.student_id)
    columns = list(_columns(s, order))
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
        s.table("payments"),
        sql.SQL(", ").join(identifier(s.flow.column("payments", name)) for name, _, _ in columns),
        sql.SQL(", ").join(sql.SQL(place) for _, place, _ in columns),
    )
    cursor.execute(statement, [value for _, place, value in columns if "%s" in place])
    return cursor.rowcount == 1


def _write_student(cursor: Cursor, s: Schema, student: str) -> None:
    who = sql.SQL("INSERT INTO {} (id, email) VALUES (%s, %s) ON CONFLICT DO NOTHING")
    cursor.execute(who.format(_named(s.flow.students_table)), [student, f"{student}@kcfix-probe.invalid"])
    place = sql.SQL("INSERT INTO {} (student_id, latitude, longitude) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING")
    cursor.execute(place.format(_named(s.flow.profiles_table)), [student, LATITUDE, LONGITUDE])


def _named(table: str) -> sql.Identifier:
    return identifier(*table.split("."))


def _columns(s: Schema, order: ProbeOrder) -> Iterator[tuple[str, str, object]]:
    """Column, what stands for it in the statement, and its value where one is given."""
    yield "id", "%s", order.payment_id
    yield "student_id", "%s", order.student_id
    yield "amount_cents", "%s", order.amount_minor
    yield "status", "%s", "succeeded"
    yield "metadata", f"%s::{s.type('payments', 'metadata')}", dumps(order.metadata)
    yield "created_at", "now()", None
    optional = {
        "currency": ("%s", "INR"),
        "provider": ("%s", order.provider),
        "provider_payment_id": ("%s", f"probe_{order.payment_id}"),
        "description": ("%s", "made up by kcfix probe"),
        "confirmed_at": ("now()", None),
        "updated_at": ("now()", None),
    }
    for name, (place, value) in optional.items():
        if s.has("payments", name):
            yield name, place, value
