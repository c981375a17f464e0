"""What Kafka holds about payments: their messages, the record their partition stands on, their dead letters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from kcfix.core.doctor.heads import find_heads, head_needles
from kcfix.core.events import DeadLetter, Record, murmur2_partition, parse_dead_letter, parse_event
from kcfix.core.judging.snapshot import FoundMessage, Head, MessageEvidence, Reading
from kcfix.core.judging.windows import BEFORE, kept_since, message_ranges, since
from kcfix.core.logs.entry import LogEntry
from kcfix.core.offsets import (
    NOTHING_COMMITTED,
    Committed,
    Group,
    LogOffsets,
    PartitionLag,
    RecordTime,
    TopicPartition,
    partition_lag,
)
from kcfix.core.payments import PaymentFacts, PaymentId
from kcfix.core.ports.kafka import KafkaPort, OffsetRange, SearchResult, Topic
from kcfix.errors import Unreachable
from kcfix.flow import Flow

NOTHING_SCANNED = SearchResult((), (), {})


@dataclass(frozen=True, slots=True)
class PurchaseOffsets:
    """The purchase group and the logs that matter to payments, read once."""

    group: Group
    lags: Mapping[TopicPartition, PartitionLag]
    """Every partition of the purchase-confirmed topic; empty where the topic does not exist."""
    topics: Mapping[str, Topic]
    logs: Mapping[TopicPartition, LogOffsets]
    """Of the purchase-confirmed, purchase-created and dead-letter topics."""
    allocation_committed: Mapping[TopicPartition, Committed]
    """What the allocation group has committed; partitions without a commit are left out."""

    def logs_of(self, topic: str) -> dict[TopicPartition, LogOffsets]:
        """Partitions of one topic; empty where it does not exist."""
        return {tp: log for tp, log in self.logs.items() if tp.topic == topic}


def purchase_offsets(kafka: KafkaPort, flow: Flow) -> PurchaseOffsets:
    """The group and the offsets, committed ones before the log ends, so that no lag can be negative by a race."""
    topics = kafka.topics()
    all_committed = kafka.committed([flow.purchase_group, flow.allocation_group])
    committed = all_committed.get(flow.purchase_group, {})
    wanted = (flow.purchase_confirmed, flow.purchase_created, flow.dead_letters)
    partitions = [TopicPartition(t, p.partition) for t in wanted if t in topics for p in topics[t].partitions]
    logs = kafka.log_offsets(partitions)
    lags = {
        tp: partition_lag(tp, committed.get(tp, NOTHING_COMMITTED), logs.get(tp))
        for tp in partitions
        if tp.topic == flow.purchase_confirmed
    }
    group = kafka.groups([flow.purchase_group])[flow.purchase_group]
    return PurchaseOffsets(group, lags, topics, logs, all_committed.get(flow.allocation_group, {}))


def message_evidence(
    kafka: Callable[[], KafkaPort],
    flow: Flow,
    offsets: Reading[PurchaseOffsets],
    facts: Mapping[PaymentId, PaymentFacts],
    entries: Iterable[LogEntry],
    now: datetime,
    *,
    scanned: SearchResult | None = None,
) -> dict[PaymentId, Reading[MessageEvidence]]:
    """The evidence on each payment that exists; an unreadable log is a Reading with its error.

    `scanned` is what a search of whole topics has found before (`scan`): it is added to what is found here.
    """
    paid = {i: f.payment.paid_at for i, f in facts.items() if f.payment is not None}
    if not paid:
        return {}
    if offsets.value is None:
        return {i: Reading.unknown(offsets.error or "") for i in paid}
    if not offsets.value.lags:
        return {i: Reading.unknown(f"topic {flow.purchase_confirmed} does not exist") for i in paid}
    try:
        return _evidence(kafka(), flow, offsets.value, paid, tuple(entries), now, scanned or NOTHING_SCANNED)
    except Unreachable as error:
        return {i: Reading.unknown(error.message) for i in paid}


def _evidence(
    kafka: KafkaPort,
    flow: Flow,
    offsets: PurchaseOffsets,
    paid: Mapping[PaymentId, datetime],
    entries: tuple[LogEntry, ...],
    now: datetime,
    scanned: SearchResult,
) -> dict[PaymentId, Reading[MessageEvidence]]:
    partition_of = {
        i: TopicPartition(flow.purchase_confirmed, murmur2_partition(i.encode(), len(offsets.lags))) for i in paid
    }
    found = _search(kafka, offsets, paid, partition_of)
    messages = _by_key(found)
    strays = _strays(kafka, offsets, {i: paid[i] for i in paid if i.encode() not in messages}, partition_of)
    messages |= _by_key(strays)
    _add_scanned(messages, scanned, flow, paid)
    for i in paid:
        if copies := messages.get(i.encode()):
            # A message that lies elsewhere is judged by the partition where it lies.
            messages[i.encode()] = in_order = _newest_partition_last(copies, i.encode())
            partition_of[i] = TopicPartition(in_order[-1].record.topic, in_order[-1].record.partition)
    cut = _cut_logs(offsets, set(partition_of.values()))
    begins = kafka.record_times(cut)
    kept = kept_since(kafka, flow.purchase_confirmed, now) if cut else None
    standing = _standing_records(kafka, offsets, set(partition_of.values()))
    letters, letters_error = _dead_letters(kafka, flow, offsets, paid, standing)
    letters = _with_scanned(letters, scanned, flow)
    heads = find_heads(standing, letters, entries)
    mine: dict[PaymentId | None, list[DeadLetter]] = defaultdict(list)
    for letter in letters:
        mine[letter.payment_id].append(letter)
    looked = SearchResult((), (*found.searched, *strays.searched), {**strays.failed, **found.failed})
    return {
        i: Reading(
            _of_payment(
                tp,
                offsets,
                looked,
                tuple(messages.get(i.encode(), ())),
                begins,
                kept,
                heads,
                tuple(mine.get(i, ())),
                letters_error,
                dead_letters_there=flow.dead_letters in offsets.topics,
            )
        )
        for i, tp in partition_of.items()
    }


def _search(
    kafka: KafkaPort,
    offsets: PurchaseOffsets,
    paid: Mapping[PaymentId, datetime],
    partition_of: Mapping[PaymentId, TopicPartition],
) -> SearchResult:
    """The messages of these payments, each looked for in the partition of its key."""
    moments: dict[TopicPartition, list[datetime]] = defaultdict(list)
    for i, moment in paid.items():
        moments[partition_of[i]].append(moment)
    return kafka.search(message_ranges(kafka, offsets.lags, moments), [i.encode() for i in paid])


def _strays(
    kafka: KafkaPort,
    offsets: PurchaseOffsets,
    missing: Mapping[PaymentId, datetime],
    partition_of: Mapping[PaymentId, TopicPartition],
) -> SearchResult:
    """The same in the other partitions: there lies what was sent before partitions were added, or by another client."""
    moments: dict[TopicPartition, list[datetime]] = defaultdict(list)
    for i, moment in missing.items():
        for tp in offsets.lags:
            if tp != partition_of[i]:
                moments[tp].append(moment)
    if not moments:
        return SearchResult((), (), {})
    return kafka.search(message_ranges(kafka, offsets.lags, moments), [i.encode() for i in missing])


def _by_key(found: SearchResult) -> dict[bytes, list[FoundMessage]]:
    messages: dict[bytes, list[FoundMessage]] = defaultdict(list)
    for record in found.records:
        messages[record.key or b""].append(FoundMessage(record, parse_event(record)))
    return dict(messages)


def _newest_partition_last(messages: Sequence[FoundMessage], key: bytes) -> list[FoundMessage]:
    """Those on the partition of the newest copy come last, by their offsets: on one of these the verdict rests.

    Before them lie copies on other partitions and, first of all, those under a foreign key.
    """
    own = [m.record for m in messages if m.record.key == key] or [m.record for m in messages]
    newest = max(own, key=lambda r: (r.timestamp is not None, r.timestamp, r.offset))

    def place(message: FoundMessage) -> tuple[bool, bool, int, int]:
        record = message.record
        return record.key == key, record.partition == newest.partition, record.partition, record.offset

    return sorted(messages, key=place)


def _add_scanned(
    messages: dict[bytes, list[FoundMessage]], scanned: SearchResult, flow: Flow, paid: Iterable[PaymentId]
) -> None:
    """Adds what only a whole search finds: a message under a foreign key, or with a time that is not its payment's."""
    more: dict[bytes, list[FoundMessage]] = defaultdict(list)
    for record in scanned.records:
        if record.topic == flow.purchase_confirmed:
            message = FoundMessage(record, parse_event(record))
            named = message.event.payment_id if message.event else None
            for owner in {record.key or b"", (named or "").encode()}:
                more[owner].append(message)
    for key in {i.encode() for i in paid} & more.keys():
        every = {(m.record.partition, m.record.offset): m for m in (*messages.get(key, ()), *more[key])}
        messages[key] = list(every.values())


