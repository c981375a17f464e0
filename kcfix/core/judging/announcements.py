"""Whether PURCHASE_CREATED was sent for a purchase, as far as the log reaches (docs/decisions.md 2, row 7)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from kcfix.core.events import Record, parse_event
from kcfix.core.judging.matching import TOLERANCE, match_facts
from kcfix.core.judging.messages import PurchaseOffsets
from kcfix.core.judging.snapshot import AnnouncementEvidence, Reading
from kcfix.core.judging.windows import kept_since, since
from kcfix.core.offsets import NOTHING_COMMITTED, TopicPartition, partition_lag
from kcfix.core.payments import PaymentFacts, PaymentId, Purchase
from kcfix.core.ports.kafka import KafkaPort
from kcfix.errors import Unreachable
from kcfix.flow import Flow


def needs_announcement(facts: PaymentFacts) -> Purchase | None:
    """The active purchase of this payment that nothing has followed yet; None where there is none, or something has."""
    if facts.payment is None or not facts.payment.succeeded:
        return None
    purchase = match_facts(facts).purchase_of(facts.payment_id)
    if purchase is None or not purchase.is_active:
        return None
    followed = any(a.allocated or a.requested_at >= purchase.created_at for a in facts.allocations)
    return None if followed else purchase


def announcements(
    kafka: Callable[[], KafkaPort],
    flow: Flow,
    offsets: Reading[PurchaseOffsets],
    facts: Mapping[PaymentId, PaymentFacts],
    now: datetime,
) -> dict[PaymentId, Reading[AnnouncementEvidence]]:
    """For each payment whose purchase nothing has followed: the announcements of it, whatever their key."""
    wanted = {i: p for i, f in facts.items() if (p := needs_announcement(f)) is not None}
    return announcements_of(kafka, flow, offsets, wanted, now)


def announcements_of(
    kafka: Callable[[], KafkaPort],
    flow: Flow,
    offsets: Reading[PurchaseOffsets],
    wanted: Mapping[PaymentId, Purchase],
    now: datetime,
) -> dict[PaymentId, Reading[AnnouncementEvidence]]:
    """The announcements of these purchases, whatever their key; what could not be read is a Reading with its error."""
    if not wanted:
        return {}
    if offsets.value is None:
        return {i: Reading.unknown(offsets.error or "") for i in wanted}
    logs = offsets.value.logs_of(flow.purchase_created)
    if not logs:
        return {i: Reading.unknown(f"topic {flow.purchase_created} does not exist") for i in wanted}
    try:
        return _announcements(kafka(), offsets.value, flow, wanted, now)
    except Unreachable as error:
        return {i: Reading.unknown(error.message) for i in wanted}


def _announcements(
    kafka: KafkaPort, offsets: PurchaseOffsets, flow: Flow, wanted: Mapping[PaymentId, Purchase], now: datetime
) -> dict[PaymentId, Reading[AnnouncementEvidence]]:
    # The purchases were read after the offsets: what announces them may lie beyond the end that the log had then.
    logs = kafka.log_offsets(tuple(offsets.logs_of(flow.purchase_created)))
    failed = {tp: log.error for tp, log in logs.items() if log.error is not None}
    if failed:
        tp, error = next(iter(failed.items()))
        return {i: Reading.unknown(f"offsets of {tp}: {error}") for i in wanted}
    earliest = min(p.created_at for p in wanted.values()) - TOLERANCE
    found = kafka.search(since(kafka, logs, earliest), [p.id.encode() for p in wanted.values()], anywhere=True)
    begins = kafka.record_times({tp: log.log_start_offset for tp, log in logs.items() if log.log_start_offset})
    cut_at = [None if t is None else t.timestamp for t in begins.values()]
    kept = kept_since(kafka, flow.purchase_created, now) if cut_at else None
    by_purchase: dict[str, list[Record]] = defaultdict(list)
    for record in found.records:
        event = parse_event(record)
        if event is not None and event.purchase_id is not None:
            by_purchase[event.purchase_id].append(record)

    def of(purchase: Purchase) -> Reading[AnnouncementEvidence]:
        mine = tuple(by_purchase.get(purchase.id, ()))
        if found.failed and not mine:
            tp, error = next(iter(found.failed.items()))
            return Reading.unknown(f"{tp}: {error}")
        whole = all(_before(begin, purchase.created_at) or _before(kept, purchase.created_at) for begin in cut_at)
        return Reading(AnnouncementEvidence(purchase.id, mine, whole, _waits(mine, offsets)))

    return {i: of(purchase) for i, purchase in wanted.items()}


def _waits(announcements: Iterable[Record], offsets: PurchaseOffsets) -> bool | None:
    """Whether the allocation group has still to read one of them."""
    found: list[bool | None] = []
    for record in announcements:
        where = TopicPartition(record.topic, record.partition)
        lag = partition_lag(where, offsets.allocation_committed.get(where, NOTHING_COMMITTED), offsets.logs.get(where))
        usable = lag.committed_offset if lag.unprotected is False else None
        found.append(None if usable is None else record.offset >= usable)
    return True if True in found else None if None in found else False


def _before(log_begins_at: datetime | None, moment: datetime) -> bool:
    return log_begins_at is not None and log_begins_at <= moment
