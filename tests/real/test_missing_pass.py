"""The pass of `kcfix missing` on a real PostgreSQL: every way to read gives the same, and it ends cleanly."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kcfix.adapters.postgres_address import parse_address
from kcfix.adapters.postgres_link import Link
from kcfix.adapters.postgres_pass import Way, payment_pass
from kcfix.adapters.postgres_schema import read_schema
from kcfix.core.ports.database import DatabasePort, PaidPayment
from kcfix.flow import Flow
from tests.contract.database_passing import random_world
from tests.fakes_database import NOW, FakeDatabase
from tests.real.postgres_server import Server
from tests.real.postgres_world import PostgresWorld, server_with_shapes

SINCE, UNTIL = NOW - timedelta(days=30), NOW + timedelta(days=1)
INDEXES = (
    "ALTER TABLE tutoring_sessions DROP CONSTRAINT unique_session_slot",
    "DROP INDEX idx_payments_student",
    "DROP INDEX idx_payments_student_status_created",
    "DROP INDEX idx_allocations_student",
    "DROP INDEX idx_purchases_student_id",
    "DROP INDEX idx_purchases_student_created",
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with server_with_shapes() as started:
        yield started


@pytest.fixture
def world(postgres: Server) -> Iterator[PostgresWorld]:
    made = PostgresWorld(postgres, timeout=30)
    yield made
    made.close()


@pytest.fixture
def other(postgres: Server) -> Iterator[PostgresWorld]:
    made = PostgresWorld(postgres, timeout=30)
    yield made
    made.close()


def seeded(payments: int = 150) -> FakeDatabase:
    return random_world(random.Random(11), payments)  # noqa: S311 - the same world in each run


def rows_of(database: DatabasePort, *, everything: bool) -> list[PaidPayment]:
    with database.payment_pass(SINCE, UNTIL, everything=everything) as found:
        return list(found.rows)


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("everything", [True, False])
@pytest.mark.parametrize("way", Way)
def test_one_statement_and_many_pages_give_the_same(
    world: PostgresWorld, way: Way, everything: bool, indexed: bool
) -> None:
    seed = seeded()
    world.fill(seed)
    for statement in () if indexed else INDEXES:
        world.execute(statement)
    link = Link(parse_address(world.dsn(), timeout_seconds=30, application_name="kcfix test"), 30)
    try:
        with link.reading("reading the schema") as cursor:
            schema = read_schema(cursor, Flow(), link.address)
        with payment_pass(link, schema, (link, schema), SINCE, UNTIL, everything=everything, way=way) as found:
            rows = list(found.rows)
    finally:
        link.close()
    assert rows == rows_of(seed, everything=everything)
    assert any(row.purchase_id for row in rows) == everything


@pytest.mark.parametrize("everything", [True, False])
def test_payments_in_another_database_give_the_same(
    world: PostgresWorld, other: PostgresWorld, everything: bool
) -> None:
    seed = seeded()
    _apart(seed, world, other)
    database = world.again(payments_dsn=other.dsn())
    assert rows_of(database, everything=everything) == rows_of(seed, everything=everything)


def _apart(seed: FakeDatabase, world: PostgresWorld, other: PostgresWorld) -> None:
    """The payments in `other`, everything else in `world`."""
    world.fill(seed)
    world.execute("DROP TABLE payments CASCADE")
    other.fill(seed)
    for table in ("tutoring_sessions", "trainer_allocations", "student_course_purchases", "courses"):
        other.execute(f"DROP TABLE {table} CASCADE")


# as a process


def _kcfix(world: PostgresWorld, folder: Path, *words: str, **settings: str) -> subprocess.Popen[str]:
    silent = ("--brokers", "127.0.0.1:1", "--docker-host", f"unix://{folder}/none.sock")
    return subprocess.Popen(
        [sys.executable, "-m", "kcfix", "missing", *words, *silent],
        cwd=folder,
        env={**os.environ, "XDG_STATE_HOME": str(folder), "KCFIX_DSN": world.dsn(), **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _recent() -> FakeDatabase:
    """Seven payments of today: settled but for the last two."""
    seed, now = FakeDatabase(), datetime.now(UTC)
    for n in range(1, 8):
        paid = seed.payment(n, paid_at=now - timedelta(hours=n))
        if n < 6:
            seed.allocation(seed.purchase(paid), status="approved", sessions=20)
    return seed


def test_missing_and_its_certificate_see_payments_in_another_database(
    world: PostgresWorld, other: PostgresWorld, tmp_path: Path
) -> None:
    seed = _recent()
    _apart(seed, world, other)
    run = _kcfix(world, tmp_path, "-q", KCFIX_PAYMENTS_DSN=other.dsn())
    out, err = run.communicate(timeout=60)
    assert (run.returncode, out.split()) == (1, [seed.payments[6].id, seed.payments[5].id]), err
    run = _kcfix(world, tmp_path, "--certify", "-o", "json", KCFIX_PAYMENTS_DSN=other.dsn())
    out, err = run.communicate(timeout=60)
    [row] = json.loads(out)["data"]
    assert (row["payments"], row["with_one_purchase"], row["certified"]) == (7, 5, False), err
    assert [lacking["payment_id"] for lacking in row["lacking"]] == [seed.payments[6].id, seed.payments[5].id]
    assert row["payments_database"] != row["database"]


@pytest.mark.parametrize("held", ["tutoring_sessions", "processed_events"])
def test_an_interrupt_in_the_middle_of_the_pass_ends_it_here_and_at_the_server(
    world: PostgresWorld, tmp_path: Path, held: str
) -> None:
    """The first table stops the pass itself, the other one the reading of facts, with the pass in its transaction."""
    world.fill(_recent())
    with world.server.connect(world.name) as connection, connection.transaction():
        connection.execute(f"LOCK TABLE {held} IN ACCESS EXCLUSIVE MODE".encode())
        run = _kcfix(world, tmp_path, "--timeout", "30s")
        end = time.monotonic() + 30
        while not _sessions(world, "wait_event_type = 'Lock'"):
            assert time.monotonic() < end
            assert run.poll() is None
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=20)
        assert (run.returncode, out) == (130, ""), err
        assert len([line for line in err.splitlines() if line.strip()]) == 1, err
        assert "interrupted" in err
        end = time.monotonic() + 5
        while left := _sessions(world, "true"):
            assert time.monotonic() < end, left
            time.sleep(0.05)


def _sessions(world: PostgresWorld, condition: str) -> list[tuple[object, ...]]:
    query = f"""SELECT state, query FROM pg_stat_activity
                WHERE datname = %s AND application_name LIKE 'kcfix%%' AND {condition}"""  # noqa: S608
    with world.server.connect() as connection:
        return connection.execute(query.encode(), [world.name]).fetchall()


def test_processes_that_acknowledge_at_once_lose_none(world: PostgresWorld, tmp_path: Path) -> None:
    seed, now = FakeDatabase(), datetime.now(UTC)
    refunded = [seed.payment(n, paid_at=now - timedelta(hours=n), status="refunded").id for n in range(1, 13)]
    world.fill(seed)
    file = tmp_path / "shared" / "acknowledged.jsonl"
    runs = []
    for first in range(0, 12, 2):
        words = ("--ack", refunded[first], "--ack", refunded[first + 1], "--reason", f"by {first}: paid back")
        runs.append(_kcfix(world, tmp_path, *words, KCFIX_ACKNOWLEDGEMENTS=str(file)))
    for run in runs:
        _, err = run.communicate(timeout=60)
        assert run.returncode == 0, err
    written = [json.loads(line) for line in file.read_text().splitlines()]
    assert sorted(line["payment_id"] for line in written) == sorted(refunded)
    assert len({line["reason"] for line in written}) == len(runs)
