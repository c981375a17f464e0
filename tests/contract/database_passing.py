"""What the pass over all payments gives, whatever is behind the port."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from kcfix.core.judging.judge import judge_by_tables
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.payments import PaymentId
from kcfix.core.ports.database import DatabasePort, IndexState
from kcfix.errors import Unreachable
from tests.contract.database_world import World
from tests.fakes_database import ALL_TABLES, NOW, FakeDatabase

DAY = timedelta(days=1)


def suspects(database: DatabasePort) -> tuple[PaymentId, ...]:
    with database.payment_pass(NOW - DAY, NOW) as found:
        return tuple(row.payment_id for row in found.rows)


def settled(seed: FakeDatabase, n: int = 1) -> PaymentId:
    paid = seed.payment(n)
    seed.allocation(seed.purchase(paid), status="approved", sessions=20)
    return paid.id


class PassingContract:
    """What `payment_pass` gives. A subclass says in what world."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    def test_a_payment_with_purchase_trainer_and_sessions_is_no_suspect(self, world: World) -> None:
        seed = FakeDatabase()
        settled(seed)
        assert suspects(world.open(seed)) == ()

    def test_everything_gives_each_settled_payment_with_its_purchase(self, world: World) -> None:
        seed = FakeDatabase()
        id = settled(seed)
        missing = seed.payment(2, paid_at=NOW - timedelta(minutes=5))
        with world.open(seed).payment_pass(NOW - DAY, NOW, everything=True) as found:
            rows = [(row.payment_id, row.purchase_id) for row in found.rows]
        assert rows == [(id, seed.purchases[0].id), (missing.id, None)]

    def test_the_totals_count_all_succeeded_payments_of_the_window_and_their_money(self, world: World) -> None:
        seed = FakeDatabase()
        settled(seed)
        seed.payment(2, amount_minor=100)
        seed.payment(3, status="failed")
        seed.payment(4, paid_at=NOW)
        with world.open(seed).payment_pass(NOW - DAY, NOW) as found:
            assert (found.payments, dict(found.amounts_minor)) == (2, {"INR": 360100})

    def test_an_empty_window_has_nothing(self, world: World) -> None:
        with world.open(FakeDatabase()).payment_pass(NOW - DAY, NOW) as found:
            assert (found.payments, dict(found.amounts_minor), list(found.rows)) == (0, {}, [])

    def test_suspects_come_oldest_first(self, world: World) -> None:
        seed = FakeDatabase()
        paid = [seed.payment(n, paid_at=NOW - timedelta(minutes=n)) for n in range(1, 5)]
        assert suspects(world.open(seed)) == tuple(p.id for p in reversed(paid))

    @pytest.mark.parametrize("tier", ["20", 20])
    def test_a_tier_may_be_a_number_or_numeric_text(self, world: World, tier: object) -> None:
        seed = FakeDatabase()
        paid = seed.payment(1, tier=tier)
        seed.allocation(seed.purchase(paid, tier=20), status="active", sessions=1)
        assert suspects(world.open(seed)) == ()

    @pytest.mark.parametrize("tier", [30, 20.5, True, None, "twenty", 0])
    def test_another_tier_or_one_that_is_not_plain_makes_a_suspect(self, world: World, tier: object) -> None:
        seed = FakeDatabase()
        paid = seed.payment(1, tier=tier)
        seed.allocation(seed.purchase(paid, tier=20), status="active", sessions=1)
        assert suspects(world.open(seed)) == (paid.id,)

    @pytest.mark.parametrize(("status", "sessions"), [("pending", 0), ("approved", 0), ("rejected", 3)])
    def test_trouble_downstream_makes_a_suspect(self, world: World, status: str, sessions: int) -> None:
        seed = FakeDatabase()
        paid = seed.payment(1)
        seed.allocation(seed.purchase(paid), status=status, sessions=sessions)
        assert suspects(world.open(seed)) == (paid.id,)

    def test_a_purchase_without_any_allocation_is_a_suspect_unless_it_is_inactive(self, world: World) -> None:
        seed = FakeDatabase()
        open_one = seed.payment(1)
        seed.purchase(open_one)
        seed.purchase(seed.payment(2), is_active=False)
        assert suspects(world.open(seed)) == (open_one.id,)

    def test_two_purchases_make_a_suspect_even_if_one_is_inactive(self, world: World) -> None:
        seed = FakeDatabase()
        id = settled(seed)
        seed.purchase(seed.payments[0], is_active=False)
        assert suspects(world.open(seed)) == (id,)

    def test_a_second_payment_that_the_purchase_of_another_hides_is_a_suspect(self, world: World) -> None:
        seed = FakeDatabase()
        id = settled(seed)
        again = seed.payment(2, student=1, course=1)
        assert set(suspects(world.open(seed))) == {id, again.id}

    @pytest.mark.parametrize("metadata", ['{"courseId": 1}', None, {}])
    def test_a_payment_that_may_be_for_any_course_makes_suspects_of_its_students_others(
        self, world: World, metadata: object
    ) -> None:
        seed = FakeDatabase()
        id = settled(seed)
        unclear = seed.payment(2, student=1, course=2)
        seed.payments[-1] = replace(unclear, metadata=metadata)
        assert set(suspects(world.open(seed))) == {id, unclear.id}

    def test_an_own_purchase_for_another_course_of_the_student_makes_a_suspect(self, world: World) -> None:
        seed = FakeDatabase(index=IndexState.MISSING)
        id = settled(seed)
        moved = seed.payment(2, student=1, course=3)
        seed.purchase(moved, own=True, course=1)
        assert set(suspects(world.open(seed))) == {id, moved.id}

    @pytest.mark.parametrize("table", ["payments", "purchases", "allocations", "sessions"])
    def test_a_missing_table_is_said(self, world: World, table: str) -> None:
        database = world.open(FakeDatabase(tables=ALL_TABLES - {table}))
        with pytest.raises(Unreachable, match="has no table"), database.payment_pass(NOW - DAY, NOW) as found:
            list(found.rows)

    def test_other_calls_go_on_during_the_pass(self, world: World) -> None:
        seed = FakeDatabase()
        missing = seed.payment(1)
        database = world.open(seed)
        with database.payment_pass(NOW - DAY, NOW) as found:
            assert [database.facts([row.payment_id])[row.payment_id].payment for row in found.rows] == [missing]

    def test_what_sql_calls_settled_the_judge_calls_purchased(self, world: World) -> None:
        seed = random_world(random.Random(7), payments=150)  # noqa: S311 - the same world in each run
        database = world.open(seed)
        since, until = NOW - timedelta(days=30), NOW + DAY
        with database.payment_pass(since, until, everything=True) as found:
            rows = list(found.rows)
        assert len(rows) == found.payments
        facts = database.facts([row.payment_id for row in rows])
        sure = [row for row in rows if row.purchase_id is not None]
        assert 5 < len(sure) < len(rows) - 5
        for row in sure:
            verdict = judge_by_tables(facts[row.payment_id], NOW + DAY)
            assert verdict is not None
            assert verdict.kind is VerdictKind.PURCHASED, verdict
            assert verdict.purchase is not None
            assert verdict.purchase.id == row.purchase_id
        with seed.payment_pass(since, until, everything=True) as theirs:
            assert rows == list(theirs.rows)


