"""Every row of docs/decisions.md 2: the first that holds is the verdict."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from kcfix.core.events import own_purchase_id
from kcfix.core.judging.announcements import needs_announcement
from kcfix.core.judging.judge import judge
from kcfix.core.judging.snapshot import (
    AnnouncementEvidence,
    FoundMessage,
    MessageEvidence,
    PaymentSnapshot,
    PurchaseWorkers,
    Reading,
)
from kcfix.core.judging.verdict import VerdictKind as V
from kcfix.core.payments import PaymentFacts
from kcfix.core.working.worker import WorkState
from tests.core.snapshots import (
    NOW,
    OTHER,
    PAID_AT,
    PARTITION,
    PAYMENT,
    allocation,
    announcement,
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

EARLIER = payment(id=OTHER, confirmed_at=PAID_AT - minutes(5), created_at=PAID_AT - minutes(6))
OWN = purchase(own_purchase_id(PAYMENT))
YOUNG = payment(confirmed_at=NOW - timedelta(seconds=20))
SILENT: Reading[MessageEvidence] = Reading.unknown("kafka did not answer within 3 s")
STARTED_LATER = PAID_AT + minutes(10)
STARTED_BEFORE = PAID_AT - minutes(10)


def two(first: object, second: object, *purchases: object, **changes: object) -> PaymentFacts:
    """Facts of a payment whose student paid twice for the course."""
    return replace(facts(), siblings=(first, second), purchases=purchases, **changes)  # type: ignore[arg-type]


def elsewhere(offset: int) -> FoundMessage:
    """The payment's message on another partition than its key leads to."""
    there = found(offset)
    return FoundMessage(replace(there.record, partition=(PARTITION.partition + 1) % 3), there.event)


