"""Random interleavings of a worker, two repairs and kills: a seeded schedule lets one of them go one step at a time.

Everything about a case follows from its seed. A process that waits for a lock of the database is seen there, and the
next one goes on; so a schedule is the same at each run, as far as the servers are.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from kcfix.core.events import Message, build_message, parse_event
from kcfix.core.offsets import TopicPartition
from kcfix.core.ports.kafka import KafkaPort, OffsetRange
from kcfix.core.repair.plan import Strategy
from kcfix.flow import PURCHASE_CONFIRMED, Flow
from tests.real.interleaving_stage import PARTITIONS, REPAIR_STEPS, WORKER_STEPS, Job, made_up
from tests.real.interleaving_troupe import HANGS, Actor, Troupe

KILL_STEPS = (*REPAIR_STEPS, *WORKER_STEPS)


@dataclass(frozen=True)
class Database:
    """One of the databases of the test."""

    dsn: str
    shape: str
    index: bool
    connection: psycopg.Connection[Any]
    course: str

    @property
    def name(self) -> str:
        """As it is counted."""
        return f"{self.shape} {'with' if self.index else 'without'} index"


@dataclass(frozen=True)
class Paid:
    """A payment of a case, and where its message is."""

    id: str
    student: str
    course: str
    tier: int
    message: str
    """`waiting` for the worker, `passed` by its committed offset, or `none`."""
    recorded: bool
    """Whether payment-service wrote down that it meant to send it."""


@dataclass
class Played:
    """What came of a case."""

    seed: int
    database: str
    trace: list[str] = field(default_factory=list)
    kills: list[str] = field(default_factory=list)
    """The steps at which a process was killed."""
    lost: int = 0
    doubled: int = 0
    unannounced: int = 0
    payments: int = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        told = "\n    ".join([*self.problems, *self.trace])
        return f"seed {self.seed} ({self.database}): KCFIX_INTERLEAVING={self.seed} plays it alone\n    {told}"


class Case:
    """One interleaving."""

    def __init__(self, seed: int, databases: Sequence[Database], kafka: KafkaPort, flow: Flow, troupe: Troupe) -> None:
        self.random = random.Random(seed)  # noqa: S311 - it has to be the same each time
        self.database = databases[seed % len(databases)]
        self.played = Played(seed, self.database.name)
        self._kafka, self._flow, self._troupe = kafka, flow, troupe
        self._paid = self._payments(seed)
        self.played.payments = len(self._paid)
        self._jobs: dict[str, Job] = {}

    # what there is

    def _payments(self, seed: int) -> list[Paid]:
        choose = self.random.choice
        pairs = choose(((0,), (0,), (0,), (0, 1), (0, 1), (0, 0)))
        # The worker's lock is over the ids as the event writes them: some write them in capitals.
        write = choose((str, str, str, str.upper))
        return [
            Paid(
                id=made_up(seed, "payment", n),
                student=write(made_up(seed, "student", who)),
                course=write(self.database.course),
                tier=choose((10, 20, 30)) if len({*pairs}) == len(pairs) else 20,
                message=choose(("waiting", "waiting", "passed", "none")),
                recorded=choose((True, True, False)),
            )
            for n, who in enumerate(pairs)
        ]

    def _write(self) -> None:
        connection = self.database.connection
        for n, paid in enumerate(self._paid):
            metadata = {"courseId": paid.course, "purchaseTier": paid.tier, "sessionCount": paid.tier}
            at = datetime.now(UTC) - timedelta(seconds=70 - n)
            connection.execute(
                """INSERT INTO payments (id, student_id, amount_cents, status, provider, metadata, confirmed_at,
                   created_at) VALUES (%s, %s, 360000, 'succeeded', 'razorpay', %s, %s, %s)""",
                [paid.id, paid.student, Jsonb(metadata), at, at],
            )
            if paid.recorded:
                connection.execute(
                    """INSERT INTO processed_events (event_id, correlation_id, event_type, payload, source)
                       VALUES (%s, %s, %s, %s, 'payment-service')""",
                    [made_up(paid.id, "event"), paid.id, PURCHASE_CONFIRMED, Jsonb(_body(paid))],
                )
        self._send("passed")
        self._kafka.commit(self._flow.purchase_group, self._ends(self._flow.purchase_confirmed))
        self._send("waiting")

    def _send(self, where: str) -> None:
        messages = [_message(paid, self._flow) for paid in self._paid if paid.message == where]
        assert all(sent.error is None for sent in self._kafka.send(messages))

    def _ends(self, topic: str) -> dict[TopicPartition, int]:
        logs = self._kafka.log_offsets([TopicPartition(topic, p) for p in range(PARTITIONS)])
        return {tp: log.log_end_offset or 0 for tp, log in logs.items()}

    # what happens

    def play(self) -> Played:
        """Play it, finish what is left, and count."""
        before = self._ends(self._flow.purchase_created)
        self._write()
        strategies = (Strategy.AUTO, Strategy.AUTO, Strategy.INSERT)
        working = self.random.random() < 0.5
        ids = [paid.id for paid in self._paid]
        for who in ("repair-1", "repair-2"):
            named = tuple(ids if self.random.random() < 0.8 else reversed(ids))
            self._jobs[who] = Job(
                self.database.dsn, named, self.random.choice(strategies), working and self.random.random() < 0.9
            )
        self._jobs["worker"] = Job(self.database.dsn, polls=4)
        self.played.trace.append(f"{self._paid} {self._jobs}")
        kills = self.random.sample(KILL_STEPS, self.random.choice((0, 1, 1, 2, 4)))
        self._run([*self._jobs], kills)
        last = ["worker", "repair-3"]
        self.random.shuffle(last)
        self._jobs["worker"] = Job(self.database.dsn)
        self._jobs["repair-3"] = Job(self.database.dsn, tuple(ids), Strategy.INSERT)
        for who in last:
            self._run([who], [])
        self._count(before)
        return self.played

    def _run(self, cast: Sequence[str], kills: list[str]) -> None:
        actors = [self._enter(label) for label in cast]
        taken = list(actors)
        try:
            for actor in actors:
                self._await(actor)
            end = time.monotonic() + 2 * HANGS
            while actors:
                if time.monotonic() > end:
                    raise TimeoutError(f"nothing more happens: {self.played}")
                self._wake(actors)
                actors = [a for a in actors if not a.done]
                ready = [a for a in actors if a.at is not None]
                if not ready:
                    continue
                actor = self.random.choice(ready)
                step = actor.at or ""
                if step in kills and self.random.random() < 0.8:
                    kills.remove(step)
                    self.played.kills.append(step)
                    self._tell(actor, f"killed at {step}")
                    actor.kill()
                    self._troupe.wait_until_forgotten(actor)
                    if self.random.random() < 0.5:
                        actors.append(self._enter(actor.label))
                        taken.append(actors[-1])
                        self._await(actors[-1])
                    continue
                self._tell(actor, step)
                actor.at = None
                actor.pipe.send("go")
                self._await(actor)
        finally:
            for actor in taken:
                if not actor.done:  # the case failed half-way
                    actor.kill()
                self._troupe.give_back(actor)

    def _enter(self, label: str) -> Actor:
        actor = self._troupe.take()
        actor.begin(label, self._jobs[label])
        return actor

    def _await(self, actor: Actor) -> None:
        """Until it stands at its next step, is done, or waits for a lock."""
        end = time.monotonic() + HANGS
        while not actor.pipe.poll(0.02):
            if self._troupe.waits_for_a_lock(actor):
                if not actor.blocked:
                    self._tell(actor, "waits for a lock")
                actor.blocked = True
                return
            if time.monotonic() > end:
                raise TimeoutError(f"{actor.label} hangs")
        what, text = actor.pipe.recv()
        actor.blocked = False
        if what == "stop":
            actor.at = text
            return
        actor.done = True
        self._tell(actor, f"{what}: {text}")
        if what == "failed":
            self.played.problems.append(f"{actor.label} failed: {text}")

    def _wake(self, actors: Sequence[Actor]) -> None:
        """See which of those that waited for a lock have it."""
        for actor in actors:
            if actor.blocked:
                self._await(actor)

    def _tell(self, actor: Actor, what: str) -> None:
        self.played.trace.append(f"{actor.label} {what}")

    # what came of it

    def _count(self, before: dict[TopicPartition, int]) -> None:
        """By plain SQL, and by every PURCHASE_CREATED since the case began."""
        played, after = self.played, self._ends(self._flow.purchase_created)
        new = [OffsetRange(tp, before[tp], end) for tp, end in after.items() if end > before[tp]]
        announced = Counter(e.purchase_id for r in self._kafka.records(new) if (e := parse_event(r)) is not None)
        for student, _ in itertools.groupby(self._paid, key=lambda paid: paid.student):
            rows = self.database.connection.execute(
                """SELECT id::text, is_active, purchase_tier FROM student_course_purchases
                   WHERE student_id = %s AND course_id = %s""",
                [student, self.database.course],
            ).fetchall()
            tiers = {paid.tier for paid in self._paid if paid.student == student}
            played.lost += not rows
            played.doubled += max(0, len(rows) - 1)
            played.unannounced += sum(1 for row in rows if not announced.pop(row[0], 0))
            if any(not active or tier not in tiers for _, active, tier in rows):
                played.problems.append(f"not as paid: {rows}")
        if announced:
            played.problems.append(f"announced, and not there: {announced}")
        if played.lost or played.doubled or played.unannounced:
            counts = f"{played.lost} lost, {played.doubled} doubled, {played.unannounced} not announced"
            played.problems.append(counts)


def _body(paid: Paid) -> dict[str, object]:
    return {
        "type": PURCHASE_CONFIRMED,
        "timestamp": int(datetime.now(UTC).timestamp() * 1000),
        "userId": paid.student,
        "role": "student",
        "paymentId": paid.id,
        "studentId": paid.student,
        "courseId": paid.course,
        "amountCents": 360000,
        "currency": "INR",
        "metadata": {"courseId": paid.course, "purchaseTier": paid.tier, "sessionCount": paid.tier},
    }


def _message(paid: Paid, flow: Flow) -> Message:
    return build_message(
        flow.purchase_confirmed,
        _body(paid),
        event_id=made_up(paid.id, "event"),
        correlation_id=paid.id,
        source="payment-service",
        timestamp_ms=int(datetime.now(UTC).timestamp() * 1000),
    )
