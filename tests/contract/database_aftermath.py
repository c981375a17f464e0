"""What a DatabasePort tells of what followed a payment, whatever is behind it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from kcfix.core.judging.aftermath import Aftermath, Made
from tests.contract.database_world import World
from tests.fakes_database import ALL_TABLES, EVENT_SHAPES, NOW, FakeDatabase, purchase_id


class AftermathContract:
    """What `aftermath` gives. A subclass says in what world."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    def test_asked_for_nothing_there_is_nothing(self, world: World) -> None:
        found = world.open(FakeDatabase()).aftermath(purchases=[], allocations=[], correlations=[])
        assert found == Aftermath()

    def test_unknown_ids_are_left_out(self, world: World) -> None:
        unknown = "00000000-0000-4000-8000-000599999999"
        found = world.open(FakeDatabase()).aftermath(purchases=[unknown], allocations=[unknown], correlations=[unknown])
        assert found == Aftermath()

    def test_the_times_of_purchase_allocation_and_sessions_are_told(self, world: World) -> None:
        seed = FakeDatabase()
        bought = seed.purchase(seed.payment(1))
        approved = seed.allocation(bought, sessions=3)
        pending = seed.allocation(bought, status="pending")
        seed.updated_at[bought.id] = NOW - timedelta(minutes=1)
        seed.allocated_at[approved.id] = NOW - timedelta(minutes=30)
        seed.sessions_made[approved.id] = (NOW - timedelta(minutes=29), NOW - timedelta(minutes=28))
        found = world.open(seed).aftermath(
            purchases=[bought.id], allocations=[approved.id, pending.id], correlations=[]
        )
        assert found == Aftermath(
            {approved.id: NOW - timedelta(minutes=30)},
            {approved.id: Made(NOW - timedelta(minutes=29), NOW - timedelta(minutes=28))},
            {bought.id: NOW - timedelta(minutes=1)},
        )

    @pytest.mark.parametrize("shape", sorted(EVENT_SHAPES))
    def test_rows_of_events_come_by_any_of_the_ids_oldest_first(self, world: World, shape: str) -> None:
        seed = FakeDatabase(shape=shape)
        paid = seed.payment(1)
        later = seed.event(paid, "TRAINER_ALLOCATED", source="allocation-worker", processed_at=NOW)
        first = seed.event(paid)
        script = seed.event(paid, "PURCHASE_CREATED", source="a-script", processed_at=NOW - timedelta(minutes=1))
        seed.events[-1] = script = replace(script, correlation_id=purchase_id(1))
        seed.event(seed.payment(2))
        found = world.open(seed).aftermath(purchases=[], allocations=[], correlations=[paid.id, purchase_id(1)])
        assert found.events == (first, script, later)
        assert found.events_recorded

    def test_without_an_events_table_nothing_was_recorded(self, world: World) -> None:
        seed = FakeDatabase(tables=ALL_TABLES - {"events"})
        paid = seed.payment(1)
        found = world.open(seed).aftermath(purchases=[], allocations=[], correlations=[paid.id])
        assert found == Aftermath(events_recorded=False)

    @pytest.mark.parametrize("table", ["allocations", "sessions", "purchases"])
    def test_a_missing_table_is_no_error(self, world: World, table: str) -> None:
        seed = FakeDatabase(tables=ALL_TABLES - {table})
        bought = seed.purchase(seed.payment(1))
        made = seed.allocation(bought, sessions=1)
        seed.allocated_at[made.id] = NOW
        found = world.open(seed).aftermath(purchases=[bought.id], allocations=[made.id], correlations=[])
        assert (made.id in found.allocated_at) is (table != "allocations")
        assert (made.id in found.sessions_made) is (table != "sessions")
        assert (bought.id in found.updated_at) is (table != "purchases")
