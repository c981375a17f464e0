"""Each fault of a drill has its evidence, and mending it leaves a drill in which every partition works again.

In the suite a part of the catalogue is played, of every area something; `make faults` plays all of it, and the pairs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import pytest

from kcfix.drill import groups, healthy, wire
from kcfix.drill.buy import buy
from kcfix.drill.engine import Engine
from kcfix.drill.faults import Broken, Pair, break_, break_all, broken, faults, mend, named, pairs
from kcfix.drill.state import WORKERS, Drill
from kcfix.errors import NotFound, Refused
from kcfix.flow import Flow
from tests.real.conftest import AFTER_A_BROKER_RESTART, eventually
from tests.real.fault_evidence import EVIDENCE, purchases, settled

ALL = os.environ.get("KCFIX_FAULTS") == "all"
QUICK = (
    "worker-stopped",
    "worker-crash-looping",
    "worker-oom-killed",
    "broker-down",
    "database-down",
    "sasl-password-wrong",
    "group-shared",
    "offsets-never-committed",
    "stray-consumer",
    "message-too-large",
    "message-never-sent",
    "poison-message",
    "poison-message-unprotected",
    "consumer-dead",
    "clock-skew",
    "database-password-revoked",
    "table-locked",
    "system-admin-missing",
)
QUICK_PAIRS = (("message-never-sent", "broker-down"), ("poison-message", "index-dropped"))
OUTAGES = ("broker-down", "broker-paused", "database-down", "database-paused", "connections-exhausted")
"""While one of these lasts, nothing else can be looked at in the system that it takes away."""
FLOW = Flow()


@pytest.fixture(scope="module", autouse=True)
def mended(drill: Drill) -> Iterator[None]:
    yield
    mend(drill)


def seen(drill: Drill, engine: Engine, made: Iterable[Broken]) -> None:
    """Fails unless every one of the faults shows."""
    for entry in made:
        assert eventually(partial(EVIDENCE[entry.name], drill, engine, entry), seconds=40), entry.name


def works(drill: Drill, engine: Engine, made: Sequence[Broken]) -> None:
    """Fails unless a new payment on each partition gets its purchase, and the faults' payments theirs."""
    later = [buy(drill, 1, partition=partition)[0] for partition in range(3)]
    assert eventually(lambda: purchases(drill, later) == 3, seconds=AFTER_A_BROKER_RESTART)
    for entry in made:
        assert eventually(partial(settled, drill, entry.payments)), entry.name
    assert all(engine.container(drill, worker).status == "running" for worker in WORKERS)
    assert eventually(lambda: all(groups.standing(drill, s.group).clients for s in FLOW.stages if s.required))


def test_every_fault_has_evidence_that_is_looked_at() -> None:
    assert set(EVIDENCE) == {f.name for f in faults()}
    assert {named(n).area for n in QUICK} == {f.area for f in faults()}


@pytest.mark.parametrize("name", [f.name for f in faults()] if ALL else QUICK)
def test_a_fault_has_its_evidence_and_can_be_mended(drill: Drill, engine: Engine, name: str) -> None:
    made = break_(drill, name)
    assert [b.name for b in broken(drill)] == [name]
    seen(drill, engine, [made])
    assert mend(drill) == (name,)
    assert broken(drill) == ()
    works(drill, engine, [made])


@pytest.mark.parametrize("pair", [p for p in pairs() if ALL or p.names in QUICK_PAIRS], ids=lambda p: "+".join(p.names))
def test_both_faults_of_a_pair_can_be_seen_and_mended(drill: Drill, engine: Engine, pair: Pair) -> None:
    first = break_(drill, pair.first)
    seen(drill, engine, [first])
    made = [first, *break_all(drill, [pair.second])]
    seen(drill, engine, made[1:] if pair.second in OUTAGES else reversed(made))
    assert mend(drill) == (pair.second, pair.first)
    works(drill, engine, made)


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
    with pytest.raises(NotFound, match="no fault"):
        break_all(drill, ["broker-down", "coffee-spilt"])
    with pytest.raises(Refused, match="broken already"):
        break_all(drill, ["broker-down", "broker-down"])
    assert mend(drill) == ("worker-stopped", "poison-message-unprotected", "offsets-never-committed")
    assert mend(drill) == ()
    assert eventually(lambda: purchases(drill, skipped.payments + poisoned.payments) == 4)


@pytest.mark.parametrize(
    "state", [h for h in healthy.HEALTHY if ALL or h.name in ("busy", "fresh")], ids=lambda h: h.name
)
def test_a_healthy_state_is_one(drill: Drill, engine: Engine, state: healthy.Healthy) -> None:
    before = wire.ends(drill, FLOW.purchase_confirmed)
    with state.enter(drill):
        assert all(engine.container(drill, worker).status == "running" for worker in WORKERS)
        assert all(groups.standing(drill, s.group).clients for s in FLOW.stages if s.required)
        assert len(groups.committed(drill, FLOW.purchase_group, FLOW.purchase_confirmed)) == 3
        if state.name in ("busy", "catching-up"):
            assert wire.ends(drill, FLOW.purchase_confirmed) != before
        if state.name == "busy":
            now = wire.ends(drill, FLOW.purchase_confirmed)
            assert eventually(lambda: wire.ends(drill, FLOW.purchase_confirmed) != now)
    works(drill, engine, [])
