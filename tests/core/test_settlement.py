"""What a worker would do with a message now: one row a case."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kcfix.core.events import Record, own_purchase_id
from kcfix.core.move.settlement import Effect, Known, Settlement, settlement
from kcfix.core.payments import Allocation, Payment, PaymentFacts, PaymentId, Purchase
from kcfix.flow import Flow

T = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
PAYMENT = PaymentId("00000000-0000-4000-8000-000000000001")
OTHER = PaymentId("00000000-0000-4000-8000-000000000002")
STUDENT = "00000000-0000-4000-8000-00000000a001"
COURSE = "00000000-0000-4000-8000-00000000c001"
ALLOCATION = "00000000-0000-4000-8000-00000000b001"
PURCHASE, ALLOCATING, SESSIONS, CACHE, _ = Flow().stages


def payment(payment_id: PaymentId = PAYMENT, *, status: str = "succeeded", metadata: object = None) -> Payment:
    given = {"courseId": COURSE, "sessionCount": 20} if metadata is None else metadata
    return Payment(payment_id, STUDENT, 360000, "INR", status, given, T, T, T)


def purchase(number: int = 1, *, active: bool = True, at: datetime = T + timedelta(seconds=1)) -> Purchase:
    return Purchase(f"00000000-0000-4000-8000-00000000d{number:03}", STUDENT, COURSE, 20, active, at)


def facts(*purchases: Purchase, paid: Payment | None = None, known: bool = True) -> PaymentFacts:
    paid = paid or payment()
    siblings = (paid,) if paid.succeeded else ()
    return PaymentFacts(paid.id, paid, siblings, purchases, course_known=known)


def record(value: bytes | None, topic: str = "purchase-confirmed") -> Record:
    return Record(topic, 0, 7, T, PAYMENT.encode(), value)


def message(topic: str = "purchase-confirmed", /, **changes: object) -> Record:
    """The message of PAYMENT; `changes` of None leave the field out."""
    body: dict[str, object] = {
        "type": "PURCHASE_CONFIRMED",
        "paymentId": PAYMENT,
        "studentId": STUDENT,
        "courseId": COURSE,
        "allocationId": ALLOCATION,
        "metadata": {"courseId": COURSE, "sessionCount": 20},
        "_metadata": {"eventId": OTHER, "correlationId": PAYMENT},
    } | changes
    return record(json.dumps({k: v for k, v in body.items() if v is not None}).encode(), topic)


def known(of: PaymentFacts | None) -> Known:
    return Known(facts={PAYMENT: of} if of else {})


def judged(record: Record, of: PaymentFacts | None = None) -> Settlement:
    return settlement(PURCHASE, record, known(of or facts()))


@pytest.mark.parametrize(
    ("value", "effect", "words"),
    [
        (None, Effect.PASSES, "no value"),
        (b"", Effect.FAILS, "empty"),
        (b"{", Effect.FAILS, "not JSON"),
        (b"\xff\xfe\x00", Effect.FAILS, "not JSON"),
        (b"[" * 100_000, Effect.FAILS, "not JSON"),
        (b"[1]", Effect.FAILS, "no event"),
        (b'\xef\xbb\xbf{"type": "PURCHASE_CONFIRMED"}', Effect.FAILS, "not JSON"),
        (b'{"type": "PURCHASE_CONFIRMED", "amountCents": NaN}', Effect.FAILS, "not JSON"),
        ('{"type": "PURCHASE_CONFIRMED"}'.encode("utf-16"), Effect.FAILS, "not JSON"),
    ],
)
def test_a_value_without_an_event_stops_unless_it_is_null(value: bytes | None, effect: Effect, words: str) -> None:
    for stage in (PURCHASE, ALLOCATING, SESSIONS, CACHE):
        found = settlement(stage, record(value), Known())
        assert (found.effect, found.owed) == (effect, False)
        assert words in found.reason


def test_bytes_that_are_no_utf_8_do_not_keep_the_worker_from_reading_an_event() -> None:
    given = message()
    assert given.value is not None
    bad = replace(given, value=given.value[:-1] + b', "note": "\xff"}')
    assert judged(bad).effect is Effect.SETTLES


def test_an_undecodable_record_is_named_by_its_key() -> None:
    assert judged(record(b"")).payment_id == PAYMENT


@pytest.mark.parametrize(
    ("name", "of", "effect", "owed"),
    [
        ("no purchase", facts(), Effect.SETTLES, True),
        ("its purchase", facts(purchase()), Effect.PASSES, False),
        ("a deactivated purchase", facts(purchase(active=False)), Effect.HARMS, False),
        ("its old purchase and an active one", facts(purchase(1, active=False), purchase(2)), Effect.PASSES, False),
        ("an active purchase of nobody", facts(purchase(at=T - timedelta(days=9))), Effect.PASSES, False),
        ("an old deactivated one", facts(purchase(active=False, at=T - timedelta(days=9))), Effect.SETTLES, True),
        ("an unknown course", facts(known=False), Effect.FAILS, True),
        ("an unknown course, bought all the same", facts(purchase(), known=False), Effect.PASSES, False),
        ("refunded", facts(paid=payment(status="refunded")), Effect.HARMS, False),
        ("refunded, purchase active", facts(purchase(), paid=payment(status="refunded")), Effect.PASSES, False),
        (
            "the payment states another tier",
            facts(paid=payment(metadata={"courseId": COURSE, "sessionCount": 10})),
            Effect.HARMS,
            True,
        ),
        ("the payment states no tier", facts(paid=payment(metadata={"courseId": COURSE})), Effect.HARMS, True),
        ("the payment names no course", facts(paid=payment(metadata={"sessionCount": 20})), Effect.HARMS, True),
    ],
)
def test_a_purchase_message_by_what_the_tables_say(name: str, of: PaymentFacts, effect: Effect, owed: bool) -> None:
    found = judged(message(), of)
    assert (found.effect, found.owed, found.payment_id) == (effect, owed, PAYMENT), name


def test_a_second_payment_is_passed_by_the_worker() -> None:
    first = replace(payment(OTHER), confirmed_at=T - timedelta(minutes=5))
    both = PaymentFacts(PAYMENT, payment(), (first, payment()), (purchase(),), course_known=True)
    assert judged(message(), both).effect is Effect.PASSES


def test_kcfix_s_own_purchase_settles_its_payment() -> None:
    own = replace(purchase(at=T - timedelta(days=1)), id=own_purchase_id(PAYMENT), is_active=False)
    assert judged(message(), facts(own)).effect is Effect.HARMS


@pytest.mark.parametrize(
    ("metadata", "effect"),
    [
        ({"courseId": COURSE, "sessionCount": "20"}, Effect.SETTLES),
        ({"courseId": COURSE, "purchaseTier": 20, "sessionCount": 12}, Effect.SETTLES),
        ({"courseId": COURSE, "sessionCount": 12}, Effect.FAILS),
        ({"courseId": COURSE, "purchaseTier": "gold"}, Effect.FAILS),
        ({"courseId": COURSE, "purchaseTier": [20]}, Effect.FAILS),
        ('{"sessionCount": 20}', Effect.HARMS),  # the worker takes 30, the payment states 20
        ({}, Effect.HARMS),
        ({"courseId": COURSE, "sessionCount": 30}, Effect.HARMS),
    ],
)
def test_the_tier_is_the_one_that_the_worker_would_take(metadata: object, effect: Effect) -> None:
    assert judged(message(metadata=metadata)).effect is effect


def test_a_bad_tier_whose_purchase_was_made_by_hand_is_passed() -> None:
    paid = payment(metadata={"courseId": COURSE, "sessionCount": 12})
    found = judged(message(metadata={"sessionCount": 12}), facts(purchase(), paid=paid))
    assert found.effect is Effect.PASSES


@pytest.mark.parametrize(
    ("changes", "effect"),
    [
        ({"courseId": None}, Effect.FAILS),
        ({"courseId": "maths"}, Effect.FAILS),
        ({"studentId": "me"}, Effect.FAILS),
        ({"paymentId": None}, Effect.HARMS),
        ({"courseId": OTHER}, Effect.HARMS),
        ({"courseId": COURSE.upper()}, Effect.SETTLES),
    ],
)
def test_ids_that_the_worker_can_t_use_stop(changes: dict[str, object], effect: Effect) -> None:
    assert judged(message(**changes)).effect is effect


def test_a_payment_that_is_not_in_the_database_counts_as_unsettled() -> None:
    found = settlement(PURCHASE, message(), Known(facts={PAYMENT: PaymentFacts(PAYMENT, None)}))
    assert (found.effect, found.owed) == (Effect.SETTLES, True)
    assert "not in the database" in found.reason
    bad = settlement(PURCHASE, message(metadata={"sessionCount": 12}), Known())
    assert (bad.effect, bad.owed) == (Effect.FAILS, True)


@pytest.mark.parametrize(
    ("event_type", "correlation_type", "block", "effect"),
    [
        ("text", "uuid", None, Effect.FAILS),  # shape C, mode 17b
        ("uuid", "character varying", None, Effect.FAILS),
        ("text", "character varying", None, Effect.SETTLES),
        ("uuid", "uuid", {"eventId": OTHER, "correlationId": PAYMENT}, Effect.SETTLES),
        ("uuid", "uuid", {"eventId": f"purchase-confirmed-{OTHER}", "correlationId": PAYMENT}, Effect.FAILS),
        (None, None, None, Effect.SETTLES),
    ],
)
def test_ids_that_processed_events_does_not_take_make_the_worker_fail(
    event_type: str | None, correlation_type: str | None, block: object, effect: Effect
) -> None:
    shaped = replace(known(facts()), event_id_type=event_type, correlation_id_type=correlation_type)
    assert settlement(PURCHASE, message(_metadata=block), shaped).effect is effect


def allocation(status: str) -> Allocation:
    return Allocation(ALLOCATION, status, T, has_trainer=True, sessions=0)


@pytest.mark.parametrize(
    ("rows", "effect", "owed"),
    [
        ((), Effect.SETTLES, True),
        (("pending",), Effect.SETTLES, True),
        (("rejected", "cancelled"), Effect.SETTLES, True),
        (("pending", "approved"), Effect.PASSES, False),
        (("active",), Effect.PASSES, False),
        (("completed",), Effect.HARMS, False),
        (("completed", "active"), Effect.PASSES, False),
    ],
)
def test_an_allocation_message_by_the_allocations(rows: tuple[str, ...], effect: Effect, owed: bool) -> None:
    about = Known(allocations={(STUDENT, COURSE): tuple(allocation(s) for s in rows)})
    found = settlement(ALLOCATING, message("purchase-created", paymentId=None), about)
    assert (found.effect, found.owed, found.payment_id) == (effect, owed, PAYMENT)


def test_a_session_message_by_the_sessions() -> None:
    def effect(sessions: int) -> Effect:
        return settlement(SESSIONS, message("trainer-allocated"), Known(sessions={ALLOCATION: sessions})).effect

    assert (effect(0), effect(7)) == (Effect.SETTLES, Effect.PASSES)
    assert settlement(SESSIONS, message("trainer-allocated", allocationId="x"), Known()).effect is Effect.FAILS


def test_what_can_t_be_checked_counts_as_unsettled() -> None:
    found = settlement(CACHE, message("sessions-generated", _metadata=None), replace(Known(), event_id_type="uuid"))
    assert (found.effect, found.owed) == (Effect.SETTLES, False)
