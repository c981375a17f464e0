"""What the doctor sees of a real PostgreSQL in trouble: locks, rights, settings, indexes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest

from kcfix.core.ports.database import IndexState
from tests.fakes_database import FakeDatabase
from tests.real.postgres_server import Server
from tests.real.postgres_world import PostgresWorld, server_with_shapes

pytestmark = pytest.mark.real
INSERT = "INSERT INTO payments (student_id, amount_cents) VALUES (gen_random_uuid(), 1)"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with server_with_shapes() as started:
        yield started


@pytest.fixture
def world(postgres: Server) -> Iterator[PostgresWorld]:
    made = PostgresWorld(postgres)
    yield made
    made.close()


def test_who_waits_for_a_table_and_who_holds_it_is_seen_while_the_table_can_not_be_read(world: PostgresWorld) -> None:
    database = world.open(FakeDatabase())

    def wait() -> None:
        with suppress(psycopg.Error), world.server.connect(world.name) as waiter:
            waiter.execute("SET lock_timeout = '5s'")
            waiter.execute(INSERT.encode())

    with world.server.connect(world.name) as holder, holder.transaction():
        holder.execute("SET application_name = 'a report'")
        holder.execute("LOCK TABLE payments IN ACCESS EXCLUSIVE MODE")
        pid = holder.info.backend_pid
        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        time.sleep(0.5)
        found = database.health()
    thread.join()
    (waiting,) = found.waits
    assert (waiting.table, waiting.mode, waiting.blocker) == ("payments", "RowExclusiveLock", pid)
    assert waiting.waits is not None
    held = next(t for t in found.transactions if t.pid == pid)
    assert (held.locks, held.application, held.state) == (("payments",), "a report", "idle in transaction")


def test_a_session_that_waits_for_the_workers_advisory_lock_names_who_has_it(world: PostgresWorld) -> None:
    database = world.open(FakeDatabase())

    def wait() -> None:
        with suppress(psycopg.Error), world.server.connect(world.name) as waiter:
            waiter.execute("SET lock_timeout = '5s'")
            waiter.execute("SELECT pg_advisory_lock(7)")

    with world.server.connect(world.name) as holder:
        holder.execute("SELECT pg_advisory_lock(7)")
        pid = holder.info.backend_pid
        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        time.sleep(0.5)
        found = database.health()
        holder.execute("SELECT pg_advisory_unlock(7)")
    thread.join()
    assert [(w.table, w.blocker) for w in found.waits] == [(None, pid)]
    assert pid in {t.pid for t in found.transactions}


def test_a_read_only_database_and_a_read_only_user_are_told_apart(world: PostgresWorld) -> None:
    world.fill(FakeDatabase())
    world.add_user("writer")
    world.execute("ALTER ROLE writer SET default_transaction_read_only = on")
    found = world.again().health(["writer"])
    assert (found.read_only, found.read_only_database, found.roles["writer"].read_only) == (False, False, True)
    world.execute(f"ALTER DATABASE {world.name} SET default_transaction_read_only = on")
    found = world.again().health(["writer"])
    assert (found.read_only, found.read_only_database) == (True, True)


def test_rights_that_a_user_lacks_are_named(world: PostgresWorld) -> None:
    world.fill(FakeDatabase())
    world.add_user(
        "app", "GRANT INSERT ON student_course_purchases, processed_events, trainer_allocations TO app", reads=True
    )
    world.execute("REVOKE SELECT ON payments FROM app")
    found = world.again().health(["app"]).roles["app"]
    assert (found.exists, found.may_log_in, found.expired) == (True, True, False)
    assert found.lacking == ("INSERT ON tutoring_sessions", "SELECT ON payments")


def test_a_user_whose_password_has_expired_and_one_that_may_not_log_in(world: PostgresWorld) -> None:
    world.fill(FakeDatabase())
    world.add_user("late")
    world.execute("ALTER ROLE late VALID UNTIL '2020-01-01'")
    world.add_user("shut")
    world.execute("ALTER ROLE shut NOLOGIN CONNECTION LIMIT 3")
    roles = world.again().health(["late", "shut"]).roles
    assert (roles["late"].expired, roles["shut"].may_log_in, roles["shut"].connection_limit) == (True, False, 3)


def test_a_plain_user_may_ask_and_is_said_not_to_see_the_others(world: PostgresWorld) -> None:
    world.fill(FakeDatabase())
    dsn = world.add_user("reader")
    with world.server.connect(world.name) as holder, holder.transaction():
        holder.execute("LOCK TABLE payments IN SHARE ROW EXCLUSIVE MODE")
        found = world.again(dsn).health(["reader"])
        pid = holder.info.backend_pid
    assert not found.sees_others
    assert [(t.pid, t.locks, t.open_for) for t in found.transactions] == [(pid, ("payments",), None)]


def test_missing_columns_and_indexes_are_named(world: PostgresWorld) -> None:
    world.fill(FakeDatabase(index=IndexState.INVALID))
    world.execute("ALTER TABLE student_course_purchases RENAME COLUMN expiry_date TO expires")
    world.execute("DROP INDEX idx_processed_events_idempotency")
    found = world.again().health()
    assert found.missing_columns == ("student_course_purchases.expiry_date",)
    assert found.invalid_indexes == ("unique_active_purchase",)
    assert found.unique_indexes["idx_processed_events_idempotency"] is False
    assert found.unique_indexes["unique_session_slot"] is True


def test_an_aborted_transaction_that_stays_open_is_seen_once_it_is_old_or_in_the_way(world: PostgresWorld) -> None:
    database = world.open(FakeDatabase())
    with world.server.connect(world.name) as holder:
        holder.autocommit = False
        holder.execute("LOCK TABLE payments IN EXCLUSIVE MODE")
        with suppress(psycopg.Error):
            holder.execute("SELECT 1/0")
        assert database.health().transactions == ()  # an aborted transaction has let go of its locks
        holder.rollback()
