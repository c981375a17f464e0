"""`kcfix dlq` on real servers: what became of the messages, and a replay that ends with exactly one purchase."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kcfix.core.events import Message
from kcfix.drill import groups, wire
from kcfix.drill.buy import buy
from kcfix.drill.engine import Engine
from kcfix.drill.state import Drill
from tests.real import repair_world
from tests.real.conftest import Kcfix, Ran, eventually
from tests.real.dlq_world import (
    GROUP,
    LETTERS,
    POINTS,
    REASON,
    TOPIC,
    copies,
    die_at,
    forget,
    letters,
    lost,
    messages,
)
from tests.real.repair_world import WORKER, ago, allocations, purchases, start

system, database = repair_world.system, repair_world.database
kcfix = repair_world.kcfix


def apply(kcfix: Kcfix, *words: str, **options: Any) -> Ran:
    """Replay for real."""
    return kcfix("dlq", "replay", *words, "--apply", "--yes", "-o", "json", **options)


def state(kcfix: Kcfix, payment: str) -> dict[str, Any]:
    """The one message of a payment, as it stands."""
    [row] = kcfix("dlq", "show", payment, "-o", "json").rows
    return row


def test_a_replay_of_an_unsettled_message_is_settled_once(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection
) -> None:
    [paid] = lost(system, database, 1)
    original = letters(system, paid)
    row = state(kcfix, paid)
    assert (row["state"], row["letters"], row["in_topic"]) == ("UNSETTLED", 3, True)
    dry = kcfix("dlq", "replay", paid, "-o", "json")
    assert (dry.code, dry.rows[0]["action"], copies(system, paid)) == (0, "SEND", [])
    ran = apply(kcfix, paid)
    assert (ran.code, ran.rows[0]["outcome"]) == (0, "SETTLED"), ran.out + ran.err
    assert (purchases(database, paid), copies(system, paid)) == (1, [b"1"])
    copy = messages(system, paid)[-1]
    assert (copy.partition, copy.key, copy.value) == (original.partition, original.key, original.value)
    assert copy.headers[:-1] == original.headers
    eventually(lambda: allocations(database, paid) == 1)
    again = apply(kcfix, paid)
    assert (again.code, again.rows[0]["action"], copies(system, paid)) == (0, "NOTHING", [b"1"])
    assert state(kcfix, paid)["state"] == "SETTLED"


def test_a_replay_that_meets_settled_payments_sends_only_the_others(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection
) -> None:
    reason = "a reason of its own: settled"
    settled = buy(system, 2, partition=1, at=ago(minutes=5))
    eventually(lambda: all(purchases(database, i) == 1 for i in settled))
    open_ones = lost(system, database, 3)
    for paid in (*settled, *open_ones):
        letters(system, paid, reason=reason)
    [cause] = [row["cause"] for row in kcfix("dlq", "-o", "json").rows if row["reason"] == reason]
    listed = kcfix("dlq", "list", "--cause", cause, "--all", "-o", "json")
    assert sorted(row["state"] for row in listed.rows) == ["SETTLED"] * 2 + ["UNSETTLED"] * 3
    assert {f"purchase {p}" for i in settled for p in _purchase_ids(database, i)} <= {r["why"] for r in listed.rows}
    ran = apply(kcfix, "--cause", cause)
    assert (ran.code, [row["outcome"] for row in ran.rows]) == (0, ["SETTLED"] * 3), ran.out + ran.err
    assert [len(copies(system, i)) for i in (*settled, *open_ones)] == [0, 0, 1, 1, 1]
    assert [purchases(database, i) for i in (*settled, *open_ones)] == [1] * 5


def _purchase_ids(database: psycopg.Connection, payment: str) -> list[str]:
    rows = database.execute(
        "SELECT c.id::text FROM student_course_purchases c JOIN payments p USING (student_id) WHERE p.id = %s",
        (payment,),
    )
    return [row[0] for row in rows]


def test_real_letters_of_a_message_that_went_through_later(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection
) -> None:
    """Its course is not there: six tries, a letter each, a loop. Then the course is made, and it goes through."""
    course = str(uuid.uuid4())
    [paid] = buy(system, 1, partition=1, course=course)
    key = paid.encode()
    eventually(lambda: sum(r.key == key for r in wire.records(system, LETTERS)) >= 2, seconds=60)
    row = state(kcfix, paid)
    assert (row["state"], row["letters"] >= 2, row["unsettled"]) == ("WOULD_FAIL", True, True)
    assert "not in the courses table" in row["why"]
    assert "course_id_fkey" in row["reason"]
    refused = apply(kcfix, paid)
    assert (refused.code, refused.rows[0]["action"]) == (5, "REFUSE")
    database.execute("INSERT INTO courses (id, title) VALUES (%s, 'made late')", (course,))
    eventually(lambda: purchases(database, paid) == 1, seconds=90)
    row = state(kcfix, paid)
    assert (row["state"], row["unsettled"]) == ("SETTLED", False)
    count = sum(r.key == key for r in wire.records(system, LETTERS))
    assert (row["letters"], sum(row["causes"].values())) == (count, count)
    assert (apply(kcfix, paid).code, copies(system, paid)) == (0, [])


def test_a_poison_message_is_refused_and_parked(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection, engine: Engine
) -> None:
    [paid] = buy(system, 1, partition=0, tier=12)
    eventually(lambda: any(r.key == paid.encode() for r in wire.records(system, LETTERS)), seconds=60)
    engine.stop(system, WORKER)
    record = messages(system, paid)[0]
    groups.wait_empty(system, GROUP)
    groups.commit(system, GROUP, TOPIC, {0: record.offset + 1})
    start(system, engine)
    ran = apply(kcfix, paid)
    assert (ran.code, ran.rows[0]["state"], ran.rows[0]["action"]) == (5, "WOULD_FAIL", "REFUSE")
    assert "tier is 12" in ran.rows[0]["why"]
    assert paid in kcfix("dlq", "-q").lines
    parked = kcfix("dlq", "park", paid, "--reason", "sales asks the customer", "-o", "json")
    assert (parked.code, parked.rows[0]["message"]) == (0, f"{TOPIC}-0@{record.offset}")
    assert paid not in kcfix("dlq", "-q").lines
    assert state(kcfix, paid)["state"] == "PARKED"
    assert "sales asks" in apply(kcfix, paid).rows[0]["why"]
    assert kcfix("dlq", "park", paid, "--unpark").code == 0
    assert state(kcfix, paid)["state"] == "WOULD_FAIL"
    database.execute("UPDATE payments SET status = 'refunded' WHERE id = %s", (paid,))
    assert state(kcfix, paid)["unsettled"] is False


def test_on_an_unprotected_partition_a_replay_is_refused(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection, engine: Engine
) -> None:
    engine.stop(system, WORKER)
    groups.wait_empty(system, GROUP)
    groups.forget(system, GROUP, TOPIC, [2])
    start(system, engine)
    [paid] = buy(system, 1, partition=2, unsent=True, at=ago(minutes=5))
    [elsewhere] = lost(system, database, 1)
    original = letters(system, elsewhere)
    forged = {"originalTopic": TOPIC, "originalPartition": 2, "originalOffset": "0"}
    body = _event(original.value, elsewhere, paid)
    _letter(system, paid, {**forged, "originalEvent": body, "failureReason": REASON, "eventId": str(uuid.uuid4())})
    ran = apply(kcfix, paid)
    assert (ran.code, ran.rows[0]["action"]) == (5, "REFUSE"), ran.out
    assert "would skip the message" in ran.rows[0]["why"]
    assert copies(system, paid) == []


def _event(value: bytes | None, theirs: str, mine: str) -> Any:
    return json.loads((value or b"").decode().replace(theirs, mine))


def _letter(system: Drill, payment: str, value: dict[str, Any]) -> None:
    student = value["originalEvent"]
    with psycopg.connect(system.dsn) as connection:
        row = connection.execute(
            "SELECT student_id::text, metadata->>'courseId' FROM payments WHERE id = %s", (payment,)
        ).fetchone()
    assert row is not None
    student |= {"studentId": row[0], "courseId": row[1]}
    wire.send(
        system, [Message(LETTERS, payment.encode(), json.dumps({**value, "correlationId": payment}).encode(), ())]
    )


@pytest.mark.parametrize("point", POINTS)
def test_killed_in_the_middle_the_next_run_says_so_and_finishes(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection, tmp_path: Path, point: str
) -> None:
    ids = lost(system, database, 3)
    for paid in ids:
        letters(system, paid, reason=f"killed {point.replace('-', ' ')}")
    die_at(point, system, tmp_path, *ids)
    sent = point in ("after-send", "after-journal")
    if sent:
        eventually(lambda: sum(purchases(database, i) for i in ids) == 1)
    ran = apply(kcfix, *ids)
    assert ran.code == 0, ran.out + ran.err
    assert ("was cut short" in " ".join(ran.document["warnings"])) == (point != "before-intent")
    assert [purchases(database, i) for i in ids] == [1, 1, 1]
    assert [len(copies(system, i)) for i in ids] == [1, 1, 1]
    runs = kcfix("history", "-o", "json").rows
    assert [run["finished"] for run in runs if run["command"] == "dlq"][:2] == [True, False]


def test_a_copy_that_waits_for_a_stopped_worker_is_not_sent_again(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection, engine: Engine, tmp_path: Path
) -> None:
    ids = lost(system, database, 2)
    for paid in ids:
        letters(system, paid, reason="waits")
    engine.stop(system, WORKER)
    groups.wait_empty(system, GROUP)
    die_at("after-send", system, tmp_path, ids[0])
    ran = apply(kcfix, *ids, "--wait", "1s")
    assert ran.code == 6, ran.out + ran.err
    found = {row["payment_id"]: row for row in ran.rows}
    assert (found[ids[0]]["action"], found[ids[1]]["outcome"]) == ("WAIT", "UNSEEN")
    assert "no member of" in found[ids[1]]["notes"][0]
    assert "1 waiting for the worker" in " ".join(ran.document["warnings"])
    again = apply(kcfix, *ids)
    assert (again.code, [row["action"] for row in again.rows]) == (1, ["WAIT", "WAIT"])
    assert [len(copies(system, i)) for i in ids] == [1, 1]
    start(system, engine)
    eventually(lambda: [purchases(database, i) for i in ids] == [1, 1])
    assert apply(kcfix, *ids).code == 0


def test_a_replay_that_fails_again_stops_and_counts_up_to_the_guard(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection, engine: Engine
) -> None:
    """The worker can't write: an error that no table shows beforehand. Each copy is a new poison; the guard ends it."""
    ids = lost(system, database, 2)
    for paid in ids:
        letters(system, paid, reason="fails again")
    database.execute(
        "ALTER TABLE student_course_purchases ADD CONSTRAINT drill_broken CHECK (is_active IS NULL) NOT VALID"
    )
    try:
        ran = apply(kcfix, *ids, "--wait", "12s", "--max-replays", "1")
        assert ran.code == 6, ran.out + ran.err
        outcomes = sorted(row["outcome"] for row in ran.rows)
        assert outcomes == ["FAILED_AGAIN", "LEFT"], ran.out
        [failed] = [row["payment_id"] for row in ran.rows if row["outcome"] == "FAILED_AGAIN"]
        assert "drill_broken" in next(row["outcome_text"] for row in ran.rows if row["payment_id"] == failed)
        again = apply(kcfix, failed)
        assert {row["action"] for row in again.rows} <= {"WAIT", "NOTHING"}
        assert len(copies(system, failed)) == 1
    finally:
        database.execute("ALTER TABLE student_course_purchases DROP CONSTRAINT drill_broken")
    eventually(lambda: purchases(database, failed) == 1, seconds=90)
    forget(database, failed)
    end = messages(system, failed)[-1].offset + 1
    eventually(lambda: groups.committed(system, GROUP, TOPIC)[0] >= end)
    guarded = kcfix("dlq", "replay", failed, "--max-replays", "1", "-o", "json")
    assert [row["action"] for row in guarded.rows] == ["NOTHING", "REFUSE"]
    assert "replayed once" in guarded.rows[1]["why"]
    ran = apply(kcfix, *ids)
    assert ran.code == 0, ran.out + ran.err
    assert [purchases(database, i) for i in ids] == [1, 1]
    assert copies(system, failed) == [b"1", b"2"]
