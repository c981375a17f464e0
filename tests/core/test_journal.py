"""What the lines of a journal mean."""

from __future__ import annotations

import json

import pytest

from kcfix.core.journal import lines_about, read_runs


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


def journal(*payments: str) -> list[str]:
    """A run with a step for each payment, all begun before the first is done."""
    at = "2026-01-15T12:00:00+00:00"

    def line(kind: str, **more: object) -> str:
        return json.dumps({"kind": kind, "run": "r", "at": at, **more})

    steps = list(enumerate(payments, 1))
    return [
        line("begin", command="repair"),
        *(line("intend", step=str(n), what={"step": "insert", "payment_id": payment}) for n, payment in steps),
        *(line("done", step=str(n), result={"state": f"of {payment}"}) for n, payment in steps),
        line("end", code=0, summary={}),
    ]


def test_only_the_steps_about_the_payments_asked_about_are_read() -> None:
    written = journal("p1", "P2", "p3", "p2")
    [run] = read_runs(lines_about(written, {"p2"}))
    [whole] = read_runs(written)
    assert run.steps == (whole.steps[1], whole.steps[3])
    assert (run.command, run.code, run.ended_at) == (whole.command, whole.code, whole.ended_at)
    assert [step.result for step in run.steps] == [{"state": "of P2"}, {"state": "of p2"}]


def test_a_step_that_names_no_payment_is_read_and_one_that_is_written_otherwise_as_well() -> None:
    step = {"kind": "intend", "run": "r", "at": None, "step": "9", "what": {"step": "commit"}}
    done: dict[str, object] = {"kind": "done", "run": "r", "at": None, "step": "9", "result": {}}
    strange = '{ "kind":"intend" , "run": "r"}'
    given = [json.dumps(step), json.dumps(done), strange, "torn"]
    assert list(lines_about(given, {"p1"})) == given
    assert list(lines_about([json.dumps(done)], {"p1"})) == []
