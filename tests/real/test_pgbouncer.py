"""PostgreSQL through PgBouncer in transaction mode: the whole contract of the port, and commands from end to end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from kcfix.errors import AccessDenied, KcfixError, Unreachable
from tests.conftest import Run, run
from tests.contract.database_aftermath import AftermathContract
from tests.contract.database_deleting import DeletingContract
from tests.contract.database_health import HealthContract
from tests.contract.database_holding import HoldingContract
from tests.contract.database_inserting import InsertingContract
from tests.contract.database_passing import PassingContract
from tests.contract.database_reading import ReadingContract
from tests.contract.database_world import World
from tests.fakes_database import FakeDatabase
from tests.real.pooler import PooledWorld, Pooler, pooler
from tests.real.postgres_server import PASSWORD, Server
from tests.real.postgres_world import server_with_shapes
from tests.system import System

__all__ = ["run"]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with server_with_shapes() as started:
        yield started


@pytest.fixture(scope="module")
def pooled(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pooler]:
    with pooler(postgres, tmp_path_factory.mktemp("pooler")) as started:
        yield started


@pytest.fixture
def pooled_world(pooled: Pooler) -> Iterator[PooledWorld]:
    made = PooledWorld(pooled)
    yield made
    made.close()


class TestThroughThePooler(
    ReadingContract,
    AftermathContract,
    PassingContract,
    HealthContract,
    InsertingContract,
    HoldingContract,
    DeletingContract,
):
    """The real adapter keeps the contract where each transaction may meet another session."""

    @pytest.fixture
    def world(self, pooled_world: PooledWorld) -> World:
        return pooled_world


def test_each_transaction_meets_another_session(pooled: Pooler, pooled_world: PooledWorld) -> None:
    """What makes the tests above worth something."""
    pooled_world.fill(FakeDatabase())
    with psycopg.connect(pooled_world.dsn(), autocommit=True, prepare_threshold=None) as connection:
        seen = {connection.execute("SELECT pg_backend_pid()").fetchone() for _ in range(4)}
    assert len(seen) > 1


def test_options_of_the_shell_are_not_sent(pooled_world: PooledWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    pooled_world.fill(FakeDatabase())
    monkeypatch.setenv("PGOPTIONS", "-c statement_timeout=1")
    assert pooled_world.again().identity().name == pooled_world.name


def test_options_in_the_dsn_are_said_to_be_none_for_a_pooler(pooled_world: PooledWorld) -> None:
    pooled_world.fill(FakeDatabase())
    error = _refusal(pooled_world, pooled_world.dsn() + "?options=-c%20geqo%3Doff")
    assert "a pooler stands before it and takes no start-up options" in error.message
    assert error.hint == "leave options= out of the DSN"


def test_a_database_that_the_pooler_can_not_reach_is_named(pooled: Pooler, pooled_world: PooledWorld) -> None:
    error = _refusal(pooled_world, pooled.dsn("no_such_database"))
    assert isinstance(error, Unreachable)
    assert "no_such_database" in error.message
    assert "it has no database of that name" in error.message


def test_a_wrong_password_is_refused_by_the_pooler(pooled: Pooler, pooled_world: PooledWorld) -> None:
    error = _refusal(pooled_world, pooled.dsn("postgres").replace(PASSWORD, "another-word"))
    assert isinstance(error, AccessDenied)
    assert "it refused the user or the password" in error.message


def _refusal(world: PooledWorld, dsn: str) -> KcfixError:
    with closing(world.again(dsn)) as database, pytest.raises(KcfixError) as caught:
        database.identity()
    return caught.value


# commands


@pytest.mark.parametrize("apart", [False, True], ids=["one database", "payments apart"])
def test_looking_repairing_and_taking_back(
    pooled: Pooler, pooled_world: PooledWorld, run: Run, tmp_path: Path, apart: bool
) -> None:
    now = datetime.now(UTC)
    system = System()
    seed = FakeDatabase(now=now)
    settled, lost = (seed.payment(n, paid_at=now - timedelta(hours=n)) for n in (1, 2))
    seed.event(settled)
    seed.allocation(seed.purchase(settled), sessions=20)
    pooled_world.fill(seed)
    environ = {"KCFIX_DSN": pooled_world.dsn(), "KCFIX_STATE_DIR": str(tmp_path), "KCFIX_ALLOW_OTHER_SYSTEM": "true"}
    if apart:
        elsewhere = PooledWorld(pooled)
        elsewhere.fill(seed)
        pooled_world.execute("DROP TABLE payments CASCADE")
        environ["KCFIX_PAYMENTS_DSN"] = elsewhere.dsn()
    system.kafka.now = now
    fakes = {"kafka": system.kafka, "docker": system.docker, "database": None, "environ": environ, "now": now}
    for looking in (("status",), ("missing",), ("doctor",), ("dlq",), ("missing", "--certify")):
        ran = run(*looking, **fakes)
        assert ran.code in (0, 1), ran.err
        assert "database" not in ran.err
    assert run("missing", "-q", **fakes).lines == [lost.id]
    assert run("trace", settled.id, "-q", **fakes).lines == ["PURCHASED"]
    system.kafka.down = Unreachable("Kafka is away", system="kafka")
    ran = run("repair", lost.id, "--strategy", "insert", "--announce-later", "--apply", "--yes", **fakes)
    assert len(pooled_world.purchases()) == 2, ran.err
    system.kafka.down = None
    [made] = run("history", "-o", "json", **fakes).document["data"]
    ran = run("undo", made["run"], "--apply", "--yes", **fakes)
    assert ran.code == 0, ran.err
    assert len(pooled_world.purchases()) == 1
    ran = run("repair", lost.id, "--strategy", "insert", "--apply", "--yes", **fakes)
    assert ran.code == 0, ran.err
    assert len(pooled_world.purchases()) == 2
    assert len(system.kafka.sent) == 1, "announced under the worker's lock"
    if apart:
        elsewhere.close()
