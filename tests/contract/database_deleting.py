"""What the deleting transaction of a DatabasePort does, whatever is behind it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from kcfix.core.events import advisory_lock_key
from kcfix.core.payments import PaymentFacts, PaymentId, Purchase
from kcfix.core.ports.database import DatabasePort, DeleteOrder, DeleteResult, DeleteState
from kcfix.errors import Unreachable
from tests.contract.database_world import World, go_on, order
from tests.fakes_database import FakeDatabase


def go_on_deleting(order: DeleteOrder, facts: PaymentFacts) -> None:
    """A recheck that finds nothing changed."""


def made(world: World, *numbers: int) -> tuple[DatabasePort, list[DeleteOrder]]:
    """A database in which kcfix inserted the purchases of these payments, and the orders that delete them."""
    seed = FakeDatabase()
    payments = [seed.payment(n) for n in numbers]
    database = world.open(seed)
    facts = database.facts([p.id for p in payments])
    database.insert([order(p, facts[p.id]) for p in payments], go_on)
    facts = database.facts([p.id for p in payments])
    return database, [deletion(p.id, facts[p.id].purchases[0]) for p in payments]


def deletion(payment: PaymentId, purchase: Purchase) -> DeleteOrder:
    """The order that deletes the purchase as it is."""
    return DeleteOrder(payment, purchase, (advisory_lock_key(purchase.student_id, purchase.course_id),))


class DeletingContract:
    """What a deletion does. A subclass says in what world."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    def test_a_deletion_takes_its_purchase_and_no_other(self, world: World) -> None:
        database, (first, second) = made(world, 1, 2)
        assert database.delete([first], go_on_deleting) == (DeleteResult(first.payment_id, DeleteState.DELETED),)
        assert [p.id for p in world.purchases()] == [second.purchase.id]

    def test_the_second_time_it_is_gone(self, world: World) -> None:
        database, orders = made(world, 1)
        states = [database.delete(orders, go_on_deleting)[0].state for _ in range(2)]
        assert states == [DeleteState.DELETED, DeleteState.GONE]

    def test_a_deleted_purchase_can_be_inserted_again(self, world: World) -> None:
        database, (wanted,) = made(world, 1)
        database.delete([wanted], go_on_deleting)
        facts = database.facts([wanted.payment_id])[wanted.payment_id]
        assert facts.payment is not None
        database.insert([order(facts.payment, facts)], go_on)
        assert [p.id for p in world.purchases()] == [wanted.purchase.id]

    @pytest.mark.parametrize("change", [{"tier": 30}, {"metadata": {"timeSlot": "5:00 PM"}}, {"metadata": None}])
    def test_a_purchase_with_other_values_than_the_orders_stays(self, world: World, change: dict[str, object]) -> None:
        database, (wanted,) = made(world, 1)
        other = replace(wanted, purchase=replace(wanted.purchase, **change))  # type: ignore[arg-type]
        (result,) = database.delete([other], go_on_deleting)
        assert (result.state, result.reason) == (DeleteState.REFUSED, "the purchase is no longer as it was")
        assert len(world.purchases()) == 1

    def test_an_inactive_purchase_stays(self, world: World) -> None:
        seed = FakeDatabase()
        paid = seed.payment(1)
        bought = seed.purchase(paid, own=True, is_active=False)
        database = world.open(seed)
        (result,) = database.delete([deletion(paid.id, bought)], go_on_deleting)
        assert result.state is DeleteState.REFUSED
        assert len(world.purchases()) == 1

    def test_a_purchase_that_was_updated_since_it_was_made_is_told_and_stays(self, world: World) -> None:
        seed = FakeDatabase()
        paid = seed.payment(1)
        later = seed.now - timedelta(minutes=1)
        seed.purchase(paid, own=True, updated_at=later)
        database = world.open(seed)
        (bought,) = database.facts([paid.id])[paid.id].purchases
        assert bought.updated_at == later
        (result,) = database.delete([deletion(paid.id, bought)], go_on_deleting)
        assert (result.state, result.reason) == (DeleteState.REFUSED, "the purchase is no longer as it was")
        assert len(world.purchases()) == 1

    def test_a_purchase_that_kcfix_inserted_counts_as_untouched(self, world: World) -> None:
        _, (wanted,) = made(world, 1)
        assert wanted.purchase.updated_at == wanted.purchase.created_at

    def test_the_recheck_sees_the_facts_and_its_reason_keeps_that_purchase_alone(self, world: World) -> None:
        database, orders = made(world, 1, 2)
        seen: dict[PaymentId, PaymentFacts] = {}

        def recheck(order: DeleteOrder, facts: PaymentFacts) -> str | None:
            seen[order.payment_id] = facts
            return "announced" if order is orders[0] else None

        results = database.delete(orders, recheck)
        assert [(r.state, r.reason) for r in results] == [
            (DeleteState.REFUSED, "announced"),
            (DeleteState.DELETED, None),
        ]
        assert [p.id for p in world.purchases()] == [orders[0].purchase.id]
        assert all(seen[o.payment_id].purchases == (o.purchase,) for o in orders)

    def test_no_answer_in_the_recheck_rolls_everything_back(self, world: World) -> None:
        database, orders = made(world, 1, 2)

        def recheck(order: DeleteOrder, facts: PaymentFacts) -> str | None:
            if order is orders[1]:
                raise Unreachable("Kafka did not answer", system="kafka")
            return None

        results = database.delete(orders, recheck)
        assert {(r.state, r.reason) for r in results} == {(DeleteState.FAILED, "Kafka did not answer")}
        assert len(world.purchases()) == 2

    def test_a_lock_that_another_session_holds_fails_it(self, world: World) -> None:
        database, orders = made(world, 1)
        with world.lock_held(orders[0].lock_keys[0]):
            (result,) = database.delete(orders, go_on_deleting)
        assert result.state is DeleteState.FAILED
        assert "lock time-out" in (result.reason or "")
        assert database.delete(orders, go_on_deleting)[0].state is DeleteState.DELETED

    def test_two_orders_of_one_student_and_course_are_no_one_transaction(self, world: World) -> None:
        database, (wanted,) = made(world, 1)
        with pytest.raises(ValueError, match="one per student and course"):
            database.delete([wanted, wanted], go_on_deleting)
        assert len(world.purchases()) == 1

    def test_no_orders_are_no_work(self, world: World) -> None:
        database, _ = made(world, 1)
        assert database.delete([], go_on_deleting) == ()
