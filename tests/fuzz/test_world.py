"""Rows, messages, headers and log lines of a careless hand, a broken program or bad intent, seen by every command."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kcfix.core.events import Record, parse_dead_letter, parse_event
from kcfix.core.logs import parse as logparse
from kcfix.core.workers import RawLine, Stream
from tests.cli.night import Night
from tests.conftest import NOW, Run
from tests.fakes_database import course_id, payment_id
from tests.fuzz.strange import altered, fuzzed, is_safe, texts, values

METADATA: dict[str, Any] = {
    "courseId": course_id(1),
    "sessionCount": 20,
    "purchaseTier": "20",
    "expiryDate": "2026-07-15",
    "schedule": {"timeSlot": "4:00 PM"},
    "cycleNo": 1,
    "upgrade": False,
}
EVENT: dict[str, Any] = {
    "type": "PURCHASE_CONFIRMED",
    "paymentId": payment_id(1),
    "studentId": payment_id(900),
    "courseId": course_id(1),
    "purchaseTier": 20,
    "metadata": METADATA,
    "_metadata": {
        "eventId": "e",
        "correlationId": payment_id(1),
        "source": "payment-service",
        "timestamp": 1768478400000,
    },
}
LETTER: dict[str, Any] = {
    "originalEvent": EVENT,
    "originalTopic": "purchase-confirmed",
    "originalPartition": 0,
    "originalOffset": "0",
    "failureReason": "connect ECONNREFUSED 10.0.0.1:5432",
    "failureTimestamp": 1768478400000,
    "attempts": 3,
    "correlationId": payment_id(1),
    "eventId": "e",
}
bodies = st.one_of(
    altered(EVENT).map(lambda e: json.dumps(e).encode()),
    altered(LETTER).map(lambda e: json.dumps(e).encode()),
    values.map(lambda v: json.dumps(v).encode()),
    st.binary(max_size=40),
    st.none(),
)
raw = texts.map(lambda t: t.encode("utf-8", "replace"))
headers = st.lists(st.tuples(texts, st.none() | st.binary(max_size=10) | raw), max_size=3)
COMMANDS = (
    "trace {0} -v",
    "trace {0} --scan -o json",
    "missing -o jsonl",
    "missing",
    "repair {0} --strategy insert --apply --yes",
    "repair --missing -o json",
    "dlq list",
    "dlq list --all -o csv",
    "dlq show {0}",
    "dlq replay {0}",
    "status",
    "doctor -o markdown",
    "offsets show",
    "offsets reset -g purchase-creation-workers --to first-unsettled",
    "logs --payment {0}",
    "topics purchase-confirmed",
)


@fuzzed(25)
@given(st.data())
def test_no_row_and_no_message_is_a_bug_or_reaches_the_terminal(run: Run, data: st.DataObject) -> None:
    night = Night()
    paid = night.pay(
        7,
        metadata=data.draw(altered(METADATA)),
        currency=data.draw(texts),
        provider=data.draw(texts | st.none()),
        amount_minor=data.draw(st.sampled_from([1, 10**18, 0, -5])),
    )
    for topic in ("purchase-confirmed", "purchase-created", "dead-letter-queue"):
        for _ in range(data.draw(st.integers(0, 2))):
            night.kafka.put(
                topic,
                data.draw(st.sampled_from([paid.id, None, "", b"\xff"]) | raw),
                data.draw(bodies),
                headers=data.draw(headers),
                at=data.draw(st.sampled_from([None, NOW - timedelta(minutes=19)])),
            )
    command = data.draw(st.sampled_from(COMMANDS))
    systems: dict[str, Any] = {"kafka": night.kafka, "database": night.database, "docker": night.docker}
    tty = data.draw(st.booleans()) and "--scan" not in command  # its progress bar moves the cursor, as it should
    is_safe(run(*command.format(paid.id).split(), "--color", "never", tty=tty, **systems))


@fuzzed(50)
@given(bodies, headers, st.none() | st.binary(max_size=10))
def test_any_message_is_an_event_a_letter_or_neither(
    value: bytes | None, heads: list[tuple[str, bytes | None]], key: bytes | None
) -> None:
    record = Record("dead-letter-queue", 0, 1, NOW, key, value, tuple(heads))
    for found in (parse_event(record), parse_dead_letter(record)):
        assert found is None or isinstance(repr(found), str)


WRITTEN = (
    "[KafkaConsumer] Processing event {0}",
    '{{"level":"error","time":1768478400000,"message":"failed","err":{{"message":"{0}"}}}}',
    "2026-01-15T12:00:00.000Z error: {0}",
    "[PurchaseWorker] Purchase already exists for payment {0}",
    "{0}",
)


@fuzzed(80)
@given(st.sampled_from(WRITTEN), texts | st.just(payment_id(1)), st.sampled_from(list(Stream)))
def test_any_line_is_a_log_entry(written: str, text: str, stream: Stream) -> None:
    lines = [RawLine("w", NOW, stream, written.format(text)), RawLine("w", NOW, stream, text)]
    for entry in (logparse.parse(lines[0]), *logparse.parse_all(lines)):
        logparse.payment_of(entry)
        logparse.offset_of(entry)
        logparse.error_of(entry)
        assert logparse.is_error(entry) in (True, False)
