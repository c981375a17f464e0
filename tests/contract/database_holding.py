"""What holding the worker's locks does, whatever is behind the port."""

from __future__ import annotations

import threading

import pytest

from kcfix.core.events import advisory_lock_key
from kcfix.core.payments import Purchase
from kcfix.core.ports.database import DatabasePort, HeldPurchase
from kcfix.errors import Unreachable
from tests.contract.database_world import World, order, refuse_purchased
from tests.fakes_database import FakeDatabase


def held(purchase: Purchase) -> HeldPurchase:
    """The purchase under the lock of its student and course."""
    return HeldPurchase(purchase.id, (advisory_lock_key(purchase.student_id, purchase.course_id),))


class HoldingContract:
    """What a hold gives and keeps out. A subclass says in what world."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    def test_a_hold_gives_the_purchases_that_are_there_and_active(self, world: World) -> None:
        seed = FakeDatabase()
        there, gone, inactive = (seed.purchase(seed.payment(n), is_active=n != 3) for n in (1, 2, 3))
        seed.purchases.remove(gone)
        with world.open(seed).holding([held(there), held(gone), held(inactive)]) as found:
            assert found.there == {there.id}

    def test_a_hold_of_nothing_gives_nothing(self, world: World) -> None:
        with world.open(FakeDatabase()).holding([]) as found:
            assert found.there == frozenset()

    def test_a_lock_that_another_session_holds_is_no_answer_and_ends_the_hold(self, world: World) -> None:
        seed = FakeDatabase()
        bought = seed.purchase(seed.payment(1))
        wanted = held(bought)
        database = world.open(seed)
        held_elsewhere, entered = world.lock_held(wanted.lock_keys[0]), database.holding([wanted])
        with held_elsewhere, pytest.raises(Unreachable, match="lock time-out"):
            entered.__enter__()
        with database.holding([wanted]) as found:
            assert found.there == {bought.id}

    def test_an_insert_waits_until_the_hold_is_over(self, world: World) -> None:
        seed = FakeDatabase()
        paid = seed.payment(1)
        database, other = world.open(seed), world.another()
        wanted = order(paid, database.facts([paid.id])[paid.id])
        thread = threading.Thread(target=self._insert, args=(other, wanted))
        with database.holding([HeldPurchase(wanted.purchase_id, wanted.lock_keys)]) as hold:
            thread.start()
            thread.join(0.3)
            assert thread.is_alive()
            assert world.purchases() == []
            hold.check()
        thread.join(5)
        assert [p.id for p in world.purchases()] == [wanted.purchase_id]

    @staticmethod
    def _insert(database: DatabasePort, wanted: object) -> None:
        database.insert([wanted], refuse_purchased)  # type: ignore[list-item]

    def test_an_error_in_the_block_gives_the_locks_back(self, world: World) -> None:
        seed = FakeDatabase()
        bought = seed.purchase(seed.payment(1))
        database, other = world.open(seed), world.another()
        with pytest.raises(ZeroDivisionError), database.holding([held(bought)]):
            raise ZeroDivisionError
        with other.holding([held(bought)]) as found:
            assert found.there == {bought.id}
