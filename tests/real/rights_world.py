"""A broker with ACLs and a database with roles, and kcfix on both as users with just the rights that a test gives."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import ACL, ACLOperation, ACLPermissionType, KafkaAdminClient, ResourcePattern, ResourceType
from kafka.structs import OffsetAndMetadata
from kafka.structs import TopicPartition as LibraryPartition

from kcfix.core.rights import Right
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
USERS = 300
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
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1000))
    _users: Iterator[int] = field(default_factory=itertools.count)

    def lost(self) -> str:
        """A payment of an hour ago that has no purchase and whose message was never sent."""
        seed = FakeDatabase(now=datetime.now(UTC))
        paid = seed.payment(next(self._numbers))
        self.postgres.pay(paid)
        return paid.id

    def kafka_user(self, rights: Iterable[Right]) -> str:
        """A user with these rights and no others."""
        user = f"user{next(self._users)}"
        self.allow(user, rights)
        return user

    def allow(self, user: str, rights: Iterable[Right]) -> None:
        acls = [_acl(user, right) for right in rights]
        if acls:
            done = self._admin.create_acls(acls)
            assert not done["failed"], done

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

    def send(self, topic: str, key: str, value: object) -> None:
        self._producer.send(topic, key=key.encode(), value=json.dumps(value).encode()).get(10)

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
    now = datetime.now(UTC)
    seed = FakeDatabase(now=now)
    settled = seed.payment(1, paid_at=now - timedelta(minutes=10))
    seed.event(settled)
    bought = seed.purchase(settled)
    seed.allocation(bought, sessions=2)
    waiting = seed.payment(2, paid_at=now - timedelta(minutes=9))
    seed.event(waiting)
    dead = seed.payment(3, paid_at=now - timedelta(minutes=8))
    seed.event(dead)
    world.postgres.fill(seed)

    def said(paid: object) -> dict[str, object]:
        row = next(e for e in seed.events if e.correlation_id == paid.id)  # type: ignore[attr-defined]
        stamp = int(now.timestamp() * 1000)
        meta = {"eventId": row.event_id, "correlationId": row.correlation_id, "source": row.source, "timestamp": stamp}
        return {**row.payload, "_metadata": {**meta, "version": row.version}}  # type: ignore[dict-item]

    world.send(FLOW.purchase_confirmed, settled.id, said(settled))
    made = {"type": "PURCHASE_CREATED", "purchaseId": bought.id, "paymentId": settled.id}
    world.send(
        FLOW.purchase_created, settled.id, {**made, "studentId": bought.student_id, "courseId": bought.course_id}
    )
    for topic in set(FLOW.topics) - {FLOW.purchase_confirmed, FLOW.purchase_created, FLOW.dead_letters}:
        world.send(topic, settled.id, {"type": "MADE_UP", "paymentId": settled.id})
    for stage in FLOW.stages:
        world.commit(stage.group, stage.topics)
    world.send(FLOW.purchase_confirmed, waiting.id, said(waiting))
    letter = {
        "originalTopic": FLOW.purchase_confirmed,
        "originalPartition": 0,
        "originalOffset": "0",
        "originalEvent": said(dead),
        "failureReason": "made up",
        "failureCount": 3,
        "failedAt": now.isoformat(),
        "workerName": FLOW.purchase_worker,
    }
    world.send(FLOW.dead_letters, dead.id, letter)
