"""The verdict of a payment: the first row of docs/decisions.md 2 that holds, with its proof.

A row that a silent system kept from being excluded makes the verdict UNKNOWN: kcfix does not guess.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from kcfix.core.judging import judge_log, judge_tables
from kcfix.core.judging.matching import match_facts, own_course
from kcfix.core.judging.snapshot import PaymentSnapshot, PurchaseWorkers, Reading
from kcfix.core.judging.standby import doubted
from kcfix.core.judging.verdict import OVERDUE, Case, Verdict, VerdictKind
from kcfix.core.payments import PaymentFacts
from kcfix.core.repair.ruling import Ruling
from kcfix.core.working.worker import Work, WorkState

Row = Callable[[Case], Verdict | None]

ROWS: tuple[Row, ...] = (*judge_tables.ROWS, *judge_log.ROWS)
"""The rows after NO_COURSE, in the order of the table."""


def judge(snapshot: PaymentSnapshot, *, overdue: timedelta = OVERDUE, ruling: Ruling | None = None) -> Verdict:
    """The verdict on one payment. `overdue`: how old a payment must be before its missing purchase is a finding.

    With a `ruling` the snapshot's facts must have been read for the ruling's course.
    """
    found = _first_row(snapshot, ROWS, overdue, ruling)
    if found is None:
        raise AssertionError("the last row always holds")
    return doubted(found, snapshot.behind, snapshot.taken_at)


def judge_by_tables(facts: PaymentFacts, taken_at: datetime) -> Verdict | None:
    """The same verdict where the tables alone decide it; None where the log has to be read for it."""
    nothing = Reading[Any].unknown("not looked for")
    workers = PurchaseWorkers(nothing, Work(WorkState.UNKNOWN, ("not looked at",), (), (), frozenset(), None))
    snapshot = PaymentSnapshot(facts.payment_id, taken_at, Reading(facts), nothing, None, workers)
    found = _first_row(snapshot, judge_tables.ROWS, OVERDUE, None)
    # Only whether a purchase was announced is unknown to these rows, and the log tells.
    return None if found is None or found.kind is VerdictKind.UNKNOWN else found


def _first_row(
    snapshot: PaymentSnapshot, rows: Sequence[Row], overdue: timedelta, ruling: Ruling | None
) -> Verdict | None:
    facts = snapshot.facts.value
    if facts is None:
        return Verdict(snapshot.payment_id, VerdictKind.UNKNOWN, f"the database did not answer: {snapshot.facts.error}")
    payment = facts.payment
    if payment is None:
        return Verdict(snapshot.payment_id, VerdictKind.NOT_FOUND, "no such payment in this database")
    if payment.status == "refunded":
        active = [p for p in facts.purchases if p.is_active]
        reason = "the payment was refunded" + (f"; purchase {active[0].id} is still active" if active else "")
        return Verdict(payment.id, VerdictKind.REFUNDED, reason)
    if not payment.succeeded:
        return Verdict(payment.id, VerdictKind.NOT_SUCCEEDED, f"the payment's status is {payment.status}")
    matching = match_facts(facts)
    case = Case(
        snapshot,
        facts,
        payment,
        matching,
        matching.purchase_of(payment.id),
        overdue,
        course_id=(ruling.course_id if ruling else None) or own_course(facts) or payment.course_id,
        tier=payment.tier or (ruling.tier if ruling else None),
    )
    if case.course_id is None:
        return case.verdict(VerdictKind.NO_COURSE, "its metadata names no usable courseId, so no event was ever sent")
    for row in rows:
        found = row(case)
        if found is not None:
            return _with_also(case, found)
    return None


def _with_also(case: Case, verdict: Verdict) -> Verdict:
    also = []
    if verdict.kind is not VerdictKind.BAD_TIER and case.payment.tier is None:
        also.append("the payment states no valid tier")
    if verdict.kind is not VerdictKind.UNKNOWN_COURSE and case.facts.course_known is False:
        also.append("its course is not in the courses table")
    if verdict.purchase is not None and not verdict.purchase.is_active:
        also.append("its purchase is not active")
    looked = case.snapshot.announcement.value if case.snapshot.announcement else None
    if looked is not None and not looked.announcements and not looked.reaches_back:
        also.append("whether it was announced can't be told: the log does not reach back to its purchase")
    evidence = case.snapshot.evidence.value
    if evidence is not None:
        if verdict.kind is not VerdictKind.DEAD_LETTERED and evidence.dead_letters:
            count = len(evidence.dead_letters)
            also.append(f"{count} dead letter{'s' if count != 1 else ''}")
        if verdict.purchase is None and len(evidence.messages) > 1:
            also.append(f"{len(evidence.messages)} copies of its message")
        begins = evidence.log_begins_at
        late = evidence.log_was_cut and (begins is None or begins > case.payment.paid_at)
        if late and verdict.kind in (VerdictKind.NEVER_SENT, VerdictKind.NEVER_EMITTED):
            also.append(
                "the retained log begins after the payment: retention deletes nothing so young, but a person can have"
            )
    if case.payment.confirmed_at is None:
        also.append("confirmed_at is not recorded")
    return replace(verdict, also=tuple(also))
