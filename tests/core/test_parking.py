"""What the lines of a file of parked messages mean."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kcfix.core.dlq.letter import Original, Place
from kcfix.core.dlq.parking import ParkEntry, as_line, read_lines
from tests.fakes_database import payment_id

ENTRY = ParkEntry(
    place=Place("purchase-confirmed", 2, 17),
    event_id="e1",
    payment_id=payment_id(1),
    cause="tier-check-1a2b3c",
    parked=True,
    reason="sales asks",
    who="op@host",
    at=datetime(2026, 1, 15, 12, 0, tzinfo=UTC),
    context="default",
    cluster_id="c1",
)
ORIGINAL = Original(
    1, ENTRY.place, 3, None, None, ENTRY.cause, "reason", payment_id(1), "e1", Place("dead-letter-queue", 0, 1), None
)


def test_a_line_reads_back_as_it_was_written() -> None:
    assert read_lines([as_line(ENTRY)], "c1").of(ORIGINAL) == ENTRY


@pytest.mark.parametrize(
    "other",
    [
        replace(ORIGINAL, cause="another"),
        replace(ORIGINAL, event_id="e2"),
        replace(ORIGINAL, place=Place("purchase-confirmed", 2, 18)),
    ],
)
def test_it_counts_for_that_message_and_cause_alone(other: Original) -> None:
    assert read_lines([as_line(ENTRY)], "c1").of(other) is None


def test_it_counts_for_its_cluster_alone() -> None:
    assert read_lines([as_line(ENTRY)], "c2").of(ORIGINAL) is None
    assert read_lines([as_line(ENTRY)], None).of(ORIGINAL) is None


def test_what_was_taken_back_is_gone_and_can_be_said_again() -> None:
    back = replace(ENTRY, parked=False)
    assert read_lines([as_line(ENTRY), as_line(back)], "c1").entries == {}
    assert read_lines([as_line(ENTRY), as_line(back), as_line(ENTRY)], "c1").of(ORIGINAL) == ENTRY


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "12",
        "{}",
        as_line(ENTRY)[:40],
        as_line(ENTRY).replace("+00:00", ""),
        as_line(ENTRY).replace('"partition": 2', '"partition": "2"'),
        as_line(ENTRY).replace('"offset": 17', '"offset": true'),
        as_line(ENTRY).replace('"parked": true', '"parked": 1'),
        as_line(ENTRY).replace('"purchase-confirmed"', "[]"),
        as_line(ENTRY).replace('"sales asks"', "null"),
    ],
)
def test_a_line_of_another_kind_is_passed_over_and_named(line: str) -> None:
    found = read_lines([line, as_line(ENTRY)], "c1")
    assert found.of(ORIGINAL) == ENTRY
    assert found.problems == ("line 1 is no parked message and was passed over",)
