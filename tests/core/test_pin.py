"""Where a group begins on a partition that nothing protects: one row a log."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcfix.core.move.pin import LISTED, Pin, beyond_stops, pins, ranges, unchecked, unprotected, unreadable
from kcfix.core.move.settlement import Effect, Settlement
from kcfix.core.offsets import Committed, LogOffsets, PartitionLag, TopicPartition, partition_lag
from kcfix.core.payments import PaymentId
from kcfix.core.ports.kafka import OffsetRange

TP = TopicPartition("purchase-confirmed", 0)
LETTERS = {
    ".": (Effect.PASSES, False),
    "u": (Effect.SETTLES, True),
    "x": (Effect.FAILS, True),
    "h": (Effect.HARMS, False),
    "?": (Effect.FAILS, False),
}


def lag(start: int | None, end: int | None, committed: int | None = None, error: str | None = None) -> PartitionLag:
    return partition_lag(TP, Committed(committed, error), LogOffsets(start, end))


def log(letters: str, start: int = 0) -> list[Settlement]:
    """One message a letter: settled, unsettled, poison, harm, undecodable; a space is an offset without a record."""
    return [
        Settlement(TP, start + i, *(LETTERS[c][:1]), c, LETTERS[c][1], PaymentId(f"p{start + i}"))
        for i, c in enumerate(letters)
        if c != " "
    ]


def pin_of(letters: str, start: int = 0, committed: int | None = None) -> Pin:
    (pin,) = pins([lag(start, start + len(letters), committed)], log(letters, start))
    return pin


@pytest.mark.parametrize(
    ("letters", "offset", "refused", "repairs", "passed"),
    [
        ("", 0, False, "", ""),
        ("...", 3, False, "", ""),
        ("u", 0, False, "", ""),
        ("..u.u", 2, False, "", ""),
        ("  . u ", 4, False, "", ""),
        ("x", 1, False, "", "0"),
        ("x?h.", 4, False, "", "0"),
        ("x.u.", 2, False, "", "0"),
        (".ux", 1, True, "1", ""),
        (".uu?", 1, True, "1 2", ""),
        ("uhu", 0, True, "0", ""),
        ("uxuxu", 0, True, "0 2", ""),
        ("xuxu", 1, True, "1", "0"),
    ],
)
def test_a_pin_is_the_first_message_that_the_worker_can_settle(
    letters: str, offset: int, refused: bool, repairs: str, passed: str
) -> None:
    pin = pin_of(letters)
    assert (pin.offset, pin.refused) == (offset, refused)
    assert list(pin.repairs) == [f"p{n}" for n in repairs.split()]
    assert [s.offset for s in pin.passed] == [int(n) for n in passed.split()]


def test_once_the_good_ones_are_repaired_the_pin_goes_behind_the_failing_one() -> None:
    assert pin_of("uxu").refused
    after = pin_of(".xu")
    assert (after.offset, after.refused) == (2, False)


def test_a_pin_never_lies_beyond_the_log_end_as_read() -> None:
    (pin,) = pins([lag(0, 2)], log("..uu"))
    assert (pin.offset, pin.first) == (2, None)


def test_offsets_of_a_truncated_log_count_from_its_start() -> None:
    assert pin_of("..", start=40).offset == 42
    assert pin_of(".u", start=40, committed=3).offset == 41


@pytest.mark.parametrize(
    ("letters", "offset", "waiting", "passed"),
    [
        ("ux", 2, "", "0 1"),
        ("uxu", 2, "2", "0 1"),
        ("ux.uu", 3, "3 4", "0 1"),
        ("uxuxu.", 4, "4", "0 1 2 3"),
        ("xux", 3, "", "0 1 2"),
        ("u.u", 0, "0 2", ""),
    ],
)
def test_who_accepts_the_skip_begins_behind_the_last_stop(letters: str, offset: int, waiting: str, passed: str) -> None:
    pin = beyond_stops(pin_of(letters))
    assert (pin.offset, pin.refused) == (offset, False)
    assert [s.offset for s in pin.waiting] == [int(n) for n in waiting.split()]
    assert pin.waiting_count == len(pin.waiting)
    assert [s.offset for s in pin.passed] == [int(n) for n in passed.split()]


def test_more_messages_than_can_be_named_are_counted() -> None:
    pin = pin_of("u" * (LISTED + 5) + "x" + "uu")
    assert (len(pin.waiting), pin.waiting_count) == (LISTED, LISTED + 7)
    assert (beyond_stops(pin).offset, beyond_stops(pin).waiting_count) == (LISTED + 6, 2)


@given(st.text(alphabet=".ux?h ", max_size=12))
def test_no_pin_that_may_be_committed_lets_the_worker_meet_a_stop_or_lose_a_message(letters: str) -> None:
    for pin in (pin_of(letters), beyond_stops(pin_of(letters))):
        assert 0 <= pin.offset <= len(letters)
        if pin.refused:
            continue
        ahead = letters[pin.offset :]
        assert not set(ahead) & set("x?h") or "u" not in ahead
        named = {s.offset for s in pin.passed}
        assert {i for i, c in enumerate(letters[: pin.offset]) if c in "ux"} <= named


@pytest.mark.parametrize(("committed", "is_unprotected"), [(None, True), (4, True), (5, False), (9, False), (10, True)])
def test_a_commit_outside_the_log_protects_nothing(committed: int | None, is_unprotected: bool) -> None:
    row = lag(5, 9, committed)
    assert bool(unprotected([row])) is is_unprotected
    assert len(pins([row], ())) == is_unprotected


def test_an_empty_partition_is_unprotected_and_is_pinned_at_its_end() -> None:
    (pin,) = pins([lag(0, 0)], ())
    assert (pin.offset, pin.needed) == (0, True)
    assert ranges([lag(0, 0), lag(2, 5)]) == (OffsetRange(TP, 2, 5),)


def test_a_partition_in_error_is_neither_protected_nor_pinned() -> None:
    row = lag(0, 5, None, "not authorized")
    assert unreadable([row]) == (row,)
    assert unprotected([row]) == ()
    assert pins([row], ()) == ()


def test_without_any_check_the_pin_is_the_log_end_and_says_that_it_was_not_checked() -> None:
    (pin,) = unchecked([lag(2, 5)])
    assert (pin.offset, pin.checked) == (5, False)