CASES: list[tuple[str, V, PaymentSnapshot]] = [
    ("no row", V.NOT_FOUND, snapshot(PaymentFacts(PAYMENT, None))),
    ("refunded", V.REFUNDED, snapshot(facts(payment(status="refunded")))),
    ("failed", V.NOT_SUCCEEDED, snapshot(facts(payment(status="failed")))),
    ("a status nobody knows", V.NOT_SUCCEEDED, snapshot(facts(payment(status="odd")))),
    ("no course", V.NO_COURSE, snapshot(facts(payment(metadata={"sessionCount": 20})))),
    ("course_id in place of courseId", V.NO_COURSE, snapshot(facts(payment(metadata={"course_id": "x"})))),
    ("two active purchases", V.DUPLICATE_PURCHASES, snapshot(facts(purchases=(purchase(), OWN)))),
    ("the other payment has it", V.SECOND_PAYMENT, snapshot(two(EARLIER, payment(), purchase()))),
    (
        "a purchase that no payment explains",
        V.SECOND_PAYMENT,
        snapshot(facts(purchases=(purchase(created_at=PAID_AT - minutes(60)),))),
    ),
    ("another tier", V.WRONG_TIER, snapshot(facts(purchases=(purchase(tier=30),), allocations=(allocation(),)))),
    ("nothing announced", V.UNANNOUNCED, snapshot(facts(purchases=(purchase(),)), announced=announcement(sent=False))),
    (
        "kcfix's own, just now",
        V.UNANNOUNCED,
        snapshot(facts(purchases=(replace(OWN, created_at=NOW),)), announced=announcement(sent=False)),
    ),
    (
        "announced, not allocated",
        V.NO_ALLOCATION,
        snapshot(facts(purchases=(purchase(),)), announced=announcement(sent=True)),
    ),
    (
        "the log does not reach back",
        V.NO_ALLOCATION,
        snapshot(facts(purchases=(purchase(),)), announced=announcement(sent=False, reaches_back=False)),
    ),
    (
        "pending rows only",
        V.PENDING_ALLOCATION,
        snapshot(facts(purchases=(purchase(),), allocations=(allocation("pending", 0),))),
    ),
    (
        "no sessions",
        V.NO_SESSIONS,
        snapshot(facts(purchases=(purchase(),), allocations=(allocation(sessions=0),))),
    ),
    ("all there", V.PURCHASED, snapshot(facts(purchases=(purchase(),), allocations=(allocation(),)))),
    (
        "all there, Kafka silent",
        V.PURCHASED,
        snapshot(facts(purchases=(purchase(),), allocations=(allocation(),)), SILENT),
    ),
    (
        "made a minute ago by the worker, nothing else yet",
        V.PURCHASED,
        snapshot(facts(purchases=(purchase(created_at=NOW - minutes(1)),)), announced=announcement(sent=False)),
    ),
    ("its purchase was put out of use", V.PURCHASED, snapshot(facts(purchases=(purchase(is_active=False),)))),
    (
        "fails at the committed offset",
        V.POISON,
        snapshot(seen=evidence(found(5), head=head(5, "tier check"))),
    ),
    ("tier 12", V.BAD_TIER, snapshot(facts(payment(metadata={"courseId": payment().course_id, "sessionCount": 12})))),
    ("no tier", V.BAD_TIER, snapshot(facts(payment(metadata={"courseId": payment().course_id})))),
    ("a course that is not there", V.UNKNOWN_COURSE, snapshot(facts(course_known=False))),
    ("behind a failing record", V.BLOCKED, snapshot(seen=evidence(found(7), head=head(5, "x", payment_id=OTHER)))),
    ("behind the offset, dead letters unread", V.UNKNOWN, snapshot(seen=evidence(found(2), dead_letters_error="slow"))),
    (
        "behind the offset, without a topic of dead letters",
        V.SKIPPED,
        snapshot(seen=evidence(found(2), dead_letters_error="no topic", dead_letters_absent=True)),
    ),
    (
        "waiting behind a record that may fail: dead letters unread",
        V.UNKNOWN,
        snapshot(seen=evidence(found(7), head=head(5), dead_letters_error="slow")),
    ),
    (
        "an old copy on another partition, at an offset where that of the newer one fails",
        V.BLOCKED,
        snapshot(seen=evidence(elsewhere(5), found(7), head=head(5, "x", payment_id=OTHER))),
    ),
    ("behind what can't be decoded", V.BLOCKED, snapshot(seen=evidence(found(7), head=head(5, "x", payment_id=None)))),
    ("young, no message yet", V.IN_FLIGHT, snapshot(facts(YOUNG))),
    (
        "replayed just now, a member is there",
        V.IN_FLIGHT,
        snapshot(
            seen=evidence(found(8, NOW - timedelta(seconds=5))),
            by=workers(WorkState.WORKING, STARTED_BEFORE, member=True),
        ),
    ),
    ("at the committed offset", V.PENDING, snapshot(seen=evidence(found(5)))),
    ("past the committed offset", V.PENDING, snapshot(seen=evidence(found(8), head=head(5)))),
    (
        "unprotected, no start since",
        V.AT_RISK,
        snapshot(seen=evidence(found(3), committed=None), by=workers(WorkState.NOT_WORKING, STARTED_BEFORE)),
    ),
    ("committed beyond the log end", V.AT_RISK, snapshot(seen=evidence(found(3), committed=99))),
    (
        "unprotected, started since",
        V.SKIPPED,
        snapshot(seen=evidence(found(3), committed=None), by=workers(WorkState.IDLE, STARTED_BEFORE, STARTED_LATER)),
    ),
    (
        "unprotected, passed over with a dead letter",
        V.DEAD_LETTERED,
        snapshot(seen=evidence(found(3), committed=None, dead_letters=(dead_letter(3),))),
    ),
    ("behind, with a dead letter", V.DEAD_LETTERED, snapshot(seen=evidence(found(2), dead_letters=(dead_letter(2),)))),
    ("behind the committed offset", V.SKIPPED, snapshot(seen=evidence(found(2)))),
    (
        "the log begins later",
        V.EXPIRED,
        snapshot(seen=evidence(start=7, committed=8, log_begins_at=PAID_AT + minutes(5))),
    ),
    ("the log was emptied", V.EXPIRED, snapshot(seen=evidence(start=9, committed=9))),
    ("recorded, not sent", V.NEVER_SENT, snapshot()),
    (
        "cut, but not so late",
        V.NEVER_SENT,
        snapshot(seen=evidence(start=7, committed=8, log_begins_at=PAID_AT - minutes(5))),
    ),
    (
        "emptied by retention before the payment",
        V.NEVER_SENT,
        snapshot(seen=evidence(start=9, committed=9, kept_since=PAID_AT - timedelta(days=7))),
    ),
    ("where the log begins could not be read", V.UNKNOWN, snapshot(seen=evidence(start=7, committed=8))),
    ("neither recorded nor sent", V.NEVER_EMITTED, snapshot(facts(events=()))),
    (
        "only a row of another type",
        V.NEVER_EMITTED,
        snapshot(facts(events=(event_row(event_type="PURCHASE_CREATED"),))),
    ),
    ("the database is silent", V.UNKNOWN, snapshot(Reading.unknown("no answer"))),
    ("Kafka is silent", V.UNKNOWN, snapshot(seen=SILENT)),
    (
        "Kafka is silent, tier 12",
        V.UNKNOWN,
        snapshot(facts(payment(metadata={"courseId": payment().course_id, "sessionCount": 12})), SILENT),
    ),
    ("the search was cut short", V.UNKNOWN, snapshot(seen=evidence(complete=False, incomplete_reason="time is up"))),
    (
        "not allocated, and whether announced is unknown",
        V.UNKNOWN,
        snapshot(facts(purchases=(purchase(),)), announced=Reading[AnnouncementEvidence].unknown("no answer")),
    ),
]


