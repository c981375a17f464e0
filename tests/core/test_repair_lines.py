"""The journal of transactions that follow each other: intents before, results after, whatever happens between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import pytest

from kcfix.core.repair.lines import NOT_BEGUN, Lines
from kcfix.errors import Refused

Entry = Mapping[str, object]


class Journal:
    """Keeps what it is told, in order; its disk is full after so many intents."""

    def __init__(self, room: int = 99) -> None:
        self.told: list[tuple[str, object]] = []
        self.room = room
        self.intents = 0

    def intend(self, step: Entry) -> str:
        raise AssertionError("one by one")

    def intend_all(self, steps: Sequence[Entry]) -> tuple[str, ...]:
        if self.intents + len(steps) > self.room:
            raise Refused("the disk is full")
        ids = tuple(str(self.intents + n) for n in range(1, len(steps) + 1))
        self.intents += len(steps)
        self.told += [("intend", id) for id in ids]
        return ids

    def done(self, step_id: str, result: Entry) -> None:
        raise AssertionError("one by one")

    def done_all(self, results: Iterable[tuple[str, Entry]]) -> None:
        self.told += [("done", (id, result["state"])) for id, result in results]


def steps(count: int) -> Callable[[], list[Entry]]:
    return lambda: [{"step": "insert"}] * count


def work(journal: Journal, name: str) -> Callable[[], str]:
    """Work that asserts that its intents are on record when it begins."""

    def begun() -> str:
        assert ("intend", name) in journal.told
        return f"{name} is done"

    return begun


def test_each_intent_is_recorded_before_its_work_and_each_result_after_it() -> None:
    journal = Journal()
    with Lines(journal) as lines:
        assert lines.during(work(journal, "1"), steps(1), steps(2)) == "1 is done"
        lines.became([{"state": "INSERTED"}])
        assert lines.during(work(journal, "3"), steps(2)) == "3 is done"
        lines.became([{"state": "INSERTED"}, {"state": "REFUSED"}])
    assert [what for kind, what in journal.told if kind == "intend"] == ["1", "2", "3"]
    assert journal.told.index(("done", ("1", "INSERTED"))) < journal.told.index(("done", ("2", "INSERTED")))
    assert journal.told[-1] == ("done", ("3", "REFUSED"))


def test_what_is_recorded_and_then_not_begun_is_recorded_as_that() -> None:
    journal = Journal()
    with Lines(journal) as lines:
        lines.during(work(journal, "1"), steps(1), steps(1))
        lines.became([{"state": "FAILED"}])
    assert journal.told[-2:] == [("done", ("1", "FAILED")), ("done", ("2", NOT_BEGUN["state"]))]


def test_work_that_can_not_be_recorded_is_not_begun_and_the_results_before_it_are_kept() -> None:
    journal = Journal(room=1)
    with Lines(journal) as lines:
        assert lines.during(work(journal, "1"), steps(1), steps(1)) == "1 is done"
        lines.became([{"state": "INSERTED"}])
        with pytest.raises(Refused, match="full"):
            lines.during(lambda: pytest.fail("begun without a record"), steps(1))
    assert journal.told == [("intend", "1"), ("done", ("1", "INSERTED"))]


def test_work_that_is_interrupted_leaves_its_step_open_and_the_next_not_begun() -> None:
    journal = Journal()

    def interrupted() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Lines(journal) as lines:
        lines.during(interrupted, steps(1), steps(1))
    assert journal.told == [("intend", "1"), ("intend", "2"), ("done", ("2", NOT_BEGUN["state"]))]
