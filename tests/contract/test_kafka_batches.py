"""Raw batches: walked, unpacked and decoded, also where they are cut short, packed, corrupt or strange."""

from __future__ import annotations

import gzip
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcfix.adapters import kafka_batches, kafka_protocol
from kcfix.adapters.kafka_batches import Batch, UnreadableBatchError, decode, moment, unpacked, walk
from kcfix.core.events import Record
from kcfix.core.offsets import TopicPartition

WHERE = TopicPartition("t", 1)
HEADER = 61
FIRST = 1_768_478_400_000
Part = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]


def packed(parts: list[Part], base: int = 0, *, gzipped: bool = False) -> bytes:
    """A batch as a broker stores it: built by the library, then moved to its base offset."""
    builder = kafka_protocol.DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    for number, (key, value, headers) in enumerate(parts):
        builder.append(number, FIRST + number, key, value, headers)
    raw = bytes(builder.build())
    if gzipped:
        raw = with_attributes(raw[:HEADER] + gzip.compress(raw[HEADER:]), 1)
    return struct.pack(">qi", base, len(raw) - 12) + raw[12:]


def with_attributes(raw: bytes, attributes: int) -> bytes:
    changed = bytearray(raw)
    struct.pack_into(">h", changed, 21, attributes)
    return bytes(changed)


def only(raw: bytes) -> Batch:
    (batch,) = walk(memoryview(raw))
    return batch


SOME: list[Part] = [(b"k0", b"v0", [("eventId", b"e0")]), (b"k1", None, []), (None, b"v2", [("h", None)])]


def test_batches_follow_one_another() -> None:
    batches = list(walk(memoryview(packed(SOME, 10) + packed(SOME[:1], 13))))
    assert [(b.base_offset, b.last_offset, b.count, b.whole) for b in batches] == [(10, 12, 3, True), (13, 13, 1, True)]


@pytest.mark.parametrize("gzipped", [False, True])
def test_records_come_out_as_they_went_in(gzipped: bool) -> None:
    records = list(decode(only(packed(SOME, 10, gzipped=gzipped)), WHERE))
    assert [(r.offset, r.key, r.value, list(r.headers)) for r in records] == [
        (10 + n, *part) for n, part in enumerate(SOME)
    ]
    assert [r.timestamp for r in records] == [moment(FIRST + n) for n in range(3)]


@given(st.lists(st.tuples(st.none() | st.binary(max_size=300), st.none() | st.binary(max_size=300)), max_size=8))
def test_any_keys_and_values_survive(pairs: list[tuple[bytes | None, bytes | None]]) -> None:
    if not pairs:
        return
    records = list(decode(only(packed([(k, v, []) for k, v in pairs])), WHERE))
    assert [(r.key, r.value) for r in records] == pairs


@given(st.integers(0, 400))
def test_a_piece_that_is_cut_short_gives_what_it_holds(size: int) -> None:
    raw = packed([(b"key%d" % n, b"x" * 40, []) for n in range(6)])
    for batch in walk(memoryview(raw[:size])):
        assert batch.whole is (size >= len(raw))
        records = list(decode(batch, WHERE))
        assert [r.key for r in records] == [b"key%d" % n for n in range(len(records))]


@given(st.binary(max_size=400))
def test_bytes_that_are_no_batches_are_no_crash(data: bytes) -> None:
    try:
        for batch in walk(memoryview(data)):
            list(decode(batch, WHERE))
            unpacked(batch)
    except UnreadableBatchError as error:
        assert str(error)  # noqa: PT017 - any other exception fails the test


def test_a_corrupt_batch_is_told_with_its_offset() -> None:
    raw = bytearray(packed(SOME, 77))
    raw[HEADER] = 0x7E
    with pytest.raises(UnreadableBatchError, match="the batch at offset 77 can't be decoded"):
        list(decode(only(bytes(raw)), WHERE))


