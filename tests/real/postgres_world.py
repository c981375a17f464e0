"""A database on the test's server that is filled from a fake: what the contract and the tests of the adapter run on."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.types.json import Jsonb

from kcfix.adapters.postgres import open_database
from kcfix.core.payments import Payment, PaymentId, Purchase
from kcfix.core.ports.database import DatabasePort, IndexState
from kcfix.flow import Flow, Tables
from tests.fakes_database import ALL_TABLES, FakeDatabase
from tests.real.postgres_server import Server, server, tables

_INDEX = """CREATE UNIQUE INDEX unique_active_purchase ON student_course_purchases (student_id, course_id)
    WHERE is_active = true"""
_INVALID = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'unique_active_purchase'::regclass"
_PURCHASE = """INSERT INTO student_course_purchases
    (id, student_id, course_id, purchase_tier, is_active, created_at, metadata, updated_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"""
_PAYMENT = """INSERT INTO payments (id, student_id, amount_cents, currency, status, provider, provider_payment_id,
    metadata, confirmed_at, created_at, updated_at, expires_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
_SOMEONE = "00000000-0000-4000-8000-000900000001"


class PostgresWorld:
    """A database of its own for one test, filled from a fake."""

    def __init__(self, server: Server, timeout: float = 3) -> None:
        self.server = server
        self.name = f"kc_{os.getpid()}_{next(_NUMBERS)}"
        self._timeout = timeout
        self._opened: list[DatabasePort] = []

    def open(self, seed: FakeDatabase) -> DatabasePort:
        self.fill(seed)
        return self.again()

    def another(self) -> DatabasePort:
        return self.again()

    def fill(self, seed: FakeDatabase) -> None:
        """Make the database, with the rows of the fake."""
        self.server.create(self.name, template=f"shape_{seed.shape.lower()}")
        with self.server.connect(self.name) as connection:
            _fill(connection, seed)

    def again(
        self,
        dsn: str | None = None,
        *,
        flow: Flow | None = None,
        timeout: float | None = None,
        payments_dsn: str | None = None,
        address_map: Mapping[str, str] | None = None,
    ) -> DatabasePort:
        """Another port to this database, or to the one of the DSN."""
        database = open_database(
            dsn or self.dsn(),
            flow=flow or Flow(),
            timeout=timeout or self._timeout,
            payments_dsn=payments_dsn,
            address_map=address_map,
            application_name="kcfix test",
        )
        self._opened.append(database)
        return database

    def dsn(self) -> str:
        """How its owner reaches it."""
        return self.server.dsn(self.name)

    def dsn_at(self, port: int) -> str:
        """How its owner reaches it through a proxy on this port."""
        return self.dsn().replace(f":{self.server.port}/", f":{port}/") + "?sslmode=disable"

    def add_user(self, name: str, *grants: str, reads: bool = True) -> str:
        """A user of the server who may read every table (or none), with these grants besides; gives the user's DSN."""
        word = f"{name}-pass"
        self.execute(f"DROP ROLE IF EXISTS {name}")
        self.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{word}'")
        for grant in (f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}",) * reads + grants:
            self.execute(grant)
        return self.server.dsn(self.name, user=name, password=word)

    def execute(self, statement: str) -> None:
        """Run something behind the port's back."""
        with self.server.connect(self.name) as connection:
            connection.execute(statement.encode())

    def asked(self, query: str) -> list[tuple[object, ...]]:
        """What its owner reads."""
        with self.server.connect(self.name) as connection:
            return connection.execute(query.encode()).fetchall()

    def purchases(self) -> list[Purchase]:
        query = """SELECT id::text, student_id::text, course_id::text, purchase_tier, is_active, created_at, metadata
                   FROM student_course_purchases"""
        with self.server.connect(self.name) as connection:
            return [Purchase(*row) for row in connection.execute(query)]  # type: ignore[arg-type]

    def pay(self, payment: Payment) -> None:
        with self.server.connect(self.name) as connection:
            _pay(connection, payment)

    def write(self, purchase: Purchase) -> None:
        with self.server.connect(self.name) as connection:
            _write(connection, purchase)

    def set_status(self, id: PaymentId, status: str) -> None:
        with self.server.connect(self.name) as connection:
            connection.execute("UPDATE payments SET status = %s WHERE id = %s", [status, id])

    def set_metadata(self, id: PaymentId, name: str, value: object) -> None:
        with self.server.connect(self.name) as connection:
            changed = "UPDATE payments SET metadata = metadata || jsonb_build_object(%s::text, %s::jsonb) WHERE id = %s"
            connection.execute(changed, [name, json.dumps(value), id])

    @contextmanager
    def lock_held(self, key: int) -> Iterator[None]:
        with self.server.connect(self.name) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", [key])
            yield

    def close(self) -> None:
        for database in self._opened:
            database.close()
        self.server.drop(self.name)


_NUMBERS = itertools.count()


def _fill(connection: psycopg.Connection[tuple[object, ...]], seed: FakeDatabase) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany("INSERT INTO courses (id, title) VALUES (%s, 'made up')", [(c,) for c in seed.courses])
        for payment in seed.payments:
            _pay(connection, payment)
        for purchase in seed.purchases:
            _write(connection, purchase, seed.updated_at.get(purchase.id))
        for row in seed.allocation_rows:
            made = row.allocation
            trainer = _SOMEONE if made.has_trainer else None
            cursor.execute(
                """INSERT INTO trainer_allocations (id, student_id, course_id, trainer_id, requested_by, requested_at,
                   status, allocated_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)""",
                [
                    *(made.id, row.student_id, row.course_id, trainer, _SOMEONE, made.requested_at, made.status),
                    seed.allocated_at.get(made.id),
                ],
            )
            first, last = seed.sessions_made.get(made.id, (seed.now, seed.now))
            cursor.executemany(
                """INSERT INTO tutoring_sessions (allocation_id, student_id, trainer_id, scheduled_date, scheduled_time,
                   created_at) VALUES (%s, %s, %s, date '2026-03-02' + %s::int, '4:00 PM', %s)""",
                [(made.id, row.student_id, _SOMEONE, day, first if day == 0 else last) for day in range(made.sessions)],
            )
        cursor.executemany(
            """INSERT INTO processed_events (event_id, correlation_id, event_type, payload, source, version,
               processed_at) VALUES (%s, %s, %s, %s, %s, %s, %s)""",
            [
                (e.event_id, e.correlation_id, e.event_type, Jsonb(e.payload), e.source, e.version, e.processed_at)
                for e in seed.events
            ],
        )
        if seed.index is not IndexState.MISSING:
            cursor.execute(_INDEX)
        if seed.index is IndexState.INVALID:
            cursor.execute(_INVALID)
        for table in ALL_TABLES - seed.tables:
            cursor.execute(f"DROP TABLE {getattr(Tables(), table)} CASCADE".encode())


def _pay(connection: psycopg.Connection[tuple[object, ...]], p: Payment) -> None:
    row = [
        *(p.id, p.student_id, p.amount_minor, p.currency, p.status, "razorpay", p.provider_payment_id),
        *(None if p.metadata is None else Jsonb(p.metadata), p.confirmed_at, p.created_at, p.updated_at),
        p.created_at + timedelta(minutes=30) if p.status in ("initiated", "processing") else None,
    ]
    connection.execute(_PAYMENT, row)


def _write(connection: psycopg.Connection[tuple[object, ...]], p: Purchase, updated_at: datetime | None = None) -> None:
    metadata = None if p.metadata is None else Jsonb(p.metadata)
    updated = updated_at or p.updated_at or p.created_at
    row = [p.id, p.student_id, p.course_id, p.tier, p.is_active, p.created_at, metadata, updated]
    connection.execute(_PURCHASE, row)


@contextmanager
def server_with_shapes(
    tls: Mapping[str, Path] | None = None, *, admits: Sequence[str] = (), binaries: Path | None = None
) -> Iterator[Server]:
    """A server with a template database for each shape of processed_events."""
    with server(tls, admits=admits, binaries=binaries) as started:
        for shape in "ABC":
            started.create(f"shape_{shape.lower()}")
            with started.connect(f"shape_{shape.lower()}") as connection:
                connection.execute(tables(shape))
        yield started


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    """A server of the file's own, with a template for each shape of processed_events."""
    with server_with_shapes() as started:
        yield started


@pytest.fixture
def world(postgres: Server) -> Iterator[PostgresWorld]:
    """A database of its own for one test."""
    made = PostgresWorld(postgres)
    yield made
    made.close()
