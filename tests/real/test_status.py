"""`kcfix status` on real servers: broken by real causes, one system silent at a time, nothing changed by looking."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kcfix.drill import groups
from kcfix.drill.buy import buy
from kcfix.drill.down import down
from kcfix.drill.engine import Engine
from kcfix.drill.faults import break_, mend
from kcfix.drill.state import KAFKA, POSTGRES, Drill, Options
from kcfix.drill.up import up
from kcfix.flow import Flow
from tests.real.conftest import Kcfix, Ran, eventually

FLOW = Flow()
EARLIER = timedelta(minutes=3)


@pytest.fixture(scope="module")
def system(own_state: Path | None) -> Iterator[Drill]:
    """A drill of this file's own: partition 0 protected, 1 and 2 not, and no payment but the one that was handled."""
    name = f"status-{os.getpid()}"
    try:
        drill = up(Options(name=name), lambda _: None)
        (first,) = buy(drill, 1, partition=0)
        with psycopg.connect(drill.dsn, autocommit=True) as database:
            eventually(lambda: _sessions(database, first))
        yield drill
    finally:
        down(name)


def _sessions(database: psycopg.Connection, payment: str) -> bool:
    found = database.execute(
        "SELECT 1 FROM tutoring_sessions JOIN payments USING (student_id) WHERE payments.id = %s", (payment,)
    )
    return found.fetchone() is not None


@pytest.fixture
def kcfix(system: Drill, tmp_path: Path) -> Kcfix:
    """Kcfix on this file's drill."""
    return Kcfix(tmp_path, f"drill:{system.name}")


@pytest.fixture
def broken(system: Drill) -> Iterator[Drill]:
    """The drill, mended after the test and without the payments that were left without a purchase."""
    yield system
    mend(system)
    with psycopg.connect(system.dsn) as database:
        database.execute(
            """DELETE FROM payments p WHERE NOT EXISTS
               (SELECT FROM student_course_purchases s WHERE s.student_id = p.student_id)"""
        )


def well(kcfix: Kcfix) -> Ran:
    """A look at which all is well; workers need a while to come back."""
    last: list[Ran] = []

    def look() -> bool:
        last.append(kcfix("status", "--json"))
        return last[-1].code == 0

    eventually(look, seconds=90, every=2)
    return last[-1]


def section(ran: Ran, name: str) -> list[dict[str, Any]]:
    return [row for row in ran.rows if row["section"] == name]


def worker(ran: Ran, name: str = "purchase-worker") -> dict[str, Any]:
    return next(row for row in section(ran, "worker") if row["worker"] == name)


def paid_earlier(drill: Drill, count: int = 1, **more: Any) -> list[str]:
    """Payments that are old enough to be a finding."""
    return buy(drill, count, at=datetime.now(UTC) - EARLIER, **more)


def test_a_system_that_works_is_well_and_a_look_changes_nothing(kcfix: Kcfix, system: Drill) -> None:
    before = groups.standing(system, FLOW.purchase_group)
    ran = well(kcfix)
    assert {w["work"] for w in section(ran, "worker")} <= {"WORKING", "IDLE"}
    assert worker(ran)["members"][0]["client_id"].startswith("purchase-worker-")
    assert section(ran, "payment") == []
    assert section(ran, "kafka")[0]["brokers"] == ["kafka:9092"]
    assert section(ran, "kafka")[0]["missing_topics"] == []
    assert section(ran, "database")[0]["unique_active_purchase"] == "VALID"
    assert section(ran, "container")[0]["service"] == "kafka"
    assert groups.standing(system, FLOW.purchase_group) == before
    assert system.password not in ran.out + ran.err


def test_a_stopped_worker_and_the_payments_that_it_left_behind(kcfix: Kcfix, broken: Drill) -> None:
    break_(broken, "worker-stopped")
    (waiting,), (at_risk,) = buy(broken, 1, partition=0), buy(broken, 1, partition=1)
    (unsent,), (lost,) = buy(broken, 1, unsent=True), buy(broken, 1, no_course=True)
    time.sleep(3)
    kcfix = Kcfix(kcfix.folder, kcfix.context, {"KCFIX_OVERDUE": "2s"})
    ran = kcfix("status", "--json")
    assert ran.code == 1
    rows = section(ran, "payment")
    assert [(row["payment_id"], row["verdict"]) for row in rows] == [
        (waiting, "PENDING"),
        (at_risk, "AT_RISK"),
        (unsent, "NEVER_SENT"),
        (lost, "NO_COURSE"),
    ]
    assert worker(ran)["work"] == "NOT_WORKING"
    assert worker(ran)["containers"][0]["exit_code"] == 0
    group = next(g for g in section(ran, "group") if g["group"] == FLOW.purchase_group)
    assert (group["state"], group["members"]) == ("EMPTY", 0)
    assert "purchase-confirmed-1" in group["unprotected_partitions"]
    quiet = kcfix("status", "-q")
    assert quiet.out == "".join(f"{i}\n" for i in (waiting, at_risk, unsent, lost))
    assert (quiet.code, quiet.err) == (1, "")
    text = kcfix("status")
    context = f"kcfix -C drill:{broken.name}"
    assert text.lines[-2:] == [f"  {context} repair {unsent}", f"  {context} restart purchase-worker"]
    repair = kcfix("repair", "-", "--json", stdin=quiet.out)
    assert {r["payment_id"]: r["verdict"] for r in repair.rows} == {r["payment_id"]: r["verdict"] for r in rows}


