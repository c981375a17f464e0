"""`kcfix missing` on real servers: all kinds of trouble in one window, from one pass, and the certificate."""

from __future__ import annotations

import hashlib
from typing import Any

import psycopg
import pytest

from kcfix.drill.buy import buy
from kcfix.drill.state import Drill
from tests.real import repair_world
from tests.real.conftest import Kcfix, Ran, eventually
from tests.real.repair_world import ago, allocations, purchases

system, database = repair_world.system, repair_world.database
kcfix, stopped = repair_world.kcfix, repair_world.stopped
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