@pytest.mark.parametrize(("expected", "given"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_the_first_row_that_holds_is_the_verdict(expected: V, given: PaymentSnapshot) -> None:
    verdict = judge(given)
    assert verdict.kind is expected, verdict.reason
    assert verdict.reason


def test_every_verdict_has_a_case() -> None:
    assert {case[1] for case in CASES} == set(V)


@pytest.mark.parametrize(
    ("metadata", "kind"),
    [
        ({"upgrade": True}, "upgrade"),
        ({"upgrade": "true"}, "upgrade"),
        ({"cycleNo": 2}, "next_cycle"),
        ({}, "double_charge"),
    ],
)
def test_a_second_payment_is_told_by_its_kind(metadata: dict[str, object], kind: str) -> None:
    second = payment(metadata={**payment().metadata, **metadata})  # type: ignore[dict-item]
    verdict = judge(snapshot(replace(two(EARLIER, second, purchase()), payment=second)))
    assert (verdict.kind, verdict.detail) == (V.SECOND_PAYMENT, kind)


def test_a_second_payment_days_later_is_no_double_charge() -> None:
    earlier = replace(EARLIER, confirmed_at=PAID_AT - timedelta(days=3))
    bought = purchase(created_at=PAID_AT - timedelta(days=3) + timedelta(seconds=2))
    assert judge(snapshot(two(earlier, payment(), bought))).detail == "other"


def test_unknown_whether_a_worker_started_is_said() -> None:
    by: PurchaseWorkers = workers(containers_known=False)
    verdict = judge(snapshot(seen=evidence(found(3), committed=None), by=by))
    assert verdict.kind is V.AT_RISK
    assert "not known" in verdict.reason


def test_further_facts_are_said_too() -> None:
    verdict = judge(snapshot(seen=evidence(found(5), found(7), dead_letters=(dead_letter(5),))))
    assert verdict.kind is V.PENDING
    assert verdict.also == ("1 dead letter", "2 copies of its message")


@pytest.mark.parametrize("log_begins_at", [None, PAID_AT + minutes(5)])
def test_a_log_that_begins_late_though_retention_has_not_reached_the_payment_is_said(
    log_begins_at: datetime | None,
) -> None:
    kept = PAID_AT - timedelta(days=7)
    verdict = judge(snapshot(seen=evidence(start=9, committed=9, log_begins_at=log_begins_at, kept_since=kept)))
    assert verdict.kind is V.NEVER_SENT
    assert "a person can have" in verdict.also[0]
    assert judge(snapshot()).also == ()


@pytest.mark.parametrize("junk", [b"{", b"", b'{"type":"PURCHASE_CONFIRMED"}'])
def test_junk_under_the_payments_key_does_not_hide_its_message(junk: bytes) -> None:
    verdict = judge(snapshot(seen=evidence(found(2), found(7, value=junk))))
    assert verdict.kind is V.SKIPPED
    assert verdict.message is not None
    assert verdict.message.record.offset == 2


def test_a_payment_from_the_future_is_not_in_flight_for_ever() -> None:
    row = payment(confirmed_at=NOW + minutes(30))
    assert judge(snapshot(facts(row))).kind is V.NEVER_SENT
    assert judge(snapshot(facts(payment(confirmed_at=NOW + timedelta(seconds=5))))).kind is V.IN_FLIGHT


def test_an_allocation_that_was_requested_as_the_purchase_was_made_follows_it() -> None:
    made = purchase()
    asked = allocation("rejected", sessions=0, at=made.created_at)
    assert needs_announcement(facts(purchases=(made,), allocations=(asked,))) is None
    earlier = allocation("rejected", sessions=0, at=made.created_at - timedelta(milliseconds=1))
    assert needs_announcement(facts(purchases=(made,), allocations=(earlier,))) == made
