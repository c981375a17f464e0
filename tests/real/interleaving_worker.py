"""The worker of an interleaving: what the purchase-worker does (docs/system.md 2.4, 2.7 and 6, modes 28 and 29)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from kcfix.core.events import Record, advisory_lock_key, build_message
from kcfix.core.offsets import TopicPartition
from kcfix.core.ports.kafka import OffsetRange
from kcfix.flow import PURCHASE_CREATED
from tests.real.interleaving_stage import PARTITIONS, Job, Stop, Systems, stop


def work(job: Job, systems: Systems, pipe: Connection) -> str:
    """Read what waits for the group, as the purchase-worker does (docs/system.md 2.4, 2.7 and 6, modes 28 and 29)."""
    flow, kafka = systems.flow, systems.kafka
    database, beside = systems.connections(job.dsn)
    partitions = [TopicPartition(flow.purchase_confirmed, p) for p in range(PARTITIONS)]
    handled = idle = 0
    while True:
        standing = kafka.committed([flow.purchase_group])[flow.purchase_group]
        ends = kafka.log_offsets(partitions)
        waiting = [OffsetRange(tp, standing[tp].offset or 0, ends[tp].log_end_offset or 0) for tp in partitions]
        waiting = [r for r in waiting if r.start < r.end]
        for record in tuple(kafka.records(waiting)):
            _handle(record, database, beside, systems, lambda step: stop(pipe, f"worker-{step}"))
            kafka.commit(flow.purchase_group, {TopicPartition(record.topic, record.partition): record.offset + 1})
            handled += 1
        if not waiting:
            idle += 1
            if idle >= job.polls:
                return f"handled {handled}"
            stop(pipe, "worker-idle")


_ACTIVE = """SELECT id::text, purchase_tier FROM student_course_purchases
    WHERE student_id = %s AND course_id = %s AND is_active ORDER BY created_at DESC LIMIT 1"""
_INSERT = """INSERT INTO student_course_purchases (student_id, course_id, purchase_tier, metadata, is_active,
    created_at, updated_at) VALUES (%s, %s, %s, %s, true, now(), now()) RETURNING id::text"""
_MARK = """INSERT INTO processed_events (event_id, correlation_id, event_type, payload, source)
    VALUES (%s, %s, %s, %s, 'purchase-worker') ON CONFLICT DO NOTHING"""


def _handle(
    record: Record, database: psycopg.Connection[Any], beside: psycopg.Connection[Any], systems: Systems, at: Stop
) -> None:
    event = json.loads(record.value or b"")
    meta = event.pop("_metadata")
    pair = (event["studentId"], event["courseId"])
    mark = (meta["eventId"], meta["correlationId"], event["type"], Jsonb(event))
    found = database.execute(_ACTIVE, pair).fetchone()
    if found is not None:
        _announce(event, found[0], found[1], f"purchase-created-{found[0]}-recovery", systems, at)
        beside.execute(_MARK, mark)
    else:
        tier = event["metadata"]["purchaseTier"]
        at("before-lock")
        database.execute("BEGIN")
        database.execute("SELECT pg_advisory_xact_lock(%s)", [advisory_lock_key(*pair)])
        at("under-lock")
        # The row that another session made meanwhile is announced all the same.
        made = database.execute(_ACTIVE, pair).fetchone()
        made = made or database.execute(_INSERT, [*pair, tier, Jsonb(event["metadata"])]).fetchone()
        assert made is not None
        beside.execute(_MARK, mark)
        at("before-commit")
        database.execute("COMMIT")
        _announce(event, made[0], tier, made[0], systems, at)
    at("before-offset")


def _announce(event: Mapping[str, Any], purchase: str, tier: int, event_id: str, systems: Systems, at: Stop) -> None:
    at("before-send")
    body = {"type": PURCHASE_CREATED, "purchaseId": purchase, "purchaseTier": tier, "metadata": event["metadata"]}
    body |= {"studentId": event["studentId"], "courseId": event["courseId"]}
    message = build_message(
        systems.flow.purchase_created,
        body,
        event_id=event_id,
        correlation_id=event["paymentId"],
        source="purchase-worker",
        timestamp_ms=int(datetime.now(UTC).timestamp() * 1000),
    )
    (sent,) = systems.kafka.send([message])
    assert sent.error is None, sent
