"""The drill's tables, put into its database from the SQL files of this package."""

from __future__ import annotations

from importlib import resources

import psycopg

from kcfix.drill.state import Drill
from kcfix.errors import Unreachable


def apply(drill: Drill) -> None:
    """Make the tables in the shapes that the drill's options ask for, in one transaction.

    Files of `sql/` run in the order of their names: those whose name ends in `.shape-X.sql` only for that shape of
    processed_events, those ending in `.unique.sql` only where `unique_active_purchase` is wanted.

    Raises:
        Unreachable: the database did not do it.
    """
    folder = resources.files("kcfix.drill") / "sql"
    if not folder.is_dir():
        return
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    try:
        with psycopg.connect(drill.dsn, connect_timeout=5) as connection:
            for file in files:
                kind = file.name.removesuffix(".sql").rpartition(".")[2]
                if kind.startswith("shape-") and kind != f"shape-{drill.processed_events}":
                    continue
                if kind == "unique" and not drill.unique_index:
                    continue
                connection.execute(file.read_text(encoding="utf-8").encode())
    except psycopg.Error as error:
        raise Unreachable(f"making the drill's tables: {error}", system="database") from error
