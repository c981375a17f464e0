"""Reading a real PostgreSQL: odd schemas, odd rows, and servers that are away, slow, silent or closed to the user."""

from __future__ import annotations

import socket
import threading
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from kcfix.adapters.postgres import open_database
from kcfix.core.payments import PaymentId
from kcfix.core.ports.database import DatabasePort, IndexState
from kcfix.errors import AccessDenied, KcfixError, Unreachable, UsageError
from kcfix.flow import Flow
from tests.fakes_database import NOW, FakeDatabase, course_id, payment_id
from tests.real import postgres_world
from tests.real.postgres_proxy import proxy
from tests.real.postgres_server import PASSWORD, Server
from tests.real.postgres_world import PostgresWorld

DAY = timedelta(days=1)


postgres, world = postgres_world.postgres, postgres_world.world


# bad days


def _refusal(database: DatabasePort) -> KcfixError:
    with pytest.raises(KcfixError) as caught:
        database.identity()
    database.close()
    assert PASSWORD not in f"{caught.value.message} {caught.value.hint}"
    return caught.value


def _open(dsn: str, timeout: float = 1.0) -> DatabasePort:
    return open_database(dsn, flow=Flow(), timeout=timeout)


def test_a_refused_connection_is_said_to_be_refused() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    error = _refusal(_open(f"postgresql://kc:{PASSWORD}@127.0.0.1:{port}/kc_app"))
    assert isinstance(error, Unreachable)
    assert error.message == f"database 127.0.0.1:{port}/kc_app: connection refused"


def test_a_name_that_does_not_resolve_is_said_not_to_resolve() -> None:
    error = _refusal(_open(f"postgresql://kc:{PASSWORD}@no-such-host.invalid/kc_app", timeout=10))
    assert "no-such-host.invalid:5432/kc_app: its name can't be resolved" in error.message


def test_a_host_that_accepts_and_never_answers_is_left_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = time.monotonic()
        error = _refusal(_open(f"postgresql://kc:{PASSWORD}@127.0.0.1:{listener.getsockname()[1]}/kc_app"))
        assert 0.9 < time.monotonic() - started < 3
    assert "did not answer within 1 s (connecting)" in error.message


def test_connecting_can_have_a_shorter_deadline_than_the_call() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dsn = f"postgresql://kc:{PASSWORD}@127.0.0.1:{listener.getsockname()[1]}/kc_app"
        error = _refusal(open_database(dsn, flow=Flow(), timeout=60, connect_timeout=0.5))
    assert "did not answer within 0.5 s (connecting)" in error.message


def test_a_server_that_falls_silent_between_two_calls_is_left_at_the_deadline(world: PostgresWorld) -> None:
    world.fill(FakeDatabase())
    database = world.again(timeout=1.0)
    database.identity()
    with world.server.frozen():
        for _ in range(2):
            started = time.monotonic()
            with pytest.raises(Unreachable, match="did not answer within 1 s"):
                database.facts([payment_id(1)])
            assert time.monotonic() - started < 3
    assert database.identity().name == world.name


def test_a_slow_statement_is_ended_by_the_deadline(world: PostgresWorld) -> None:
    world.fill(FakeDatabase())
    with world.server.connect(world.name) as blocker, blocker.transaction():
        blocker.execute("LOCK TABLE payments")
        started = time.monotonic()
        with pytest.raises(Unreachable, match="did not answer within 1 s"):
            world.again(timeout=1.0).facts([payment_id(1)])
        assert time.monotonic() - started < 3


@pytest.mark.parametrize("table", ["payments", "student_course_purchases"])
def test_the_pass_over_all_payments_waits_for_a_lock_no_longer_than_the_deadline(
    world: PostgresWorld, table: str
) -> None:
    seed = FakeDatabase()
    seed.payment(1)
    world.fill(seed)
    with world.server.connect(world.name) as blocker, blocker.transaction():
        blocker.execute(f"LOCK TABLE {table}".encode())
        started = time.monotonic()
        with (
            pytest.raises(Unreachable, match="another session holds a table locked"),
            world.again(timeout=1.0).payment_pass(NOW - DAY, NOW) as found,
        ):
            list(found.rows)
        assert time.monotonic() - started < 3


