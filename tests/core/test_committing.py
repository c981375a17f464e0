"""One place commits offsets: it overwrites none that somebody else has moved."""

from __future__ import annotations

from kcfix.core.move.committing import OffsetCommit, commit_offsets
from kcfix.core.offsets import TopicPartition
from tests.core.test_undo_apply import Notes
from tests.fakes_kafka import FakeKafka

P0, P1 = TopicPartition("purchase-confirmed", 0), TopicPartition("purchase-confirmed", 1)


def test_an_offset_that_is_no_longer_as_planned_is_not_overwritten() -> None:
    kafka, notes, steps = FakeKafka(), Notes(), list[str]()
    kafka.commit_as_worker("g", {P0: 0})
    why = commit_offsets(kafka, "g", [OffsetCommit(P0, None, 7), OffsetCommit(P1, None, 7)], notes, steps)
    assert why is not None
    assert "is 0 now and was nothing" in why
    assert (kafka.commits, notes.lines, steps) == ([], [], []), "nor is the next partition begun"


def test_what_stands_already_is_left_and_the_rest_is_committed() -> None:
    kafka, steps = FakeKafka(), list[str]()
    kafka.commit_as_worker("g", {P0: 7})
    assert commit_offsets(kafka, "g", [OffsetCommit(P0, 7, 7), OffsetCommit(P1, None, 3)], Notes(), steps) is None
    assert kafka.commits == [("g", {P1: 3})]
    assert steps == ["committed purchase-confirmed-1 at 3 (before: nothing)"]