def test_a_removed_worker_is_missing(kcfix: Kcfix, broken: Drill) -> None:
    break_(broken, "worker-removed")
    ran = kcfix("status", "--json")
    assert (ran.code, worker(ran)["missing"], worker(ran)["health"]) == (1, True, "BAD")
    assert any("MISSING" in text and text.startswith("purchase-worker") for text in kcfix("status").lines)


def test_the_log_of_a_worker_that_keeps_crashing_is_the_next_thing_to_read(kcfix: Kcfix, broken: Drill) -> None:
    break_(broken, "worker-crash-looping")

    def crashing() -> Ran | None:
        ran = kcfix("status")
        return ran if "logs purchase-worker --errors" in ran.out else None

    ran = eventually(crashing, seconds=60, every=2)
    assert ran is not None
    assert ran.code == 1

    def between_crashes() -> bool:
        (row,) = worker(kcfix("status", "--json"))["containers"]
        return bool(row["state"] == "RESTARTING" and row["exit_code"] == 1 and row["restart_count"])

    eventually(between_crashes, seconds=60, every=1)


def test_a_broker_that_is_down_is_unknown_and_payments_are_listed_all_the_same(kcfix: Kcfix, broken: Drill) -> None:
    (unsent,) = paid_earlier(broken, unsent=True)
    break_(broken, "broker-down")
    ran = kcfix("status", "--json")
    assert ran.code == 1
    assert section(ran, "kafka")[0]["answers"] is False
    assert [(r["payment_id"], r["verdict"]) for r in section(ran, "payment")] == [(unsent, "UNKNOWN")]
    assert section(ran, "group") == []
    assert worker(ran)["health"] in ("UNKNOWN", "BAD")
    assert kcfix("status").lines[-1] == f"  docker start {broken.container(KAFKA)}"


def test_a_database_that_is_down_leaves_workers_and_groups(kcfix: Kcfix, broken: Drill) -> None:
    break_(broken, "database-down")
    ran = kcfix("status", "--json")
    assert ran.code == 1
    assert section(ran, "database")[0]["answers"] is False
    assert len(section(ran, "group")) == 4
    assert ran.document["summary"]["payments_without_purchase"] is None
    quiet = kcfix("status", "-q")
    assert (quiet.code, quiet.out) == (4, "")


@pytest.mark.parametrize(("service", "part"), [(KAFKA, "kafka"), (POSTGRES, "database")])
def test_a_server_that_accepts_and_never_answers_is_given_up_at_the_deadline(
    kcfix: Kcfix, system: Drill, engine: Engine, service: str, part: str
) -> None:
    server = engine.container(system, service)
    server.pause()
    try:
        ran = kcfix("status", "--json", "--timeout", "4s", timeout=60)
    finally:
        server.unpause()
    assert ran.code == 1
    assert section(ran, part)[0]["answers"] is False
    other = "database" if part == "kafka" else "kafka"
    assert section(ran, other)[0]["answers"] is True


def test_without_docker_groups_and_payments_still_tell(kcfix: Kcfix, system: Drill, tmp_path: Path) -> None:
    ran = kcfix("status", "--json", "--docker-host", f"unix://{tmp_path}/none.sock")
    assert ran.code == 1
    assert section(ran, "docker")[0]["answers"] is False
    assert len(section(ran, "group")) == 4
    assert worker(ran)["missing"] is None


def test_where_no_system_answers_the_exit_code_is_4(kcfix_anywhere: Kcfix, tmp_path: Path) -> None:
    ran = kcfix_anywhere(
        "status",
        "--docker-host",
        f"unix://{tmp_path}/none.sock",
        "--brokers",
        "127.0.0.1:1",
        environ={"KCFIX_DSN": "postgresql://someone:secret-of-a-test@127.0.0.1:1/none"},
    )
    assert ran.code == 4
    assert "secret-of-a-test" not in ran.out + ran.err
    assert "Traceback" not in ran.err
