"""Each fault of a drill has its evidence, and mending it leaves a drill in which every partition works again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from kcfix.core.events import Message
from kcfix.drill import groups, wire
from kcfix.drill.buy import buy
from kcfix.drill.engine import Engine
from kcfix.drill.faults import Broken, break_, broken, faults, mend
from kcfix.drill.state import KAFKA, POSTGRES, Drill
from kcfix.errors import NotFound, Refused
from kcfix.flow import Flow
from tests.real.conftest import AFTER_A_BROKER_RESTART, eventually
from tests.real.lab import LEAKS_FORGIVEN

pytestmark = LEAKS_FORGIVEN

FLOW = Flow()
Look = Callable[[Drill, Engine, Broken], object]


def _purchases(drill: Drill, payments: tuple[str, ...] | list[str]) -> int:
    with psycopg.connect(drill.dsn) as connection:
        row = connection.execute(
            """SELECT count(*) FROM payments AS p JOIN student_course_purchases AS s USING (student_id)
               WHERE p.id = ANY(%s::uuid[])""",
            (list(payments),),
        ).fetchone()
    assert row is not None
    return int(row[0])


def _worker_exited(drill: Drill, engine: Engine, _: Broken) -> bool:
    empty = groups.standing(drill, FLOW.purchase_group).state == "Empty"
    return empty and engine.container(drill, FLOW.purchase_worker).status == "exited"


def _worker_missing(drill: Drill, engine: Engine, _: Broken) -> bool:
    try:
        engine.container(drill, FLOW.purchase_worker)
    except NotFound:
        return True
    return False


def _worker_crashes(drill: Drill, engine: Engine, _: Broken) -> bool:
    attrs = engine.container(drill, FLOW.purchase_worker).attrs
    return bool(attrs["RestartCount"] >= 2 and attrs["State"]["ExitCode"] == 1)


def _broker_gone(drill: Drill, engine: Engine, _: Broken) -> bool:
    [sent] = wire.send(drill, [Message(FLOW.purchase_confirmed, b"nowhere", b"{}", ())])
    assert sent.offset is None
    return engine.container(drill, KAFKA).status == "exited"


def _database_gone(drill: Drill, engine: Engine, _: Broken) -> bool:
    return engine.container(drill, POSTGRES).status == "exited"


def _recorded_and_not_in_the_log(drill: Drill, _: Engine, made: Broken) -> bool:
    keys = {r.key for r in wire.records(drill, FLOW.purchase_confirmed)}
    with psycopg.connect(drill.dsn) as connection:
        row = connection.execute(
            "SELECT source FROM processed_events WHERE correlation_id = %s", (made.payments[0],)
        ).fetchone()
    return row == ("payment-service",) and made.payments[0].encode() not in keys


def _three_skipped(drill: Drill, _: Engine, made: Broken) -> bool:
    group = groups.standing(drill, FLOW.purchase_group)
    committed = groups.committed(drill, FLOW.purchase_group, FLOW.purchase_confirmed)
    return group.state == "Stable" and committed == {} and _purchases(drill, made.payments) == 0


def _poisoned(drill: Drill, _: Engine, made: Broken) -> bool:
    letters = [r for r in wire.records(drill, FLOW.dead_letters) if (r.key or b"").decode() in made.poison]
    return bool(letters) and _purchases(drill, made.poison) == 0


EVIDENCE: dict[str, Look] = {
    "worker-stopped": _worker_exited,
    "worker-removed": _worker_missing,
    "worker-crash-looping": _worker_crashes,
    "broker-down": _broker_gone,
    "database-down": _database_gone,
    "message-never-sent": _recorded_and_not_in_the_log,
    "offsets-never-committed": _three_skipped,
    "poison-message": _poisoned,
    "poison-message-unprotected": _poisoned,
}


@pytest.fixture(scope="module", autouse=True)
def mended(drill: Drill) -> Iterator[None]:
    yield
    mend(drill)


@pytest.mark.parametrize("name", [f.name for f in faults()])
def test_a_fault_has_its_evidence_and_can_be_mended(drill: Drill, engine: Engine, name: str) -> None:
    made = break_(drill, name)
    assert [b.name for b in broken(drill)] == [name]
    assert eventually(lambda: EVIDENCE[name](drill, engine, made))
    assert mend(drill) == (name,)
    assert broken(drill) == ()
    later = [buy(drill, 1, partition=partition)[0] for partition in range(3)]
    patience = AFTER_A_BROKER_RESTART if name == "broker-down" else 30
    assert eventually(lambda: _purchases(drill, later) == 3, seconds=patience)
    assert eventually(lambda: _purchases(drill, made.payments) == len(made.payments))


def test_faults_are_undone_one_by_one_or_all_the_last_one_first(drill: Drill) -> None:
    skipped = break_(drill, "offsets-never-committed")
    poisoned = break_(drill, "poison-message-unprotected")
    break_(drill, "worker-stopped")
    with pytest.raises(Refused, match="broken already"):
        break_(drill, "worker-stopped")
    with pytest.raises(Refused, match="is not broken"):
        mend(drill, "database-down")
    with pytest.raises(NotFound, match="no fault"):
        break_(drill, "coffee-spilt")
    assert mend(drill) == ("worker-stopped", "poison-message-unprotected", "offsets-never-committed")
    assert mend(drill) == ()
    assert eventually(lambda: _purchases(drill, skipped.payments + poisoned.payments) == 4)
