"""Payments of a drill whose message was passed and whose purchase is gone, with dead letters; a kcfix that dies."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import psycopg

from kcfix.core.dlq.message import REPLAYS
from kcfix.core.events import Message, Record, parse_event
from kcfix.drill import groups, wire
from kcfix.drill.buy import buy
from kcfix.drill.state import Drill
from kcfix.flow import Flow
from tests.real.conftest import eventually
from tests.real.repair_world import ago, purchases

FLOW = Flow()
TOPIC, LETTERS, GROUP = FLOW.purchase_confirmed, FLOW.dead_letters, FLOW.purchase_group
REASON = "connect ECONNREFUSED 172.18.0.3:5432"


def messages(system: Drill, payment_id: str) -> list[Record]:
    """The records of a payment, oldest first."""
    return [r for r in wire.records(system, TOPIC) if (e := parse_event(r)) is not None and e.payment_id == payment_id]


def copies(system: Drill, payment_id: str) -> list[bytes | None]:
    """The counters of its replayed copies."""
    return [dict(r.headers)[REPLAYS] for r in messages(system, payment_id) if REPLAYS in dict(r.headers)]


def forget(database: psycopg.Connection, payment_id: str) -> None:
    """Take away all that the workers made of a payment."""
    student = "(SELECT student_id FROM payments WHERE id = %s)"
    for table in ("tutoring_sessions", "trainer_allocations", "student_course_purchases"):
        database.execute(f"DELETE FROM {table} WHERE student_id = {student}".encode(), (payment_id,))  # noqa: S608


def lost(system: Drill, database: psycopg.Connection, count: int, *, partition: int = 0) -> list[str]:
    """Payments whose messages were read and whose purchases are gone: unsettled, with the original in the log."""
    ids = buy(system, count, partition=partition, at=ago(minutes=5))
    eventually(lambda: all(purchases(database, i) == 1 for i in ids))
    end = max(r.offset for i in ids for r in messages(system, i)) + 1
    eventually(lambda: groups.committed(system, GROUP, TOPIC).get(partition, 0) >= end)
    for i in ids:
        forget(database, i)
    return ids


def letters(system: Drill, payment_id: str, *, reason: str = REASON, count: int = 3) -> Record:
    """Dead letters about the newest message of a payment, as the worker writes them; gives that message."""
    original = messages(system, payment_id)[-1]
    event = json.loads(original.value or b"{}")
    meta = event["_metadata"]
    value = {
        "originalEvent": event,
        "originalTopic": TOPIC,
        "originalPartition": original.partition,
        "originalOffset": str(original.offset),
        "failureReason": reason,
        "failureTimestamp": 1768478400000,
        "attempts": 3,
        "correlationId": meta["correlationId"],
        "eventId": meta["eventId"],
    }
    message = Message(LETTERS, meta["correlationId"].encode(), json.dumps(value).encode(), ())
    wire.send(system, [message] * count)
    return original


KILLED = """
import os, signal, sys
from kcfix.core.dlq import apply as dlq_apply
from kcfix.main import main

point = sys.argv[1]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

class Deadly:
    def __init__(self, port):
        self._port = port

    def __getattr__(self, name):
        real = getattr(self._port, name)
        if name != "send":
            return real
        def send(messages):
            if point == "after-send":
                real(messages)
            die()
        return send

original = dlq_apply.Replaying.run
def run(self, steps):
    kafka = self.kafka()
    self.kafka = lambda: Deadly(kafka)
    if point == "before-intent":
        self.journal.intend_all = die
    if point == "after-journal":
        self.kafka = lambda: kafka
        self._watch = die
    return original(self, steps)
dlq_apply.Replaying.run = run
sys.exit(main(sys.argv[2:]))
"""

POINTS = ("before-intent", "before-send", "after-send", "after-journal")


def die_at(point: str, system: Drill, folder: Path, *words: str) -> None:
    """Run `kcfix dlq replay --apply` until it kills itself with SIGKILL at this point."""
    script = folder / "killed.py"
    script.write_text(textwrap.dedent(KILLED))
    done = subprocess.run(
        [sys.executable, str(script), point, "-C", f"drill:{system.name}", "dlq", "replay", *words, "--apply", "--yes"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -9, done.stderr.decode()
