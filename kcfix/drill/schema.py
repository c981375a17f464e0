"""The drill's tables, put into its database from the SQL files of this package."""

from __future__ import annotations

from importlib import resources

import psycopg

from kcfix.drill.state import Drill
from kcfix.errors import Unreachable


def files(drill: Drill) -> tuple[str, ...]:
    """Names of the SQL files that make the tables in the shapes of the drill's options, in the order to run them."""
    return (
        "tables.sql",
        f"processed_events_{drill.processed_events.lower()}.sql",
        *(("unique_active_purchase.sql",) if drill.unique_index else ()),
        "seed.sql",
    )


def apply(drill: Drill, dsn: str | None = None) -> None:
    """Make the tables, in one transaction; in the drill's database, or the one at `dsn`.

    Raises:
        Unreachable: the database did not do it; no table was made.
    """
    folder = resources.files("kcfix.drill") / "sql"
    try:
        with psycopg.connect(dsn or drill.dsn, connect_timeout=5) as connection:
            for name in files(drill):
                connection.execute((folder / name).read_bytes())
    except psycopg.Error as error:
        raise Unreachable(f"making the drill's tables: {error}", system="database") from error
