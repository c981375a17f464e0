"""The actors of an interleaving, each a process of its own: kcfix repairs, and a worker like the real one.

An actor stops at each named step, says so, and goes on when it is told to; it may be killed there. The repairs are
kcfix's own code on its own adapters. What says that the worker works is given, because here no container runs one.
"""

from __future__ import annotations

import json
import signal
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from os import getpid
from time import monotonic
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from kcfix.adapters import postgres_insert
from kcfix.adapters.kafka import open_kafka
from kcfix.adapters.postgres import open_database
from kcfix.core.events import Message, Record, advisory_lock_key, build_message
from kcfix.core.gather import Sources, WorkerContainers, payment_snapshots
from kcfix.core.logentry import Dialect, Level, LogEntry
from kcfix.core.offsets import Group, GroupState, Member, TopicPartition
from kcfix.core.payments import PaymentId
from kcfix.core.ports import (
    DatabasePort,
    HeldPurchase,
    Hold,
    InsertOrder,
    InsertResult,
    KafkaPort,
    OffsetRange,
    Recheck,
)
from kcfix.core.repair_apply import Applying
from kcfix.core.repair_plan import Strategy, Wishes, plan_repair
from kcfix.core.repair_result import Outcome, Result, Results
from kcfix.core.repair_run import RepairRun
from kcfix.core.workers import Stream
from kcfix.flow import PURCHASE_CREATED, Flow
from tests.builders import a_container

AHEAD = timedelta(minutes=3)
"""How far the repairs' clock is ahead: what the case has just made is overdue to them, but not yet downstream."""
TIMEOUT = 15.0
PARTITIONS = 3

REPAIR_STEPS = (
    *("planned", "before-insert", "under-lock", "before-commit", "after-insert", "before-lock", "before-send"),
    *("after-send", "before-reading-back", "before-reading-again", "before-replay", "after-replay", "waiting"),
)
WORKER_STEPS = tuple(
    f"worker-{step}" for step in ("before-lock", "under-lock", "before-commit", "before-send", "before-offset")
)
Stop = Callable[[str], None]


@dataclass(frozen=True)
class Site:
    """How the servers are reached, and the names of the test's own topics and group."""

    brokers: tuple[str, ...]
    address_map: Mapping[str, str]
    flow: Flow


@dataclass(frozen=True)
class Job:
    """What an actor is to do."""

    dsn: str
    payments: tuple[str, ...] = ()
    """Those to be repaired, in this order; none: it is the worker."""
    strategy: Strategy = Strategy.AUTO
    working: bool = False
    """Whether the repair is to take the worker for a working one."""
    polls: int = 1
    """How many times the worker looks for messages and finds none before it is done."""


def act(pipe: Connection, site: Site) -> None:
    """Do one job after the other, until killed or until the other end of the pipe is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _commit_stops(pipe)
    systems = Systems(site)
    try:
        while True:
            job: Job = pipe.recv()
            try:
                _stop(pipe, "start")
                text = repair(job, systems, pipe) if job.payments else work(job, systems, pipe)
            except EOFError:
                return
            except Exception:  # noqa: BLE001 - told to the test, which fails by it
                pipe.send(("failed", traceback.format_exc()))
            else:
                pipe.send(("done", text))
    except (EOFError, BrokenPipeError):
        return


def _stop(pipe: Connection, step: str) -> None:
    pipe.send(("stop", step))
    pipe.recv()


def _commit_stops(pipe: Connection) -> None:
    """Stop between the INSERT and its COMMIT too: nothing of a port is called there."""
    module = vars(postgres_insert)
    commit = module["commit"]

    def stopping(*args: Any) -> Any:
        _stop(pipe, "before-commit")
        return commit(*args)

    module["commit"] = stopping


class Systems:
    """An actor's own connections, kept from one job to the next."""

    def __init__(self, site: Site) -> None:
        self.flow = site.flow
        self.kafka: KafkaPort = open_kafka(site.brokers, address_map=site.address_map, timeout=TIMEOUT)
        self.name = f"actor-{getpid()}"
        self._dsn = ""
        self._port: DatabasePort | None = None
        self._plain: psycopg.Connection[Any] | None = None

    def database(self, dsn: str) -> DatabasePort:
        """Kcfix's port to this database."""
        self._use(dsn)
        if self._port is None:
            self._port = open_database(dsn, flow=self.flow, timeout=TIMEOUT, application_name=self.name)
        return self._port

    def connection(self, dsn: str) -> psycopg.Connection[Any]:
        """A plain connection in autocommit, for the worker."""
        self._use(dsn)
        if self._plain is None:
            self._plain = psycopg.connect(dsn, autocommit=True, application_name=self.name)
        return self._plain

    def _use(self, dsn: str) -> None:
        if dsn != self._dsn:
            for open_one in (self._port, self._plain):
                if open_one is not None:
                    open_one.close()
            self._port = self._plain = None
            self._dsn = dsn