def test_a_connection_that_the_server_closed_meanwhile_is_opened_again(world: PostgresWorld) -> None:
    database = world.open(FakeDatabase())
    database.identity()
    world.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'kcfix test'")
    assert database.facts([payment_id(1)])[payment_id(1)].payment is None


def test_a_wrong_password_is_access_denied(world: PostgresWorld) -> None:
    world.fill(FakeDatabase())
    error = _refusal(_open(world.dsn().replace(PASSWORD, "another-word")))
    assert isinstance(error, AccessDenied)
    assert "it refused the user or the password" in error.message
    assert "another-word" not in error.message


def test_a_database_that_does_not_exist_is_named(postgres: Server) -> None:
    error = _refusal(_open(postgres.dsn("no_such_database")))
    assert error.message == f"database 127.0.0.1:{postgres.port}/no_such_database: it has no database of that name"


def test_a_server_without_tls_is_said_to_have_none(postgres: Server) -> None:
    assert "does not speak TLS" in _refusal(_open(postgres.dsn() + "?sslmode=require")).message


def test_no_free_connection_is_said_so(world: PostgresWorld) -> None:
    world.fill(FakeDatabase())
    dsn = world.add_user("crowd")
    world.execute("ALTER ROLE crowd CONNECTION LIMIT 1")
    with psycopg.connect(dsn):
        error = _refusal(_open(dsn))
    assert "no free connection (53300)" in error.message


def test_a_table_that_may_not_be_read_is_named_with_its_grant(world: PostgresWorld) -> None:
    world.fill(FakeDatabase())
    dsn = world.add_user("guest", "GRANT SELECT ON payments, student_course_purchases TO guest", reads=False)
    with pytest.raises(AccessDenied) as caught:
        world.again(dsn).facts([payment_id(1)])
    assert caught.value.message.endswith("user guest has no right to SELECT on trainer_allocations")
    assert caught.value.hint == "GRANT SELECT ON trainer_allocations TO guest;"


def test_courses_that_may_not_be_read_are_unknown_and_stop_nothing(world: PostgresWorld) -> None:
    seed = FakeDatabase()
    paid = seed.payment(1)
    world.fill(seed)
    dsn = world.add_user("clerk", "REVOKE SELECT ON courses FROM clerk")
    assert world.again(dsn).facts([paid.id])[paid.id].course_known is None


@pytest.mark.parametrize(
    "dsn", ["postgresql://kc:sec-ret@host:port/db", "host=db password='sec-ret", "sec-ret", "postgresql://[sec-ret/db"]
)
def test_a_dsn_that_is_none_is_a_usage_error_that_does_not_quote_it(dsn: str) -> None:
    with pytest.raises(UsageError) as caught:
        _open(dsn)
    assert "sec-ret" not in f"{caught.value.message} {caught.value.hint}"


def test_query_parameters_of_other_drivers_are_passed_over(world: PostgresWorld) -> None:
    world.fill(FakeDatabase())
    database = world.again(world.dsn() + "?pgbouncer=true&schema=public&sslmode=disable&connection_limit=1")
    assert database.identity().name == world.name


def test_an_address_map_leads_to_the_server_and_the_name_stays(world: PostgresWorld) -> None:
    world.fill(FakeDatabase())
    dsn = world.dsn().replace(f"127.0.0.1:{world.server.port}", "postgres:5432")
    database = world.again(dsn, address_map={"postgres:5432": f"127.0.0.1:{world.server.port}"})
    assert database.identity().label == f"postgres:5432/{world.name}"


