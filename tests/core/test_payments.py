"""What a payment's row says of its course, its tier and its time (docs/decisions.md 1)."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcfix.core.payments import course_of, metadata_mapping, parse_uuid, stated_tier, worker_tier
from tests.fakes_database import FakeDatabase, course_id, payment_id

COURSE = course_id(1)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
metadata_values = json_values | st.dictionaries(
    st.sampled_from(["courseId", "purchaseTier", "sessionCount"]), json_values
)


@pytest.mark.parametrize(
    ("text", "uuid"),
    [
        (COURSE, COURSE),
        ("  " + COURSE.upper() + "\n", COURSE),
        ("ABCDEF00-0000-4000-8000-000000000001", "abcdef00-0000-4000-8000-000000000001"),
        ("{" + COURSE + "}", None),
        ("urn:uuid:" + COURSE, None),
        (COURSE.replace("-", ""), None),
        (COURSE + "0", None),
        ("' OR 1=1 --", None),
        ("", None),
        (None, None),
        (12, None),
    ],
)
def test_a_uuid_is_read_without_regard_to_case_and_space(text: object, uuid: str | None) -> None:
    assert parse_uuid(text) == uuid


@pytest.mark.parametrize(
    ("metadata", "course"),
    [
        ({"courseId": COURSE}, COURSE),
        ({"courseId": f" {COURSE.upper()} "}, COURSE),
        (json.dumps({"courseId": COURSE}), COURSE),
        (json.dumps(json.dumps({"courseId": COURSE})), None),
        ({"course_id": COURSE}, None),
        ({"courseId": 12}, None),
        ({"courseId": None}, None),
        ([COURSE], None),
        ("no json", None),
        ("[" * 100_000, None),
        (None, None),
        ({}, None),
    ],
)
def test_the_course_is_what_metadata_names_as_course_id(metadata: object, course: str | None) -> None:
    assert course_of(metadata) == course


@pytest.mark.parametrize(
    ("metadata", "stated", "workers"),
    [
        ({"purchaseTier": 20, "sessionCount": 10}, 20, 20),
        ({"sessionCount": 10}, 10, 10),
        ({"sessionCount": "20"}, 20, 20),
        ({"purchaseTier": " 30 "}, 30, 30),
        ({"purchaseTier": 0, "sessionCount": 10}, 10, 10),
        ({"purchaseTier": "", "sessionCount": 10}, 10, 10),
        ({"purchaseTier": None, "sessionCount": 10}, 10, 10),
        ({"purchaseTier": 12}, 12, 12),
        ({"purchaseTier": 20.0}, 20, 20.0),
        ({"purchaseTier": 20.5}, None, 20.5),
        ({"purchaseTier": "twenty", "sessionCount": 10}, None, "twenty"),
        ({"purchaseTier": True}, None, True),
        ({"purchaseTier": [20]}, None, [20]),
        ({"purchaseTier": float("nan")}, None, ...),
        ({"purchaseTier": float("inf")}, None, ...),
        ({}, None, 30),
        (None, None, 30),
        (json.dumps({"sessionCount": 20}), 20, 30),
    ],
)
def test_the_tier_is_what_is_stated_while_the_worker_may_guess(
    metadata: object, stated: int | None, workers: object
) -> None:
    assert stated_tier(metadata) == stated
    if workers is not ...:
        assert worker_tier(metadata) == workers


@pytest.mark.parametrize(("stated", "tier"), [(10, 10), (20, 20), (30, 30), (12, None), (300, None), (None, None)])
def test_only_ten_twenty_and_thirty_are_tiers(stated: int | None, tier: int | None) -> None:
    payment = FakeDatabase().payment(1, tier=stated)
    assert payment.stated_tier == stated
    assert payment.tier == tier


@given(metadata_values)
def test_no_metadata_whatever_makes_reading_it_fail(metadata: object) -> None:
    course, tier = course_of(metadata), stated_tier(metadata)
    assert course is None or parse_uuid(course) == course
    assert tier is None or type(tier) is int
    worker_tier(metadata)


@given(st.text())
def test_no_text_whatever_makes_reading_it_fail(text: str) -> None:
    assert metadata_mapping(text) is not None


def test_a_payment_that_was_never_confirmed_counts_from_when_it_was_made() -> None:
    database = FakeDatabase()
    confirmed, unconfirmed = database.payment(1), database.payment(2, unconfirmed=True)
    assert confirmed.paid_at == confirmed.confirmed_at == confirmed.created_at + timedelta(minutes=2)
    assert unconfirmed.paid_at == unconfirmed.created_at


@pytest.mark.parametrize("status", ["initiated", "processing", "failed", "refunded", "cancelled", "SUCCEEDED", ""])
def test_only_the_status_succeeded_was_paid(status: str) -> None:
    assert not FakeDatabase().payment(1, status=status).succeeded
    assert FakeDatabase().payment(1).succeeded


@pytest.mark.parametrize(
    ("metadata", "order"),
    [
        ({"razorpayOrderId": "order_made_up"}, "order_made_up"),
        ({"razorpay_orderId": "order_made_up"}, "order_made_up"),
        (json.dumps({"razorpayOrderId": "order_made_up"}), "order_made_up"),
        ({"razorpayOrderId": ""}, None),
        ({"razorpayOrderId": 5}, None),
        (None, None),
    ],
)
def test_a_purchase_may_carry_the_providers_order_id(metadata: object, order: str | None) -> None:
    database = FakeDatabase()
    assert database.purchase(database.payment(1), metadata=metadata).order_id == order


@pytest.mark.parametrize(
    ("status", "allocated"),
    [("approved", True), ("active", True), ("pending", False), ("completed", False), ("cancelled", False)],
)
def test_approved_and_active_are_allocated(status: str, allocated: bool) -> None:
    database = FakeDatabase()
    made = database.allocation(database.purchase(database.payment(1)), status=status)
    assert made.allocated is allocated


def test_made_up_ids_are_uuids() -> None:
    assert parse_uuid(payment_id(1)) == payment_id(1)
