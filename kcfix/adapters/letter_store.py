"""Dead letters in a temporary database on disk: SQLite makes it, keeps a little of it in memory, and deletes it.

It holds ids, reasons and places, and of the events themselves nothing but ids and the tier.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

from kcfix.core.dlq.letter import DlqState, Judged, Letter, Original, Place
from kcfix.core.dlq.store import Cause, Counts, LetterStore, Waiting
from kcfix.core.payments import PaymentId
from kcfix.errors import Unreachable

T = TypeVar("T")
BATCH = 1000
CACHE_KB = 8 * 1024
"""Of the database so much is kept in memory."""
LARGEST = 2**63 - 1

_TABLES = """
CREATE TABLE original (
    id INTEGER PRIMARY KEY, topic TEXT, part INTEGER, off INTEGER, identity TEXT, letters INTEGER, first_at INTEGER,
    last_at INTEGER, cause TEXT, reason TEXT, payment TEXT, event TEXT, letter_topic TEXT, letter_part INTEGER,
    letter_off INTEGER, outline BLOB, state TEXT, why TEXT, owed INTEGER, UNIQUE (topic, part, off, identity));
CREATE TABLE waiting (topic TEXT, subject TEXT, part INTEGER, off INTEGER, PRIMARY KEY (topic, subject)) WITHOUT ROWID;
"""
_INDEXES = """
CREATE INDEX IF NOT EXISTS by_cause ON original (cause, owed, last_at);
CREATE INDEX IF NOT EXISTS by_event ON original (topic, event);
CREATE INDEX IF NOT EXISTS by_payment ON original (payment);
"""
_ADD = """
INSERT INTO original (topic, part, off, identity, letters, first_at, last_at, cause, reason, payment, event,
                      letter_topic, letter_part, letter_off, outline)
VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET letters = letters + 1, state = NULL,
    first_at = min(coalesce(first_at, excluded.first_at), coalesce(excluded.first_at, first_at)),
    last_at = max(coalesce(last_at, excluded.last_at), coalesce(excluded.last_at, last_at)),
    cause = iif(coalesce(excluded.last_at, 0) >= coalesce(last_at, 0), excluded.cause, cause),
    reason = iif(coalesce(excluded.last_at, 0) >= coalesce(last_at, 0), excluded.reason, reason),
    letter_topic = iif(coalesce(excluded.last_at, 0) >= coalesce(last_at, 0), excluded.letter_topic, letter_topic),
    letter_part = iif(coalesce(excluded.last_at, 0) >= coalesce(last_at, 0), excluded.letter_part, letter_part),
    letter_off = iif(coalesce(excluded.last_at, 0) >= coalesce(last_at, 0), excluded.letter_off, letter_off),
    outline = coalesce(outline, excluded.outline)
