"""How the database is: locks, connections, settings, rights, indexes. Catalogues only; see `DatabasePort.health`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta

from psycopg import sql

from kcfix.adapters.postgres_facts import Place
from kcfix.adapters.postgres_schema import statement
from kcfix.core.ports.health import DatabaseHealth, LockWait, OpenTransaction, RoleFacts, StuckPayments
from kcfix.flow import Tables

RIGHTS = {
    "payments": ("SELECT",),
    "purchases": ("SELECT", "INSERT"),
    "events": ("SELECT", "INSERT"),
    "allocations": ("SELECT", "INSERT"),
    "sessions": ("SELECT", "INSERT"),
}
"""What the workers do with each table (kcfix's names)."""
WRITTEN = {
    "purchases": ("student_id", "course_id", "purchase_tier", "expiry_date", "metadata", "is_active"),
    "events": ("event_id", "event_type", "correlation_id", "payload", "source", "version"),
    "allocations": ("student_id", "trainer_id", "course_id", "requested_by", "status", "metadata"),
    "sessions": ("allocation_id", "student_id", "trainer_id", "scheduled_date", "scheduled_time", "status"),
}
"""Columns that the workers write (docs/system.md 1.2 to 1.5)."""
UNIQUE = ("unique_session_slot", "unique_active_allocation", "idx_processed_events_idempotency")


def read_health(at: Place, roles: Collection[str]) -> DatabaseHealth:
    """One look at the server and at the tables of the flow that are in it."""
    run = at.cursor.execute
    names = _tables(at)
    oids = sorted(names)
    whole = run(statement("health").encode()).fetchone()
    assert whole is not None, "a SELECT without FROM gives one row"  # noqa: S101
    now, standby, read_only, for_database, connections, most, sees_others = whole
    waits = tuple(
        LockWait(pid, names.get(table), mode, _span(waits), application or None, blocker)
        for pid, table, mode, waits, application, blocker in run(statement("health_waits").encode()).fetchall()
    )
    blockers = sorted({w.blocker for w in waits if w.blocker is not None})
    rows = run(statement("health_transactions").encode(), {"tables": oids, "blockers": blockers}).fetchall()
    transactions = tuple(
        OpenTransaction(pid, user, app or None, state, _span(open_for), _span(idle), _named(held, names))
        for pid, user, app, state, open_for, idle, held in rows
    )
    indexes = run(statement("health_indexes").encode(), {"tables": oids}).fetchall()
    return DatabaseHealth(
        at=now.astimezone(UTC),
        standby=standby,
        read_only=read_only,
        read_only_database=for_database,
        connections=connections,
        max_connections=most,
        sees_others=sees_others,
        waits=waits,
        transactions=transactions,
        roles=_roles(at, roles, names),
        invalid_indexes=tuple(name for name, _, valid in indexes if not valid),
        unique_indexes={u: any(n == u and unique and valid for n, unique, valid in indexes) for u in UNIQUE},
        missing_columns=tuple(
            f"{at.schema.written(table)}.{at.schema.flow.column(table, column)}"
            for table, columns in WRITTEN.items()
            for column in columns
            if at.schema.has(table) and not at.schema.has(table, column)
        ),
    )


def _tables(at: Place) -> dict[int, str]:
    """Kcfix's names of the tables that are there, by oid."""
    found: dict[int, str] = {}
    for field in fields(Tables):
        if at.schema.has(field.name):
            query = sql.SQL("SELECT to_regclass(%s)::oid::bigint")
            quoted = ".".join('"' + part.replace('"', '""') + '"' for part in at.schema.written(field.name).split("."))
            row = at.cursor.execute(query, [quoted]).fetchone()
            if row is not None and row[0] is not None:
                found[row[0]] = field.name
    return found


def _roles(at: Place, roles: Collection[str], names: Mapping[int, str]) -> dict[str, RoleFacts]:
    if not roles:
        return {}
    wanted = [(oid, kind, at.schema.written(name)) for oid, name in names.items() for kind in RIGHTS.get(name, ())]
    given = {
        "roles": sorted(set(roles)),
        "tables": [oid for oid, _, _ in wanted],
        "kinds": [kind for _, kind, _ in wanted],
        "shown": [shown for _, _, shown in wanted],
    }
    return {
        name: RoleFacts(
            name=name,
            exists=exists,
            may_log_in=may_log_in,
            expired=expired,
            connection_limit=limit if limit is not None and limit >= 0 else None,
            connections=connections,
            read_only=read_only,
            lacking=tuple(lacking),
        )
        for name, exists, may_log_in, expired, limit, connections, read_only, lacking in at.cursor.execute(
            statement("health_roles").encode(), given
        ).fetchall()
    }


def _named(oids: Collection[int], names: Mapping[int, str]) -> tuple[str, ...]:
    return tuple(sorted(names[oid] for oid in oids if oid in names))


def _span(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=max(0.0, seconds))


def read_stuck_payments(at: Place, since: datetime, until: datetime) -> StuckPayments:
    """Payments that were begun, should have expired within the span, and have no end."""
    at.schema.need("payments")
    s = at.schema
    if not s.has("payments", "expires_at"):
        return StuckPayments(0, None)
    query = sql.SQL(
        "SELECT count(*)::int, min({expires}) FROM {table} AS p"
        " WHERE {status}::text IN ('initiated', 'processing') AND {expires} >= %s AND {expires} < %s"
    ).format(
        expires=s.column("payments", "expires_at", "p"),
        table=s.table("payments"),
        status=s.column("payments", "status", "p"),
    )
    row = at.cursor.execute(query, [since, until]).fetchone()
    assert row is not None, "an aggregate gives one row"  # noqa: S101
    count, oldest = row
    return StuckPayments(count, None if oldest is None else oldest.astimezone(UTC))
