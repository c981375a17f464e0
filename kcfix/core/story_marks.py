"""By what a payment's things are known, when they are to be looked for, and what kcfix itself did about it before."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from kcfix.core.journal import RunRecord
from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import PaymentId
from kcfix.core.snapshot import PaymentSnapshot
from kcfix.core.story import Marks, OwnStep, allocations_of, purchase_of


def marks_of(snapshot: PaymentSnapshot, steps: Iterable[OwnStep]) -> Marks:
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
        moments += [m.record.timestamp for m in evidence.messages]
    return Marks(
        snapshot.payment_id,
        purchase.id if purchase else None,
        tuple(a.id for a in allocations),
        tuple(sorted({m for m in moments if m is not None})),
        payment.paid_at,
    )


def steps_about(payment_id: PaymentId, runs: Iterable[RunRecord]) -> tuple[OwnStep, ...]:
    found = [
        OwnStep(run.id, run.who, step.at, step.what, step.result)
        for run in runs
        for step in run.steps
        if str(step.what.get("payment_id", "")).lower() == payment_id
    ]
    return tuple(sorted(found, key=lambda s: (s.at is None, s.at, s.run_id)))


def places_of(snapshot: PaymentSnapshot) -> frozenset[tuple[TopicPartition, int]]:
    evidence = snapshot.evidence.value
    records = [m.record for m in evidence.messages] if evidence else []
    return frozenset((TopicPartition(r.topic, r.partition), r.offset) for r in records)
