"""`kcfix trace` on real servers: each payment's story as it really went, and nothing changed by reading it."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

from kcfix.core.events import Message, build_message, murmur2_partition
from kcfix.drill import groups, wire
from kcfix.drill.buy import buy
from kcfix.drill.engine import Engine
from kcfix.drill.state import Drill
from kcfix.flow import Flow
from tests.real import repair_world
from tests.real.conftest import Kcfix, Ran, eventually
from tests.real.repair_world import WORKER, ago, allocations, purchases, start

FLOW = Flow()
system, database = repair_world.system, repair_world.database
kcfix, stopped = repair_world.kcfix, repair_world.stopped


def told(ran: Ran) -> dict[str, Any]:
    """The row of the one payment."""
    [row] = ran.rows
    return row


def world(system: Drill, database: psycopg.Connection) -> tuple[object, ...]:
    """All that a reading could have changed: log ends, committed offsets, rows."""
    ends = [wire.ends(system, topic) for topic in FLOW.topics]
    committed = [groups.committed(system, stage.group, topic) for stage in FLOW.stages for topic in stage.topics]
    counts = [
        database.execute(f"select count(*) from {table}".encode()).fetchone()  # noqa: S608 - names of this file
        for table in ("payments", "student_course_purchases", "trainer_allocations", "processed_events")
    ]
    return ends, committed, counts


def test_a_settled_payment_is_told_through_every_stage(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection
) -> None:
    [paid] = buy(system, 1, partition=0)
    eventually(lambda: allocations(database, paid) == 1)
    before: list[Ran] = []

    def passed() -> bool:
        before.append(kcfix("trace", paid, "-o", "json"))
        row = told(before[-1])
        # The drill has no notification-worker.
        reached = [g["reach"] for r in row["records"] for g in r["groups"] if g["group"] != FLOW.notification_group]
        return row["verdict"] == "PURCHASED" and set(reached) == {"PASSED"}

    eventually(passed)
    untouched = world(system, database)
    ran = kcfix("trace", paid, "-o", "json")
    assert world(system, database) == untouched
    row = told(ran)
    assert (ran.code, row["verdict"]) == (0, "PURCHASED"), ran.out
    assert (row["maker"]["maker"], row["maker"]["sure"]) == ("WORKER", True)
    states = {s["stage"]: s["state"] for s in row["stages"]}
    assert set(states.values()) - {"NOT_SEEN"} == {"DONE"}, states
    topics = [r["topic"] for r in row["records"]]
    assert topics.count("trainer-allocated") == 2
    assert {"purchase-confirmed", "purchase-created", "course-access-granted", "sessions-generated"} <= set(topics)
    confirmed = row["records"][0]
    assert confirmed["headers"]["correlationId"] == paid == confirmed["key"]
    [group] = confirmed["groups"]
    assert (group["reach"], group["container"]) == ("PASSED", f"{system.project}-{WORKER}")
    assert row["prognosis"]["heals"] == "SETTLED"
    assert row["unknown"] == []
    assert {m["source"] for m in row["timeline"]} >= {"payments", "student_course_purchases", "tutoring_sessions"}
    moments = [m["at"] for m in row["timeline"]]
    assert moments == sorted(moments)
    assert 0 <= row["waited_seconds"] < 30
    assert ran.seconds < 10  # mostly 1.3; the host may be busy


def test_a_skipped_payment_is_told_with_its_way_out(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection, engine: Engine
) -> None:
    engine.stop(system, WORKER)
    [paid] = buy(system, 1, partition=2, at=ago(minutes=5))
    start(system, engine)
    ran = kcfix("trace", paid, "-o", "json")
    row = told(ran)
    assert (ran.code, row["verdict"]) == (1, "SKIPPED"), ran.out
    complete = f"kcfix -C drill:{system.name} repair {paid}"
    assert row["prognosis"]["commands"] == [complete]
    assert {s["stage"]: s["state"] for s in row["stages"]}["EVENT"] == "UNPROTECTED"
    assert complete in kcfix("trace", paid).out
    assert purchases(database, paid) == 0


@pytest.mark.usefixtures("stopped")
def test_a_purchase_that_a_script_made_is_known_by_its_rows(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection
) -> None:
    [paid] = buy(system, 1, unsent=True, at=ago(minutes=14))
    bought = str(uuid.uuid4())
    database.execute(
        """insert into student_course_purchases (id, student_id, course_id, purchase_tier, metadata)
           select %s, student_id, (metadata->>'courseId')::uuid, 20, metadata from payments where id = %s""",
        (bought, paid),
    )
    database.execute(
        """insert into processed_events (event_id, correlation_id, event_type, payload, source)
           values (%s, %s, 'PURCHASE_CREATED', '{}', 'create-purchase-from-payment-script')""",
        (str(uuid.uuid4()), bought),
    )
    row = told(kcfix("trace", paid, "-o", "json"))
    assert row["maker"] == {
        "maker": "SCRIPT",
        "sure": True,
        "because": row["maker"]["because"],
        "name": "create-purchase-from-payment.js",
    }
    assert row["purchase_id"] == bought
    assert 13 * 60 < row["waited_seconds"] < 16 * 60


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("odd", ["key", "clock"])
def test_a_scan_finds_a_message_that_the_usual_search_can_not(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection, odd: str
) -> None:
    [paid] = buy(system, 1, unemitted=True, at=ago(days=2))
    row = database.execute("select student_id::text, metadata from payments where id = %s", (paid,)).fetchone()
    assert row is not None
    body = {"type": "PURCHASE_CONFIRMED", "paymentId": paid, "studentId": row[0], "courseId": row[1]["courseId"]}
    made = build_message(
        FLOW.purchase_confirmed,
        {**body, "metadata": row[1]},
        event_id=str(uuid.uuid4()),
        correlation_id=paid,
        source=FLOW.payment_service,
        timestamp_ms=0,
    )
    key = b"foreign" if odd == "key" else paid.encode()
    [sent] = wire.send(system, [Message(made.topic, key, made.value, made.headers)], at=ago(days=5))
    assert sent.offset is not None
    partition = murmur2_partition(key, 3)
    groups.wait_empty(system, FLOW.purchase_group)
    groups.commit(system, FLOW.purchase_group, FLOW.purchase_confirmed, {partition: sent.offset + 1})
    usual = told(kcfix("trace", paid, "-o", "json"))
    assert usual["verdict"] == "NEVER_EMITTED"
    assert usual["records"] == []
    scanned = kcfix("trace", paid, "--scan", "-o", "json")
    found = told(scanned)
    assert found["verdict"] == "SKIPPED", scanned.out
    [record] = found["records"]
    assert (record["offset"], record["partition"], record["scanned"]) == (sent.offset, partition, True)
    assert scanned.document["summary"]["scanned_offsets"] > 0
    later = kcfix("trace", paid, "--scan", "--since", "1h", "-o", "json")
    assert later.code == 1
