"""Moves of a committed offset: where a target lies, what lies between, and when it may not be made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcfix.core.move.passage import LISTED, Named, Passage, parse_named, passages
from kcfix.core.move.pin import pins
from kcfix.core.move.plan import Found, Move, Place, in_the_way, losses, place, reread_range, skipped_range
from kcfix.core.move.settlement import Effect, Settlement
from kcfix.core.move.target import Target, TargetKind
from kcfix.core.offsets import (
    Committed,
    Group,
    GroupState,
    LogOffsets,
    Member,
    PartitionLag,
    TopicPartition,
    partition_lag,
)
from kcfix.core.ports.kafka import OffsetRange
from kcfix.errors import UsageError
from tests.builders import uuid
from tests.core.test_pin import LETTERS, TP, lag, log

NOBODY = Named()
NOTHING = Found({}, {}, {}, {}, {}, {})


def found(**fields: object) -> Found:
    base: dict[str, object] = {"at_time": {}, "of_payment": {}, "first_unsettled": {}, "behind_next": {}, "in_file": {}}
    base["shift_from"] = {}
    return Found(**{**base, **fields})  # type: ignore[arg-type]


def at(kind: TargetKind, number: int = 0, *, of: PartitionLag, what: Found = NOTHING) -> int | None:
    return place(Target(kind, kind, number), of, what).offset


@pytest.mark.parametrize(
    ("kind", "number", "offset"),
    [
        (TargetKind.EARLIEST, 0, 10),
        (TargetKind.LATEST, 0, 20),
        (TargetKind.OFFSET, 17, 17),
        (TargetKind.OFFSET, 5, 10),
        (TargetKind.OFFSET, 99, 20),
        (TargetKind.SHIFT, -3, 12),
        (TargetKind.SHIFT, -99, 10),
        (TargetKind.SHIFT, 99, 20),
        (TargetKind.TIME, 0, 20),
        (TargetKind.PAYMENT, 0, None),
        (TargetKind.FIRST_UNSETTLED, 0, None),
        (TargetKind.BEHIND_NEXT, 0, None),
        (TargetKind.FILE, 0, None),
    ],
)
def test_a_target_is_clamped_to_the_log_and_never_leaves_it(kind: TargetKind, number: int, offset: int | None) -> None:
    assert at(kind, number, of=lag(10, 20, 15)) == offset


def test_a_rewind_beyond_the_log_start_is_the_log_start_and_says_so() -> None:
    """kafka-python's own reset turns it into the log end, which skips everything (docs/design.md)."""
    there = place(Target(TargetKind.SHIFT, "-99", -99), lag(10, 20, 15), NOTHING)
    assert there == Place(10, "-99 from 15; -84 is outside the log (10 to 20): the log start")


def test_where_nothing_is_committed_a_shift_and_a_skip_mean_nothing() -> None:
    bare = lag(10, 20)
    for kind in (TargetKind.SHIFT, TargetKind.BEHIND_NEXT):
        there = place(Target(kind, "+1", 1), bare, NOTHING)
        assert there.impossible
        assert there.offset is None
    assert place(Target(TargetKind.BEHIND_NEXT, ""), lag(10, 20, 5), NOTHING).impossible


def test_what_was_found_is_where_it_was_found() -> None:
    some = lag(0, 20, 15)
    assert at(TargetKind.TIME, of=some, what=found(at_time={TP: 4})) == 4
    assert at(TargetKind.PAYMENT, of=some, what=found(of_payment={TP: 4})) == 4
    assert at(TargetKind.BEHIND_NEXT, of=some, what=found(behind_next={TP: 16})) == 16
    assert at(TargetKind.FILE, of=some, what=found(in_file={TP: 99})) == 20
    assert at(TargetKind.SHIFT, -5, of=some, what=found(shift_from={TP: 20})) == 15


def test_first_unsettled_on_an_unprotected_partition_without_any_is_the_log_end() -> None:
    assert at(TargetKind.FIRST_UNSETTLED, of=lag(0, 20)) == 20
    assert at(TargetKind.FIRST_UNSETTLED, of=lag(0, 20, 99)) == 20
    assert at(TargetKind.FIRST_UNSETTLED, of=lag(0, 20, 3)) is None


@pytest.mark.parametrize(
    ("committed", "offset", "skipped", "reread"),
    [
        (15, 12, None, (12, 15)),
        (15, 18, (15, 18), None),
        (15, 20, (15, 20), None),
        (15, 15, None, None),
        (None, 12, (10, 12), (12, 20)),
        (None, 20, (10, 20), None),
        (None, 10, None, (10, 20)),
        (5, 12, (10, 12), (12, 20)),
        (99, 12, (10, 12), (12, 20)),
    ],
)
def test_what_lies_between(
    committed: int | None, offset: int, skipped: tuple[int, int] | None, reread: tuple[int, int] | None
) -> None:
    some = lag(10, 20, committed)
    assert skipped_range(some, offset) == (OffsetRange(TP, *skipped) if skipped else None)
    assert reread_range(some, offset) == (OffsetRange(TP, *reread) if reread else None)


def moved(
    letters: str, offset: int, committed: int | None = None, *, named: Named = NOBODY, reread: Named = NOBODY
) -> Move:
    """The move on a partition with this log (see tests/core/test_pin.py)."""
    some = lag(0, len(letters), committed)
    messages = log(letters)

    def passage(wanted: OffsetRange | None, names: Named) -> Passage | None:
        return passages([wanted], messages, names)[wanted] if wanted else None

    return Move(
        some,
        Place(offset, ""),
        passage(reread_range(some, offset), reread),
        passage(skipped_range(some, offset), named),
    )


