"""The contract of test_database.py on a real PostgreSQL."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from kcfix.core.payments import PaymentId
from kcfix.core.ports.database import IndexState
from tests.contract.database_aftermath import AftermathContract
from tests.contract.database_deleting import DeletingContract
from tests.contract.database_health import HealthContract
from tests.contract.database_holding import HoldingContract
from tests.contract.database_inserting import InsertingContract
from tests.contract.database_passing import PassingContract
from tests.contract.database_probing import ProbingContract
from tests.contract.database_reading import ReadingContract
from tests.contract.database_standing import StandingContract
from tests.contract.database_world import World
from tests.fakes_database import NOW, FakeDatabase
from tests.real.postgres_server import Server
from tests.real.postgres_world import PostgresWorld, server_with_shapes

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with server_with_shapes() as started:
        yield started


@pytest.fixture
def make_world(postgres: Server) -> Iterator[Callable[[], PostgresWorld]]:
    made: list[PostgresWorld] = []

    def make() -> PostgresWorld:
        made.append(PostgresWorld(postgres))
        return made[-1]

    yield make
    for world in made:
        world.close()


class TestPostgres(
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
    """The real adapter keeps the contract."""

    @pytest.fixture
    def world(self, make_world: Callable[[], PostgresWorld]) -> World:
        return make_world()


def test_the_fake_and_postgres_agree_on_a_random_world(make_world: Callable[[], PostgresWorld]) -> None:
    chance = random.Random(20260302)  # noqa: S311 - the same world in each run
    seed = _random_world(chance, payments=300)
    world = make_world()
    world.fill(seed)
    database = world.again(timeout=30)
    ids = [payment.id for payment in seed.payments]
    ids.append(PaymentId("00000000-0000-4000-8000-000199999999"))
    assert database.facts(ids) == seed.facts(ids)
    window = (NOW - timedelta(days=20), NOW + timedelta(days=1))
    for limit in (1, 10, 1000):
        assert database.candidates(*window, limit=limit) == seed.candidates(*window, limit=limit)
    pairs = {(p.student_id, p.course_id) for p in seed.purchases}
    assert database.allocations(pairs) == seed.allocations(pairs)


def _random_world(chance: random.Random, payments: int) -> FakeDatabase:
    seed = FakeDatabase(index=IndexState.MISSING)
    for n in range(1, payments + 1):
        made = seed.payment(
            n,
            student=chance.randrange(1, payments // 3),
            course=chance.choice([1, 1, 2, 3, None]),
            tier=chance.choice([10, 20, "20", 30, None]),
            status=chance.choice(["succeeded"] * 5 + ["failed", "refunded", "initiated"]),
            paid_at=NOW - timedelta(minutes=chance.randrange(30000)),
            unconfirmed=chance.random() < 0.1,
            metadata=chance.choice(['{"courseId": 1}', "[]", None, {}]) if chance.random() < 0.1 else ...,
        )
        for _ in range(chance.choice([0, 1, 1, 2])):
            shift = timedelta(seconds=chance.choice([-3600, -6, -4, 0, 2, 3600]))
            bought = seed.purchase(
                made,
                course=chance.choice([None, 1, 2]),
                is_active=chance.random() < 0.8,
                created_at=made.paid_at + shift,
            )
            for _ in range(chance.choice([0, 0, 1, 3])):
                seed.allocation(bought, status="pending", sessions=chance.choice([0, 7]))
        if chance.random() < 0.3 and not any(p.course_id for p in seed.payments[-1:]):
            seed.purchase(made, own=True, course=2)
        if chance.random() < 0.5:
            seed.event(made)
    return seed
