"""What the doctor asks of PostgreSQL beyond the rows: locks, connections, settings, rights, indexes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class LockWait:
    """A session that waits for a lock on one of the flow's tables, or for another session's transaction."""

    pid: int
    table: str | None
    """kcfix's own name of the table; None for one that is none of the flow's, or where it waits for a transaction."""
    mode: str
    """As pg_locks names it, e.g. RowExclusiveLock."""
    waits: timedelta | None
    """None where this user may not see it."""
    application: str | None
    blocker: int | None
    """Pid of the first session that blocks it; None where nobody is named."""


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A session whose transaction has been open for long, or that blocks others."""

    pid: int
    user: str | None
    application: str | None
    state: str | None
    """As pg_stat_activity has it, e.g. `idle in transaction (aborted)`; None where this user may not see it."""
    open_for: timedelta | None
    idle_for: timedelta | None
    """Since its last statement; None while one runs, or where this user may not see it."""
    locks: tuple[str, ...] = ()
    """Tables (kcfix's names) on which it holds a lock that keeps writers out."""


@dataclass(frozen=True, slots=True)
class RoleFacts:
    """A user as whom a service comes, and what it lacks."""

    name: str
    exists: bool
    may_log_in: bool = True
    expired: bool = False
    """Whether its password is no longer valid (`VALID UNTIL`)."""
    connection_limit: int | None = None
    """None: no limit of its own."""
    connections: int = 0
    read_only: bool = False
    """`default_transaction_read_only` is set for it, here or everywhere."""
    lacking: tuple[str, ...] = ()
    """Rights that the workers need and it has not, e.g. `INSERT ON student_course_purchases`."""


@dataclass(frozen=True, slots=True)
class DatabaseHealth:
    """How the database is, at one moment, as far as this user may see it."""

    at: datetime
    """The server's clock."""
    standby: bool
    read_only: bool
    """`default_transaction_read_only` as this session has it."""
    read_only_database: bool
    """The same, set for the whole database."""
    connections: int
    max_connections: int
    """Without those that are reserved for superusers."""
    sees_others: bool
    """Whether this user sees what other sessions do; otherwise waits and transactions may be incomplete."""
    waits: tuple[LockWait, ...] = ()
    """Longest first."""
    transactions: tuple[OpenTransaction, ...] = ()
    """Those open for more than ten seconds, and whoever blocks another; oldest first."""
    roles: Mapping[str, RoleFacts] = field(default_factory=dict)
    """The users that were asked about."""
    invalid_indexes: tuple[str, ...] = ()
    """Indexes on the flow's tables that a failed CREATE INDEX CONCURRENTLY left behind."""
    unique_indexes: Mapping[str, bool] = field(default_factory=dict)
    """Of `unique_session_slot`, `unique_active_allocation`, `idx_processed_events_idempotency`: whether it is there."""
    missing_columns: tuple[str, ...] = ()
    """`table.column` (live names) that the workers write and the tables lack."""


@dataclass(frozen=True, slots=True)
class StuckPayments:
    """Payments that were begun and never came to an end, and that nothing sweeps (docs/system.md 6, mode 26)."""

    count: int
    oldest: datetime | None
    """When the oldest of them should have expired."""
