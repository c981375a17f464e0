"""Stories of payments read from fakes, for the tests of what is concluded from them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from kcfix.core.events import Record, build_message
from kcfix.core.journal import RunRecord
from kcfix.core.judging.gather import Sources, WorkerContainers
from kcfix.core.judging.verdict import OVERDUE
from kcfix.core.logs.worker_lines import newest_lines
from kcfix.core.payments import Payment, PaymentId, Purchase
from kcfix.core.ports.kafka import SearchResult
from kcfix.core.story.payment_story import Story
from kcfix.core.story.read import StorySources, read_stories
from kcfix.core.workers import Container
from kcfix.errors import KcfixError
from kcfix.flow import Flow
from tests.conftest import NOW
from tests.fakes_database import FakeDatabase
from tests.fakes_docker import FakeDocker
from tests.fakes_kafka import FakeKafka

FLOW = Flow()


def body_of(paid: Payment) -> dict[str, Any]:
    """The body of the payment's event as payment-service writes it."""
    return {
        "type": "PURCHASE_CONFIRMED",
        "paymentId": paid.id,
        "studentId": paid.student_id,
        "courseId": paid.course_id,
        "amountCents": paid.amount_minor,
        "metadata": paid.metadata,
    }


def put_event(
    kafka: FakeKafka,
    topic: str,
    body: Mapping[str, Any],
    *,
    key: str,
    event_id: str,
    source: str,
    at: datetime,
    record_key: str | None = None,
) -> Record:
    """A record as the event bus writes it; `record_key` in place of the correlation id, where it is a foreign one."""
    made = build_message(
        topic, body, event_id=event_id, correlation_id=key, source=source, timestamp_ms=int(at.timestamp() * 1000)
    )
    return kafka.put(topic, record_key or key, made.value, headers=made.headers, at=at)


def put_confirmed(kafka: FakeKafka, paid: Payment, at: datetime | None = None, record_key: str | None = None) -> Record:
    """The payment's PURCHASE_CONFIRMED."""
    return put_event(
        kafka,
        FLOW.purchase_confirmed,
        body_of(paid),
        key=paid.id,
        event_id="00000000-0000-4000-8000-0000000000e1",
        source=FLOW.payment_service,
        at=at or paid.paid_at + timedelta(seconds=1),
        record_key=record_key,
    )


def put_created(
    kafka: FakeKafka, paid: Payment, purchase: Purchase, *, event_id: str = "{}", source: str = "purchase-worker"
) -> Record:
    """The PURCHASE_CREATED of a purchase, a second after it; `{}` in the event id is the purchase's id."""
    return put_event(
        kafka,
        FLOW.purchase_created,
        {"type": "PURCHASE_CREATED", "purchaseId": purchase.id, "purchaseTier": purchase.tier},
        key=paid.id,
        event_id=event_id.format(purchase.id),
        source=source,
        at=purchase.created_at + timedelta(seconds=1),
    )


def log_text(message: str, level: str = "info", **fields: object) -> str:
    """A line as winston writes it."""
    return json.dumps({"level": level, "message": message, **fields})


def sources(
    database: FakeDatabase,
    kafka: FakeKafka,
    docker: FakeDocker | None = None,
    *,
    runs: Iterable[RunRecord] | KcfixError = (),
    scanned: SearchResult | None = None,
) -> StorySources:
    """Where stories are read: the fakes; containers by the service of their label."""
    engine = docker or FakeDocker()

    def containers() -> Mapping[str, tuple[Container, ...]]:
        found: dict[str, tuple[Container, ...]] = {stage.worker: () for stage in FLOW.stages}
        for box in engine.containers():
            if box.service:
                found[box.service] = (*found.get(box.service, ()), box)
        return found

    def purchase_containers() -> WorkerContainers:
        found = containers()[FLOW.purchase_worker]
        return WorkerContainers(found, newest_lines(engine, found))

    def journal(_: Collection[str]) -> tuple[RunRecord, ...]:
        if isinstance(runs, KcfixError):
            raise runs
        return tuple(runs)

    return StorySources(
        Sources(FLOW, lambda: database, lambda: kafka, purchase_containers, lambda: NOW),
        docker=lambda: engine,
        containers=containers,
        runs=journal,
        scanned=scanned,
    )


def story(
    payment_id: PaymentId, database: FakeDatabase, kafka: FakeKafka, docker: FakeDocker | None = None, **more: Any
) -> Story:
    """The story of one payment."""
    return read_stories([payment_id], sources(database, kafka, docker, **more), overdue=OVERDUE)[0]
