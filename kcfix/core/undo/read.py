"""Reads what an undo is decided on, and looks for an announcement once more under the worker's lock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from kcfix.core.journal import RunRecord
from kcfix.core.judging.announcements import announcements_of
from kcfix.core.judging.messages import PurchaseOffsets, message_evidence, purchase_offsets
from kcfix.core.judging.snapshot import AnnouncementEvidence, MessageEvidence, Reading
from kcfix.core.move.settlement import Effect, is_checked, settlements
from kcfix.core.offsets import LogOffsets, TopicPartition
from kcfix.core.payments import PaymentFacts, PaymentId, Purchase
from kcfix.core.ports.database import DatabasePort, DeleteOrder, DeleteRecheck
from kcfix.core.ports.kafka import KafkaPort, OffsetRange
from kcfix.core.undo.journal import MovedOffset, inserted_payment, moved_offset
from kcfix.core.undo.offsets import Between, GroupNow
from kcfix.core.undo.plan import UndoFacts
from kcfix.errors import KcfixError, Unreachable
from kcfix.flow import Flow, Stage, foreign_stage


@dataclass(frozen=True, slots=True)
class UndoSources:
    """Where an undo reads. Each is called when it is needed and may raise Unreachable."""

    flow: Flow
    database: Callable[[], DatabasePort]
    kafka: Callable[[], KafkaPort]
    running: Callable[[str], tuple[str, ...]]
    """Names of the running containers of a worker, by its Compose service name."""
    now: Callable[[], datetime]


def read_undo(run: RunRecord, journal: Iterable[RunRecord], sources: UndoSources) -> UndoFacts:
    """What is to be known of each step of the run. What did not answer is a Reading that says so.

    Raises:
        Refused: the database lacks a table that is needed.
    """
    wanted = tuple(dict.fromkeys(p for step in run.steps if (p := inserted_payment(step)) is not None))
    payments, ahead = _payments(wanted, sources)
    known = {i: r.value for i, r in payments.items() if r.value is not None and r.value.payment is not None}
    found: Mapping[PaymentId, Reading[AnnouncementEvidence]] = {}
    messages: Mapping[PaymentId, Reading[MessageEvidence]] = {}
    if known:
        now = sources.now()
        offsets = _offsets(sources.kafka, sources.flow)
        purchases = {i: own for i, facts in known.items() if (own := _own(run, i, facts)) is not None}
        found = announcements_of(sources.kafka, sources.flow, offsets, purchases, now)
        messages = message_evidence(sources.kafka, sources.flow, offsets, known, (), now)
    return UndoFacts(
        now=sources.now(),
        payments=payments,
        announcements=found,
        messages=messages,
        groups=_groups([m for step in run.steps if (m := moved_offset(step)) is not None], sources),
        database_ahead=ahead,
        other_runs=tuple(one for one in journal if one.id != run.id),
    )


def _payments(
    wanted: Sequence[PaymentId], sources: UndoSources
) -> tuple[dict[PaymentId, Reading[PaymentFacts]], timedelta]:
    if not wanted:
        return {}, timedelta(0)
    try:
        database = sources.database()
        ahead = database.identity().now - sources.now()
        facts = database.facts(wanted)
    except Unreachable as error:
        return {i: Reading.unknown(error.message) for i in wanted}, timedelta(0)
    return {i: Reading(facts[i]) for i in wanted}, ahead


def _own(run: RunRecord, payment: PaymentId, facts: PaymentFacts) -> Purchase | None:
    ids = {step.what["purchase_id"] for step in run.steps if inserted_payment(step) == payment}
    return next((p for p in facts.purchases if p.id in ids), None)


def _offsets(kafka: Callable[[], KafkaPort], flow: Flow) -> Reading[PurchaseOffsets]:
    try:
        return Reading(purchase_offsets(kafka(), flow))
    except Unreachable as error:
        return Reading.unknown(error.message)


def _groups(moved: Sequence[MovedOffset], sources: UndoSources) -> dict[str, Reading[GroupNow]]:
    by_group: dict[str, list[MovedOffset]] = defaultdict(list)
    for one in moved:
        by_group[one.group].append(one)
    return {group: _group(group, ones, sources) for group, ones in by_group.items()}


def _group(group: str, moved: Sequence[MovedOffset], sources: UndoSources) -> Reading[GroupNow]:
    stage = sources.flow.stage_of_group(group) or foreign_stage(group, (m.partition.topic for m in moved))
    running: tuple[str, ...] | None = None
    if not stage.is_foreign:
        with suppress(KcfixError):
            running = sources.running(stage.worker)
    try:
        kafka = sources.kafka()
        now = kafka.groups([group])[group]
        committed = kafka.committed([group]).get(group, {})
        logs = kafka.log_offsets([m.partition for m in moved])
    except Unreachable as error:
        return Reading.unknown(error.message)
    between = {
        m.partition: _between(stage, ends, sources)
        for m in moved
        if (ends := _range(m, logs.get(m.partition))) is not None
    }
    return Reading(GroupNow(now.is_empty and now.members_known, running, committed, logs, between))


def _range(moved: MovedOffset, log: LogOffsets | None) -> OffsetRange | None:
    """From the lower offset to the higher one; None where they are no range of the log."""
    if log is None or log.log_start_offset is None or log.log_end_offset is None or moved.before is None:
        return None
    low, high = sorted((moved.made, moved.before))
    if low == high or low < log.log_start_offset or high > log.log_end_offset:
        return None
    return OffsetRange(TopicPartition(*moved.partition), low, high)


def _between(stage: Stage, ends: OffsetRange, sources: UndoSources) -> Reading[Between]:
    count, stop, unsettled = 0, None, None
    try:
        for one in settlements(stage, [ends], sources.kafka(), sources.database):
            if one.stops:
                stop = stop or one
            elif one.effect is Effect.SETTLES:
                unsettled = unsettled or one
                count += 1
    except Unreachable as error:
        return Reading.unknown(error.message)
    return Reading(Between(count, stop, unsettled, is_checked(stage)))


def unannounced(kafka: Callable[[], KafkaPort], flow: Flow, now: Callable[[], datetime]) -> DeleteRecheck:
    """The re-check of a deletion: None only if the log reaches back to the purchase and holds no announcement of it.

    Raises:
        Unreachable: (the re-check) whether it was announced can't be told, so nothing may be deleted.
    """

    def recheck(order: DeleteOrder, facts: PaymentFacts) -> str | None:
        purchase = order.purchase
        if any(a.allocated or a.requested_at >= purchase.created_at for a in facts.allocations):
            return "an allocation of its student and course is there; something acts on the purchase"
        wanted = {order.payment_id: purchase}
        found = announcements_of(kafka, flow, _offsets(kafka, flow), wanted, now())[order.payment_id]
        if found.value is None:
            raise Unreachable(f"whether it was announced: {found.error}", system="kafka")
        if found.value.announcements:
            return "its announcement was sent; the allocation worker acts on it"
        if not found.value.reaches_back:
            return "the log does not reach back to the purchase, so it may have been announced"
        return None

    return recheck
