"""A database that is a copy of another: nobody is accused of a purchase that has not arrived, and nothing changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kcfix.adapters.postgres import open_database
from kcfix.core.ports.database import Behind, DatabasePort
from kcfix.errors import KcfixError
from kcfix.flow import Flow
from tests.fakes_database import FakeDatabase
from tests.real.conftest import Kcfix, Ran, eventually
from tests.real.postgres_server import Server, standby
from tests.real.postgres_world import PostgresWorld, server_with_shapes

HELD_BACK = "1h"
"""The delayed standby replays nothing that is made in these tests."""
OLD = timedelta(minutes=30)


class Copies:
    """A primary with one old payment, settled, and two standbys: one that keeps up and one that holds back."""

    def __init__(self, server: Server, prompt: Server, delayed: Server, world: PostgresWorld) -> None:
        self.server, self.prompt, self.delayed, self.world = server, prompt, delayed, world

    def open(self, server: Server) -> DatabasePort:
        return open_database(server.dsn(self.world.name), flow=Flow(), timeout=10)


@pytest.fixture(scope="module")
def copies() -> Iterator[Copies]:
    with ExitStack() as stack:
        server = stack.enter_context(server_with_shapes())
        world = PostgresWorld(server)
        world.fill(_seed())
        prompt = stack.enter_context(standby(server))
        delayed = stack.enter_context(standby(server, recovery_min_apply_delay=HELD_BACK))
        yield Copies(server, prompt, delayed, world)


def _seed(*, late: bool = False) -> FakeDatabase:
    now = datetime.now(UTC)
    seed = FakeDatabase(now=now)
    paid = seed.payment(1, student=1, tier=20, paid_at=now - 2 * OLD)
    seed.allocation(seed.purchase(paid), sessions=20)
    if late:
        seed.payment(2, student=2, tier=20, paid_at=now - OLD)
    return seed


@pytest.fixture
def kcfix(own_state: Path | None, tmp_path: Path) -> Kcfix:
    return Kcfix(tmp_path)


def ask(kcfix: Kcfix, copies: Copies, server: Server, *words: str) -> Ran:
    """Kcfix on that server, with no broker and no Docker in reach."""
    environ = {
        "KCFIX_DSN": server.dsn(copies.world.name),
        "KCFIX_BROKERS": "127.0.0.1:1",
        "KCFIX_DOCKER_HOST": "unix:///nowhere.sock",
    }
    return kcfix(*words, environ=environ)


def test_a_primary_is_no_standby(copies: Copies) -> None:
    database = copies.open(copies.server)
    assert (database.identity().standby, database.identity().read_only, database.behind()) == (False, False, None)
    database.close()


def test_a_standby_that_keeps_up_lies_behind_in_nothing(copies: Copies) -> None:
    database = copies.open(copies.prompt)
    assert (database.identity().standby, database.identity().read_only) == (True, True)
    assert eventually(lambda: database.behind() is None)
    database.close()


def test_a_standby_that_holds_back_says_since_when(copies: Copies) -> None:
    copies.world.execute("CREATE TABLE IF NOT EXISTS written_later ()")
    database = copies.open(copies.delayed)
    behind = eventually(lambda: database.behind())
    assert isinstance(behind, Behind)
    assert not behind.cut_off
    assert behind.as_of is None or behind.as_of < datetime.now(UTC)
    database.close()


def test_a_user_who_may_only_read_is_told_as_well(copies: Copies) -> None:
    with standby(copies.server) as between:
        dsn = copies.world.add_user("standby_reader").replace(f":{copies.server.port}/", f":{between.port}/")
        assert eventually(lambda: _answers(dsn))
        with between.connect() as connection:
            connection.execute("SELECT pg_wal_replay_pause()")
        copies.world.execute("CREATE TABLE IF NOT EXISTS not_seen_there ()")
        database = open_database(dsn, flow=Flow(), timeout=10)
        behind = eventually(lambda: database.behind())
        assert behind is not None
        assert behind.as_of is not None
        assert not behind.cut_off
        database.close()


def _answers(dsn: str) -> bool:
    database = open_database(dsn, flow=Flow(), timeout=10)
    try:
        return database.behind() is None
    except KcfixError:
        return False  # the user has not arrived there yet
    finally:
        database.close()


def test_a_standby_that_lost_its_primary_is_cut_off(copies: Copies) -> None:
    with standby(copies.server) as lone:
        database = copies.open(lone)
        assert eventually(lambda: database.behind() is None)
        with lone.connect() as connection:
            connection.execute("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'")
            connection.execute("SELECT pg_reload_conf()")
        behind = eventually(lambda: database.behind(), seconds=30)
        assert isinstance(behind, Behind)
        assert behind.cut_off
        database.close()


def test_missing_accuses_no_payment_whose_purchase_may_not_have_arrived(copies: Copies, kcfix: Kcfix) -> None:
    """A payment arrives at the standby, and the purchase that follows it does not."""
    late = _seed(late=True)
    paid = late.payments[1]
    with standby(copies.server) as between:
        copies.world.pay(paid)
        database = copies.open(between)
        assert eventually(lambda: database.facts([paid.id])[paid.id].payment is not None)
        with between.connect() as connection:
            connection.execute("SELECT pg_wal_replay_pause()")
        copies.world.write(late.purchase(paid))
        behind = eventually(lambda: database.behind())
        assert behind is not None
        assert behind.as_of is not None
        database.close()
        (accused,) = [
            r for r in ask(kcfix, copies, between, "missing", "-o", "json").rows if r["payment_id"] == paid.id
        ]
        assert accused["verdict"] == "UNKNOWN"
        assert "is a standby" in accused["reason"]
        assert "may have been made since" in accused["reason"]
        shown = ask(kcfix, copies, between, "missing")
        assert "no payment without a purchase there is known to lack it" in shown.err + shown.out
        certified = ask(kcfix, copies, between, "missing", "--certify")
        assert certified.code == 4, certified.out
        assert "is a standby" in certified.err
        status = ask(kcfix, copies, between, "status", "-o", "json")
        told = next(r for r in status.rows if r["section"] == "database")
        assert (told["standby"], told["read_only"], bool(told["behind_as_of"])) == (True, True, True)
        assert "is a standby" in ask(kcfix, copies, between, "config", "check").out
    found = ask(kcfix, copies, copies.server, "missing", "-o", "json")
    assert not found.document["warnings"]


def test_a_standby_takes_no_change(copies: Copies, kcfix: Kcfix) -> None:
    for server in (copies.prompt, copies.delayed):
        ran = ask(kcfix, copies, server, "repair", "--missing", "--apply", "--yes")
        assert ran.code == 5, ran.err
        assert "is a standby: it takes no change" in ran.err
        assert "--dsn" in ran.err
