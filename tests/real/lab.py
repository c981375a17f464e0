"""A laboratory in a drill: many workers side by side, each with topics and a group of its own.

A scenario is a function that plays something with one bench and returns what it saw. Scenarios mostly wait, so those
that the selected tests need are all played at once, and each test looks at what its scenario saw.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import resources
from typing import Any, TypeVar

import docker.types
import psycopg
import pytest
from docker.models.containers import Container
from kafka.admin import KafkaAdminClient, NewTopic

from kcfix.core.events import DeadLetter, Event, Message, parse_dead_letter, parse_event
from kcfix.drill import groups, schema, wire, workers
from kcfix.drill.buy import Emission, succeed
from kcfix.drill.checkout import PARTITIONS, Payment, payment
from kcfix.drill.engine import Engine, Spec, connected
from kcfix.drill.network import kafka_settings
from kcfix.drill.state import Drill, Shape
from kcfix.flow import Flow

FLOW = Flow()
COURSE = "00000000-0000-4000-9000-000000000001"
T = TypeVar("T")
Test = TypeVar("Test", bound=Callable[..., None])
_STARTS = threading.Semaphore(3)
"""So many workers start at a time: more would only make each other late."""
Scenario = Callable[["Bench"], Any]


def until(what: str, look: Callable[[], T | None], seconds: float = 30) -> T:
    """The first answer that is not empty; fails with `what` after that time."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.3)
    return found


