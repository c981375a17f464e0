"""The contract of a DatabasePort, run on the fake; test_database_postgres.py runs it on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest

from kcfix.core.payments import PaymentId, Purchase
from kcfix.core.ports.database import DatabasePort, InsertState
from kcfix.errors import Unreachable
from tests.contract.database_aftermath import AftermathContract
from tests.contract.database_deleting import DeletingContract
from tests.contract.database_health import HealthContract
from tests.contract.database_holding import HoldingContract
from tests.contract.database_inserting import InsertingContract
from tests.contract.database_passing import PassingContract
from tests.contract.database_probing import ProbingContract
from tests.contract.database_reading import ReadingContract
from tests.contract.database_standing import StandingContract
from tests.contract.database_world import World, go_on, order
from tests.fakes_database import FakeDatabase


class FakeWorld:
    """The world of the fake: its own lists."""

    def __init__(self) -> None:
        self._database = FakeDatabase()

    def open(self, seed: FakeDatabase) -> DatabasePort:
        self._database = seed
        return seed

    def another(self) -> DatabasePort:
        return self._database

    def purchases(self) -> list[Purchase]:
        return self._database.purchases

    def write(self, purchase: Purchase) -> None:
        self._database.purchases.append(purchase)

    def set_status(self, id: PaymentId, status: str) -> None:
        self._database.change(id, status=status)

    def set_metadata(self, id: PaymentId, name: str, value: object) -> None:
        [payment] = [p for p in self._database.payments if p.id == id]
        assert isinstance(payment.metadata, dict)
        self._database.change(id, metadata={**payment.metadata, name: value})

    @contextmanager
    def lock_held(self, key: int) -> Iterator[None]:
        self._database.held_locks.add(key)
        yield
        self._database.held_locks.discard(key)


class TestFakeDatabase(
    ReadingContract,
    AftermathContract,
    PassingContract,
    HealthContract,
    InsertingContract,
    HoldingContract,
    StandingContract,
    DeletingContract,
    ProbingContract,
):
    """The fake is honest."""

    @pytest.fixture
    def world(self) -> World:
        return FakeWorld()


def test_every_call_of_a_fake_that_is_down_fails() -> None:
    database = FakeDatabase(down=Unreachable("down"))
    for call in (database.identity, database.schema, lambda: database.facts([]), lambda: database.insert([], go_on)):
        with pytest.raises(Unreachable):
            call()


@pytest.mark.parametrize(("lost", "rows"), [("made", 1), ("not made", 0)])
def test_a_lost_commit_of_the_fake_is_unknown(lost: str, rows: int) -> None:
    database = FakeDatabase(lost_commit=lost)
    paid = database.payment(1)
    (result,) = database.insert([order(paid, database.facts([paid.id])[paid.id])], go_on)
    assert result.state is InsertState.UNKNOWN
    assert len(database.purchases) == rows


def test_the_fakes_clock_is_aware() -> None:
    assert isinstance(FakeDatabase().identity().now, datetime)
