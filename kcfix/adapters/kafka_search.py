"""Searching the log for bytes, without decoding what does not match.

While one piece of it is searched, the next is under way. Memory holds at most three answers of each broker, of 16 MB
(ANSWER_BYTES) or one larger batch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from kcfix.adapters.kafka_address import Deadline
from kcfix.adapters.kafka_batches import Batch, Skimmed, UnreadableBatchError, decode, unpacked, walk
from kcfix.adapters.kafka_fetch import Flight, Reader, begin, drop, read_on
from kcfix.adapters.kafka_link import Link
from kcfix.adapters.kafka_needles import Needles
from kcfix.core.events import Record
from kcfix.core.offsets import TopicPartition
from kcfix.core.ports.kafka import OffsetRange, SearchResult


def search(
    link: Link, ranges: Iterable[OffsetRange], needles: Collection[bytes], deadline: Deadline, *, anywhere: bool
) -> SearchResult:
    """Records with one of the needles; see KafkaPort.search."""
    wanted = Needles(needles)
    queue = _Queue(ranges)
    found: dict[tuple[TopicPartition, int], Record] = {}
    readers, flight = _next(link, queue, deadline)
    try:
        while flight is not None:
            mine, pieces = readers, read_on(link, readers, flight, deadline)
            # Asked for before this piece is looked into, so that the broker works meanwhile.
            readers, flight = _next(link, queue, deadline)
            for where, piece in pieces.items():
                reader = mine[where]
                try:
                    for record in _within(piece, where, wanted, anywhere=anywhere):
                        if reader.start <= record.offset < reader.end:
                            found[where, record.offset] = record
                except UnreadableBatchError as error:
                    reader.failure = reader.failure or str(error)
    finally:
        if flight is not None:
            drop(link, flight)
    return SearchResult(
        records=tuple(found[key] for key in sorted(found)),
        searched=queue.searched(),
        failed=queue.failed(deadline),
    )


class _Queue:
    """The ranges of each partition, to be read one after the other; those of different partitions at the same time."""

    def __init__(self, ranges: Iterable[OffsetRange]) -> None:
        ordered = sorted(ranges, key=lambda r: (r.partition, r.start, r.end))
        self._readers = [Reader(r.partition, r.start, r.end) for r in ordered]
        self._waiting: dict[TopicPartition, list[Reader]] = defaultdict(list)
        for reader in reversed(self._readers):
            self._waiting[reader.where].append(reader)

    def current(self) -> dict[TopicPartition, Reader]:
        """The range to be read now, of each partition that has one left."""
        for where in sorted(self._waiting):
            waiting = self._waiting[where]
            while waiting and waiting[-1].done:
                waiting.pop()
            if not waiting:
                del self._waiting[where]
        return {where: self._waiting[where][-1] for where in sorted(self._waiting)}

    def searched(self) -> tuple[OffsetRange, ...]:
        return tuple(OffsetRange(r.where, r.start, r.end) for r in self._readers if r.done and r.failure is None)

    def failed(self, deadline: Deadline) -> dict[TopicPartition, str]:
        """Why partitions were not read, the first reason of each."""
        reasons: dict[TopicPartition, str] = {}
        for reader in self._readers:
            if reader.failure is not None:
                reasons.setdefault(reader.where, reader.failure)
        for where in self._waiting:
            reasons.setdefault(where, f"not read to the end within {deadline.seconds:g} s")
        return dict(sorted(reasons.items()))


def _next(link: Link, queue: _Queue, deadline: Deadline) -> tuple[dict[TopicPartition, Reader], Flight | None]:
    """What is to be read now, and the flight that brings it; None where nothing is left or no time for it."""
    readers = queue.current()
    if not readers or deadline.passed:
        return readers, None
    return readers, begin(link, {where: (r.position, r.piece) for where, r in readers.items()}, deadline)


def _within(piece: Skimmed, where: TopicPartition, needles: Needles, *, anywhere: bool) -> Iterator[Record]:
    # Few needles are looked for in all batches at once: mostly none of them is there, and nothing more is to be done.
    if piece.plain and needles.few and not needles.within(piece.data):
        return
    for batch in walk(memoryview(piece.data)[: piece.size]):
        yield from _matching(batch, where, needles, anywhere=anywhere)


def _matching(batch: Batch, where: TopicPartition, needles: Needles, *, anywhere: bool) -> Iterator[Record]:
    if batch.is_control or not needles.within(bytes(unpacked(batch))):
        return
    for record in decode(batch, where):
        if record.key in needles.all or (
            anywhere and any(needles.within(part) for part in (record.key, record.value) if part)
        ):
            yield record