def test_a_unix_socket_will_do(world: PostgresWorld) -> None:
    world.fill(FakeDatabase())
    folder = str(world.server.folder)
    dsn = f"host={folder} port={world.server.port} dbname={world.name} user=owner password={PASSWORD}"
    identity = world.again(dsn).identity()
    assert (identity.host, identity.name) == (folder, world.name)


def test_reading_changes_nothing_and_can_change_nothing(world: PostgresWorld) -> None:
    seed = FakeDatabase()
    paid = seed.payment(1)
    database = world.open(seed)
    world.execute(
        """CREATE FUNCTION spoil() RETURNS text LANGUAGE plpgsql AS $$
           BEGIN DELETE FROM payments; RETURN 'x'; END $$;
           ALTER TABLE payments RENAME TO payments_real;
           CREATE VIEW payments AS SELECT id, student_id, amount_cents, currency, status, metadata, created_at,
               confirmed_at, updated_at, spoil() AS provider_payment_id FROM payments_real"""
    )
    with pytest.raises(Unreachable, match="read-only transaction"):
        database.facts([paid.id])


def test_many_threads_may_ask_at_once(world: PostgresWorld) -> None:
    seed = FakeDatabase()
    paid = [seed.payment(n) for n in range(1, 9)]
    database = world.open(seed)
    answers: list[bool] = []

    def ask(id: PaymentId) -> None:
        answers.extend(database.facts([id])[id].payment is not None for _ in range(5))

    threads = [threading.Thread(target=ask, args=(p.id,)) for p in paid]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == [True] * 40


# odd schemas


@pytest.mark.parametrize(
    ("ddl", "state"),
    [
        ("CREATE UNIQUE INDEX u ON {} (course_id, student_id) WHERE is_active", IndexState.VALID),
        ("CREATE UNIQUE INDEX u ON {} (student_id, course_id) WHERE is_active IS TRUE", IndexState.VALID),
        ("CREATE UNIQUE INDEX u ON {} (student_id, course_id)", IndexState.VALID),
        ("CREATE UNIQUE INDEX u ON {} (student_id, course_id) INCLUDE (id) WHERE is_active = true", IndexState.VALID),
        ("CREATE INDEX unique_active_purchase ON {} (student_id, course_id) WHERE is_active", IndexState.MISSING),
        ("CREATE UNIQUE INDEX unique_active_purchase ON {} (student_id, id) WHERE is_active", IndexState.MISSING),
        ("CREATE UNIQUE INDEX u ON {} (student_id, course_id) WHERE NOT is_active", IndexState.MISSING),
        ("CREATE UNIQUE INDEX u ON {} (student_id, course_id) WHERE is_active AND id IS NULL", IndexState.MISSING),
        ("CREATE UNIQUE INDEX u ON {} (student_id, course_id, id) WHERE is_active", IndexState.MISSING),
        ("CREATE UNIQUE INDEX u ON {} (student_id, (course_id::text)) WHERE is_active", IndexState.MISSING),
    ],
)
def test_an_index_protects_by_what_it_is_and_not_by_its_name(world: PostgresWorld, ddl: str, state: IndexState) -> None:
    database = world.open(FakeDatabase(index=IndexState.MISSING))
    world.execute(ddl.format("student_course_purchases"))
    assert database.schema().unique_active_purchase is state


def test_an_index_that_failed_to_build_concurrently_is_invalid(world: PostgresWorld) -> None:
    seed = FakeDatabase(index=IndexState.MISSING)
    paid = seed.payment(1)
    seed.purchase(paid)
    seed.purchase(paid)
    database = world.open(seed)
    with pytest.raises(psycopg.errors.UniqueViolation):
        world.execute(
            "CREATE UNIQUE INDEX CONCURRENTLY unique_active_purchase"
            " ON student_course_purchases (student_id, course_id) WHERE is_active = true"
        )
    assert database.schema().unique_active_purchase is IndexState.INVALID


