"""What the live schema is, found out rather than assumed (docs/system.md 1.0), and SQL that fits it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from importlib import resources

from psycopg import sql

from kcfix.adapters.postgres_address import Address
from kcfix.adapters.postgres_errors import SYSTEM, access_denied
from kcfix.adapters.postgres_link import Cursor
from kcfix.core.payments import parse_uuid
from kcfix.core.ports.database import IndexState, SchemaFacts
from kcfix.errors import Unreachable
from kcfix.flow import Flow, Tables

_TEXTS = ("text", "character varying", "character", "citext")
_ACTIVE = re.compile(r"\(*{column}\)*(\s*=\s*true\)*|\s+is\s+true\)*)?", re.IGNORECASE)
_YEARS = "BETWEEN '0002-01-01' AND '9998-12-31'"
"""Times that Python can hold; others (infinity among them) are read as unknown."""


def identifier(*parts: str) -> sql.Identifier:
    """A quoted name for a statement with parameters, in which a percent sign must be doubled."""
    return sql.Identifier(*(part.replace("%", "%%") for part in parts))


def statement(name: str) -> str:
    """The text of one file in sql/."""
    return (resources.files("kcfix.adapters") / "sql" / f"{name}.sql").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it is."""

    type: str
    readable: bool


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one database. `table` and `column` are always kcfix's own names."""

    flow: Flow
    address: Address
    columns: Mapping[str, Mapping[str, Column]]
    """Live column names by table; a table that is missing is not there."""
    lockable: frozenset[str]
    """Tables of which rows may be locked FOR SHARE, which takes a right to change them."""
    versioned: frozenset[str] = frozenset()
    """Plain tables that this user may read as a whole: their rows have an xmin that tells one version from the next."""

    def has(self, table: str, column: str | None = None) -> bool:
        """Whether the table, or the column in it, exists."""
        live = self.columns.get(table)
        return live is not None and (column is None or self.flow.column(table, column) in live)

    def readable(self, table: str, column: str) -> bool:
        """Whether the column exists and this user may read it."""
        if not self.has(table, column):
            return False
        if not self._column(table, column).readable:
            # Nothing stops for it, and what is unknown for it is to be explained.
            access_denied(f"permission denied for table {self.written(table)}", self.address, "SELECT")
            return False
        return True

    def need(self, *tables: str) -> None:
        """Return if all of these tables exist.

        Raises:
            Unreachable: one does not, with the database named.
        """
        for table in tables:
            if table not in self.columns:
                hint = "payments_dsn names their database, if it is another one" if table == "payments" else None
                raise Unreachable(
                    f"database {self.address.label} has no table {self.written(table)}", system=SYSTEM, hint=hint
                )

    def written(self, table: str) -> str:
        """The live name of a table, to be shown."""
        return str(getattr(self.flow.tables, table))

    def table(self, table: str) -> sql.Composable:
        """The live name of a table, quoted."""
        return identifier(*self.written(table).split("."))

    def column(self, table: str, column: str, alias: str) -> sql.Composable:
        """A column of an aliased table, quoted.

        Raises:
            Unreachable: there is no such column.
            AccessDenied: this user may not read it.
        """
        if not self.has(table, column):
            live = self.flow.column(table, column)
            raise Unreachable(
                f"database {self.address.label}: table {self.written(table)} has no column {live}",
                system=SYSTEM,
                hint=f'names.columns."{table}.{column}" in kcfix.toml, if it is called otherwise',
            )
        if not self._column(table, column).readable:
            raise access_denied(f"permission denied for table {self.written(table)}", self.address, "SELECT")
        return identifier(alias, self.flow.column(table, column))

    def type(self, table: str, column: str) -> str:
        """The column's type, as PostgreSQL writes it; `text` for one that does not exist."""
        return self._column(table, column).type if self.has(table, column) else "text"

    def id(self, table: str, column: str, alias: str) -> sql.Composable:
        """An id as lower-case text."""
        at = self.column(table, column, alias)
        # PostgreSQL writes a uuid in lower case; to lower it costs more than to write it.
        return sql.SQL("{}::text" if self.type(table, column) == "uuid" else "lower({}::text)").format(at)

    def text(self, table: str, column: str, alias: str) -> sql.Composable:
        """A column as text; NULL where it does not exist."""
        if not self.has(table, column):
            return sql.SQL("NULL::text")
        return sql.SQL("{}::text").format(self.column(table, column, alias))

    def json(self, table: str, column: str, alias: str) -> sql.Composable:
        """A JSON column as it is, any other as text; NULL where it does not exist."""
        if self.type(table, column) in ("jsonb", "json") and self.has(table, column):
            return self.column(table, column, alias)
        return self.text(table, column, alias)

    def time(self, table: str, column: str, alias: str) -> sql.Composable:
        """A time with its zone (UTC where the column has none); NULL where it does not exist or is out of range."""
        if not self.has(table, column):
            return sql.SQL("NULL::timestamptz")
        at = self.column(table, column, alias)
        return sql.SQL("CASE WHEN {} {} THEN {}::timestamptz END").format(at, sql.SQL(_YEARS), at)

    def version(self, table: str, alias: str) -> sql.Composable:
        """The version of a row as text: the transaction that wrote it; NULL where that can't be asked."""
        if table not in self.versioned:
            return sql.SQL("NULL::text")
        return sql.SQL("{}.xmin::text").format(identifier(alias))

    def course(self, alias: str) -> sql.Composable:
        """The course that a payment's metadata names, as lower-case text, without ever failing.

        NULL for metadata that is no JSON object, which includes a JSON string of one.
        """
        if self.type("payments", "metadata") not in ("jsonb", "json"):
            return sql.SQL("NULL::text")
        return sql.SQL("lower(btrim({}->>'courseId'))").format(self.column("payments", "metadata", alias))

    def is_any(self, table: str, column: str, alias: str) -> sql.Composable:
        """`column = ANY (%s)` by the column's own type, so that its index serves; give it `these`."""
        live = self.type(table, column)
        at = self.column(table, column, alias)
        if live == "uuid":
            return sql.SQL("{} = ANY (%s::uuid[])").format(at)
        if live in _TEXTS:
            return sql.SQL("{} = ANY (%s::text[])").format(at)
        return sql.SQL("{}::text = ANY (%s::text[])").format(at)

    def these(self, table: str, column: str, ids: Iterable[str]) -> list[str]:
        """The ids that such a column can hold at all: anything but a UUID would be an error on a uuid column."""
        if self.type(table, column) == "uuid":
            return sorted({i for i in ids if parse_uuid(i)})
        return sorted(set(ids))

    def _column(self, table: str, column: str) -> Column:
        return self.columns[table][self.flow.column(table, column)]