def why(move: Move, *, checked: bool = True, accept: bool = False, pin: bool = False) -> list[str]:
    return [no.reason for no in losses([move], checked=checked, accept_unchecked=accept, passes_failing=pin)]


@pytest.mark.parametrize(
    ("letters", "offset", "committed", "refused"),
    [
        ("...", 3, 0, False),
        (".u.", 3, 0, True),
        (".u.", 1, 0, False),
        (".u.", 1, 3, False),
        ("x..", 1, 0, True),
        ("?..", 1, 0, False),
        ("h..", 1, 0, False),
        ("h..", 0, 3, True),
        ("x..", 0, 3, True),
        ("uu.", 2, None, True),
        ("..u", 2, None, False),
        ("..x", 2, None, True),
    ],
)
def test_a_move_is_refused_if_it_skips_what_is_owed_or_has_read_what_must_not_be(
    letters: str, offset: int, committed: int | None, refused: bool
) -> None:
    assert bool(why(moved(letters, offset, committed))) is refused


def test_what_is_named_may_be_skipped_and_only_that() -> None:
    one = parse_named([f"{TP}@1"])
    assert why(moved(".u.", 3, 0, named=one)) == []
    [told] = why(moved(".uu", 3, 0, named=one))
    assert told.startswith(f"{TP}: unsettled messages would be skipped: p2;")
    assert why(moved("x..", 0, 3, reread=parse_named([f"{TP}@0"]))) == []


def test_a_group_that_can_t_be_checked_needs_a_word_of_its_own() -> None:
    move = moved("uuu", 3, 0)
    [told] = why(move, checked=False)
    assert told.startswith(f"{TP}: 3 messages would be skipped, and whether they were handled can't be checked")
    assert why(move, checked=False, accept=True) == []
    assert why(move, accept=True) != [], "where it can be checked the payments are named one by one"


def test_a_pin_leaves_behind_what_the_worker_would_fail_on() -> None:
    assert why(moved("x.", 2)) != []
    assert why(moved("x.", 2), pin=True) == []
    assert why(moved("xu", 2), pin=True) != [], "but never one that it can settle"
    assert why(moved("x.", 2, 0), pin=True) != [], "nor anything on a partition that has an offset"


@given(st.text(alphabet="".join(LETTERS) + " ", max_size=12), st.one_of(st.none(), st.integers(20, 30)))
def test_a_pin_of_offsets_is_the_pin_of_restart(letters: str, committed: int | None) -> None:
    some, messages = lag(0, len(letters), committed), log(letters)
    (pin,) = pins([some], messages)
    first = next((s for s in messages if s.effect is Effect.SETTLES), None)
    there = place(Target(TargetKind.FIRST_UNSETTLED, "pin"), some, found(first_unsettled={TP: first} if first else {}))
    assert there.offset == pin.offset
    assert there.offset is not None
    assert bool(why(moved(letters, there.offset, committed), pin=True)) is pin.refused


def test_a_passage_counts_beyond_what_it_lists() -> None:
    messages = [Settlement(TP, n, Effect.SETTLES, "no purchase", owed=True) for n in range(LISTED + 5)]
    all_of_it = OffsetRange(TP, 0, LISTED + 9)
    passage = passages([all_of_it], messages, Named())[all_of_it]
    assert (passage.count, passage.records, passage.unsettled_count) == (LISTED + 9, LISTED + 5, LISTED + 5)
    assert (len(passage.listed), len(passage.unsettled), passage.settled_count) == (LISTED, LISTED, 0)


def test_names_are_payments_or_places() -> None:
    named = parse_named([uuid(3).upper(), " some-topic-12@345 "])
    assert named == Named(frozenset([uuid(3)]), frozenset([(TopicPartition("some-topic", 12), 345)]))  # type: ignore[list-item]
    for bad in ("17", "topic@3", "topic-x@3", "topic-1@", "-1@2", f"topic-{'9' * 20}@1"):
        with pytest.raises(UsageError):
            parse_named([bad])


@pytest.mark.parametrize(
    ("group", "running", "words"),
    [
        (Group("g", GroupState.EMPTY), (), None),
        (Group("g", GroupState.NOT_FOUND), None, None),
        (Group("g", GroupState.EMPTY), ("box",), "box runs"),
        (Group("g", GroupState.STABLE, (Member("m", "c", "h"),)), (), "has members: c at h"),
        (Group("g", GroupState.PREPARING_REBALANCE), (), "has members: unknown ones"),
        (Group("g", GroupState.STABLE, members_known=False), (), "can't see its members"),
        (Group("g", GroupState.UNKNOWN, error="not authorized"), (), "can't be told: not authorized"),
    ],
)
def test_a_group_in_use_is_in_the_way(group: Group, running: tuple[str, ...] | None, words: str | None) -> None:
    blocked = in_the_way(group, running)
    assert bool(blocked) is (words is not None)
    assert words is None or words in blocked[0].reason


def test_an_unknown_log_has_no_places() -> None:
    unknown = partition_lag(TP, Committed(3), LogOffsets(None, None, error="no leader"))
    with pytest.raises(ValueError, match="unknown"):
        place(Target(TargetKind.EARLIEST, ""), unknown, NOTHING)