def test_other_names_for_tables_and_columns(world: PostgresWorld) -> None:
    seed = FakeDatabase()
    paid = seed.payment(1)
    bought = seed.purchase(paid)
    allocated = seed.allocation(bought, sessions=2)
    world.fill(seed)
    world.execute(
        """CREATE SCHEMA money; ALTER TABLE payments SET SCHEMA money;
           ALTER TABLE money.payments RENAME TO "Paid %s {x}";
           ALTER TABLE money."Paid %s {x}" RENAME confirmed_at TO "confirmedAt";
           ALTER TABLE tutoring_sessions RENAME allocation_id TO alloc"""
    )
    flow = Flow().named(
        {
            "tables": {"payments": "money.Paid %s {x}"},
            "columns": {"payments.confirmed_at": "confirmedAt", "sessions.allocation_id": "alloc"},
        }
    )
    database = world.again(flow=flow)
    facts = database.facts([paid.id])[paid.id]
    assert (facts.payment, facts.purchases, facts.allocations) == (paid, (bought,), (allocated,))
    assert database.candidates(NOW - DAY, NOW, limit=9) == ()


def test_a_missing_column_that_is_needed_is_named(world: PostgresWorld) -> None:
    database = world.open(FakeDatabase())
    world.execute("ALTER TABLE trainer_allocations RENAME status TO state")
    with pytest.raises(Unreachable) as caught:
        database.facts([payment_id(1)])
    assert "table trainer_allocations has no column status" in caught.value.message
    assert "allocations.status" in str(caught.value.hint)


def test_columns_that_can_be_done_without_may_be_missing(world: PostgresWorld) -> None:
    seed = FakeDatabase()
    paid = seed.payment(1, unconfirmed=True)
    seed.event(paid)
    database = world.open(seed)
    world.execute(
        """ALTER TABLE payments DROP confirmed_at, DROP provider_payment_id, DROP updated_at, DROP currency;
           ALTER TABLE processed_events DROP version, DROP source"""
    )
    facts = database.facts([paid.id])[paid.id]
    assert facts.payment is not None
    assert facts.payment.paid_at == paid.paid_at
    assert facts.payment.provider_payment_id is None
    assert facts.events[0].source == ""


def test_courses_with_serial_ids_know_no_uuid(world: PostgresWorld) -> None:
    seed = FakeDatabase()
    paid = seed.payment(1)
    database = world.open(seed)
    world.execute("DROP TABLE courses CASCADE; CREATE TABLE courses (id serial); INSERT INTO courses DEFAULT VALUES")
    assert database.facts([paid.id])[paid.id].course_known is False


def test_ids_in_text_columns_are_found(world: PostgresWorld) -> None:
    seed = FakeDatabase()
    paid = seed.payment(1)
    bought = seed.purchase(paid)
    unpaid = seed.payment(2)
    database = world.open(seed)
    world.execute("ALTER TABLE payments ALTER id TYPE text, ALTER student_id TYPE text, ALTER id DROP DEFAULT")
    facts = database.facts([paid.id, PaymentId("no uuid at all")])
    assert facts[paid.id].purchases == (bought,)
    assert database.candidates(NOW - DAY, NOW, limit=9) == (unpaid.id,)


def test_times_that_python_can_not_hold_are_unknown(world: PostgresWorld) -> None:
    seed = FakeDatabase()
    paid = seed.payment(1)
    database = world.open(seed)
    world.execute("UPDATE payments SET confirmed_at = 'infinity', updated_at = '20000-01-01', created_at = created_at")
    payment = database.facts([paid.id])[paid.id].payment
    assert payment is not None
    assert payment.confirmed_at is None
    assert payment.paid_at == payment.updated_at == paid.created_at
    assert database.candidates(NOW - DAY, NOW, limit=9) == (paid.id,)


