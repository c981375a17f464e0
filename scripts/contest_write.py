"""The contests of writing: ten thousand purchases inserted, ten thousand messages replayed.

Timed are the writes alone, on both sides: kcfix says itself how long its own took (`change_seconds`: from the first
lock to the last commit, from the first send to the last acknowledgement), which includes its canary, its journal and
all that it checks in between; not its plan before and its proof after.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from contest import KCFIX, Argv, Contest, executed
from contest_topics import wait_for_purchase
from kafka import KafkaProducer

from kcfix.adapters.kafka import open_kafka
from kcfix.core.events import Message, build_message
from kcfix.core.offsets import TopicPartition
from kcfix.drill import groups
from kcfix.drill.buy import buy
from kcfix.drill.checkout import PARTITIONS
from kcfix.drill.engine import connected
from kcfix.drill.network import kafka_settings
from kcfix.drill.state import Drill
from kcfix.flow import PURCHASE_CONFIRMED, Flow

WRITES = 10_000
FLOW = Flow()
_NUMBERS = itertools.count()

# Each lot is paid within one second of an hour of its own, a week to a month ago, by students of its own.
_PAY = """
INSERT INTO payments (id, student_id, amount_cents, status, provider, provider_payment_id, metadata, confirmed_at,
                      created_at)
SELECT overlay(md5('payment ' || l.lot || n) PLACING '4' FROM 13)::uuid,
       overlay(md5('student ' || l.lot || n) PLACING '4' FROM 13)::uuid, 720000, 'succeeded', 'razorpay',
       'pay_' || l.lot || '_' || n,
       jsonb_build_object('courseId', c.ids[n %% array_length(c.ids, 1) + 1], 'purchaseTier', 20, 'timeSlot', '4:00 PM',
                          'groupSize', 1, 'learningMode', 'home', 'startDate', '2026-03-02',
                          'scheduleType', 'everyday'),
       l.at + n * interval '0.1 ms', l.at
FROM generate_series(1, %(count)s) AS n, (SELECT %(lot)s::text AS lot, %(at)s::timestamptz AS at) AS l,
     (SELECT array_agg(id ORDER BY id) AS ids FROM courses) AS c
"""
_INSERT = """
BEGIN;
LOCK TABLE student_course_purchases IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO student_course_purchases (id, student_id, course_id, purchase_tier, expiry_date, metadata, is_active,
                                      created_at, updated_at)
SELECT gen_random_uuid(), p.student_id, (p.metadata->>'courseId')::uuid, (p.metadata->>'purchaseTier')::integer,
       (p.metadata->>'expiryDate')::timestamptz,
       p.metadata || jsonb_build_object('sessionCount', p.metadata->'purchaseTier'), true, now(), now()
FROM payments p
WHERE p.status = 'succeeded' AND p.confirmed_at >= '{since}' AND p.confirmed_at < '{until}'
  AND NOT EXISTS (SELECT FROM student_course_purchases u
                  WHERE u.student_id = p.student_id AND u.course_id = (p.metadata->>'courseId')::uuid);
