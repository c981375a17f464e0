"""A system in memory whose purchase-worker behaves: it joins when started, starts at latest, handles what it may."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kcfix.core.events import Record, parse_event
from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import Payment
from kcfix.core.ports.kafka import OffsetRange
from kcfix.core.workers import Container, RawLine, Stream
from kcfix.flow import Flow
from kcfix.main import main
from kcfix.services import Services
from tests.conftest import Ran, Terminal
from tests.fakes_database import FakeDatabase
from tests.fakes_docker import FakeDocker, container
from tests.fakes_kafka import FakeKafka
from tests.schemas import check_document

FLOW = Flow()
GROUP = FLOW.purchase_group
TOPIC = FLOW.purchase_confirmed
BEGIN = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@dataclass
class Clock:
    """Time that passes by sleeping, and a millisecond with each look."""

    at: datetime = BEGIN
    asleep: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at

    def monotonic(self) -> float:
        return self.now().timestamp()

    def sleep(self, seconds: float) -> None:
        self.asleep.append(seconds)
        self.at += timedelta(seconds=seconds)


def tp(partition: int) -> TopicPartition:
    return TopicPartition(TOPIC, partition)


class World:
    """Kafka, Docker and a database, and a worker between them."""

    def __init__(self, *, running: bool = True) -> None:
        self.clock = Clock()
        self.kafka = FakeKafka(now=BEGIN)
        self.database = FakeDatabase(now=BEGIN)
        self.box = container("purchase-worker", started_at=BEGIN - timedelta(days=1))
        self.docker = FakeDocker.of([self.box], [])
        self.docker.clock = self.clock.now
        self.docker.on_start.append(self.started)
        self.docker.on_stop.append(self.stopped)
        self.joins = True
        """Whether a worker that is started joins its group."""
        self.leaves = True
        """Whether a worker that is stopped leaves it."""
        self.between: Callable[[], None] = lambda: None
        """What happens just before a started worker joins."""
        self.handled: list[tuple[TopicPartition, int]] = []
        self._count = 0
        if running:
            self.kafka.join_worker(GROUP, TOPIC, client_id=f"purchase-worker-{_ms(self.box.started_at) + 500}")
        else:
            self.docker.boxes[self.box.id] = container(
                "purchase-worker",
                state=type(self.box.state).EXITED,
                started_at=self.box.started_at,
                finished_at=BEGIN - timedelta(hours=1),
                exit_code=137,
            )

    # payments

    def pay(self, partition: int, *, tier: object = 20, bought: bool = False, sent: bool = True) -> Payment:
        """A payment that succeeded and whose message lies in this partition."""
        self._count += 1
        payment = self.database.payment(self._count, tier=tier, paid_at=self.clock.at - timedelta(minutes=5))
        if bought:
            self.database.purchase(payment)
        if sent:
            self.send(payment, partition)
        return payment

    def send(self, payment: Payment, partition: int) -> Record:
        body = {
            "type": "PURCHASE_CONFIRMED",
            "paymentId": payment.id,
            "studentId": payment.student_id,
            "courseId": payment.course_id,
            "metadata": payment.metadata,
            "_metadata": {
                "eventId": payment.id.replace("-0001", "-0006"),
                "correlationId": payment.id,
                "source": "payment-service",
                "version": "1.0.0",
            },
        }
        return self.kafka.put(TOPIC, payment.id, json.dumps(body), partition=partition, at=self.clock.at)

    def commit(self, **offsets: int) -> None:
        """`commit(p0=3)`: what the worker has committed."""
        self.kafka.commit_as_worker(GROUP, {tp(int(name[1:])): offset for name, offset in offsets.items()})

    def committed(self) -> dict[int, int | None]:
        return {p.partition: c.offset for p, c in self.kafka.committed([GROUP])[GROUP].items()}

    def purchased(self, payment: Payment) -> bool:
        return any(p.student_id == payment.student_id and p.is_active for p in self.database.purchases)

    # the worker

    def stopped(self, box: Container) -> None:
        if self.leaves and self.kafka.down is None:
            self.kafka.leave(GROUP)

    def started(self, box: Container) -> None:
        self.between()
        if not self.joins or box.started_at is None or self.kafka.down is not None:
            return
        self.log(box, "info", "[PurchaseWorker] Initialized")
        self.kafka.join_worker(GROUP, TOPIC, client_id=f"purchase-worker-{_ms(box.started_at) + 5}", host="172.18.0.5")
        self.log(box, "INFO", "[ConsumerGroup] Consumer has joined the group", logger="kafkajs")
        self.work(box)

    def work(self, box: Container) -> None:
        """Read every partition from its commit; where there is no usable one, from its end, as kafkajs does."""
        committed = self.committed()
        for partition in range(3):
            log = self.kafka.log_offsets([tp(partition)])[tp(partition)]
            start = committed.get(partition)
            assert log.log_end_offset is not None
            assert log.log_start_offset is not None
            if start is None or not log.log_start_offset <= start <= log.log_end_offset:
                continue
            for record in self.kafka.records([OffsetRange(tp(partition), start, log.log_end_offset)]):
                if not self.handle(record):
                    break
                self.commit(**{f"p{partition}": record.offset + 1})
                self.log(box, "info", "[KafkaConsumer] Message processed successfully", offset=str(record.offset))

    def handle(self, record: Record) -> bool:
        event = parse_event(record)
        if event is None:
            return record.value is None
        payment = next((p for p in self.database.payments if p.id == event.payment_id), None)
        if payment is None or payment.tier is None:
            return False
        self.handled.append((TopicPartition(record.topic, record.partition), record.offset))
        if not self.purchased(payment):
            self.database.purchase(payment, created_at=self.clock.now())
        return True

    def log(self, box: Container, level: str, message: str, **fields: str) -> None:
        text = json.dumps({"level": level, "message": message, "service": "purchase-worker", **fields})
        self.docker.lines.setdefault(box.name, []).append(RawLine(box.name, self.clock.now(), Stream.STDOUT, text))

    # kcfix

    def services(self, folder: Path, *, stdin: str = "", tty: bool = False, guarded: bool = False) -> Services:
        folder.mkdir(exist_ok=True)
        return Services(
            environ={
                "HOME": str(folder),
                "TERM": "dumb",
                "COLUMNS": "80",
                "KCFIX_DSN": "postgresql://db.example/kc_app",
                "KCFIX_ALLOW_OTHER_SYSTEM": "false" if guarded else "true",
            },
            folder=folder,
            stdin=Terminal(stdin, tty=tty),
            stdout=Terminal(tty=tty),
            stderr=Terminal(tty=tty),
            now=self.clock.now,
            sleep=self.clock.sleep,
            monotonic=self.clock.monotonic,
            kafka=self.kafka,
            docker=self.docker,
            database=self.database,
        )

    def run(self, folder: Path, *argv: str, stdin: str = "", tty: bool = False, guarded: bool = False) -> Ran:
        """Run kcfix; `guarded`: it has to be the workers' own system."""
        services = self.services(folder, stdin=stdin, tty=tty, guarded=guarded)
        code = main(argv, services)
        assert isinstance(services.stdout, io.StringIO)
        assert isinstance(services.stderr, io.StringIO)
        ran = Ran(code, services.stdout.getvalue(), services.stderr.getvalue())
        if "json" in argv:
            check_document(ran.document)
        return ran


def _ms(moment: datetime | None) -> int:
    assert moment is not None
    return int(moment.timestamp() * 1000)
