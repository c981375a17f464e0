"""A whole system on fakes for the doctor: all is well until a test breaks something by what it would leave behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from kcfix.cli.examining import examine
from kcfix.core.doctor.diagnose import diagnose
from kcfix.core.doctor.diagnosis import Diagnosis, Severity
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rules import RULES
from kcfix.core.events import murmur2_partition
from kcfix.core.offsets import Member, TopicPartition
from kcfix.core.ports.health import DatabaseHealth
from kcfix.core.workers import Container, ContainerEvent, ContainerState, Stream
from kcfix.services import Services
from tests.conftest import NOW
from tests.fakes_docker import container, line
from tests.system import FLOW, HOSTS, START, System

WORKER = "purchase-worker"
HEALTH = DatabaseHealth(
    NOW,
    standby=False,
    read_only=False,
    read_only_database=False,
    connections=5,
    max_connections=97,
    sees_others=True,
    unique_indexes=dict.fromkeys(
        ("unique_session_slot", "unique_active_allocation", "idx_processed_events_idempotency"), True
    ),
)
"""A server in which all is well."""
DSN = "postgresql://app:made-up-password@db.example:5432/kc_app"
MINUTE = timedelta(minutes=1)


class Ward(System):
    """Workers with the environment of production, a broker's container, and ways to break each part."""

    def __init__(self) -> None:
        super().__init__()
        for box in list(self.docker.boxes.values()):
            self.docker.boxes[box.id] = replace(
                box,
                environment={**box.environment, "POSTGRES_URL": DSN, "REDIS_URL": "redis://redis:6379"},
                health_check=True,
                created_at=START - timedelta(days=1),
            )
        self.put(container("kafka", started_at=START, address="172.18.0.2", published={9092: "127.0.0.1:9092"}))
        self.docker.clock = lambda: NOW

    # containers

    def put(self, box: Container) -> Container:
        """Put the container in the place of the one with its name."""
        for id in [i for i, old in self.docker.boxes.items() if old.name == box.name]:
            del self.docker.boxes[id]
        self.docker.boxes[box.id] = box
        return box

    def box(self, service: str = WORKER) -> Container:
        """The container of a service."""
        return self.docker.inspect(f"kodingcaravan-{service}")

    def change(self, service: str = WORKER, **fields: Any) -> Container:
        """Change the container of a service."""
        return self.put(replace(self.box(service), **fields))

    def end(
        self,
        service: str = WORKER,
        exit_code: int = 0,
        *,
        state: ContainerState = ContainerState.EXITED,
        ago: timedelta = 5 * MINUTE,
        **more: Any,
    ) -> Container:
        """The container has ended, and its group is empty."""
        stage = FLOW.stage_of_worker(service)
        if stage is not None:
            self.kafka.leave(stage.group)
        return self.change(
            service,
            state=state,
            exit_code=exit_code,
            finished_at=NOW - ago,
            networks=dict.fromkeys(self.box(service).networks, ""),
            **more,
        )

    def happened(self, action: str, *, service: str = WORKER, ago: timedelta = 5 * MINUTE, **more: Any) -> None:
        """The engine remembers it."""
        self.docker.happened.append(ContainerEvent(NOW - ago, self.box(service).name, action, **more))

    def remove(self, service: str = WORKER) -> None:
        """There is no container of it, and its group is empty."""
        del self.docker.boxes[self.box(service).id]
        stage = FLOW.stage_of_worker(service)
        if stage is not None:
            self.kafka.leave(stage.group)

    # logs

    def log(
        self,
        message: str,
        *,
        service: str = WORKER,
        ago: timedelta = timedelta(seconds=20),
        level: str = "error",
        **fields: Any,
    ) -> None:
        """The worker has logged a line."""
        name = self.box(service).name
        text = json.dumps({"level": level, "message": message, "service": service, **fields})
        lines = self.docker.lines.setdefault(name, [])
        lines.append(line(name, NOW - ago, text, Stream.STDOUT))
        lines.sort(key=lambda one: one.timestamp)

    def kafkajs(
        self, message: str, *, service: str = WORKER, ago: timedelta = timedelta(seconds=20), **fields: Any
    ) -> None:
        """Kafkajs has logged an error line."""
        self.log(message, service=service, ago=ago, level="ERROR", logger="kafkajs", **fields)

    def received(self, partition: int, offset: int, *, ago: timedelta = MINUTE) -> None:
        """The purchase-worker has begun a message."""
        place: dict[str, Any] = {"topic": FLOW.purchase_confirmed, "partition": partition, "offset": str(offset)}
        self.log("[KafkaConsumer] Processing message", ago=ago, level="info", **place)

    def handled(self, partition: int, offset: int, *, ago: timedelta = MINUTE) -> None:
        """The purchase-worker has ended a message well."""
        place: dict[str, Any] = {"topic": FLOW.purchase_confirmed, "partition": partition, "offset": str(offset)}
        self.log("[KafkaConsumer] Message processed successfully", ago=ago, level="info", **place)

    # Kafka

    def commit(self, partition: int, offset: int, *, group: str = FLOW.purchase_group) -> None:
        """The group's committed offset on a partition of purchase-confirmed."""
        self.kafka.commit_as_worker(group, {TopicPartition(FLOW.purchase_confirmed, partition): offset})

    def uncommit(self, *partitions: int) -> None:
        """The purchase group has no committed offset there."""
        for n in partitions or range(3):
            self.kafka.forget_commit(FLOW.purchase_group, TopicPartition(FLOW.purchase_confirmed, n))

    def dead_letter(
        self,
        partition: int,
        offset: int,
        reason: str,
        *,
        payment: str | None = None,
        topic: str | None = None,
        copies: int = 6,
    ) -> None:
        """Copies of a message in the dead letters."""
        body = {
            "originalEvent": {"paymentId": payment} if payment else {},
            "originalTopic": topic or FLOW.purchase_confirmed,
            "originalPartition": partition,
            "originalOffset": str(offset),
            "failureReason": reason,
            "correlationId": payment or "unknown",
        }
        for n in range(copies):
            text = json.dumps(body, separators=(",", ":"))
            self.kafka.put(FLOW.dead_letters, payment or "unknown", text, at=NOW - timedelta(minutes=3, seconds=-n))

    def join_stranger(self, client_id: str, *topics: str, host: str = "10.0.0.9", held: tuple[int, ...] = (2,)) -> None:
        """A further member of the purchase group, which takes some of the partitions."""
        (own,) = self.kafka.groups([FLOW.purchase_group])[FLOW.purchase_group].members
        taken = tuple(TopicPartition(FLOW.purchase_confirmed, n) for n in held)
        kept = replace(own, assignment=tuple(tp for tp in own.assignment if tp not in taken))
        other = Member(f"{client_id}-x", client_id, host, taken, tuple(sorted(topics)))
        self.kafka.join(FLOW.purchase_group, kept, other)

    # payments

    def partition_of(self, payment: str) -> int:
        """The partition on which the payment's message falls."""
        return murmur2_partition(payment.encode(), 3)

    def offset_of(self, payment: str) -> tuple[int, int]:
        """Partition and offset of the payment's message."""
        record = next(r for r in self.kafka.log(FLOW.purchase_confirmed) if r.key == payment.encode())
        return record.partition, record.offset

    # the doctor

    def services(self) -> Services:
        """The services of one run on these fakes."""
        return Services(
            environ={},
            now=lambda: NOW,
            sleep=lambda seconds: None,
            resolves=lambda host: host != "kafka",
            **self.parts,  # type: ignore[arg-type]
        )

    def examine(self, sample: timedelta | None = None) -> Examination:
        """What the doctor would look at."""
        return examine(self.services(), sample)[0]

    def diagnose(self, sample: timedelta | None = None) -> Diagnosis:
        """What the doctor would say."""
        return diagnose(self.examine(sample), RULES)

    def causes(self) -> list[str]:
        """Codes of the causes that are no mere advice, in their order."""
        return [f.code for f in self.diagnose().findings if f.severity is not Severity.ADVICE]


Breaking = Callable[[Ward], object]
__all__ = ["DSN", "FLOW", "HEALTH", "HOSTS", "MINUTE", "NOW", "START", "WORKER", "Breaking", "Ward", "datetime"]
