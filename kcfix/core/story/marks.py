"""By what a payment's things are known, when they are to be looked for, and what kcfix itself did about it before."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from kcfix.core.journal import RunRecord
from kcfix.core.judging.snapshot import PaymentSnapshot
from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import PaymentId
from kcfix.core.story.payment_story import Marks, OwnStep, allocations_of, purchase_of

SANE = timedelta(days=1)
"""How far a record's time may lie in the future: a producer's clock can be wrong by any amount."""


def marks_of(snapshot: PaymentSnapshot, steps: Iterable[OwnStep]) -> Marks:
    """The ids of the payment's things, and the times around which its records are looked for."""
    facts = snapshot.facts.value
    payment = facts.payment if facts else None
    if facts is None or payment is None:
        return Marks(snapshot.payment_id, moments=tuple(sorted(s.at for s in steps if s.at is not None)))
    purchase = purchase_of(facts)
    allocations = allocations_of(facts)
    moments: list[datetime | None] = [payment.paid_at]
    moments += [e.processed_at for e in facts.events]
    moments += [s.at for s in steps]
    moments += [a.requested_at for a in allocations[:1]] + [a.requested_at for a in allocations if a.allocated]
    if purchase is not None:
        moments.append(purchase.created_at)
    evidence = snapshot.evidence.value
    if evidence is not None:
        written = [m.record.timestamp for m in evidence.messages]
        moments += [at for at in written if at is not None and at <= snapshot.taken_at + SANE]
    return Marks(
        snapshot.payment_id,
        purchase.id if purchase else None,
        tuple(a.id for a in allocations),
        tuple(sorted({m for m in moments if m is not None})),
        payment.paid_at,
    )


def steps_about(payment_id: PaymentId, runs: Iterable[RunRecord]) -> tuple[OwnStep, ...]:
    """The steps of earlier runs about this payment, in the order of time."""
    found = [
        OwnStep(run.id, run.who, step.at, step.what, step.result)
        for run in runs
        for step in run.steps
        if str(step.what.get("payment_id", "")).lower() == payment_id
    ]
    return tuple(sorted(found, key=lambda s: (s.at is None, s.at, s.run_id)))


def places_of(snapshot: PaymentSnapshot) -> frozenset[tuple[TopicPartition, int]]:
    """Where its PURCHASE_CONFIRMED records lie, by which log lines name them."""
    evidence = snapshot.evidence.value
    records = [m.record for m in evidence.messages] if evidence else []
    return frozenset((TopicPartition(r.topic, r.partition), r.offset) for r in records)
