"""`kcfix missing` where PostgreSQL has no shared memory for a parallel plan: a container has 64 MB unless told more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from kcfix.adapters.postgres_address import parse_address
from kcfix.adapters.postgres_link import Link
from kcfix.adapters.postgres_pass import Way, payment_pass
from kcfix.adapters.postgres_schema import read_schema
from kcfix.core.ports import PaidPayment
from kcfix.drill.buy import buy
from kcfix.drill.engine import Engine
from kcfix.drill.state import POSTGRES, Drill
from kcfix.flow import Flow
from tests.real import repair_world
from tests.real.repair_world import ago

system, database = repair_world.system, repair_world.database
FREE_PARALLEL = ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size")
"""At no cost even a small table is read in parallel."""
FILL = "dd if=/dev/zero of=/dev/shm/full bs=1M 2>/dev/null; test -s /dev/shm/full"


@pytest.fixture
def unsent(system: Drill) -> list[str]:
    """Two payments without purchase, the older one first."""
    return [buy(system, 1, unsent=True, at=ago(minutes=minutes))[0] for minutes in (30, 20)]


@pytest.fixture
def full(system: Drill, engine: Engine, database: psycopg.Connection, unsent: list[str]) -> Iterator[list[str]]:
    """Plans are parallel, and the database's /dev/shm is full."""
    container = engine.container(system, POSTGRES)
    name = database.info.dbname
    for setting in FREE_PARALLEL:
        database.execute(f"ALTER DATABASE {name} SET {setting} = 0".encode())
    try:
        assert container.exec_run(["/bin/sh", "-c", FILL], user="root").exit_code == 0
        yield unsent
    finally:
        container.exec_run(["/bin/sh", "-c", "rm -f /dev/shm/full"], user="root")
        for setting in FREE_PARALLEL:
            database.execute(f"ALTER DATABASE {name} RESET {setting}".encode())


def every(system: Drill) -> list[PaidPayment]:
    """All payments of the last hour, by the one statement."""
    link = Link(parse_address(system.dsn, timeout_seconds=30, application_name="kcfix test"), 30)
    since, until = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC)
    try:
        with link.reading("reading the schema") as cursor:
            schema = read_schema(cursor, Flow(), link.address)
        with payment_pass(link, schema, (link, schema), since, until, everything=True, way=Way.WHOLE) as found:
            return list(found.rows)
    finally:
        link.close()


def test_what_can_not_be_read_in_parallel_is_read_by_one_process(system: Drill, full: list[str]) -> None:
    with psycopg.connect(system.dsn) as connection, pytest.raises(psycopg.errors.DiskFull):
        connection.execute("SELECT count(*) FROM payments JOIN student_course_purchases USING (student_id)")
    assert [row.payment_id for row in every(system) if row.payment_id in full] == full
