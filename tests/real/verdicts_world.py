"""One drill in which every verdict is the case with some payment at once, each by its real cause.

Time alone is not waited for: payments are confirmed some minutes ago, and what has to be old is made older in its row.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from kcfix.drill import groups, wire
from kcfix.drill.buy import buy
from kcfix.drill.engine import Engine
from kcfix.drill.faults import break_
from kcfix.drill.faults.lost import emit
from kcfix.drill.network import kafka_settings
from kcfix.drill.state import Drill
from kcfix.flow import Flow
from tests.real.conftest import eventually, kafka
from tests.real.repair_world import WORKER, ago, allocations, die_at, start

FLOW = Flow()
GROUP, TOPIC = FLOW.purchase_group, FLOW.purchase_confirmed
COURSE, LATER_COURSE, NO_COURSE_AT_ALL = (f"00000000-0000-4000-9000-{n:012x}" for n in (1, 0xC0FFEE, 0xDEAD))
"""One that is sold, one that is entered too late, one that never is."""
STANDS, WAITS, BARE = 0, 1, 2
"""Partitions: one that will stand on a record that fails, one that only waits, one without a committed offset."""


@dataclass
class World:
    """The drill, and the payment of each case that was made in it."""

    drill: Drill
    engine: Engine
    database: psycopg.Connection
    folder: Path
    ids: dict[str, str] = field(default_factory=dict)

    def make(self) -> Iterator[str]:
        """Make all cases, and stop at each moment at which there is something to be looked at: its name."""
        self._fails_while_a_column_is_away()
        self._lost_while_the_worker_is_away()
        start(self.drill, self.engine)
        self._never_sent()
        self._purchased_and_more()
        yield "working"
        self._nothing_behind_the_purchase()
        self._a_record_that_fails()
        yield "looping"
        self._stopped_in_its_loop()
        self._waiting()
        self._only_rows()
        self.buy("in flight", partition=WAITS, at=ago(seconds=0))
        yield "stopped"
        self.engine.stop(self.drill, "kafka")
        yield "without kafka"
        self.engine.stop(self.drill, "postgres")
        yield "without both"

    def buy(self, name: str, /, **wanted: Any) -> str:
        """A payment of this case's name, confirmed five minutes ago if nothing else is said."""
        [self.ids[name]] = buy(self.drill, 1, **{"at": ago(minutes=5), **wanted})
        return self.ids[name]

    def run(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """The rows of a statement, if it gives any."""
        done = self.database.execute(statement.encode(), parameters)
        return done.fetchall() if done.description else []

    def stop_worker(self) -> None:
        """Stop the worker and wait until its group is empty."""
        self.engine.stop(self.drill, WORKER, grace_seconds=30)
        groups.wait_empty(self.drill, GROUP)

    def wait_purchased(self, *names: str) -> None:
        """Until the student of each of these has an active purchase."""
        ids = [self.ids[name] for name in names]
        count = """select count(distinct p.id) from student_course_purchases c join payments p using (student_id)
                   where p.id = any(%s::uuid[]) and c.is_active"""
        eventually(lambda: self.run(count, ids) == [(len(ids),)])

    def wait_dead_letter(self, name: str) -> None:
        """Until the dead letters hold one of this case's message."""
        wanted = self.ids[name].encode()
        eventually(
            lambda: any(r.key == wanted for r in wire.records(self.drill, FLOW.dead_letters)), seconds=60, every=1
        )

    def ends(self) -> dict[int, int]:
        """End of the log of each partition."""
        return {p: end for p, (_, end) in wire.ends(self.drill, TOPIC).items()}

    def _fails_while_a_column_is_away(self) -> None:
        """A migration for a newer program renames a column under the worker, and is taken back."""
        self.run("alter table student_course_purchases rename column expiry_date to expires_at")
        self.buy("dead-lettered", partition=STANDS)
        self.wait_dead_letter("dead-lettered")
        self.stop_worker()
        self.run("alter table student_course_purchases rename column expires_at to expiry_date")

    def _lost_while_the_worker_is_away(self) -> None:
        """Records are deleted, the reset to latest passes one, and the start at latest will skip one.

        The deletion does at once what the broker's retention of a week does at one of its rounds.
        """
        self.buy("expired", partition=WAITS, at=ago(days=8))
        self.buy("deleted by hand", partition=WAITS, at=ago(minutes=40))
        with contextlib.closing(kafka.admin.KafkaAdminClient(**kafka_settings(self.drill))) as admin:
            admin.delete_records({kafka.TopicPartition(TOPIC, WAITS): self.ends()[WAITS]})
        self.buy("passed", partition=STANDS)
        self.buy("skipped", partition=BARE)
        ends = self.ends()
        groups.commit(self.drill, GROUP, TOPIC, {p: ends[p] for p in (STANDS, WAITS)})

    def _purchased_and_more(self) -> None:
        """What the worker makes of payments that follow a purchase, or that it misreads."""
        protected = {"partition": WAITS}
        self.buy("purchased", **protected)
        self.buy("wrong tier", **protected, tier=10, metadata_as_string=True)
        self.buy("duplicate purchases", **protected, at=ago(minutes=15))
        extra: dict[str, dict[str, Any]] = {
            "double charge": {},
            "upgrade": {"upgrade": True},
            "next cycle": {"metadata": {"cycleId": "00000000-0000-4000-8000-0000000000c2", "cycleNo": 2}},
            "other": {},
        }
        for name, options in extra.items():
            student = str(uuid.uuid4())
            first = ago(hours=3) if name == "other" else ago(minutes=7)
            both = {**protected, "student": student, "course": COURSE}
            self.buy(f"first of {name}", **both, at=first, tier=10)
            self.buy(name, **both, tier=10, **options)
        # course-service's own way to make a purchase, an hour ago: no payment, no event (docs/system.md 7).
        student = str(uuid.uuid4())
        self.run(
            """insert into student_course_purchases (student_id, course_id, purchase_tier, created_at)
               values (%s, %s, 10, %s)""",
            student,
            COURSE,
            ago(hours=1),
        )
        self.buy("unmatched purchase", **protected, student=student, course=COURSE, tier=10)
        self.wait_purchased("purchased", "wrong tier", "duplicate purchases", *(f"first of {n}" for n in extra))
        # A repair script, which takes no lock, where the index is missing.
        self.run("drop index unique_active_purchase")
        self.run(
            """insert into student_course_purchases (student_id, course_id, purchase_tier, metadata)
               select c.student_id, c.course_id, c.purchase_tier, c.metadata
               from student_course_purchases c join payments p using (student_id) where p.id = %s""",
            self.ids["duplicate purchases"],
        )

    def _nothing_behind_the_purchase(self) -> None:
        """No place and no session-worker; no trainer; no allocation-worker."""
        self.engine.stop(self.drill, "session-worker")
        self.buy("no sessions", partition=WAITS, gps=False, at=ago(minutes=15))
        eventually(lambda: allocations(self.database, self.ids["no sessions"]) == 1)
        self.run("update trainers set status = 'inactive'")
        self.buy("pending allocation", partition=WAITS, at=ago(minutes=15))
        eventually(
            lambda: self.run(
                """select 1 from trainer_allocations a join payments p using (student_id)
                   where p.id = %s and a.status = 'pending'""",
                self.ids["pending allocation"],
            )
        )
        self.engine.stop(self.drill, "allocation-worker", grace_seconds=2)
        self.buy("no allocation", partition=WAITS, at=ago(minutes=15))
        self.wait_purchased("no allocation")
        names = ("no sessions", "pending allocation", "no allocation")
        self.run(
            """update student_course_purchases c set created_at = c.created_at - interval '10 minutes'
               from payments p where p.student_id = c.student_id and p.id = any(%s::uuid[])""",
            [self.ids[name] for name in names],
        )

    def _a_record_that_fails(self) -> None:
        """A course is sold before it is entered."""
        self.buy("poison", partition=STANDS, course=LATER_COURSE)
        self.buy("blocked", partition=STANDS)
        self.wait_dead_letter("poison")

    def _stopped_in_its_loop(self) -> None:
        """Somebody stops the worker, and the course is entered."""
        self.stop_worker()
        self.run("insert into courses (id, title, category) values (%s, 'Late', 'late')", LATER_COURSE)

    def _waiting(self) -> None:
        """Messages that come while the worker is stopped."""
        self.buy("pending", partition=WAITS)
        self.buy("tier 12", partition=WAITS, tier=12)
        self.buy("no tier", partition=WAITS, tier=None)
        self.buy("unknown course", partition=WAITS, course=NO_COURSE_AT_ALL)
        # Sent late by a script, so that the message is younger than the worker's last start and the payment overdue.
        self.buy("at risk", partition=BARE, unsent=True)
        emit(self.drill, self.database, [self.ids["at risk"]])

    def _never_sent(self) -> None:
        """payment-service finds no broker, or dies before it writes the event down."""
        self.buy("never sent", partition=STANDS, unsent=True)
        self.buy("never emitted", partition=STANDS, unemitted=True)

    def _only_rows(self) -> None:
        """What was done in the tables, by people, scripts and kcfix."""
        self.buy("no course", no_course=True)
        self.run("update payments set status = 'refunded' where id = %s", self.buy("refunded", unemitted=True))
        [self.ids["not succeeded"]] = break_(self.drill, "payment-stuck").state["stuck"]
        self.ids["not found"] = "00000000-0000-4000-8000-0000000000ff"
        self.run(
            """insert into student_course_purchases (student_id, course_id, purchase_tier, metadata, created_at)
               select student_id, (metadata->>'courseId')::uuid, 20, '{}', %s from payments where id = %s""",
            ago(minutes=10),
            self.buy("made by hand", partition=BARE, unemitted=True, at=ago(minutes=15)),
        )
        die_at("after-insert", self.drill, self.folder, self.buy("kcfix killed", partition=BARE, unsent=True))