COMMIT
"""


def write_contests(drill: Drill, java: Argv, pairs: int, only: str) -> Iterator[Contest]:
    """Both, if their questions have this text. The allocation-worker is stopped: it would be busy for an hour."""
    inserting = f"kcfix repair --strategy insert ({WRITES:,} payments): first lock to last commit"
    replaying = f"kcfix repair --strategy replay ({WRITES:,} payments): first send to last acknowledgement"
    if only not in inserting and only not in replaying:
        return
    with connected() as engine:
        engine.stop(drill, FLOW.allocation_worker)
    if only in inserting:
        yield Contest(
            inserting,
            lambda: repaired(drill, "insert"),
            [lambda: inserted(drill)],
            "one `INSERT … SELECT` of the same rows under a table lock, by psycopg: BEGIN to COMMIT",
            1 / 3,
            pairs,
            "",
            "",
        )
    if only in replaying:
        wake(drill)
        rivals = {
            "kafka-python's `KafkaProducer(acks='all')`: first `send` to the end of `flush`": lambda: produced(drill),
            "`kafka-console-producer` with acks=all, less the time that it takes for one message": lambda: typed(
                drill, java
            ),
        }
        for name, rival in rivals.items():
            yield Contest(replaying, lambda: repaired(drill, "replay"), [rival], name, 1 / 2, pairs, "", "")


def pay(drill: Drill) -> tuple[datetime, datetime]:
    """A lot of payments that nothing followed; the hour that they lie in."""
    number = next(_NUMBERS)
    since = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=8, hours=2 * number)
    with psycopg.connect(drill.dsn, autocommit=True) as connection:
        at = since + timedelta(minutes=30)
        connection.execute(_PAY.encode(), {"count": WRITES, "lot": f"{drill.name} {number}:", "at": at})
        connection.execute("VACUUM ANALYZE payments")
        connection.execute("VACUUM ANALYZE student_course_purchases")
        connection.execute("CHECKPOINT")
    return since, since + timedelta(hours=1)


def repaired(drill: Drill, strategy: str) -> tuple[float, float]:
    """Seconds that kcfix takes to write for a lot of payments, by its own account. All of them must be settled."""
    since, until = pay(drill)
    argv = (
        *(*KCFIX, "-C", f"drill:{drill.name}", "repair", "--missing", "--since", f"{since:%Y-%m-%dT%H:%MZ}"),
        *("--until", f"{until:%Y-%m-%dT%H:%MZ}", "--strategy", strategy, "--max", str(WRITES)),
        *("--apply", "--yes", "--reason", "bench", "-o", "json"),
    )
    whole, mebibytes, code, told = executed(argv, errors_too=False)
    document = json.loads(told)
    if document["summary"]["outcomes"] != {"SETTLED": WRITES}:
        raise SystemExit(f"{' '.join(argv)} ({code}): {document['summary']} {document['errors'][:3]}")
    took = document["summary"]["change_seconds"]
    print(f"{strategy}: {took}, all of it {whole:.1f} s", file=sys.stderr)
    return took[strategy], mebibytes


def inserted(drill: Drill) -> tuple[float, float]:
    """Seconds that the bare insert takes for a lot of payments."""
    since, until = pay(drill)
    with psycopg.connect(drill.dsn, autocommit=True) as connection:
        before = _purchases(connection)
        started = time.perf_counter()
        connection.execute(_INSERT.format(since=since.isoformat(), until=until.isoformat()).encode())
        took = time.perf_counter() - started
        if _purchases(connection) - before != WRITES:
            raise SystemExit("the bare insert did not make a purchase of each payment")
    return took, 0.0


def _purchases(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    [(number,)] = connection.execute("SELECT count(*) FROM student_course_purchases").fetchall()
    return int(str(number))


def produced(drill: Drill) -> tuple[float, float]:
    """Seconds that the bare producer takes for as many messages of that kind, onto a topic that no group reads."""
    messages = [_message(number) for number in range(WRITES)]
    with closing(KafkaProducer(**kafka_settings(drill), acks="all")) as producer:
        producer.partitions_for(FLOW.course_access_granted)
        started = time.perf_counter()
        sent = [
            producer.send(m.topic, key=m.key, value=m.value, headers=[(n, v) for n, v in m.headers]) for m in messages
        ]
        producer.flush()
        took = time.perf_counter() - started
        if not all(future.succeeded() for future in sent):
            raise SystemExit("the bare producer did not send all")
    return took, 0.0


def typed(drill: Drill, java: Argv) -> tuple[float, float]:
    """Seconds that Kafka's own console producer takes for as many more messages than one, with keys and headers."""
    producer = (
        *(*java, "kafka.tools.ConsoleProducer", "--bootstrap-server", "kafka:9092"),
        *("--topic", FLOW.course_access_granted, "--producer-property", "acks=all"),
        *("--property", "parse.key=true", "--property", "parse.headers=true"),
    )
    took = []
    with tempfile.NamedTemporaryFile() as file:
        for count in (1, WRITES):
            messages = [_message(number) for number in range(count)]
            headers = [",".join(f"{name}:{(value or b'').decode()}" for name, value in m.headers) for m in messages]
            lines = [b"\t".join((h.encode(), m.key or b"", m.value)) for h, m in zip(headers, messages, strict=True)]
            Path(file.name).write_bytes(b"\n".join(lines) + b"\n")
            before = _records(drill)
            seconds, _, code, told = executed(("/bin/sh", "-c", f'"$@" < {file.name}', "sh", *producer))
            if code or _records(drill) - before != count:
                raise SystemExit(f"the console producer did not send all: {told[-500:]}")
            took.append(seconds)
    return took[1] - took[0], 0.0


def _records(drill: Drill) -> int:
    with closing(open_kafka(drill.brokers, address_map=drill.address_map, timeout=30.0)) as kafka:
        partitions = [TopicPartition(FLOW.course_access_granted, number) for number in range(PARTITIONS)]
        return sum(log.log_end_offset or 0 for log in kafka.log_offsets(partitions).values())


def _message(number: int) -> Message:
    id = f"00000000-0000-4000-8000-{number:012d}"
    metadata = {"courseId": id, "purchaseTier": 20, "timeSlot": "4:00 PM", "groupSize": 1, "learningMode": "home"}
    body: dict[str, object] = {
        **{"type": PURCHASE_CONFIRMED, "timestamp": 1, "userId": id, "role": "student", "paymentId": id},
        **{"studentId": id, "courseId": id, "amountCents": 720000},
        "metadata": {**metadata, "startDate": "2026-03-02", "scheduleType": "everyday"},
    }
    return build_message(
        FLOW.course_access_granted, body, event_id=id, correlation_id=id, source="kcfix", timestamp_ms=1768478400000
    )


def wake(drill: Drill) -> None:
    """Have the purchase-worker run, and every partition of its group protected."""
    with connected() as engine:
        engine.start(drill, FLOW.purchase_worker)
    groups.wait_joined(drill, FLOW.purchase_group)
    for partition in range(PARTITIONS):
        [paid] = buy(drill, 1, partition=partition)
        wait_for_purchase(drill, paid)
