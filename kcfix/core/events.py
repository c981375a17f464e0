"""The messages of the purchase flow: what a record says, and how kcfix builds one (docs/system.md 2.2 to 2.5)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from kcfix.core.payments import PaymentId, parse_uuid

NS_EVENT = uuid.UUID("c9034de6-b01a-44a1-b735-067f423aa2f4")
NS_PURCHASE = uuid.UUID("bd954d1b-b234-4edf-8359-f6772fbc5836")
"""Namespaces of kcfix's own event and purchase ids. They never change: by them a run knows an earlier one's work."""


def own_event_id(payment_id: PaymentId) -> str:
    """The event id of a PURCHASE_CONFIRMED that kcfix has to make itself: the same in every run."""
    return str(uuid.uuid5(NS_EVENT, payment_id.lower()))


@lru_cache(maxsize=4096)  # asked several times of each payment, and a hash each time
def own_purchase_id(payment_id: PaymentId) -> str:
    """The id of a purchase that kcfix inserts for this payment: the primary key stops a second one."""
    return str(uuid.uuid5(NS_PURCHASE, payment_id.lower()))


def advisory_lock_key(student_id: str, course_id: str) -> int:
    """The purchase-worker's own advisory lock for a student and course (docs/system.md 6, mode 29).

    The ids must be written exactly as in the event: the hash is over their text.

    >>> advisory_lock_key("00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002")
    1182092709
    """
    h = 0
    for unit in f"{student_id}:{course_id}":
        h = (31 * h + ord(unit)) & 0xFFFFFFFF
    return abs(h - 0x1_0000_0000 if h & 0x8000_0000 else h)


def murmur2_partition(key: bytes, partitions: int) -> int:
    """The partition on which the Java client and kafkajs 2 put this key: murmur2, sign bit cleared, modulo.

    Source: org.apache.kafka.common.utils.Utils.murmur2 (Kafka protocol's default partitioner).
    """
    length = len(key)
    m = 0x5BD1E995
    h = (0x9747B28C ^ length) & 0xFFFFFFFF
    for i in range(0, length - length % 4, 4):
        k = int.from_bytes(key[i : i + 4], "little")
        k = (k * m) & 0xFFFFFFFF
        k ^= k >> 24
        k = (k * m) & 0xFFFFFFFF
        h = ((h * m) & 0xFFFFFFFF) ^ k
    tail = key[length - length % 4 :]
    if tail:
        h ^= int.from_bytes(tail, "little")
        h = (h * m) & 0xFFFFFFFF
    h ^= h >> 13
    h = (h * m) & 0xFFFFFFFF
    h ^= h >> 15
    return (h & 0x7FFFFFFF) % partitions


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a topic as it lies in the log."""

    topic: str
    partition: int
    offset: int
    timestamp: datetime | None
    """Aware UTC; None where the record has none."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """A record to be sent."""

    topic: str
    key: bytes | None
    """None: without a key, as some messages that were sent by hand are."""
    value: bytes
    headers: tuple[tuple[str, bytes | None], ...]
    partition: int | None = None
    """None: by the key, murmur2; without a key by that of an empty one."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a record's value says. Fields that it lacks are None; `body` is all of it without `_metadata`."""

    type: str | None
    event_id: str | None
    correlation_id: str | None
    source: str | None
    version: str | None
    has_metadata_block: bool
    """Whether `_metadata` is there: without it the worker takes `unknown` as ids (docs/system.md 6, mode 17b)."""
    payment_id: PaymentId | None
    student_id: str | None
    """As written in the event, not lowered: the worker's lock is over this text."""
    course_id: str | None
    """As written in the event."""
    purchase_id: str | None
    metadata: object
    body: Mapping[str, object]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def worker_json(data: bytes | None) -> object:
    """A record's value as the workers read it, `JSON.parse(value.toString())`: bytes that are no UTF-8 become U+FFFD.

    Python alone would take a byte order mark, UTF-16 and NaN, on which a worker dies, and not the replaced bytes.

    Raises:
        ValueError, RecursionError: it is no JSON to them.
    """
    return _DECODER.decode((data or b"").decode("utf-8", "replace"))


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_number)
"""Made once: `json.loads` makes one for each text."""


