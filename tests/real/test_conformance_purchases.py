"""What the worker makes of a payment, once or again (docs/system.md 1.2, 2.3, 2.7 and 6, modes 10, 28, 29, 32)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
import psycopg.errors
import pytest

from kcfix.core.events import Event, advisory_lock_key
from kcfix.drill import groups
from kcfix.drill.buy import Emission
from kcfix.drill.checkout import Payment
from kcfix.drill.state import Drill
from kcfix.flow import PURCHASE_CREATED, Flow
from tests.real.lab import COURSE, Bench, sees, until

FLOW = Flow()
ALLOCATED = """INSERT INTO trainer_allocations (student_id, course_id, requested_by, status)
               VALUES (%s, %s, %s, 'approved') RETURNING id::text"""


def _done(bench: Bench, payment: Payment) -> None:
    """Wait until the worker has committed the offset behind the payment's message."""
    partition, offset = bench.sent_at[payment.id]
    groups.wait_committed(bench.drill, bench.group, bench.confirmed, partition, offset + 1)


def test_the_workers_on_conflict_clause_never_matches_the_partial_index(drill: Drill) -> None:
    statement = """INSERT INTO student_course_purchases (student_id, course_id, purchase_tier)
                   VALUES (gen_random_uuid(), %s, 10) ON CONFLICT (student_id, course_id) DO NOTHING"""
    with psycopg.connect(drill.dsn) as connection:
        index = "SELECT count(*) FROM pg_indexes WHERE indexname = 'unique_active_purchase'"
        assert connection.execute(index).fetchone() == (1,)
        with pytest.raises(psycopg.errors.InvalidColumnReference) as raised:
            connection.execute(statement, (COURSE,))
        assert raised.value.sqlstate == "42P10"
        connection.rollback()


@dataclass(frozen=True)
class Bought:
    announcements: dict[str, list[Event]]
    """PURCHASE_CREATED events of the first, the second, and the payment that waited for the lock."""
    ids: dict[str, str]
    """Purchase ids of the same."""
    log: str
    mark: list[tuple[Any, ...]]
    metadata: dict[str, Any]
    paid_metadata: dict[str, Any]
    access: list[str | None]


def two_and_one_under_the_lock(bench: Bench) -> Bought:
    bench.start()
    payments = {"first": bench.pay(0), "second": bench.pay(0)}
    bench.purchased(payments["second"])
    waited = bench.record(0)
    with psycopg.connect(bench.dsn) as holder:
        key = advisory_lock_key(waited.student_id, COURSE)
        holder.execute("SELECT pg_advisory_xact_lock(%s)", (key,))
        bench.send(waited.message(), waited.id)
        waiting = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        until("the worker to wait for the lock", lambda: bench.ask(waiting))
        holder.execute(
            "INSERT INTO student_course_purchases (student_id, course_id, purchase_tier) VALUES (%s, %s, 20)",
            (waited.student_id, COURSE),
        )
    payments["waited"] = waited
    _done(bench, waited)
    rows = bench.ask("SELECT student_id::text, id::text, metadata FROM student_course_purchases")
    by_student = {student: (purchase, metadata) for student, purchase, metadata in rows}
    announced = bench.events(FLOW.purchase_created)
    first = payments["first"]
    return Bought(
        {name: [e for e in announced if e.correlation_id == p.id] for name, p in payments.items()},
        {name: by_student[p.student_id][0] for name, p in payments.items()},
        bench.log(),
        bench.ask("SELECT source, event_id FROM processed_events WHERE correlation_id = %s", first.id),
        by_student[first.student_id][1],
        dict(first.metadata),
        [e.event_id for e in bench.events(FLOW.course_access_granted, first.id)],
    )


@sees(two_and_one_under_the_lock)
def test_the_first_purchase_takes_the_fallback_and_the_next_the_normal_path(seen: Bought) -> None:
    assert [e.event_id for e in seen.announcements["first"]] == [f"purchase-created-{seen.ids['first']}"]
    assert [e.event_id for e in seen.announcements["second"]] == [seen.ids["second"]]
    assert seen.access == [f"course-access-granted-{seen.ids['first']}"]


