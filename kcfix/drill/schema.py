"""The tables of a drill's database, in the shapes that the live system may have (docs/system.md 1)."""

from __future__ import annotations

from importlib import resources

import psycopg

from kcfix.drill.state import Drill, Shape


def schema_scripts(*, processed_events: Shape = Shape.C, unique_index: bool = True) -> tuple[str, ...]:
    """The SQL scripts for an empty database, first to last, each with many statements and no transaction of its own."""
    names = ["tables.sql", f"processed_events_{processed_events.value.lower()}.sql"]
    if unique_index:
        names.append("unique_active_purchase.sql")
    names.append("seed.sql")
    folder = resources.files(__package__) / "sql"
    return tuple((folder / name).read_text(encoding="utf-8") for name in names)


def apply(drill: Drill) -> None:
    """Make the tables and the rows that the flow needs, all or nothing, in a database that has none yet."""
    with psycopg.connect(drill.dsn, connect_timeout=10) as connection:
        for script in schema_scripts(processed_events=drill.processed_events, unique_index=drill.unique_index):
            connection.execute(script.encode())
