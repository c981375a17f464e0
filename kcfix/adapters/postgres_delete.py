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
from kcfix.adapters.postgres_insert import MOST, Elsewhere
from kcfix.adapters.postgres_insert_sql import own_purchases
from kcfix.adapters.postgres_link import Connection, Cursor, Link
from kcfix.adapters.postgres_schema import Schema
from kcfix.core.payments import PaymentId
from kcfix.core.ports import DeleteOrder, DeleteRecheck, DeleteResult, DeleteState
from kcfix.errors import Unreachable

_BEGIN = """BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO';
SET LOCAL lock_timeout = {lock}; SET LOCAL statement_timeout = {statement}"""
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
                self._roll_back(connection)
                reason = error.message if isinstance(error, Unreachable) else self._words(error)
                for order in self.orders:
                    self._settle(order, DeleteState.FAILED, reason)
            except BaseException:
                self._roll_back(connection)
                raise
            else:
                self._commit(connection)
        return tuple(self.results[order.payment_id] for order in self.orders)

    def _work(self, connection: Connection) -> None:
        seconds = self.link.timeout_seconds
        ids = [order.payment_id for order in self.orders]
        courses = {order.payment_id: order.purchase.course_id for order in self.orders}
        keys = sorted({key for order in self.orders for key in order.lock_keys})
        with connection.cursor() as cursor:
            with self.link.watched(connection, 2 * seconds + 1):
                cursor.execute(_BEGIN.format(lock=max(1, int(seconds * 1000)), statement=int(seconds * 2000)).encode())
                # In the array's order, one after the other, as all who take more than one of these locks must.
                cursor.execute("SELECT pg_advisory_xact_lock(key) FROM unnest(%s::bigint[]) AS locks (key)", [keys])
            with self.link.watched(connection, 2 * seconds + 1):
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
                with self.link.watched(connection, 2 * seconds + 1):
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
        try:
            with self.link.watched(connection, self.link.timeout_seconds):
                done = connection.execute("COMMIT").statusmessage
        except psycopg.Error as error:
            if connection.broken or connection.closed:
                self._undo(DeleteState.UNKNOWN, "the commit was sent and not answered: it may have been made")
            else:
                self._undo(DeleteState.FAILED, self._words(error))
            self._roll_back(connection)
        except BaseException:
            self.link.drop()
            raise
        else:
            if done != "COMMIT":
                self._undo(DeleteState.FAILED, f"the server answered {done} to the commit")

    def _undo(self, state: DeleteState, reason: str) -> None:
        for order in self.orders:
            if self.results[order.payment_id].state is DeleteState.DELETED:
                self._settle(order, state, reason)

    def _words(self, error: psycopg.Error) -> str:
        address = self.link.address
        words = first_line(error, address)
        match error.sqlstate:
            case "55P03" | "57014":
                return f"lock time-out: another session held a lock for more than {self.link.timeout_seconds:g} s"
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

    def _roll_back(self, connection: Connection) -> None:
        try:
            with self.link.watched(connection, self.link.timeout_seconds):
                connection.execute("ROLLBACK")
        except psycopg.Error:
            self.link.drop()

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
