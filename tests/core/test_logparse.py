"""Log lines of every dialect, and whatever else a container may write."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcfix.core.logs.entry import Dialect, Level, LogEntry
from kcfix.core.logs.parse import (
    error_of,
    is_error,
    mentions,
    offset_of,
    parse,
    parse_all,
    payment_of,
    undoubled,
)
from kcfix.core.offsets import TopicPartition
from kcfix.core.workers import RawLine, Stream

AT = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
PAYMENT = "00000000-0000-4000-8000-000000000001"


def raw(text: str, stream: Stream = Stream.STDOUT) -> RawLine:
    return RawLine("purchase-worker", AT, stream, text)


def entry(text: str, stream: Stream = Stream.STDOUT) -> LogEntry:
    return parse(raw(text, stream))


def winston(message: str, level: str = "info", **fields: object) -> str:
    return json.dumps({"environment": "production", "level": level, "message": message, **fields}, sort_keys=True)


def test_a_line_of_the_application_gives_its_level_message_and_fields() -> None:
    found = entry(winston("[PurchaseWorker] 📨 Received PURCHASE_CONFIRMED event from Kafka", offset="1", partition=0))
    assert (found.dialect, found.level) == (Dialect.APPLICATION, Level.INFO)
    assert found.message == "[PurchaseWorker] 📨 Received PURCHASE_CONFIRMED event from Kafka"
    assert found.fields == {"environment": "production", "offset": "1", "partition": 0}


def test_a_message_that_winston_doubled_is_given_once() -> None:
    found = entry(winston("Transaction committed successfully Transaction committed successfully"))
    assert found.message == "Transaction committed successfully"
    assert "successfully Transaction" in found.raw


@pytest.mark.parametrize("text", ["", " ", "no", "no no no", "aa", "a b", "ab ab ", "x  x"])
def test_what_only_looks_doubled_is_left_alone(text: str) -> None:
    assert undoubled(text) == text


def test_a_line_of_kafkajs_is_told_by_its_logger() -> None:
    text = '{"level":"ERROR","timestamp":"2026-01-15T12:00:00Z","logger":"kafkajs","message":"[Consumer] Crash: X"}'
    found = entry(text, Stream.STDERR)
    assert (found.dialect, found.level, found.message) == (Dialect.KAFKAJS, Level.ERROR, "[Consumer] Crash: X")


def test_the_development_text_is_read_with_its_meta_line() -> None:
    lines = [
        raw("[2026-01-15 12:00:00] [purchase-worker] \x1b[31merror\x1b[39m: Purchase creation failed"),
        raw('Meta: {"paymentId":"' + PAYMENT + '","error":"boom"}'),
        raw("[2026-01-15 12:00:01] [purchase-worker] \x1b[32minfo\x1b[39m: Started"),
        raw("plain"),
    ]
    failed, started, plain = parse_all(lines)
    assert (failed.dialect, failed.level) == (Dialect.APPLICATION, Level.ERROR)
    assert (failed.message, error_of(failed), payment_of(failed)) == ("Purchase creation failed", "boom", PAYMENT)
    assert (started.message, started.level) == ("Started", Level.INFO)
    assert plain.message == "plain"


def test_a_meta_line_without_its_line_is_kept() -> None:
    assert [e.fields for e in parse_all([raw('Meta: {"a":1}')])] == [{"a": 1}]
    assert [e.dialect for e in parse_all([raw("Meta: {broken")])] == [Dialect.TEXT]


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("(node:1) MaxListenersExceededWarning: Possible leak", Level.WARN),
        ("TypeError: Cannot read properties of undefined", Level.ERROR),
        ("    at TCPConnectWrap.afterConnect (node:net:1611:16)", Level.UNKNOWN),
        ("2026-01-15 12:00:00 ERROR something", Level.ERROR),
        ("", Level.UNKNOWN),
    ],
)
def test_plain_text_has_the_level_that_it_names(text: str, level: Level) -> None:
    found = entry(text, Stream.STDERR)
    assert (found.dialect, found.level) == (Dialect.TEXT, level)


@pytest.mark.parametrize(
    "text",
    [
        '{"message":',
        "{" * 5000,
        '{"a":' * 5000 + "1" + "}" * 5000,
        '{"message": ' + "9" * 5000 + "}",
        '{"message": 7}',
        '{"level":"info"}',
        "[1, 2]",
        '"text"',
        "null",
        "\x00\x01\ufffd\ufffd",
        '{"message":"' + "x" * 2_000_000 + '"}',
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_line_of_a_dialect_stays_text(text: str) -> None:
    found = entry(text)
    assert found.dialect is Dialect.TEXT
    assert found.raw == text


def test_nothing_of_a_line_can_steer_the_terminal() -> None:
    evil = "\x1b]0;title\x07\x1b[2J\x9b31m\u202e[bold red]\r\nnext\x08"
    for found in (entry(evil), entry(json.dumps({"level": "info", "message": evil}))):
        assert found.message.replace(" ", "") == "[boldred]next"


def test_a_line_names_its_record() -> None:
    assert offset_of(entry(winston("m", topic="t", partition=2, offset="41"))) == (TopicPartition("t", 2), 41)
    dead = winston("m", originalTopic="t", originalPartition="2", originalOffset="41")
    assert offset_of(entry(dead)) == (TopicPartition("t", 2), 41)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"topic": "t", "partition": 0},
        {"topic": "t", "partition": True, "offset": "1"},
        {"topic": 5, "partition": 0, "offset": 1},
        {"topic": "t", "partition": -1, "offset": 1},
        {"topic": "t", "partition": 0, "offset": "9" * 40},
        {"topic": "t", "partition": 0, "offset": "²"},
    ],
)
def test_a_record_that_is_not_named_whole_is_none(fields: dict[str, object]) -> None:
    assert offset_of(entry(winston("m", "info", **fields))) is None


def test_a_line_is_about_its_payment_id_before_its_correlation_id() -> None:
    other = PAYMENT.replace("1", "2")
    assert payment_of(entry(winston("m", paymentId=PAYMENT, correlationId=other))) == PAYMENT
    assert payment_of(entry(winston("m", correlationId=PAYMENT.upper()))) == PAYMENT
    assert payment_of(entry(winston("m", correlationId="unknown"))) is None


def test_a_payment_is_found_anywhere_in_a_line() -> None:
    assert mentions(entry(f"key student:home:{PAYMENT.upper()} cleared"), PAYMENT)
    assert not mentions(entry("key student:home cleared"), PAYMENT)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"error": "boom\nat x"}, "boom"),
        ({"error": "index missing (42P10)", "errorCode": "42P10"}, "index missing (42P10)"),
        ({"error": "aborted", "errorCode": "25P02"}, "25P02: aborted"),
        ({"errorCode": "25P02"}, "25P02"),
        ({"error": {"message": "boom", "name": "E"}}, "boom"),
        ({"failureReason": "tier"}, "tier"),
        ({"stack": "Error: x\n  at y"}, "Error: x"),
        ({"error": 5, "errorCode": 7}, None),
        ({}, None),
    ],
)
def test_the_error_of_a_line_is_one_line(fields: dict[str, object], told: str | None) -> None:
    assert error_of(entry(winston("m", "error", **fields))) == told


def test_errors_are_told_by_level_or_else_by_stream() -> None:
    assert is_error(entry(winston("m", "error")))
    assert not is_error(entry(winston("m", "warn"), Stream.STDERR))
    assert is_error(entry("    at foo (x.js:1)", Stream.STDERR))
    assert not is_error(entry("    at foo (x.js:1)"))


@settings(deadline=None)
@given(st.text(), st.sampled_from(Stream))
def test_no_text_makes_it_fail(text: str, stream: Stream) -> None:
    found = entry(text, stream)
    assert found.raw == text
    assert found.message == "".join(c for c in found.message if c >= " ")
    error_of(found), offset_of(found), payment_of(found), is_error(found), mentions(found, "x")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_NAMES = st.sampled_from(
    ["level", "message", "logger", "topic", "partition", "offset", "correlationId", "error", "errorCode", "stack"]
)


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(_NAMES | st.text(), _JSON))
def test_no_json_makes_it_fail(value: dict[str, object]) -> None:
    found = entry(json.dumps(value))
    error_of(found), offset_of(found), payment_of(found), is_error(found)
    assert (found.dialect is Dialect.TEXT) == (not isinstance(value.get("message"), str))
