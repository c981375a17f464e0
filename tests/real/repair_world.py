"""A drill for the tests of repair, what they ask of it, and a kcfix that dies at a chosen point."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from kcfix.drill.buy import buy
from kcfix.drill.down import down
from kcfix.drill.engine import Engine
from kcfix.drill.state import Drill, Options
from kcfix.drill.up import up
from tests.real.conftest import Kcfix, eventually

WORKER = "purchase-worker"


@pytest.fixture(scope="module")
def system(own_state: Path | None) -> Iterator[Drill]:
    """A drill of this file's own, because its offsets matter: partitions 0 and 1 are protected, 2 is not."""
    name = f"repair-{os.getpid()}-{time.monotonic_ns() % 10_000}"
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


KILLED = """
import os, signal, sys
from kcfix.core.repair import apply as repair_apply
from kcfix.main import main

point = sys.argv[1]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

class Deadly:
    def __init__(self, port, call, after, spared):
        self._port, self._call, self._after, self._spared = port, call, after, spared

    def __getattr__(self, name):
        real = getattr(self._port, name)
        if name != self._call:
            return real
        if self._spared:
            self._spared -= 1
            return real
        def call(*args, **kwargs):
            if self._after:
                real(*args, **kwargs)
            die()
        return call

original = repair_apply.Applying.do
def do(self, steps):
    what, call, after, spared = {
        "before-insert": ("database", "insert", False, 0),
        "after-insert": ("database", "insert", True, 0),
        "before-send": ("kafka", "send", False, 0),
        "after-send": ("kafka", "send", True, 0),
        "before-lock": ("database", "holding", False, 0),
        "before-reading-back": ("database", "standing", False, 0),
        "before-reading-back-what-was-announced": ("database", "standing", False, 1),
    }[point]
    deadly = Deadly(getattr(self, what)(), call, after, spared)
    setattr(self, what, lambda: deadly)
    return original(self, steps)
repair_apply.Applying.do = do
sys.exit(main(sys.argv[2:]))
"""


POINTS = (
    *("before-insert", "after-insert", "before-reading-back", "before-lock", "before-send", "after-send"),
    "before-reading-back-what-was-announced",
)
"""Where it can be made to die: around each effect, and between the canary and the rest."""


def die_at(point: str, system: Drill, folder: Path, *ids: str) -> None:
    """Run `kcfix repair --apply` on these payments until it kills itself with SIGKILL at this point."""
    script = folder / "killed.py"
    script.write_text(textwrap.dedent(KILLED))
    done = subprocess.run(
        [sys.executable, str(script), point, "-C", f"drill:{system.name}", "repair", *ids, "--apply", "--yes"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -9, done.stderr.decode()
