"""The contest over one payment in a large topic."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta

import psycopg
from contest import KCFIX, Contest

from kcfix.core.events import Message
from kcfix.drill import groups
from kcfix.drill.buy import buy
from kcfix.drill.engine import connected
from kcfix.drill.state import Drill
from kcfix.drill.wire import Sender
from kcfix.flow import Flow

RECORDS = 300_000
BATCH = 3000
FLOW = Flow()


def fill_topic(drill: Drill) -> tuple[str, int]:
    """A payment with its purchase, then records of six days that were all read; its id, and how many records there are.

    The purchase-worker is stopped for it.
    """
    [paid] = buy(drill, 1, at=datetime.now(UTC) - timedelta(days=6, hours=2))
    _wait_for_purchase(drill, paid)
    with connected() as engine:
        engine.stop(drill, FLOW.purchase_worker)
    groups.wait_empty(drill, FLOW.purchase_group)
    begun = datetime.now(UTC) - timedelta(days=6)
    ends: dict[int, int] = {}
    with Sender(drill) as sender:
        for first in range(0, RECORDS, BATCH):
            print(f"making records: {first} of {RECORDS}", file=sys.stderr)
            at = begun + (datetime.now(UTC) - begun) * (first / RECORDS)
            for sent in sender.send([_record(number) for number in range(first, first + BATCH)], at=at):
                if sent.partition is None or sent.offset is None:
                    raise SystemExit("the broker did not take all records")
                ends[sent.partition] = sent.offset + 1
    groups.commit(drill, FLOW.purchase_group, FLOW.purchase_confirmed, ends)
    return paid, sum(ends.values())


def _wait_for_purchase(drill: Drill, paid: str) -> None:
    query = """SELECT 1 FROM student_course_purchases u JOIN payments p ON p.student_id = u.student_id
               WHERE p.id = %s"""
    with psycopg.connect(drill.dsn, autocommit=True) as connection:
        for _ in range(300):
            if connection.execute(query, [paid]).fetchone():
                return
            time.sleep(0.1)
    raise SystemExit("the purchase-worker made no purchase")


def _record(number: int) -> Message:
    key = f"00000000-0000-4000-8000-{number:012d}".encode()
    body = b'{"type": "PURCHASE_CONFIRMED", "paymentId": "%s", "metadata": {"filling": "%s"}}' % (key, b"x" * 500)
    return Message(FLOW.purchase_confirmed, key, body, ())


def trace_contest(drill: Drill, java: tuple[str, ...], pairs: int, paid: str, records: int) -> Contest:
    """Where is this payment: its row and its message."""
    consumer = (*java, "kafka.tools.ConsoleConsumer", "--bootstrap-server", "kafka:9092", "--from-beginning")
    read = (
        *consumer,
        "--topic",
        FLOW.purchase_confirmed,
        "--max-messages",
        str(records),
        "--property",
        "print.key=true",
    )
    script = '"$@" | grep ' + paid
    return Contest(
        f"kcfix trace ID ({RECORDS:,} records)",
        (*KCFIX, "-C", f"drill:{drill.name}", "trace", paid),
        [
            ("psql", drill.dsn, "-c", f"SELECT * FROM payments WHERE id = '{paid}'"),  # noqa: S608 - a made-up id
            ("/bin/sh", "-c", script, "sh", *read),
        ],
        "psql, then kafka-console-consumer --from-beginning with grep",
        3,
        pairs,
        paid,
        paid,
    )