"""
_COLUMNS = """id, topic, part, off, letters, first_at, last_at, cause, reason, payment, event, letter_topic,
letter_part, letter_off, outline, state, why, owed"""


def open_letters() -> LetterStore:
    """A new, empty store."""
    return LettersOnDisk()


class LettersOnDisk:
    """The store of one run."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._run(f"PRAGMA cache_size = -{CACHE_KB}")
        self._run("PRAGMA journal_mode = OFF")
        self._run("PRAGMA synchronous = OFF")
        self._run("PRAGMA temp_store = FILE")
        self._database.executescript(_TABLES)
        self._indexed = False

    def add(self, letters: Iterable[Letter]) -> None:
        """See `LetterStore`."""
        self._many(_ADD, (_row(letter) for letter in letters))

    def add_waiting(self, rows: Iterable[Waiting]) -> None:
        """See `LetterStore`."""
        values = ((w.place.topic, w.subject, w.place.partition, w.place.offset) for w in rows)
        self._many("INSERT OR REPLACE INTO waiting VALUES (?, ?, ?, ?)", values)

    def waiting(self, topic: str, subjects: Collection[str]) -> Mapping[str, Place]:
        """See `LetterStore`."""
        found: dict[str, Place] = {}
        names = iter(subjects)
        while some := tuple(islice(names, 500)):
            marks = ", ".join("?" * len(some))
            query = f"SELECT subject, part, off FROM waiting WHERE topic = ? AND subject IN ({marks})"  # noqa: S608
            found |= {row[0]: Place(topic, row[1], row[2]) for row in self._run(query, topic, *some)}
        return found

    def topics(self) -> tuple[str, ...]:
        """See `LetterStore`."""
        return tuple(row[0] for row in self._run("SELECT DISTINCT topic FROM original ORDER BY topic"))

    def page(self, topic: str, after: int, limit: int) -> tuple[Original, ...]:
        """See `LetterStore`."""
        return self._originals("topic = ? AND id > ? ORDER BY id LIMIT ?", topic, after, limit)

    def judge(self, judged: Mapping[int, Judged]) -> None:
        """See `LetterStore`."""
        rows = ((j.state.value, j.why, j.owed, id) for id, j in judged.items())
        self._many("UPDATE original SET state = ?, why = ?, owed = ? WHERE id = ?", rows)

    def judge_rest(self, judged: Judged) -> int:
        """See `LetterStore`."""
        query = "UPDATE original SET state = ?, why = ?, owed = ? WHERE state IS NULL"
        return self._run(query, judged.state.value, judged.why, judged.owed).rowcount

    def causes(self, topic: str | None = None) -> tuple[Cause, ...]:
        """See `LetterStore`."""
        where, values = _where(topic=topic)
        query = f"""SELECT cause, min(topic), sum(letters), count(*), coalesce(sum(owed), 0), min(first_at),
                           max(last_at) FROM original WHERE {where} GROUP BY cause ORDER BY 5 DESC, 7 DESC, 1"""  # noqa: S608
        return tuple(self._cause(row) for row in self._run(query, *values).fetchall())

    def _cause(self, row: Any) -> Cause:
        code, topic, letters, messages, owed, first, last = row
        [example] = self._originals("cause = ? ORDER BY owed DESC, last_at DESC LIMIT 1", code)
        states = self._states("cause = ?", code)
        return Cause(code, topic, letters, messages, states, owed, _moment(first), _moment(last), example)

    def _states(self, where: str, *values: object) -> dict[DlqState, int]:
        query = f"SELECT coalesce(state, 'UNKNOWN'), count(*) FROM original WHERE {where} GROUP BY 1"  # noqa: S608
        return {DlqState(state): count for state, count in self._run(query, *values)}

    def messages(
        self,
        *,
        cause: str | None = None,
        topic: str | None = None,
        states: Collection[DlqState] | None = None,
        oldest_first: bool = False,
    ) -> Iterator[Original]:
        """See `LetterStore`."""
        where, values = _where(topic=topic, cause=cause)
        if states is not None:
            where += f" AND state IN ({', '.join('?' * len(states))})"
            values += [state.value for state in states]
        order = "coalesce(first_at, 0), id" if oldest_first else "coalesce(last_at, 0) DESC, id"
        cursor = self._run(f"SELECT {_COLUMNS} FROM original WHERE {where} ORDER BY {order}", *values)  # noqa: S608
        while rows := self._asked(lambda: cursor.fetchmany(BATCH)):
            yield from map(_original, rows)

    def about(self, payment_id: PaymentId) -> tuple[Original, ...]:
        """See `LetterStore`."""
        return self._originals("payment = ? ORDER BY coalesce(first_at, 0), id", payment_id)

    def at(self, place: Place) -> tuple[Original, ...]:
        """See `LetterStore`."""
        if place.offset > LARGEST:
            return ()
        return self._originals("topic = ? AND part = ? AND off = ? ORDER BY id", *place)

    def same_event(self, original: Original) -> tuple[Original, ...]:
        """See `LetterStore`."""
        if original.event_id is None:
            return (original,)
        where = "topic = ? AND event = ? ORDER BY coalesce(first_at, 0), id"
        return self._originals(where, original.place.topic, original.event_id)

    def owed_payments(self, topic: str | None = None, cause: str | None = None) -> Iterator[PaymentId]:
        """See `LetterStore`."""
        where, values = _where(topic=topic, cause=cause)
        query = f"SELECT DISTINCT payment FROM original WHERE {where} AND owed AND payment IS NOT NULL ORDER BY 1"  # noqa: S608
        cursor = self._run(query, *values)
        while rows := self._asked(lambda: cursor.fetchmany(BATCH)):
            yield from (PaymentId(row[0]) for row in rows)

    def counts(self, topic: str | None = None, cause: str | None = None) -> Counts:
        """See `LetterStore`."""
        where, values = _where(topic=topic, cause=cause)
        query = f"SELECT coalesce(sum(letters), 0), count(*), coalesce(sum(owed), 0) FROM original WHERE {where}"  # noqa: S608
        letters, messages, owed = self._run(query, *values).fetchone()
        return Counts(letters, messages, owed, self._states(where, *values))

    def close(self) -> None:
        """See `LetterStore`."""
        with suppress(sqlite3.Error):
            self._database.close()

    # how the database is asked

    def _originals(self, where: str, *values: object) -> tuple[Original, ...]:
        if not self._indexed:
            self._indexed = True
            self._asked(lambda: self._database.executescript(_INDEXES))
        rows = self._run(f"SELECT {_COLUMNS} FROM original WHERE {where}", *values).fetchall()  # noqa: S608
        return tuple(map(_original, rows))

    def _run(self, query: str, *values: object) -> sqlite3.Cursor:
        return self._asked(lambda: self._database.execute(query, values))

    def _many(self, query: str, rows: Iterable[tuple[object, ...]]) -> None:
        waiting = iter(rows)
        while some := tuple(islice(waiting, BATCH)):
            self._run("BEGIN")
            self._asked(lambda some=some: self._database.executemany(query, some))  # type: ignore[misc]
            self._run("COMMIT")

    def _asked(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except sqlite3.OperationalError as error:
            raise Unreachable(
                f"keeping dead letters in a temporary file: {error}",
                system="disk",
                hint="set SQLITE_TMPDIR to a folder with room",
            ) from error


def _where(**wanted: str | None) -> tuple[str, list[object]]:
    given = {name: value for name, value in wanted.items() if value is not None}
    return " AND ".join(["1", *(f"{name} = ?" for name in given)]), list(given.values())


def _row(letter: Letter) -> tuple[object, ...]:
    at = int(letter.at.timestamp() * 1000) if letter.at is not None else None
    return (
        letter.original.topic,
        letter.original.partition,
        letter.original.offset,
        letter.event_id or letter.payment_id or "",
        at,  # the first time
        at,  # and the last
        letter.cause,
        letter.reason,
        letter.payment_id,
        letter.event_id,
        *letter.letter,
        letter.outline,
    )


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)


def _original(row: Any) -> Original:
    judged = Judged(DlqState(row[15]), row[16], bool(row[17])) if row[15] is not None else None
    return Original(
        id=row[0],
        place=Place(row[1], row[2], row[3]),
        letters=row[4],
        first_at=_moment(row[5]),
        last_at=_moment(row[6]),
        cause=row[7],
        reason=row[8],
        payment_id=PaymentId(row[9]) if row[9] else None,
        event_id=row[10],
        letter=Place(row[11], row[12], row[13]),
        outline=row[14],
        judged=judged,
    )
