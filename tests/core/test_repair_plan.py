"""What would be done about each verdict, and when a replay is safe (docs/decisions.md 3)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from kcfix.core.events import advisory_lock_key, own_event_id, own_purchase_id
from kcfix.core.judging.snapshot import AnnouncementEvidence, MessageEvidence, PaymentSnapshot, Reading, Snapshots
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.payments import PaymentFacts
from kcfix.core.repair.confirmed_message import Origin
from kcfix.core.repair.order import announcement_changed, recheck
from kcfix.core.repair.plan import Action, Step, Strategy, Wishes, plan_repair
from kcfix.core.working.worker import WorkState
from kcfix.flow import Flow
from tests.core.snapshots import (
    COURSE,
    EVENT,
    OTHER,
    PAID_AT,
    PAYMENT,
    STUDENT,
    allocation,
    announcement,
    body,
    dead_letter,
    event_row,
    evidence,
    facts,
    found,
    head,
    minutes,
    payment,
    purchase,
    snapshot,
    workers,
)

WORKING = workers(WorkState.WORKING, PAID_AT - minutes(30), member=True)
IDLE = workers(WorkState.IDLE, PAID_AT - minutes(30), member=True)
UNPROVEN = workers(WorkState.UNPROVEN, PAID_AT - minutes(30), member=True)
SILENT: Reading[MessageEvidence] = Reading.unknown("no answer")


def planned(of: PaymentSnapshot, **wishes: Any) -> Step:
    """The step for one payment."""
    [step] = plan_repair(Snapshots({of.payment_id: of}, of.workers), Wishes(**wishes), Flow()).steps
    return step


def value_of(step: Step) -> Any:
    """The JSON that a replay would send."""
    assert step.replay is not None
    return json.loads(step.replay.message.value)


@pytest.mark.parametrize(
    ("given", "action"),
    [
        (snapshot(facts(purchases=(purchase(),), allocations=(allocation(),))), Action.NOTHING),
        (snapshot(seen=evidence(found(5))), Action.WAIT),
        (snapshot(seen=evidence(found(7), head=head(5, "x", payment_id=OTHER))), Action.WAIT),
        (snapshot(), Action.INSERT),
        (snapshot(by=WORKING), Action.REPLAY),
        (snapshot(by=IDLE), Action.REPLAY),
        (snapshot(by=UNPROVEN), Action.INSERT),
        (snapshot(seen=evidence(found(5), head=head(5, "boom")), by=WORKING), Action.INSERT),
        (snapshot(facts(purchases=(purchase(),)), announced=announcement(sent=False)), Action.ANNOUNCE),
        (snapshot(facts(payment(status="refunded"))), Action.REFUSE),
        (snapshot(facts(course_known=False), by=WORKING), Action.REFUSE),
        (snapshot(seen=SILENT), Action.UNKNOWN),
    ],
)
def test_each_verdict_has_its_default(given: PaymentSnapshot, action: Action) -> None:
    step = planned(given)
    assert step.action is action, step.why
    assert step.why


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (snapshot(seen=evidence(committed=None), by=WORKING), "no usable committed offset"),
        (snapshot(seen=evidence(found(2), dead_letters=(dead_letter(2),)), by=WORKING), "dead letter"),
        (snapshot(seen=evidence(dead_letters_error="slow"), by=WORKING), "dead letter could not be read"),
        (snapshot(seen=evidence(head=head(5, "boom", payment_id=OTHER)), by=WORKING), "stands on a record that fails"),
        (snapshot(facts(events=(event_row(event_id="purchase-confirmed-1"),)), by=WORKING), "no UUID"),
        (snapshot(facts(events=(event_row(payload=body(metadata="{}")),)), by=WORKING), "tier 30"),
        (snapshot(facts(events=(event_row(payload=body(courseId=STUDENT)),)), by=WORKING), "another course"),
        (snapshot(facts(events=(event_row(payload=body(studentId=COURSE)),)), by=WORKING), "another student"),
        (snapshot(facts(events=(event_row(payload=body(paymentId=OTHER)),)), by=WORKING), "another payment"),
        (
            snapshot(facts(payment(metadata=json.dumps({"courseId": COURSE, "sessionCount": 20}))), by=WORKING),
            "metadata is a string",
        ),
        (
            snapshot(
                replace(facts(), siblings=(payment(), payment(id=OTHER, confirmed_at=PAID_AT + minutes(1)))), by=WORKING
            ),
            "another payment of that student and course",
        ),
        (snapshot(by=replace(WORKING, work=replace(WORKING.work, held=frozenset()))), "no proven member holds"),
    ],
)
def test_a_replay_that_would_not_do_becomes_an_insert_and_is_refused_when_named(
    given: PaymentSnapshot, why: str
) -> None:
    step = planned(given)
    assert (step.action, why in step.why) == (Action.INSERT, True), step.why
    named = planned(given, strategy=Strategy.REPLAY)
    assert (named.action, why in named.why) == (Action.REFUSE, True), named.why


def test_a_poison_message_is_never_replayed() -> None:
    step = planned(snapshot(seen=evidence(found(5), head=head(5, "x")), by=WORKING), strategy=Strategy.REPLAY)
    assert step.action is Action.REFUSE


def test_a_waiting_payment_is_inserted_only_when_that_is_named() -> None:
    waiting = snapshot(seen=evidence(found(5)))
    assert planned(waiting, strategy=Strategy.REPLAY).action is Action.WAIT
    step = planned(waiting, strategy=Strategy.INSERT)
    assert step.action is Action.INSERT
    assert "once more" in step.notes[0]


def test_kafka_silent_an_insert_needs_both_words() -> None:
    silent = snapshot(seen=SILENT)
    assert planned(silent, strategy=Strategy.INSERT).action is Action.UNKNOWN
    step = planned(silent, strategy=Strategy.INSERT, announce_later=True)
    assert (step.verdict.kind, step.action) == (VerdictKind.UNKNOWN, Action.INSERT)


@pytest.mark.parametrize("offset", [2, 7], ids=["passed", "waiting"])
def test_where_dead_letters_can_not_be_read_only_an_insert_by_name_is_done(offset: int) -> None:
    unread = snapshot(seen=evidence(found(offset), head=head(5), dead_letters_error="slow"), by=WORKING)
    step = planned(unread)
    assert (step.verdict.kind, step.action) == (VerdictKind.UNKNOWN, Action.UNKNOWN)
    assert "--strategy insert" in step.why
    assert planned(unread, strategy=Strategy.REPLAY).action is Action.UNKNOWN
    assert planned(unread, strategy=Strategy.INSERT).action is Action.INSERT


def test_a_replay_sends_the_found_event_byte_for_byte() -> None:
    message = found(2)
    step = planned(snapshot(seen=evidence(message), by=WORKING))
    assert step.replay is not None
    assert step.replay.origin is Origin.TOPIC
    assert step.replay.message.value == message.record.value
    assert step.replay.message.headers == message.record.headers
    assert step.replay.message.key == PAYMENT.encode()


def test_a_replay_rebuilds_the_recorded_event_with_its_own_id() -> None:
    step = planned(snapshot(by=WORKING))
    assert step.replay is not None
    assert step.replay.origin is Origin.RECORDED
    value = value_of(step)
    assert value.pop("_metadata") == {
        "eventId": EVENT,
        "correlationId": PAYMENT,
        "source": "payment-service",
        "version": "1.0.0",
        "timestamp": int(PAID_AT.timestamp() * 1000),
    }
    assert value == body()
    assert dict(step.replay.message.headers)["eventId"] == EVENT.encode()


def test_an_event_built_from_the_payment_is_the_same_in_every_run() -> None:
    given = snapshot(facts(events=()), by=WORKING)
    first, second = planned(given), planned(given)
    assert first.replay is not None
    assert first.replay == second.replay
    assert first.replay.origin is Origin.BUILT
    assert value_of(first)["_metadata"]["eventId"] == own_event_id(PAYMENT)
    assert value_of(first)["metadata"] == {"courseId": COURSE, "sessionCount": 20}


def test_headers_of_another_name_do_not_stand_for_those_that_are_missing() -> None:
    bare = found(2)
    odd = replace(bare, record=replace(bare.record, headers=(("traceparent", b"00"),)))
    step = planned(snapshot(seen=evidence(odd), by=WORKING))
    assert step.replay is not None
    assert {"traceparent", "eventId", "correlationId", "eventType"} <= dict(step.replay.message.headers).keys()


def test_headers_that_were_never_sent_are_made() -> None:
    bare = found(2)
    bare = replace(bare, record=replace(bare.record, headers=()))
    step = planned(snapshot(seen=evidence(bare), by=WORKING))
    assert step.replay is not None
    assert dict(step.replay.message.headers) == {
        "eventId": EVENT.encode(),
        "correlationId": PAYMENT.encode(),
        "eventType": b"PURCHASE_CONFIRMED",
        "source": b"payment-service",
        "version": b"1.0.0",
    }


def test_the_inserted_row_is_what_the_worker_would_have_written() -> None:
    paid = payment(metadata={"courseId": COURSE, "sessionCount": "20", "a": 1, "b": 1, "expiryDate": "2026-12-31"})
    row = event_row(payload=body(metadata={"b": 2, "sessionCount": "20"}))
    step = planned(snapshot(facts(paid, events=(row,))))
    assert step.order is not None
    assert step.order.purchase_id == own_purchase_id(PAYMENT)
    assert step.order.tier == 20
    assert step.order.expiry_date == "2026-12-31"
    assert step.order.metadata == {
        "a": 1,
        "b": 2,
        "courseId": COURSE,
        "sessionCount": 20,
        "purchaseTier": 20,
        "expiryDate": "2026-12-31",
    }


def test_the_locks_are_over_the_ids_as_every_writer_wrote_them() -> None:
    course = "00000000-0000-4000-8000-00000000000a"
    paid = payment(metadata={"courseId": course.upper(), "sessionCount": 20})
    step = planned(snapshot(facts(paid, events=(event_row(payload=body(courseId=course.upper())),))))
    assert step.order is not None
    assert step.order.lock_keys == tuple(
        sorted({advisory_lock_key(STUDENT, course), advisory_lock_key(STUDENT, course.upper())})
    )


def test_of_two_payments_for_one_course_only_the_older_is_settled() -> None:
    older = payment(id=OTHER, confirmed_at=PAID_AT - minutes(5))
    both = (older, payment())
    mine = snapshot(replace(facts(), siblings=both))
    theirs = replace(mine, payment_id=OTHER, facts=Reading(replace(facts(older), payment_id=OTHER, siblings=both)))
    plan = plan_repair(Snapshots({PAYMENT: mine, OTHER: theirs}, mine.workers), Wishes(), Flow())
    assert [(s.payment_id, s.action) for s in plan.steps] == [(OTHER, Action.INSERT), (PAYMENT, Action.REFUSE)]


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (facts(), None),
        (replace(facts(), payment=None), "gone"),
        (facts(payment(status="refunded")), "status is now refunded"),
        (facts(payment(metadata={"courseId": COURSE, "sessionCount": 30})), "tier changed"),
        (facts(payment(amount_minor=1)), "row changed"),
        (facts(purchases=(purchase(),)), "purchases"),
        (replace(facts(), siblings=(payment(), payment(id=OTHER))), "another payment"),
        (facts(course_known=False), "courses table"),
    ],
)
def test_the_recheck_names_the_fact_that_changed(now: Any, reason: str | None) -> None:
    order = planned(snapshot()).order
    assert order is not None
    said = recheck(order, now)
    assert (said is None) if reason is None else reason in (said or "")


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (facts(purchases=(purchase(),)), None),
        (replace(facts(), payment=None), "the payment row is gone"),
        (facts(payment(status="refunded"), purchases=(purchase(),)), "the payment's status is now refunded"),
        (facts(), "its purchase is no longer there, or another one"),
        (facts(purchases=(purchase(OTHER),)), "its purchase is no longer there, or another one"),
        (
            facts(purchases=(purchase(),), allocations=(allocation("pending", 0),)),
            "the allocations of this student and course changed",
        ),
    ],
)
def test_what_keeps_an_announcement_from_being_sent_is_named(now: PaymentFacts, reason: str | None) -> None:
    assert announcement_changed(purchase(), facts(purchases=(purchase(),)), now) == reason


def test_a_purchase_of_which_only_the_announcement_is_unknown_is_not_inserted_again() -> None:
    quiet: Reading[AnnouncementEvidence] = Reading.unknown("no answer")
    step = planned(
        snapshot(facts(purchases=(purchase(),)), SILENT, announced=quiet), strategy=Strategy.INSERT, announce_later=True
    )
    assert (step.verdict.kind, step.action) == (VerdictKind.UNKNOWN, Action.UNKNOWN)
