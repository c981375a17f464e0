"""A database that is a standby: nobody is accused by what it lacks, and nothing is changed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kcfix.core.ports.database import Behind
from tests.conftest import NOW, Run
from tests.fakes_database import FakeDatabase
from tests.fakes_kafka import FakeKafka

MINUTE = timedelta(minutes=1)


def lagging(as_of: timedelta | None) -> FakeDatabase:
    moment = None if as_of is None else NOW - as_of
    behind = Behind("db:5432/kc_app", moment, cut_off=moment is None)
    return FakeDatabase(now=NOW, read_only=True, standby=True, lag_of_standby=behind)


@pytest.mark.parametrize("as_of", [10 * MINUTE, None])
def test_missing_on_a_standby_that_lies_behind_is_unknown_and_not_missing(run: Run, as_of: timedelta | None) -> None:
    database = lagging(as_of)
    paid = database.payment(1, paid_at=NOW - 60 * MINUTE)
    ran = run("missing", "-o", "json", database=database, kafka=FakeKafka(now=NOW))
    (row,) = ran.document["data"]
    assert (row["payment_id"], row["verdict"]) == (paid.id, "UNKNOWN")
    assert "what is missing there may have been made since; as of then NEVER_EMITTED" in row["reason"]
    assert "is a standby" in ran.document["warnings"][0]
    shown = run("missing", database=database, kafka=FakeKafka(now=NOW))
    assert "not well" not in shown.out
    assert "no payment without a purchase there is known to lack it" in shown.err


def test_what_was_paid_just_before_the_standby_stops_is_in_flight(run: Run) -> None:
    database = lagging(10 * MINUTE)
    database.payment(1, paid_at=NOW - 10.5 * MINUTE)
    ran = run("missing", "-o", "json", database=database, kafka=FakeKafka(now=NOW))
    assert (ran.code, ran.document["data"], ran.document["summary"]["in_flight"]) == (0, [], 1)


def test_a_standby_that_has_everything_is_believed(run: Run) -> None:
    database = FakeDatabase(now=NOW, read_only=True, standby=True)
    database.payment(1, paid_at=NOW - 60 * MINUTE)
    ran = run("missing", "-o", "json", database=database, kafka=FakeKafka(now=NOW))
    assert [row["verdict"] for row in ran.document["data"]] == ["NEVER_EMITTED"]
    assert ran.document["warnings"] == []


def test_what_the_standby_has_settled_is_settled(run: Run) -> None:
    database = lagging(10 * MINUTE)
    database.allocation(database.purchase(database.payment(1, paid_at=NOW - 60 * MINUTE)), sessions=20)
    assert run("missing", database=database, kafka=FakeKafka(now=NOW)).code == 0


def test_nothing_is_certified_that_the_standby_may_not_have(run: Run) -> None:
    database = lagging(10 * MINUTE)
    database.allocation(database.purchase(database.payment(1, paid_at=NOW - 60 * MINUTE)), sessions=20)
    now = run("missing", "--certify", database=database, kafka=FakeKafka(now=NOW))
    assert now.code == 4
    assert "is a standby" in now.err
    assert "--until 2026-01-15T11:49:00.000Z" in now.err
    before = run("missing", "--certify", "--until", "30m", database=database, kafka=FakeKafka(now=NOW))
    assert before.code == 0, before.err
    database.payment(2, student=2, paid_at=NOW - 50 * MINUTE)
    lacking = run("missing", "--certify", "--until", "30m", database=database, kafka=FakeKafka(now=NOW))
    assert lacking.code == 4
    assert "may have it by now" in lacking.err


def test_status_says_how_far_behind_it_is(run: Run) -> None:
    database = lagging(10 * MINUTE)
    database.payment(1, paid_at=NOW - 60 * MINUTE)
    ran = run("status", database=database, kafka=FakeKafka(now=NOW))
    assert ran.code == 1
    assert "a standby, 10m behind" in ran.out
    assert "may lack their purchases" in ran.out


@pytest.mark.parametrize("database", [lagging(10 * MINUTE), FakeDatabase(now=NOW, read_only=True, standby=True)])
def test_a_standby_takes_no_change(run: Run, database: FakeDatabase) -> None:
    paid = database.payment(1, paid_at=NOW - 60 * MINUTE)
    ran = run("repair", paid.id, "--apply", "--yes", database=database, kafka=FakeKafka(now=NOW))
    assert ran.code == 5, ran.err
    assert "is a standby: it takes no change" in ran.err
    assert database.purchases == []
