"""What the lines of a journal mean."""

from __future__ import annotations

import json

import pytest

from kcfix.core.journal import read_runs


def lines(steps: int) -> list[str]:
    """A run of so many steps, each batch of 200 begun before the first of it is done."""
    made = [json.dumps({"kind": "begin", "run": "r", "at": "2026-01-15T12:00:00+00:00", "command": "repair"})]
    for first in range(0, steps, 200):
        batch = range(first, min(first + 200, steps))
        made += [json.dumps({"kind": "intend", "run": "r", "step": str(n), "what": {"step": "insert"}}) for n in batch]
        made += [json.dumps({"kind": "done", "run": "r", "step": str(n), "result": {"state": n}}) for n in batch]
    return made


def test_each_step_keeps_its_own_result() -> None:
    [run] = read_runs(lines(500))
    assert [(s.id, s.result) for s in run.steps] == [(str(n), {"state": n}) for n in range(500)]
    assert not run.finished


def test_runs_that_began_within_one_second_stand_in_the_order_of_their_time() -> None:
    begun = [
        json.dumps({"kind": "begin", "run": f"20260115T120000Z-{tail}", "at": f"2026-01-15T12:00:00.{at}+00:00"})
        for tail, at in (("f0", "100000"), ("a1", "200000"), ("c2", "300000"))
    ]
    assert [run.id[-2:] for run in read_runs(begun)] == ["c2", "a1", "f0"]


@pytest.mark.parametrize(
    "at", ["9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+14:00", "soon", 7, None]
)
def test_a_time_that_can_not_be_shown_is_unknown(at: object) -> None:
    [run] = read_runs([json.dumps({"kind": "begin", "run": "r", "at": at})])
    assert run.started_at is None
