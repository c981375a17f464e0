"""A broker with ACLs and a database with roles, and kcfix on both as users with just the rights that a test gives."""

from __future__ import annotations

import itertools
import json
import shlex
import subprocess
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import ACL, ACLOperation, ACLPermissionType, KafkaAdminClient, ResourcePattern, ResourceType
from kafka.structs import OffsetAndMetadata
from kafka.structs import TopicPartition as LibraryPartition

from kcfix.core.events import murmur2_partition
from kcfix.core.payments import Payment
from kcfix.core.rights import Right, acl
from kcfix.core.workers import Container, ContainerState
from kcfix.drill.cache import broker_jars
from kcfix.drill.network import free_ports
from kcfix.flow import Flow
from kcfix.main import main
from kcfix.services import Services
from tests.conftest import Ran, Terminal
from tests.fakes_database import FakeDatabase
from tests.fakes_docker import FakeDocker, container
from tests.real.certificates import Authority
from tests.real.postgres_world import PostgresWorld, server_with_shapes
from tests.real.secure_broker import ADMIN, ADMIN_PASSWORD, Broker, broker

FLOW = Flow()
PASSWORD = "right-pass-word"  # noqa: S105 - of servers that live for one test run
APPLY = ("--apply", "--yes")
LETTER = f"{FLOW.dead_letters}-0@0"
FIRST = 1
"""The first offset of purchase-confirmed and purchase-created that is still there."""
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
    waiting: str = ""
    lost_before: str = ""
    """A payment without purchase and message that commands which only look may look at."""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1000))
    _users: Iterator[int] = field(default_factory=itertools.count)

    def lost(self, *, to_come: bool = False) -> str:
        """A payment of an hour ago, or by its clock of the next minutes, without purchase and without a message."""
        now = datetime.now(UTC)
        seed = FakeDatabase(now=now)
        paid = seed.payment(next(self._numbers), paid_at=now + timedelta(minutes=4) if to_come else None)
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

    def inserted(self) -> str:
        """A run whose purchase was inserted and not announced, because Kafka was away."""
        done = self._as_owner("repair", self.lost(), "--strategy", "insert", "--announce-later", *APPLY, away=True)
        assert "UNANNOUNCED" in done.out, done.out + done.err
        return self._newest()

    def moved(self) -> str:
        """A run that let the purchase group skip what waits for it."""
        self.commit(FLOW.purchase_group, (FLOW.purchase_confirmed,), nothing=True)
        where = ("--group", FLOW.purchase_group, "--to", "latest", "--skip", self.waiting)
        done = self._as_owner("offsets", "reset", *where, *APPLY)
        assert done.code == 0, done.out + done.err
        return self._newest()

    def delete_before(self, offset: int, *topics: str) -> None:
        """Retention has deleted what lies before that offset of these topics."""
        self._admin.delete_records({LibraryPartition(t, p): offset for t in topics for p in range(3)})

    def unparked(self) -> None:
        """No dead letter is set aside."""
        (self.folder / ".local" / "state" / "kcfix" / "parked.jsonl").unlink(missing_ok=True)

    def unpin(self) -> int:
        """Nothing is committed by the purchase group where a message waits for it; gives the partition."""
        partition = murmur2_partition(self.waiting.encode(), 3)
        self._admin.delete_group_offsets(FLOW.purchase_group, [LibraryPartition(FLOW.purchase_confirmed, partition)])
        return partition

    def committed(self, group: str, topic: str, partition: int) -> int | None:
        """What a group has committed there."""
        with closing(KafkaConsumer(group_id=group, enable_auto_commit=False, **self.broker.settings())) as consumer:
            found = consumer.committed(LibraryPartition(topic, partition))
            return None if found is None else int(found)

    def run_kafka_acls(self, line: str) -> None:
        """Run such a line as the admin, with the class that Kafka's script starts."""
        (self.folder / "admin.properties").write_text(
            "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n"
            "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required"
            f' username="{ADMIN}" password="{ADMIN_PASSWORD}";\n'
        )
        program, *words = shlex.split(line)
        assert program == "kafka-acls"
        java = ("java", "-XX:TieredStopAtLevel=1", "-cp", f"{broker_jars('3.5.2', lambda _: None)}/*")
        done = subprocess.run(
            [*java, "kafka.admin.AclCommand", *words],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    @contextmanager
    def working(self) -> Iterator[FakeDocker]:
        """The purchase-worker has joined and read all there is; gives the engine on which it runs."""
        started = datetime.now(UTC)
        client = f"{FLOW.purchase_worker}-{int(started.timestamp() * 1000) + 1}"
        with closing(
            KafkaConsumer(
                FLOW.purchase_confirmed,
                group_id=FLOW.purchase_group,
                client_id=client,
                enable_auto_commit=False,
                **self.broker.settings(),
            )
        ) as consumer:
            end = time.monotonic() + 30
            while not consumer.assignment() and time.monotonic() < end:
                consumer.poll(timeout_ms=100)
            for partition in consumer.assignment():
                consumer.seek_to_end(partition)
                consumer.position(partition)
            consumer.commit()
            leave = threading.Event()

            def stay() -> None:
                while not leave.is_set():
                    consumer.poll(timeout_ms=100)

            thread = threading.Thread(target=stay)
            thread.start()
            try:
                yield engine(container(FLOW.purchase_worker, started_at=started, address="127.0.0.1"))
            finally:
                leave.set()
                thread.join(30)

    def _as_owner(self, *argv: str, away: bool = False) -> Ran:
        nowhere = f"127.0.0.1:{free_ports(1)[0]}"
        return self.run(*argv, user=ADMIN, dsn=self.postgres.dsn(), brokers=nowhere if away else None)

    def _newest(self) -> str:
        [run, *_] = self._as_owner("history", "-o", "json").document["data"]
        return str(run["run"])

    def run(
        self,
        *argv: str,
        user: str,
        dsn: str,
        docker: FakeDocker | None = None,
        brokers: str | None = None,
        one_look: bool = False,
        context: str | None = None,
    ) -> Ran:
        """Kcfix in this process as that user of Kafka and that one of the database.

        With `one_look` it is interrupted when it would pause; with a `context` the addresses stand in a file, under
        that name, and it may be tried on.
        """
        out, err = Terminal(), Terminal()
        login = {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": user,
            "sasl_plain_password": ADMIN_PASSWORD if user == ADMIN else PASSWORD,
        }
        settings = {
            "brokers": brokers or self.broker.listeners["password"].address,
            "kafka": "{ " + ", ".join(f"{k} = {json.dumps(v)}" for k, v in login.items()) + " }",
            "dsn": dsn,
            "allow_other_system": "true",
        }
        if context is not None:
            argv = ("-C", context, *argv)
            self._write_context(context, settings)
            settings = {}

        def interrupt(_: float) -> None:
            raise KeyboardInterrupt

        services = Services(
            environ={"HOME": str(self.folder), **{f"KCFIX_{name.upper()}": s for name, s in settings.items()}},
            sleep=interrupt if one_look else time.sleep,
            folder=self.folder,
            stdin=Terminal(),
            stdout=out,
            stderr=err,
            docker=docker or stopped_workers(),
        )
        return Ran(main(argv, services), out.getvalue(), err.getvalue())

    def _write_context(self, name: str, settings: Mapping[str, str]) -> None:
        texts = {**settings, "brokers": json.dumps([settings["brokers"]]), "dsn": json.dumps(settings["dsn"])}
        file = self.folder / ".config" / "kcfix" / "config.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"[contexts.{name}]", "probe = true", *(f"{key} = {text}" for key, text in texts.items())]
        file.write_text("\n".join(lines) + "\n")

    def send(self, topic: str, key: str, value: object, partition: int | None = None) -> None:
        self._producer.send(topic, key=key.encode(), value=json.dumps(value).encode(), partition=partition).get(10)

    def commit(self, group: str, topics: Collection[str], *, nothing: bool = False) -> None:
        """The group has read all there is, or `nothing` of it."""
        with closing(KafkaConsumer(group_id=group, enable_auto_commit=False, **self.broker.settings())) as consumer:
            partitions = [LibraryPartition(t, p) for t in topics for p in range(3)]
            ends = dict.fromkeys(partitions, FIRST) if nothing else consumer.end_offsets(partitions)
            consumer.assign(partitions)
            consumer.commit({p: OffsetAndMetadata(end, "", -1) for p, end in ends.items()})


def stopped_workers() -> FakeDocker:
    """An engine on which every worker is stopped, so that offsets may be moved."""
    return engine(*(container(s.worker, state=ContainerState.EXITED) for s in FLOW.stages))


def engine(*containers: Container) -> FakeDocker:
    """An engine with these containers and this host's clock."""
    made = FakeDocker.of(containers)
    made.clock = lambda: datetime.now(UTC)
    return made


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
    world.settled, world.waiting, world.lost_before = settled.id, waiting.id, lost.id

    def said(paid: Payment) -> dict[str, object]:
        row = next(e for e in seed.events if e.correlation_id == paid.id)
        stamp = int(now.timestamp() * 1000)
        meta = {"eventId": row.event_id, "correlationId": row.correlation_id, "source": row.source, "timestamp": stamp}
        body = row.payload if isinstance(row.payload, dict) else {}
        return {**body, "_metadata": {**meta, "version": row.version}}

    made = {"type": "PURCHASE_CREATED", "purchaseId": bought.id, "paymentId": settled.id}
    created = {**made, "studentId": bought.student_id, "courseId": bought.course_id}
    # What was first there is deleted: the logs no longer reach back to when the payments were made.
    for topic in (FLOW.purchase_confirmed, FLOW.purchase_created):
        for partition in range(3):
            world.send(topic, "old", {"type": "OLD"}, partition=partition)
    world.delete_before(FIRST, FLOW.purchase_confirmed, FLOW.purchase_created)
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
