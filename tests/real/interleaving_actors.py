"""The actors of an interleaving, each a process of its own: kcfix repairs, and a worker like the real one.

An actor stops at each named step, says so, and goes on when it is told to; it may be killed there. The repairs are
kcfix's own code on its own adapters. What says that the worker works is given, because here no container runs one.
"""

from __future__ import annotations

import signal
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any

from kcfix.adapters import postgres_insert
from kcfix.core.events import Message
from kcfix.core.judging.gather import Sources, WorkerContainers, payment_snapshots
from kcfix.core.logs.entry import Dialect, Level, LogEntry
from kcfix.core.offsets import Group, GroupState, Member, TopicPartition
from kcfix.core.payments import PaymentId
from kcfix.core.ports.database import DatabasePort, HeldPurchase, Hold, InsertOrder, InsertResult, Recheck
from kcfix.core.ports.kafka import KafkaPort
from kcfix.core.repair.apply import Applying
from kcfix.core.repair.plan import Wishes, plan_repair
from kcfix.core.repair.result import Outcome, Result, Results
from kcfix.core.repair.run import RepairRun
from kcfix.core.workers import Stream
from kcfix.flow import Flow
from tests.builders import a_container
from tests.real.interleaving_stage import PARTITIONS, Job, Site, Stop, Systems, stop
from tests.real.interleaving_worker import work

AHEAD = timedelta(minutes=3)
"""How far the repairs' clock is ahead: what the case has just made is overdue to them, but not yet downstream."""


def act(pipe: Connection, site: Site) -> None:
    """Do one job after the other, until killed or until the other end of the pipe is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _transaction_stops(pipe)
    systems = Systems(site)
    try:
        while True:
            job: Job = pipe.recv()
            try:
                stop(pipe, "start")
                text = repair(job, systems, pipe) if job.payments else work(job, systems, pipe)
            except EOFError:
                return
            except Exception:  # noqa: BLE001 - told to the test, which fails by it
                pipe.send(("failed", traceback.format_exc()))
            else:
                pipe.send(("done", text))
    except (EOFError, BrokenPipeError):
        return


def _transaction_stops(pipe: Connection) -> None:
    """Stop under the locks, and between the INSERT and its COMMIT: nothing of a port is called there."""
    module = vars(postgres_insert)
    begin_locked, commit = module["begin_locked"], module["commit"]

    def locking(*args: Any) -> None:
        begin_locked(*args)
        stop(pipe, "under-lock")

    def committing(*args: Any) -> Any:
        stop(pipe, "before-commit")
        return commit(*args)

    module.update(begin_locked=locking, commit=committing)


def repair(job: Job, systems: Systems, pipe: Connection) -> str:
    """What `kcfix repair --apply` does once the operator has agreed; gives the outcomes in words."""
    flow = systems.flow
    real = systems.database(job.dsn)
    kafka = StoppingKafka(systems.kafka, flow, lambda step: stop(pipe, step), working=job.working)
    database = StoppingDatabase(real, lambda step: stop(pipe, step))
    containers = _working_container(flow) if job.working else WorkerContainers((), ())
    sources = Sources(flow, lambda: real, lambda: kafka, lambda: containers, _now)
    plan = plan_repair(
        payment_snapshots([PaymentId(i) for i in job.payments], sources), Wishes(strategy=job.strategy), flow
    )
    planned = [f"{s.verdict.kind}>{s.action}" for s in plan.steps]
    if not plan.changing:
        return ", ".join(planned)
    stop(pipe, "planned")
    results: Results = {s.payment_id: Result(s.payment_id, Outcome.LEFT, "not reached", False) for s in plan.changing}
    applying = Applying(
        flow=flow,
        database=lambda: database,
        kafka=lambda: kafka,
        journal=Unwritten(),
        now=_now,
        monotonic=monotonic,
        sleep=lambda _: stop(pipe, "waiting"),
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

    def intend_all(self, steps: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
        """See `Recorder`."""
        return tuple("" for _ in steps)

    def done(self, step_id: str, result: Mapping[str, object]) -> None:
        """See `Recorder`."""

    def done_all(self, results: Iterable[tuple[str, Mapping[str, object]]]) -> None:
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
        self._stop("before-insert")
        results = self._real.insert(orders, recheck)
        self._stop("after-insert")
        return results

    @contextmanager
    def holding(self, purchases: Sequence[HeldPurchase]) -> Iterator[Hold]:
        """See `DatabasePort`."""
        self._stop("before-lock")
        with self._real.holding(purchases) as hold:
            yield hold

    def standing(self, *args: Any) -> Any:
        """See `DatabasePort`."""
        return self._look("standing", *args)

    def unchanged(self, *args: Any) -> Any:
        """See `DatabasePort`."""
        return self._look("unchanged", *args)

    def facts(self, *args: Any, **kwargs: Any) -> Any:
        """See `DatabasePort`."""
        return self._look("facts", *args, **kwargs)

    def _look(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if self._doing in ("reading back", "reading again"):
            self._stop(f"before-{self._doing.replace(' ', '-')}")
        return getattr(self._real, name)(*args, **kwargs)


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
