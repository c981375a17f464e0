"""Reads what only the story of a payment needs, as far as the live schema has it (docs/system.md 1.0)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any

from psycopg import sql

from kcfix.adapters.postgres_facts import Place, read_events
from kcfix.core.judging.aftermath import Aftermath, Made


def read_aftermath(
    at: Place, purchases: Collection[str], allocations: Collection[str], correlations: Collection[str]
) -> Aftermath:
    """See `DatabasePort.aftermath`. A table or column that is missing, or may not be read, gives nothing."""
    made = _sessions(at, allocations)
    return Aftermath(
        allocated_at=_times(at, "allocations", "allocated_at", allocations),
        sessions_made={id: Made(_utc(first), _utc(last)) for id, first, last in made},
        updated_at=_times(at, "purchases", "updated_at", purchases),
        events=read_events(at, correlations),
        events_recorded=at.schema.has("events"),
    )


def _times(at: Place, table: str, column: str, ids: Iterable[str]) -> dict[str, datetime]:
    """A time of each row that has one."""
    s = at.schema
    if not s.readable(table, column):
        return {}
    query = sql.SQL("SELECT {id}, {time} FROM {table} AS t WHERE {match}").format(
        id=s.id(table, "id", "t"),
        time=s.time(table, column, "t"),
        table=s.table(table),
        match=s.is_any(table, "id", "t"),
    )
    found = _rows(at, query, s.these(table, "id", (i.lower() for i in ids)))
    return {id: time.astimezone(UTC) for id, time in found if time is not None}


def _sessions(at: Place, allocations: Iterable[str]) -> list[tuple[Any, ...]]:
    s = at.schema
    if not s.readable("sessions", "allocation_id"):
        return []
    made = s.time("sessions", "created_at", "t") if s.readable("sessions", "created_at") else sql.SQL("NULL")
    query = sql.SQL("SELECT {id}, min({made}::timestamptz), max({made}::timestamptz) FROM {table} AS t").format(
        id=s.id("sessions", "allocation_id", "t"), made=made, table=s.table("sessions")
    ) + sql.SQL(" WHERE {match} GROUP BY 1").format(match=s.is_any("sessions", "allocation_id", "t"))
    return _rows(at, query, s.these("sessions", "allocation_id", (i.lower() for i in allocations)))


def _rows(at: Place, query: sql.Composed, ids: list[str]) -> list[tuple[Any, ...]]:
    return at.cursor.execute(query, [ids]).fetchall() if ids else []


def _utc(time: datetime | None) -> datetime | None:
    return None if time is None else time.astimezone(UTC)
