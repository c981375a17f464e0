"""`kcfix repair` on real servers: each payment gets exactly one purchase, whoever else is at work."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kcfix.core.events import own_purchase_id
from kcfix.core.payments import PaymentId
from kcfix.drill.buy import buy
from kcfix.drill.engine import Engine
from kcfix.drill.state import Drill
from tests.real import repair_world
from tests.real.conftest import Kcfix, Ran, eventually
from tests.real.repair_world import (
    POINTS,
    WORKER,
    ago,
    allocations,
    answers,
    die_at,
    purchases,
    start,
)

system, database = repair_world.system, repair_world.database
kcfix, stopped = repair_world.kcfix, repair_world.stopped


def told(ran: Ran) -> dict[str, tuple[Any, Any]]:
    """Verdict and action of each payment."""
    return {row["payment_id"]: (row["verdict"], row["action"]) for row in ran.rows}


def outcomes(ran: Ran) -> dict[str, Any]:
    """Outcome of each payment."""
    return {row["payment_id"]: row["outcome"] for row in ran.rows}


def apply(kcfix: Kcfix, *words: str, **options: Any) -> Ran:
    """Repair for real."""
    return kcfix("repair", *words, "--apply", "--yes", "-o", "json", **options)


@pytest.mark.usefixtures("stopped")
def test_a_dead_worker_is_replaced_by_inserts_and_the_flow_goes_on(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection
) -> None:
    [at_risk] = buy(system, 1, partition=2)
    [pending] = buy(system, 1, partition=0, at=ago(minutes=5))
    [unsent] = buy(system, 1, unsent=True, at=ago(minutes=5))
    [unemitted] = buy(system, 1, unemitted=True, at=ago(minutes=5))
    ids = (at_risk, pending, unsent, unemitted)
    time.sleep(1)
    dry = kcfix("repair", *ids, "--older-than", "1s", "-o", "json")
    assert dry.code == 0, dry.err
    assert told(dry) == {
        at_risk: ("AT_RISK", "INSERT"),
        pending: ("PENDING", "WAIT"),
        unsent: ("NEVER_SENT", "INSERT"),
        unemitted: ("NEVER_EMITTED", "INSERT"),
    }
    assert [purchases(database, i) for i in ids] == [0, 0, 0, 0]

    ran = apply(kcfix, *ids, "--older-than", "1s")
    assert ran.code == 6, ran.err  # one still waits for the worker
    assert outcomes(ran) == {at_risk: "SETTLED", pending: None, unsent: "SETTLED", unemitted: "SETTLED"}
    assert [purchases(database, i) for i in ids] == [1, 0, 1, 1]
    eventually(lambda: all(allocations(database, i) == 1 for i in (at_risk, unsent, unemitted)))

    named = apply(kcfix, pending, "--strategy", "insert")
    assert (named.code, outcomes(named)) == (0, {pending: "SETTLED"})
    again = apply(kcfix, *ids)
    assert again.code == 0
    assert {row["changed"] for row in again.rows} == {False}
    assert [purchases(database, i) for i in ids] == [1, 1, 1, 1]


def test_a_working_worker_is_sent_the_event_again(system: Drill, kcfix: Kcfix, database: psycopg.Connection) -> None:
    ids = [buy(system, 1, partition=p, unsent=True, at=ago(minutes=5))[0] for p in (0, 1)]
    ids += buy(system, 1, partition=0, unemitted=True, at=ago(minutes=5))
    dry = kcfix("repair", *ids, "-o", "json")
    assert {a for _, a in told(dry).values()} == {"REPLAY"}, dry.out
    ran = apply(kcfix, *ids)
    assert (ran.code, set(outcomes(ran).values())) == (0, {"SETTLED"}), ran.out + ran.err
    assert [purchases(database, i) for i in ids] == [1, 1, 1]
    rows = database.execute(
        "select id::text from student_course_purchases where id = any(%s)",
        ([own_purchase_id(PaymentId(i)) for i in ids],),
    ).fetchall()
    assert rows == []  # the worker made them
    assert apply(kcfix, *ids).code == 0
    assert [purchases(database, i) for i in ids] == [1, 1, 1]


def test_a_skipped_message_is_told_and_settled(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection, engine: Engine
) -> None:
    engine.stop(system, WORKER)
    [skipped] = buy(system, 1, partition=2, at=ago(minutes=5))
    start(system, engine)
    dry = kcfix("repair", skipped, "-o", "json")
    assert told(dry) == {skipped: ("SKIPPED", "INSERT")}, dry.out
    assert apply(kcfix, skipped).code == 0
    assert purchases(database, skipped) == 1


def test_what_a_person_must_decide_is_told_apart_and_left_alone(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection
) -> None:
    bought = buy(system, 1, partition=0, at=ago(minutes=10))[0]
    eventually(lambda: purchases(database, bought) == 1)
    student, course = database.execute(
        "select student_id::text, metadata->>'courseId' from payments where id = %s", (bought,)
    ).fetchone() or ("", "")
    second = buy(system, 1, student=student, course=course, unemitted=True, at=ago(minutes=3))[0]
    no_course = buy(system, 1, no_course=True, at=ago(minutes=5))[0]
    bad_tier = buy(system, 1, tier=12, unemitted=True, at=ago(minutes=5))[0]
    no_tier = buy(system, 1, tier=None, unemitted=True, at=ago(minutes=5))[0]
    lost_course = buy(system, 1, course="00000000-0000-4000-8000-00000000dead", unemitted=True, at=ago(minutes=5))[0]
    refunded, failed = buy(system, 2, unemitted=True, at=ago(minutes=5))
    database.execute("update payments set status = 'refunded' where id = %s", (refunded,))
    database.execute("update payments set status = 'failed' where id = %s", (failed,))
    nowhere = "00000000-0000-4000-8000-0000000000ff"
    ids = (bought, second, no_course, bad_tier, no_tier, lost_course, refunded, failed, nowhere)
    expected = {
        bought: ("PURCHASED", "NOTHING"),
        second: ("SECOND_PAYMENT", "REFUSE"),
        no_course: ("NO_COURSE", "REFUSE"),
        bad_tier: ("BAD_TIER", "REFUSE"),
        no_tier: ("BAD_TIER", "REFUSE"),
        lost_course: ("UNKNOWN_COURSE", "REFUSE"),
        refunded: ("REFUNDED", "REFUSE"),
        failed: ("NOT_SUCCEEDED", "REFUSE"),
        nowhere: ("NOT_FOUND", "NOT_FOUND"),
    }
    for more in ((), ("--strategy", "insert"), ("--strategy", "replay")):
        ran = apply(kcfix, *ids, *more)
        assert ran.code == 5, ran.err
        assert told(ran) == expected
    assert [purchases(database, i) for i in ids] == [1, 1, 0, 0, 0, 0, 0, 0, 0]


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("point", POINTS)
def test_a_repair_killed_at_any_point_is_finished_by_the_next_run(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection, tmp_path: Path, point: str
) -> None:
    ids = buy(system, 2, unsent=True, at=ago(minutes=5))
    die_at(point, system, tmp_path, *ids)
    unfinished = kcfix("history", "-o", "json").rows[0]
    assert unfinished["finished"] is False, unfinished
    ran = apply(kcfix, *ids)
    assert ran.code == 0, ran.out + ran.err
    assert [purchases(database, i) for i in ids] == [1, 1]
    assert set(told(kcfix("repair", *ids, "-o", "json")).values()) <= {("PURCHASED", "NOTHING")}
    eventually(lambda: [allocations(database, i) for i in ids] == [1, 1])


@pytest.mark.usefixtures("stopped")
def test_two_operators_at_once_make_one_purchase(system: Drill, kcfix: Kcfix, database: psycopg.Connection) -> None:
    ids = buy(system, 8, unsent=True, at=ago(minutes=5))
    with ThreadPoolExecutor(3) as pool:
        runs = list(pool.map(lambda _: apply(kcfix, *ids), range(3)))
    # 5: what one planned, another had done, or was doing, when it looked again.
    assert {r.code for r in runs} <= {0, 4, 5, 6}, [r.err for r in runs]
    assert apply(kcfix, *ids).code == 0
    assert [purchases(database, i) for i in ids] == [1] * 8


def test_the_live_worker_and_an_insert_at_once_make_one_purchase(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection, engine: Engine
) -> None:
    engine.stop(system, WORKER)
    ids = buy(system, 12, partition=1, at=ago(minutes=5))
    with ThreadPoolExecutor(2) as pool:
        started = pool.submit(start, system, engine)
        time.sleep(2)
        runs = [apply(kcfix, *ids, "--strategy", "insert") for _ in range(2)]
        started.result()
    assert {r.code for r in runs} <= {0, 1, 4, 5, 6}
    eventually(lambda: all(purchases(database, i) == 1 for i in ids), seconds=60)
    time.sleep(3)
    assert [purchases(database, i) for i in ids] == [1] * 12


def test_max_leaves_the_newest_and_says_so(system: Drill, kcfix: Kcfix, database: psycopg.Connection) -> None:
    old = buy(system, 1, unemitted=True, at=ago(minutes=30))[0]
    new = buy(system, 1, unemitted=True, at=ago(minutes=5))[0]
    ran = apply(kcfix, new, old, "--max", "1", "--strategy", "insert")
    assert (ran.code, outcomes(ran)) == (6, {old: "SETTLED", new: "LEFT"})
    assert (purchases(database, old), purchases(database, new)) == (1, 0)
    assert apply(kcfix, new).code == 0


def test_a_silent_kafka_stops_a_repair_but_not_a_named_insert(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection, engine: Engine
) -> None:
    [lost] = buy(system, 1, unemitted=True, at=ago(minutes=5))
    engine.stop(system, "kafka")
    try:
        ran = apply(kcfix, lost)
        assert ran.code == 4, ran.out
        assert told(ran) == {lost: ("UNKNOWN", "UNKNOWN")}
        later = apply(kcfix, lost, "--strategy", "insert", "--announce-later")
        assert (later.code, outcomes(later)) == (6, {lost: "UNANNOUNCED"}), later.out + later.err
    finally:
        engine.start(system, "kafka")
    assert purchases(database, lost) == 1
    finished = eventually(lambda: [r for r in [apply(kcfix, lost)] if r.code == 0], seconds=60, every=2)
    assert told(finished[0]) == {lost: ("UNANNOUNCED", "ANNOUNCE")}


def test_a_silent_database_is_said_in_one_line(system: Drill, kcfix: Kcfix, engine: Engine) -> None:
    [some] = buy(system, 1, unemitted=True)
    engine.stop(system, "postgres")
    try:
        ran = kcfix("repair", some, "--apply", "--yes")
    finally:
        engine.start(system, "postgres")
        eventually(lambda: answers(system))
    assert ran.code == 4
    assert "Traceback" not in ran.err
    assert "UNKNOWN" in ran.out


def test_ids_are_taken_from_a_pipe_in_any_shape(system: Drill, kcfix: Kcfix) -> None:
    [paid] = buy(system, 1, partition=0)
    words = f"  '{paid.upper()}',\n\n{paid}\nnot-an-id\r\n\x00\xff\n"
    ran = kcfix("repair", "-", "-o", "json", stdin=words)
    assert ran.code == 3
    assert sum(row["payment_id"] == paid for row in ran.rows) == 1
    assert kcfix("repair", "-", stdin="").code == 0
    many = "\n".join(f"00000000-0000-4000-8000-{n:012d}" for n in range(10_000))
    assert kcfix("repair", "-", "-o", "json", stdin=many).code == 3
