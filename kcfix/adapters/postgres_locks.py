"""A transaction under the purchase-worker's own advisory locks: how it begins, and how it ends (docs/decisions.md 3).

The locks keep out the purchase-worker and other runs of kcfix. They are taken in a statement of their own, because a
statement sees what was committed before it began: one that locks and reads at once would read the time before the lock
was granted. READ COMMITTED, so that each later statement sees what was committed until then.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable

import psycopg

from kcfix.adapters.postgres_link import Connection, Cursor, Link
from kcfix.core.ports.database import MOST_AT_ONCE

LOCKED_OUT = ("55P03", "57014")
"""SQLSTATEs of a lock that was not granted in time."""
# Not READ WRITE: where the database or the role is read-only by default, somebody wants no writes.
_BEGIN = """BEGIN ISOLATION LEVEL READ COMMITTED{mode};
SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO';
SET LOCAL lock_timeout = {lock}; SET LOCAL statement_timeout = {statement}"""


class Fate(enum.Enum):
    """What is known of a commit that was sent."""

    MADE = enum.auto()
    NOT_MADE = enum.auto()
    UNKNOWN = enum.auto()
    """No answer: it may have been made."""


_LOCK = """SELECT count(pg_advisory_xact_lock(key))
FROM unnest(string_to_array(nullif(%s, ''), ',')::bigint[]) AS locks (key)"""
_ROOM = b"""SELECT current_setting('max_locks_per_transaction')::bigint
    * (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint) / 6"""


def room(cursor: Cursor) -> int:
    """See `DatabasePort.room`."""
    [(sixth,)] = cursor.execute(_ROOM).fetchall()
    return max(1, min(MOST_AT_ONCE, int(sixth)))


def patience(link: Link) -> float:
    """Seconds that one statement of such a transaction may take: the wait for a lock, and the answer."""
    return 2 * link.timeout_seconds + 1


def begin_locked(
    link: Link, connection: Connection, cursor: Cursor, keys: Iterable[int], *, read_only: bool = False
) -> None:
    """Begin, and take the locks in sorted order, one after the other, as all who take more than one of them must.

    Raises:
        psycopg.Error: one was not granted in time (`LOCKED_OUT`), or no answer.
    """
    seconds = link.timeout_seconds
    mode = " READ ONLY" if read_only else ""
    begin = _BEGIN.format(mode=mode, lock=max(1, int(seconds * 1000)), statement=int(seconds * 2000))
    with link.watched(connection, patience(link)):
        cursor.execute(begin.encode())
        # As one text, and counted: a thousand values and a thousand empty rows cost more than the locks.
        cursor.execute(_LOCK, [",".join(map(str, sorted(set(keys))))])


def locked_out(link: Link) -> str:
    """The words for a lock that was not granted in time."""
    return f"lock time-out: another session held a lock for more than {link.timeout_seconds:g} s"


def commit(link: Link, connection: Connection, words: Callable[[psycopg.Error], str]) -> tuple[Fate, str]:
    """Commit, and what is known of it; the text says why it was not made, in `words` where the server gave an error."""
    try:
        with link.watched(connection, link.timeout_seconds):
            done = connection.execute("COMMIT").statusmessage
    except psycopg.Error as error:
        lost = connection.broken or connection.closed
        roll_back(link, connection)
        if lost:
            return Fate.UNKNOWN, "the commit was sent and not answered: it may have been made"
        return Fate.NOT_MADE, words(error)
    except BaseException:
        link.drop()
        raise
    return (Fate.MADE, "") if done == "COMMIT" else (Fate.NOT_MADE, f"the server answered {done} to the commit")


def roll_back(link: Link, connection: Connection) -> None:
    """Undo what was done and give the locks back; the server does both as well once the connection is gone."""
    try:
        with link.watched(connection, link.timeout_seconds):
            connection.execute("ROLLBACK")
    except psycopg.Error:
        link.drop()
