"""The one transaction that changes something: purchases inserted under the worker's own locks (docs/decisions.md 3).

The payments' rows are locked FOR SHARE where this user may (that takes a right to UPDATE them, which kcfix does not ask
for otherwise), so that no refund comes between the check and the commit; without the right, or with payments in another
database, that moment remains open, as it does for the worker.

Orders that may go as planned are first tried in one statement that checks and inserts (postgres_unchanged). What it did
not take is read again and put to the caller's re-check.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field

import psycopg
from psycopg import errors

from kcfix.adapters.postgres_errors import access_denied, first_line
from kcfix.adapters.postgres_facts import Place, read_facts
from kcfix.adapters.postgres_insert_sql import (
    as_composed,
    composes,
    insert_statement,
    insert_unchanged_statement,
    lock_payments,
    own_purchases,
    text_array,
)
from kcfix.adapters.postgres_json import dumps, storable
from kcfix.adapters.postgres_link import Connection, Cursor, Link
from kcfix.adapters.postgres_locks import LOCKED_OUT, Fate, begin_locked, commit, locked_out, patience, roll_back
from kcfix.adapters.postgres_schema import Schema, statement
from kcfix.adapters.postgres_unchanged import Asked, can_tell, is_simple, parameters
from kcfix.core.payments import PaymentFacts, PaymentId
from kcfix.core.ports.database import MOST_AT_ONCE, InsertOrder, InsertResult, InsertState, Recheck
from kcfix.errors import Unreachable


@dataclass(slots=True)
class Insertion:
    """One such transaction, and what is known so far of the fate of each order."""

    link: Link
    schema: Schema
    payments_link: Link
    payments_schema: Schema
    orders: Sequence[InsertOrder]
    recheck: Recheck
    results: dict[PaymentId, InsertResult] = field(default_factory=dict)
    facts: Mapping[PaymentId, PaymentFacts] = field(default_factory=dict)

    def run(self) -> tuple[InsertResult, ...]:
        """The fate of each order, in order.

        Raises:
            Unreachable: no connection; nothing was changed.
        """
        if not self.orders:
            return ()
        with self.link.exclusive() as connection:
            try:
                self._work(connection)
            except (psycopg.Error, Unreachable) as error:
                # No COMMIT was sent: the server rolls back, whatever became of the connection.
                held = isinstance(error, errors.LockNotAvailable | errors.QueryCanceled)
                roll_back(self.link, connection)
                self._fail(self._words(error))
                if held:
                    self._name_holders()
            except BaseException:
                roll_back(self.link, connection)
                raise
            else:
                self._commit(connection)
        return tuple(self.results[order.payment_id] for order in self.orders)

    def _work(self, connection: Connection) -> None:
        with connection.cursor() as cursor:
            begin_locked(self.link, connection, cursor, (key for order in self.orders for key in order.lock_keys))
            with self.link.watched(connection, patience(self.link)):
                if self._payments_are_here and "payments" in self.schema.lockable:
                    lock_payments(Place(cursor, self.schema), [order.payment_id for order in self.orders])
                self._insert_unchanged(connection, cursor)
            left = [order for order in self.orders if order.payment_id not in self.results]
            if not left:
                return
            with self.link.watched(connection, patience(self.link)):
                self._look(cursor, left)
            wanted = self._checked(left)
            with self.link.watched(connection, patience(self.link)):
                self._insert(connection, cursor, wanted)

    @property
    def _payments_are_here(self) -> bool:
        return self.payments_link is self.link

    def _insert_unchanged(self, connection: Connection, cursor: Cursor) -> None:
        """Those whose payments stand as they were read, in one statement. If it fails, none of them has a result."""
        if not self._payments_are_here or not can_tell(self.schema):
            return
        orders = [order for order in self.orders if order.as_planned and is_simple(order.planned_on)]
        if not orders:
            return
        asked = parameters(Asked(order.planned_on, order.course_id) for order in orders)
        values = {
            **asked,
            "ids": ",".join(order.purchase_id for order in orders),
            "tiers": ",".join(str(order.tier) for order in orders),
            "expiries": [None if o.expiry_date is None else storable(o.expiry_date) for o in orders],
            "metadata": text_array(
                None if composes(self.schema) and as_composed(o) else dumps(o.metadata) for o in orders
            ),
        }
        cursor.execute("SAVEPOINT kcfix_unchanged")
        try:
            rows = cursor.execute(insert_unchanged_statement(self.schema), values).fetchall()
        except psycopg.Error:
            if connection.broken or connection.closed:
                raise
            cursor.execute("ROLLBACK TO SAVEPOINT kcfix_unchanged")
            return
        made = {row[0] for row in rows}
        for order in orders:
            if order.purchase_id in made:
                self._settle(order, InsertState.INSERTED)

    def _look(self, cursor: Cursor, orders: Sequence[InsertOrder]) -> None:
        ids = [order.payment_id for order in orders]
        courses = {order.payment_id: order.course_id.lower() for order in orders}
        here = Place(cursor, self.schema)
        with self._payments_place(here) as payments:
            self.facts = read_facts(here, payments, ids, courses)

    def _payments_place(self, here: Place) -> AbstractContextManager[Place]:
        if self._payments_are_here:
            return nullcontext(here)
        return Elsewhere(self.payments_link, self.payments_schema)

    def _checked(self, orders: Sequence[InsertOrder]) -> list[InsertOrder]:
        """The orders that are still to be done; the others have their result now."""
        wanted = []
        for order in orders:
            facts = self.facts[order.payment_id]
            if any(purchase.id == order.purchase_id for purchase in facts.purchases):
                self._settle(order, InsertState.EXISTS)
            elif (reason := self.recheck(order, facts)) is not None:
                self._settle(order, InsertState.REFUSED, reason)
            else:
                wanted.append(order)
        return wanted

    def _insert(self, connection: Connection, cursor: Cursor, wanted: list[InsertOrder]) -> None:
        """All at once; where that fails, half by half, so that a bad order does not take the others with it."""
        if not wanted:
            return
        cursor.execute("SAVEPOINT kcfix")
        try:
            self._insert_these(cursor, wanted)
        except psycopg.Error as error:
            if connection.broken or connection.closed:
                raise
            cursor.execute("ROLLBACK TO SAVEPOINT kcfix")
            if len(wanted) == 1:
                self._settle(wanted[0], InsertState.FAILED, self._words(error))
                return
            half = len(wanted) // 2
            self._insert(connection, cursor, wanted[:half])
            self._insert(connection, cursor, wanted[half:])

    def _insert_these(self, cursor: Cursor, wanted: list[InsertOrder]) -> None:
        rows = cursor.execute(
            insert_statement(self.schema),
            {
                "ids": [o.purchase_id for o in wanted],
                "students": [o.student_id for o in wanted],
                "courses": [o.course_id for o in wanted],
                "tiers": [o.tier for o in wanted],
                "expiries": [None if o.expiry_date is None else storable(o.expiry_date) for o in wanted],
                "metadata": [dumps(o.metadata) for o in wanted],
            },
        ).fetchall()
        made = {row[0] for row in rows}
        results = {}
        for order in wanted:
            if order.purchase_id in made:
                results[order.payment_id] = self._result(order, InsertState.INSERTED)
        missed = [order for order in wanted if order.purchase_id not in made]
        if missed:
            there = own_purchases(cursor, self.schema, [o.purchase_id for o in missed])
            for order in missed:
                results[order.payment_id] = self._why_not(order, there.get(order.purchase_id))
        self.results.update(results)

    def _why_not(self, order: InsertOrder, own: tuple[str, str] | None) -> InsertResult:
        if own == (order.student_id.lower(), order.course_id.lower()):
            return self._result(order, InsertState.EXISTS)
        if own is not None:
            reason = f"kcfix's own purchase of this payment is there, for another student or course ({own[1]})"
        else:
            reason = "another session made an active purchase of this student and course"
        return self._result(order, InsertState.REFUSED, reason)

    def _commit(self, connection: Connection) -> None:
        fate, reason = commit(self.link, connection, self._words)
        if fate is not Fate.MADE:
            self._undo(InsertState.UNKNOWN if fate is Fate.UNKNOWN else InsertState.FAILED, reason)

    def _undo(self, state: InsertState, reason: str) -> None:
        for order in self.orders:
            if self.results[order.payment_id].state is InsertState.INSERTED:
                self._settle(order, state, reason)

    def _fail(self, reason: str) -> None:
        """Everything that was not settled without the transaction has failed with it."""
        for order in self.orders:
            known = self.results.get(order.payment_id)
            if known is None or known.state is InsertState.INSERTED:
                self._settle(order, InsertState.FAILED, reason)

    def _name_holders(self) -> None:
        """Say who holds the lock that was waited for, where that can be seen; a guess is not worth an error."""
        keys = {order.payment_id: set(order.lock_keys) for order in self.orders}
        with suppress(Unreachable), self.link.reading("looking for the lock's holder") as cursor:
            wanted = sorted(set().union(*keys.values()))
            rows = cursor.execute(statement("lock_holders").encode(), [wanted]).fetchall()
            for order in self.orders:
                held = [(pid, name) for key, pid, name in rows if key in keys[order.payment_id]]
                if held and self.results[order.payment_id].state is InsertState.FAILED:
                    who = ", ".join(f"pid {pid} ({name or 'unnamed'})" for pid, name in held)
                    self._settle(order, InsertState.FAILED, f"lock time-out: the worker's lock is held by {who}")

    def _words(self, error: psycopg.Error | Unreachable) -> str:
        address = self.link.address
        if isinstance(error, Unreachable):
            return error.message
        words = first_line(error, address)
        match error.sqlstate:
            case code if code in LOCKED_OUT:
                return locked_out(self.link)
            case "42501":
                return access_denied(words, address, "INSERT").message
            case "25006":
                return f"database {address.label} is read-only"
            case "23503":
                return "it names a course that is not in the courses table, or another row that is missing (23503)"
            case "23514":
                return "the table does not allow these values (23514)"
            case None:
                return f"the connection to {address.label} was lost before the commit"
            case code:
                return f"{words} ({code})"

    def _settle(self, order: InsertOrder, state: InsertState, reason: str | None = None) -> None:
        self.results[order.payment_id] = self._result(order, state, reason)

    def _result(self, order: InsertOrder, state: InsertState, reason: str | None = None) -> InsertResult:
        return InsertResult(order.payment_id, state, reason, self.facts.get(order.payment_id))


class Elsewhere(AbstractContextManager[Place]):
    """A snapshot of the payments' own database, begun after the locks were granted."""

    def __init__(self, link: Link, schema: Schema) -> None:
        self._reading = link.reading("reading payments again")
        self._schema = schema

    def __enter__(self) -> Place:
        return Place(self._reading.__enter__(), self._schema)

    def __exit__(self, *of: object) -> None:
        self._reading.__exit__(*of)  # type: ignore[arg-type]


def check_orders(orders: Sequence[InsertOrder]) -> None:
    """Return if these orders may be one transaction.

    Raises:
        ValueError: more than `MOST_AT_ONCE`, or two of one student and course, which the locks would not keep apart,
            since a session may take the same advisory lock again. Nothing was asked.
    """
    pairs = {(order.student_id.lower(), order.course_id.lower()) for order in orders}
    if len(orders) > MOST_AT_ONCE or len(pairs) < len(orders):
        raise ValueError(f"at most {MOST_AT_ONCE} orders, one per student and course")
