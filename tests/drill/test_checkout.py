"""What the drill's checkout writes and says is what payment-service writes and says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kcfix.core.events import Record as LogRecord
from kcfix.core.events import murmur2_partition, parse_event
from kcfix.core.payments import course_of, metadata_mapping, stated_tier
from kcfix.drill.checkout import PARTITIONS, Payment, milliseconds, payment

NOW = datetime(2026, 1, 15, 12, 0, 0, 123_000, tzinfo=UTC)
STUDENT = "00000000-0000-4000-8000-000000000001"
COURSE = "00000000-0000-4000-8000-000000000002"


def paid(**wanted: Any) -> Payment:
    usual: dict[str, Any] = {"student_id": STUDENT, "course_id": COURSE, "tier": 20, "now": NOW}
    return payment(**(usual | wanted))


def test_the_message_has_the_envelope_of_the_event_bus() -> None:
    made = paid()
    message = made.message()
    assert message.topic == "purchase-confirmed"
    assert message.key == made.id.encode()
    assert message.partition is None, "the key decides"
    headers = dict(message.headers)
    assert headers == {
        "eventId": made.event_id.encode(),
        "correlationId": made.id.encode(),
        "eventType": b"PURCHASE_CONFIRMED",
        "source": b"payment-service",
        "version": b"1.0.0",
    }
    value = json.loads(message.value)
    assert value.pop("_metadata") == {
        "eventId": made.event_id,
        "correlationId": made.id,
        "source": "payment-service",
        "version": "1.0.0",
        "timestamp": milliseconds(NOW),
    }
    assert value == made.body
    assert value["timestamp"] == 1768478400123
    assert (value["userId"], value["role"]) == (STUDENT, "student")


def test_kcfix_reads_the_message_as_it_was_meant() -> None:
    made = paid()
    message = made.message()
    event = parse_event(LogRecord(message.topic, 0, 0, NOW, message.key, message.value, message.headers))
    assert event is not None
    assert (event.payment_id, event.event_id, event.student_id, event.course_id) == (
        made.id,
        made.event_id,
        STUDENT,
        COURSE,
    )


@pytest.mark.parametrize("partition", range(PARTITIONS))
def test_a_partition_can_be_chosen_by_the_id(partition: int) -> None:
    assert {murmur2_partition(paid(partition=partition).id.encode(), PARTITIONS) for _ in range(20)} == {partition}


@pytest.mark.parametrize(("tier", "stated"), [(20, 20), ("20", 20), (12, 12), (None, None), ("many", None)])
def test_the_tier_is_stated_as_it_was_given(tier: int | str | None, stated: int | None) -> None:
    assert stated_tier(paid(tier=tier).metadata) == stated


def test_metadata_can_be_a_json_string_in_row_and_event() -> None:
    made = paid(metadata_as_string=True)
    assert isinstance(json.loads(made.stored_metadata), str)
    assert isinstance(made.body["metadata"], str)
    assert course_of(json.loads(made.stored_metadata)) == COURSE


def test_a_payment_without_a_course_names_none() -> None:
    made = paid(course_id=None)
    assert course_of(made.metadata) is None


def test_an_upgrade_says_so() -> None:
    fields = metadata_mapping(paid(upgrade=True).metadata)
    assert (fields["upgrade"], fields["additionalSessions"]) == (True, 20)


def test_extra_metadata_overrides() -> None:
    assert paid(extra={"timeSlot": "1:00 PM"}).metadata["timeSlot"] == "1:00 PM"


def test_a_payment_is_created_before_it_is_confirmed() -> None:
    made = paid()
    assert timedelta(0) < made.confirmed_at - made.created_at < timedelta(minutes=1)
    assert made.confirmed_at == NOW
    assert made.order_ref.startswith("order_")
    assert made.payment_ref.startswith("pay_")
