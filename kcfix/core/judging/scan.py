"""A search of whole topics for payments, piece by piece: for lost clocks and foreign keys.

Only what matches is kept: memory does not grow with the topics. What could not be read is in the result, by partition.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from kcfix.core.events import Record
from kcfix.core.judging.windows import merged
from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import PaymentId
from kcfix.core.ports.kafka import KafkaPort, OffsetRange, SearchResult
from kcfix.flow import Flow

PIECE = 50_000
"""Offsets of one partition that are asked for at once; each piece has a deadline of its own."""
FEW = 20
"""Of so many ids also those in upper case are looked for: for more it would double the work."""
SMALLEST_PIECE = 500
"""A piece that is not read in time is made smaller, down to this, before its partition is given up."""


@dataclass(frozen=True, slots=True)
class ScanRanges:
    """What is to be read, and the partitions of which not even the offsets are known."""

    ranges: tuple[OffsetRange, ...]
    failed: dict[TopicPartition, str]

    @property
    def offsets(self) -> int:
        """How many offsets that is: an upper bound of the records."""
        return sum(r.end - r.start for r in self.ranges)


def scan_ranges(
    kafka: KafkaPort, flow: Flow, since: datetime | None = None, until: datetime | None = None
) -> ScanRanges:
    """All that is retained of purchase-confirmed and of the dead letters, between two times where they are given.

    The times are those of the broker's time index: what carries a wrong time may lie outside.
    """
    topics = kafka.topics()
    partitions = [
        TopicPartition(topic, p.partition)
        for topic in (flow.purchase_confirmed, flow.dead_letters)
        if topic in topics
        for p in topics[topic].partitions
    ]
    logs = kafka.log_offsets(partitions)
    failed = {tp: log.error or "its offsets are not known" for tp, log in logs.items() if log.log_end_offset is None}
    known = {tp: log for tp, log in logs.items() if tp not in failed}
    first = kafka.offsets_for_time(dict.fromkeys(known, since)) if since else {}
    last = kafka.offsets_for_time(dict.fromkeys(known, until)) if until else {}
    ranges = []
    for tp, log in known.items():
        start, end = log.log_start_offset or 0, log.log_end_offset or 0
        if since is not None:
            found = first.get(tp)
            start = end if found is None else found
        if until is not None and (stop := last.get(tp)) is not None:
            end = stop
        ranges.append(OffsetRange(tp, start, end))
    return ScanRanges(merged(ranges), failed)


def scan(
    kafka: KafkaPort, wanted: ScanRanges, ids: Collection[PaymentId], advance: Callable[[int], None]
) -> SearchResult:
    """The records that name one of the ids anywhere in key or value. `advance` is told of each piece's offsets.

    Of few ids also those in upper case are found, which neither payment-service nor a worker writes.

    Raises:
        Unreachable: Kafka does not answer any more.
    """
    needles = [i.encode() for i in ids]
    if len(ids) <= FEW:
        needles += [i.upper().encode() for i in ids]
    left = {r.partition: r for r in wanted.ranges}
    sizes = dict.fromkeys(left, PIECE)
    records: list[Record] = []
    searched: list[OffsetRange] = []
    failed = dict(wanted.failed)
    while left:
        pieces = {tp: OffsetRange(tp, r.start, min(r.end, r.start + sizes[tp])) for tp, r in left.items()}
        found = kafka.search(pieces.values(), needles, anywhere=True)
        records += [r for r in found.records if TopicPartition(r.topic, r.partition) not in found.failed]
        for tp, piece in pieces.items():
            if tp not in found.failed:
                searched.append(piece)
                advance(piece.end - piece.start)
                left[tp] = OffsetRange(tp, piece.end, left[tp].end)
            elif sizes[tp] > SMALLEST_PIECE:
                sizes[tp] = max(SMALLEST_PIECE, sizes[tp] // 4)
            else:
                failed[tp] = found.failed[tp]
                advance(left[tp].end - left[tp].start)
                left[tp] = OffsetRange(tp, left[tp].end, left[tp].end)
        left = {tp: r for tp, r in left.items() if r.start < r.end}
    return SearchResult(_sorted(records), merged(searched), failed)


def _sorted(records: Iterable[Record]) -> tuple[Record, ...]:
    return tuple(sorted(records, key=lambda r: (r.topic, r.partition, r.offset)))
