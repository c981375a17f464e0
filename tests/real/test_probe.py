"""`kcfix probe` on real servers: through the whole pipe, killed in it, and following a real payment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import psycopg
import pytest

from kcfix.core.probe import MARK
from kcfix.drill.buy import buy
from kcfix.drill.faults import break_
from kcfix.drill.state import Drill
from tests.real.conftest import Kcfix, eventually

APPLY = ("probe", "--apply", "--yes", "--reason", "a test")


def probes(database: psycopg.Connection) -> list[str]:
    rows = database.execute("SELECT id::text FROM payments WHERE provider = 'kcfix-probe' ORDER BY created_at")
    return [id for (id,) in rows]


def purchased(kcfix: Kcfix, id: str) -> bool:
    return kcfix("trace", id, "-q").out.strip() == "PURCHASED"


def test_a_probe_goes_through_every_stage_and_all_of_it_is_there(
    kcfix: Kcfix, whole: Drill, database: psycopg.Connection
) -> None:
    plan = kcfix("probe")
    assert plan.code == 0, plan.err
    before = probes(database)
    ran = kcfix(*APPLY, "-o", "json")
    assert ran.code == 0, ran.out + ran.err
    summary = ran.document["summary"]
    id = summary["payment_id"]
    assert id.startswith(MARK)
    assert probes(database) == [*before, id]
    stages = {row["stage"]: row for row in ran.rows}
    assert {name: row["state"] for name, row in stages.items() if name != "NOTIFICATION"} == dict.fromkeys(
        ("PAYMENT", "EVENT", "PURCHASE", "ANNOUNCEMENT", "ALLOCATION", "SESSIONS"), "DONE"
    )
    times = [stages[name]["after_seconds"] for name in ("PAYMENT", "EVENT", "PURCHASE", "ANNOUNCEMENT", "SESSIONS")]
    assert times[0] == 0
    assert all(0 <= t < 60 for t in times), times
    (sessions,) = database.execute(
        """SELECT count(*) FROM tutoring_sessions s JOIN payments p USING (student_id) WHERE p.id = %s""", [id]
    ).fetchone() or (0,)
    assert any(f"{sessions} sessions" in left for left in summary["left_behind"])
    assert kcfix("trace", id, "-q").out.strip() == "PURCHASED"
    again = kcfix("probe", "-o", "json").document["summary"]["earlier_probes"]
    assert next(e for e in again if e["payment_id"] == id)["verdict"] == "PURCHASED"


def test_with_the_worker_stopped_it_is_6_and_comes_through_later(
    kcfix: Kcfix, whole: Drill, database: psycopg.Connection
) -> None:
    kcfix(*APPLY)  # so that every partition that it may fall on is protected, or the next one says so
    break_(whole, "worker-stopped")
    ran = kcfix(*APPLY, "--wait", "2s", "-o", "json")
    assert ran.code == 6
    id = ran.document["summary"]["payment_id"]
    told = kcfix("probe")
    assert id in told.out
    assert f"repair {id}" in told.out


@pytest.mark.parametrize("delay", [0.3, 0.6, 0.9, 1.2])
def test_killed_at_some_instant_the_next_run_tells_what_is_there(
    kcfix: Kcfix, whole: Drill, database: psycopg.Connection, delay: float
) -> None:
    before = set(probes(database))
    process = subprocess.Popen(
        [sys.executable, "-m", "kcfix", "-C", str(kcfix.context), *APPLY],
        cwd=kcfix.folder,
        env={**os.environ, **kcfix.environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = set(probes(database)) - before
    told = kcfix("probe", "-o", "json")
    assert told.code == 0, told.err
    listed = {e["payment_id"]: e["verdict"] for e in told.document["summary"]["earlier_probes"]}
    assert left <= listed.keys()
    for id in left:
        kcfix("repair", id, "--apply", "--yes", "--older-than", "0s")
        eventually(partial(purchased, kcfix, id), seconds=60, every=1)


def test_passive_follows_the_next_payment_that_succeeds(kcfix: Kcfix, whole: Drill) -> None:
    bought: list[str] = []
    buyer = threading.Timer(3, lambda: bought.extend(buy(whole, 1)))
    buyer.start()
    ran = kcfix("probe", "--passive", "--wait", "60s", "-o", "json")
    buyer.join()
    assert ran.code == 0, ran.out + ran.err
    assert [ran.document["summary"]["payment_id"]] == bought
    assert ran.document["summary"]["came_through"] is True


def test_without_the_leave_of_its_file_nothing_is_made_up(
    kcfix_anywhere: Kcfix, drill: Drill, database: psycopg.Connection
) -> None:
    before = probes(database)
    ran = kcfix_anywhere(
        *APPLY, "--brokers", ",".join(drill.brokers), environ={"KCFIX_DSN": drill.dsn, "KCFIX_PROBE": "true"}
    )
    assert ran.code == 5
    assert probes(database) == before
