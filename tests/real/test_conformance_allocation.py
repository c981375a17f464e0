"""What follows a purchase: allocations and their announcements (docs/system.md 2.3, 2.4 and 6, modes 9, 38, 39)."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import Any

import psycopg

from kcfix.core.events import DeadLetter, Event, build_message
from kcfix.flow import PURCHASE_CREATED, Flow
from tests.real.lab import COURSE, Bench, sees, until

FLOW = Flow()


def _announce(bench: Bench, *, event_id: str | None = None, partition_of: str | None = None) -> str:
    """A PURCHASE_CREATED for a purchase that only the event knows; its correlation id."""
    student, purchase, payment = (str(uuid.uuid4()) for _ in range(3))
    with psycopg.connect(bench.dsn) as connection:
        connection.execute(
            "INSERT INTO student_profiles (student_id, latitude, longitude) VALUES (%s, 12.9, 77.5)", (student,)
        )
    body = {
        "type": PURCHASE_CREATED,
        "timestamp": int(time.time() * 1000),
        "userId": student,
        "role": "student",
        "purchaseId": purchase,
        "studentId": student,
        "courseId": COURSE,
        "purchaseTier": 10,
        "metadata": {"timeSlot": "5:00 PM", "startDate": "2030-01-07"},
    }
    bench.send(
        build_message(
            FLOW.purchase_created,
            body,
            event_id=event_id or purchase,
            correlation_id=partition_of or payment,
            source="purchase-worker",
            timestamp_ms=int(time.time() * 1000),
        )
    )
    return partition_of or payment


@dataclass(frozen=True)
class Allocated:
    events: list[Event]
    payment_id: str
    rows: list[tuple[Any, ...]]
    sessions: int


def a_free_trainer(bench: Bench) -> Allocated:
    bench.start(FLOW.allocation_worker)
    payment_id = _announce(bench)
    until("both announcements", lambda: len(bench.events(FLOW.trainer_allocated)) >= 2)
    rows = bench.ask("SELECT id::text, status, trainer_id IS NOT NULL FROM trainer_allocations")
    sessions = bench.ask("SELECT count(*) FROM tutoring_sessions")[0][0]
    return Allocated(bench.events(FLOW.trainer_allocated), payment_id, rows, int(sessions))


@sees(a_free_trainer)
def test_an_allocation_is_announced_twice_with_one_event_id(seen: Allocated) -> None:
    [(allocation, status, has_trainer)] = seen.rows
    assert (status, has_trainer) == ("approved", True)
    assert {(e.source, e.correlation_id) for e in seen.events} == {
        ("admin-service", allocation),
        ("allocation-worker", seen.payment_id),
    }
    assert {e.event_id for e in seen.events} == {allocation}


@sees(a_free_trainer)
def test_as_many_sessions_as_the_tier_says_come_with_the_allocation(seen: Allocated) -> None:
    assert seen.sessions == 10


@dataclass(frozen=True)
class Waiting:
    pending: int
    letters: list[DeadLetter]
    log: str


def no_free_trainer(bench: Bench) -> Waiting:
    with psycopg.connect(bench.dsn) as connection:
        connection.execute("DELETE FROM trainers")
    bench.start(FLOW.allocation_worker)
    _announce(bench)
    letters = until("a dead letter", bench.dead_letters, 90)
    return Waiting(
        int(
            bench.ask("SELECT count(*) FROM trainer_allocations WHERE status = 'pending' AND trainer_id IS NULL")[0][0]
        ),
        letters,
        bench.log(),
    )


@sees(no_free_trainer)
def test_without_a_trainer_each_try_adds_a_pending_row(seen: Waiting) -> None:
    assert seen.pending >= 5
    assert seen.letters[0].reason == "Allocation service returned allocation without trainerId"


def event_ids_that_are_no_uuid(bench: Bench) -> Waiting:
    bench.make_database("A")
    bench.start(FLOW.allocation_worker, DRILL_RETRY_DELAY_SCALE="0.1")
    _announce(bench, event_id=f"purchase-created-{uuid.uuid4()}")
    letters = until("a dead letter", bench.dead_letters, 60)
    allocated = bench.ask("SELECT count(*) FROM trainer_allocations WHERE status = 'approved'")[0][0]
    return Waiting(int(allocated), letters, bench.log())


@sees(event_ids_that_are_no_uuid)
def test_where_event_ids_are_uuids_a_fallback_purchase_is_allocated_and_its_mark_fails(seen: Waiting) -> None:
    assert seen.pending == 1, "one approved allocation"
    assert "invalid input syntax for type uuid" in seen.letters[0].reason
