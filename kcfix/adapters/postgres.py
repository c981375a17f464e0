"""PostgreSQL as the core asks for it. The only adapter that imports psycopg."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime

from kcfix.adapters.postgres_address import parse_address
from kcfix.adapters.postgres_aftermath import read_aftermath
from kcfix.adapters.postgres_candidates import read_candidates, read_candidates_apart
from kcfix.adapters.postgres_delete import Deletion, check_deletions
from kcfix.adapters.postgres_facts import Place, read_allocations, read_facts, read_sessions
from kcfix.adapters.postgres_health import read_health, read_stuck_payments
from kcfix.adapters.postgres_hold import hold
from kcfix.adapters.postgres_insert import Insertion, check_orders
from kcfix.adapters.postgres_link import Link
from kcfix.adapters.postgres_locks import room
from kcfix.adapters.postgres_pass import payment_pass
from kcfix.adapters.postgres_probe import make_probe, read_probes
from kcfix.adapters.postgres_schema import Schema, read_schema, schema_facts, statement
from kcfix.adapters.postgres_standby import read_behind
from kcfix.adapters.postgres_unchanged import standing, unchanged
from kcfix.core.judging.aftermath import Aftermath
from kcfix.core.payments import Allocation, PaymentFacts, PaymentId
from kcfix.core.ports.database import (
    Behind,
    DatabaseIdentity,
    DatabasePort,
    DeleteOrder,
    DeleteRecheck,
    DeleteResult,
    HeldPurchase,
    Hold,
    InsertOrder,
    InsertResult,
    PaymentPass,
    ProbeOrder,
    ProbesSeen,
    Recheck,
    SchemaFacts,
    StudentCourse,
)
from kcfix.core.ports.health import DatabaseHealth, StuckPayments
from kcfix.core.rights import Missing, unnoted
from kcfix.flow import Flow


def open_database(
    dsn: str,
    *,
    flow: Flow,
    timeout: float,
    connect_timeout: float | None = None,
    payments_dsn: str | None = None,
    address_map: Mapping[str, str] | None = None,
    application_name: str = "kcfix",
    missing: Missing = unnoted,
) -> DatabasePort:
    """The database of a DSN. Connects when it is first asked something.

    `payments_dsn` names the database that holds the payments where that is another one. `address_map` gives another
    `host:port` for one that this host can't reach by its name. Each call has `timeout` seconds, connecting included;
    connecting has no more than `connect_timeout` of them, where that is given. `missing` is told of every right that
    turns out to be missing.

    Raises:
        UsageError: a DSN that can't be read. Nothing was asked.
    """

    def link(text: str) -> Link:
        address = parse_address(
            text,
            timeout_seconds=timeout,
            application_name=application_name,
            address_map=address_map,
            missing=missing,
        )
        return Link(address, timeout, connect_timeout)

    main = link(dsn)
    return Postgres(main, link(payments_dsn) if payments_dsn else main, flow)


class Postgres:
    """The port on one or two connections. Which columns there are is asked once and kept; indexes are always asked."""

    def __init__(self, link: Link, payments_link: Link, flow: Flow) -> None:
        self._link = link
        self._payments_link = payments_link
        self._flow = flow
        self._schemas: dict[Link, Schema] = {}

    def identity(self) -> DatabaseIdentity:
        """See `DatabasePort`."""
        return _identity(self._link)

    def payments_identity(self) -> DatabaseIdentity:
        """See `DatabasePort`."""
        return _identity(self._payments_link)

    def behind(self) -> Behind | None:
        """See `DatabasePort`."""
        links = dict.fromkeys((self._link, self._payments_link))
        found = [b for b in (read_behind(link) for link in links) if b is not None]
        return min(found, key=lambda b: (b.as_of is not None, b.as_of), default=None)

    def schema(self) -> SchemaFacts:
        """See `DatabasePort`."""
        self._schemas.clear()
        with self._places("reading the schema") as (here, payments):
            return schema_facts(here.cursor, here.schema, payments.schema)

    def facts(
        self, ids: Collection[PaymentId], *, courses: Mapping[PaymentId, str] | None = None
    ) -> Mapping[PaymentId, PaymentFacts]:
        """See `DatabasePort`."""
        with self._places("reading payments") as (here, payments):
            return read_facts(here, payments, ids, courses or {})

    def unchanged(self, facts: Sequence[PaymentFacts]) -> frozenset[PaymentId]:
        """See `DatabasePort`."""
        if not facts or self._payments_link is not self._link:
            return frozenset()
        with self._place(self._link, "reading payments again") as here:
            return unchanged(here, facts)

    def room(self) -> int:
        """See `DatabasePort`."""
        with self._link.reading("asking how many locks it has") as cursor:
            return room(cursor)

    def standing(self, purchases: Mapping[PaymentId, str]) -> frozenset[PaymentId]:
        """See `DatabasePort`."""
        if not purchases or self._payments_link is not self._link:
            return frozenset()
        with self._place(self._link, "reading back") as here:
            return standing(here, purchases)

    def candidates(self, since: datetime, until: datetime, *, limit: int) -> tuple[PaymentId, ...]:
        """See `DatabasePort`."""
        with self._places("looking for payments without purchase") as (here, payments):
            if here is payments:
                return read_candidates(here, since, until, limit)
            return read_candidates_apart(here, payments, since, until, limit)

    def payment_pass(
        self, since: datetime, until: datetime, *, everything: bool = False
    ) -> AbstractContextManager[PaymentPass]:
        """See `DatabasePort`."""
        schemas = self._both_schemas()
        purchases = self._link, schemas[0]
        return payment_pass(self._payments_link, schemas[1], purchases, since, until, everything=everything)

    def allocations(self, pairs: Collection[StudentCourse]) -> Mapping[StudentCourse, tuple[Allocation, ...]]:
        """See `DatabasePort`."""
        with self._place(self._link, "reading allocations") as here:
            return read_allocations(here, pairs)

    def sessions(self, allocation_ids: Collection[str]) -> Mapping[str, int]:
        """See `DatabasePort`."""
        with self._place(self._link, "reading sessions") as here:
            return read_sessions(here, allocation_ids)

    def aftermath(
        self, *, purchases: Collection[str], allocations: Collection[str], correlations: Collection[str]
    ) -> Aftermath:
        """See `DatabasePort`."""
        with self._place(self._link, "reading what followed payments") as here:
            return read_aftermath(here, purchases, allocations, correlations)

    def health(self, roles: Collection[str] = ()) -> DatabaseHealth:
        """See `DatabasePort`."""
        with self._place(self._link, "asking how it is") as here:
            return read_health(here, roles)

    def stuck_payments(self, since: datetime, until: datetime) -> StuckPayments:
        """See `DatabasePort`."""
        with self._place(self._payments_link, "reading unfinished payments") as here:
            return read_stuck_payments(here, since, until)

    def probes(self, limit: int) -> ProbesSeen:
        """See `DatabasePort`."""
        with self._places("looking for earlier probes") as (here, payments):
            return read_probes(here, payments, limit)

    def probe(self, order: ProbeOrder) -> InsertResult:
        """See `DatabasePort`."""
        schemas = self._both_schemas()
        return make_probe((self._link, schemas[0]), (self._payments_link, schemas[1]), order)

    def insert(self, orders: Sequence[InsertOrder], recheck: Recheck) -> tuple[InsertResult, ...]:
        """See `DatabasePort`."""
        check_orders(orders)
        schemas = self._both_schemas()
        return Insertion(self._link, schemas[0], self._payments_link, schemas[1], orders, recheck).run()

    def delete(self, orders: Sequence[DeleteOrder], recheck: DeleteRecheck) -> tuple[DeleteResult, ...]:
        """See `DatabasePort`."""
        check_deletions(orders)
        schemas = self._both_schemas()
        return Deletion(self._link, schemas[0], self._payments_link, schemas[1], orders, recheck).run()

    def holding(self, purchases: Sequence[HeldPurchase]) -> AbstractContextManager[Hold]:
        """See `DatabasePort`."""
        with self._place(self._link, "reading the schema") as here:
            schema = here.schema
        return hold(self._link, schema, purchases)

    def close(self) -> None:
        """See `DatabasePort`."""
        self._link.close()
        self._payments_link.close()

    def _both_schemas(self) -> tuple[Schema, Schema]:
        """Of the purchases' database and of the payments'."""
        known = self._schemas.get(self._link), self._schemas.get(self._payments_link)
        if known[0] is not None and known[1] is not None:
            return known[0], known[1]
        with self._places("reading the schema") as (here, payments):
            return here.schema, payments.schema

    @contextmanager
    def _place(self, link: Link, doing: str) -> Iterator[Place]:
        with link.reading(doing) as cursor:
            schema = self._schemas.get(link)
            if schema is None:
                schema = self._schemas[link] = read_schema(cursor, self._flow, link.address)
            yield Place(cursor, schema)

    @contextmanager
    def _places(self, doing: str) -> Iterator[tuple[Place, Place]]:
        """Where the purchases are and where the payments are: the same place, mostly."""
        with self._place(self._link, doing) as here:
            if self._payments_link is self._link:
                yield here, here
            else:
                with self._place(self._payments_link, doing) as payments:
                    yield here, payments


def _identity(link: Link) -> DatabaseIdentity:
    address = link.address
    with link.reading("asking which database it is") as cursor:
        row = cursor.execute(statement("identity").encode()).fetchone()
        assert row is not None, "a SELECT without FROM gives one row"  # noqa: S101
        name, user, version, now, read_only, may_ask, standby = row
        system = None
        if may_ask:
            found = cursor.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
            system = found[0] if found else None
        return DatabaseIdentity(
            host=address.host or cursor.connection.info.host,
            port=address.port,
            name=name,
            user=user,
            server_version=version.split()[0],
            now=now.astimezone(UTC),
            read_only=read_only,
            system_identifier=system,
            standby=standby,
        )
