"""Reads all payments of a window in one snapshot, through a server-side cursor on a connection of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from kcfix.adapters.postgres_candidates import UUID, payment_parts
from kcfix.adapters.postgres_errors import statement_error, timed_out
from kcfix.adapters.postgres_link import Connection, Link, Watchdog, connect
from kcfix.adapters.postgres_schema import Schema, statement
from kcfix.core.payments import PaymentId
from kcfix.core.ports import PaidPayment, PaymentPass

ServerCursor = psycopg.ServerCursor[tuple[Any, ...]]

PASS_SECONDS = 600.0
"""For each answer of the pass: a join over all payments takes minutes on a large system, whatever `--timeout` says."""
FETCH = 5000
"""Rows that are in memory at once."""
_CANCEL_SECONDS = 2.0
_DOING = "looking at all payments"
# A cursor is planned for its first tenth of the rows unless it is told that all will be read. And the planner takes the
# window (an expression that it has no statistics of) for a handful of rows: the nested loops that it then chooses are
# quadratic on a large system, so it may not.
_BEGIN = """BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL cursor_tuple_fraction = 1.0;
SET LOCAL enable_nestloop = off;
SET LOCAL statement_timeout = {milliseconds}; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'"""


@contextlib.contextmanager
def payment_pass(
    link: Link, purchases: Schema | None, payments: Schema, since: datetime, until: datetime, *, everything: bool
) -> Iterator[PaymentPass]:
    """The pass at the database that holds the payments; `purchases` is None where those live in another one.

    Raises:
        Unreachable: a table is missing, or no answer in time; nothing was changed.
    """
    payments.need("payments")
    query = _everything(payments) if purchases is None else suspects(purchases)
    values = {"since": since, "until": until, "uuid": UUID, "everything": everything}
    connection = connect(link.address, link.timeout_seconds)
    try:
        with _asking(link, connection):
            connection.execute(_BEGIN.format(milliseconds=int(PASS_SECONDS * 900)).encode())
            totals = connection.execute(_totals(payments), values).fetchall()
        amounts = {currency or "": int(minor or 0) for currency, _, minor in totals}
        cursor = connection.cursor(name="kcfix_pass")
        with _closed_quietly(cursor):
            yield PaymentPass(sum(n for _, n, _ in totals), amounts, _rows(link, cursor, query, values))
    finally:
        with contextlib.suppress(psycopg.Error):
            connection.close()


@contextlib.contextmanager
def _closed_quietly(cursor: ServerCursor) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(psycopg.Error):
            cursor.close()


def _rows(link: Link, cursor: ServerCursor, query: sql.Composed, values: dict[str, Any]) -> Iterator[PaidPayment]:
    with _asking(link, cursor.connection):
        cursor.execute(query, values)
    while True:
        with _asking(link, cursor.connection):
            page = cursor.fetchmany(FETCH)
        yield from (PaidPayment(PaymentId(id), purchase) for id, purchase in page)
        if len(page) < FETCH:
            return


@contextlib.contextmanager
def _asking(link: Link, connection: Connection) -> Iterator[None]:
    """One answer, with its deadline. An interrupt stops the statement on the server, too."""
    watchdog = Watchdog(connection, PASS_SECONDS)
    try:
        yield
    except psycopg.Error as error:
        if watchdog.bitten:
            raise timed_out(link.address, _DOING, PASS_SECONDS) from error
        raise statement_error(error, link.address, _DOING, PASS_SECONDS) from error
    except BaseException:
        with contextlib.suppress(psycopg.Error):
            connection.cancel_safe(timeout=_CANCEL_SECONDS)
        raise
    finally:
        watchdog.stop()


def _totals(s: Schema) -> sql.Composed:
    return sql.SQL(
        "SELECT {currency}, count(*), sum({amount}) FROM {payments} AS p"
        " WHERE {p_status} = 'succeeded' AND {p_paid_at} >= %(since)s AND {p_paid_at} < %(until)s GROUP BY 1 ORDER BY 1"
    ).format(
        currency=s.text("payments", "currency", "p"),
        amount=s.column("payments", "amount_cents", "p"),
        **_of_payments(s),
    )


def _everything(s: Schema) -> sql.Composed:
    return sql.SQL(
        "SELECT lower({p_id}::text), NULL::text FROM {payments} AS p"
        " WHERE {p_status} = 'succeeded' AND {p_paid_at} >= %(since)s AND {p_paid_at} < %(until)s"
        " ORDER BY {p_paid_at}, {p_id}"
    ).format(**_of_payments(s))


def _of_payments(s: Schema) -> dict[str, sql.Composable]:
    return {name: part for name, part in payment_parts(s).items() if not name.startswith("o_")}


def suspects(s: Schema) -> sql.Composed:
    """The statement of sql/suspects.sql for this schema, its parameters left open.

    Raises:
        Unreachable: a table or column that is needed is missing.
    """
    s.need("payments", "purchases", "allocations", "sessions")
    tables = ("payments", "purchases", "allocations")
    # As they are, so that an index serves; by their text only where the columns can't be compared.
    student = s.column if len({s.type(table, "student_id") for table in tables}) == 1 else s.id

    def first(table: str, alias: str, *columns: str) -> sql.Composable:
        return sql.SQL("coalesce({})").format(sql.SQL(", ").join(s.time(table, c, alias) for c in columns))

    return sql.SQL(statement("suspects")).format(
        **payment_parts(s),
        p_student=student("payments", "student_id", "p"),
        o_student=student("payments", "student_id", "o"),
        p_tier=_plain_tier(s),
        purchases=s.table("purchases"),
        u_id=s.id("purchases", "id", "u"),
        u_student=student("purchases", "student_id", "u"),
        u_course=s.id("purchases", "course_id", "u"),
        u_created_at=first("purchases", "u", "created_at", "purchase_date"),
        u_tier=s.column("purchases", "purchase_tier", "u") + sql.SQL("::text"),
        u_active=s.column("purchases", "is_active", "u"),
        allocations=s.table("allocations"),
        a_id=s.id("allocations", "id", "a"),
        a_student=student("allocations", "student_id", "a"),
        a_course=s.id("allocations", "course_id", "a"),
        a_status=s.column("allocations", "status", "a") + sql.SQL("::text"),
        a_requested_at=first("allocations", "a", "requested_at", "created_at"),
        sessions=s.table("sessions"),
        t_allocation=s.id("sessions", "allocation_id", "t"),
    )


def _plain_tier(s: Schema) -> sql.Composable:
    """The tier that metadata states as a plain number, as text; NULL where it takes more to tell."""
    if s.type("payments", "metadata") not in ("jsonb", "json"):
        return sql.SQL("NULL::text")
    metadata = s.column("payments", "metadata", "p")
    return sql.SQL("substring(coalesce({}->>'purchaseTier', {}->>'sessionCount') FROM '^[1-9][0-9]{{0,8}}$')").format(
        metadata, metadata
    )