def _with_scanned(letters: tuple[DeadLetter, ...], scanned: SearchResult, flow: Flow) -> tuple[DeadLetter, ...]:
    seen = {(d.record.partition, d.record.offset) for d in letters}
    records = (r for r in scanned.records if r.topic == flow.dead_letters and (r.partition, r.offset) not in seen)
    more = [d for r in records if (d := parse_dead_letter(r)) is not None]
    return tuple(sorted((*letters, *more), key=_by_time)) if more else letters


def _by_time(letter: DeadLetter) -> tuple[bool, datetime | None, int, int]:
    record = letter.record
    return record.timestamp is not None, record.timestamp, record.partition, record.offset


def _of_payment(
    partition: TopicPartition,
    offsets: PurchaseOffsets,
    found: SearchResult,
    messages: tuple[FoundMessage, ...],
    begins: Mapping[TopicPartition, RecordTime | None],
    kept: datetime | None,
    heads: Mapping[TopicPartition, Head],
    letters: tuple[DeadLetter, ...],
    letters_error: str | None,
    *,
    dead_letters_there: bool,
) -> MessageEvidence:
    lag = offsets.lags[partition]
    begin = begins.get(partition)
    return MessageEvidence(
        partition=partition,
        lag=lag,
        messages=messages,
        searched=tuple(r for r in found.searched if r.partition == partition),
        complete=not (unread := _unread(found, partition, messages)),
        incomplete_reason=unread,
        log_begins_at=begin.timestamp if begin else None,
        kept_since=kept,
        log_was_cut=bool(lag.log_start_offset),
        head=heads.get(partition),
        dead_letters=letters,
        dead_letters_error=letters_error,
        dead_letters_absent=not dead_letters_there,
    )


