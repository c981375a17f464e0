"""Reads all payments of a window in one snapshot, on a connection of its own, with a page of them in memory.

A window that is a small part of the payments is asked about page by page, by ids and students, so that indexes serve
and a day costs little in a table of years. A large one is one statement over the whole tables: hash joins, no look-up
for each payment. Where payments are in another database than purchases, kcfix joins page by page what both say.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

import psycopg

from kcfix.adapters.postgres_candidates import TOLERANCE
from kcfix.adapters.postgres_errors import statement_error, timed_out
from kcfix.adapters.postgres_link import Connection, Link, Watchdog, connect
from kcfix.adapters.postgres_pass_sql import fine_of_page, leads_index, page, paid, sole_of_page, totals, whole
from kcfix.adapters.postgres_schema import Schema
from kcfix.core.payments import PaymentId
from kcfix.core.ports.database import PaidPayment, PaymentPass
from kcfix.errors import Unreachable

PASS_SECONDS = 1800.0
"""For each answer of the pass: the first page comes once all tables were read and joined, whatever `--timeout`.

Measured: about six minutes for 9.5 million payments, on two cores that had much else to do.
"""
TAKEN_SECONDS = 4 * PASS_SECONDS
"""For one statement whose rows are taken as they come: between two pages the server waits for kcfix."""
PAGE = 5000
"""Payments that are in memory at once."""
PAGES_COST = 3
"""A payment that is looked up costs about as much as so many that are read where all are."""
_CANCEL_SECONDS = 2.0
_DOING = "looking at all payments"
# A cursor is planned for its first tenth of the rows unless it is told that all will be read. The planner takes a
# window for a handful of rows, and nested loops over that guess are quadratic. Sorts and hashes go to disk beyond the
# memory that they may have, and the default (4 MB) makes that hundreds of files.
BEGIN = """BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL cursor_tuple_fraction = 1.0;
SET LOCAL enable_nestloop = off; SET LOCAL jit = off; SET LOCAL work_mem = '64MB';
SET LOCAL lock_timeout = {lock};
SET LOCAL statement_timeout = {milliseconds}; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'"""

Page = list[tuple[str, str]]
"""Payment and student."""
Settled = Callable[[Page], Mapping[str, str]]
"""Asks for the purchase of each payment of a page that is surely settled."""


class Way(enum.Enum):
    """How a window is read where all tables are in one database."""

    WHOLE = enum.auto()
    PAGES = enum.auto()


@contextlib.contextmanager
def payment_pass(
    link: Link,
    payments: Schema,
    purchases: tuple[Link, Schema],
    since: datetime,
    until: datetime,
    *,
    everything: bool,
    way: Way | None = None,
) -> Iterator[PaymentPass]:
    """The pass at the database that holds the payments; `purchases` may be there, too, or in another one.

    Raises:
        Unreachable: a table is missing, or no answer in time; nothing was changed.
    """
    payments.need("payments")
    purchases[1].need("purchases", "allocations", "sessions")
    window = {"since": since, "until": until}
    connection = connect(link.address, link.timeout_seconds)
    try:
        with _asking(link, connection):
            connection.execute(BEGIN.format(milliseconds=int(PASS_SECONDS * 900), lock=_lock_wait(link)).encode())
        counted = [row for rows in _streamed(link, connection, totals(payments), window) for row in rows]
        count, all_count = sum(row[1] for row in counted), sum(row[3] for row in counted)
        amounts = {currency or "": int(minor or 0) for currency, n, minor, _ in counted if n}
        if purchases[0] is not link:
            rows = _in_pages(link, connection, payments, window, _apart(connection, payments, purchases), everything)
        elif (way or _way(link, connection, payments, count, all_count)) is Way.WHOLE:
            rows = _in_one(link, connection, payments, window, everything)
        else:
            rows = _in_pages(link, connection, payments, window, _here(connection, payments), everything)
        yield PaymentPass(count, amounts, rows)
    finally:
        with contextlib.suppress(psycopg.Error):
            connection.close()


def _lock_wait(link: Link) -> int:
    """Milliseconds of waiting for a table that another session holds: the work may take long, a lock is no work."""
    return max(1, int(link.timeout_seconds * 1000))


def _way(link: Link, connection: Connection, s: Schema, count: int, all_count: int) -> Way:
    if count <= PAGE:
        return Way.PAGES
    with _asking(link, connection), connection.cursor() as cursor:
        # Without an index each page would read a whole table.
        pages = count * PAGES_COST < all_count and leads_index(cursor, s, (*_BY_STUDENT, _BY_ALLOCATION))
    return Way.PAGES if pages else Way.WHOLE


_BY_STUDENT = (("payments", "student_id"), ("purchases", "student_id"), ("allocations", "student_id"))
_BY_ALLOCATION = ("sessions", "allocation_id")


