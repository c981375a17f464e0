"""The contract of the database port on other PostgreSQL releases than this host's: `make versions`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.contract.database_world import World
from tests.contract.test_database_postgres import TestPostgres
from tests.real.postgres_server import Server
from tests.real.postgres_versions import programs_of
from tests.real.postgres_world import PostgresWorld, server_with_shapes
from tests.real.versions import POSTGRES, wanted_postgres

Contract = TestPostgres
del TestPostgres  # else its tests would be collected here on this host's server

pytestmark = pytest.mark.skipif(not wanted_postgres(), reason="only `make versions` tries other releases")


@pytest.fixture(scope="module", params=wanted_postgres() or [""])
def release(request: pytest.FixtureRequest) -> Iterator[tuple[str, Server]]:
    with programs_of(POSTGRES[request.param]) as binaries, server_with_shapes(binaries=binaries) as started:
        yield request.param, started


@pytest.fixture
def make_world(release: tuple[str, Server]) -> Iterator[Callable[[], PostgresWorld]]:
    made: list[PostgresWorld] = []

    def make() -> PostgresWorld:
        made.append(PostgresWorld(release[1]))
        return made[-1]

    yield make
    for world in made:
        world.close()


class TestRelease(Contract):
    """The real adapter keeps the contract."""

    @pytest.fixture
    def world(self, make_world: Callable[[], PostgresWorld]) -> World:
        return make_world()


def test_it_is_the_release_that_is_meant(release: tuple[str, Server], make_world: Callable[[], PostgresWorld]) -> None:
    from tests.fakes_database import FakeDatabase

    database = make_world().open(FakeDatabase())
    assert database.identity().server_version.partition(".")[0] == release[0]
