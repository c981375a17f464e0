"""Deletes purchases that kcfix inserted, under the worker's own locks, each only if it is still as it was left.

The order is that of postgres_insert: locks, facts in later statements, the caller's re-check, then the change.
An announcement is sent only while the same lock is held and the purchase was seen under it, so the two can't cross.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from kcfix.adapters.postgres_errors import access_denied, first_line
from kcfix.adapters.postgres_facts import Place, read_facts
from kcfix.adapters.postgres_insert import Elsewhere
from kcfix.adapters.postgres_insert_sql import own_purchases
from kcfix.adapters.postgres_link import Connection, Cursor, Link
from kcfix.adapters.postgres_locks import LOCKED_OUT, Fate, begin_locked, commit, locked_out, patience, roll_back
from kcfix.adapters.postgres_schema import Schema
from kcfix.core.payments import PaymentId
from kcfix.core.ports.database import DeleteOrder, DeleteRecheck, DeleteResult, DeleteState
from kcfix.errors import Unreachable

MOST = 200
"""Orders in one transaction: each holds a lock until the commit."""
_CHANGED = "the purchase is no longer as it was"


@dataclass(slots=True)
class Deletion:
    """One such transaction, and what is known so far of the fate of each order."""

    link: Link
    schema: Schema
    payments_link: Link
    payments_schema: Schema
    orders: Sequence[DeleteOrder]
    recheck: DeleteRecheck
    results: dict[PaymentId, DeleteResult] = field(default_factory=dict)

    def run(self) -> tuple[DeleteResult, ...]:
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
                roll_back(self.link, connection)
                reason = error.message if isinstance(error, Unreachable) else self._words(error)
                for order in self.orders:
                    self._settle(order, DeleteState.FAILED, reason)
            except BaseException:
                roll_back(self.link, connection)
                raise
            else:
                self._commit(connection)
        return tuple(self.results[order.payment_id] for order in self.orders)

    def _work(self, connection: Connection) -> None:
        ids = [order.payment_id for order in self.orders]
        courses = {order.payment_id: order.purchase.course_id for order in self.orders}
        with connection.cursor() as cursor:
            begin_locked(self.link, connection, cursor, (key for order in self.orders for key in order.lock_keys))
            with self.link.watched(connection, patience(self.link)):
                here = Place(cursor, self.schema)
                with self._payments_place(here) as payments:
                    facts = read_facts(here, payments, ids, courses)
                there = own_purchases(cursor, self.schema, [order.purchase.id for order in self.orders])
            wanted = []
            for order in self.orders:
                if order.purchase.id not in there:
                    self._settle(order, DeleteState.GONE)
                elif order.purchase not in facts[order.payment_id].purchases:
                    self._settle(order, DeleteState.REFUSED, _CHANGED)
                elif (reason := self.recheck(order, facts[order.payment_id])) is not None:
                    self._settle(order, DeleteState.REFUSED, reason)
                else:
                    wanted.append(order)
            for order in wanted:
                with self.link.watched(connection, patience(self.link)):
                    self._delete(connection, cursor, order)

    def _payments_place(self, here: Place) -> AbstractContextManager[Place]:
        if self.payments_link is self.link:
            return nullcontext(here)
        return Elsewhere(self.payments_link, self.payments_schema)

    def _delete(self, connection: Connection, cursor: Cursor, order: DeleteOrder) -> None:
        cursor.execute("SAVEPOINT kcfix")
        try:
            cursor.execute(self._statement(), self._values(order))
        except psycopg.Error as error:
            if connection.broken or connection.closed:
                raise
            cursor.execute("ROLLBACK TO SAVEPOINT kcfix")
            self._settle(order, DeleteState.FAILED, self._words(error))
            return
        if cursor.rowcount == 1:
            self._settle(order, DeleteState.DELETED)
        else:
            self._settle(order, DeleteState.REFUSED, _CHANGED)

    def _statement(self) -> sql.Composed:
        s = self.schema
        untouched: sql.Composable = sql.SQL("true")
        if s.has("purchases", "updated_at"):
            untouched = sql.SQL("{} = {}").format(
                s.column("purchases", "updated_at", "u"), s.column("purchases", "created_at", "u")
            )
        return sql.SQL(
            "DELETE FROM {} AS u WHERE {} AND {} AND {} = %s AND {}::jsonb IS NOT DISTINCT FROM %s::jsonb AND {}"
        ).format(
            s.table("purchases"),
            s.is_any("purchases", "id", "u"),
            s.column("purchases", "is_active", "u"),
            s.column("purchases", "purchase_tier", "u"),
            s.column("purchases", "metadata", "u"),
            untouched,
        )

    def _values(self, order: DeleteOrder) -> list[object]:
        purchase = order.purchase
        metadata = None if purchase.metadata is None else json.dumps(purchase.metadata)
        return [self.schema.these("purchases", "id", [purchase.id]), purchase.tier, metadata]

    def _commit(self, connection: Connection) -> None:
        fate, reason = commit(self.link, connection, self._words)
        if fate is not Fate.MADE:
            self._undo(DeleteState.UNKNOWN if fate is Fate.UNKNOWN else DeleteState.FAILED, reason)

    def _undo(self, state: DeleteState, reason: str) -> None:
        for order in self.orders:
            if self.results[order.payment_id].state is DeleteState.DELETED:
                self._settle(order, state, reason)

    def _words(self, error: psycopg.Error) -> str:
        address = self.link.address
        words = first_line(error, address)
        match error.sqlstate:
            case code if code in LOCKED_OUT:
                return locked_out(self.link)
            case "42501":
                denied = access_denied(words, address, "DELETE")
                return f"{denied.message}: {denied.hint}" if denied.hint else denied.message
            case "25006":
                return f"database {address.label} is read-only"
            case "23503":
                return "another table refers to this purchase, so it stays (23503)"
            case None:
                return f"the connection to {address.label} was lost before the commit"
            case code:
                return f"{words} ({code})"

    def _settle(self, order: DeleteOrder, state: DeleteState, reason: str | None = None) -> None:
        self.results[order.payment_id] = DeleteResult(order.payment_id, state, reason)


def check_deletions(orders: Sequence[DeleteOrder]) -> None:
    """Return if these orders may be one transaction.

    Raises:
        ValueError: more than 200, or two of one student and course. Nothing was asked.
    """
    pairs = {(order.purchase.student_id, order.purchase.course_id) for order in orders}
    if len(orders) > MOST or len(pairs) < len(orders):
        raise ValueError(f"at most {MOST} orders, one per student and course")