# kcfix


def repair(job: Job, systems: Systems, pipe: Connection) -> str:
    """What `kcfix repair --apply` does once the operator has agreed; gives the outcomes in words."""
    flow = systems.flow
    real = systems.database(job.dsn)
    kafka = StoppingKafka(systems.kafka, flow, lambda step: _stop(pipe, step), working=job.working)
    database = StoppingDatabase(real, lambda step: _stop(pipe, step))
    containers = _working_container(flow) if job.working else WorkerContainers((), ())
    sources = Sources(flow, lambda: real, lambda: kafka, lambda: containers, _now)
    plan = plan_repair(
        payment_snapshots([PaymentId(i) for i in job.payments], sources), Wishes(strategy=job.strategy), flow
    )
    planned = [f"{s.verdict.kind}>{s.action}" for s in plan.steps]
    if not plan.changing:
        return ", ".join(planned)
    _stop(pipe, "planned")
    results: Results = {s.payment_id: Result(s.payment_id, Outcome.LEFT, "not reached", False) for s in plan.changing}
    applying = Applying(
        flow=flow,
        database=lambda: database,
        kafka=lambda: kafka,
        journal=Unwritten(),
        now=_now,
        monotonic=monotonic,
        sleep=lambda _: _stop(pipe, "waiting"),
        wait=timedelta(seconds=1.5),
        announce=True,
        progress=database.said,
        results=results,
    )
    RepairRun(applying).run(plan.changing)
    return ", ".join([*planned, *(f"{r.outcome}: {r.text}" for r in results.values())])


def _now() -> datetime:
    return datetime.now(UTC) + AHEAD


def _working_container(flow: Flow) -> WorkerContainers:
    box = a_container(flow.purchase_worker)
    line = "[KafkaConsumer] Message processed successfully"
    handled = LogEntry(box.name, _now(), Stream.STDOUT, Dialect.APPLICATION, Level.INFO, line)
    return WorkerContainers((box,), (handled,))


class Unwritten:
    """A journal that keeps nothing: recovery must not need it."""

    def intend(self, step: Mapping[str, object]) -> str:
        """See `Recorder`."""
        return ""

    def done(self, step_id: str, result: Mapping[str, object]) -> None:
        """See `Recorder`."""


class StoppingDatabase:
    """Kcfix's port, with a stop on both sides of each thing that it does."""

    def __init__(self, real: DatabasePort, stop: Stop) -> None:
        self._real, self._stop = real, stop
        self._doing = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def said(self, doing: str) -> None:
        """What the repair says that it does now."""
        self._doing = doing

    def insert(self, orders: Sequence[InsertOrder], recheck: Recheck) -> tuple[InsertResult, ...]:
        """See `DatabasePort`."""

        def under_lock(*args: Any) -> str | None:
            self._stop("under-lock")
            return recheck(*args)

        self._stop("before-insert")
        results = self._real.insert(orders, under_lock)
        self._stop("after-insert")
        return results

    @contextmanager
    def holding(self, purchases: Sequence[HeldPurchase]) -> Iterator[Hold]:
        """See `DatabasePort`."""
        self._stop("before-lock")
        with self._real.holding(purchases) as hold:
            yield hold

    def facts(self, *args: Any, **kwargs: Any) -> Any:
        """See `DatabasePort`."""
        if self._doing in ("reading back", "reading again"):
            self._stop(f"before-{self._doing.replace(' ', '-')}")
        return self._real.facts(*args, **kwargs)