def parse_event(record: Record) -> Event | None:
    """The event in a record; None where the value is no JSON object (null, empty, binary, malformed)."""
    return parse_value(record.value)


def parse_value(data: bytes | None) -> Event | None:
    """The event in a record's value; None where it is no JSON object."""
    try:
        value = worker_json(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    meta = value.pop("_metadata", None)
    block: Mapping[str, object] = meta if isinstance(meta, dict) else {}
    payment = parse_uuid(value.get("paymentId"))
    return Event(
        type=_text(value.get("type")),
        event_id=_text(block.get("eventId")),
        correlation_id=_text(block.get("correlationId")),
        source=_text(block.get("source")),
        version=_text(block.get("version")),
        has_metadata_block=isinstance(meta, dict),
        payment_id=PaymentId(payment) if payment else None,
        student_id=_text(value.get("studentId")),
        course_id=_text(value.get("courseId")),
        purchase_id=_text(value.get("purchaseId")),
        metadata=value.get("metadata"),
        body=value,
    )


def undecodable(value: bytes) -> str:
    """What is wrong with a value in which there is no event."""
    if not value:
        return "its value is empty: the consumer dies on it"
    try:
        worker_json(value)
    except (ValueError, RecursionError):
        return "its value is not JSON: the consumer dies on it"
    return "its value is JSON and no event"


def build_message(
    topic: str,
    body: Mapping[str, object],
    *,
    event_id: str,
    correlation_id: str,
    source: str,
    timestamp_ms: int,
    version: str = "1.0.0",
) -> Message:
    """A message as the event bus writes it: five text headers, `_metadata`, numeric timestamp, key = correlation id."""
    envelope = {
        "eventId": event_id,
        "correlationId": correlation_id,
        "timestamp": timestamp_ms,
        "source": source,
        "version": version,
    }
    headers = {
        "eventId": event_id,
        "correlationId": correlation_id,
        "eventType": str(body.get("type", "")),
        "source": source,
        "version": version,
    }
    return Message(
        topic=topic,
        key=correlation_id.encode(),
        # Half a surrogate pair (a text that was cut in the middle of an emoji) goes out as it came in: as its escape.
        value=json.dumps({**body, "_metadata": envelope}, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "backslashreplace"
        ),
        headers=tuple((name, value.encode("utf-8", "replace")) for name, value in headers.items()),
    )


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A copy of a message that a worker gave up on (docs/system.md 2.5). It does not mean that it is unresolved."""

    record: Record
    original_topic: str | None
    original_partition: int | None
    original_offset: int | None
    reason: str
    payment_id: PaymentId | None
    """From the original event, else the correlation id where it is a UUID; None if neither tells."""
    original: Mapping[str, object] | None = None
    """The event as the worker read it, `_metadata` included; None where the letter holds none."""
    event_id: str | None = None
    """As the worker wrote it: the text `unknown` where the event names none."""
    attempts: int | None = None


def _int(value: object) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None


def parse_dead_letter(record: Record) -> DeadLetter | None:
    """The dead letter in a record; None where the value is no JSON object."""
    try:
        value = worker_json(record.value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    held = value.get("originalEvent")
    original: Mapping[str, object] = held if isinstance(held, dict) else {}
    payment = parse_uuid(original.get("paymentId")) or parse_uuid(value.get("correlationId"))
    return DeadLetter(
        record=record,
        original_topic=_text(value.get("originalTopic")),
        original_partition=_int(value.get("originalPartition")),
        original_offset=_int(value.get("originalOffset")),
        reason=str(value.get("failureReason", "")),
        payment_id=PaymentId(payment) if payment else None,
        original=held if isinstance(held, dict) else None,
        event_id=_text(value.get("eventId")),
        attempts=_int(value.get("attempts")),
    )
