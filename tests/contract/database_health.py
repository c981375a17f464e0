"""What a DatabasePort tells of how the database is, whatever is behind it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kcfix.core.ports.database import IndexState
from kcfix.core.ports.health import StuckPayments
from tests.contract.database_world import World
from tests.fakes_database import NOW, FakeDatabase


class HealthContract:
    """What `health` and `stuck_payments` give. A subclass says in what world."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    def test_a_healthy_database_is_said_to_be_healthy(self, world: World) -> None:
        found = world.open(FakeDatabase()).health()
        assert (found.standby, found.read_only, found.read_only_database) == (False, False, False)
        assert (found.waits, found.transactions, found.missing_columns) == ((), (), ())
        assert 0 < found.connections < found.max_connections
        assert found.at.utcoffset() == timedelta(0)
        assert found.sees_others

    def test_a_user_that_does_not_exist_is_said_not_to(self, world: World) -> None:
        database = world.open(FakeDatabase(unknown_users={"nobody-here"}))
        found = database.health(["nobody-here"])
        assert set(found.roles) == {"nobody-here"}
        assert not found.roles["nobody-here"].exists
        assert database.health().roles == {}

    def test_health_does_not_need_the_tables(self, world: World) -> None:
        seed = FakeDatabase(tables=frozenset({"courses"}), index=IndexState.MISSING)
        assert world.open(seed).health().max_connections > 0

    def test_payments_that_never_ended_are_counted_within_the_span(self, world: World) -> None:
        seed = FakeDatabase()
        begun = [
            seed.payment(n, status=status, paid_at=NOW - timedelta(hours=hours))
            for n, (status, hours) in enumerate(
                [("processing", 5), ("initiated", 4), ("succeeded", 4), ("failed", 4)], 1
            )
        ]
        database = world.open(seed)
        expired = begun[0].created_at + timedelta(minutes=30)
        assert database.stuck_payments(NOW - timedelta(days=1), NOW) == StuckPayments(2, expired)
        assert database.stuck_payments(expired + timedelta(seconds=1), NOW).count == 1
        assert database.stuck_payments(NOW, NOW + timedelta(days=1)) == StuckPayments(0, None)
