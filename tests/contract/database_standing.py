"""What a DatabasePort itself can tell of many payments at once: which are as they were read, and which stand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from kcfix.core.events import own_purchase_id
from kcfix.core.payments import Payment, PaymentFacts, Purchase
from kcfix.core.ports.database import MOST_AT_ONCE, DatabasePort, IndexState, InsertOrder, InsertState
from kcfix.core.repair.order import changed_since, recheck
from tests.contract.database_world import World, order
from tests.fakes_database import NOW, FakeDatabase, course_id, purchase_id

Change = Callable[[World, Payment], None]


def _refund(world: World, paid: Payment) -> None:
    world.set_status(paid.id, "refunded")


def _buy(world: World, paid: Payment) -> None:
    world.write(Purchase(purchase_id(9), paid.student_id, course_id(1), 20, True, NOW, {}))


def _buy_and_deactivate(world: World, paid: Payment) -> None:
    world.write(Purchase(purchase_id(9), paid.student_id, course_id(1), 20, False, NOW, {}))


def _pay_again(world: World, paid: Payment) -> None:
    world.set_status(FakeDatabase().payment(8).id, "succeeded")


def _ask_for_another_course(world: World, paid: Payment) -> None:
    world.set_metadata(paid.id, "courseId", course_id(2))


def _ask_for_another_tier(world: World, paid: Payment) -> None:
    world.set_metadata(paid.id, "purchaseTier", 30)


CHANGES = {
    "refunded": _refund,
    "bought": _buy,
    "bought, inactive": _buy_and_deactivate,
    "paid again": _pay_again,
    "another course": _ask_for_another_course,
    "another tier": _ask_for_another_tier,
}


def never(o: InsertOrder, f: PaymentFacts) -> str | None:
    """A recheck that is not to be asked."""
    raise AssertionError(f"asked about {o.payment_id}")


class StandingContract:
    """What it can tell. A subclass says in what world."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    def seed(self) -> tuple[FakeDatabase, Payment]:
        """A payment, another one of the same student and course that is not yet paid, and one for another course."""
        seed = FakeDatabase()
        paid = seed.payment(1)
        seed.payment(8, student=1, status="initiated")
        seed.payment(7, student=1, course=2)
        return seed, paid

    def facts(self, database: DatabasePort, paid: Payment) -> PaymentFacts:
        return database.facts([paid.id])[paid.id]

    def test_a_payment_that_is_as_it_was_read_is_unchanged(self, world: World) -> None:
        seed, paid = self.seed()
        database = world.open(seed)
        assert database.unchanged([self.facts(database, paid)]) == {paid.id}
        assert database.unchanged([]) == frozenset()

    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
    def test_one_that_is_not_is_never_called_so(self, world: World, change: Change) -> None:
        seed, paid = self.seed()
        database = world.open(seed)
        facts = self.facts(database, paid)
        change(world, paid)
        assert database.unchanged([facts]) == frozenset()
        assert changed_since(facts, self.facts(database, paid)) is not None

    def test_a_change_that_was_taken_back_may_count_as_one(self, world: World) -> None:
        seed, paid = self.seed()
        database = world.open(seed)
        facts = self.facts(database, paid)
        world.set_status(paid.id, "refunded")
        world.set_status(paid.id, "succeeded")
        assert database.unchanged([facts]) <= {paid.id}

    def test_a_payment_that_is_not_there_or_has_no_course_is_left_to_its_facts(self, world: World) -> None:
        seed = FakeDatabase()
        nowhere = seed.payment(1, course=None)
        database = world.open(seed)
        unknown = FakeDatabase().payment(3)
        facts = database.facts([nowhere.id, unknown.id])
        assert database.unchanged(list(facts.values())) == frozenset()

    def test_what_is_as_planned_is_inserted_without_asking(self, world: World) -> None:
        seed, paid = self.seed()
        other = seed.payment(2)
        database = world.open(seed)
        orders = [replace(order(p, self.facts(database, p)), as_planned=True) for p in (paid, other)]
        results = database.insert(orders, never)
        assert [(r.payment_id, r.state) for r in results] == [(p.id, InsertState.INSERTED) for p in (paid, other)]
        made = {p.id: p for p in world.purchases()}
        assert replace(made[own_purchase_id(paid.id)], created_at=NOW) == Purchase(
            own_purchase_id(paid.id), paid.student_id, course_id(1), 20, True, NOW, dict(orders[0].metadata)
        )
        assert [r.state for r in database.insert(orders, recheck)] == [InsertState.EXISTS] * 2
        assert len(world.purchases()) == 2

    def test_metadata_are_those_of_the_order_whoever_puts_them_together(self, world: World) -> None:
        """The server may compose them, where the order takes them from the payment as it is; not where one differs."""
        seed = FakeDatabase()
        paid = [
            seed.payment(n, sunday=True, note='\u20b9 "quoted" \\u0041', pricing={"total": "1.00"}) for n in (1, 2, 3)
        ]
        database = world.open(seed)
        orders = []
        of_events: list[dict[str, object]] = [{}, {"sunday": 1}, {"timeSlot": "5:00 PM"}]
        for payment, more in zip(paid, of_events, strict=True):
            facts = self.facts(database, payment)
            assert facts.payment is not None
            assert isinstance(facts.payment.metadata, dict)
            last = {"purchaseTier": 20, "sessionCount": 20, "courseId": course_id(1)}
            metadata = {**facts.payment.metadata, **more, **last}
            orders.append(replace(order(payment, facts), metadata=metadata, as_planned=True))
        assert {r.state for r in database.insert(orders, never)} == {InsertState.INSERTED}
        made = {p.id: json.dumps(p.metadata, sort_keys=True) for p in world.purchases()}
        assert made == {o.purchase_id: json.dumps(o.metadata, sort_keys=True) for o in orders}

    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
    def test_what_is_not_as_planned_is_asked_about(self, world: World, change: Change) -> None:
        seed, paid = self.seed()
        other = seed.payment(2)
        database = world.open(seed)
        orders = [replace(order(p, self.facts(database, p)), as_planned=True) for p in (paid, other)]
        change(world, paid)
        asked: list[InsertOrder] = []

        def no(o: InsertOrder, f: PaymentFacts) -> str | None:
            asked.append(o)
            return recheck(o, f)

        results = database.insert(orders, no)
        assert [r.state for r in results] == [InsertState.REFUSED, InsertState.INSERTED]
        assert asked == [orders[0]]

    def test_a_bad_order_among_those_as_planned_fails_alone(self, world: World) -> None:
        seed = FakeDatabase()
        paid = [seed.payment(n) for n in (1, 2, 3, 4, 5)]
        database = world.open(seed)
        orders = [replace(order(p, self.facts(database, p)), as_planned=True) for p in paid]
        orders[2] = replace(orders[2], tier=12)
        states = [r.state for r in database.insert(orders, recheck)]
        assert states == [InsertState.INSERTED] * 2 + [InsertState.FAILED] + [InsertState.INSERTED] * 2
        assert len(world.purchases()) == 4

    def test_a_purchase_stands_if_it_is_the_only_active_one_of_a_payment_that_succeeded(self, world: World) -> None:
        seed = FakeDatabase(index=IndexState.MISSING)
        paid = [seed.payment(n) for n in range(1, 6)]
        own = {p.id: seed.purchase(p, own=True, is_active=p is not paid[1]).id for p in paid}
        seed.purchase(paid[2])
        seed.purchase(paid[3], is_active=False)
        database = world.open(seed)
        world.set_status(paid[4].id, "refunded")
        assert database.standing(own) == {paid[0].id, paid[3].id}
        assert database.standing({paid[0].id: own[paid[1].id]}) == frozenset()
        assert database.standing({}) == frozenset()

    def test_a_transaction_is_told_how_many_locks_it_may_take(self, world: World) -> None:
        assert 100 <= world.open(FakeDatabase()).room() <= MOST_AT_ONCE
