"""What the core asks of PostgreSQL."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from kcfix.core.judging.aftermath import Aftermath
from kcfix.core.payments import Allocation, PaymentFacts, PaymentId, Purchase
from kcfix.core.ports.health import DatabaseHealth, StuckPayments


class IndexState(enum.StrEnum):
    """Whether the unique index on active purchases protects against doubles."""

    VALID = "VALID"
    INVALID = "INVALID"
    """Left by a failed CREATE INDEX CONCURRENTLY: it protects nothing."""
    MISSING = "MISSING"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class DatabaseIdentity:
    """The database that answered. Never holds a password."""

    host: str
    port: int
    name: str
    user: str
    server_version: str
    now: datetime
    """The server's clock."""
    read_only: bool
    """A standby, or a session that can't write."""
    system_identifier: str | None = None
    """pg_control_system(); None where the role may not ask."""
    standby: bool = False
    """A copy of another server, which takes no change."""

    @property
    def label(self) -> str:
        """host:port/name, to be shown."""
        return f"{self.host}:{self.port}/{self.name}"


@dataclass(frozen=True, slots=True)
class Behind:
    """A standby that lacks what has happened since: a purchase that is not there may well have been made."""

    label: str
    """Of the database, to be shown."""
    as_of: datetime | None
    """Up to then it has everything, by the clock of its primary; None where it can't tell."""
    cut_off: bool
    """Whether it receives nothing from its primary, so that nobody knows how far behind it is."""


@dataclass(frozen=True, slots=True)
class SchemaFacts:
    """What the live schema is: it can be any mix (docs/system.md 1.0)."""

    tables: frozenset[str]
    """Which of payments, purchases, events, allocations, sessions, courses (kcfix's names) are there."""
    unique_active_purchase: IndexState
    event_id_type: str | None = None
    """Type of processed_events.event_id: uuid or text; None if the table is missing."""
    correlation_id_type: str | None = None


class InsertState(enum.StrEnum):
    """Fate of one insert."""

    INSERTED = "INSERTED"
    EXISTS = "EXISTS"
    """kcfix's own purchase id was already there: an earlier run made it."""
    REFUSED = "REFUSED"
    """The re-check inside the transaction found the world changed; `reason` says how."""
    UNKNOWN = "UNKNOWN"
    """The commit was sent and not answered."""
    FAILED = "FAILED"
    """Rolled back: a lock time-out, or an error of the server; `reason` says which."""


@dataclass(frozen=True, slots=True)
class InsertOrder:
    """A purchase to be inserted, with the facts that it was planned on."""

    payment_id: PaymentId
    purchase_id: str
    student_id: str
    course_id: str
    tier: int
    metadata: Mapping[str, object]
    expiry_date: str | None
    """As the worker would write it: metadata.expiryDate or None."""
    lock_keys: tuple[int, ...]
    """The worker's advisory locks to be held, sorted."""
    planned_on: PaymentFacts
    as_planned: bool = False
    """Whether `recheck` need not be asked where the payment, the other succeeded payments and the purchases of its
    student and course are to the letter those of `planned_on`."""


@dataclass(frozen=True, slots=True)
class InsertResult:
    """Fate of one order."""

    payment_id: PaymentId
    state: InsertState
    reason: str | None = None
    facts: PaymentFacts | None = None
    """As re-read inside the transaction; None where it never got there, or where they were found to be `planned_on`."""


class DeleteState(enum.StrEnum):
    """Fate of one deletion."""

    DELETED = "DELETED"
    GONE = "GONE"
    """No purchase of that id was there."""
    REFUSED = "REFUSED"
    """It is there and stays: it changed, or the re-check said no; `reason` says which."""
    UNKNOWN = "UNKNOWN"
    """The commit was sent and not answered."""
    FAILED = "FAILED"
    """Rolled back: a lock time-out, no answer during the re-check, or an error of the server; `reason` says which."""


@dataclass(frozen=True, slots=True)
class DeleteOrder:
    """A purchase that kcfix inserted and is to be deleted, if it is still just so."""

    payment_id: PaymentId
    purchase: Purchase
    """As it was seen; it is deleted only while tier, metadata and times are these."""
    lock_keys: tuple[int, ...]
    """The worker's advisory locks to be held, sorted."""


