"""The contract of test_database.py on a real PostgreSQL."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
from psycopg.types.json import Jsonb

from kcfix.adapters.postgres import open_database
from kcfix.core.payments import PaymentId, Purchase
from kcfix.core.ports import DatabasePort, IndexState
from kcfix.flow import Flow, Tables
from tests.contract.test_database import DatabaseContract, World
from tests.fakes_database import ALL_TABLES, NOW, FakeDatabase
from tests.real.postgres_server import Server, server, tables

pytestmark = pytest.mark.real

_INDEX = """CREATE UNIQUE INDEX unique_active_purchase ON student_course_purchases (student_id, course_id)
    WHERE is_active = true"""
_INVALID = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'unique_active_purchase'::regclass"
_PURCHASE = """INSERT INTO student_course_purchases
    (id, student_id, course_id, purchase_tier, is_active, created_at, metadata) VALUES (%s, %s, %s, %s, %s, %s, %s)"""
_SOMEONE = "00000000-0000-4000-8000-000900000001"


class PostgresWorld:
    """A database of its own for one test, filled from a fake."""

    def __init__(self, server: Server, timeout: float = 1.5) -> None:
        self._server = server
        self.name = f"kc_{os.getpid()}_{next(_NUMBERS)}"
        self._timeout = timeout
        self._opened: list[DatabasePort] = []

    def open(self, seed: FakeDatabase) -> DatabasePort:
        dsn = self._server.create(self.name, template=f"shape_{seed.shape.lower()}")
        with self._server.connect(self.name) as connection:
            _fill(connection, seed)
        database = open_database(dsn, flow=Flow(), timeout=self._timeout)
        self._opened.append(database)
        return database

    def execute(self, statement: str) -> None:
        """Run something behind the port's back."""
        with self._server.connect(self.name) as connection:
            connection.execute(statement.encode())

    def purchases(self) -> list[Purchase]:
        query = """SELECT id::text, student_id::text, course_id::text, purchase_tier, is_active, created_at, metadata
                   FROM student_course_purchases"""
        with self._server.connect(self.name) as connection:
            return [Purchase(*row) for row in connection.execute(query)]  # type: ignore[arg-type]

    def write(self, purchase: Purchase) -> None:
        with self._server.connect(self.name) as connection:
            _write(connection, purchase)

    def set_status(self, id: PaymentId, status: str) -> None:
        with self._server.connect(self.name) as connection:
            connection.execute("UPDATE payments SET status = %s WHERE id = %s", [status, id])

    @contextmanager
    def lock_held(self, key: int) -> Iterator[None]:
        with self._server.connect(self.name) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", [key])
            yield

    def close(self) -> None:
        for database in self._opened:
            database.close()
        self._server.drop(self.name)


_NUMBERS = itertools.count()


def _fill(connection: psycopg.Connection[tuple[object, ...]], seed: FakeDatabase) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany("INSERT INTO courses (id, title) VALUES (%s, 'made up')", [(c,) for c in seed.courses])
        cursor.executemany(
            """INSERT INTO payments (id, student_id, amount_cents, currency, status, provider, provider_payment_id,
               metadata, confirmed_at, created_at, updated_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
            [
                (
                    *(p.id, p.student_id, p.amount_minor, p.currency, p.status, "razorpay", p.provider_payment_id),
                    *(None if p.metadata is None else Jsonb(p.metadata), p.confirmed_at, p.created_at, p.updated_at),
                )
                for p in seed.payments
            ],
        )
        for purchase in seed.purchases:
            _write(connection, purchase)
        for row in seed.allocation_rows:
            made = row.allocation
            trainer = _SOMEONE if made.has_trainer else None
            cursor.execute(
                """INSERT INTO trainer_allocations (id, student_id, course_id, trainer_id, requested_by, requested_at,
                   status) VALUES (%s, %s, %s, %s, %s, %s, %s)""",
                [made.id, row.student_id, row.course_id, trainer, _SOMEONE, made.requested_at, made.status],
            )
            cursor.executemany(
                """INSERT INTO tutoring_sessions (allocation_id, student_id, trainer_id, scheduled_date, scheduled_time)
                   VALUES (%s, %s, %s, date '2026-03-02' + %s::int, '4:00 PM')""",
                [(made.id, row.student_id, _SOMEONE, day) for day in range(made.sessions)],
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


def _write(connection: psycopg.Connection[tuple[object, ...]], p: Purchase) -> None:
    metadata = None if p.metadata is None else Jsonb(p.metadata)
    connection.execute(_PURCHASE, [p.id, p.student_id, p.course_id, p.tier, p.is_active, p.created_at, metadata])


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with server() as started:
        for shape in "ABC":
            started.create(f"shape_{shape.lower()}")
            with started.connect(f"shape_{shape.lower()}") as connection:
                connection.execute(tables(shape))
        yield started


@pytest.fixture
def make_world(postgres: Server) -> Iterator[Callable[[], PostgresWorld]]:
    made: list[PostgresWorld] = []

    def make() -> PostgresWorld:
        made.append(PostgresWorld(postgres))
        return made[-1]

    yield make
    for world in made:
        world.close()


class TestPostgres(DatabaseContract):
    """The real adapter keeps the contract."""

    @pytest.fixture
    def world(self, make_world: Callable[[], PostgresWorld]) -> World:
        return make_world()


def test_the_fake_and_postgres_agree_on_a_random_world(make_world: Callable[[], PostgresWorld]) -> None:
    chance = random.Random(20260302)  # noqa: S311 - the same world in each run
    seed = _random_world(chance, payments=300)
    world = make_world()
    database = world.open(seed)
    ids = [payment.id for payment in seed.payments]
    ids.append(PaymentId("00000000-0000-4000-8000-000199999999"))
    assert database.facts(ids) == seed.facts(ids)
    window = (NOW - timedelta(days=20), NOW + timedelta(days=1))
    for limit in (1, 10, 1000):
        assert database.candidates(*window, limit=limit) == seed.candidates(*window, limit=limit)
    pairs = {(p.student_id, p.course_id) for p in seed.purchases}
    assert database.allocations(pairs) == seed.allocations(pairs)


def _random_world(chance: random.Random, payments: int) -> FakeDatabase:
    seed = FakeDatabase(index=IndexState.MISSING)
    for n in range(1, payments + 1):
        made = seed.payment(
            n,
            student=chance.randrange(1, payments // 3),
            course=chance.choice([1, 1, 2, 3, None]),
            tier=chance.choice([10, 20, "20", 30, None]),
            status=chance.choice(["succeeded"] * 5 + ["failed", "refunded", "initiated"]),
            paid_at=NOW - timedelta(minutes=chance.randrange(30000)),
            unconfirmed=chance.random() < 0.1,
            metadata=chance.choice(['{"courseId": 1}', "[]", None, {}]) if chance.random() < 0.1 else ...,
        )
        for _ in range(chance.choice([0, 1, 1, 2])):
            shift = timedelta(seconds=chance.choice([-3600, -6, -4, 0, 2, 3600]))
            bought = seed.purchase(
                made,
                course=chance.choice([None, 1, 2]),
                is_active=chance.random() < 0.8,
                created_at=made.paid_at + shift,
            )
            for _ in range(chance.choice([0, 0, 1, 3])):
                seed.allocation(bought, status="pending", sessions=chance.choice([0, 7]))
        if chance.random() < 0.3 and not any(p.course_id for p in seed.payments[-1:]):
            seed.purchase(made, own=True, course=2)
        if chance.random() < 0.5:
            seed.event(made)
    return seed
