"""Burrow's rules, evaluated with how complete the evidence is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from kcfix.core.watching.progress import WINDOW, Point, Progress, Rates, evaluate, rates, total

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


def window(
    committed: Sequence[int | None],
    ends: Sequence[int],
    *,
    held: bool | None = True,
    step: timedelta = timedelta(seconds=30),
    silent: Sequence[int] = (),
) -> list[Point | None]:
    """Looks `step` apart; those numbered in `silent` had no answer."""
    points: list[Point | None] = []
    for n, (at, end) in enumerate(zip(committed, ends, strict=True)):
        lag = None if at is None else end - at
        points.append(None if n in silent else Point(NOON + n * step, at, end, lag, held))
    return points


@pytest.mark.parametrize(
    ("committed", "ends", "held", "progress"),
    [
        pytest.param([5] * 10, [5] * 10, True, Progress.OK, id="nothing waits"),
        pytest.param([5] * 10, [5] + [9] * 9, True, Progress.OK, id="nothing waited a short while ago"),
        pytest.param([5] * 10, [9] * 10, True, Progress.STALLED, id="a member, and no commit"),
        pytest.param([5] * 10, range(9, 19), True, Progress.STALLED, id="the same while records come"),
        pytest.param([5] * 10, [9] * 10, False, Progress.STOPPED, id="no member, and no commit"),
        pytest.param([5] * 10, [9] * 10, None, Progress.STALLED, id="no commit by members that can't be seen"),
        pytest.param([1, 2, 3, *[4] * 7], [9] * 10, True, Progress.STALLED, id="silent for longer than it committed"),
        pytest.param(range(1, 11), range(11, 31, 2), True, Progress.SLOW, id="it commits and falls behind"),
        pytest.param(range(1, 11), [20] * 10, True, Progress.OK, id="it commits and catches up"),
        pytest.param([*range(11, 16), *range(1, 6)], [20] * 10, True, Progress.REWOUND, id="its offset went back"),
        pytest.param([None] * 10, [9] * 10, True, Progress.UNKNOWN, id="nothing was ever committed"),
    ],
)
def test_a_whole_window_tells(
    committed: Sequence[int | None], ends: Sequence[int], held: bool | None, progress: Progress
) -> None:
    found = evaluate(window(committed, ends, held=held))
    assert found.progress is progress, found.reason
    assert found.evidence.complete == 1.0


def test_too_few_looks_are_said_and_nothing_is_guessed() -> None:
    found = evaluate(window([5, 5], [9, 9]))
    assert found.progress is Progress.UNKNOWN
    assert found.reason == "4 wait; 2 of 10 looks so far are too few to tell"
    assert found.evidence.complete == 0.2


def test_looks_that_lie_close_together_prove_no_standstill() -> None:
    assert evaluate(window([5] * 10, [9] * 10, step=timedelta(seconds=2))).progress is Progress.UNKNOWN


def test_a_lag_of_zero_needs_no_second_look() -> None:
    assert evaluate(window([9], [9])).progress is Progress.OK


def test_a_gap_in_the_looks_lowers_the_evidence_and_not_the_judgement() -> None:
    found = evaluate(window([5] * 10, [9] * 10, silent=[3, 4, 5]))
    assert (found.progress, found.evidence.answers, found.evidence.complete) == (Progress.STALLED, 7, 0.7)


def test_a_newest_look_without_an_answer_leaves_it_unknown() -> None:
    assert evaluate(window([5] * 10, [9] * 10, silent=[9])).progress is Progress.UNKNOWN
    assert evaluate([]).progress is Progress.UNKNOWN


def test_rates_and_the_time_to_catch_up() -> None:
    found = rates(window([0, 30, 60], [100, 115, 130]))
    assert (found.arrived, found.committed, found.lag) == (0.5, 1.0, 70)
    assert found.catch_up == timedelta(seconds=140)
    assert found.falls_behind is False


def test_who_falls_behind_never_catches_up() -> None:
    found = rates(window([0, 30], [100, 200]))
    assert found.catch_up is None
    assert found.falls_behind is True


@pytest.mark.parametrize("points", [window([5], [9]), window([9, 5], [9, 4]), window([None, None], [9, 9]), []])
def test_a_rate_that_is_not_known_is_none_and_not_zero(points: list[Point | None]) -> None:
    found = rates(points)
    assert found.committed is None
    assert found.catch_up is None
    assert found.falls_behind is None


def test_a_group_is_as_known_as_its_least_known_partition() -> None:
    known = Rates(1.0, 2.0, 10)
    assert total([known, known]) == Rates(2.0, 4.0, 20)
    assert total([known, Rates(None, None, None)]) == Rates(None, None, None)
    assert total([]) == Rates(None, None, None)


def test_the_window_is_burrows() -> None:
    assert WINDOW == 10
