"""Record batches as they come from the wire: walking them by their headers, unpacking, looking into them, decoding."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kcfix.adapters import kafka_protocol
from kcfix.core.events import Record
from kcfix.core.offsets import TopicPartition
from kcfix.core.times import SHOWN_YEARS

# Base offset, length, leader epoch, magic, CRC, attributes, last offset delta, first and greatest timestamp,
# producer id, producer epoch, base sequence, number of records: the batch format since Kafka 0.11.
_HEADER = struct.Struct(">qiibIhiqqqhii")
_START = struct.Struct(">qi")
# Of the above what has to be looked at in every batch: base offset, length, magic, attributes.
_GLANCE = struct.Struct(">qi4xb4xh")
_LAST_DELTA_AT = 23
_MAGIC_AT = 16
_SHORT = _HEADER.size - _START.size
"""Bytes behind the length that a batch of today's format has at least: its header."""
_SHORTEST = _MAGIC_AT + 1 - _START.size
"""Bytes behind the length that hold at least the magic."""
UNPACKED_BYTES = 256 * 1024 * 1024
"""More than a batch can be unpacked: a small one may hold gigabytes of zeros."""
_CODEC_NAMES = {0: "", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
_CODEC = 0x07
_LOG_APPEND_TIME = 0x08
_CONTROL = 0x20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UnreadableBatchError(Exception):
    """A batch that can't be looked into: no codec for its compression, or it is corrupt."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch, still packed."""

    base_offset: int
    last_offset: int
    magic: int
    codec: str
    """Empty if it is not compressed."""
    is_control: bool
    """A transaction marker: no records of the application."""
    log_append_time: bool
    first_timestamp: int
    max_timestamp: int
    """Milliseconds; -1 for none."""
    count: int
    data: memoryview
    """All of it, header included. Cut short where `whole` is False."""
    whole: bool


@dataclass(frozen=True, slots=True)
class Skimmed:
    """A fetched piece of log of which only so much was looked at as it takes to read on."""

    data: bytes
    """As it came: behind the whole batches there may be one that is cut short, or lies past the range."""
    size: int
    """How many bytes the whole batches of the range take."""
    next_offset: int | None
    """From which to read on; None where not a single batch is whole."""
    plain: bool
    """Whether none of its batches is compressed or of an old format: its bytes can be searched as they are."""


def skim(data: bytes, end: int) -> Skimmed:
    """The whole batches that begin before the offset `end`; what is no batch ends the piece."""
    # With one record to the batch, as the real producer sends them, a scan passes a million headers: no more is done
    # here than must be.
    glance, limit, most = _GLANCE.unpack_from, len(data), len(data) - _GLANCE.size
    position, last, plain, beyond = 0, -1, True, False
    while position <= most:
        base, length, magic, attributes = glance(data, position)
        after = position + _START.size + length
        if after > limit or (length < _SHORT and (magic >= 2 or length < _SHORTEST)):
            break
        if base >= end:
            beyond = True
            break
        if magic != 2 or attributes & _CODEC:
            plain = False
        last, position = position, after
    return Skimmed(data, position, end if beyond else _offset_after(data, last), plain)


def _offset_after(data: bytes, position: int) -> int | None:
    """The offset after the batch at this position; None if it is -1."""
    if position < 0:
        return None
    (base,) = struct.unpack_from(">q", data, position)
    delta = 0 if data[position + _MAGIC_AT] < 2 else struct.unpack_from(">i", data, position + _LAST_DELTA_AT)[0]
    return int(base + delta + 1)


def walk(data: memoryview) -> Iterator[Batch]:
    """The batches of a fetched piece of log, in order; the last may be cut short.

    Raises:
        UnreadableBatchError: it is no piece of log from there on.
    """
    position = 0
    while position + _MAGIC_AT < len(data):
        base, length = _START.unpack_from(data, position)
        end = position + _START.size + length
        if length < _SHORTEST:
            raise UnreadableBatchError(f"the batch at offset {base} has no length that a batch can have ({length})")
        piece = data[position:end]
        whole = end <= len(data)
        if piece[_MAGIC_AT] < 2:
            yield _old(base, piece, whole)
        elif len(piece) >= _HEADER.size:
            _, _, _, magic, _, attributes, last_delta, first, greatest, _, _, _, count = _HEADER.unpack_from(piece)
            codec = attributes & _CODEC
            yield Batch(
                base_offset=base,
                last_offset=base + last_delta,
                magic=magic,
                codec=_CODEC_NAMES.get(codec, f"codec {codec}"),
                is_control=bool(attributes & _CONTROL),
                log_append_time=bool(attributes & _LOG_APPEND_TIME),
                first_timestamp=first,
                max_timestamp=greatest,
                count=count,
                data=piece,
                whole=whole,
            )
        position = end


def _old(base: int, piece: memoryview, whole: bool) -> Batch:
    """A message of the formats before Kafka 0.11. If it is compressed, its offset is the last one inside it."""
    attributes = piece[_MAGIC_AT + 1] if len(piece) > _MAGIC_AT + 1 else 0
    codec = _CODEC_NAMES.get(attributes & _CODEC, "unknown codec")
    late = bool(attributes & _LOG_APPEND_TIME)
    return Batch(base, base, piece[_MAGIC_AT], codec, False, late, -1, -1, 1, piece, whole)


def unpacked(batch: Batch) -> bytes | memoryview:
    """The bytes of a batch's records, to be searched.

    Raises:
        UnreadableBatchError: there is no codec for it, or it is corrupt.
    """
    if not batch.codec:
        return batch.data[_HEADER.size :] if batch.magic >= 2 else batch.data
    if batch.magic < 2:
        return b"\n".join(part for r in _old_records(batch, _NOWHERE) for part in (r.key or b"", r.value or b""))
    body = bytes(batch.data[_HEADER.size :])
    unpack = _gunzip if batch.codec == "gzip" else _codec(batch.codec)
    try:
        return bytes(unpack(body))
    except Exception as error:  # every codec library has its own errors for bad bytes
        raise UnreadableBatchError(_corrupt(batch, error)) from error


def _gunzip(body: bytes) -> bytes:
    parts = []
    left = UNPACKED_BYTES
    while body:
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        parts.append(member.decompress(body, left))
        left -= len(parts[-1])
        if not member.eof:
            raise ValueError("it is cut short" if left else f"it unpacks to more than {UNPACKED_BYTES >> 20} MiB")
        body = member.unused_data
    return b"".join(parts)


def _codec(name: str) -> Callable[[bytes], bytes]:
    """The unpacker, if its package happens to be installed; only gzip is in the standard library."""
    codec = kafka_protocol.codec
    known = {
        "snappy": (codec.has_snappy, codec.snappy_decode),
        "lz4": (codec.has_lz4, codec.lz4_decode),
        "zstd": (codec.has_zstd, codec.zstd_decode),
    }
    if name not in known or not known[name][0]():
        raise UnreadableBatchError(f"compressed with {name}, for which no codec is installed here")
    unpack: Callable[[bytes], bytes] = known[name][1]
    return unpack


def decode(batch: Batch, where: TopicPartition) -> Iterator[Record]:
    """The records of a batch, in order, as far as it reaches; none for a transaction marker.

    Raises:
        UnreadableBatchError: there is no codec for it, or it is corrupt.
    """
    if batch.is_control:
        return
    if batch.magic < 2:
        yield from _old_records(batch, where)
        return
    if batch.count < 0:
        raise UnreadableBatchError(f"the batch at offset {batch.base_offset} says that it holds {batch.count} records")
    body = bytes(unpacked(batch))
    position = 0
    for _ in range(batch.count):
        try:
            record, position = _record(batch, where, body, position)
            yield record
        except (IndexError, ValueError) as error:
            if not batch.whole:
                return
            raise UnreadableBatchError(_corrupt(batch, error)) from error


def _corrupt(batch: Batch, error: Exception) -> str:
    return f"the batch at offset {batch.base_offset} can't be decoded ({error})"


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A zigzag-encoded number and the position after it."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), position
        shift += 7


def _bytes(data: bytes, position: int) -> tuple[bytes | None, int]:
    size, position = _varint(data, position)
    if size < 0:
        return None, position
    return data[position : position + size], position + size


def _record(batch: Batch, where: TopicPartition, body: bytes, position: int) -> tuple[Record, int]:
    """The record at a position and the position after it; raises IndexError where it is cut short."""
    size, position = _varint(body, position)
    end = position + size
    if not position < end <= len(body):
        raise IndexError(position)
    time_delta, position = _varint(body, position + 1)
    offset_delta, position = _varint(body, position)
    key, position = _bytes(body, position)
    value, position = _bytes(body, position)
    count, position = _varint(body, position)
    headers = []
    for _ in range(count):
        name, position = _bytes(body, position)
        content, position = _bytes(body, position)
        headers.append(((name or b"").decode("utf-8", "replace"), content))
    if batch.log_append_time:
        timestamp = batch.max_timestamp
    else:
        timestamp = batch.first_timestamp + time_delta if batch.first_timestamp >= 0 else -1
    offset = batch.base_offset + offset_delta
    return Record(where.topic, where.partition, offset, moment(timestamp), key, value, tuple(headers)), end


_NOWHERE = TopicPartition("", 0)


def _old_records(batch: Batch, where: TopicPartition) -> Iterator[Record]:
    try:
        messages = kafka_protocol.MemoryRecords(bytes(batch.data))
        while (part := messages.next_batch()) is not None:
            for r in part:
                yield Record(where.topic, where.partition, r.offset, moment(r.timestamp), r.key, r.value)
    except Exception as error:  # as above
        raise UnreadableBatchError(_corrupt(batch, error)) from error


def moment(milliseconds: int | None) -> datetime | None:
    """The time of a record's timestamp; None where there is none or it can't be shown in every zone."""
    if milliseconds is None or milliseconds < 0:
        return None
    try:
        at = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None
    return at if at.year in SHOWN_YEARS else None