@sees(two_and_one_under_the_lock)
def test_a_worker_that_waited_for_the_lock_announces_the_purchase_it_finds(seen: Bought) -> None:
    assert "Purchase already exists (fallback method, idempotent)" in seen.log
    [event] = seen.announcements["waited"]
    assert event.type == PURCHASE_CREATED
    assert event.event_id == event.purchase_id == seen.ids["waited"]


@sees(two_and_one_under_the_lock)
def test_the_mark_of_a_confirmed_purchase_keeps_payment_service_as_its_source(seen: Bought) -> None:
    assert [source for source, _ in seen.mark] == ["payment-service"]


@sees(two_and_one_under_the_lock)
def test_the_purchase_carries_the_payments_metadata_with_the_tier_twice(seen: Bought) -> None:
    assert seen.metadata == {**seen.paid_metadata, "courseId": COURSE, "purchaseTier": 20, "sessionCount": 20}


@dataclass(frozen=True)
class Replayed:
    with_allocation: list[str | None]
    without_allocation: list[str | None]
    purchase_ids: tuple[str, str]
    unrecorded: int
    marks: list[tuple[Any, ...]]


def sent_again(bench: Bench) -> Replayed:
    bench.start()
    allocated, lonely = bench.pay(1), bench.pay(1)
    bench.purchased(lonely)
    with psycopg.connect(bench.dsn) as connection:
        connection.execute(ALLOCATED, (allocated.student_id, COURSE, allocated.student_id))
    for payment in (allocated, lonely, lonely):
        bench.send(payment.message(), payment.id)
    unrecorded = bench.record(1, emission=Emission.UNEMITTED)
    bench.send(unrecorded.message(), unrecorded.id)
    tier = bench.purchased(unrecorded)
    _done(bench, unrecorded)
    find = "SELECT id::text FROM student_course_purchases WHERE student_id = %s"
    return Replayed(
        [e.event_id for e in bench.events(FLOW.purchase_created, allocated.id)],
        [e.event_id for e in bench.events(FLOW.purchase_created, lonely.id)],
        (bench.ask(find, allocated.student_id)[0][0], bench.ask(find, lonely.student_id)[0][0]),
        tier,
        bench.ask("SELECT source FROM processed_events WHERE correlation_id = %s", unrecorded.id),
    )


@sees(sent_again)
def test_a_replay_with_purchase_and_allocation_sends_nothing(seen: Replayed) -> None:
    assert seen.with_allocation == [f"purchase-created-{seen.purchase_ids[0]}"]


@sees(sent_again)
def test_each_replay_without_allocation_announces_the_purchase_as_recovered(seen: Replayed) -> None:
    first, *again = seen.without_allocation
    assert first == seen.purchase_ids[1]
    assert again == [f"purchase-created-{seen.purchase_ids[1]}-recovery"] * 2


@sees(sent_again)
def test_a_message_that_nothing_recorded_is_made_a_purchase_and_marked_by_the_worker(seen: Replayed) -> None:
    assert seen.unrecorded == 20
    assert seen.marks == [("purchase-worker",)]


def tiers(bench: Bench) -> dict[str, int]:
    bench.start()
    payments = {
        "text": bench.pay(0, tier="20"),
        "none": bench.pay(1, tier=None),
        "a string of 10": bench.pay(2, tier=10, metadata_as_string=True),
        "both": bench.pay(0, tier=10, extra={"purchaseTier": 20}),
    }
    return {what: bench.purchased(payment) for what, payment in payments.items()}


@sees(tiers)
def test_the_worker_takes_30_where_it_is_told_no_tier_and_for_metadata_as_a_string(seen: dict[str, int]) -> None:
    assert seen == {"text": 20, "none": 30, "a string of 10": 30, "both": 20}


def an_inactive_purchase(bench: Bench) -> list[tuple[Any, ...]]:
    bench.start()
    payment = bench.pay(0)
    bench.purchased(payment)
    with psycopg.connect(bench.dsn) as connection:
        connection.execute("UPDATE student_course_purchases SET is_active = false")
    bench.send(payment.message(), payment.id)
    bench.purchased(payment)
    return bench.ask("SELECT is_active FROM student_course_purchases ORDER BY created_at")


@sees(an_inactive_purchase)
def test_an_inactive_purchase_does_not_count_and_a_second_one_is_made(seen: list[tuple[Any, ...]]) -> None:
    assert seen == [(False,), (True,)]
