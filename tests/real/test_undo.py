"""`kcfix undo` on real servers: what was not announced is taken back, once, whoever else is at work and dies."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kcfix.adapters.journal_file import open_journal
from kcfix.core.events import own_purchase_id
from kcfix.core.payments import PaymentId
from kcfix.drill import groups
from kcfix.drill.buy import buy
from kcfix.drill.engine import Engine
from kcfix.drill.state import Drill
from kcfix.drill.wire import records
from tests.real import repair_world
from tests.real.conftest import AFTER_A_BROKER_RESTART, Kcfix, Ran, eventually
from tests.real.repair_world import WORKER, ago, allocations, die_at, purchases

system, database = repair_world.system, repair_world.database
kcfix, stopped = repair_world.kcfix, repair_world.stopped

GROUP, TOPIC = "purchase-creation-workers", "purchase-confirmed"
LATER = ("--strategy", "insert", "--announce-later", "--apply", "--yes", "-o", "json")


def undo(kcfix: Kcfix, run: str, **options: Any) -> Ran:
    """Undo for real."""
    return kcfix("undo", run, "--apply", "--yes", "-o", "json", **options)


def told(ran: Ran) -> list[tuple[Any, Any, Any]]:
    """Kind, action and outcome of each step, newest first."""
    return [(row["kind"], row["action"], row["outcome"]) for row in ran.rows]


def newest(kcfix: Kcfix) -> str:
    """The id of the newest run."""
    return str(kcfix("history", "-o", "json").rows[0]["run"])


def insert_later(kcfix: Kcfix, ids: Sequence[str]) -> str:
    """A run that inserted purchases for these payments and announced none."""
    ran = kcfix("repair", *ids, *LATER)
    assert [row["outcome"] for row in ran.rows] == ["UNANNOUNCED"] * len(ids), ran.out + ran.err
    return str(ran.document["summary"]["run_id"])


def announced(system: Drill, ids: Sequence[str]) -> list[bool]:
    """Whether the topic tells of kcfix's own purchase of each payment."""
    values = b"\n".join(r.value or b"" for r in records(system, "purchase-created"))
    return [own_purchase_id(PaymentId(i)).encode() in values for i in ids]


@pytest.mark.usefixtures("stopped")
def test_an_insert_that_waits_for_kafka_is_taken_back_once_the_log_can_be_read(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection, engine: Engine
) -> None:
    # On partitions with a committed offset: nothing that comes before the workers are back is skipped.
    ids = [buy(system, 1, unemitted=True, at=ago(minutes=5), partition=p)[0] for p in (0, 1)]
    engine.stop(system, "kafka")
    try:
        run = insert_later(kcfix, ids)
        silent = undo(kcfix, run)
        assert (silent.code, told(silent)) == (4, [("insert", "UNKNOWN", None)] * 2), silent.out
        assert [purchases(database, i) for i in ids] == [1, 1]
    finally:
        engine.start(system, "kafka")
    ran = eventually(lambda: [r for r in [undo(kcfix, run)] if r.code == 0], seconds=60, every=2)[0]
    assert told(ran) == [("insert", "DELETE_PURCHASE", "UNDONE")] * 2
    assert [purchases(database, i) for i in ids] == [0, 0]
    assert told(undo(kcfix, run)) == [("insert", "NOTHING", None)] * 2

    repaired = kcfix("repair", *ids, "--apply", "--yes", "-o", "json")
    assert repaired.code == 0, repaired.out
    assert [purchases(database, i) for i in ids] == [1, 1]
    assert announced(system, ids) == [True, True]
    first = undo(kcfix, run)
    assert {action for _, action, _ in told(first)} == {"NOTHING"}, first.out
    refused = undo(kcfix, repaired.document["summary"]["run_id"])
    assert refused.code == 5, refused.out
    assert {action for _, action, _ in told(refused)} == {"CANNOT"}
    assert [purchases(database, i) for i in ids] == [1, 1]
    eventually(lambda: [allocations(database, i) for i in ids] == [1, 1], seconds=AFTER_A_BROKER_RESTART)


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("point", ["before-insert", "after-insert", "before-lock"])
def test_a_repair_that_was_killed_before_it_announced_is_taken_back(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection, tmp_path: Path, point: str
) -> None:
    [paid] = buy(system, 1, unsent=True, at=ago(minutes=5))
    die_at(point, system, tmp_path, paid)
    run = newest(kcfix)
    ran = undo(kcfix, run)
    assert "killed or is still running" in ran.document["warnings"][0]
    if point == "before-insert":
        # Nobody can tell a killed run from one whose insert is under way.
        assert (ran.code, told(ran)) == (4, [("insert", "UNKNOWN", None)])
    else:
        assert (ran.code, told(ran)) == (0, [("insert", "DELETE_PURCHASE", "UNDONE")]), ran.out
    assert purchases(database, paid) == 0
    assert announced(system, [paid]) == [False]


@pytest.mark.usefixtures("stopped")
def test_a_repair_that_was_killed_while_it_sent_is_left_alone_for_a_while(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection, tmp_path: Path
) -> None:
    [paid] = buy(system, 1, unsent=True, at=ago(minutes=5))
    die_at("before-send", system, tmp_path, paid)
    ran = undo(kcfix, newest(kcfix))
    assert (ran.code, purchases(database, paid)) == (4, 1), ran.out
    assert "may be on its way" in ran.rows[1]["why"]


