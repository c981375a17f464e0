"""The record that a partition stands on: when it is known to stop the worker."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from kcfix.core.doctor.heads import find_heads
from kcfix.core.events import parse_dead_letter
from kcfix.core.judging.judge import judge
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.logs.parse import parse
from kcfix.core.workers import RawLine, Stream
from tests.core.snapshots import NOW, PARTITION, dead_letter, evidence, found, record, snapshot


def test_a_record_that_was_never_seen_to_fail_stops_nobody() -> None:
    head = find_heads({PARTITION: record(5)}, (), ())[PARTITION]
    assert not head.failing


def test_a_dead_letter_of_another_offset_does_not_count() -> None:
    assert not find_heads({PARTITION: record(5)}, (dead_letter(4),), ())[PARTITION].failing
    assert find_heads({PARTITION: record(5)}, (dead_letter(5, "tier check"),), ())[PARTITION].failures == (
        "dead letter: tier check",
    )


@pytest.mark.parametrize("value", [b"", b"{", b"\xef\xbb\xbf{}"])
def test_a_value_without_an_event_fails_though_nobody_saw_it(value: bytes) -> None:
    """The consumer dies on it without a dead letter, and its log may be gone."""
    head = find_heads({PARTITION: record(5, value=value)}, (), ())[PARTITION]
    assert head.failing
    behind = judge(snapshot(seen=evidence(found(7), head=head)))
    assert behind.kind is VerdictKind.BLOCKED
    assert "a record that can't be decoded at offset 5" in behind.reason
    own = judge(snapshot(seen=evidence(found(5, value=value), head=head)))
    assert own.kind is VerdictKind.POISON


def test_a_null_value_is_passed_by_the_worker() -> None:
    null = replace(record(5), value=None)
    assert not find_heads({PARTITION: null}, (), ())[PARTITION].failing


def test_a_dead_letter_that_is_no_json_is_none() -> None:
    assert parse_dead_letter(record(5, value=b"{")) is None


@pytest.mark.parametrize(("offset", "failing"), [(5, True), (4, False)])
def test_a_failure_in_the_log_counts_only_at_this_very_offset(offset: int, failing: bool) -> None:
    text = json.dumps(
        {
            "level": "error",
            "message": "[KafkaConsumer] Message processing failed",
            "topic": PARTITION.topic,
            "partition": PARTITION.partition,
            "offset": str(offset),
            "error": "tier check",
        }
    )
    entry = parse(RawLine("purchase-worker", NOW, Stream.STDOUT, text))
    head = find_heads({PARTITION: record(5)}, (), (entry,))[PARTITION]
    assert head.failing is failing
    assert head.failures == (("tier check",) if failing else ())


def test_a_dead_letter_that_can_not_be_written_does_not_hide_why_the_message_failed() -> None:
    place = {"topic": PARTITION.topic, "partition": PARTITION.partition, "offset": "5"}
    missing = "This server does not host this topic-partition"
    lines = (
        {"level": "info", "message": "[KafkaConsumer] Processing message", **place},
        {"level": "error", "message": "[RetryPolicy] Operation failed after all retries", "error": "tier check"},
        {"level": "error", "message": "[KafkaConsumer] Message processing failed", "error": missing, **place},
    )
    entries = [parse(RawLine("purchase-worker", NOW, Stream.STDOUT, json.dumps(line))) for line in lines]
    assert find_heads({PARTITION: record(5)}, (), entries)[PARTITION].failures == ("tier check",)
    assert find_heads({PARTITION: record(5)}, (), entries[2:])[PARTITION].failures == (missing,)
