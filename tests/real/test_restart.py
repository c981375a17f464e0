"""`kcfix restart` on real servers: what a plain restart loses it does not, killed half way it finishes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from kcfix.drill import groups, workers
from kcfix.drill.buy import buy
from kcfix.drill.down import down
from kcfix.drill.engine import Engine
from kcfix.drill.faults import break_, mend
from kcfix.drill.state import Drill, Options, load
from kcfix.drill.up import up
from tests.real import offsets_world, repair_world
from tests.real.conftest import Kcfix, Ran, eventually
from tests.real.offsets_world import GROUP, TOPIC, die_after
from tests.real.repair_world import WORKER


@pytest.fixture(scope="module")
def system(own_state: Path | None) -> Iterator[Drill]:
    """A drill of this file's own, because its offsets matter."""
    if shared := os.environ.get("KCFIX_TEST_DRILL"):
        yield load(shared)
        return
    name = f"restart-{os.getpid()}"
    try:
        yield up(Options(name=name), lambda _: None)
    finally:
        down(name)


database, kcfix = repair_world.database, repair_world.kcfix


bare = offsets_world.bare


def start(system: Drill, engine: Engine) -> None:
    """The plain start that kcfix is there to replace; returns once the worker has joined."""
    since = time.time()
    engine.start(system, WORKER)
    groups.wait_joined(system, GROUP, since=since)


def purchases(database: psycopg.Connection, ids: Sequence[str]) -> list[int]:
    """How many purchases, active or not, each payment's student and course has."""
    rows = database.execute(
        """select p.id::text, (select count(*) from student_course_purchases c where c.student_id = p.student_id
             and c.course_id::text = lower(p.metadata->>'courseId')) from payments p where p.id = any(%s::uuid[])""",
        (list(ids),),
    ).fetchall()
    found: dict[str, int] = dict(rows)
    return [found[i] for i in ids]


def restart(kcfix: Kcfix, *words: str, timeout: float = 180) -> Ran:
    """Restart the purchase-worker for real."""
    return kcfix("restart", WORKER, "--yes", "-o", "json", *words, timeout=timeout)


def running(system: Drill, engine: Engine) -> bool:
    """Whether the worker's container runs."""
    return bool(engine.container(system, WORKER).status == "running")


@pytest.mark.usefixtures("bare")
def test_what_a_plain_start_loses_is_handled_after_restart(
    system: Drill, engine: Engine, kcfix: Kcfix, database: psycopg.Connection
) -> None:
    ids = [i for p in range(3) for i in buy(system, 2, partition=p)]
    start(system, engine)
    time.sleep(3)
    assert purchases(database, ids) == [0] * 6, "start-at-latest skips what waits: this is the incident"
    assert groups.committed(system, GROUP, TOPIC) == {}
    ran = restart(kcfix)
    assert ran.code == 0, ran.err
    [row] = ran.rows
    assert (row["way"], row["outcome"], row["skipped"]) == ("PIN", "WORKING", [])
    assert {m["payment_id"] for p in row["partitions"] for m in p["unsettled"]} >= set(ids)
    eventually(lambda: purchases(database, ids) == [1] * 6)
    assert sorted(groups.committed(system, GROUP, TOPIC)) == [0, 1, 2]
    plain = restart(kcfix)
    assert plain.code == 0, plain.err
    assert (plain.rows[0]["way"], plain.rows[0]["proven"]) == ("RESTART", True)
    assert purchases(database, ids) == [1] * 6


def test_all_workers_come_back_in_the_order_of_the_flow(
    system: Drill, engine: Engine, kcfix: Kcfix, database: psycopg.Connection
) -> None:
    engine.start(system, WORKER)
    ids = buy(system, 2)
    ran = kcfix("restart", "--all", "--yes", "-o", "json", timeout=300)
    assert ran.code == 0, ran.err
    assert [row["worker"] for row in ran.rows] == [WORKER, "allocation-worker", "session-worker", "cache-worker"]
    assert all(row["proven"] for row in ran.rows)
    assert purchases(database, ids) == [1, 1]
    again = buy(system, 1)
    eventually(lambda: purchases(database, again) == [1])


