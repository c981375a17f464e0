"""Reads all payments of a window in one snapshot, through a server-side cursor on a connection of its own.

The cursor gives the payments page by page, oldest first; which of a page are surely settled is asked on the same
connection, in the same snapshot, before the next page. So the server does nothing large but one scan and one sort, and
kcfix holds one page.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
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

PASS_SECONDS = 600.0
"""For each answer of the pass: the first page comes once all payments were scanned and sorted, whatever `--timeout`."""
PAGE = 5000
"""Payments that are in memory at once."""
_CANCEL_SECONDS = 2.0
_DOING = "looking at all payments"
# A cursor is planned for its first tenth of the rows unless it is told that all will be read. Why no nested loops:
# sql/settled.sql.
_BEGIN = """BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL cursor_tuple_fraction = 1.0;
SET LOCAL enable_nestloop = off; SET LOCAL lock_timeout = {lock};
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
    settled = None if purchases is None else settled_query(purchases)
    values = {"since": since, "until": until}
    connection = connect(link.address, link.timeout_seconds)
    try:
        with _asking(link, connection):
            connection.execute(_BEGIN.format(milliseconds=int(PASS_SECONDS * 900), lock=_lock_wait(link)).encode())
            totals = connection.execute(_totals(payments), values).fetchall()
        amounts = {currency or "": int(minor or 0) for currency, _, minor in totals}
        declare = sql.SQL("DECLARE kcfix_pass NO SCROLL CURSOR FOR ") + _paid(payments)
        with _asking(link, connection):
            connection.execute(declare, values)
        rows = _rows(link, connection, payments, settled, everything=everything)
        yield PaymentPass(sum(n for _, n, _ in totals), amounts, rows)
    finally:
        with contextlib.suppress(psycopg.Error):
            connection.close()


def _lock_wait(link: Link) -> int:
    """Milliseconds of waiting for a table that another session holds: the work may take long, a lock is no work."""
    return max(1, int(link.timeout_seconds * 1000))


def _rows(
    link: Link, connection: Connection, payments: Schema, settled: sql.Composed | None, *, everything: bool
) -> Iterator[PaidPayment]:
    fetch = f"FETCH FORWARD {PAGE} FROM kcfix_pass".encode()
    while True:
        with _asking(link, connection):
            page = connection.execute(fetch).fetchall()
            purchases = _settled(connection, settled, payments, page) if page else {}
        for id, _ in page:
            purchase = purchases.get(id)
            if everything or purchase is None:
                yield PaidPayment(PaymentId(id), purchase)
        if len(page) < PAGE:
            return


def _settled(
    connection: Connection, query: sql.Composed | None, payments: Schema, page: list[tuple[Any, ...]]
) -> Mapping[str, str]:
    """The purchase of each payment that is surely settled; of none where the purchases are in another database."""
    if query is None:
        return {}
    values = {
        "ids": payments.these("payments", "id", (id for id, _ in page)),
        "students": payments.these("payments", "student_id", (student for _, student in page)),
        "uuid": UUID,
    }
    rows: list[tuple[Any, ...]] = connection.execute(query, values).fetchall()
    return dict(rows)


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


def _paid(s: Schema) -> sql.Composed:
    return sql.SQL(
        "SELECT lower({p_id}::text), {p_student} FROM {payments} AS p"
        " WHERE {p_status} = 'succeeded' AND {p_paid_at} >= %(since)s AND {p_paid_at} < %(until)s"
        " ORDER BY {p_paid_at}, {p_id}"
    ).format(p_student=s.id("payments", "student_id", "p"), **_of_payments(s))


def _of_payments(s: Schema) -> dict[str, sql.Composable]:
    return {name: part for name, part in payment_parts(s).items() if not name.startswith("o_")}


def settled_query(s: Schema) -> sql.Composed:
    """The statement of sql/settled.sql for this schema, its parameters left open.

    Raises:
        Unreachable: a table or column that is needed is missing.
    """
    s.need("payments", "purchases", "allocations", "sessions")
    tables = ("payments", "purchases", "allocations")
    # As they are, so that an index serves; by their text only where the columns can't be compared.
    student = s.column if len({s.type(table, "student_id") for table in tables}) == 1 else s.id

    # The same for the sessions: by far the largest table, which must not be read through.
    linked = s.column if s.type("sessions", "allocation_id") == s.type("allocations", "id") else s.id

    def first(table: str, alias: str, *columns: str) -> sql.Composable:
        return sql.SQL("coalesce({})").format(sql.SQL(", ").join(s.time(table, c, alias) for c in columns))

    return sql.SQL(statement("settled")).format(
        **payment_parts(s),
        p_student=student("payments", "student_id", "p"),
        o_student=student("payments", "student_id", "o"),
        p_tier=_plain_tier(s),
        p_these=_is_any(s, "payments", "id", "p", "ids"),
        o_these=_is_any(s, "payments", "student_id", "o", "students"),
        u_these=_is_any(s, "purchases", "student_id", "u", "students"),
        a_these=_is_any(s, "allocations", "student_id", "a", "students"),
        purchases=s.table("purchases"),
        u_id=s.id("purchases", "id", "u"),
        u_student=student("purchases", "student_id", "u"),
        u_course=s.id("purchases", "course_id", "u"),
        u_created_at=first("purchases", "u", "created_at", "purchase_date"),
        u_tier=s.column("purchases", "purchase_tier", "u") + sql.SQL("::text"),
        u_active=s.column("purchases", "is_active", "u"),
        allocations=s.table("allocations"),
        a_id=linked("allocations", "id", "a"),
        a_student=student("allocations", "student_id", "a"),
        a_course=s.id("allocations", "course_id", "a"),
        a_status=s.column("allocations", "status", "a") + sql.SQL("::text"),
        a_requested_at=first("allocations", "a", "requested_at", "created_at"),
        sessions=s.table("sessions"),
        t_allocation=linked("sessions", "allocation_id", "t"),
    )


def _plain_tier(s: Schema) -> sql.Composable:
    """The tier that metadata states as a plain number, as text; NULL where it takes more to tell."""
    if s.type("payments", "metadata") not in ("jsonb", "json"):
        return sql.SQL("NULL::text")
    metadata = s.column("payments", "metadata", "p")
    return sql.SQL("substring(coalesce({}->>'purchaseTier', {}->>'sessionCount') FROM '^[1-9][0-9]{{0,8}}$')").format(
        metadata, metadata
    )


def _is_any(s: Schema, table: str, column: str, alias: str, values: str) -> sql.Composable:
    """Whether a column is one of the values (a parameter's name), by its own type, so that its index serves."""
    uuid = s.type(table, column) == "uuid"
    at = s.column(table, column, alias) if uuid else s.id(table, column, alias)
    return sql.SQL("{} = ANY (%({})s::{})").format(at, sql.SQL(values), sql.SQL("uuid[]" if uuid else "text[]"))
