"""The pace of a repair of many payments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from kcfix.core.judging.verdict import Verdict, VerdictKind
from kcfix.core.payments import PaymentId
from kcfix.core.repair.apply import Applying
from kcfix.core.repair.plan import Action, Step
from kcfix.core.repair.result import Outcome, Result
from kcfix.core.repair.run import ROUND, RepairRun
from kcfix.flow import Flow
from tests.builders import uuid
from tests.fakes_database import FakeDatabase


class Clock:
    """Time that passes only by sleeping and by work."""

    def __init__(self) -> None:
        self.time = 100.0
        self.naps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.time += seconds


class Doing(Applying):
    """Settles whatever it is given, in half a second, without changing anything."""

    def do(self, steps: Sequence[Step]) -> None:
        self.sleep(0)
        clock.time += 0.5
        for step in steps:
            self.results[step.payment_id] = Result(step.payment_id, Outcome.SETTLED, "made up", changed=False)


clock = Clock()


def run(rate: float | None, actions: Sequence[Action]) -> tuple[list[int], list[float]]:
    """Sizes of the batches and lengths of the pauses."""
    global clock
    clock = Clock()
    steps = [
        Step(PaymentId(uuid(n)), Verdict(PaymentId(uuid(n)), VerdictKind.SKIPPED, "made up"), action, "made up")
        for n, action in enumerate(actions)
    ]
    database = FakeDatabase()
    applying = Doing(
        Flow(), lambda: database, lambda: pytest.fail("Kafka was asked"), Journal(), lambda: database.now,
        lambda: clock.time, clock.sleep, timedelta(), True, lambda text: None, {},
    )  # fmt: skip
    sizes: list[int] = []
    RepairRun(applying, rate, sizes.append).run(steps)
    assert set(applying.results) == {s.payment_id for s in steps}
    return sizes, [nap for nap in clock.naps if nap]


class Journal:
    """Takes no notes."""

    def intend(self, step: object) -> str:
        return "1"

    def intend_all(self, steps: Sequence[object]) -> tuple[str, ...]:
        return ("1",) * len(steps)

    def done(self, step_id: str, result: object) -> None:
        pass

    def done_all(self, results: object) -> None:
        pass


def test_without_a_rate_there_are_no_pauses_and_batches_are_whole() -> None:
    assert run(None, [Action.INSERT] * 450) == ([1, 449], [])
    assert run(None, [Action.INSERT] * (ROUND + 450)) == ([1, ROUND, 449], [])


def test_at_a_rate_it_pauses_until_what_was_done_is_due() -> None:
    sizes, naps = run(2, [Action.INSERT] * 5)
    assert sizes == [1, 2, 2]
    # 1 payment is worth 0.5 s, which it took; 3 are worth 1.5 s, of which 1.0 s are over.
    assert naps == [pytest.approx(0.5)]


def test_less_than_one_payment_a_second_goes_one_by_one() -> None:
    sizes, naps = run(0.5, [Action.REPLAY] * 3)
    assert sizes == [1, 1, 1]
    assert naps == [pytest.approx(1.5), pytest.approx(1.5)]


def test_each_way_has_a_canary_of_its_own() -> None:
    ways = [Action.INSERT, Action.INSERT, Action.REPLAY, Action.INSERT, Action.REPLAY, Action.ANNOUNCE]
    assert run(None, ways)[0] == [1, 2, 1, 1, 1]


def test_nothing_to_do_is_over_at_once() -> None:
    assert run(None, []) == ([], [])


def test_a_step_keeps_its_facts_when_it_is_refused() -> None:
    step = Step(PaymentId(uuid(1)), Verdict(PaymentId(uuid(1)), VerdictKind.SKIPPED, "r"), Action.INSERT, "w")
    assert step.refused("no") == replace(step, action=Action.REFUSE, why="no")
