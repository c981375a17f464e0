"""Faults by another program that holds what the workers need of the database: a table, a lock, all connections."""

from __future__ import annotations

import time
import uuid

import psycopg

from kcfix.core.events import advisory_lock_key
from kcfix.drill.buy import buy
from kcfix.drill.faults.fault import Area, Fault
from kcfix.drill.faults.site import COURSE, Site, State
from kcfix.drill.state import STRANGERS
from kcfix.errors import Unreachable

REPORT = STRANGERS[1]
FULL_SECONDS = 20


def lock_table(site: Site) -> State:
    """A forgotten session holds the purchases' table: the worker waits half a minute at each try, and fails."""
    site.protect_running()
    _hold(site, "LOCK TABLE student_course_purchases IN ACCESS EXCLUSIVE MODE")
    return {"payments": site.pay_each()}


def hold_purchase(site: Site) -> State:
    """A repair script was left open in the middle of one student's course, under the worker's own lock."""
    site.protect_running()
    student = str(uuid.uuid4())
    _hold(site, f"SELECT pg_advisory_xact_lock({advisory_lock_key(student, COURSE)})")
    return {"payments": buy(site.drill, 1, student=student, course=COURSE)}


def _hold(site: Site, statement: str) -> None:
    site.start_stranger(REPORT, "transaction", {"POSTGRES_URL": site.drill.inner_dsn, "STATEMENT": statement})
    site.wait_said(REPORT, "report started")


def exhaust_connections(site: Site) -> State:
    """A program that closes none of its connections takes them all; a payment waits for the worker."""
    site.stop_protected()
    state: State = {"payments": buy(site.drill, 1)}
    site.remember(state)
    with psycopg.connect(site.drill.dsn, autocommit=True) as held:
        site.start_stranger(REPORT, "connections", {"POSTGRES_URL": site.drill.inner_dsn})
        site.wait(lambda: _full(site), "there is still room", FULL_SECONDS)
        site.drop_sessions(held)
    time.sleep(1)  # the program takes what has become free
    site.start_worker()
    return state


def _full(site: Site) -> bool:
    try:
        psycopg.connect(site.drill.dsn, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        return "too many clients" in str(error) or "remaining connection slots" in str(error)
    return False


def let_go(site: Site, state: State) -> None:
    """The program is ended, and with it what it held; what failed meanwhile is sent again."""
    site.engine.remove(site.drill, REPORT)
    site.wait(lambda: _answers(site), "the database takes no connection")
    site.recover(state.get("payments", []))


def _answers(site: Site) -> bool:
    try:
        site.run("SELECT 1")
    except Unreachable:
        return False
    return True


FAULTS = (
    Fault(
        "table-locked",
        Area.DATABASE,
        ("55", "53"),
        "a report has locked student_course_purchases in a transaction that it never ends",
        "idle in transaction with an AccessExclusiveLock; every reader of the table waits, workers time out (57014)",
        lock_table,
        let_go,
    ),
    Fault(
        "purchase-locked",
        Area.DATABASE,
        ("29",),
        "a repair script was left open holding the worker's advisory lock of one student and course",
        "idle in transaction with an advisory lock; one payment waits and times out (57014), its partition behind it",
        hold_purchase,
        let_go,
    ),
    Fault(
        "connections-exhausted",
        Area.DATABASE,
        ("24",),
        "a program that closes none of its connections has taken all that the database has",
        "too many clients (53300), for workers and operator alike",
        exhaust_connections,
        let_go,
    ),
)