def _in_one(
    link: Link, connection: Connection, s: Schema, window: Mapping[str, datetime], everything: bool
) -> Iterator[PaidPayment]:
    with _asking(link, connection):
        connection.execute(f"SET LOCAL statement_timeout = {int(TAKEN_SECONDS * 1000)}".encode())
    for rows in _streamed(link, connection, whole(s, everything=everything), window):
        for id, purchase in rows:
            yield PaidPayment(PaymentId(id), purchase)


def _in_pages(
    link: Link,
    connection: Connection,
    s: Schema,
    window: Mapping[str, datetime],
    settled: Settled,
    everything: bool,
) -> Iterator[PaidPayment]:
    for rows in _fetched(link, connection, paid(s), window):
        with _asking(link, connection):
            purchases = settled(rows)
        for id, _ in rows:
            purchase = purchases.get(id)
            if everything or purchase is None:
                yield PaidPayment(PaymentId(id), purchase)


def _streamed(
    link: Link, connection: Connection, query: psycopg.sql.Composed, window: Mapping[str, datetime]
) -> Iterator[list[tuple[Any, ...]]]:
    """All rows of a statement as they come, which PostgreSQL may work at in parallel: a cursor it never does.

    In parallel it shares its hashes in /dev/shm, of which a container has 64 MB unless told otherwise. Without room
    there the statement fails before its first row, since all is hashed before it is sorted; it is then put once more in
    the same snapshot, for one process alone.
    """
    with _asking(link, connection):
        connection.execute("SAVEPOINT whole")
    begun = False
    try:
        for rows in _stream(link, connection, query, window):
            begun = True
            yield rows
    except Unreachable as error:
        if begun or not isinstance(error.__cause__, psycopg.errors.DiskFull):
            raise
    else:
        return
    with _asking(link, connection):
        connection.execute("ROLLBACK TO SAVEPOINT whole; SET LOCAL max_parallel_workers_per_gather = 0")
    yield from _stream(link, connection, query, window)


def _stream(
    link: Link, connection: Connection, query: psycopg.sql.Composed, window: Mapping[str, datetime]
) -> Iterator[list[tuple[Any, ...]]]:
    size = PAGE if psycopg.capabilities.has_stream_chunked() else 1
    with connection.cursor() as cursor:
        stream = cursor.stream(query, window, size=size)
        while True:
            with _asking(link, connection):
                rows = list(islice(stream, PAGE))
            if not rows:
                return
            yield rows


def _fetched(
    link: Link, connection: Connection, query: psycopg.sql.Composed, window: Mapping[str, datetime]
) -> Iterator[list[tuple[Any, ...]]]:
    declare = psycopg.sql.SQL("DECLARE kcfix_pass NO SCROLL CURSOR FOR ") + query
    with _asking(link, connection):
        connection.execute(declare, window)
    fetch = f"FETCH FORWARD {PAGE} FROM kcfix_pass".encode()
    while True:
        with _asking(link, connection):
            rows = connection.execute(fetch).fetchall()
        if rows:
            yield rows
        if len(rows) < PAGE:
            return


def _here(connection: Connection, s: Schema) -> Settled:
    with connection.cursor() as cursor:
        query = page(s, sessions_indexed=leads_index(cursor, s, [_BY_ALLOCATION]))
    return lambda rows: dict(connection.execute(query, _page_values(s, rows)).fetchall())


def _apart(connection: Connection, payments: Schema, purchases: tuple[Link, Schema]) -> Settled:
    link, s = purchases
    with link.reading(_DOING) as cursor:
        fine = fine_of_page(s, sessions_indexed=leads_index(cursor, s, [_BY_ALLOCATION]))
    sole = sole_of_page(payments)

    def settled(rows: Page) -> Mapping[str, str]:
        candidates = connection.execute(sole, _page_values(payments, rows)).fetchall()
        students = s.these("purchases", "student_id", {student for _, student, *_ in candidates})
        with link.reading(_DOING) as cursor:
            # As in the pass itself: no nested loops over wrong guesses.
            cursor.execute("SET LOCAL enable_nestloop = off")
            found = cursor.execute(fine, {"students": students}).fetchall()
        bought = {(student, course, tier): (made, id) for student, course, tier, made, id in found}
        settled = {}
        for id, student, course, tier, paid_at in candidates:
            made, purchase = bought.get((student, course, tier), (None, None))
            if made is not None and made >= paid_at - TOLERANCE:
                settled[id] = purchase
        return settled

    return settled


def _page_values(s: Schema, rows: Page) -> dict[str, list[str]]:
    return {
        "ids": s.these("payments", "id", (id for id, _ in rows)),
        "students": s.these("payments", "student_id", (student for _, student in rows)),
    }


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
