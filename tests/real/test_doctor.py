"""`kcfix doctor` on real servers: a quick part of scripts/accuracy.py, and that nothing is changed by looking."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kcfix.drill import groups
from kcfix.drill.buy import buy
from kcfix.drill.checkout import PARTITIONS
from kcfix.drill.down import down
from kcfix.drill.faults import break_, mend
from kcfix.drill.state import Drill, Options
from kcfix.drill.up import up
from kcfix.drill.wire import ends
from kcfix.flow import Flow
from tests.real.conftest import Kcfix, eventually
from tests.real.expected import EXPECTED, Seen, among_three, first_right

FLOW = Flow()
QUICK = (
    "worker-stopped",
    "worker-removed",
    "worker-crash-looping",
    "broker-down",
    "database-down",
    "poison-message",
    "poison-message-unprotected",
    "offsets-never-committed",
    "message-never-sent",
)


@pytest.fixture(scope="module")
def system(own_state: Path | None) -> Iterator[Drill]:
    """A drill of this file's own, every partition of purchase-confirmed handled once."""
    name = f"doctor-{os.getpid()}"
    try:
        drill = up(Options(name=name), lambda _: None)
        for partition in range(PARTITIONS):
            buy(drill, 1, partition=partition)
        eventually(lambda: len(groups.committed(drill, FLOW.purchase_group, FLOW.purchase_confirmed)) == PARTITIONS)
        yield drill
    finally:
        down(name)


@pytest.fixture
def kcfix(system: Drill, tmp_path: Path) -> Kcfix:
    """Kcfix on this file's drill; payments are overdue at once, so that nobody waits a minute for each fault."""
    return Kcfix(tmp_path, f"drill:{system.name}", {"KCFIX_OVERDUE": "1s"})


def looked(kcfix: Kcfix) -> Seen:
    """What one look says."""
    ran = kcfix("doctor", "-o", "json")
    return Seen.of(ran.document, ran.code, 0.0)


def test_a_healthy_drill_has_no_alarm(kcfix: Kcfix) -> None:
    seen = eventually(lambda: (now := looked(kcfix)).exit_code == 0 and now)
    assert seen
    assert seen.alarms == ()
    assert seen.unchecked == 0


@pytest.mark.parametrize("fault", QUICK)
def test_the_cause_of_a_fault_comes_first(system: Drill, kcfix: Kcfix, fault: str) -> None:
    break_(system, fault)
    try:
        # Some faults take a while to show: a crash loop its second crash, a payment its being overdue.
        assert eventually(lambda: first_right(EXPECTED[fault], looked(kcfix).causes), seconds=20), looked(kcfix)
    finally:
        mend(system)


def test_both_causes_of_two_faults_are_among_the_first(system: Drill, kcfix: Kcfix) -> None:
    faults = ("message-never-sent", "worker-stopped")
    for fault in faults:
        break_(system, fault)
    try:
        expected = [EXPECTED[fault] for fault in faults]
        assert eventually(lambda: among_three(expected, looked(kcfix).causes), seconds=20), looked(kcfix)
    finally:
        mend(system)


def test_looking_changes_nothing(system: Drill, kcfix: Kcfix) -> None:
    def at_rest() -> bool:
        """The worker has read all there is, so that nobody but the doctor could move anything."""
        committed = groups.committed(system, FLOW.purchase_group, FLOW.purchase_confirmed)
        return committed == {p: end for p, (_, end) in ends(system, FLOW.purchase_confirmed).items()}

    eventually(at_rest, seconds=60)
    before = groups.committed(system, FLOW.purchase_group, FLOW.purchase_confirmed)
    members = groups.standing(system, FLOW.purchase_group)
    kcfix("doctor")
    assert groups.committed(system, FLOW.purchase_group, FLOW.purchase_confirmed) == before
    assert groups.standing(system, FLOW.purchase_group).clients == members.clients