@pytest.mark.parametrize("length", [-5, 0, 1, 4])
def test_a_length_that_no_batch_can_have_is_told_with_the_offset(length: int) -> None:
    raw = bytearray(packed(SOME, 77))
    struct.pack_into(">i", raw, 8, length)
    with pytest.raises(UnreadableBatchError, match="the batch at offset 77 has no length that a batch can have"):
        list(walk(memoryview(raw)))


def test_a_batch_of_less_than_no_records_is_not_taken_for_an_empty_one() -> None:
    raw = bytearray(packed(SOME, 77))
    struct.pack_into(">i", raw, 57, -1)
    with pytest.raises(UnreadableBatchError, match="the batch at offset 77 says that it holds -1 records"):
        list(decode(only(bytes(raw)), WHERE))


def test_a_small_batch_that_unpacks_to_gigabytes_is_left_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_batches, "UNPACKED_BYTES", 1 << 20)
    bomb = gzip.compress(bytes(2 << 20))
    raw = with_attributes(packed([])[:HEADER] + bomb, 1)
    raw = struct.pack(">qi", 5, len(raw) - 12) + raw[12:]
    with pytest.raises(UnreadableBatchError, match="it unpacks to more than 1 MiB"):
        unpacked(only(raw))


def test_gzip_that_is_cut_short_is_corrupt() -> None:
    raw = packed(SOME, 5, gzipped=True)[:-9]
    raw = struct.pack(">qi", 5, len(raw) - 12) + raw[12:]
    with pytest.raises(UnreadableBatchError, match="it is cut short"):
        unpacked(only(raw))


def test_gzip_that_is_none_is_corrupt() -> None:
    with pytest.raises(UnreadableBatchError, match="offset 5"):
        unpacked(only(with_attributes(packed(SOME, 5), 1)))


@pytest.mark.parametrize(("attributes", "name"), [(2, "snappy"), (3, "lz4"), (4, "zstd"), (7, "codec 7")])
def test_a_codec_that_is_not_installed_is_named(attributes: int, name: str) -> None:
    if name != "codec 7" and getattr(kafka_protocol.codec, f"has_{name}")():
        pytest.skip(f"{name} is installed here")
    with pytest.raises(UnreadableBatchError, match=f"compressed with {name}, for which no codec is installed here"):
        unpacked(only(with_attributes(packed(SOME), attributes)))


def test_a_transaction_marker_holds_no_records() -> None:
    batch = only(with_attributes(packed(SOME), 0x20 | 0x10))
    assert batch.is_control
    assert list(decode(batch, WHERE)) == []


def test_the_brokers_clock_counts_for_all_records_of_a_batch() -> None:
    batch = only(with_attributes(packed(SOME), 0x08))
    assert batch.log_append_time
    assert {r.timestamp for r in decode(batch, WHERE)} == {moment(FIRST + 2)}


def test_a_header_name_that_is_no_text_is_no_crash() -> None:
    raw = packed([(b"k", b"v", [("name", b"x")])])
    (record,) = decode(only(raw.replace(b"name", b"\xff\xfe\xfd\xfc")), WHERE)
    assert record.headers[0][1] == b"x"


def test_what_is_searched_holds_the_bytes_of_keys_and_values() -> None:
    for gzipped in (False, True):
        body = bytes(unpacked(only(packed(SOME, gzipped=gzipped))))
        assert all(part in body for part in (b"k0", b"v0", b"k1", b"v2"))


@pytest.mark.parametrize("milliseconds", [-1, -9, 10**18, 253_402_300_799_000])
def test_a_time_outside_the_calendar_is_none(milliseconds: int) -> None:
    assert moment(milliseconds) is None


def test_a_record_without_a_timestamp_has_none() -> None:
    raw = bytearray(packed([(b"k", b"v", [])]))
    struct.pack_into(">qq", raw, 27, -1, -1)
    assert list(decode(only(bytes(raw)), WHERE)) == [Record("t", 1, 0, None, b"k", b"v")]
