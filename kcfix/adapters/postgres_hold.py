"""Holds the worker's advisory locks while something is said about purchases that must not change meanwhile.

It writes nothing, so its transaction is read-only; READ COMMITTED, because the purchases are read in a statement that
begins after the locks were granted and has to see what was committed until then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import psycopg
from psycopg import sql

from kcfix.adapters.postgres_errors import statement_error
from kcfix.adapters.postgres_link import Connection, Cursor, Link
from kcfix.adapters.postgres_schema import Schema
from kcfix.core.ports import HeldPurchase
from kcfix.errors import Unreachable

_BEGIN = """BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;
SET LOCAL lock_timeout = {lock}; SET LOCAL statement_timeout = {statement}"""
_DOING = "taking the worker's locks"


@contextmanager
def hold(link: Link, schema: Schema, purchases: Sequence[HeldPurchase]) -> Iterator[frozenset[str]]:
    """See `DatabasePort.holding`."""
    with link.exclusive() as connection:
        try:
            there = _lock_and_look(link, schema, connection, purchases)
        except psycopg.Error as error:
            _end(link, connection)
            if error.sqlstate in ("55P03", "57014"):
                seconds = link.timeout_seconds
                raise Unreachable(
                    f"lock time-out: another session held the worker's lock for more than {seconds:g} s",
                    system="database",
                ) from error
            raise statement_error(error, link.address, _DOING, link.timeout_seconds) from error
        except BaseException:
            _end(link, connection)
            raise
        try:
            yield there
        finally:
            _end(link, connection)


def _lock_and_look(
    link: Link, schema: Schema, connection: Connection, purchases: Sequence[HeldPurchase]
) -> frozenset[str]:
    seconds = link.timeout_seconds
    keys = sorted({key for purchase in purchases for key in purchase.lock_keys})
    with connection.cursor() as cursor:
        with link.watched(connection, 2 * seconds + 1):
            cursor.execute(_BEGIN.format(lock=max(1, int(seconds * 1000)), statement=int(seconds * 2000)).encode())
            # In the array's order, one after the other, as all who take more than one of these locks must.
            cursor.execute("SELECT pg_advisory_xact_lock(key) FROM unnest(%s::bigint[]) AS locks (key)", [keys])
        with link.watched(connection, 2 * seconds + 1):
            return _active(cursor, schema, [purchase.purchase_id for purchase in purchases])


def _active(cursor: Cursor, s: Schema, ids: Sequence[str]) -> frozenset[str]:
    query = sql.SQL("SELECT {} FROM {} AS u WHERE {} AND {}").format(
        s.id("purchases", "id", "u"),
        s.table("purchases"),
        s.is_any("purchases", "id", "u"),
        s.column("purchases", "is_active", "u"),
    )
    return frozenset(row[0] for row in cursor.execute(query, [s.these("purchases", "id", ids)]))


def _end(link: Link, connection: Connection) -> None:
    """Give the locks back: the server does it as well once the connection is gone."""
    with suppress(psycopg.Error):
        with link.watched(connection, link.timeout_seconds):
            connection.execute("ROLLBACK")
        return
    link.drop()
