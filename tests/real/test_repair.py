"""`kcfix repair` on real servers: each payment gets exactly one purchase, whoever else is at work."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kcfix.core.events import own_purchase_id
from kcfix.core.payments import PaymentId
from kcfix.drill.buy import buy
from kcfix.drill.down import down
from kcfix.drill.engine import Engine
from kcfix.drill.state import Drill, Options
from kcfix.drill.up import up
from tests.real.conftest import Kcfix, Ran, eventually

WORKER = "purchase-worker"
GROUP = "purchase-creation-workers"


@pytest.fixture(scope="module")
def system(own_state: Path | None) -> Iterator[Drill]:
    """A drill of this file's own, because its offsets matter: partitions 0 and 1 are protected, 2 is not."""
    name = f"repair-{os.getpid()}"
    try:
        drill = up(Options(name=name), lambda _: None)
        ids = [buy(drill, 1, partition=p)[0] for p in (0, 1)]
        with psycopg.connect(drill.dsn, autocommit=True) as database:
            eventually(lambda: all(purchases(database, i) == 1 for i in ids))
        yield drill
    finally:
        down(name)


@pytest.fixture
def database(system: Drill) -> Iterator[psycopg.Connection]:
    """A connection to this file's drill."""
    with psycopg.connect(system.dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def kcfix(system: Drill, tmp_path: Path) -> Kcfix:
    """Kcfix on this file's drill."""
    return Kcfix(tmp_path, f"drill:{system.name}")


@pytest.fixture
def stopped(system: Drill, engine: Engine) -> Iterator[None]:
    """The purchase-worker is stopped, and started again after the test by kcfix's own way, which loses nothing."""
    engine.stop(system, WORKER)
    yield
    start(system, engine)


def start(system: Drill, engine: Engine) -> None:
    """Start the worker and wait until it has joined."""
    since = time.time()
    engine.start(system, WORKER)

    def joined() -> bool:
        lines = engine.container(system, WORKER).logs(since=int(since)).decode()
        return "Consumer has joined the group" in lines

    eventually(joined, seconds=45)


def purchases(database: psycopg.Connection, payment_id: str) -> int:
    """Purchases, active or not, of the payment's student and course."""
    row = database.execute(
        """select count(*) from student_course_purchases c join payments p on p.student_id = c.student_id
           and lower(p.metadata->>'courseId') = c.course_id::text where p.id = %s""",
        (payment_id,),
    ).fetchone()
    return int(row[0]) if row else 0


def answers(system: Drill) -> bool:
    """Whether the database takes connections."""
    try:
        psycopg.connect(system.dsn).close()
    except psycopg.OperationalError:
        return False
    return True


def allocations(database: psycopg.Connection, payment_id: str) -> int:
    """Approved allocations of the payment's student."""
    row = database.execute(
        """select count(*) from trainer_allocations a join payments p on p.student_id = a.student_id
           where p.id = %s and a.status = 'approved'""",
        (payment_id,),
    ).fetchone()
    return int(row[0]) if row else 0


def ago(**span: float) -> datetime:
    """A moment in the past."""
    return datetime.now(UTC) - timedelta(**span)


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


KILLED = """
import os, signal, sys
from kcfix.core import repair_apply
from kcfix.main import main

point = sys.argv[1]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

class Deadly:
    def __init__(self, port, call, after):
        self._port, self._call, self._after = port, call, after

    def __getattr__(self, name):
        real = getattr(self._port, name)
        if name != self._call:
            return real
        def call(*args, **kwargs):
            if self._after:
                real(*args, **kwargs)
            die()
        return call

original = repair_apply.Applying.run
def run(self, steps):
    what, call, after = {
        "before-insert": ("database", "insert", False),
        "after-insert": ("database", "insert", True),
        "before-send": ("kafka", "send", False),
        "after-send": ("kafka", "send", True),
    }[point]
    port = getattr(self, what)()
    setattr(self, what, lambda: Deadly(port, call, after))
    return original(self, steps)
repair_apply.Applying.run = run
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("point", ["before-insert", "after-insert", "before-send", "after-send"])
def test_a_repair_killed_at_any_point_is_finished_by_the_next_run(
    system: Drill, kcfix: Kcfix, database: psycopg.Connection, tmp_path: Path, point: str
) -> None:
    ids = buy(system, 2, unsent=True, at=ago(minutes=5))
    script = tmp_path / "killed.py"
    script.write_text(textwrap.dedent(KILLED))
    done = subprocess.run(
        [sys.executable, str(script), point, "-C", f"drill:{system.name}", "repair", *ids, "--apply", "--yes"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -9, done.stderr.decode()
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
