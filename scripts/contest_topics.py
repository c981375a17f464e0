"""The contests over topics of many records: one payment's story, and the search of a whole topic.

One topic grows through all sizes. In the middle of what each size adds lies the payment that is asked about then, so
that the time index has to find it among the records of its hour. The same number waits for the worker each time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from contest import KCFIX, Contest
from contest_fill import Filler
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from kcfix.core.judging.windows import AFTER, BEFORE
from kcfix.drill import broker, groups, wire
from kcfix.drill.buy import buy
from kcfix.drill.checkout import PARTITIONS
from kcfix.drill.engine import connected
from kcfix.drill.network import kafka_settings
from kcfix.drill.state import Drill
from kcfix.flow import Flow

FLOW = Flow()
WAITING = 100
"""So many records of each partition wait for the worker at every size."""
MOST_SECONDS = 1.0
"""Longer no `kcfix trace` may take."""


@dataclass(frozen=True, slots=True)
class _Size:
    """How large the topic is, and over which days what it adds was written."""

    records: int
    begin: timedelta
    end: timedelta
    together: bool = False
    """Written in large batches, not one record to the batch."""

    scanned: bool = False

    @property
    def questions(self) -> tuple[str, ...]:
        return (self.trace, self.scan) if self.scanned else (self.trace,)

    @property
    def trace(self) -> str:
        return f"kcfix trace ID ({self.records:,} records)"

    @property
    def scan(self) -> str:
        return f"kcfix trace ID --scan ({self.records:,} records)"


_SIZES = (
    _Size(10_000, timedelta(days=6), timedelta(days=5, hours=12)),
    _Size(1_000_000, timedelta(days=5, hours=12), timedelta(days=4, hours=12), scanned=True),
    _Size(10_000_000, timedelta(days=4, hours=12), timedelta(), together=True),
)


_LARGEST = _SIZES[-1]
_READ = (_LARGEST.records - _SIZES[-2].records) * (BEFORE + AFTER) / (_LARGEST.begin - _LARGEST.end) / PARTITIONS

ABOUT = f"""`trace` is asked about a settled payment in the middle of a topic that grows. Each time
{WAITING * PARTITIONS} records wait for the worker; near the payment, where its message may lie, `trace` reads some
{_READ:,.0f} of the ten million. The records are as payment-service writes them: about 850 bytes, and one to the batch,
but for the last nine million, of which a thousand make a batch, so that they are written in time. The rivals read the
topic for the message and know nothing of purchase, trainer, sessions, logs and verdict, on which `trace` spends its
time, whatever the size: it is wanted to be flat. `--scan` reads the whole topic and tells the story too; its rival
only reads. kcat goes straight to the broker's address, kcfix through the port that Docker publishes: that, too, is to
the rival's advantage."""


def topic_contests(drill: Drill, java: tuple[str, ...], hosts: Path, pairs: int, only: str) -> Iterator[Contest]:
    """Those whose question has the text `only`; each is given when the topic is as large as it wants it.

    At the end the topic is empty, and the purchase-worker is stopped.
    """
    last = max((n for n, size in enumerate(_SIZES) if any(only in q for q in size.questions)), default=-1)
    if last < 0:
        return
    now = datetime.now(UTC)
    _made_anew(drill)
    with Filler(drill) as filler:
        there = 0
        for size in _SIZES[: last + 1]:
            paid = _grown(drill, filler, size, there, now)
            there = size.records
            for contest in _contests(drill, java, hosts, pairs, size, paid):
                if only in contest.question:
                    yield contest
    _made_anew(drill)


