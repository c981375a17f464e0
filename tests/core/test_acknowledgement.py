"""What the lines of an acknowledgement file mean."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kcfix.core.acknowledgement import Acknowledgement, as_line, read_lines
from kcfix.core.judging.verdict import VerdictKind
from tests.core.snapshots import NOW
from tests.fakes_database import payment_id

WORD = Acknowledgement(payment_id(1), VerdictKind.SECOND_PAYMENT, "paid back", "op@host", NOW, "default")


def test_a_line_reads_back_as_it_was_written() -> None:
    assert read_lines([as_line(WORD)]).by_payment == {WORD.payment_id: WORD}


def test_the_last_line_of_a_payment_counts() -> None:
    later = replace(WORD, verdict=VerdictKind.WRONG_TIER)
    assert read_lines([as_line(WORD), as_line(later)]).by_payment == {WORD.payment_id: later}


def test_what_was_taken_back_is_gone_and_can_be_said_again() -> None:
    back = replace(WORD, verdict=None)
    assert read_lines([as_line(WORD), as_line(back)]).by_payment == {}
    assert read_lines([as_line(WORD), as_line(back), as_line(WORD)]).by_payment == {WORD.payment_id: WORD}


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "12",
        "{}",
        as_line(WORD)[:40],
        as_line(WORD).replace("SECOND_PAYMENT", "OTHER"),
        as_line(WORD).replace("+00:00", ""),
        as_line(WORD).replace(WORD.payment_id, "12"),
        as_line(WORD).replace(NOW.isoformat(), "9999-12-31T23:59:59-12:00"),
        as_line(WORD).replace(NOW.isoformat(), "9999-12-31T23:59:59+00:00"),
        as_line(WORD).replace(NOW.isoformat(), "0001-01-01T00:00:00+14:00"),
    ],
)
def test_a_line_of_another_kind_is_passed_over_and_named(line: str) -> None:
    found = read_lines([line, as_line(WORD)])
    assert found.by_payment == {WORD.payment_id: WORD}
    assert found.problems == ("line 1 is no acknowledgement and was passed over",)


def test_empty_lines_are_nothing() -> None:
    assert read_lines(["", "\n"]).problems == ()