DYING = """
import os, signal, sys
from kcfix.main import main
from kcfix.services import Services

when = sys.argv[1]
opener = Services._open_database

class Dying:
    def __init__(self, port): self._port = port
    def __getattr__(self, wanted):
        real = getattr(self._port, wanted)
        if wanted != "delete": return real
        def call(*given, **named):
            if when == "after": real(*given, **named)
            os.kill(os.getpid(), signal.SIGKILL)
        return call

Services._open_database = lambda services: Dying(opener(services))
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize(("when", "left"), [("before", [1, 1]), ("after", [1, 0])])
def test_an_undo_that_is_killed_is_finished_by_the_next(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection, tmp_path: Path, when: str, left: list[int]
) -> None:
    ids = buy(system, 2, unsent=True, at=ago(minutes=5))
    run = insert_later(kcfix, ids)
    words = ["-C", f"drill:{system.name}", "undo", run, "--apply", "--yes"]
    done = subprocess.run(
        [sys.executable, "-c", DYING, when, *words], cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert sorted(purchases(database, i) for i in ids) == sorted(left)
    assert kcfix("history", "-o", "json").rows[0]["finished"] is False
    assert undo(kcfix, run).code == 0
    assert [purchases(database, i) for i in ids] == [0, 0]


@pytest.mark.usefixtures("stopped")
def test_undos_at_once_take_back_no_more_than_there_is(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection
) -> None:
    ids = buy(system, 6, unsent=True, at=ago(minutes=5))
    run = insert_later(kcfix, ids)
    with ThreadPoolExecutor(3) as pool:
        runs = list(pool.map(lambda _: undo(kcfix, run), range(3)))
    assert {r.code for r in runs} <= {0, 4, 5, 6}, [r.err for r in runs]
    assert undo(kcfix, run).code == 0
    assert [purchases(database, i) for i in ids] == [0] * 6


@pytest.mark.usefixtures("stopped")
def test_an_undo_and_an_announcement_at_once_never_both_happen(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection
) -> None:
    ids = buy(system, 10, unsent=True, at=ago(minutes=5))
    run = insert_later(kcfix, ids)
    with ThreadPoolExecutor(2) as pool:
        repairing = pool.submit(kcfix, "repair", *ids, "--apply", "--yes", "-o", "json")
        undoing = pool.submit(undo, kcfix, run)
        codes = (repairing.result().code, undoing.result().code)
    assert set(codes) <= {0, 4, 5, 6}
    there = [purchases(database, i) == 1 for i in ids]
    assert announced(system, ids) == there, codes


def journalled(system: Drill, kcfix: Kcfix, own_state: Path, before: int | None, made: int) -> str:
    """A run of restart whose journal says that it committed `made` over `before` on partition 0."""
    folder = own_state / "kcfix" / "journal"
    assert folder.is_dir(), "kcfix keeps its journal elsewhere"
    journal = open_journal(folder, environ={}, now=lambda: datetime.now(UTC), secrets=frozenset)
    run = journal.begin(command="restart", context=f"drill:{system.name}", argv=("restart", WORKER))
    step = {"step": "commit", "group": GROUP, "topic": TOPIC, "partition": 0}
    run.done(run.intend({**step, "committed_offset_before": before, "committed_offset": made}), {"ok": True})
    run.end(0)
    return run.id


def test_a_moved_offset_is_put_back_while_the_worker_is_stopped(
    system: Drill, kcfix: Kcfix, engine: Engine, own_state: Path | None
) -> None:
    assert own_state is not None
    settled = groups.committed(system, GROUP, TOPIC)[0]
    run = journalled(system, kcfix, own_state, settled - 1, settled)
    running = undo(kcfix, run)
    assert running.code == 5, running.out
    assert "has a member" in running.rows[0]["why"]
    engine.stop(system, WORKER, grace_seconds=30)
    try:
        groups.wait_empty(system, GROUP)
        ran = undo(kcfix, run)
        assert (ran.code, told(ran)) == (0, [("commit", "COMMIT_OFFSET", "UNDONE")]), ran.out
        assert groups.committed(system, GROUP, TOPIC)[0] == settled - 1
        assert told(undo(kcfix, run)) == [("commit", "NOTHING", None)]
        back = undo(kcfix, newest_undo(kcfix))
        assert back.code == 0, back.out
        assert groups.committed(system, GROUP, TOPIC)[0] == settled
    finally:
        repair_world.start(system, engine)


def newest_undo(kcfix: Kcfix) -> str:
    """The id of the newest run of undo."""
    return next(str(r["run"]) for r in kcfix("history", "-o", "json").rows if r["command"] == "undo")


def test_the_pin_of_a_restart_stays_for_without_it_messages_would_be_skipped(
    system: Drill, kcfix: Kcfix, engine: Engine
) -> None:
    engine.stop(system, WORKER, grace_seconds=30)
    groups.wait_empty(system, GROUP)
    groups.forget(system, GROUP, TOPIC, [2])
    pinned = kcfix("restart", WORKER, "--yes", "-o", "json", timeout=180)
    assert pinned.rows[0]["way"] == "PIN", pinned.out
    run = newest(kcfix)
    engine.stop(system, WORKER, grace_seconds=30)
    try:
        groups.wait_empty(system, GROUP)
        before = groups.committed(system, GROUP, TOPIC)
        ran = undo(kcfix, run)
        assert ran.code == 5, ran.out
        kinds = {kind: (action, row["why"]) for (kind, action, _), row in zip(told(ran), ran.rows, strict=True)}
        assert kinds["commit"][0] == "CANNOT"
        assert "the next start would skip what waits" in kinds["commit"][1]
        assert kinds["start"][0] == "NOTHING"
        assert groups.committed(system, GROUP, TOPIC) == before
    finally:
        repair_world.start(system, engine)
