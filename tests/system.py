"""A whole system on fakes in which all is well, for a test to break."""

from __future__ import annotations

import json
from datetime import timedelta

from kcfix.core.offsets import TopicPartition
from kcfix.core.workers import Container, ContainerState
from kcfix.flow import Flow
from tests.conftest import NOW
from tests.fakes_database import FakeDatabase
from tests.fakes_docker import FakeDocker, container
from tests.fakes_kafka import FakeKafka

FLOW = Flow()
STAGES = tuple(s for s in FLOW.stages if s.required)
START = NOW - timedelta(hours=1)
HOSTS = {s.worker: f"172.18.0.{n}" for n, s in enumerate(STAGES, 5)}


def box(worker: str, state: ContainerState = ContainerState.RUNNING, **more: object) -> Container:
    return container(worker, state=state, started_at=START, address=HOSTS[worker], **more)  # type: ignore[arg-type]


class System:
    """A system in which all is well: every worker has joined, and has handled a message on every partition."""

    def __init__(self) -> None:
        self.kafka = FakeKafka(now=NOW)
        self.database = FakeDatabase(now=NOW)
        self.docker = FakeDocker.of([box(s.worker) for s in STAGES])
        for stage in STAGES:
            joined = int((START + timedelta(seconds=3)).timestamp() * 1000)
            client = f"{stage.worker}-{joined}"
            self.kafka.join_worker(stage.group, *stage.topics, client_id=client, host=HOSTS[stage.worker])
            partitions = [TopicPartition(t, p) for t in stage.topics for p in range(3)]
            self.kafka.commit_as_worker(stage.group, dict.fromkeys(partitions, 0))

    def stop(self, worker: str = "purchase-worker") -> None:
        """The worker's container is stopped and its group is empty."""
        stage = FLOW.stage_of_worker(worker)
        assert stage is not None
        old = self.docker.inspect(f"kodingcaravan-{worker}")
        self.docker.boxes[old.id] = box(worker, ContainerState.EXITED, exit_code=0, finished_at=NOW)
        self.kafka.leave(stage.group)

    def pay(self, n: int, *, ago: timedelta = timedelta(hours=1), sent: bool = True) -> str:
        """Payment n succeeds; its message lies in the log unless it was not sent."""
        payment = self.database.payment(n, paid_at=NOW - ago)
        self.database.event(payment)
        if sent:
            value = {"type": "PURCHASE_CONFIRMED", "paymentId": payment.id, "metadata": payment.metadata}
            self.kafka.put(FLOW.purchase_confirmed, payment.id, json.dumps(value), at=payment.paid_at)
        return payment.id

    @property
    def parts(self) -> dict[str, object]:
        return {"kafka": self.kafka, "docker": self.docker, "database": self.database}
