"""What the lines of a worker prove, on lines as they were observed (docs/system.md 4.3)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from kcfix.core.logs.entry import LogEntry
from kcfix.core.logs.milestones import (
    RULES,
    Milestone,
    Reached,
    is_milestone,
    last,
    reached,
    rules_of,
    unanswered_crash,
)
from kcfix.core.logs.parse import parse
from kcfix.core.payments import PaymentId
from kcfix.core.workers import RawLine, Stream
from kcfix.flow import Flow

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
PURCHASE, ALLOCATION, SESSION, CACHE, _ = Flow().stages
PAYMENT = PaymentId("00000000-0000-4000-8000-000000000001")
OTHER = PaymentId("00000000-0000-4000-8000-000000000002")


def app(second: int, message: str, level: str = "info", **fields: object) -> LogEntry:
    text = json.dumps({"level": level, "message": message, "service": "w", **fields})
    return parse(RawLine("w", NOON + timedelta(seconds=second), Stream.STDOUT, text))


def kafkajs(second: int, message: str, level: str = "ERROR") -> LogEntry:
    text = json.dumps({"level": level, "logger": "kafkajs", "message": message})
    return parse(RawLine("w", NOON + timedelta(seconds=second), Stream.STDERR, text))


def doubled(message: str) -> str:
    return f"{message} {message}"


LIFE = [
    app(0, "[PurchaseWorker] 🚀 Starting purchase worker..."),
    app(1, "[PurchaseWorker] Initialized"),
    kafkajs(2, "[ConsumerGroup] Consumer has joined the group", "INFO"),
    app(2, "[KafkaConsumer] Started consuming"),
    app(3, "[KafkaConsumer] Processing message", correlationId=PAYMENT),
    app(3, "[PurchaseWorker] 📨 Received PURCHASE_CONFIRMED event from Kafka", correlationId=PAYMENT),
    app(4, doubled("Purchase created successfully in transaction"), paymentId=PAYMENT),
    app(4, doubled("Transaction committed successfully"), paymentId=PAYMENT),
    app(4, doubled("✅ Purchase created and event marked as processed"), paymentId=PAYMENT),
    app(5, doubled("PURCHASE_CREATED event emitted to Kafka"), paymentId=PAYMENT),
    app(5, "[KafkaConsumer] Message processed successfully", correlationId=PAYMENT),
]


def counts(found: Reached) -> dict[Milestone, int]:
    return {seen.rule.milestone: seen.count for seen in found.worker if seen.count}


def test_the_way_of_one_payment() -> None:
    found = reached(LIFE, PURCHASE)
    once = (
        *(Milestone.STARTING, Milestone.INITIALIZED, Milestone.JOINED),
        *(Milestone.RECEIVED, Milestone.COMMITTED, Milestone.ANNOUNCED, Milestone.HANDLED),
    )
    assert counts(found) == dict.fromkeys(once, 1)
    assert [s.rule.milestone for s in found.payments[PAYMENT] if s.count] == list(once[3:])
    assert (found.looked.lines, found.looked.since, found.dead) == (len(LIFE), NOON, None)


def test_words_that_prove_nothing_are_no_milestones() -> None:
    for said in (
        "[KafkaConsumer] Started consuming",
        "[PurchaseWorker] Started",
        "[PurchaseWorker] Purchase created successfully",
        "Purchase created successfully in transaction",
    ):
        assert not [rule.milestone for rule in RULES if rule.matches(app(0, said))], said


def test_a_payment_committed_again_after_a_replay_counts_again() -> None:
    later = [
        app(60, "[PurchaseWorker] 📨 Received PURCHASE_CONFIRMED event from Kafka", correlationId=PAYMENT),
        LIFE[7],
    ]
    assert counts(reached([*LIFE, *later], PURCHASE))[Milestone.COMMITTED] == 2


def test_one_payment_can_be_asked_for() -> None:
    other = app(9, "[KafkaConsumer] Message processed successfully", correlationId=OTHER)
    found = reached([*LIFE, other], PURCHASE, OTHER)
    assert counts(found)[Milestone.HANDLED] == 1
    assert Milestone.COMMITTED not in counts(found)
    assert counts(found)[Milestone.JOINED] == 1
    assert list(found.payments) == [OTHER]


@pytest.mark.parametrize(
    ("line", "milestone"),
    [
        (kafkajs(0, "[Connection] Connection error: connect ECONNREFUSED ::1:9092"), Milestone.CONNECTION_ERROR),
        (kafkajs(0, "[BrokerPool] Failed to connect to seed broker, trying another"), Milestone.CONNECTION_ERROR),
        (app(0, "Redis connection error", "error", error="getaddrinfo ENOTFOUND r"), Milestone.CONNECTION_ERROR),
        (app(0, "[PurchaseWorker] Fatal error", "error"), Milestone.FATAL),
        (app(0, "[DeadLetterPublisher] Message sent to DLQ", "error"), Milestone.DEAD_LETTERED),
        (app(0, "[RetryPolicy] Operation failed, retrying", "warn"), Milestone.RETRIED),
        (app(0, doubled("Trainer allocated successfully")), Milestone.ALLOCATED),
        (app(0, doubled("Sessions created successfully")), Milestone.SESSIONS_MADE),
        (app(0, doubled("Cache invalidation completed")), Milestone.CACHE_CLEARED),
    ],
)
def test_each_line_proves_one_thing(line: LogEntry, milestone: Milestone) -> None:
    assert {rule.milestone for rule in RULES if rule.matches(line)} == {milestone}


def test_what_an_application_says_about_a_crash_is_not_kafkajs_crashing() -> None:
    assert not is_milestone(app(0, "[Consumer] Crash: told by somebody", "error"), Milestone.CRASHED)
    assert not is_milestone(app(0, "Connection error: none any more"), Milestone.CONNECTION_ERROR)


CRASH = kafkajs(10, "[Consumer] Crash: KafkaJSNonRetriableError: Unexpected end of JSON input")
AGAIN = kafkajs(11, "[Consumer] Restarting the consumer in 9190ms")


@pytest.mark.parametrize(
    ("lines", "dead"),
    [
        ([], False),
        ([CRASH], True),
        ([CRASH, AGAIN], False),
        ([CRASH, AGAIN, CRASH], True),
        ([CRASH, LIFE[0]], False),
        ([CRASH, *LIFE[4:]], True),
        (LIFE, False),
    ],
)
def test_a_crash_without_a_restart_after_it_is_death(lines: list[LogEntry], dead: bool) -> None:
    assert (unanswered_crash(lines) is CRASH) == dead
    assert (reached(lines, PURCHASE).dead is CRASH) == dead


def test_each_stage_has_one_rule_for_each_of_its_milestones() -> None:
    for stage in (*Flow().stages, None):
        milestones = [rule.milestone for rule in rules_of(stage)]
        assert len(milestones) == len(set(milestones))
    assert Milestone.COMMITTED not in [rule.milestone for rule in rules_of(SESSION)]
    assert set(Milestone) - {Milestone.DEAD} == {rule.milestone for rule in rules_of(None)}


def test_stages_that_do_not_say_received_are_told_by_the_shared_line() -> None:
    line = app(0, "[KafkaConsumer] Processing message", correlationId=PAYMENT)
    assert counts(reached([line], CACHE)) == {Milestone.RECEIVED: 1}
    assert counts(reached([line], ALLOCATION)) == {}


def test_the_newest_is_found_in_any_order() -> None:
    lines = [app(5, "[PurchaseWorker] Initialized"), app(1, "[PurchaseWorker] Initialized")]
    assert last(lines, Milestone.INITIALIZED) is lines[0]
    assert last(lines, Milestone.JOINED) is None
