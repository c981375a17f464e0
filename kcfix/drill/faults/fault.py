"""What a fault is: a way to break a drill by a real cause, and the way back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from kcfix.core.events import build_message
from kcfix.drill import groups, wire, workers
from kcfix.drill.checkout import SOURCE, milliseconds
from kcfix.drill.engine import Engine
from kcfix.drill.state import Drill
from kcfix.errors import Unreachable
from kcfix.flow import PURCHASE_CONFIRMED, Flow

FLOW = Flow()
State = dict[str, Any]
"""What the undo needs to know of the making, as JSON has it. May be incomplete where the making broke off."""


@dataclass(frozen=True, slots=True)
class Site:
    """A drill under the hands of a fault, with its Docker Engine open."""

    drill: Drill
    engine: Engine
    remember: Callable[[State], object] = lambda _: None
    """Writes what is known so far, so that a making that breaks off can be undone."""
    report: Callable[[str], None] = field(default=lambda _: None)

    def stop_worker(self, worker: str) -> None:
        """Stops a worker as `docker stop` does and waits until its group is empty."""
        self.report(f"stopping {worker}")
        self.engine.stop(self.drill, worker)
        groups.wait_empty(self.drill, _group(worker))

    def start_worker(self, worker: str) -> None:
        """Starts a worker as `docker start` does and waits until it has joined; one that runs is left running."""
        self.report(f"starting {worker}")
        running = self.engine.container(self.drill, worker).status == "running"
        since = 0.0 if running else time.time()
        self.engine.start(self.drill, worker)
        groups.wait_joined(self.drill, _group(worker), since=since)

    def make_worker(self, worker: str, environment: dict[str, str] | None = None) -> None:
        """Makes a worker's container anew, in the place of the one that is there."""
        workers.create(self.engine, self.drill, worker, environment)

    @contextlib.contextmanager
    def database(self) -> Iterator[psycopg.Connection]:
        """A connection to the drill's database that commits each statement.

        Raises:
            Unreachable: the database did not answer, or not well.
        """
        try:
            with psycopg.connect(self.drill.dsn, connect_timeout=5, autocommit=True) as connection:
                yield connection
        except psycopg.Error as error:
            raise Unreachable(f"the drill's database: {error}", system="database") from error

    def without_purchase(self, payments: Sequence[str]) -> list[str]:
        """Those of the payments that succeeded and whose student has no active purchase of their course, in order."""
        with self.database() as connection:
            rows = connection.execute(
                """SELECT p.id::text FROM payments AS p
                   WHERE p.id = ANY(%s::uuid[]) AND p.status = 'succeeded' AND NOT EXISTS (
                     SELECT 1 FROM student_course_purchases AS s
                     WHERE s.student_id = p.student_id AND s.is_active
                       AND s.course_id::text = p.metadata->>'courseId')""",
                (list(payments),),
            ).fetchall()
        found = {row[0] for row in rows}
        return [p for p in payments if p in found]

    def send_again(self, payments: Sequence[str]) -> None:
        """Sends the recorded events of these payments once more, as payment-service should have done.

        Raises:
            Unreachable: the broker did not take them all.
        """
        with self.database() as connection:
            rows = connection.execute(
                """SELECT event_id::text, correlation_id::text, payload, created_at FROM processed_events
                   WHERE event_type = %s AND correlation_id::text = ANY(%s)""",
                (PURCHASE_CONFIRMED, list(payments)),
            ).fetchall()
        sent = wire.send(
            self.drill,
            [
                build_message(
                    FLOW.purchase_confirmed,
                    body,
                    event_id=event,
                    correlation_id=payment,
                    source=SOURCE,
                    timestamp_ms=milliseconds(when),
                )
                for event, payment, body, when in rows
            ],
        )
        if any(s.offset is None for s in sent):
            raise Unreachable("the drill's broker did not take the messages", system="kafka")


def _group(worker: str) -> str:
    stage = FLOW.stage_of_worker(worker)
    assert stage is not None, worker  # noqa: S101 - the table of faults names workers of the flow only
    return stage.group


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to break a drill.

    `make` gives what `undo` needs; `undo` copes with a making that broke off, and with a system that was repaired
    meanwhile, and leaves a drill that works.
    """

    name: str
    what: str
    """What is broken then, in a line, with the mode of docs/system.md 6."""
    make: Callable[[Site], State]
    undo: Callable[[Site, State], None]
