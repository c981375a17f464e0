"""What the inserting transaction of a DatabasePort does, whatever is behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from kcfix.core.events import advisory_lock_key, own_purchase_id
from kcfix.core.payments import PaymentFacts, Purchase
from kcfix.core.ports.database import DatabasePort, IndexState, InsertOrder, InsertResult, InsertState
from tests.contract.database_world import World, go_on, order, refuse_purchased
from tests.fakes_database import NOW, FakeDatabase, course_id, purchase_id


class InsertingContract:
    """What an insert does. A subclass says in what world."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    def test_an_insert_makes_the_purchase_under_kcfixs_own_id(self, world: World) -> None:
        seed = FakeDatabase()
        paid = seed.payment(1)
        database = world.open(seed)
        wanted = order(paid, database.facts([paid.id])[paid.id])
        (result,) = database.insert([wanted], refuse_purchased)
        assert (result.payment_id, result.state, result.reason) == (paid.id, InsertState.INSERTED, None)
        assert result.facts is not None
        assert result.facts.payment == paid
        (made,) = world.purchases()
        assert replace(made, created_at=NOW) == Purchase(
            own_purchase_id(paid.id), paid.student_id, course_id(1), 20, True, NOW, dict(wanted.metadata)
        )
        assert database.facts([paid.id])[paid.id].purchases == (made,)

    def test_metadata_may_hold_texts_that_no_column_takes(self, world: World) -> None:
        seed = FakeDatabase()
        paid, other = seed.payment(1), seed.payment(2)
        database = world.open(seed)
        facts = database.facts([paid.id, other.id])
        odd = {"courseId": course_id(1), "timeSlot": "4\x00\ud83d", "list": ["\ud83d", {"k\x00": 1}]}
        wanted = [replace(order(paid, facts[paid.id]), metadata=odd), order(other, facts[other.id])]
        assert [r.state for r in database.insert(wanted, refuse_purchased)] == [InsertState.INSERTED] * 2
        assert len(world.purchases()) == 2

    def test_the_second_time_it_exists(self, world: World) -> None:
        seed = FakeDatabase()
        paid = seed.payment(1)
        database = world.open(seed)
        wanted = order(paid, database.facts([paid.id])[paid.id])
        states = [database.insert([wanted], refuse_purchased)[0].state for _ in range(3)]
        assert states == [InsertState.INSERTED, InsertState.EXISTS, InsertState.EXISTS]
        assert len(world.purchases()) == 1

    def test_kcfixs_own_purchase_exists_even_where_it_is_no_longer_active(self, world: World) -> None:
        seed = FakeDatabase()
        paid = seed.payment(1)
        seed.purchase(paid, own=True, is_active=False)
        database = world.open(seed)
        (result,) = database.insert([order(paid, database.facts([paid.id])[paid.id])], refuse_purchased)
        assert result.state is InsertState.EXISTS
        assert len(world.purchases()) == 1

    def test_kcfixs_own_purchase_for_another_course_is_not_made_again(self, world: World) -> None:
        seed = FakeDatabase()
        paid = seed.payment(1, course=None)
        seed.purchase(paid, own=True, course=2)
        database = world.open(seed)
        (result,) = database.insert([order(paid, database.facts([paid.id])[paid.id], course=3)], refuse_purchased)
        assert result.state is InsertState.REFUSED
        assert "another student or course" in str(result.reason)
        assert len(world.purchases()) == 1

    def test_nothing_is_inserted_where_the_recheck_says_no(self, world: World) -> None:
        seed = FakeDatabase()
        paid, refunded = seed.payment(1), seed.payment(2)
        database = world.open(seed)
        facts = database.facts([paid.id, refunded.id])
        world.set_status(refunded.id, "refunded")
        results = database.insert([order(p, facts[p.id]) for p in (refunded, paid)], refuse_purchased)
        assert [(r.payment_id, r.state, r.reason) for r in results] == [
            (refunded.id, InsertState.REFUSED, "no longer succeeded"),
            (paid.id, InsertState.INSERTED, None),
        ]
        assert [p.student_id for p in world.purchases()] == [paid.student_id]

    def test_the_recheck_sees_the_facts_for_the_course_of_the_order(self, world: World) -> None:
        seed = FakeDatabase()
        paid = seed.payment(1, course=None)
        database = world.open(seed)
        seen: list[PaymentFacts] = []
        database.insert([order(paid, database.facts([paid.id])[paid.id], course=4)], lambda o, f: seen.append(f))
        assert seen[0].course_known is True
        assert seen[0].siblings == (paid,)

    def test_an_error_of_the_recheck_changes_nothing(self, world: World) -> None:
        seed = FakeDatabase()
        paid = seed.payment(1)
        database = world.open(seed)
        facts = database.facts([paid.id])[paid.id]

        def fail(o: InsertOrder, f: PaymentFacts) -> str | None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            database.insert([order(paid, facts)], fail)
        assert world.purchases() == []
        assert database.insert([order(paid, facts)], go_on)[0].state is InsertState.INSERTED

    @pytest.mark.parametrize("index", [IndexState.VALID, IndexState.MISSING])
    def test_a_writer_without_lock_between_the_recheck_and_the_insert_wins(
        self, world: World, index: IndexState
    ) -> None:
        seed = FakeDatabase(index=index)
        paid, other = seed.payment(1), seed.payment(2)
        database = world.open(seed)
        facts = database.facts([paid.id, other.id])
        script = Purchase(purchase_id(9), paid.student_id, course_id(1), 10, True, NOW, {})

        def meanwhile(o: InsertOrder, f: PaymentFacts) -> str | None:
            if o.payment_id == paid.id:
                world.write(script)
            return None

        results = database.insert([order(p, facts[p.id]) for p in (paid, other)], meanwhile)
        assert [r.state for r in results] == [InsertState.REFUSED, InsertState.INSERTED]
        assert "another session" in str(results[0].reason)
        assert sorted(p.id for p in world.purchases()) == sorted([script.id, own_purchase_id(other.id)])

    def test_a_bad_order_does_not_take_the_others_with_it(self, world: World) -> None:
        seed = FakeDatabase()
        paid = [seed.payment(n) for n in (1, 2, 3)]
        database = world.open(seed)
        facts = database.facts([p.id for p in paid])
        orders = [order(p, facts[p.id]) for p in paid]
        unknown = "00000000-0000-4000-8000-000399999999"
        orders[0] = replace(orders[0], course_id=unknown)
        orders[1] = replace(orders[1], tier=12)
        results = database.insert(orders, go_on)
        assert [r.state for r in results] == [InsertState.FAILED, InsertState.FAILED, InsertState.INSERTED]
        assert "23503" in str(results[0].reason)
        assert "23514" in str(results[1].reason)
        assert [p.id for p in world.purchases()] == [own_purchase_id(paid[2].id)]

    def test_a_lock_that_another_session_holds_times_out_and_changes_nothing(self, world: World) -> None:
        seed = FakeDatabase()
        paid, other = seed.payment(1), seed.payment(2)
        database = world.open(seed)
        facts = database.facts([paid.id, other.id])
        orders = [order(p, facts[p.id]) for p in (paid, other)]
        with world.lock_held(advisory_lock_key(paid.student_id, course_id(1))):
            results = database.insert(orders, go_on)
            assert [r.state for r in results] == [InsertState.FAILED, InsertState.FAILED]
            assert "lock time-out" in str(results[0].reason)
            assert results[0].facts is None
            assert world.purchases() == []
        assert [r.state for r in database.insert(orders, go_on)] == [InsertState.INSERTED] * 2

    def test_the_worker_that_had_the_lock_first_is_seen_by_the_recheck(self, world: World) -> None:
        seed = FakeDatabase()
        paid = seed.payment(1)
        database = world.open(seed)
        facts = database.facts([paid.id])[paid.id]
        key = advisory_lock_key(paid.student_id, course_id(1))
        results: list[InsertResult] = []
        with world.lock_held(key):
            run = threading.Thread(target=lambda: results.extend(_patiently(database, order(paid, facts))))
            run.start()
            run.join(0.3)
            world.write(Purchase(purchase_id(9), paid.student_id, course_id(1), 20, True, NOW, {}))
        run.join(10)
        assert [(r.state, r.reason) for r in results] == [(InsertState.REFUSED, "already purchased")]
        assert [p.id for p in world.purchases()] == [purchase_id(9)]

    def test_two_runs_at_once_make_one_purchase(self, world: World) -> None:
        seed = FakeDatabase(index=IndexState.MISSING)
        paid = seed.payment(1)
        database = world.open(seed)
        facts = database.facts([paid.id])[paid.id]
        states = _at_once(4, lambda: database.insert([order(paid, facts)], refuse_purchased)[0].state)
        assert sorted(states) == [InsertState.EXISTS] * 3 + [InsertState.INSERTED]
        assert len(world.purchases()) == 1

    def test_no_orders_are_nothing_to_do(self, world: World) -> None:
        assert world.open(FakeDatabase()).insert([], go_on) == ()

    def test_two_orders_of_one_student_and_course_are_not_taken(self, world: World) -> None:
        seed = FakeDatabase()
        paid = [seed.payment(n, student=1) for n in (1, 2)]
        database = world.open(seed)
        facts = database.facts([p.id for p in paid])
        with pytest.raises(ValueError, match="one per student and course"):
            database.insert([order(p, facts[p.id]) for p in paid], go_on)
        assert world.purchases() == []


def _patiently(database: DatabasePort, wanted: InsertOrder) -> list[InsertResult]:
    """Insert, and again while another session holds the lock."""
    while True:
        results = database.insert([wanted], refuse_purchased)
        if results[0].state is not InsertState.FAILED:
            return list(results)


def _at_once(times: int, call: Callable[[], InsertState]) -> list[InsertState]:
    results: list[InsertState] = []
    threads = [threading.Thread(target=lambda: results.append(call())) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results
