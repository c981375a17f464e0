"""The cause of a dead letter, and its code."""

from __future__ import annotations

import pytest

from kcfix.core.dlq.cause import LONGEST, cause_code, normalised


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("connect ECONNREFUSED 172.18.0.3:5432", "connect ECONNREFUSED 10.0.0.1:6432"),
        ("getaddrinfo ENOTFOUND db.internal.example", "getaddrinfo ENOTFOUND pg.other.example"),
        ("No trainer for 00000000-0000-4000-8000-000000000001", "No trainer for 00000000-0000-4000-8000-00000000000A"),
        ('invalid input syntax for type uuid: "unknown"', 'invalid input syntax for type uuid: "x y"'),
        ("offset 17 of partition 2", "offset 18 of partition 0"),
        ("failed after 30.5s at 2026-01-02T03:04:05.123Z", "failed after 2s at 2026-11-12T13:14:15.678Z"),
        ("cannot read 'a' of undefined", "cannot read 'b' of undefined"),
        ("too  many\nspaces", "too many spaces"),
        ("mail to made.up@example.com bounced", "mail to other@example.org bounced"),
        ("request 5f3a9c21d0 failed", "request 0a1b2c3d4e failed"),
    ],
)
def test_what_differs_from_message_to_message_makes_no_new_cause(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)
    assert cause_code("t", one) == cause_code("t", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('violates check constraint "purchase_tier_check"', 'violates foreign key constraint "course_id_fkey"'),
        ('column "start_date" does not exist', 'column "payment_id" does not exist'),
        ('relation "courses" does not exist', 'relation "payments" does not exist'),
        ("timeout exceeded", "connection terminated"),
    ],
)
def test_names_of_the_schema_are_the_cause(one: str, other: str) -> None:
    assert cause_code("t", one) != cause_code("t", other)


def test_the_same_reason_in_another_topic_is_another_cause() -> None:
    assert cause_code("t", "timeout") != cause_code("u", "timeout")


def test_codes_never_change() -> None:
    assert cause_code("purchase-confirmed", "timeout exceeded when trying to connect") == CODE


CODE = "exceeded-when-trying-connect-0f93d2"


@pytest.mark.parametrize("reason", ["", "\x00", "<<>>", "\ud800", "'" * 5000, "a" * 100_000, '"' + "x" * 100_000])
def test_any_text_has_a_short_code(reason: str) -> None:
    code = cause_code("t", reason)
    assert 0 < len(code) < 80
    assert code.isascii()
    assert len(normalised(reason)) <= LONGEST