@dataclass(frozen=True, slots=True)
class DeleteResult:
    """Fate of one order."""

    payment_id: PaymentId
    state: DeleteState
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class HeldPurchase:
    """A purchase about which something is to be done while nobody else changes it."""

    purchase_id: str
    lock_keys: tuple[int, ...]
    """The worker's advisory locks of its student and course."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Locks that are held."""

    there: frozenset[str]
    """Ids of the purchases that are there and active, read after the locks were granted."""
    check: Callable[[], None]
    """Returns if the locks are held still. Raises Unreachable: they were lost, or nobody answers."""


Recheck = Callable[[InsertOrder, PaymentFacts], str | None]
"""Given the order and the facts re-read under the lock: None to go on, else the reason not to."""

DeleteRecheck = Callable[[DeleteOrder, PaymentFacts], str | None]
"""The same for a deletion. It may ask other systems; what it raises rolls everything back."""


MOST_AT_ONCE = 1000
"""Orders or purchases in one transaction: each holds a lock until its end, of some thousands that a server has."""

StudentCourse = tuple[str, str]
"""Student id and course id, both lower case."""


@dataclass(frozen=True, slots=True)
class PaidPayment:
    """A succeeded payment, as the pass over all of them meets it."""

    payment_id: PaymentId
    purchase_id: str | None
    """Its purchase where SQL alone shows that it is settled, downstream included; None: its facts decide."""


@dataclass(frozen=True, slots=True)
class PaymentPass:
    """One reading of all payments of a window, in one snapshot."""

    payments: int
    """Succeeded payments of the window, settled or not."""
    amounts_minor: Mapping[str, int]
    """Their money by currency, in its minor unit."""
    rows: Iterator[PaidPayment]
    """Oldest first by time of payment, then by id. Usable once, while the pass is open. Raises Unreachable where the
    database falls silent: what was given before is not the whole."""


@dataclass(frozen=True, slots=True)
class ProbeOrder:
    """A payment that is made up to try the pipe, to be written as one that has just succeeded."""

    payment_id: PaymentId
    student_id: str
    new_student: bool
    """Whether the student is made up as well, with a profile that has a place, without which no sessions are made."""
    course_id: str
    amount_minor: int
    """In INR's minor unit."""
    provider: str
    metadata: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ProbesSeen:
    """What is there of earlier probes, and what a new one could be about."""

    payment_ids: tuple[PaymentId, ...]
    """Payments that are marked as probes, the newest first; not more than were wanted."""
    course_id: str | None
    """The first course of the table; None where there is none."""


