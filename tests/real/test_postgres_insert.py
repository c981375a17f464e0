"""Inserting into a real PostgreSQL where the night is bad: lost answers, refunds in between, missing rights."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from kcfix.core.events import own_purchase_id
from kcfix.core.payments import Payment, PaymentFacts
from kcfix.core.ports.database import MOST_AT_ONCE, DatabasePort, InsertOrder, InsertState
from kcfix.core.repair.order import recheck
from tests.contract.database_world import go_on, order, refuse_purchased
from tests.fakes_database import FakeDatabase, course_id
from tests.real import postgres_world
from tests.real.postgres_proxy import Loss, proxy
from tests.real.postgres_server import Server
from tests.real.postgres_world import PostgresWorld

postgres, world = postgres_world.postgres, postgres_world.world


def _order(database: DatabasePort, payment: Payment) -> InsertOrder:
    return order(payment, database.facts([payment.id])[payment.id])


@pytest.mark.parametrize(("loss", "rows"), [(Loss.AFTER, 1), (Loss.BEFORE, 0), (Loss.SILENCE, 0)])
def test_a_commit_without_answer_is_unknown_and_the_next_run_finds_out(
    world: PostgresWorld, loss: Loss, rows: int
) -> None:
    seed = FakeDatabase()
    paid = seed.payment(1)
    database = world.open(seed)
    wanted = _order(database, paid)
    with proxy(world.server.port, loss) as line:
        lossy = world.again(world.dsn_at(line.port))
        started = time.monotonic()
        (result,) = lossy.insert([wanted], refuse_purchased)
        assert time.monotonic() - started < 6
    assert result.state is InsertState.UNKNOWN
    assert "may have been made" in str(result.reason)
    _until(lambda: len(world.purchases()) == rows)
    (again,) = _patiently(database, wanted)
    assert again == (InsertState.EXISTS if rows else InsertState.INSERTED)
    assert len(world.purchases()) == 1


def test_a_server_that_hangs_before_the_commit_has_changed_nothing(world: PostgresWorld) -> None:
    seed = FakeDatabase()
    paid = seed.payment(1)
    database = world.open(seed)
    wanted = _order(database, paid)

    def hang(o: InsertOrder, f: PaymentFacts) -> str | None:
        frozen.__enter__()
        return None

    frozen = world.server.frozen()
    started = time.monotonic()
    try:
        (result,) = database.insert([wanted], hang)
    finally:
        frozen.__exit__(None, None, None)
    assert time.monotonic() - started < 12
    assert result.state is InsertState.FAILED
    assert "lost before the commit" in str(result.reason) or "did not answer" in str(result.reason)
    assert world.purchases() == []
    assert _patiently(database, wanted) == (InsertState.INSERTED,)


def test_a_refund_waits_until_the_insert_is_committed(world: PostgresWorld) -> None:
    seed = FakeDatabase()
    paid = seed.payment(1)
    database = world.open(seed)
    refund = threading.Thread(target=world.set_status, args=(paid.id, "refunded"))

    def refund_meanwhile(o: InsertOrder, f: PaymentFacts) -> str | None:
        refund.start()
        refund.join(0.3)
        assert refund.is_alive(), "the refund did not wait for the row's lock"
        return None

    (result,) = database.insert([_order(database, paid)], refund_meanwhile)
    refund.join(5)
    assert result.state is InsertState.INSERTED
    assert database.facts([paid.id])[paid.id].payment == replace(paid, status="refunded")


def test_a_user_who_may_only_read_payments_can_insert_all_the_same(world: PostgresWorld) -> None:
    seed = FakeDatabase()
    paid = seed.payment(1)
    world.fill(seed)
    database = world.again(world.add_user("clerk", "GRANT INSERT ON student_course_purchases TO clerk"))
    (result,) = database.insert([_order(database, paid)], refuse_purchased)
    assert result.state is InsertState.INSERTED


def test_a_user_who_may_not_insert_is_told_which_right_is_missing(world: PostgresWorld) -> None:
    seed = FakeDatabase()
    paid = seed.payment(1)
    world.fill(seed)
    database = world.again(world.add_user("reader"))
    (result,) = database.insert([_order(database, paid)], go_on)
    assert result.state is InsertState.FAILED
    assert str(result.reason).endswith("user reader has no right to INSERT on student_course_purchases")


def test_a_database_that_is_read_only_by_default_is_left_alone(world: PostgresWorld) -> None:
    seed = FakeDatabase()
    paid = seed.payment(1)
    wanted = _order(world.open(seed), paid)
    world.execute(f'ALTER DATABASE "{world.name}" SET default_transaction_read_only = on')
    database = world.again()
    assert database.identity().read_only
    (result,) = database.insert([wanted], go_on)
    assert result.state is InsertState.FAILED
    assert "read-only" in str(result.reason)
    assert world.purchases() == []


def test_the_session_that_holds_the_lock_is_named(world: PostgresWorld) -> None:
    seed = FakeDatabase()
    paid, other = seed.payment(1), seed.payment(2)
    database = world.open(seed)
    orders = [_order(database, paid), _order(database, other)]
    with world.lock_held(orders[0].lock_keys[0]):
        results = database.insert(orders, go_on)
    assert "held by pid" in str(results[0].reason)
    assert "held by pid" not in str(results[1].reason)
    assert [r.state for r in results] == [InsertState.FAILED] * 2


def test_an_expiry_date_is_written_as_the_worker_writes_it_and_a_bad_one_fails_alone(world: PostgresWorld) -> None:
    seed = FakeDatabase()
    good, bad, none = (seed.payment(n) for n in (1, 2, 3))
    database = world.open(seed)
    orders = [
        replace(_order(database, good), expiry_date="2026-12-31T00:00:00.000Z"),
        replace(_order(database, bad), expiry_date="next year"),
        _order(database, none),
    ]
    states = [result.state for result in database.insert(orders, go_on)]
    assert states == [InsertState.INSERTED, InsertState.FAILED, InsertState.INSERTED]
    with world.server.connect(world.name) as connection:
        query = (
            b"SELECT id::text, expiry_date AT TIME ZONE 'UTC', purchase_date = created_at FROM student_course_purchases"
        )
        rows = {str(row[0]): (str(row[1]), row[2]) for row in connection.execute(query)}
    assert rows[own_purchase_id(good.id)] == ("2026-12-31 00:00:00", True)
    assert rows[own_purchase_id(none.id)] == ("None", True)


def test_metadata_that_jsonb_does_not_take_is_stored_without_it(world: PostgresWorld) -> None:
    """A NUL or half an emoji in a student's text must not keep the purchase from being made."""
    seed = FakeDatabase()
    cut, odd = seed.payment(1), seed.payment(2)
    database = world.open(seed)
    orders = [
        replace(_order(database, paid), metadata={"note": note}) for paid, note in ((cut, "a\x00b"), (odd, "a\ud83d"))
    ]
    assert [r.state for r in database.insert(orders, go_on)] == [InsertState.INSERTED] * 2
    stored = [p.metadata for p in world.purchases()]
    assert sorted(str(m) for m in stored) == ["{'note': 'a\ufffd'}", "{'note': 'a\ufffdb'}"]


