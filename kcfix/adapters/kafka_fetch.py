"""Pieces of the log from their leaders: asked for now, taken later; and how far each range has been read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kcfix.adapters.kafka_address import Deadline
from kcfix.adapters.kafka_batches import Skimmed, skim
from kcfix.adapters.kafka_errors import LEADER_MOVING, OFFSET_OUT_OF_RANGE, LinkError, error_name
from kcfix.adapters.kafka_link import Link
from kcfix.adapters.kafka_offsets import EARLIEST, UNCOMMITTED, list_offsets, why_no_leader
from kcfix.adapters.kafka_protocol import FetchRequest
from kcfix.adapters.kafka_rights import read_topic
from kcfix.adapters.kafka_under_way import UnderWay
from kcfix.core.offsets import TopicPartition
from kcfix.errors import Unreachable

PIECE_BYTES = 2 * 1024 * 1024
ANSWER_BYTES = 16 * 1024 * 1024
PEEK_BYTES = 64 * 1024
MAX_STALLS = 20
MAX_LOSSES = 10
"""Another broker leads within a moment where a leader left in order; one that was killed is missed for some seconds."""


@dataclass(slots=True)
class Reader:
    """How far one range has been read."""

    where: TopicPartition
    start: int
    end: int
    position: int = field(init=False)
    bytes_read: int = 0
    failure: str | None = None
    stalls: int = 0
    losses: int = 0
    """How often its leader went away."""

    def __post_init__(self) -> None:
        self.position = self.start

    @property
    def done(self) -> bool:
        return self.failure is not None or self.position >= self.end

    @property
    def piece(self) -> int:
        """How many bytes to ask for: little more than what is left of the range, as far as that can be foreseen."""
        left = self.end - self.position
        offsets_read = self.position - self.start
        if not offsets_read or not self.bytes_read:
            return min(PIECE_BYTES, PEEK_BYTES * left)
        return min(PIECE_BYTES, PEEK_BYTES + self.bytes_read * left // offsets_read)


@dataclass(frozen=True, slots=True)
class Flight:
    """Fetches that were asked for and not taken yet."""

    positions: Mapping[TopicPartition, int]
    by_leader: Mapping[int, tuple[TopicPartition, ...]]
    sent: UnderWay | None
    failed: Mapping[TopicPartition, str | LinkError]
    """Partitions that could not be asked about, and why."""


def begin(link: Link, wants: Mapping[TopicPartition, tuple[int, int]], deadline: Deadline) -> Flight:
    """Ask for the log from an offset on, so many bytes of it, for each partition: one request for each leader.

    Of a single partition a larger batch comes whole all the same (KIP-74).
    """
    positions = {where: offset for where, (offset, _) in wants.items()}
    with link.lock:
        try:
            metadata = link.metadata(deadline)
            if any(not metadata.has(where) for where in wants):
                metadata = link.metadata(deadline, fresh=True)
        except Unreachable as error:
            return Flight(positions, {}, None, dict.fromkeys(wants, error.message))
        failed: dict[TopicPartition, str | LinkError] = {}
        by_leader: dict[int, list[TopicPartition]] = defaultdict(list)
        for where in wants:
            leader = metadata.leader(where)
            if leader is None:
                failed[where] = why_no_leader(metadata, where)
            else:
                by_leader[leader].append(where)
        asks = {leader: [_request({w: wants[w] for w in part})] for leader, part in by_leader.items()}
        sent = link.send_each(asks, deadline)
        return Flight(positions, {leader: tuple(part) for leader, part in by_leader.items()}, sent, failed)


def _request(wants: Mapping[TopicPartition, tuple[int, int]]) -> Any:
    kind = FetchRequest.FetchTopic
    topics: dict[str, list[Any]] = defaultdict(list)
    for where, (offset, size) in wants.items():
        topics[where.topic].append(
            kind.FetchPartition(partition=where.partition, fetch_offset=offset, partition_max_bytes=size)
        )
    # Nothing is waited for: what is asked lies in the log, or there is nothing to be read. By the versions up to 12
    # topics are named; read_uncommitted, because kafkajs reads what its own consumers are not held back from.
    return FetchRequest(
        replica_id=-1,
        max_wait_ms=0,
        min_bytes=0,
        max_bytes=ANSWER_BYTES,
        isolation_level=0,
        session_id=0,
        session_epoch=-1,
        topics=[kind(topic=name, partitions=parts) for name, parts in topics.items()],
        forgotten_topics_data=[],
        rack_id="",
        max_version=12,
    )


def take(
    link: Link, flight: Flight, deadline: Deadline
) -> tuple[dict[TopicPartition, Any], dict[TopicPartition, str | LinkError]]:
    """What came: each partition's answer, or why there is none."""
    found: dict[TopicPartition, Any] = {}
    failed = dict(flight.failed)
    if flight.sent is None:
        return found, failed
    for leader, answer in link.receive_each(flight.sent, deadline).items():
        if isinstance(answer, LinkError):
            failed |= dict.fromkeys(flight.by_leader[leader], answer)
        elif answer[0].error_code:
            failed |= dict.fromkeys(flight.by_leader[leader], error_name(answer[0].error_code))
        else:
            for topic in answer[0].responses:
                for p in topic.partitions:
                    found[TopicPartition(topic.topic, p.partition_index)] = p
    return found, failed