class DatabasePort(Protocol):
    """PostgreSQL. All reads run in read-only transactions."""

    def identity(self) -> DatabaseIdentity:
        """The database that holds the purchases."""

    def payments_identity(self) -> DatabaseIdentity:
        """The database that holds the payments: mostly the same one."""

    def behind(self) -> Behind | None:
        """How far what the other calls read lies behind; None for a primary, and for a standby that has all there is.

        Where payments have a database of their own, whichever of the two lies further behind.
        """

    def schema(self) -> SchemaFacts:
        """What tables and indexes there are."""

    def facts(
        self, ids: Collection[PaymentId], *, courses: Mapping[PaymentId, str] | None = None
    ) -> Mapping[PaymentId, PaymentFacts]:
        """Everything about these payments, each id present, in a fixed number of queries and one snapshot.

        A payment counts for the course that `courses` gives it (a person's `--course`), else for the course of the
        purchase that kcfix itself once made for it, else for the one that its metadata names.

        Raises:
            Unreachable: a table that is needed is missing (the message names it and the database), or no answer.
        """

    def unchanged(self, facts: Sequence[PaymentFacts]) -> frozenset[PaymentId]:
        """Those of these payments of which the same would be read again: the row, its siblings and its purchases.

        Each counts for the course that its metadata names. It may leave out some of which that is true as well, and
        says nothing of allocations and events.

        Raises:
            Unreachable: no answer.
        """

    def room(self) -> int:
        """How many payments one transaction may lock so that others find room in the server's table of locks.

        `MOST_AT_ONCE`, or a sixth of a table that holds less than six times that; at least 1.
        """

    def standing(self, purchases: Mapping[PaymentId, str]) -> frozenset[PaymentId]:
        """Those of these payments that succeeded and whose purchase of this id is the only active one, in one query.

        The only one of its student and course, that is. It may leave out some of which that is true as well.

        Raises:
            Unreachable: no answer.
        """

    def candidates(self, since: datetime, until: datetime, *, limit: int) -> tuple[PaymentId, ...]:
        """Succeeded payments paid in [since, until) that may lack a purchase, oldest first, at most `limit`.

        A superset: whether one is missing is decided on its facts. Left out are only payments that are the sole
        succeeded one of their student and course and have a purchase made after them (5 s tolerance).
        """

    def payment_pass(
        self, since: datetime, until: datetime, *, everything: bool = False
    ) -> AbstractContextManager[PaymentPass]:
        """The succeeded payments paid in [since, until) that SQL can't call settled, streamed in constant memory.

        With `everything` the settled ones as well, with their purchase. On a connection of its own, so that other
        calls go on meanwhile. Settled is only what is surely PURCHASED by docs/decisions.md 2, rows 4 to 9; where
        payments have a database of their own nothing is called settled here.

        Raises:
            Unreachable: a table that is needed is missing, or no answer.
        """

    def allocations(self, pairs: Collection[StudentCourse]) -> Mapping[StudentCourse, tuple[Allocation, ...]]:
        """Allocations of each student and course (lower-case ids), oldest first; empty where there are none."""

    def sessions(self, allocation_ids: Collection[str]) -> Mapping[str, int]:
        """How many sessions each allocation has; 0 where it has none or does not exist."""

    def aftermath(
        self, *, purchases: Collection[str], allocations: Collection[str], correlations: Collection[str]
    ) -> Aftermath:
        """When these purchases were updated and these allocations and their sessions made, and the rows of events.

        `correlations` are ids of payments, purchases or allocations. What the live schema lacks is not recorded.
        """

    def health(self, roles: Collection[str] = ()) -> DatabaseHealth:
        """How the database that holds the purchases is, and what these users lack there.

        Asks the catalogues only, so that a locked table does not hold it up; what this user may not see is left out.
        """

    def stuck_payments(self, since: datetime, until: datetime) -> StuckPayments:
        """The payments still `initiated` or `processing` whose `expires_at` lies in [since, until)."""

    def probes(self, limit: int) -> ProbesSeen:
        """The payments whose id and provider mark them as probes (`kcfix.core.probe`), and a course for a new one."""

    # changes

    def probe(self, order: ProbeOrder) -> InsertResult:
        """Write the payment of a probe, with the student that is made up for it, in one transaction.

        Refused where the course is not there, or the student has an active purchase of it, for that would swallow it.
        """

    def insert(self, orders: Sequence[InsertOrder], recheck: Recheck) -> tuple[InsertResult, ...]:
        """Insert purchases, at most `MOST_AT_ONCE` and one per student and course, in one transaction.

        At READ COMMITTED. First takes the advisory locks, in sorted order, each with lock_timeout; then, in later
        statements, inserts those of the orders `as_planned` that still are (it may miss some), re-reads the facts of
        the others and asks `recheck`; then inserts what passed, and commits. One result per order, in order.
        """

    def delete(self, orders: Sequence[DeleteOrder], recheck: DeleteRecheck) -> tuple[DeleteResult, ...]:
        """Delete purchases, at most 200 and one per student and course, in one transaction at READ COMMITTED.

        The locks, the facts and `recheck` as in `insert`; then each that passed is deleted if its row is active, has
        the values of its order and was not updated since it was made. One result per order, in order.
        """

    def holding(self, purchases: Sequence[HeldPurchase]) -> AbstractContextManager[Hold]:
        """While the block runs, the worker's advisory locks of these purchases (at most `MOST_AT_ONCE`) are held.

        Gives those that are there and active. Changes nothing; whoever takes no lock is not kept out. A server may end
        a session at any time: right before what the locks are for, `Hold.check` is to be called.

        Raises:
            Unreachable: on entry; a lock was not granted in time, or no answer. No lock is held.
        """

    def close(self) -> None:
        """Close every connection."""
