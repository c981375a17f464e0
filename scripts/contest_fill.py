"""Many records in a topic within a minute or two: the messages of some thousand payments, again and again.

They are PURCHASE_CONFIRMED messages as payment-service writes them, at times that move on. A batch is packed once; to
send it again, only its times and their part of the checksum are written anew.
"""

from __future__ import annotations

import socket
import struct
import uuid
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

from kafka.record._crc32c import CRC_TABLE, crc_update

from kcfix.adapters.kafka import open_kafka
from kcfix.adapters.kafka_protocol import DefaultRecordBatchBuilder
from kcfix.core.events import Message
from kcfix.drill.checkout import PARTITIONS, Payment, milliseconds, payment
from kcfix.drill.state import Drill
from kcfix.flow import Flow

VARIETY = 1000
"""So many payments for each partition; a large batch holds all of them."""
BYTES_UNDER_WAY = 8 * 1024 * 1024
LEADER, ALL_IN_SYNC = 1, -1
"""Who acknowledges a request. A broker takes a connection's next one only then, which makes small ones slow. The last
are acknowledged by all in-sync replicas, for how far a topic may be read would lag behind; large ones are as well, for
replicas would fall out of sync."""
# Where a batch has its checksum, what the sum is of, and the first and the greatest time of its records.
_CRC_AT, _SUMMED_AT, _TIMES_AT, _RECORDS_AT = 17, 21, 27, 61
_TOPIC = Flow().purchase_confirmed.encode()


class Filler:
    """Connections to the drill's brokers, over which purchase-confirmed is filled.

    Each leads to the leader of some partitions: no leader may move meanwhile.
    """

    def __init__(self, drill: Drill) -> None:
        messages = [_messages(partition) for partition in range(PARTITIONS)]
        self._alone = [[_Batch([message]) for message in some] for some in messages]
        self._together = [[_Batch(some)] for some in messages]
        ports = list(drill.kafka_ports.values())
        # The drill numbers its brokers from 1, in the order of their ports.
        self._leaders = [_Leader(ports[number - 1], led) for number, led in _led(drill).items()]

    def __enter__(self) -> Filler:
        return self

    def __exit__(self, *_: object) -> None:
        for leader in self._leaders:
            leader.close()

    def fill(self, count: int, begin: datetime, end: datetime, *, together: bool = False) -> None:
        """So many records more, their times spread evenly.

        Each is a batch of its own, as the real producer sends one message at a time; or `VARIETY` of them are one
        (`together`), which is quicker to write and to read; then `count` is rounded to whole batches.
        """
        batches = self._together if together else self._alone
        rounds = count // (PARTITIONS * VARIETY if together else PARTITIONS)
        for number in range(rounds):
            at = milliseconds(begin + (end - begin) * (number / rounds))
            acks = ALL_IN_SYNC if together or number == rounds - 1 else LEADER
            for leader in self._leaders:
                some = [batches[partition][number % len(batches[partition])].at(at) for partition in leader.led]
                leader.send(some, acks)
        for leader in self._leaders:
            leader.take_answers()


class _Leader:
    """A connection to one broker, and the partitions that it leads."""

    def __init__(self, port: int, led: Sequence[int]) -> None:
        self.led = led
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._answers = self._socket.makefile("rb")
        self._under_way: deque[int] = deque()
        self._bytes_under_way = 0

    def close(self) -> None:
        self._answers.close()
        self._socket.close()

    def send(self, batches: Sequence[bytes], acks: int) -> None:
        """A batch for each partition; answers are taken when too many bytes wait for theirs."""
        frame = _request(self.led, batches, acks)
        while self._under_way and self._bytes_under_way + len(frame) > BYTES_UNDER_WAY:
            self._take_answer()
        self._socket.sendall(frame)
        self._under_way.append(len(frame))
        self._bytes_under_way += len(frame)

    def take_answers(self) -> None:
        """Wait for all that are owed."""
        while self._under_way:
            self._take_answer()

    def _take_answer(self) -> None:
        self._bytes_under_way -= self._under_way.popleft()
        (size,) = struct.unpack(">i", self._answers.read(4))
        answer = self._answers.read(size)
        # Correlation id, one topic, its name, its partitions, of each 22 bytes: index, error, offset, time.
        first = 4 + 4 + 2 + len(_TOPIC) + 4
        for place in range(first, first + 22 * len(self.led), 22):
            (error,) = struct.unpack_from(">h", answer, place + 4)
            if error:
                raise SystemExit(f"the broker did not take all records (error {error})")