@dataclass
class Bench:
    """Topics, groups and at most one worker, apart from those of the drill and of all other benches."""

    engine: Engine
    drill: Drill
    name: str
    dsn: str = ""
    inner_dsn: str = ""
    container: Container | None = None
    sent_at: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Partition and offset of each payment's message."""

    @property
    def namespace(self) -> str:
        return f"lab-{self.name}."

    def topic(self, name: str) -> str:
        return self.namespace + name

    @property
    def group(self) -> str:
        return self.namespace + FLOW.purchase_group

    @property
    def confirmed(self) -> str:
        return self.topic(FLOW.purchase_confirmed)

    def make_topics(self, *, without: str | None = None) -> None:
        names = [self.topic(t) for t in FLOW.topics if t != without]
        with closing(KafkaAdminClient(**kafka_settings(self.drill))) as admin:
            admin.create_topics([NewTopic(n, num_partitions=PARTITIONS, replication_factor=1) for n in names])

    def make_database(self, shape: str = "C") -> None:
        """A database of the bench's own in that shape, in the place of one that is there."""
        name = f"lab_{self.name.replace('-', '_')}"
        self._on_server(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name}")
        self.dsn = self.drill.dsn.rpartition("/")[0] + f"/{name}"
        self.inner_dsn = self.drill.inner_dsn.rpartition("/")[0] + f"/{name}"
        with psycopg.connect(self.dsn) as connection:
            for file in schema.files(replace(self.drill, processed_events=Shape(shape))):
                connection.execute((resources.files("kcfix.drill") / "sql" / file).read_bytes())

    def clear(self) -> None:
        """Remove the worker, the topics, the groups and the database."""
        if self.container is not None:
            self.container.stop(timeout=15)  # a killed member would keep its group from being deleted
            self.container.remove(force=True, v=True)
        self._on_server(f"DROP DATABASE IF EXISTS lab_{self.name.replace('-', '_')} WITH (FORCE)")
        with closing(KafkaAdminClient(**kafka_settings(self.drill))) as admin:
            admin.delete_topics([t for t in admin.list_topics() if t.startswith(self.namespace)])
        for stage in FLOW.stages:
            groups.dissolve(self.drill, self.namespace + stage.group)

    def _on_server(self, *statements: str) -> None:
        with psycopg.connect(self.drill.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def start(self, service: str = FLOW.purchase_worker, *, join: bool = True, **environment: str) -> None:
        """Make the worker and start it."""
        wanted = {"DRILL_NAMESPACE": self.namespace, "POSTGRES_URL": self.inner_dsn, **environment}
        spec = workers.spec(self.drill, service, workers.ground(self.engine, lambda _: None), wanted)
        with _STARTS:
            self._start(service, spec, join=join)

    def _start(self, service: str, spec: Spec, *, join: bool) -> None:
        since = time.time()
        self.container = self.engine.client.containers.run(
            spec.image,
            list(spec.command),
            name=f"{self.drill.project}-lab-{self.name}",
            user=spec.user,
            environment=dict(spec.environment),
            mounts=[docker.types.Mount(b.target, b.source, type="bind", read_only=True) for b in spec.binds],
            labels=self.drill.labels,
            network=self.drill.network,
            working_dir=spec.working_dir,
            entrypoint=[],
            detach=True,
        )
        if join:
            self.joined(service, since=since)

    def joined(self, service: str = FLOW.purchase_worker, *, since: float, seconds: float = 90) -> None:
        stage = FLOW.stage_of_worker(service)
        assert stage is not None
        groups.wait_joined(self.drill, self.namespace + stage.group, since=since, seconds=seconds)

    @property
    def worker(self) -> Container:
        assert self.container is not None
        return self.container

    def restart(self, *, join: bool = True) -> None:
        """Start the stopped worker again."""
        since = time.time()
        self.worker.start()
        if join:
            self.joined(since=since)

    def stop(self) -> int:
        """SIGTERM, and wait until the group is empty; the exit code."""
        self.worker.stop(timeout=20)
        groups.wait_empty(self.drill, self.group)
        return self.exit_code()

    def exit_code(self) -> int:
        return int(self.worker.wait(timeout=60)["StatusCode"])

    def log(self, *, stdout: bool = True, stderr: bool = True) -> str:
        text: bytes = self.worker.logs(stdout=stdout, stderr=stderr)
        return text.decode()

    def pay(self, partition: int | None = None, *, emission: Emission = Emission.SENT, **wanted: Any) -> Payment:
        """A payment succeeds, is recorded, and its message sent into the bench's topic."""
        made = self.record(partition, emission=emission, **wanted)
        self.send(made.message(), made.id)
        return made

    def record(self, partition: int | None = None, *, emission: Emission = Emission.SENT, **wanted: Any) -> Payment:
        """A payment succeeds and is recorded; its message is not sent."""
        student = str(wanted.pop("student_id", None) or payment_student())
        made = payment(
            student_id=student,
            course_id=wanted.pop("course_id", COURSE),
            tier=wanted.pop("tier", 20),
            now=datetime.now(UTC),
            partition=partition,
            **wanted,
        )
        with psycopg.connect(self.dsn) as connection:
            succeed(connection, [made], emission)
        return made

    def send(self, message: Message, payment_id: str = "") -> tuple[int, int]:
        """Partition and offset at which the message lies now."""
        moved = replace(message, topic=self.topic(message.topic))
        [sent] = wire.send(self.drill, [moved])
        assert sent.partition is not None
        assert sent.offset is not None
        self.sent_at[payment_id] = (sent.partition, sent.offset)
        return sent.partition, sent.offset

    def committed(self) -> dict[int, int]:
        return groups.committed(self.drill, self.group, self.confirmed)

    def ask(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def tier(self, of: Payment) -> int | None:
        """Tier of the student's active purchase, None if there is none."""
        rows = self.ask(
            "SELECT purchase_tier FROM student_course_purchases WHERE student_id = %s AND is_active", of.student_id
        )
        assert len(rows) <= 1
        return int(rows[0][0]) if rows else None

    def purchased(self, of: Payment, seconds: float = 30) -> int:
        """Tier of the purchase, waited for."""
        return until(f"a purchase of {of.id}", lambda: self.tier(of), seconds)

    def events(self, topic: str, correlation_id: str | None = None) -> list[Event]:
        """What the topic holds, by partition and offset; only events of that correlation id if one is given."""
        parsed = [parse_event(r) for r in wire.records(self.drill, self.topic(topic))]
        return [e for e in parsed if e is not None and correlation_id in (None, e.correlation_id)]

    def dead_letters(self) -> list[DeadLetter]:
        parsed = [parse_dead_letter(r) for r in wire.records(self.drill, self.topic(FLOW.dead_letters))]
        return [d for d in parsed if d is not None]


def payment_student() -> str:
    """A student that no one else has."""
    return str(uuid.uuid4())


class Lab:
    """Plays scenarios at the same time, each on its own bench."""

    def __init__(self, drill: Drill) -> None:
        self._drill = drill
        self._pool = ThreadPoolExecutor(max_workers=24)
        self._seen: dict[str, Future[Any]] = {}

    def play(self, scenario: Scenario) -> None:
        """Begin the scenario, once."""
        name = scenario.__name__.replace("_", "-")
        if name not in self._seen:
            self._seen[name] = self._pool.submit(self._play, name, scenario)

    def seen(self, scenario: Scenario) -> Any:
        """What the scenario saw, waited for; what went wrong in it is raised here."""
        self.play(scenario)
        return self._seen[scenario.__name__.replace("_", "-")].result(timeout=240)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _play(self, name: str, scenario: Scenario) -> Any:
        with connected() as engine:
            bench = Bench(engine, self._drill, name)
            try:
                bench.make_database()
                bench.make_topics()
                return scenario(bench)
            finally:
                bench.clear()


def sees(scenario: Scenario) -> Callable[[Test], Test]:
    """Says which scenario a test looks at."""

    def mark(test: Test) -> Test:
        vars(test)["scenario"] = scenario
        return test

    return mark


@pytest.fixture(scope="session")
def lab(drill: Drill, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab in which the scenarios of all selected tests are being played."""
    made = Lab(drill)
    try:
        for item in request.session.items:
            scenario = getattr(getattr(item, "function", None), "scenario", None)
            if scenario is not None:
                made.play(scenario)
        yield made
    finally:
        made.close()


@pytest.fixture
def seen(lab: Lab, request: pytest.FixtureRequest) -> Any:
    """What the test's scenario saw."""
    return lab.seen(request.function.scenario)
