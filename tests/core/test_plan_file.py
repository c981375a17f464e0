"""A step of a plan file names every fact that it rests on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kcfix.core.judging.snapshot import PaymentSnapshot, Snapshots
from kcfix.core.payments import PaymentFacts
from kcfix.core.repair.plan import Action, Step, Wishes, plan_repair
from kcfix.core.repair.plan_file import differences, facts_of
from kcfix.core.working.worker import WorkState
from kcfix.flow import Flow
from tests.core.snapshots import (
    OTHER,
    PAID_AT,
    allocation,
    announcement,
    body,
    event_row,
    evidence,
    facts,
    found,
    minutes,
    payment,
    purchase,
    snapshot,
    workers,
)

WORKING = workers(WorkState.WORKING, PAID_AT - minutes(30), member=True)
ELSEWHERE = "00000000-0000-4000-8000-000000000003"


def planned(of: PaymentSnapshot) -> Step:
    [step] = plan_repair(Snapshots({of.payment_id: of}, of.workers), Wishes(), Flow()).steps
    return step


def paid(**changes: Any) -> PaymentFacts:
    return facts(payment(**changes))


BOUGHT = purchase()
INSERT = snapshot(seen=evidence())
REPLAY = snapshot(facts(events=()), seen=evidence(found(2)), by=WORKING)
ANNOUNCE = snapshot(facts(purchases=(BOUGHT,)), announced=announcement(sent=False))
SECOND = payment(id=OTHER, confirmed_at=PAID_AT + minutes(5))
DARK = {"courseId": payment().course_id, "sessionCount": 20, "timeSlot": "5:00 PM"}


@pytest.mark.parametrize(
    ("then", "now", "name"),
    [
        (INSERT, snapshot(facts(siblings=(payment(), SECOND))), "payments_of_student_and_course"),
        (INSERT, snapshot(facts(allocations=(allocation("pending", 0),))), "allocations"),
        (INSERT, snapshot(facts(events=(event_row(payload=body(metadata=DARK)),))), "insert.metadata_sha256"),
        (INSERT, snapshot(paid(amount_minor=1)), "payment.amount_minor"),
        (INSERT, snapshot(paid(currency="USD")), "payment.currency"),
        (INSERT, snapshot(paid(confirmed_at=PAID_AT - minutes(1))), "payment.paid_at"),
        (INSERT, snapshot(paid(student_id=ELSEWHERE)), "payment.student_id"),
        (INSERT, snapshot(paid(metadata=DARK)), "payment.metadata_sha256"),
        (INSERT, snapshot(seen=evidence(found(2))), "message"),
        (REPLAY, snapshot(facts(events=()), evidence(found(2, value=b" " + (found(2).record.value or b""))), WORKING),
         "replay.value_sha256"),
        (ANNOUNCE, snapshot(facts(purchases=(replace(BOUGHT, id=ELSEWHERE),)), announced=announcement(sent=False)),
         "announce.purchase_id"),
        (ANNOUNCE, snapshot(facts(purchases=(BOUGHT,), allocations=(allocation("rejected", 0, PAID_AT),)),
                            announced=announcement(sent=False)), "allocations"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_fact_that_is_another_now_is_named(then: PaymentSnapshot, now: PaymentSnapshot, name: str) -> None:
    before, after = planned(then), planned(now)
    assert before.action.changes
    assert name in {text.split(" was ")[0] for text in differences(facts_of(before), facts_of(after))}


def test_the_same_world_rests_on_the_same_facts() -> None:
    for one, action in ((INSERT, Action.INSERT), (REPLAY, Action.REPLAY), (ANNOUNCE, Action.ANNOUNCE)):
        assert planned(one).action is action
        assert differences(facts_of(planned(one)), facts_of(planned(one))) == ()