def _unread(found: SearchResult, partition: TopicPartition, messages: tuple[FoundMessage, ...]) -> str | None:
    """Why the search was not whole: a payment whose message was not found may have it in any partition not read."""
    if partition in found.failed or messages:
        return found.failed.get(partition)
    return next(iter(found.failed.values()), None)


def _cut_logs(offsets: PurchaseOffsets, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    starts = {tp: offsets.lags[tp].log_start_offset for tp in partitions}
    return {tp: start for tp, start in starts.items() if start}


def _standing_records(
    kafka: KafkaPort, offsets: PurchaseOffsets, partitions: Iterable[TopicPartition]
) -> dict[TopicPartition, Record]:
    """The record at the committed offset of each partition on which something waits."""
    found: dict[TopicPartition, Record] = {}
    for tp in partitions:
        lag = offsets.lags[tp]
        if not lag.lag_records or lag.unprotected or lag.committed_offset is None:
            continue
        first = next(kafka.records([OffsetRange(tp, lag.committed_offset, lag.committed_offset + 1)]), None)
        if first is not None:
            found[tp] = first
    return found


def _dead_letters(
    kafka: KafkaPort,
    flow: Flow,
    offsets: PurchaseOffsets,
    paid: Mapping[PaymentId, datetime],
    standing: Mapping[TopicPartition, Record],
) -> tuple[tuple[DeadLetter, ...], str | None]:
    """All dead letters of these payments and of the records that partitions stand on, oldest first."""
    logs = offsets.logs_of(flow.dead_letters)
    if not logs:
        return (), f"topic {flow.dead_letters} does not exist"
    earliest = min((*paid.values(), *(r.timestamp for r in standing.values() if r.timestamp is not None)))
    needles = [*(i.encode() for i in paid), *head_needles(r.offset for r in standing.values())]
    found = kafka.search(since(kafka, logs, earliest - BEFORE), needles, anywhere=True)
    letters = [d for d in (parse_dead_letter(r) for r in found.records) if d is not None]
    letters.sort(key=_by_time)
    return tuple(letters), next(iter(found.failed.values()), None)
