"""Searching raw log: what is found is what reading every record would find, wherever an answer is cut off."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcfix.adapters.kafka_address import Deadline
from kcfix.adapters.kafka_batches import decode, skim, walk
from kcfix.adapters.kafka_fetch import PIECE_BYTES
from kcfix.adapters.kafka_search import search
from kcfix.core.offsets import TopicPartition
from kcfix.core.ports.kafka import OffsetRange, SearchResult
from tests.contract.log_link import NOT_LEADER, LogLink
from tests.contract.test_kafka_batches import Part, packed, with_attributes

ID = b"abcdef00-0000-4000-8000-00000000000a"
OTHERS = [b"abcdef00-0000-4000-8000-%012d" % n for n in range(20)]
WHERE = TopicPartition("t", 0)
CONTROL, TRANSACTIONAL = 0x20, 0x10
PLAIN: list[Part] = [(b"k", b"nothing of note", [])]
NAMED: list[Part] = [(b"k", b'{"paymentId":"' + ID + b'"}', [])]


def log(*batches: Sequence[Part], gzipped: Sequence[int] = (), base: int = 0) -> bytes:
    """The batches one after the other, from an offset on; some of them, by number, compressed."""
    made = b""
    for number, parts in enumerate(batches):
        made += packed(list(parts), base, gzipped=number in gzipped)
        base += len(parts)
    return made


def found(link: LogLink, *ranges: OffsetRange, needles: Sequence[bytes] = (ID,), seconds: float = 5) -> SearchResult:
    return search(link, ranges, needles, Deadline(seconds), anywhere=True)


def offsets(result: SearchResult) -> list[int]:
    return [r.offset for r in result.records]


parts = st.lists(st.sampled_from([b"-" * 40, ID, OTHERS[1], b"x" * 300]), min_size=1, max_size=4)


@settings(max_examples=300)
@given(
    batches=st.lists(st.tuples(parts, st.sampled_from(["plain", "gzip", "control"])), min_size=1, max_size=12),
    many=st.booleans(),
    most=st.integers(1, 1500),
    span=st.tuples(st.integers(0, 50), st.integers(0, 50)),
)
def test_what_is_found_is_what_reading_every_record_finds(
    batches: list[tuple[list[bytes], str]], many: bool, most: int, span: tuple[int, int]
) -> None:
    raw, base = b"", 0
    for values, kind in batches:
        made = packed([(b"k", v, []) for v in values], base, gzipped=kind == "gzip")
        raw += with_attributes(made, CONTROL | TRANSACTIONAL) if kind == "control" else made
        base += len(values)
    start, end = sorted(min(n, base) for n in span)
    needles = [ID, *OTHERS] if many else [ID]
    every = [r for b in walk(memoryview(raw)) for r in decode(b, WHERE)]
    result = found(LogLink("t", [raw], most), OffsetRange(WHERE, start, end), needles=needles)
    assert offsets(result) == [r.offset for r in every if start <= r.offset < end and r.value in needles]
    assert (result.searched, result.failed) == ((OffsetRange(WHERE, start, end),), {})


@given(st.lists(parts, max_size=5), st.integers(0, 2500), st.integers(0, 20))
def test_skimming_says_what_walking_says(batches: list[list[bytes]], size: int, end: int) -> None:
    raw = log(*([(b"k", v, []) for v in values] for values in batches))[:size]
    skimmed = skim(raw, end)
    whole = [b for b in walk(memoryview(raw)) if b.whole]
    within = [b for b in whole if b.base_offset < end]
    assert skimmed.size == sum(len(b.data) for b in within)
    beyond = len(whole) > len(within)
    assert skimmed.next_offset == (end if beyond else within[-1].last_offset + 1 if within else None)


def test_a_batch_that_is_compressed_or_of_an_old_format_is_not_plain() -> None:
    assert skim(log(PLAIN, PLAIN), 9).plain
    assert not skim(log(PLAIN, PLAIN, gzipped=[1]), 9).plain
    old = bytearray(log(PLAIN, PLAIN))
    old[16] = 1
    assert not skim(bytes(old), 9).plain


@given(st.binary(max_size=300))
def test_bytes_that_are_no_batches_are_skimmed_without_a_crash(data: bytes) -> None:
    assert skim(data, 1 << 40).size <= len(data)


@pytest.mark.parametrize("gzipped", [(), (1,)])
def test_ids_at_the_edges_of_batches_and_answers_are_found(gzipped: Sequence[int]) -> None:
    raw = log([*NAMED, *PLAIN, *NAMED], NAMED, [*PLAIN, *NAMED], gzipped=gzipped)
    for most in range(1, len(raw) + 50, 7):
        link = LogLink("t", [raw], most)
        assert offsets(found(link, OffsetRange(WHERE, 0, 6))) == [0, 2, 3, 5]


def test_the_next_piece_is_under_way_while_one_is_looked_into() -> None:
    link = LogLink("t", [log(*[PLAIN] * 9, NAMED)], most=300)
    under_way: list[int] = []

    class Noted(bytes):
        def __contains__(self, needle: object) -> bool:
            under_way.append(link.under_way)
            return super().__contains__(needle)  # type: ignore[operator]

    link.records = Noted
    assert offsets(found(link, OffsetRange(WHERE, 0, 10))) == [9]
    assert set(under_way[:-1]) == {1}
    assert (under_way[-1], link.under_way) == (0, 0)


def test_what_is_under_way_is_let_go_where_looking_fails() -> None:
    link = LogLink("t", [log(*[PLAIN] * 9)], most=300)

    class Broken(bytes):
        def __contains__(self, needle: object) -> bool:
            assert link.under_way == 1
            raise MemoryError

    link.records = Broken
    with pytest.raises(MemoryError):
        found(link, OffsetRange(WHERE, 0, 9))
    assert link.under_way == 0


def test_partitions_are_read_side_by_side_and_each_in_its_order() -> None:
    link = LogLink("t", [log(PLAIN, NAMED), log(NAMED, PLAIN, PLAIN)], most=200)
    second = TopicPartition("t", 1)
    result = found(link, OffsetRange(second, 0, 1), OffsetRange(WHERE, 0, 2), OffsetRange(second, 2, 3))
    assert [(r.partition, r.offset) for r in result.records] == [(0, 1), (1, 0)]
    assert result.searched == (OffsetRange(WHERE, 0, 2), OffsetRange(second, 0, 1), OffsetRange(second, 2, 3))


def test_a_leader_that_moves_is_looked_up_again() -> None:
    link = LogLink("t", [log(PLAIN, NAMED), log(NAMED)], most=150)
    link.errors[0] = [NOT_LEADER, NOT_LEADER]
    result = found(link, OffsetRange(WHERE, 0, 2), OffsetRange(TopicPartition("t", 1), 0, 1))
    assert len(result.records) == 2
    assert not result.failed
    assert link.metadata_read >= 2


def test_a_log_whose_start_moves_on_is_read_from_there_and_says_so() -> None:
    link = LogLink("t", [log(NAMED, NAMED, NAMED, NAMED)], most=130)
    link.starts[0] = 2
    result = found(link, OffsetRange(WHERE, 0, 4))
    assert offsets(result) == [2, 3]
    assert result.searched == (OffsetRange(WHERE, 2, 4),)


def test_a_log_that_was_cut_off_at_its_end_is_no_answer() -> None:
    result = found(LogLink("t", [log(NAMED)]), OffsetRange(WHERE, 0, 5))
    assert (offsets(result), result.searched) == ([0], ())
    assert result.failed == {WHERE: "the log ends at 1, before offset 5"}


def test_a_batch_that_can_not_be_unpacked_fails_its_range_though_it_is_the_last_of_it() -> None:
    raw = log(NAMED) + with_attributes(packed(PLAIN, 1), 1)
    result = found(LogLink("t", [raw]), OffsetRange(WHERE, 0, 2))
    assert (offsets(result), result.searched) == ([0], ())
    assert "the batch at offset 1 can't be decoded" in result.failed[WHERE]


def test_what_is_not_read_in_time_is_said_and_nothing_stays_under_way() -> None:
    link = LogLink("t", [log(NAMED, PLAIN)])
    result = found(link, OffsetRange(WHERE, 0, 2), seconds=0)
    assert result.failed == {WHERE: "not read to the end within 0 s"}
    assert link.under_way == 0


def test_headers_of_a_batch_are_no_place_for_an_id() -> None:
    raw = packed([(b"k", b"v", [("correlationId", ID)])])
    assert offsets(found(LogLink("t", [raw]), OffsetRange(WHERE, 0, 1))) == []


def test_memory_does_not_grow_with_the_log() -> None:
    nine = packed([(b"k", b"x" * 100_000, [])] * 9)
    raw = b"".join(struct.pack(">q", n * 9) + nine[8:] for n in range(60)) + packed(NAMED, 540)
    link = LogLink("t", [raw], most=1 << 30)
    tracemalloc.start()
    try:
        assert offsets(found(link, OffsetRange(WHERE, 0, 541), seconds=60)) == [540]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(raw) > 50_000_000
    assert peak < 4 * PIECE_BYTES


class Impatient(Deadline):
    """Does not wait between tries."""

    def pause(self) -> bool:
        return True


def test_a_broker_that_gives_nothing_is_given_up() -> None:
    raw = log(NAMED, NAMED)
    link = LogLink("t", [raw])
    link.logs[0] = raw[: len(raw) // 2] + struct.pack(">qi", 1, 0) + raw[len(raw) // 2 + 12 :]
    result = search(link, [OffsetRange(WHERE, 0, 2)], [ID], Impatient(5), anywhere=True)
    assert offsets(result) == [0]
    assert result.failed == {WHERE: "the broker gives nothing at offset 1"}
