"""Holds the worker's advisory locks while something is said about purchases that must not change meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql

from kcfix.adapters.postgres_errors import statement_error
from kcfix.adapters.postgres_link import Connection, Cursor, Link
from kcfix.adapters.postgres_locks import LOCKED_OUT, begin_locked, locked_out, patience, roll_back
from kcfix.adapters.postgres_schema import Schema
from kcfix.core.ports.database import HeldPurchase, Hold
from kcfix.errors import Unreachable


@contextmanager
def hold(link: Link, schema: Schema, purchases: Sequence[HeldPurchase]) -> Iterator[Hold]:
    """See `DatabasePort.holding`."""
    with link.exclusive() as connection:
        try:
            there = _lock_and_look(link, schema, connection, purchases)
        except psycopg.Error as error:
            roll_back(link, connection)
            if error.sqlstate in LOCKED_OUT:
                raise Unreachable(locked_out(link), system="database") from error
            raise statement_error(error, link.address, "taking the worker's locks", link.timeout_seconds) from error
        except BaseException:
            roll_back(link, connection)
            raise
        try:
            yield Hold(there, lambda: _check(link, connection))
        finally:
            roll_back(link, connection)


def _check(link: Link, connection: Connection) -> None:
    try:
        with link.watched(connection, link.timeout_seconds):
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        raise statement_error(error, link.address, "holding the worker's locks", link.timeout_seconds) from error


def _lock_and_look(
    link: Link, schema: Schema, connection: Connection, purchases: Sequence[HeldPurchase]
) -> frozenset[str]:
    with connection.cursor() as cursor:
        keys = (key for purchase in purchases for key in purchase.lock_keys)
        begin_locked(link, connection, cursor, keys, read_only=True)
        with link.watched(connection, patience(link)):
            return _active(cursor, schema, [purchase.purchase_id for purchase in purchases])


def _active(cursor: Cursor, s: Schema, ids: Sequence[str]) -> frozenset[str]:
    query = sql.SQL("SELECT {} FROM {} AS u WHERE {} AND {}").format(
        s.id("purchases", "id", "u"),
        s.table("purchases"),
        s.is_any("purchases", "id", "u"),
        s.column("purchases", "is_active", "u"),
    )
    return frozenset(row[0] for row in cursor.execute(query, [s.these("purchases", "id", ids)]))