class StoppingKafka:
    """Kcfix's port, with a stop on both sides of sending; and the group has a member, where the worker is to work."""

    def __init__(self, real: KafkaPort, flow: Flow, stop: Stop, *, working: bool) -> None:
        self._real, self._flow, self._stop, self._working = real, flow, stop, working

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def send(self, messages: Sequence[Message]) -> Any:
        """See `KafkaPort`."""
        what = "send" if messages[0].topic == self._flow.purchase_created else "replay"
        self._stop(f"before-{what}")
        results = self._real.send(messages)
        self._stop(f"after-{what}")
        return results

    def groups(self, ids: Any = None) -> Mapping[str, Group]:
        """See `KafkaPort`."""
        found = dict(self._real.groups(ids))
        if self._working:
            mine = self._flow.purchase_group
            held = tuple(TopicPartition(self._flow.purchase_confirmed, p) for p in range(PARTITIONS))
            started = int(datetime.now(UTC).timestamp() * 1000)
            member = Member("member", f"{self._flow.purchase_worker}-{started}", "", held)
            found[mine] = replace(found[mine], state=GroupState.STABLE, members=(member,), protocol_type="consumer")
        return found


# the worker


def work(job: Job, systems: Systems, pipe: Connection) -> str:
    """Read what waits for the group, as the purchase-worker does (docs/system.md 2.4, 2.7 and 6, modes 28 and 29)."""
    flow, kafka = systems.flow, systems.kafka
    database = systems.connection(job.dsn)
    partitions = [TopicPartition(flow.purchase_confirmed, p) for p in range(PARTITIONS)]
    handled = idle = 0
    while True:
        standing = kafka.committed([flow.purchase_group])[flow.purchase_group]
        ends = kafka.log_offsets(partitions)
        waiting = [OffsetRange(tp, standing[tp].offset or 0, ends[tp].log_end_offset or 0) for tp in partitions]
        waiting = [r for r in waiting if r.start < r.end]
        for record in kafka.records(waiting):
            _handle(record, database, systems, lambda step: _stop(pipe, f"worker-{step}"))
            kafka.commit(flow.purchase_group, {TopicPartition(record.topic, record.partition): record.offset + 1})
            handled += 1
        if not waiting:
            idle += 1
            if idle >= job.polls:
                return f"handled {handled}"
            _stop(pipe, "worker-idle")


_ACTIVE = """SELECT id::text, purchase_tier FROM student_course_purchases
    WHERE student_id = %s AND course_id = %s AND is_active ORDER BY created_at DESC LIMIT 1"""
_INSERT = """INSERT INTO student_course_purchases (student_id, course_id, purchase_tier, metadata, is_active,
    created_at, updated_at) VALUES (%s, %s, %s, %s, true, now(), now()) RETURNING id::text"""
_MARK = """INSERT INTO processed_events (event_id, correlation_id, event_type, payload, source)
    VALUES (%s, %s, %s, %s, 'purchase-worker') ON CONFLICT DO NOTHING"""


def _handle(record: Record, database: psycopg.Connection[Any], systems: Systems, stop: Stop) -> None:
    event = json.loads(record.value or b"")
    meta = event.pop("_metadata")
    pair = (event["studentId"], event["courseId"])
    mark = (meta["eventId"], meta["correlationId"], event["type"], Jsonb(event))
    found = database.execute(_ACTIVE, pair).fetchone()
    if found is not None:
        _announce(event, found[0], found[1], f"purchase-created-{found[0]}-recovery", systems, stop)
        database.execute(_MARK, mark)
    else:
        tier = event["metadata"]["purchaseTier"]
        stop("before-lock")
        database.execute("BEGIN")
        database.execute("SELECT pg_advisory_xact_lock(%s)", [advisory_lock_key(*pair)])
        stop("under-lock")
        # The row that another session made meanwhile is announced all the same.
        made = database.execute(_ACTIVE, pair).fetchone()
        made = made or database.execute(_INSERT, [*pair, tier, Jsonb({**event["metadata"]})]).fetchone()
        assert made is not None
        stop("before-commit")
        database.execute("COMMIT")
        _announce(event, made[0], tier, made[0], systems, stop)
    stop("before-offset")


def _announce(event: Mapping[str, Any], purchase: str, tier: int, event_id: str, systems: Systems, stop: Stop) -> None:
    stop("before-send")
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


def made_up(*parts: object) -> str:
    """A UUID that is always the same for the same parts."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, ":".join(map(str, parts))))
