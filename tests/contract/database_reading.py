"""What a DatabasePort reads, whatever is behind it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, timedelta

import pytest

from kcfix.core.payments import PaymentFacts, PaymentId
from kcfix.core.ports.database import DatabasePort, IndexState
from kcfix.errors import Unreachable
from tests.contract.database_world import World
from tests.fakes_database import (
    ALL_TABLES,
    EVENT_SHAPES,
    NOW,
    FakeDatabase,
    course_id,
    payment_id,
    student_id,
)


class ReadingContract:
    """What reading gives. A subclass says in what world."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    # facts

    def test_an_unknown_payment_has_no_row_and_is_there_all_the_same(self, world: World) -> None:
        facts = world.open(FakeDatabase()).facts([payment_id(1)])
        assert facts == {payment_id(1): PaymentFacts(payment_id(1), None)}

    def test_no_ids_give_no_facts(self, world: World) -> None:
        assert world.open(FakeDatabase()).facts([]) == {}

    def test_a_payment_comes_with_all_that_followed_it(self, world: World) -> None:
        seed = FakeDatabase()
        paid = seed.payment(1, tier=20, timeSlot="4:00 PM")
        bought = seed.purchase(paid)
        allocated = seed.allocation(bought, sessions=20)
        event = seed.event(paid)
        facts = world.open(seed).facts([paid.id])[paid.id]
        assert facts == PaymentFacts(paid.id, paid, (paid,), (bought,), (allocated,), (event,), True)

    def test_a_payment_that_did_not_succeed_is_not_among_its_own_siblings(self, world: World) -> None:
        seed = FakeDatabase()
        paid = seed.payment(1, status="initiated")
        facts = world.open(seed).facts([paid.id])[paid.id]
        assert facts.payment == paid
        assert facts.payment.confirmed_at is None
        assert facts.siblings == ()

    def test_a_refunded_payment_keeps_its_purchase(self, world: World) -> None:
        seed = FakeDatabase()
        paid = seed.payment(1, status="refunded")
        bought = seed.purchase(paid)
        facts = world.open(seed).facts([paid.id])[paid.id]
        assert facts.payment is not None
        assert facts.payment.status == "refunded"
        assert facts.purchases == (bought,)
        assert facts.siblings == ()

    def test_siblings_are_the_succeeded_payments_of_that_student_and_course_oldest_first(self, world: World) -> None:
        seed = FakeDatabase()
        late = seed.payment(1, student=7, paid_at=NOW - timedelta(minutes=5))
        early = seed.payment(2, student=7, paid_at=NOW - timedelta(hours=5))
        unconfirmed = seed.payment(3, student=7, paid_at=NOW - timedelta(hours=2), unconfirmed=True)
        seed.payment(4, student=7, status="failed")
        seed.payment(5, student=7, course=2)
        seed.payment(6, student=8)
        facts = world.open(seed).facts([late.id])[late.id]
        assert facts.siblings == (early, unconfirmed, late)

    def test_purchases_are_active_or_not_and_oldest_first(self, world: World) -> None:
        seed = FakeDatabase()
        paid = seed.payment(1)
        second = seed.purchase(paid, created_at=NOW - timedelta(minutes=1))
        first = seed.purchase(paid, created_at=NOW - timedelta(minutes=9), is_active=False, tier=10)
        seed.purchase(paid, course=2)
        facts = world.open(seed).facts([paid.id])[paid.id]
        assert facts.purchases == (first, second)

    def test_double_active_purchases_are_both_there(self, world: World) -> None:
        seed = FakeDatabase(index=IndexState.MISSING)
        paid = seed.payment(1)
        bought = (seed.purchase(paid), seed.purchase(paid))
        assert world.open(seed).facts([paid.id])[paid.id].purchases == bought

    def test_a_payment_without_a_usable_course_has_nothing_but_itself(self, world: World) -> None:
        seed = FakeDatabase()
        none = seed.payment(1, course=None)
        wrong = seed.payment(2, student=1, metadata={"courseId": "12"})
        empty = seed.payment(3, student=1, metadata=None)
        other_key = seed.payment(4, student=1, metadata={"course_id": course_id(1)})
        facts = world.open(seed).facts([none.id, wrong.id, empty.id, other_key.id])
        for payment in (none, wrong, empty, other_key):
            assert facts[payment.id] == PaymentFacts(payment.id, payment)

    def test_metadata_may_be_a_json_string_of_an_object(self, world: World) -> None:
        seed = FakeDatabase()
        text = json.dumps({"courseId": course_id(1), "sessionCount": "20"})
        paid = seed.payment(1, metadata=text)
        bought = seed.purchase(paid)
        facts = world.open(seed).facts([paid.id])[paid.id]
        assert facts.payment == paid
        assert facts.payment.metadata == text
        assert facts.payment.course_id == course_id(1)
        assert facts.purchases == (bought,)

    @pytest.mark.parametrize(
        "metadata", ["", "no json", "[", "12", [1, 2], 12, True, {"courseId": 12}, {"courseId": {}}]
    )
    def test_metadata_that_says_nothing_does_no_harm(self, world: World, metadata: object) -> None:
        seed = FakeDatabase()
        odd = seed.payment(1, student=1, metadata=metadata)
        paid = seed.payment(2, student=1)
        bought = seed.purchase(paid)
        database = world.open(seed)
        facts = database.facts([odd.id, paid.id])
        assert facts[odd.id].payment == odd
        assert facts[paid.id].purchases == (bought,)
        assert odd.id in database.candidates(NOW - timedelta(days=1), NOW, limit=10)

    def test_a_course_id_in_upper_case_is_the_same_course(self, world: World) -> None:
        seed = FakeDatabase(courses={"00000000-0000-4000-8000-0003abcdef00"})
        upper = "  00000000-0000-4000-8000-0003ABCDEF00"
        paid = seed.payment(1, metadata={"courseId": upper, "sessionCount": 10})
        bought = replace(seed.purchase(paid), course_id="00000000-0000-4000-8000-0003abcdef00")
        seed.purchases[:] = [bought]
        facts = world.open(seed).facts([paid.id])[paid.id]
        assert facts.purchases == (bought,)
        assert facts.course_known is True
        assert facts.siblings == (paid,)

    def test_a_payment_counts_for_the_course_that_a_person_gives(self, world: World) -> None:
        seed = FakeDatabase()
        paid = seed.payment(1, student=1, course=None)
        other = seed.payment(2, student=1, course=2, paid_at=NOW - timedelta(hours=3))
        bought = seed.purchase(other)
        facts = world.open(seed).facts([paid.id], courses={paid.id: course_id(2)})[paid.id]
        assert facts.purchases == (bought,)
        assert facts.siblings == (other, paid)
        assert facts.course_known is True

    def test_a_payment_counts_for_the_course_of_the_purchase_that_kcfix_once_made_for_it(self, world: World) -> None:
        seed = FakeDatabase()
        repaired = seed.payment(1, student=1, course=None, paid_at=NOW - timedelta(hours=3))
        other = seed.payment(2, student=1, course=2)
        made = seed.purchase(repaired, course=2, own=True, created_at=NOW - timedelta(minutes=1))
        facts = world.open(seed).facts([repaired.id, other.id])
        assert facts[repaired.id].purchases == facts[other.id].purchases == (made,)
        assert facts[repaired.id].siblings == facts[other.id].siblings == (repaired, other)

    def test_a_course_that_is_not_in_the_table_is_known_to_be_missing(self, world: World) -> None:
        seed = FakeDatabase()
        paid = seed.payment(1, metadata={"courseId": "00000000-0000-4000-8000-000399999999"})
        assert world.open(seed).facts([paid.id])[paid.id].course_known is False

    def test_without_a_courses_table_nothing_is_known_of_the_course(self, world: World) -> None:
        seed = FakeDatabase(tables=ALL_TABLES - {"courses"})
        paid = seed.payment(1)
        assert world.open(seed).facts([paid.id])[paid.id].course_known is None

    def test_allocations_come_oldest_first_with_their_sessions(self, world: World) -> None:
        seed = FakeDatabase()
        bought = seed.purchase(seed.payment(1))
        approved = seed.allocation(bought, sessions=3, requested_at=NOW - timedelta(minutes=2))
        pending = seed.allocation(bought, status="pending", has_trainer=False, requested_at=NOW - timedelta(minutes=9))
        seed.allocation(bought, status="pending", without_course=True)
        seed.allocation(seed.purchase(seed.payment(2)), sessions=1)
        database = world.open(seed)
        assert database.facts([payment_id(1)])[payment_id(1)].allocations == (pending, approved)
        pair, none = (bought.student_id, bought.course_id), (student_id(9), course_id(9))
        assert database.allocations([pair, none]) == {pair: (pending, approved), none: ()}
        unknown = "00000000-0000-4000-8000-000599999999"
        assert database.sessions([approved.id, pending.id, unknown]) == {approved.id: 3, pending.id: 0, unknown: 0}

    @pytest.mark.parametrize("shape", sorted(EVENT_SHAPES))
    def test_events_are_read_in_each_shape_of_the_table(self, world: World, shape: str) -> None:
        seed = FakeDatabase(shape=shape)
        paid = seed.payment(1)
        later = seed.event(paid, "PURCHASE_CREATED", source="cache-worker", processed_at=NOW)
        first = seed.event(paid, payload={"type": "PURCHASE_CONFIRMED", "odd": [1, None, "é"]})
        seed.event(seed.payment(2))
        database = world.open(seed)
        assert database.facts([paid.id])[paid.id].events == (first, later)
        facts = database.schema()
        assert (facts.event_id_type, facts.correlation_id_type) == EVENT_SHAPES[shape]

    def test_without_an_events_table_there_are_no_events(self, world: World) -> None:
        seed = FakeDatabase(tables=ALL_TABLES - {"events"})
        paid = seed.payment(1)
        database = world.open(seed)
        assert database.facts([paid.id])[paid.id].events == ()
        assert database.schema().event_id_type is None

    @pytest.mark.parametrize("table", ["payments", "purchases", "allocations", "sessions"])
    def test_a_table_that_is_needed_and_missing_is_named(self, world: World, table: str) -> None:
        seed = FakeDatabase(tables=ALL_TABLES - {table})
        database = world.open(seed)
        with pytest.raises(Unreachable) as caught:
            database.facts([payment_id(1)])
        assert "has no table" in caught.value.message
        assert database.identity().label in caught.value.message

    # schema

    def test_the_schema_says_which_tables_there_are(self, world: World) -> None:
        assert world.open(FakeDatabase()).schema().tables == ALL_TABLES

    def test_missing_tables_are_not_among_them(self, world: World) -> None:
        few = frozenset({"payments", "purchases"})
        assert world.open(FakeDatabase(tables=few)).schema().tables == few

    @pytest.mark.parametrize("state", [IndexState.VALID, IndexState.INVALID, IndexState.MISSING])
    def test_the_schema_says_whether_doubles_are_kept_out(self, world: World, state: IndexState) -> None:
        assert world.open(FakeDatabase(index=state)).schema().unique_active_purchase is state

    def test_the_identity_never_holds_a_password(self, world: World) -> None:
        identity = world.open(FakeDatabase()).identity()
        assert identity.now.tzinfo is UTC
        assert not identity.read_only
        assert identity.label == f"{identity.host}:{identity.port}/{identity.name}"
        assert "pass" not in repr(identity)

    # candidates

    def _candidates(self, database: DatabasePort, hours: int = 24, limit: int = 100) -> tuple[PaymentId, ...]:
        return database.candidates(NOW - timedelta(hours=hours), NOW, limit=limit)

    def test_candidates_are_the_payments_without_purchase_oldest_first(self, world: World) -> None:
        seed = FakeDatabase()
        late = seed.payment(1, paid_at=NOW - timedelta(minutes=5))
        early = seed.payment(2, paid_at=NOW - timedelta(hours=5))
        seed.purchase(seed.payment(3))
        seed.payment(4, status="failed")
        seed.payment(5, status="refunded")
        assert self._candidates(world.open(seed)) == (early.id, late.id)

    def test_the_window_has_its_start_and_not_its_end(self, world: World) -> None:
        seed = FakeDatabase()
        first = seed.payment(1, paid_at=NOW - timedelta(hours=24))
        seed.payment(2, paid_at=NOW)
        seed.payment(3, paid_at=NOW - timedelta(hours=24, seconds=1))
        assert self._candidates(world.open(seed)) == (first.id,)

    def test_an_unconfirmed_payment_counts_by_the_time_it_was_made(self, world: World) -> None:
        seed = FakeDatabase()
        paid = seed.payment(1, unconfirmed=True)
        assert self._candidates(world.open(seed)) == (paid.id,)

    def test_the_limit_keeps_the_oldest(self, world: World) -> None:
        seed = FakeDatabase()
        paid = [seed.payment(n, paid_at=NOW - timedelta(minutes=n)) for n in range(1, 6)]
        assert self._candidates(world.open(seed), limit=2) == (paid[4].id, paid[3].id)

    def test_a_purchase_before_the_payment_settles_nothing(self, world: World) -> None:
        seed = FakeDatabase()
        paid = seed.payment(1)
        seed.purchase(paid, created_at=paid.paid_at - timedelta(seconds=6))
        within = seed.payment(2)
        seed.purchase(within, created_at=within.paid_at - timedelta(seconds=4))
        assert self._candidates(world.open(seed)) == (paid.id,)

    def test_an_inactive_purchase_settles_too(self, world: World) -> None:
        seed = FakeDatabase()
        seed.purchase(seed.payment(1), is_active=False)
        assert self._candidates(world.open(seed)) == ()

    def test_two_payments_for_one_course_are_both_candidates(self, world: World) -> None:
        seed = FakeDatabase()
        first = seed.payment(1, student=1, paid_at=NOW - timedelta(hours=2))
        second = seed.payment(2, student=1)
        seed.purchase(first)
        seed.purchase(second, course=2)
        assert self._candidates(world.open(seed)) == (first.id, second.id)

    def test_a_sibling_outside_the_window_counts(self, world: World) -> None:
        seed = FakeDatabase()
        seed.payment(1, student=1, paid_at=NOW - timedelta(days=9))
        second = seed.payment(2, student=1)
        seed.purchase(second)
        assert self._candidates(world.open(seed)) == (second.id,)

    def test_a_payment_beside_one_whose_course_is_unclear_stays_a_candidate(self, world: World) -> None:
        seed = FakeDatabase()
        text = json.dumps({"courseId": course_id(1)})
        unclear = seed.payment(1, student=1, metadata=text, paid_at=NOW - timedelta(hours=2))
        clear = seed.payment(2, student=1)
        seed.purchase(clear)
        assert self._candidates(world.open(seed)) == (unclear.id, clear.id)