@pytest.mark.parametrize("as_planned", [True, False])
def test_a_thousand_orders_are_one_transaction(world: PostgresWorld, as_planned: bool) -> None:
    seed = FakeDatabase()
    paid = [seed.payment(n) for n in range(1, MOST_AT_ONCE + 2)]
    database = world.open(seed)
    facts = database.facts([p.id for p in paid])
    orders = [replace(order(p, facts[p.id]), as_planned=as_planned) for p in paid]
    with pytest.raises(ValueError, match=str(MOST_AT_ONCE)):
        database.insert(orders, go_on)
    results = database.insert(orders[:-1], refuse_purchased)
    assert {r.state for r in results} == {InsertState.INSERTED}
    assert [r.payment_id for r in results] == [o.payment_id for o in orders[:-1]]
    assert len({p.created_at for p in world.purchases()}) == 1


def test_a_refund_waits_until_what_is_as_planned_is_committed(world: PostgresWorld) -> None:
    """The payments' rows are locked before the statement that checks and inserts: nothing comes between."""
    seed = FakeDatabase()
    paid = [seed.payment(n) for n in range(1, 500)]
    database = world.open(seed)
    facts = database.facts([p.id for p in paid])
    orders = [replace(order(p, facts[p.id]), as_planned=True) for p in paid]
    with world.server.connect(world.name) as refunding, ThreadPoolExecutor(1) as pool:
        refunding.execute("BEGIN")
        refunding.execute("UPDATE payments SET status = 'refunded' WHERE id = %s", [paid[0].id])
        run = pool.submit(lambda: database.insert(orders, recheck))
        time.sleep(0.5)
        assert not run.done(), "the insert did not wait for the refund's row lock"
        refunding.execute("COMMIT")
        states = [r.state for r in run.result(10)]
    assert states == [InsertState.REFUSED] + [InsertState.INSERTED] * (len(paid) - 1)


def test_who_may_only_read_some_columns_or_reads_through_a_view_is_asked_row_by_row(world: PostgresWorld) -> None:
    """A row of a view has no version: its facts are read again, and the recheck decides."""
    seed = FakeDatabase()
    paid = seed.payment(1)
    world.fill(seed)
    world.execute("ALTER TABLE payments RENAME TO paid; CREATE VIEW payments AS SELECT * FROM paid")
    database = world.again()
    wanted = replace(_order(database, paid), as_planned=True)
    assert database.unchanged([wanted.planned_on]) == frozenset()
    asked: list[InsertOrder] = []
    (result,) = database.insert([wanted], lambda o, f: asked.append(o))
    assert (result.state, asked) == (InsertState.INSERTED, [wanted])
    assert database.standing({paid.id: wanted.purchase_id}) == frozenset()


def test_payments_of_another_database_are_read_again_there(world: PostgresWorld, postgres: Server) -> None:
    other = PostgresWorld(postgres)
    try:
        seed = FakeDatabase()
        paid, refunded = seed.payment(1), seed.payment(2)
        other.fill(seed)
        world.fill(FakeDatabase(tables=seed.tables - {"payments"}))
        database = world.again(payments_dsn=other.dsn())
        orders = [_order(database, paid), _order(database, refunded)]
        other.set_status(refunded.id, "refunded")
        results = database.insert(orders, refuse_purchased)
        assert [r.state for r in results] == [InsertState.INSERTED, InsertState.REFUSED]
        assert [p.course_id for p in world.purchases()] == [course_id(1)]
    finally:
        other.close()


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def _patiently(database: DatabasePort, wanted: InsertOrder) -> tuple[InsertState, ...]:
    """Insert, and again while the lost session still holds its lock."""
    for _ in range(20):
        states = tuple(result.state for result in database.insert([wanted], refuse_purchased))
        if states != (InsertState.FAILED,):
            return states
    raise AssertionError("the lock was never free")