def read_schema(cursor: Cursor, flow: Flow, address: Address) -> Schema:
    """The tables of the flow that are in this database, with their columns."""
    names = [field.name for field in fields(Tables)]
    written = [quoted(str(getattr(flow.tables, name))) for name in names]
    columns: dict[str, dict[str, Column]] = {}
    lockable: set[str] = set()
    versioned: set[str] = set()
    for table, column, kind, readable, changeable, plain in cursor.execute(
        statement("columns").encode(), {"names": names, "written": written}
    ):
        columns.setdefault(table, {})[column] = Column(kind, readable)
        if changeable:
            lockable.add(table)
        if plain:
            versioned.add(table)
    return Schema(flow, address, columns, frozenset(lockable), frozenset(versioned))


def schema_facts(cursor: Cursor, schema: Schema, payments: Schema) -> SchemaFacts:
    """What the core wants to know of the schema; `payments` is that of the database that holds them."""
    tables = {table for table in schema.columns if table != "payments"}
    if payments.has("payments"):
        tables.add("payments")
    events = schema.has("events")
    return SchemaFacts(
        tables=frozenset(tables),
        unique_active_purchase=_unique_active_purchase(cursor, schema),
        event_id_type=schema.type("events", "event_id") if events else None,
        correlation_id_type=schema.type("events", "correlation_id") if events else None,
    )


def _unique_active_purchase(cursor: Cursor, schema: Schema) -> IndexState:
    if not schema.has("purchases"):
        return IndexState.MISSING
    flow = schema.flow
    key = [flow.column("purchases", name) for name in ("student_id", "course_id")]
    active = flow.column("purchases", "is_active")
    condition = re.compile(_ACTIVE.pattern.replace("{column}", f'"?{re.escape(active)}"?'), re.IGNORECASE)
    rows = cursor.execute(
        statement("unique_indexes").encode(),
        {"written": quoted(schema.written("purchases")), "columns": key},
    ).fetchall()
    # Without a condition it forbids even more, so it protects as well.
    usable = [whole for whole, where in rows if where is None or condition.fullmatch(where)]
    if any(usable):
        return IndexState.VALID
    return IndexState.INVALID if usable else IndexState.MISSING


def quoted(name: str) -> str:
    """A table's name as SQL writes it, for `to_regclass`."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))
