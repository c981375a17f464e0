"""Reading the log: records, their times, and searching raw batches for bytes without decoding what does not match."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kcfix.adapters.kafka_address import Deadline
from kcfix.adapters.kafka_batches import Batch, UnreadableBatchError, decode, unpacked, walk
from kcfix.adapters.kafka_errors import LEADER_MOVING, OFFSET_OUT_OF_RANGE, LinkError, error_name
from kcfix.adapters.kafka_link import Link
from kcfix.adapters.kafka_needles import Needles
from kcfix.adapters.kafka_offsets import EARLIEST, UNCOMMITTED, list_offsets, why_no_leader
from kcfix.adapters.kafka_protocol import FetchRequest
from kcfix.core.events import Record
from kcfix.core.offsets import RecordTime, TopicPartition
from kcfix.core.ports import OffsetRange, SearchResult
from kcfix.errors import Unreachable

PIECE_BYTES = 4 * 1024 * 1024
ANSWER_BYTES = 16 * 1024 * 1024
PEEK_BYTES = 64 * 1024
PEEK_ROUNDS = 4
MAX_STALLS = 20


@dataclass(slots=True)
class _Reader:
    """How far one range has been read."""

    where: TopicPartition
    start: int
    end: int
    position: int = field(init=False)
    failure: str | None = None
    stalls: int = 0

    def __post_init__(self) -> None:
        self.position = self.start

    @property
    def done(self) -> bool:
        return self.failure is not None or self.position >= self.end


def _fetch_request(wants: Mapping[TopicPartition, int], piece: int) -> Any:
    kind = FetchRequest.FetchTopic
    topics: dict[str, list[Any]] = defaultdict(list)
    for where, offset in wants.items():
        topics[where.topic].append(
            kind.FetchPartition(partition=where.partition, fetch_offset=offset, partition_max_bytes=piece)
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


def _fetch(
    link: Link, wants: Mapping[TopicPartition, int], piece: int, deadline: Deadline
) -> tuple[dict[TopicPartition, Any], dict[TopicPartition, str]]:
    """One request per leader: the partition's answer, or why there is none."""
    with link.lock:
        metadata = link.metadata(deadline)
        if any(not metadata.has(where) for where in wants):
            metadata = link.metadata(deadline, fresh=True)
        failed: dict[TopicPartition, str] = {}
        by_leader: dict[int, dict[TopicPartition, int]] = defaultdict(dict)
        for where, offset in wants.items():
            leader = metadata.leader(where)
            if leader is None:
                failed[where] = why_no_leader(metadata, where)
            else:
                by_leader[leader][where] = offset
        asks = {leader: [_fetch_request(part, piece)] for leader, part in by_leader.items()}
        found: dict[TopicPartition, Any] = {}
        for leader, answer in link.ask_each(asks, deadline).items():
            if isinstance(answer, LinkError):
                failed |= dict.fromkeys(by_leader[leader], str(answer))
                continue
            if answer[0].error_code:
                failed |= dict.fromkeys(by_leader[leader], error_name(answer[0].error_code))
                continue
            for topic in answer[0].responses:
                for p in topic.partitions:
                    found[TopicPartition(topic.topic, p.partition_index)] = p
        return found, failed


# record times


def read_record_times(link: Link, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, RecordTime | None]:
    """Time of the first record at or past each offset; see KafkaPort.record_times."""
    deadline = link.deadline()
    found: dict[TopicPartition, RecordTime | None] = dict.fromkeys(sorted(offsets))
    wants = dict(offsets)
    piece = PEEK_BYTES
    for _ in range(PEEK_ROUNDS):
        if not wants or deadline.passed:
            break
        try:
            answers, _failed = _fetch(link, wants, piece, deadline)
        except Unreachable:
            break
        again: dict[TopicPartition, int] = {}
        for where, answer in answers.items():
            if answer.error_code in LEADER_MOVING:
                link.forget()
                again[where] = wants[where]
                continue
            time, position = _first_time(where, memoryview(answer.records or b""), wants[where])
            if time is not None:
                found[where] = time
            elif (position or wants[where]) < answer.high_watermark:
                again[where] = position or wants[where]
        wants = again
        piece = PIECE_BYTES
    return found


def _first_time(where: TopicPartition, data: memoryview, offset: int) -> tuple[RecordTime | None, int | None]:
    """The time, or None and the offset from which to read on (None where the piece gives no hint of it)."""
    position = None
    try:
        for batch in walk(data):
            if batch.last_offset >= offset and not batch.is_control:
                for record in decode(batch, where):
                    if record.offset >= offset:
                        return RecordTime(record.offset, record.timestamp, batch.log_append_time), None
            if not batch.whole:
                return None, max(offset, batch.base_offset)
            position = batch.last_offset + 1
    except UnreadableBatchError:
        return None, None
    return None, position


# records and search