def drop(link: Link, flight: Flight) -> None:
    """Let go of what was asked for and is of no use any more."""
    if flight.sent is not None:
        link.forget_each(flight.sent)


def read_on(
    link: Link, readers: Mapping[TopicPartition, Reader], flight: Flight, deadline: Deadline
) -> dict[TopicPartition, Skimmed]:
    """The next piece of each range that got one. Positions move on; what can't be read any further is marked failed.

    The flight was begun at the positions where the readers are.
    """
    pieces: dict[TopicPartition, Skimmed] = {}
    answers, failed = take(link, flight, deadline)
    moving = False
    for where, reader in readers.items():
        if (why := failed.get(where)) is not None:
            if isinstance(why, LinkError) and reader.losses < MAX_LOSSES and link.replaced(why, deadline):
                reader.losses += 1
                moving = True
            else:
                reader.failure = str(why)
            continue
        answer = answers.get(where)
        if answer is None:
            reader.failure = "no answer for this partition"
        elif answer.error_code in LEADER_MOVING:
            moving = True
            if deadline.passed:
                reader.failure = error_name(answer.error_code)
        elif answer.error_code == OFFSET_OUT_OF_RANGE:
            _out_of_range(link, reader, deadline)
        elif answer.error_code:
            reader.failure = link.rights.words(answer.error_code, read_topic(where.topic))
        else:
            pieces[where] = _advance(reader, answer)
    if moving:
        link.forget()
    if not any(r.failure or r.position != flight.positions[w] for w, r in readers.items()):
        deadline.pause()
        for reader in readers.values():
            reader.stalls += 1
            if reader.stalls > MAX_STALLS:
                reader.failure = f"the broker gives nothing at offset {reader.position}"
    return pieces


def _advance(reader: Reader, answer: Any) -> Skimmed:
    before = reader.position
    piece = skim(answer.records or b"", reader.end)
    if piece.next_offset is not None:
        reader.position = max(reader.position, piece.next_offset)
        reader.bytes_read += len(piece.data)
    if reader.position == before and reader.position >= answer.high_watermark:
        # The end was read from this very log, so only a log that was truncated or made anew can be shorter.
        reader.failure = f"the log ends at {answer.high_watermark}, before offset {reader.end}"
    return piece


def _out_of_range(link: Link, reader: Reader, deadline: Deadline) -> None:
    """Go on at the log start where older records were deleted meanwhile; the range that counts as read begins there."""
    (answer,) = list_offsets(link, [(UNCOMMITTED, {reader.where: EARLIEST})], deadline)
    start = answer.get(reader.where, "no answer")
    if isinstance(start, int) and start > reader.position:
        reader.start = reader.position = min(start, reader.end)
    else:
        reader.failure = f"offset {reader.position} is not in the log" if isinstance(start, int) else start
