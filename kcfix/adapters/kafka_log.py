"""Reading the log: records, and their times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from kcfix.adapters.kafka_batches import UnreadableBatchError, decode, walk
from kcfix.adapters.kafka_errors import LEADER_MOVING, LinkError
from kcfix.adapters.kafka_fetch import PEEK_BYTES, PIECE_BYTES, Reader, begin, read_on, take
from kcfix.adapters.kafka_link import Link
from kcfix.adapters.kafka_rights import read_topic
from kcfix.core.events import Record
from kcfix.core.offsets import RecordTime, TopicPartition
from kcfix.core.ports.kafka import OffsetRange
from kcfix.errors import Unreachable

PEEK_ROUNDS = 4


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
        answers, failed = take(link, begin(link, {w: (o, piece) for w, o in wants.items()}, deadline), deadline)
        gone = [w for w, why in failed.items() if isinstance(why, LinkError) and link.replaced(why, deadline)]
        again = {where: wants[where] for where in gone}
        if gone and deadline.pause():
            link.forget()
        for where, answer in answers.items():
            if answer.error_code in LEADER_MOVING:
                link.forget()
                again[where] = wants[where]
                continue
            if answer.error_code:
                link.rights.words(answer.error_code, read_topic(where.topic))
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
                try:
                    for record in decode(batch, where):
                        if record.offset >= offset:
                            return RecordTime(record.offset, record.timestamp, batch.log_append_time), None
                except UnreadableBatchError:
                    if batch.whole:
                        raise
            if not batch.whole:
                return None, max(offset, batch.base_offset)
            position = batch.last_offset + 1
    except UnreadableBatchError:
        return None, None
    return None, position


# records


def read_records(link: Link, ranges: Iterable[OffsetRange]) -> Iterator[Record]:
    """Every record of the ranges; see KafkaPort.records.

    Raises:
        Unreachable: a range could not be read to its end; the records before were given.
    """
    for wanted in ranges:
        reader = Reader(wanted.partition, wanted.start, wanted.end)
        while not reader.done:
            # Each piece has a deadline of its own: a long range may take long, a silent broker may not.
            deadline = link.deadline()
            flight = begin(link, {reader.where: (reader.position, reader.piece)}, deadline)
            piece = read_on(link, {reader.where: reader}, flight, deadline).get(reader.where)
            for batch in walk(memoryview(piece.data)[: piece.size]) if piece else ():
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