def test_times_without_zone_are_utc_whatever_the_servers_zone(world: PostgresWorld) -> None:
    seed = FakeDatabase()
    paid = seed.payment(1)
    world.fill(seed)
    world.execute(
        """SET TimeZone = 'UTC'; ALTER TABLE payments ALTER confirmed_at TYPE timestamp;
           ALTER ROLE owner SET TimeZone = 'Asia/Kolkata'; ALTER ROLE owner SET DateStyle = 'SQL, DMY'"""
    )
    try:
        payment = world.again().facts([paid.id])[paid.id].payment
    finally:
        world.execute("ALTER ROLE owner RESET ALL")
    assert payment == paid
    assert payment.confirmed_at is not None
    assert payment.confirmed_at.tzinfo is UTC


def test_metadata_that_python_can_not_read_does_not_keep_the_others_from_being_read(world: PostgresWorld) -> None:
    seed = FakeDatabase()
    deep, long, paid = (seed.payment(n) for n in (1, 2, 3))
    database = world.open(seed)
    world.execute(
        f"""UPDATE payments SET metadata = (repeat('[', 3000) || repeat(']', 3000))::jsonb WHERE id = '{deep.id}';
            UPDATE payments SET metadata = ('{{"n": ' || repeat('9', 9000) || '}}')::jsonb WHERE id = '{long.id}'"""  # noqa: S608 - made-up ids
    )
    facts = database.facts([deep.id, long.id, paid.id])
    assert facts[paid.id].payment == paid
    assert [facts[p.id].payment is not None and facts[p.id].siblings == () for p in (deep, long)] == [True, True]


def test_payments_may_live_in_a_database_of_their_own(world: PostgresWorld, postgres: Server) -> None:
    other = PostgresWorld(postgres)
    try:
        seed = FakeDatabase()
        settled = seed.payment(1)
        seed.purchase(settled)
        seed.purchase(seed.payment(2), created_at=NOW - DAY)
        again = seed.payment(3, student=1, paid_at=NOW - timedelta(hours=2))
        odd = seed.payment(4, metadata="[")
        other.fill(FakeDatabase(payments=seed.payments, tables=frozenset({"payments"})))
        world.fill(FakeDatabase(purchases=seed.purchases, tables=seed.tables - {"payments"}))
        database = world.again(payments_dsn=other.dsn())
        ids = [p.id for p in seed.payments]
        assert database.facts(ids) == seed.facts(ids)
        assert database.schema().tables == seed.tables
        window = (NOW - 2 * DAY, NOW)
        assert database.candidates(*window, limit=9) == seed.candidates(*window, limit=9)
        assert database.candidates(*window, limit=9) == (again.id, settled.id, payment_id(2), odd.id)
        assert (database.identity().name, database.payments_identity().name) == (world.name, other.name)
        with pytest.raises(Unreachable) as caught:
            world.again().facts(ids)
        assert caught.value.message == f"database {world.again().identity().label} has no table payments"
        assert "payments_dsn" in str(caught.value.hint)
    finally:
        other.close()


def test_ten_thousand_ids_take_a_fixed_number_of_queries(world: PostgresWorld) -> None:
    world.fill(FakeDatabase())
    world.execute(
        f"""INSERT INTO payments (id, student_id, amount_cents, status, metadata, confirmed_at)
            SELECT ('00000000-0000-4000-8000-0001' || lpad(n::text, 8, '0'))::uuid, gen_random_uuid(), 360000,
                   'succeeded', '{{"courseId": "{course_id(1)}", "sessionCount": 20}}', now()
            FROM generate_series(1, 10000) AS n;
            ANALYZE"""  # noqa: S608 - made-up ids
    )
    with proxy(world.server.port) as line:
        database = world.again(world.dsn_at(line.port), timeout=20)
        counts = []
        for many in (1, 10_000):
            before = line.statements
            found = database.facts([payment_id(n) for n in range(1, many + 1)])
            counts.append(line.statements - before)
        assert counts[0] <= 10
        assert counts[1] <= counts[0]
    assert sum(facts.siblings == (facts.payment,) for facts in found.values()) == 10_000
    now = datetime.now(UTC)
    assert len(world.again(timeout=20).candidates(now - DAY, now + DAY, limit=20_000)) == 10_000
