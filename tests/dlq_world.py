"""A system in memory with dead letters, whose purchase-worker handles what is sent to it as soon as it is sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from kcfix.core.dlq.letter import Place
from kcfix.core.events import Message, Record, parse_event
from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import Payment
from kcfix.core.ports.kafka import SendResult
from kcfix.flow import Flow
from tests.conftest import NOW, Ran, Run
from tests.fakes_database import FakeDatabase, event_id
from tests.fakes_kafka import FakeKafka

FLOW = Flow()
TOPIC = FLOW.purchase_confirmed
LETTERS = FLOW.dead_letters
GROUP = FLOW.purchase_group
APPLY = ("--apply", "--yes")
REFUSED = "connect ECONNREFUSED 172.18.0.3:5432"


def place_of(record: Record) -> Place:
    return Place(record.topic, record.partition, record.offset)


def body_of(payment: Payment, *, event: str | None = None, course: str | None = None) -> dict[str, object]:
    """The PURCHASE_CONFIRMED of a payment, with something of the student in it that must never be shown."""
    return {
        "type": "PURCHASE_CONFIRMED",
        "paymentId": payment.id,
        "studentId": payment.student_id,
        "courseId": course or payment.course_id,
        "studentName": "Made-Up Person",
        "metadata": payment.metadata,
        "_metadata": {
            "eventId": event or event_id(int(payment.id[-8:])),
            "correlationId": payment.id,
            "source": "payment-service",
            "version": "1.0.0",
            "timestamp": 1768478400000,
        },
    }


class LivelyKafka(FakeKafka):
    """Calls the worker after each send."""

    worker: Callable[[Sequence[SendResult], Sequence[Message]], None] | None = None
    before: Callable[[], None] | None = None

    def send(self, messages: Sequence[Message]) -> tuple[SendResult, ...]:
        if self.before is not None:
            self.before()
        results = super().send(messages)
        if self.worker is not None:
            self.worker(results, messages)
        return results


class DlqWorld:
    """Three protected partitions, a live worker, and no dead letters yet."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.database = FakeDatabase(now=NOW)
        self.kafka = LivelyKafka(now=NOW)
        self.kafka.worker = self.work
        self.kafka.join_worker(GROUP, TOPIC)
        for stage in FLOW.stages:
            tps = [TopicPartition(t, p) for t in stage.topics for p in range(3)]
            self.kafka.commit_as_worker(stage.group, dict.fromkeys(tps, 0))
        self.kafka.join_worker(GROUP, TOPIC)
        self.alive = True
        self.broken: set[str] = set()
        """Payments on which the worker fails again."""

    def kcfix(self, *argv: str, **more: Any) -> Ran:
        systems = {"kafka": self.kafka, "database": self.database}
        return self._run("dlq", *argv, **{**systems, **more})

    # the worker

    def work(self, results: Sequence[SendResult], messages: Sequence[Message]) -> None:
        if not self.alive:
            return
        for sent, message in zip(results, messages, strict=True):
            if sent.offset is None or message.topic != TOPIC or sent.partition is None:
                continue
            record = Record(TOPIC, sent.partition, sent.offset, NOW, message.key, message.value)
            event = parse_event(record)
            payment = next(p for p in self.database.payments if event and p.id == event.payment_id)
            if payment.id in self.broken:
                self.letters(record, "it failed again", copies=6)
                continue
            if not any(p.student_id == payment.student_id and p.is_active for p in self.database.purchases):
                self.database.purchase(payment, created_at=NOW)
            self.pass_by(place_of(record))

    def pass_by(self, place: Place, group: str = GROUP) -> None:
        """The worker has committed the offset behind this place."""
        self.kafka.commit_as_worker(group, {place.in_partition: place.offset + 1})
        self.kafka.join_worker(GROUP, TOPIC)

    # what is there

    def pay(self, n: int, **row: Any) -> Payment:
        return self.database.payment(n, paid_at=NOW - timedelta(hours=2), **row)

    def put(self, payment: Payment, body: Mapping[str, object] | None = None, **more: Any) -> Record:
        """The message of a payment, in the log."""
        value = json.dumps(body or body_of(payment))
        headers = more.pop("headers", (("eventId", event_id(int(payment.id[-8:])).encode()), ("traceparent", b"00-1")))
        at = more.pop("at", NOW - timedelta(hours=2))
        return self.kafka.put(TOPIC, payment.id, value, headers=headers, at=at, **more)

    def letters(
        self, record: Record, reason: str = REFUSED, *, copies: int = 3, at: datetime | None = None, **instead: object
    ) -> list[Record]:
        """Dead letters about a record, as a worker writes them."""
        event = json.loads(record.value or b"null")
        meta = event.get("_metadata", {}) if isinstance(event, dict) else {}
        value = {
            "originalEvent": event,
            "originalTopic": record.topic,
            "originalPartition": record.partition,
            "originalOffset": str(record.offset),
            "failureReason": reason,
            "failureTimestamp": 1768478400000,
            "attempts": 3,
            "correlationId": meta.get("correlationId", "unknown"),
            "eventId": meta.get("eventId", "unknown"),
            **instead,
        }
        first = at or NOW - timedelta(hours=1)
        return [
            self.kafka.put(LETTERS, str(value["correlationId"]), json.dumps(value), at=first + timedelta(seconds=n))
            for n in range(copies)
        ]

    def fail(self, n: int, reason: str = REFUSED, *, copies: int = 3, **row: Any) -> Payment:
        """A payment whose message failed, was passed, and has so many letters."""
        payment = self.pay(n, **row)
        record = self.put(payment)
        self.letters(record, reason, copies=copies)
        self.pass_by(place_of(record))
        return payment

    def place(self, payment: Payment) -> str:
        """Of the newest message of a payment."""
        found = [r for r in self.kafka.log(TOPIC) if r.key == payment.id.encode()]
        return str(place_of(found[-1]))

    def purchases(self, payment: Payment) -> int:
        return sum(p.student_id == payment.student_id for p in self.database.purchases)