def random_world(chance: random.Random, payments: int) -> FakeDatabase:
    """A small world with much in it that is nearly settled."""
    seed = FakeDatabase(index=IndexState.MISSING)
    approved: set[tuple[str, str]] = set()
    for n in range(1, payments + 1):
        made = seed.payment(
            n,
            student=chance.randrange(1, payments),
            course=chance.choice([1, 1, 1, 2]),
            tier=chance.choice([20, 20, 20, "20", 30, None]),
            status=chance.choice(["succeeded"] * 6 + ["refunded"]),
            paid_at=NOW - timedelta(minutes=chance.randrange(20, 30000)),
        )
        if chance.random() < 0.03:
            seed.payments[-1] = replace(made, metadata=chance.choice(['{"courseId": 1}', None, {}]))
        for _ in range(chance.choice([0, 1, 1, 1, 1, 2])):
            shift = timedelta(seconds=chance.choice([-6, -4, 2, 2, 2]))
            bought = seed.purchase(made, tier=20, is_active=chance.random() < 0.9, created_at=made.paid_at + shift)
            for _ in range(chance.choice([0, 1, 1, 2])):
                status = chance.choice(["pending", "approved", "completed"])
                if status == "approved" and (made.student_id, bought.course_id) in approved:
                    continue
                approved.add((made.student_id, bought.course_id))
                seed.allocation(bought, status=status, sessions=chance.choice([0, 7]))
        if chance.random() < 0.03:
            seed.purchase(made, own=True, course=2)
    return seed
