"""What the next replay says of one that was cut short."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from kcfix.adapters.letter_store import open_letters
from kcfix.core.dlq.letter import DlqState, Judged, Letter, Place
from kcfix.core.dlq.store import LetterStore
from kcfix.core.dlq.unfinished import cut_short, what_became
from kcfix.core.journal import JournalStep, RunRecord
from tests.fakes_database import payment_id

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)


def step(n: int, *, recorded: bool = True) -> JournalStep:
    what = {"step": "replay", "original": f"t-0@{n}"}
    return JournalStep(str(n), NOW, what, result={"state": "ACKNOWLEDGED"} if recorded else None)


def run(*steps: JournalStep, command: str = "dlq", context: str = "default", ended: bool = False) -> RunRecord:
    return RunRecord("r1", NOW, "op", command, context, (), None, steps, ended_at=NOW if ended else None)


@pytest.fixture
def store() -> Iterator[LetterStore]:
    """Messages 0, 1 and 2: settled, waiting, unsettled."""
    opened = open_letters()
    places = [Place("t", 0, n) for n in range(3)]
    opened.add(
        Letter(p, Place("dlq", 0, p.offset), NOW, "c", "r", payment_id(1), f"e{p.offset}", b"{}") for p in places
    )
    states = (DlqState.SETTLED, DlqState.WAITING, DlqState.UNSETTLED)
    opened.judge({opened.at(p)[0].id: Judged(s, "", owed=False) for p, s in zip(places, states, strict=True)})
    yield opened
    opened.close()


def test_only_the_newest_replay_of_the_context_counts() -> None:
    open_one = run(step(1))
    assert cut_short([open_one], "default") is open_one
    assert cut_short([run(step(1), ended=True), open_one], "default") is None
    assert cut_short([run(step(1), command="repair"), open_one], "default") is open_one
    assert cut_short([open_one], "prod") is None
    assert cut_short([run()], "default") is None
    assert cut_short([], "default") is None


def test_it_says_how_each_message_stands_and_what_is_not_recorded(store: LetterStore) -> None:
    text = what_became(run(step(0), step(1), step(2, recorded=False), step(9)), store)
    assert "had begun to send 4 messages" in text
    for part in (
        "1 settled",
        "1 waiting for the worker",
        "1 not settled, with no copy that waits",
        "1 without a dead letter in what was read",
    ):
        assert part in text
    assert "Of 1 it is not recorded" in text


def test_a_step_of_another_version_is_no_crash(store: LetterStore) -> None:
    assert "1 without a dead letter" in what_became(run(JournalStep("1", None, {"step": "replay"})), store)