def _contests(
    drill: Drill, java: tuple[str, ...], hosts: Path, pairs: int, size: _Size, paid: str
) -> Iterator[Contest]:
    trace = (*KCFIX, "-C", f"drill:{drill.name}", "trace", paid)
    row = ("psql", drill.dsn, "-c", f"SELECT * FROM payments WHERE id = '{paid}'")  # noqa: S608 - a made-up id
    grep = ("/bin/sh", "-c", f'"$@" | grep {paid}', "sh")
    kcat = (*grep, *_kcat(hosts))
    told = f"{FLOW.purchase_confirmed}-"
    if size.together:
        pairs = min(pairs, 3)  # its rival takes most of a minute on a busy machine
    yield Contest(size.trace, trace, [row, kcat], "psql, then kcat with grep", None, pairs, told, paid, MOST_SECONDS)
    if size.scanned:
        console = (*grep, *_console(java, drill))
        by_console = "psql, then kafka-console-consumer --from-beginning with grep"
        yield Contest(size.trace, trace, [row, console], by_console, 3, pairs, told, paid)
        yield Contest(size.scan, (*trace, "--scan"), [kcat], "kcat with grep", 0.5, pairs, told, paid)


def _kcat(hosts: Path) -> tuple[str, ...]:
    """Kcat on this host, told by a hosts file of its own where the broker's name leads: no other program sees it."""
    return (
        *("env", "LD_PRELOAD=libnss_wrapper.so", f"NSS_WRAPPER_HOSTS={hosts}"),
        *("kcat", "-C", "-b", "kafka:9092", "-t", FLOW.purchase_confirmed, "-o", "beginning", "-e", "-q"),
        *("-f", "%p %o %k %s\\n"),
    )


def _console(java: tuple[str, ...], drill: Drill) -> tuple[str, ...]:
    """Kafka's own consumer, told how many records there are, so that it ends by itself."""
    records = sum(end - start for start, end in wire.ends(drill, FLOW.purchase_confirmed).values())
    return (
        *(*java, "kafka.tools.ConsoleConsumer", "--bootstrap-server", "kafka:9092", "--from-beginning"),
        *("--topic", FLOW.purchase_confirmed, "--max-messages", str(records), "--property", "print.key=true"),
    )


def _made_anew(drill: Drill) -> None:
    """The topic, empty: what other contests left in it is newer than what will be written."""
    _stop_worker(drill)
    with closing(KafkaAdminClient(**kafka_settings(drill))) as admin:
        admin.delete_topics([FLOW.purchase_confirmed])
    for _ in range(100):
        try:
            broker.make_topics(drill)
            if wire.ends(drill, FLOW.purchase_confirmed):
                return
        except KafkaError:
            pass
        time.sleep(0.3)
    raise SystemExit(f"topic {FLOW.purchase_confirmed} could not be made anew")


def _grown(drill: Drill, filler: Filler, size: _Size, there: int, now: datetime) -> str:
    """The topic grows to this size; the id of the payment in the middle of what was added."""
    print(f"making records: {there:,} to {size.records:,}", file=sys.stderr)
    half = (size.records - there) // 2
    begin, end = now - size.begin, now - size.end
    middle = begin + (end - begin) / 2
    filler.fill(half, begin, middle, together=size.together)
    _commit(drill, waiting=0)
    with connected() as engine:
        engine.start(drill, FLOW.purchase_worker)
    groups.wait_joined(drill, FLOW.purchase_group)
    [paid] = buy(drill, 1, at=middle)
    wait_for_purchase(drill, paid)
    _stop_worker(drill)
    filler.fill(half, middle, end, together=size.together)
    _commit(drill, waiting=WAITING)
    return paid


def _stop_worker(drill: Drill) -> None:
    with connected() as engine:
        engine.stop(drill, FLOW.purchase_worker)
    groups.wait_empty(drill, FLOW.purchase_group)


def _commit(drill: Drill, *, waiting: int) -> None:
    ends = wire.ends(drill, FLOW.purchase_confirmed)
    offsets = {partition: max(start, end - waiting) for partition, (start, end) in ends.items()}
    groups.commit(drill, FLOW.purchase_group, FLOW.purchase_confirmed, offsets)


def wait_for_purchase(drill: Drill, paid: str) -> None:
    query = """SELECT 1 FROM student_course_purchases u JOIN payments p ON p.student_id = u.student_id
               WHERE p.id = %s"""
    with psycopg.connect(drill.dsn, autocommit=True) as connection:
        for _ in range(300):
            if connection.execute(query, [paid]).fetchone():
                return
            time.sleep(0.1)
    raise SystemExit("the purchase-worker made no purchase")
