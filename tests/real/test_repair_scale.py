"""`kcfix repair` of many payments on real servers: exactly once, whatever the schema and whoever else is at work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kcfix.drill.buy import buy
from kcfix.drill.engine import Engine
from kcfix.drill.state import Drill
from tests.real import repair_world
from tests.real.conftest import Kcfix, Ran, eventually
from tests.real.repair_world import WORKER, ago, allocations, purchases, start

system, database = repair_world.system, repair_world.database
kcfix, stopped = repair_world.kcfix, repair_world.stopped


def apply(kcfix: Kcfix, *words: str, **options: Any) -> Ran:
    """Repair for real."""
    return kcfix("repair", *words, "--apply", "--yes", "-o", "json", **options)


def run_sql(database: psycopg.Connection, file: str) -> None:
    """One of the drill's own SQL files."""
    database.execute((resources.files("kcfix.drill") / "sql" / file).read_bytes())


@pytest.fixture(params=["A", "B", "C"])
def shape(request: pytest.FixtureRequest, database: psycopg.Connection) -> Iterator[str]:
    """processed_events in one of its shapes (docs/system.md 1.3)."""
    wanted: str = request.param
    database.execute("drop table processed_events")
    run_sql(database, f"processed_events_{wanted.lower()}.sql")
    yield wanted
    database.execute("drop table processed_events")
    run_sql(database, "processed_events_c.sql")


@pytest.fixture(params=[True, False], ids=["unique index", "no unique index"])
def unique_index(request: pytest.FixtureRequest, database: psycopg.Connection) -> Iterator[bool]:
    """Whether `unique_active_purchase` is there."""
    if not request.param:
        database.execute("drop index unique_active_purchase")
    yield request.param
    if not request.param:
        run_sql(database, "unique_active_purchase.sql")


def test_each_payment_has_one_purchase_whatever_the_schema_with_two_operators_and_the_worker(
    system: Drill,
    kcfix: Kcfix,
    database: psycopg.Connection,
    engine: Engine,
    shape: str,
    unique_index: bool,
) -> None:
    engine.stop(system, WORKER)
    waiting = [*buy(system, 3, partition=0, at=ago(minutes=5)), *buy(system, 3, partition=1, at=ago(minutes=5))]
    lost = [*buy(system, 3, unsent=True, at=ago(minutes=6)), *buy(system, 3, unemitted=True, at=ago(minutes=7))]
    ids = [*waiting, *lost]
    with ThreadPoolExecutor(3) as pool:
        worker = pool.submit(start, system, engine)
        time.sleep(1.5)
        runs = list(pool.map(lambda _: apply(kcfix, *ids, "--strategy", "insert"), range(2)))
        worker.result()
    assert {r.code for r in runs} <= {0, 4, 5, 6}, [r.err for r in runs]
    last = eventually(lambda: [r for r in [apply(kcfix, *ids)] if r.code == 0], seconds=60, every=2)[0]
    assert {row["verdict"] for row in last.rows} <= {"PURCHASED", "UNANNOUNCED"}, last.out
    time.sleep(2)
    assert [purchases(database, i) for i in ids] == [1] * 12


@pytest.mark.usefixtures("stopped")
def test_a_plan_is_applied_by_another_run_and_what_changed_meanwhile_is_named(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection, tmp_path: Path
) -> None:
    ids = buy(system, 4, unsent=True, at=ago(minutes=5))
    file = tmp_path / "plan.json"
    planned = kcfix("repair", *ids, "--plan", str(file))
    assert planned.code == 0, planned.err
    document = json.loads(file.read_text())
    assert document["system"]["cluster_id"] == system.cluster_id
    assert document["system"]["database_identifier"].isdigit()
    database.execute("update payments set status = 'refunded' where id = %s", (ids[1],))
    ran = kcfix("repair", "--apply-plan", str(file), "--yes", "-o", "json")
    assert ran.code == 6, ran.err
    rows = {row["payment_id"]: row for row in ran.rows}
    assert "payment.status was succeeded, is refunded" in rows[ids[1]]["why"]
    assert [purchases(database, i) for i in ids] == [1, 0, 1, 1]
    eventually(lambda: [allocations(database, i) for i in ids] == [1, 0, 1, 1])


@pytest.mark.usefixtures("stopped")
def test_a_person_names_course_and_tier(system: Drill, kcfix: Kcfix, database: psycopg.Connection) -> None:
    [course] = database.execute("select id::text from courses order by id limit 1").fetchall()[0]
    [paid] = buy(system, 1, no_course=True, tier=12, at=ago(minutes=5))
    assert kcfix("repair", paid, "-o", "json").rows[0]["verdict"] == "NO_COURSE"
    words = ("--course", course, "--tier", "10", "--reason", "asked the customer")
    ran = apply(kcfix, paid, *words)
    assert ran.code == 0, ran.out + ran.err
    made = database.execute(
        """select c.purchase_tier, c.course_id::text from student_course_purchases c
           join payments p on p.student_id = c.student_id where p.id = %s""",
        (paid,),
    ).fetchall()
    assert made == [(10, course)]
    for more in ((), words):
        again = apply(kcfix, paid, *more)
        assert (again.code, again.rows[0]["verdict"], again.rows[0]["changed"]) == (0, "PURCHASED", False)


@pytest.mark.usefixtures("stopped")
def test_a_run_that_is_killed_on_its_way_is_finished_by_the_next(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection, tmp_path: Path
) -> None:
    ids = buy(system, 40, unsent=True, at=ago(minutes=5))
    words = ["-C", f"drill:{system.name}", "repair", *ids, "--apply", "--yes", "--rate", "4"]

    def made() -> int:
        return sum(purchases(database, i) for i in ids)

    for _ in range(3):
        before = made()
        process = subprocess.Popen([sys.executable, "-m", "kcfix", *words], cwd=tmp_path, env=dict(os.environ))
        deadline = time.monotonic() + 30
        while made() == before and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert 0 < made() < 40
    ran = apply(kcfix, *ids)
    assert ran.code == 0, ran.out + ran.err
    assert [purchases(database, i) for i in ids] == [1] * 40
    eventually(lambda: all(allocations(database, i) == 1 for i in ids), seconds=60)


@pytest.mark.usefixtures("stopped")
def test_what_was_inserted_is_followed_to_its_trainer_and_sessions(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection
) -> None:
    ids = buy(system, 2, unsent=True, at=ago(minutes=6))
    ran = apply(kcfix, *ids, "--wait", "60s", timeout=120)
    assert ran.code == 0, ran.err
    for row in ran.rows:
        assert (row["action"], row["outcome"]) == ("INSERT", "SETTLED")
        assert row["sessions"] > 0
        [(allocation,)] = database.execute(
            """select a.id::text from trainer_allocations a join payments p on p.student_id = a.student_id
               where p.id = %s and a.status = 'approved'""",
            (row["payment_id"],),
        ).fetchall()
        assert row["allocation_id"] == allocation