def read_records(link: Link, ranges: Iterable[OffsetRange]) -> Iterator[Record]:
    """Every record of the ranges; see KafkaPort.records.

    Raises:
        Unreachable: a range could not be read to its end; the records before were given.
    """
    for wanted in ranges:
        reader = _Reader(wanted.partition, wanted.start, wanted.end)
        while not reader.done:
            # Each piece has a deadline of its own: a long range may take long, a silent broker may not.
            piece = min(PIECE_BYTES, PEEK_BYTES * (reader.end - reader.position))
            for batch in _next_batches(link, {reader.where: reader}, link.deadline(), piece)[reader.where]:
                try:
                    for record in decode(batch, reader.where):
                        if wanted.start <= record.offset < wanted.end:
                            yield record
                except UnreadableBatchError as error:
                    reader.failure = str(error)
        if reader.failure is not None:
            raise Unreachable(
                f"reading {reader.where} from offset {reader.position} to {wanted.end}: {reader.failure}",
                system="kafka",
            )


def search(
    link: Link, ranges: Iterable[OffsetRange], needles: Collection[bytes], deadline: Deadline, *, anywhere: bool
) -> SearchResult:
    """Records with one of the needles; see KafkaPort.search."""
    merged: dict[TopicPartition, list[_Reader]] = defaultdict(list)
    for wanted in sorted(ranges, key=lambda r: (r.partition, r.start, r.end)):
        merged[wanted.partition].append(_Reader(wanted.partition, wanted.start, wanted.end))
    wanted_bytes = Needles(needles)
    found: dict[tuple[TopicPartition, int], Record] = {}
    searched: list[OffsetRange] = []
    failed: dict[TopicPartition, str] = {}
    queues = {where: list(reversed(readers)) for where, readers in merged.items()}
    while queues:
        current: dict[TopicPartition, _Reader] = {}
        for where in list(queues):
            queue = queues[where]
            while queue and queue[-1].done:
                reader = queue.pop()
                if reader.failure is None:
                    searched.append(OffsetRange(where, reader.start, reader.end))
                else:
                    failed.setdefault(where, reader.failure)
            if queue:
                current[where] = queue[-1]
            else:
                del queues[where]
        if not current:
            break
        if deadline.passed:
            left = f"not read to the end within {deadline.seconds:g} s"
            failed |= {where: left for where in current if where not in failed}
            break
        for where, batches in _next_batches(link, current, deadline).items():
            reader = current[where]
            for batch in batches:
                try:
                    for record in _matching(batch, where, wanted_bytes, anywhere=anywhere):
                        if reader.start <= record.offset < reader.end:
                            found[where, record.offset] = record
                except UnreadableBatchError as error:
                    reader.failure = reader.failure or str(error)
    return SearchResult(
        records=tuple(found[key] for key in sorted(found)),
        searched=tuple(sorted(searched, key=lambda r: (r.partition, r.start))),
        failed=dict(sorted(failed.items())),
    )


def _matching(batch: Batch, where: TopicPartition, needles: Needles, *, anywhere: bool) -> Iterator[Record]:
    if batch.is_control:
        return
    if not needles.within(bytes(unpacked(batch))):
        return
    for record in decode(batch, where):
        if record.key in needles.all or (
            anywhere and any(needles.within(part) for part in (record.key, record.value) if part)
        ):
            yield record


def _next_batches(
    link: Link, readers: Mapping[TopicPartition, _Reader], deadline: Deadline, piece: int = PIECE_BYTES
) -> dict[TopicPartition, list[Batch]]:
    """The next whole batches of each range; positions move on, and what can't be read any further is marked failed.

    `piece` bytes are asked for of each; of a single range a larger batch comes whole all the same (KIP-74).
    """
    batches: dict[TopicPartition, list[Batch]] = {where: [] for where in readers}
    try:
        answers, failed = _fetch(link, {w: r.position for w, r in readers.items()}, piece, deadline)
    except Unreachable as error:
        answers, failed = {}, dict.fromkeys(readers, error.message)
    moving = False
    before = {where: reader.position for where, reader in readers.items()}
    for where, reader in readers.items():
        if where in failed:
            reader.failure = failed[where]
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
            reader.failure = error_name(answer.error_code)
        else:
            _advance(reader, answer, batches[where])
    if moving:
        link.forget()
    if not any(r.failure or r.position != before[w] for w, r in readers.items()):
        deadline.pause()
        for reader in readers.values():
            reader.stalls += 1
            if reader.stalls > MAX_STALLS:
                reader.failure = f"the broker gives nothing at offset {reader.position}"
    return batches


def _advance(reader: _Reader, answer: Any, batches: list[Batch]) -> None:
    before = reader.position
    try:
        for batch in walk(memoryview(answer.records or b"")):
            if not batch.whole or batch.base_offset >= reader.end:
                if batch.whole:
                    reader.position = reader.end
                break
            batches.append(batch)
            reader.position = max(reader.position, batch.last_offset + 1)
    except UnreadableBatchError as error:
        reader.failure = str(error)
    if reader.position == before and reader.position >= answer.high_watermark:
        # The end was read from this very log, so only a log that was truncated or made anew can be shorter.
        reader.failure = f"the log ends at {answer.high_watermark}, before offset {reader.end}"


def _out_of_range(link: Link, reader: _Reader, deadline: Deadline) -> None:
    """Go on at the log start where older records were deleted meanwhile; the range that counts as read begins there."""
    (answer,) = list_offsets(link, [(UNCOMMITTED, {reader.where: EARLIEST})], deadline)
    start = answer.get(reader.where, "no answer")
    if isinstance(start, int) and start > reader.position:
        reader.start = reader.position = min(start, reader.end)
    else:
        reader.failure = f"offset {reader.position} is not in the log" if isinstance(start, int) else start
