"""Moves that were cut short, as the journal tells of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from kcfix.core.journal import JournalStep, RunRecord
from kcfix.core.move.journal import cut_short, shift_bases
from kcfix.core.move.target import Target, TargetKind
from tests.core.test_pin import TP, lag

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
BACK = Target(TargetKind.SHIFT, "-5", -5)


def a_run(id: str, before: int | None = 20, made: int = 15, *, to: str = "-5", code: int | None = None) -> RunRecord:
    what = {
        "step": "commit",
        "group": "g",
        "topic": TP.topic,
        "partition": TP.partition,
        "committed_offset_before": before,
        "committed_offset": made,
        "to": to,
    }
    ended = None if code is None else NOW
    return RunRecord(id, NOW, "me", "offsets", "c", (), None, (JournalStep("1", NOW, what),), ended, code)


def test_a_shift_that_was_cut_short_is_not_made_twice() -> None:
    halted = cut_short([a_run("r1")], "g")
    assert shift_bases(halted, BACK, {TP: 15}) == {TP: 20}
    assert shift_bases(halted, BACK, {TP: 20}) == {}, "it was not made"
    assert shift_bases(halted, Target(TargetKind.SHIFT, "-4", -4), {TP: 15}) == {}, "another shift is another wish"
    assert shift_bases(halted, Target(TargetKind.EARLIEST, "earliest"), {TP: 15}) == {}


def test_a_run_that_ended_well_closes_what_was_before_it() -> None:
    assert cut_short([a_run("r2", code=0), a_run("r1")], "g") == ()
    closing = replace(a_run("r2", code=0), steps=(), summary={"group": "g"})
    assert cut_short([closing, a_run("r1")], "g") == ()
    other = replace(closing, summary={"group": "another"})
    assert len(cut_short([other, a_run("r1")], "g")) == 1


def test_a_run_that_ended_badly_is_not_done() -> None:
    assert [h.run_id for h in cut_short([a_run("r2", code=6), a_run("r1", code=0)], "g")] == ["r2"]
    assert cut_short([a_run("r1")], "another") == ()
    assert cut_short([replace(a_run("r1"), command="restart")], "g") == ()


def test_it_is_told_with_what_stands_now() -> None:
    (halted,) = cut_short([a_run("r1")], "g")
    start = "run r1 was cut short, or still runs; of what it began: purchase-confirmed-0 at 15 (before: 20) "
    assert halted.text([lag(0, 30, 15)]) == start + "stands"
    assert halted.text([lag(0, 30, 20)]) == start + "was not made"
    assert halted.text([lag(0, 30)]) == start + "is nothing now"
