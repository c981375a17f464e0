"""A broker with ACLs and a database with roles, and kcfix on both as users with just the rights that a test gives."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import ACL, ACLOperation, ACLPermissionType, KafkaAdminClient, ResourcePattern, ResourceType
from kafka.structs import OffsetAndMetadata
from kafka.structs import TopicPartition as LibraryPartition

from kcfix.core.payments import Payment
from kcfix.core.rights import Right, acl
from kcfix.core.workers import ContainerState
from kcfix.flow import Flow
from kcfix.main import main
from kcfix.services import Services
from tests.conftest import Ran, Terminal
from tests.fakes_database import FakeDatabase
from tests.fakes_docker import FakeDocker, container
from tests.real.certificates import Authority
from tests.real.postgres_world import PostgresWorld, server_with_shapes
from tests.real.secure_broker import Broker, broker

FLOW = Flow()
PASSWORD = "right-pass-word"  # noqa: S105 - of servers that live for one test run
LETTER = f"{FLOW.dead_letters}-0@0"
USERS = 600
ACLS = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:admin;User:ANONYMOUS",
}
"""The controller, which only this broker speaks to, is reached without a login."""
_OPERATIONS = {
    "Describe": ACLOperation.DESCRIBE,
    "DescribeConfigs": ACLOperation.DESCRIBE_CONFIGS,
    "Read": ACLOperation.READ,
    "Write": ACLOperation.WRITE,
    "All": ACLOperation.ALL,
}
_KINDS = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP, "cluster": ResourceType.CLUSTER}


@dataclass
class RightsWorld:
    """Both servers with a few payments in all states, and users as they are needed."""

    broker: Broker
    postgres: PostgresWorld
    folder: Path
    _admin: KafkaAdminClient
    _producer: KafkaProducer
    settled: str = ""
    lost_before: str = ""
    """A payment without purchase and message that commands which only look may look at."""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1000))
    _users: Iterator[int] = field(default_factory=itertools.count)

    def lost(self) -> str:
        """A payment of an hour ago that has no purchase and whose message was never sent."""
        seed = FakeDatabase(now=datetime.now(UTC))
        paid = seed.payment(next(self._numbers))
        self.postgres.pay(paid)
        return paid.id

    def kafka_users(self, wanted: Iterable[Iterable[Right]]) -> list[str]:
        """A user for each of these collections of rights, who has those and no others."""
        users: list[str] = []
        acls: list[ACL] = []
        for rights in wanted:
            users.append(f"user{next(self._users)}")
            acls += [_acl(users[-1], right) for right in rights]
        done = self._admin.create_acls(acls)
        assert not done["failed"], done
        time.sleep(0.2)  # until the broker has them from its controller
        return users

    def line(self, right: Right, user: str) -> str:
        """The call that gives a user a right."""
        return acl(right, f"User:{user}", self.broker.listeners["password"].address)

    def table_user(self, rights: Iterable[Right]) -> str:
        """The DSN of a role with these rights and no others."""
        user = f"role{next(self._users)}"
        grants = [f"GRANT {r.operation} ON {r.name} TO {user}" for r in rights]
        return self.postgres.add_user(user, *grants, reads=False)

    def run(self, *argv: str, user: str, dsn: str, docker: FakeDocker | None = None) -> Ran:
        """Kcfix in this process as that user of Kafka and that one of the database."""
        out, err = Terminal(), Terminal()
        login = {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": user,
            "sasl_plain_password": PASSWORD,
        }
        services = Services(
            environ={
                "HOME": str(self.folder),
                "KCFIX_BROKERS": self.broker.listeners["password"].address,
                "KCFIX_KAFKA": "{ " + ", ".join(f"{k} = {json.dumps(v)}" for k, v in login.items()) + " }",
                "KCFIX_DSN": dsn,
                "KCFIX_ALLOW_OTHER_SYSTEM": "true",
            },
            folder=self.folder,
            stdin=Terminal(),
            stdout=out,
            stderr=err,
            docker=docker or stopped_workers(),
        )
        return Ran(main(argv, services), out.getvalue(), err.getvalue())

    def send(self, topic: str, key: str, value: object, partition: int | None = None) -> None:
        self._producer.send(topic, key=key.encode(), value=json.dumps(value).encode(), partition=partition).get(10)

    def commit(self, group: str, topics: Collection[str]) -> None:
        """The group has read all there is."""
        with closing(KafkaConsumer(group_id=group, enable_auto_commit=False, **self.broker.settings())) as consumer:
            partitions = [LibraryPartition(t, p) for t in topics for p in range(3)]
            ends = consumer.end_offsets(partitions)
            consumer.assign(partitions)
            consumer.commit({p: OffsetAndMetadata(end, "", -1) for p, end in ends.items()})


def stopped_workers() -> FakeDocker:
    """An engine on which every worker is stopped, so that offsets may be moved."""
    return FakeDocker.of([container(s.worker, state=ContainerState.EXITED) for s in FLOW.stages])


def _acl(user: str, right: Right) -> ACL:
    pattern = ResourcePattern(_KINDS[right.kind], right.name or "kafka-cluster")
    return ACL(f"User:{user}", "*", _OPERATIONS[right.operation], ACLPermissionType.ALLOW, pattern)


@contextmanager
def rights_world(folder: Path, *options: str) -> Iterator[RightsWorld]:
    """Both servers; they are gone afterwards."""
    folder.mkdir(exist_ok=True)
    authority = Authority(folder / "ca")
    users = {f"user{n}": PASSWORD for n in range(USERS)}
    with (
        server_with_shapes() as server,
        broker(authority, (), users=users, settings=ACLS, options=options) as running,
        closing(running.admin()) as admin,
        closing(KafkaProducer(**running.settings())) as producer,
    ):
        postgres = PostgresWorld(server, timeout=5)
        world = RightsWorld(running, postgres, folder, admin, producer)
        _fill(world)
        try:
            yield world
        finally:
            postgres.close()


def _fill(world: RightsWorld) -> None:
    """Payments in several states, with something read and something waiting in every topic."""
    now = datetime.now(UTC)
    seed = FakeDatabase(now=now)
    settled, waiting, dead, unannounced, lost = (
        seed.payment(n, paid_at=now - timedelta(minutes=10 + n)) for n in range(1, 6)
    )
    for paid in (settled, waiting, dead, unannounced):
        seed.event(paid)
    bought = seed.purchase(settled)
    seed.allocation(bought, sessions=2)
    seed.purchase(unannounced)
    world.postgres.fill(seed)
    world.settled, world.lost_before = settled.id, lost.id

    def said(paid: Payment) -> dict[str, object]:
        row = next(e for e in seed.events if e.correlation_id == paid.id)
        stamp = int(now.timestamp() * 1000)
        meta = {"eventId": row.event_id, "correlationId": row.correlation_id, "source": row.source, "timestamp": stamp}
        body = row.payload if isinstance(row.payload, dict) else {}
        return {**body, "_metadata": {**meta, "version": row.version}}

    made = {"type": "PURCHASE_CREATED", "purchaseId": bought.id, "paymentId": settled.id}
    created = {**made, "studentId": bought.student_id, "courseId": bought.course_id}
    later = set(FLOW.topics) - {FLOW.purchase_confirmed, FLOW.purchase_created, FLOW.dead_letters}
    world.send(FLOW.purchase_confirmed, settled.id, said(settled))
    for again in ("read", "waiting"):
        world.send(FLOW.purchase_created, settled.id, created)
        for topic in later:
            world.send(topic, settled.id, {"type": "MADE_UP", "paymentId": settled.id})
        if again == "read":
            for stage in FLOW.stages:
                world.commit(stage.group, stage.topics)
    world.send(FLOW.purchase_confirmed, waiting.id, said(waiting))
    letter = {
        "originalTopic": FLOW.purchase_confirmed,
        "originalPartition": 0,
        "originalOffset": "0",
        "originalEvent": said(dead),
        "failureReason": "made up",
        "failedAt": now.isoformat(),
        "workerName": FLOW.purchase_worker,
    }
    world.send(FLOW.dead_letters, dead.id, letter, partition=0)
