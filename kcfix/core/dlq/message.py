"""The message that a replay sends: the original record again, else the one made of the dead letter, plus a counter.

The counter is a header, `kcfix-replays`. The dead letter of a replayed copy names the copy's own place, so the letters
of one event at several places count as well: that is how it is known where the copy itself is gone.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from kcfix.core.dlq.letter import Original, Place
from kcfix.core.events import DeadLetter, Event, Message, Record, murmur2_partition, parse_dead_letter, parse_event
from kcfix.core.offsets import TopicPartition
from kcfix.core.ports.kafka import KafkaPort, OffsetRange

REPLAYS = "kcfix-replays"
"""Header with the number of replays that led to a record."""
NEAR = 200
"""Offsets of one partition that lie no further apart are read in one piece."""


@dataclass(frozen=True, slots=True)
class Source:
    """The original message, as it can still be had."""

    record: Record
    event: Event
    from_log: bool
    """False: it is gone from its topic, and was made of the dead letter."""

    @property
    def replays(self) -> int:
        """How many replays led to it, by its own header; 0 where it has none."""
        for name, value in self.record.headers:
            if name == REPLAYS and value is not None and value.isdigit() and len(value) < 10:
                return int(value)
        return 0

    def message(self, partition: int, replays: int) -> Message:
        """The message to be sent, with this number of replays: the record's own key, value and headers."""
        headers = tuple((name, value) for name, value in self.record.headers if name != REPLAYS)
        counter = (REPLAYS, str(replays).encode())
        return Message(self.record.topic, self.record.key, self.record.value or b"", (*headers, counter), partition)

    def partition(self, partitions: int) -> int:
        """Where it goes: by its key, as its producer does; without a key where it was."""
        return self.record.partition if self.record.key is None else murmur2_partition(self.record.key, partitions)


def read_places(kafka: KafkaPort, places: Iterable[Place]) -> dict[Place, Record]:
    """The records that still lie there; those that are gone are left out. Raises Unreachable."""
    wanted: dict[TopicPartition, list[int]] = {}
    for place in sorted(set(places)):
        wanted.setdefault(place.in_partition, []).append(place.offset)
    topics = kafka.topics()
    known = [tp for tp in wanted if tp.topic in topics and _has(topics[tp.topic].partitions, tp.partition)]
    logs = kafka.log_offsets(known)
    found: dict[Place, Record] = {}
    for tp in known:
        start, end = logs[tp].log_start_offset, logs[tp].log_end_offset
        if start is None or end is None:
            continue
        offsets = [offset for offset in wanted[tp] if start <= offset < end]
        for piece in _pieces(offsets):
            for record in kafka.records([OffsetRange(tp, piece[0], piece[-1] + 1)]):
                if record.offset in piece:
                    found[Place(record.topic, record.partition, record.offset)] = record
    return found


def _has(partitions: Collection[object], number: int) -> bool:
    return any(getattr(p, "partition", None) == number for p in partitions)


def _pieces(offsets: Iterable[int]) -> list[list[int]]:
    pieces: list[list[int]] = []
    for offset in offsets:
        if pieces and offset - pieces[-1][-1] <= NEAR:
            pieces[-1].append(offset)
        else:
            pieces.append([offset])
    return pieces


def sources(kafka: KafkaPort, originals: Iterable[Original]) -> dict[int, Source]:
    """The original messages by number; one that is neither in its topic nor in its letter is left out.

    A record that lies at the place and is another message's, because the topic was made again, does not count.

    Raises:
        Unreachable: Kafka did not answer.
    """
    chosen = tuple(originals)
    records = read_places(kafka, [place for o in chosen for place in (o.place, o.letter)])
    found: dict[int, Source] = {}
    for original in chosen:
        letter_record = records.get(original.letter)
        letter = parse_dead_letter(letter_record) if letter_record is not None else None
        source = _from_log(original, records.get(original.place), letter) or _rebuilt(original, letter)
        if source is not None:
            found[original.id] = source
    return found


def _from_log(original: Original, record: Record | None, letter: DeadLetter | None) -> Source | None:
    event = parse_event(record) if record is not None else None
    if record is None or event is None or original.place == original.letter:
        return None
    if original.event_id is not None:
        return Source(record, event, from_log=True) if event.event_id == original.event_id else None
    held = _bare(letter.original) if letter is not None and letter.original is not None else None
    return Source(record, event, from_log=True) if held == event.body else None


def _bare(event: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in event.items() if name != "_metadata"}


def _rebuilt(original: Original, letter: DeadLetter | None) -> Source | None:
    """Made of the letter's copy of the event, with the five headers that the event bus writes (docs/system.md 2.2)."""
    if letter is None or letter.original is None or original.place == original.letter:
        return None
    value = json.dumps(letter.original, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    place = original.place
    bare = Record(place.topic, place.partition, place.offset, letter.record.timestamp, None, value)
    event = parse_event(bare)
    if event is None:
        return None
    named = {
        "eventId": event.event_id,
        "correlationId": event.correlation_id,
        "eventType": event.type,
        "source": event.source,
        "version": event.version,
    }
    headers = tuple((n, v.encode("utf-8", "replace")) for n, v in named.items() if v)
    key = (event.correlation_id or event.payment_id or "").encode("utf-8", "replace") or letter.record.key
    made = Record(place.topic, place.partition, place.offset, bare.timestamp, key, value, headers)
    return Source(made, event, from_log=False)
