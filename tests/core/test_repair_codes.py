"""The exit code of a run that did several things (docs/decisions.md 5)."""

from __future__ import annotations

import pytest

from kcfix.core.judging.verdict import Verdict, VerdictKind
from kcfix.core.payments import PaymentId
from kcfix.core.repair.codes import applied_code
from kcfix.core.repair.plan import Action, Step
from kcfix.core.repair.result import Outcome, Result
from kcfix.errors import worst_code
from tests.core.snapshots import OTHER, PAYMENT


def step(payment_id: PaymentId, action: Action) -> Step:
    return Step(payment_id, Verdict(payment_id, VerdictKind.UNKNOWN, ""), action, "")


@pytest.mark.parametrize(
    ("codes", "worst"), [([], 0), ([0, 1], 1), ([1, 3], 3), ([3, 5], 5), ([5, 4], 4), ([4, 6, 5], 6)]
)
def test_the_worst_code_holds_and_silence_outweighs_a_refusal(codes: list[int], worst: int) -> None:
    assert worst_code(codes) == worst


def test_a_silent_system_is_not_hidden_behind_a_refused_payment() -> None:
    steps = [step(PAYMENT, Action.REFUSE), step(OTHER, Action.UNKNOWN)]
    assert applied_code(steps, (), unknown_ids=True) == 4


def test_any_change_turns_what_is_left_into_partly_applied() -> None:
    steps = [step(PAYMENT, Action.REFUSE), step(OTHER, Action.INSERT)]
    done = Result(OTHER, Outcome.SETTLED, "", True)
    assert applied_code(steps, [done], unknown_ids=False) == 6
