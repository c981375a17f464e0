"""A probe's payment on a real PostgreSQL that does not take it."""

from __future__ import annotations

from kcfix.core.ports.database import InsertState
from tests.contract.database_probing import an_order
from tests.fakes_database import FakeDatabase
from tests.real import postgres_world
from tests.real.postgres_world import PostgresWorld

postgres, world = postgres_world.postgres, postgres_world.world


def test_without_the_right_to_insert_the_right_is_named(world: PostgresWorld) -> None:
    database = world.open(FakeDatabase())
    result = world.again(world.add_user("reader")).probe(an_order())
    assert result.state is InsertState.FAILED
    assert "user reader has no right to INSERT on students" in str(result.reason)
    assert database.probes(10).payment_ids == ()


def test_a_database_that_is_read_only_is_named_so(world: PostgresWorld) -> None:
    database = world.open(FakeDatabase())
    world.execute(f'ALTER DATABASE "{world.name}" SET default_transaction_read_only = on')
    result = world.again().probe(an_order())
    assert result.state is InsertState.FAILED
    assert "is read-only" in str(result.reason)
    assert database.probes(10).payment_ids == ()
