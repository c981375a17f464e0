"""Deleting from a real PostgreSQL where the night is bad: lost answers, changed rows, missing rights."""

from __future__ import annotations

import time

import pytest

from kcfix.core.ports.database import DatabasePort, DeleteOrder, DeleteState, HeldPurchase
from kcfix.errors import Unreachable
from tests.contract.database_deleting import go_on_deleting, made
from tests.real import postgres_world
from tests.real.postgres_proxy import Loss, proxy
from tests.real.postgres_world import PostgresWorld

postgres, world = postgres_world.postgres, postgres_world.world


@pytest.mark.parametrize(("loss", "rows"), [(Loss.AFTER, 0), (Loss.BEFORE, 1), (Loss.SILENCE, 1)])
def test_a_commit_without_answer_is_unknown_and_the_next_run_finds_out(
    world: PostgresWorld, loss: Loss, rows: int
) -> None:
    database, (wanted,) = made(world, 1)
    with proxy(world.server.port, loss) as line:
        (result,) = world.again(world.dsn_at(line.port)).delete([wanted], go_on_deleting)
    assert result.state is DeleteState.UNKNOWN
    assert _patiently(database, wanted) is (DeleteState.DELETED if rows else DeleteState.GONE)
    assert world.purchases() == []


def test_a_row_that_was_updated_since_it_was_made_stays(world: PostgresWorld) -> None:
    database, (wanted,) = made(world, 1)
    world.execute("UPDATE student_course_purchases SET updated_at = now() + interval '1 second'")
    (result,) = database.delete([wanted], go_on_deleting)
    assert (result.state, result.reason) == (DeleteState.REFUSED, "the purchase is no longer as it was")
    assert len(world.purchases()) == 1


def test_a_row_that_changes_between_the_recheck_and_the_deletion_stays(world: PostgresWorld) -> None:
    database, (wanted,) = made(world, 1)

    def change(order: DeleteOrder, facts: object) -> None:
        world.execute("UPDATE student_course_purchases SET purchase_tier = 30")

    (result,) = database.delete([wanted], change)
    assert result.state is DeleteState.REFUSED
    assert [p.tier for p in world.purchases()] == [30]


def test_a_row_that_another_table_refers_to_stays_and_the_others_go(world: PostgresWorld) -> None:
    database, (first, second) = made(world, 1, 2)
    world.execute(
        f"""ALTER TABLE student_course_purchases ADD UNIQUE (id);
            CREATE TABLE refers (id uuid REFERENCES student_course_purchases (id));
            INSERT INTO refers VALUES ('{first.purchase.id}')"""  # noqa: S608
    )
    results = database.delete([first, second], go_on_deleting)
    assert [r.state for r in results] == [DeleteState.FAILED, DeleteState.DELETED]
    assert "refers to this purchase" in str(results[0].reason)


def test_without_the_right_to_delete_the_grant_is_named(world: PostgresWorld) -> None:
    _, (wanted,) = made(world, 1)
    reader = world.again(world.add_user("reader"))
    (result,) = reader.delete([wanted], go_on_deleting)
    assert result.state is DeleteState.FAILED
    assert "GRANT DELETE ON student_course_purchases TO reader;" in str(result.reason)


def test_a_database_that_is_read_only_is_left_alone(world: PostgresWorld) -> None:
    _, (wanted,) = made(world, 1)
    world.execute(f'ALTER DATABASE "{world.name}" SET default_transaction_read_only = on')
    (result,) = world.again().delete([wanted], go_on_deleting)
    assert result.state is DeleteState.FAILED
    assert "read-only" in str(result.reason)


def _patiently(database: DatabasePort, wanted: DeleteOrder) -> DeleteState:
    """Delete, and again while the lost session still holds its lock."""
    for _ in range(20):
        (result,) = database.delete([wanted], go_on_deleting)
        if result.state is not DeleteState.FAILED:
            return result.state
        time.sleep(0.1)
    raise AssertionError("the lock was never free")


def test_a_hold_whose_session_was_ended_is_known_to_be_lost(world: PostgresWorld) -> None:
    database, (wanted,) = made(world, 1)
    with database.holding([HeldPurchase(wanted.purchase.id, wanted.lock_keys)]) as hold:
        hold.check()
        world.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")
        with pytest.raises(Unreachable, match="holding the worker's locks"):
            hold.check()
    assert len(database.facts([wanted.payment_id])[wanted.payment_id].purchases) == 1
