"""A `DatabasePort` in memory, held to the real adapter's behaviour by tests/contract/test_database.py.

Its rows and their builders are those of `Rows`, so that a test names only what it is about:

    database = FakeDatabase()
    paid = database.payment(1, tier=20)
    bought = database.purchase(paid)
    database.allocation(bought, sessions=20)
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from kcfix.core.events import own_purchase_id
from kcfix.core.judging.aftermath import Aftermath, Made
from kcfix.core.payments import Allocation, Payment, PaymentFacts, PaymentId, Purchase
from kcfix.core.ports.database import (
    MOST_AT_ONCE,
    Behind,
    DatabaseIdentity,
    DeleteOrder,
    DeleteRecheck,
    DeleteResult,
    DeleteState,
    HeldPurchase,
    Hold,
    IndexState,
    InsertOrder,
    InsertResult,
    InsertState,
    PaidPayment,
    PaymentPass,
    ProbeOrder,
    ProbesSeen,
    Recheck,
    SchemaFacts,
    StudentCourse,
)
from kcfix.core.ports.health import DatabaseHealth, RoleFacts, StuckPayments
from kcfix.core.probe import is_probe
from kcfix.errors import KcfixError, Unreachable
from tests.fakes_database_rows import (
    ALL_TABLES,
    EVENT_SHAPES,
    NOW,
    AllocationRow,
    Rows,
    allocation_id,
    course_id,
    event_id,
    payment_id,
    purchase_id,
    student_id,
)

__all__ = [
    "ALL_TABLES",
    "EVENT_SHAPES",
    "NOW",
    "AllocationRow",
    "FakeDatabase",
    "allocation_id",
    "course_id",
    "event_id",
    "payment_id",
    "purchase_id",
    "student_id",
]

TOLERANCE = timedelta(seconds=5)


@dataclass
class FakeDatabase(Rows):
    """The port over these rows, with ways to make it fail."""

    down: KcfixError | None = None
    """Raised by every call."""
    held_locks: set[int] = field(default_factory=set)
    """Advisory locks that another session holds: an insert that needs one times out."""
    locks: int = MOST_AT_ONCE
    """How many a transaction may take."""
    lost_commit: str | None = None
    """`made` or `not made`: the answer to the next commits is lost, with the rows there or not."""
    standby: bool = False
    lag_of_standby: Behind | None = None
    lost_hold: bool = False
    """The session that holds the locks was ended right after they were granted."""
    condition: DatabaseHealth | None = None
    """What `health` gives; None: a server in which all is well. The clock is always that of the rows."""
    unknown_users: set[str] = field(default_factory=set)
    """Users that the server does not have."""
    refused_tables: KcfixError | None = None
    """Raised by every call that reads rows, as when a table is locked; catalogues still answer."""
    calls: list[str] = field(default_factory=list)
    """Names of the calls made, in order."""
    _alone: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def identity(self) -> DatabaseIdentity:
        """See `DatabasePort`."""
        self._called("identity")
        return DatabaseIdentity(
            host=self.host,
            port=5432,
            name=self.name,
            user="kcfix",
            server_version="15.0",
            now=self.now,
            read_only=self.read_only,
            system_identifier=self.system_identifier,
            standby=self.standby,
        )

    def behind(self) -> Behind | None:
        """See `DatabasePort`."""
        self._called("behind")
        return self.lag_of_standby

    def payments_identity(self) -> DatabaseIdentity:
        """See `DatabasePort`."""
        return self.identity()

    def schema(self) -> SchemaFacts:
        """See `DatabasePort`."""
        self._called("schema")
        types: tuple[str | None, str | None] = EVENT_SHAPES[self.shape] if "events" in self.tables else (None, None)
        state = self.index if "purchases" in self.tables else IndexState.MISSING
        return SchemaFacts(self.tables, state, types[0], types[1])

    def facts(
        self, ids: Collection[PaymentId], *, courses: Mapping[PaymentId, str] | None = None
    ) -> Mapping[PaymentId, PaymentFacts]:
        """See `DatabasePort`."""
        self._called("facts")
        self._need("payments", "purchases", "allocations", "sessions")
        return {id: self._facts(id, courses or {}) for id in ids}

    def unchanged(self, facts: Sequence[PaymentFacts]) -> frozenset[PaymentId]:
        """See `DatabasePort`."""
        self._called("unchanged")
        return frozenset(f.payment_id for f in facts if self._stands(f, {}))

    def room(self) -> int:
        """See `DatabasePort`."""
        self._called("room")
        return self.locks

    def standing(self, purchases: Mapping[PaymentId, str]) -> frozenset[PaymentId]:
        """See `DatabasePort`."""
        self._called("standing")
        found = {id: self._facts(id, {}) for id in purchases}
        active = {id: [p.id for p in facts.purchases if p.is_active] for id, facts in found.items()}
        paid = {id for id, facts in found.items() if facts.payment is not None and facts.payment.succeeded}
        return frozenset(id for id, purchase in purchases.items() if id in paid and active[id] == [purchase])

    def candidates(self, since: datetime, until: datetime, *, limit: int) -> tuple[PaymentId, ...]:
        """See `DatabasePort`."""
        self._called("candidates")
        self._need("payments", "purchases")
        paid = sorted((p for p in self._succeeded() if since <= p.paid_at < until), key=_by_time)
        return tuple(p.id for p in paid if not self._clearly_settled(p))[:limit]

    @contextmanager
    def payment_pass(self, since: datetime, until: datetime, *, everything: bool = False) -> Iterator[PaymentPass]:
        """See `DatabasePort`."""
        self._called("payment_pass")
        self._need("payments", "purchases", "allocations", "sessions")
        paid = sorted((p for p in self._succeeded() if since <= p.paid_at < until), key=_by_time)
        amounts: Counter[str] = Counter()
        for payment in paid:
            amounts[payment.currency] += payment.amount_minor
        met = (PaidPayment(p.id, self._sure_purchase(p)) for p in paid)
        rows = (row for row in met if everything or row.purchase_id is None)
        yield PaymentPass(len(paid), dict(amounts), rows)

    def allocations(self, pairs: Collection[StudentCourse]) -> Mapping[StudentCourse, tuple[Allocation, ...]]:
        """See `DatabasePort`."""
        self._called("allocations")
        self._need("allocations", "sessions")
        return {pair: self._allocations(pair) for pair in pairs}

    def sessions(self, allocation_ids: Collection[str]) -> Mapping[str, int]:
        """See `DatabasePort`."""
        self._called("sessions")
        self._need("sessions")
        counts = {r.allocation.id: r.allocation.sessions for r in self.allocation_rows}
        return {id: counts.get(id, 0) for id in allocation_ids}

    def aftermath(
        self, *, purchases: Collection[str], allocations: Collection[str], correlations: Collection[str]
    ) -> Aftermath:
        """See `DatabasePort`."""
        self._called("aftermath")
        there = {r.allocation.id: r.allocation for r in self.allocation_rows if r.allocation.id in allocations}
        made = [i for i, a in there.items() if a.sessions and "sessions" in self.tables]
        allocated = [i for i in there if i in self.allocated_at and "allocations" in self.tables]
        bought = {p.id: p for p in self.purchases if p.id in purchases and "purchases" in self.tables}
        rows = (e for e in self.events if e.correlation_id in correlations and "events" in self.tables)
        return Aftermath(
            {i: self.allocated_at[i] for i in allocated},
            {i: Made(*self.sessions_made.get(i, (self.now, self.now))) for i in made},
            {i: self.updated_at.get(i, p.created_at) for i, p in bought.items()},
            tuple(sorted(rows, key=lambda e: (e.processed_at, e.event_id))),
            events_recorded="events" in self.tables,
        )

    def health(self, roles: Collection[str] = ()) -> DatabaseHealth:
        """See `DatabasePort`."""
        self._called("health")
        there = {"unique_session_slot", "unique_active_allocation", "idx_processed_events_idempotency"}
        well = self.condition or DatabaseHealth(
            self.now, False, self.read_only, False, 5, 97, True, unique_indexes=dict.fromkeys(there, True)
        )
        known = {
            name: well.roles.get(name, RoleFacts(name, exists=name not in self.unknown_users))
            for name in sorted(set(roles))
        }
        return replace(well, at=self.now, roles=known)

    def stuck_payments(self, since: datetime, until: datetime) -> StuckPayments:
        """See `DatabasePort`."""
        self._called("stuck_payments")
        self._need("payments")
        expired = {p.id: p.created_at + timedelta(minutes=30) for p in self.payments}
        stuck = [
            expired[p.id]
            for p in self.payments
            if p.status in ("initiated", "processing") and since <= expired[p.id] < until
        ]
        return StuckPayments(len(stuck), min(stuck, default=None))

    def probes(self, limit: int) -> ProbesSeen:
        """See `DatabasePort`."""
        self._called("probes")
        self._need("payments")
        marked = sorted((p for p in self.payments if is_probe(p.id)), key=lambda p: p.id)
        marked.sort(key=lambda p: p.created_at, reverse=True)
        return ProbesSeen(tuple(p.id for p in marked[:limit]), min(self.courses, default=None))

    def probe(self, order: ProbeOrder) -> InsertResult:
        """See `DatabasePort`."""
        self._called("probe")
        id = order.payment_id
        mine = (order.student_id, order.course_id)
        if order.course_id not in self.courses:
            return InsertResult(id, InsertState.REFUSED, f"there is no course {order.course_id}")
        if any(p.is_active and (p.student_id, p.course_id) == mine for p in self.purchases):
            return InsertResult(id, InsertState.REFUSED, "the student has an active purchase of it, which swallows it")
        if any(p.id == id for p in self.payments):
            return InsertResult(id, InsertState.EXISTS)
        if self.lost_commit != "not made":
            made = Payment(
                id=id,
                student_id=order.student_id,
                amount_minor=order.amount_minor,
                currency="INR",
                status="succeeded",
                metadata=dict(order.metadata),
                confirmed_at=self.now,
                created_at=self.now,
                updated_at=self.now,
                provider_payment_id=f"probe_{id}",
            )
            self.payments.append(made)
        return InsertResult(id, InsertState.UNKNOWN if self.lost_commit else InsertState.INSERTED)

    def insert(self, orders: Sequence[InsertOrder], recheck: Recheck) -> tuple[InsertResult, ...]:
        """See `DatabasePort`."""
        self._called("insert")
        with self._alone:
            return self._insert(orders, recheck)

    def delete(self, orders: Sequence[DeleteOrder], recheck: DeleteRecheck) -> tuple[DeleteResult, ...]:
        """See `DatabasePort`."""
        self._called("delete")
        pairs = {(o.purchase.student_id, o.purchase.course_id) for o in orders}
        if len(orders) > 200 or len(pairs) < len(orders):
            raise ValueError("at most 200 orders, one per student and course")
        with self._alone:
            return self._delete(orders, recheck)

    @contextmanager
    def holding(self, purchases: Sequence[HeldPurchase]) -> Iterator[Hold]:
        """See `DatabasePort`."""
        self._called("holding")
        with self._alone:
            if self.held_locks & {key for purchase in purchases for key in purchase.lock_keys}:
                raise Unreachable("lock time-out: another session holds the worker's lock", system="database")
            wanted = {purchase.purchase_id for purchase in purchases}
            yield Hold(frozenset(p.id for p in self.purchases if p.is_active and p.id in wanted), self._check_hold)

    def _check_hold(self) -> None:
        if self.lost_hold:
            raise Unreachable("the connection was lost (holding the worker's locks)", system="database")

    def close(self) -> None:
        """See `DatabasePort`."""

    # how

    def _insert(self, orders: Sequence[InsertOrder], recheck: Recheck) -> tuple[InsertResult, ...]:
        pairs = {(o.student_id.lower(), o.course_id.lower()) for o in orders}
        if len(orders) > MOST_AT_ONCE or len(pairs) < len(orders):
            raise ValueError(f"at most {MOST_AT_ONCE} orders, one per student and course")
        if self.read_only:
            return tuple(InsertResult(o.payment_id, InsertState.FAILED, "the database is read-only") for o in orders)
        if self.held_locks & {key for order in orders for key in order.lock_keys}:
            reason = "lock time-out: another session holds the worker's lock"
            return tuple(InsertResult(o.payment_id, InsertState.FAILED, reason) for o in orders)
        seen = {o.payment_id: self._facts(o.payment_id, {o.payment_id: o.course_id.lower()}) for o in orders}
        reasons = {
            o.payment_id: recheck(o, seen[o.payment_id])
            for o in orders
            if not _has(seen[o.payment_id], o.purchase_id)
            and not (o.as_planned and self._stands(o.planned_on, {o.payment_id: o.course_id.lower()}))
        }
        return tuple(self._insert_one(o, seen[o.payment_id], reasons.get(o.payment_id)) for o in orders)

    def _delete(self, orders: Sequence[DeleteOrder], recheck: DeleteRecheck) -> tuple[DeleteResult, ...]:
        failure = "the database is read-only" if self.read_only else None
        if self.held_locks & {key for order in orders for key in order.lock_keys}:
            failure = "lock time-out: another session holds the worker's lock"
        found: dict[PaymentId, tuple[DeleteState, str | None]] = {}
        try:
            for order in orders if failure is None else ():
                facts = self._facts(order.payment_id, {order.payment_id: order.purchase.course_id})
                found[order.payment_id] = self._deletable(order, recheck, facts)
        except Unreachable as error:
            failure = error.message
        if failure is not None:
            return tuple(DeleteResult(o.payment_id, DeleteState.FAILED, failure) for o in orders)
        gone = {o.purchase.id for o in orders if found[o.payment_id][0] is DeleteState.DELETED}
        if self.lost_commit != "not made":
            self.purchases[:] = [p for p in self.purchases if p.id not in gone]
        if self.lost_commit:
            lost = (DeleteState.UNKNOWN, "no answer to the commit")
            found = {i: lost if f[0] is DeleteState.DELETED else f for i, f in found.items()}
        return tuple(DeleteResult(o.payment_id, *found[o.payment_id]) for o in orders)

    def _deletable(
        self, order: DeleteOrder, recheck: DeleteRecheck, facts: PaymentFacts
    ) -> tuple[DeleteState, str | None]:
        now = next((p for p in self.purchases if p.id == order.purchase.id), None)
        if now is None:
            return DeleteState.GONE, None
        if now != order.purchase or not now.is_active or now.updated_at not in (None, now.created_at):
            return DeleteState.REFUSED, "the purchase is no longer as it was"
        reason = recheck(order, facts)
        return (DeleteState.DELETED, None) if reason is None else (DeleteState.REFUSED, reason)

    def _insert_one(self, order: InsertOrder, facts: PaymentFacts, reason: str | None) -> InsertResult:
        if _has(facts, order.purchase_id):
            return InsertResult(order.payment_id, InsertState.EXISTS, None, facts)
        student, course = order.student_id.lower(), order.course_id.lower()
        if reason is None:
            if any(p.id == order.purchase_id for p in self.purchases):
                reason = "kcfix's own purchase of this payment is there, for another student or course"
            elif any(p.is_active and (p.student_id, p.course_id) == (student, course) for p in self.purchases):
                reason = "another session made an active purchase of this student and course"
        if reason is not None:
            return InsertResult(order.payment_id, InsertState.REFUSED, reason, facts)
        if "courses" in self.tables and course not in self.courses:
            return InsertResult(order.payment_id, InsertState.FAILED, "no such course (23503)", facts)
        if order.tier not in (10, 20, 30):
            return InsertResult(order.payment_id, InsertState.FAILED, "no such tier (23514)", facts)
        if self.lost_commit != "not made":
            self.purchases.append(
                Purchase(order.purchase_id, student, course, order.tier, True, self.now, dict(order.metadata), self.now)
            )
        state = InsertState.UNKNOWN if self.lost_commit else InsertState.INSERTED
        return InsertResult(order.payment_id, state, "no answer to the commit" if self.lost_commit else None, facts)

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.down is not None:
            raise self.down
        if self.refused_tables is not None and name not in ("identity", "schema", "health"):
            raise self.refused_tables

    def _need(self, *tables: str) -> None:
        for table in tables:
            if table not in self.tables:
                raise Unreachable(f"{self.identity().label} has no table {table}", system="database")

    def _succeeded(self) -> Iterable[Payment]:
        return (p for p in self.payments if p.succeeded)

    def _course(self, payment: Payment, courses: Mapping[PaymentId, str]) -> str | None:
        own = next((p.course_id for p in self.purchases if p.id == own_purchase_id(payment.id)), None)
        return courses.get(payment.id) or own or payment.course_id

    def _facts(self, id: PaymentId, courses: Mapping[PaymentId, str]) -> PaymentFacts:
        events = sorted((e for e in self.events if e.correlation_id == id), key=lambda e: (e.processed_at, e.event_id))
        told = tuple(events) if "events" in self.tables else ()
        payment = next((p for p in self.payments if p.id == id), None)
        if payment is None:
            return PaymentFacts(id, None, events=told)
        course = self._course(payment, courses)
        if course is None:
            return PaymentFacts(id, payment, events=told)
        student = payment.student_id
        siblings = (p for p in self._succeeded() if p.student_id == student and self._course(p, courses) == course)
        purchases = (p for p in self.purchases if (p.student_id, p.course_id) == (student, course))
        return PaymentFacts(
            payment_id=id,
            payment=payment,
            siblings=tuple(sorted(siblings, key=_by_time)),
            purchases=tuple(sorted(purchases, key=lambda p: (p.created_at, p.id))),
            allocations=self._allocations((student, course)),
            events=told,
            course_known=course in self.courses if "courses" in self.tables else None,
        )

    def _stands(self, then: PaymentFacts, courses: Mapping[PaymentId, str]) -> bool:
        """Whether these are the facts now, where they are simple enough for the real port to tell."""
        now = self._facts(then.payment_id, courses)
        known = now.course_known is not False and now.siblings == then.siblings == (then.payment,)
        return known and not now.purchases and not then.purchases and now.payment == then.payment

    def _allocations(self, pair: StudentCourse) -> tuple[Allocation, ...]:
        found = (r.allocation for r in self.allocation_rows if (r.student_id, r.course_id) == pair)
        return tuple(sorted(found, key=lambda a: (a.requested_at, a.id)))

    def _clearly_settled(self, payment: Payment) -> bool:
        if payment.course_id is None or isinstance(payment.metadata, str):
            return False
        for other in self._succeeded():
            if other.student_id == payment.student_id and other.id != payment.id:
                unclear = isinstance(other.metadata, str) or other.course_id is None
                if unclear or other.course_id == payment.course_id:
                    return False
        return any(
            (p.student_id, p.course_id) == (payment.student_id, payment.course_id)
            and p.created_at >= payment.paid_at - TOLERANCE
            for p in self.purchases
        )

    def _sure_purchase(self, payment: Payment) -> str | None:
        pair = (payment.student_id, payment.course_id or "")
        bought = [p for p in self.purchases if (p.student_id, p.course_id) == pair]
        theirs = (p for p in self.purchases if p.student_id == payment.student_id)
        if not self._clearly_settled(payment) or len(bought) != 1 or any(p.id[14] == "5" for p in theirs):
            return None
        purchase = bought[0]
        if _plain_tier(payment.metadata) != purchase.tier:
            return None
        followed = self._allocations(pair)
        allocated = [a for a in followed if a.allocated]
        completed = [a for a in followed if a.status == "completed" and a.requested_at >= purchase.created_at]
        done = any(a.sessions for a in allocated) or (completed and not allocated)
        return purchase.id if done or not purchase.is_active else None


def _plain_tier(metadata: object) -> int | None:
    fields = metadata if isinstance(metadata, dict) else {}
    stated = fields.get("purchaseTier")
    text = str(fields.get("sessionCount") if stated is None else stated)
    return int(text) if re.fullmatch("[1-9][0-9]{0,8}", text) else None


def _by_time(payment: Payment) -> tuple[datetime, str]:
    return payment.paid_at, payment.id


def _has(facts: PaymentFacts, purchase: str) -> bool:
    return any(p.id == purchase for p in facts.purchases)
