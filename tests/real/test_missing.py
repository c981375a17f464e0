"""`kcfix missing` on real servers: all kinds of trouble in one window, from one pass, and the certificate."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from typing import Any

import psycopg
import pytest

from kcfix.drill import groups
from kcfix.drill.buy import buy
from kcfix.drill.engine import Engine
from kcfix.drill.faults import break_, mend
from kcfix.drill.state import Drill
from kcfix.flow import Flow
from tests.real import repair_world
from tests.real.conftest import Kcfix, Ran, eventually
from tests.real.repair_world import WORKER, ago, allocations, purchases, start

system, database = repair_world.system, repair_world.database
kcfix, stopped = repair_world.kcfix, repair_world.stopped
FLOW = Flow()
WINDOW = ("--since", "2h")


def verdicts(ran: Ran) -> dict[str, str]:
    """By payment."""
    return {row["payment_id"]: row["verdict"] for row in ran.rows}


def counters(database: psycopg.Connection) -> list[tuple[Any, ...]]:
    """Rows that were ever written to the tables that no other worker of the drill is at work on."""
    database.execute("select pg_stat_force_next_flush()")
    return database.execute(
        """select relname, n_tup_ins, n_tup_upd, n_tup_del from pg_stat_user_tables
           where relname in ('payments', 'student_course_purchases') order by relname"""
    ).fetchall()


def digest(database: psycopg.Connection, since: str, until: str) -> str:
    """As the documents say how to make it, from the rows."""
    rows = database.execute(
        """select p.id::text, c.id::text from payments p join student_course_purchases c
           on c.student_id = p.student_id and c.course_id::text = lower(p.metadata->>'courseId')
           where p.status = 'succeeded' and p.confirmed_at >= %s and p.confirmed_at < %s
           order by p.confirmed_at, p.id""",
        (since, until),
    ).fetchall()
    return hashlib.sha256("".join(f"{p} {c}\n" for p, c in rows).encode()).hexdigest()


@pytest.mark.usefixtures("stopped")
def test_every_kind_of_trouble_is_found_in_one_pass_repaired_and_certified(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection
) -> None:
    [unsent] = buy(system, 1, unsent=True, at=ago(minutes=50))
    [unemitted] = buy(system, 1, unemitted=True, at=ago(minutes=40))
    [pending] = buy(system, 1, partition=0, at=ago(minutes=30))
    [refunded] = buy(system, 1, unemitted=True, at=ago(minutes=20))
    [young] = buy(system, 1, unemitted=True)
    database.execute("update payments set status = 'refunded' where id = %s", (refunded,))
    before = counters(database)
    ran = kcfix("missing", *WINDOW, "-o", "json")
    assert ran.code == 1, ran.err
    assert verdicts(ran) == {unsent: "NEVER_SENT", unemitted: "NEVER_EMITTED", pending: "PENDING"}
    assert ran.document["summary"]["in_flight"] == 1
    assert kcfix("missing", *WINDOW, "-q").lines == [unsent, unemitted, pending]
    refused = kcfix("missing", "--certify", *WINDOW, "-o", "json")
    assert refused.code == 1
    assert [row["payment_id"] for row in refused.rows[0]["lacking"]] == [unsent, unemitted, pending]
    assert counters(database) == before

    ran = kcfix("repair", "--missing", *WINDOW, "--strategy", "insert", "--apply", "--yes", "-o", "json")
    assert ran.code == 0, ran.out + ran.err
    assert [purchases(database, i) for i in (unsent, unemitted, pending, young)] == [1, 1, 1, 0]
    eventually(lambda: all(allocations(database, i) == 1 for i in (unsent, unemitted, pending)))
    until = database.execute("select now() - interval '10 minutes'").fetchone()
    assert until is not None
    words = ("--since", ago(hours=2).isoformat(), "--until", until[0].isoformat())
    one, other = (kcfix("missing", "--certify", *words, "-o", "json") for _ in range(2))
    assert (one.code, one.rows[0]["certified"]) == (0, True), one.out
    assert one.rows[0]["sha256"] == other.rows[0]["sha256"] == digest(database, words[1], words[3])
    assert one.rows[0]["cluster_id"] == system.cluster_id


def test_what_the_tables_show_behind_a_purchase_is_found_too(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection
) -> None:
    wrong, twice = (buy(system, 1, partition=0, at=ago(minutes=m))[0] for m in (9, 8))
    eventually(lambda: all(allocations(database, i) == 1 for i in (wrong, twice)))
    student, course = database.execute(
        "select student_id::text, metadata->>'courseId' from payments where id = %s", (twice,)
    ).fetchone() or ("", "")
    [second] = buy(system, 1, student=student, course=course, unemitted=True, at=ago(minutes=7))
    database.execute(
        """update student_course_purchases c set purchase_tier = 30 from payments p
           where p.student_id = c.student_id and p.id = %s""",
        (wrong,),
    )
    window = ("--since", "10m")
    found = verdicts(kcfix("missing", *window, "-o", "json"))
    assert (found.get(wrong), found.get(second), found.get(twice)) == ("WRONG_TIER", "SECOND_PAYMENT", None)
    assert kcfix("missing", "--ack", second, "--reason", "double charge, paid back").code == 0
    ran = kcfix("missing", *window, "-o", "json")
    assert second not in verdicts(ran)
    assert ran.document["summary"]["acknowledged"] == 1
    assert second not in kcfix("status", "-q").lines
    assert kcfix("missing", "--unack", second, "--reason", "a mistake").code == 0
    assert second in verdicts(kcfix("missing", *window, "-o", "json"))


def test_two_purchases_no_allocation_and_a_skipped_message_are_told_apart(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection, engine: Engine
) -> None:
    twice, alone = (buy(system, 1, partition=0, at=ago(hours=5, minutes=m))[0] for m in (40, 30))
    eventually(lambda: all(allocations(database, i) == 1 for i in (twice, alone)))
    engine.stop(system, WORKER)
    try:
        [skipped] = buy(system, 1, partition=2, at=ago(hours=5, minutes=20))
        window = ("--since", ago(hours=6).isoformat(), "--until", ago(hours=5).isoformat())
        database.execute("drop index unique_active_purchase")
        database.execute(
            """insert into student_course_purchases (student_id, course_id, purchase_tier)
               select c.student_id, c.course_id, c.purchase_tier from student_course_purchases c
               join payments p on p.student_id = c.student_id where p.id = %s""",
            (twice,),
        )
        database.execute(
            """delete from trainer_allocations a using payments p
               where p.student_id = a.student_id and p.id = %s""",
            (alone,),
        )
        database.execute(
            """update student_course_purchases c set created_at = now() - interval '10 minutes' from payments p
               where p.student_id = c.student_id and p.id = %s""",
            (alone,),
        )
        offsets = groups.committed(system, FLOW.purchase_group, FLOW.purchase_confirmed)
        before = counters(database)
        ran = kcfix("missing", *window, "-o", "jsonl")
        rows = [json.loads(line) for line in ran.lines]
        assert {row["payment_id"]: row["verdict"] for row in rows[:-1]} == {
            twice: "DUPLICATE_PURCHASES",
            alone: "NO_ALLOCATION",
            skipped: "SKIPPED",
        }, ran.err
        assert (ran.code, rows[-1]["summary"]["findings"], rows[-1]["summary"]["payments"]) == (1, 3, 3)
        refused = kcfix("missing", "--certify", *window, "-o", "json")
        assert refused.code == 1
        [statement] = refused.rows
        assert [(row["payment_id"], row["verdict"]) for row in statement["lacking"]] == [
            (twice, "DUPLICATE_PURCHASES"),
            (skipped, "SKIPPED"),
        ]
        assert (statement["with_one_purchase"], statement["sha256"]) == (1, None)
        assert statement["trouble"] == {"NO_ALLOCATION": 1}
        assert counters(database) == before
        assert groups.committed(system, FLOW.purchase_group, FLOW.purchase_confirmed) == offsets
    finally:
        database.execute(
            """delete from student_course_purchases c using payments p
               where p.student_id = c.student_id and p.id = %s and c.metadata is null""",
            (twice,),
        )
        folder = resources.files("kcfix.drill") / "sql"
        database.execute((folder / "unique_active_purchase.sql").read_bytes())
        start(system, engine)


def test_a_broker_that_is_down_makes_verdicts_unknown_and_what_the_tables_tell_stands(
    system: Drill, kcfix: Kcfix
) -> None:
    [unsent] = buy(system, 1, unsent=True, at=ago(hours=8))
    window = ("--since", ago(hours=9).isoformat(), "--until", ago(hours=7).isoformat())
    break_(system, "broker-down")
    try:
        ran = kcfix("missing", *window, "-o", "json")
        assert (ran.code, verdicts(ran)) == (1, {unsent: "UNKNOWN"}), ran.err
        assert kcfix("missing", *window, "-q").lines == [unsent]
        refused = kcfix("missing", "--certify", *window, "-o", "json")
        assert (refused.code, refused.rows[0]["partitions"]) == (1, None)
        nothing = kcfix(
            "missing", "--certify", "--since", ago(hours=7).isoformat(), "--until", ago(hours=6).isoformat()
        )
        assert nothing.code == 0
        assert "the offsets are unknown" in nothing.err
    finally:
        mend(system)