def _led(drill: Drill) -> dict[int, list[int]]:
    """The partitions that each broker leads."""
    with closing(open_kafka(drill.brokers, address_map=drill.address_map)) as kafka:
        partitions = kafka.topics()[Flow().purchase_confirmed].partitions
    led: dict[int, list[int]] = {}
    for partition in partitions:
        if partition.leader is None:
            raise SystemExit(f"partition {partition.partition} of {Flow().purchase_confirmed} has no leader")
        led.setdefault(partition.leader, []).append(partition.partition)
    return led


class _Batch:
    """One batch, packed once and sent at many times."""

    def __init__(self, messages: Sequence[Message]) -> None:
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
        for number, message in enumerate(messages):
            builder.append(number, 0, message.key, message.value, list(message.headers))
        self._bytes = bytearray(builder.build())
        (self._crc,) = struct.unpack_from(">I", self._bytes, _CRC_AT)
        self._head_crc = crc_update(0, self._bytes[_SUMMED_AT:_RECORDS_AT])
        self._shift = _shift(len(self._bytes) - _RECORDS_AT)

    def at(self, time: int) -> bytes:
        """The batch with all its records at this time (milliseconds)."""
        data = self._bytes
        struct.pack_into(">qq", data, _TIMES_AT, time, time)
        # A CRC is linear: what changes in the head changes the sum by the same bits, moved on over the rest.
        changed = self._head_crc ^ crc_update(0, data[_SUMMED_AT:_RECORDS_AT])
        struct.pack_into(">I", data, _CRC_AT, self._crc ^ _times(self._shift, changed))
        return bytes(data)


def _messages(partition: int) -> list[Message]:
    return [_paid(partition).message() for _ in range(VARIETY)]


def _paid(partition: int) -> Payment:
    """One whose message takes about 850 bytes in the log, the batch around it included."""
    made = payment(
        student_id=str(uuid.uuid4()), course_id=str(uuid.uuid4()), tier=20, now=datetime.now(UTC), partition=partition
    )
    return replace(made, metadata={name: made.metadata[name] for name in ("courseId", "timeSlot", "sessionCount")})


def _request(partitions: Sequence[int], batches: Sequence[bytes], acks: int) -> bytes:
    """A Produce request (version 3) with one batch for each partition."""
    parts = [struct.pack(">ii", p, len(batch)) + batch for p, batch in zip(partitions, batches, strict=True)]
    head = struct.pack(">hhihhhiih", 0, 3, 0, -1, -1, acks, 60_000, 1, len(_TOPIC)) + _TOPIC
    body = b"".join((head, struct.pack(">i", len(parts)), *parts))
    return struct.pack(">i", len(body)) + body


def _times(columns: Sequence[int], value: int) -> int:
    result = 0
    for column in columns:
        if value & 1:
            result ^= column
        value >>= 1
    return result


@cache
def _shift(length: int) -> tuple[int, ...]:
    """What becomes of each bit of a CRC-32C register over so many bytes of zero."""
    step = tuple(CRC_TABLE[(1 << bit) & 0xFF] ^ ((1 << bit) >> 8) for bit in range(32))
    result = tuple(1 << bit for bit in range(32))
    while length:
        if length & 1:
            result = tuple(_times(step, column) for column in result)
        step = tuple(_times(step, column) for column in step)
        length >>= 1
    return result