@pytest.mark.usefixtures("bare")
def test_payments_that_succeed_all_through_the_restart_each_get_one_purchase(
    system: Drill, engine: Engine, kcfix: Kcfix, database: psycopg.Connection
) -> None:
    start(system, engine)
    ids: list[str] = []
    over = threading.Event()

    def customers() -> None:
        while not over.is_set():
            ids.extend(buy(system, 1))
            time.sleep(0.2)

    buying = threading.Thread(target=customers)
    buying.start()
    try:
        ran = restart(kcfix)
    finally:
        over.set()
        buying.join()
    assert ran.code == 0, ran.err
    assert ran.rows[0]["skipped"] == []
    assert len(ids) > 5
    eventually(lambda: purchases(database, ids) == [1] * len(ids))


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("port", "call", "count", "committed"),
    [("docker", "stop", 1, 0), ("kafka", "commit", 1, 1)],
)
def test_killed_half_way_the_next_run_finishes(
    port: str,
    call: str,
    count: int,
    committed: int,
    system: Drill,
    engine: Engine,
    kcfix: Kcfix,
    database: psycopg.Connection,
    tmp_path: Path,
) -> None:
    start(system, engine)
    groups.wait_settled(system, [GROUP])
    engine.stop(system, WORKER, grace_seconds=30)
    ids = [i for p in range(3) for i in buy(system, 1, partition=p)]
    start(system, engine)
    die_after(port, call, count, system, tmp_path, "restart", WORKER, "--yes")
    assert not running(system, engine)
    assert len(groups.committed(system, GROUP, TOPIC)) == committed
    later = [i for p in range(3) for i in buy(system, 1, partition=p)]
    ran = restart(kcfix)
    assert ran.code == 0, ran.err
    eventually(lambda: purchases(database, [*ids, *later]) == [1] * 6)
    assert "kill" in kcfix("history").out.lower() or "unfinished" in kcfix("history").out.lower()


@pytest.mark.usefixtures("bare")
def test_a_poison_between_good_payments_is_never_pinned_onto(
    system: Drill, engine: Engine, kcfix: Kcfix, database: psycopg.Connection
) -> None:
    earlier = datetime.now(UTC) - timedelta(minutes=5)  # a younger one is in flight to `repair`
    [good] = buy(system, 1, partition=0, at=earlier)
    [poison] = buy(system, 1, partition=0, at=earlier, tier=12)
    [behind] = buy(system, 1, partition=0, at=earlier)
    refused = restart(kcfix)
    assert refused.code == 5, refused.err
    assert not running(system, engine)
    assert groups.committed(system, GROUP, TOPIC) == {}
    [problem] = refused.document["errors"]
    assert poison in problem["message"]
    assert f"repair {good} --apply" in problem["hint"]
    repaired = kcfix("repair", good, "--apply", "--yes", "-o", "json")
    assert purchases(database, [good]) == [1], repaired.err
    ran = restart(kcfix)
    assert ran.code == 0, ran.err
    eventually(lambda: purchases(database, [good, poison, behind]) == [1, 0, 1])
    assert any(poison in note for note in ran.rows[0]["notes"])


@pytest.mark.usefixtures("bare")
def test_a_ghost_of_a_killed_worker_is_waited_for(
    system: Drill, engine: Engine, kcfix: Kcfix, database: psycopg.Connection
) -> None:
    start(system, engine)
    time.sleep(2)
    engine.kill(system, WORKER)
    ids = buy(system, 1, partition=1)
    ran = restart(kcfix)
    assert ran.code == 0, ran.err
    assert ran.seconds > 10, "the ghost stays until its session ends"
    eventually(lambda: purchases(database, ids) == [1])


@pytest.mark.usefixtures("bare")
def test_a_removed_worker_is_pinned_before_the_line_that_makes_it(
    system: Drill, engine: Engine, kcfix: Kcfix, database: psycopg.Connection
) -> None:
    ids = [i for p in range(3) for i in buy(system, 1, partition=p)]
    engine.remove(system, WORKER)
    try:
        asked = kcfix("restart", WORKER)
        assert asked.code == 3, asked.err
        assert groups.committed(system, GROUP, TOPIC) == {}
        done = kcfix("restart", WORKER, "--apply", "--yes", "-o", "json")
        assert done.code == 6, done.err
        line = done.rows[0]["up_command"]
        assert line.startswith(f"docker compose -p {system.project} -f {system.data_folder}")
        assert line.endswith("up -d purchase-worker")
        assert line in asked.out
        assert len(groups.committed(system, GROUP, TOPIC)) == 3
    finally:
        workers.create(engine, system, WORKER)
    eventually(lambda: purchases(database, ids) == [1] * 3, seconds=60)


def test_a_worker_that_crashes_is_not_called_working(system: Drill, kcfix: Kcfix) -> None:
    break_(system, "worker-crash-looping")
    try:
        ran = restart(kcfix, "--wait", "15s")
        assert ran.code == 6, ran.err
        [row] = ran.rows
        assert (row["outcome"], row["proven"]) == ("UNPROVEN", False)
        assert row["work_reasons"]
    finally:
        mend(system, "worker-crash-looping")


@pytest.mark.usefixtures("bare")
def test_nothing_is_touched_where_payments_or_offsets_can_t_be_read(
    system: Drill, engine: Engine, kcfix: Kcfix
) -> None:
    ids = buy(system, 1, partition=2)
    for fault in ("database-down", "broker-down"):
        break_(system, fault)
        try:
            ran = restart(kcfix)
            assert ran.code == 5, ran.err
            assert "--accept-skip" in ran.document["errors"][0]["message"]
            assert not running(system, engine)
        finally:
            mend(system, fault)
    assert restart(kcfix).code == 0
    with psycopg.connect(system.dsn, autocommit=True) as fresh:
        eventually(lambda: purchases(fresh, ids) == [1])
