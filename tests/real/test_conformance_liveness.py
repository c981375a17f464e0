"""How workers start, die and seem to live (docs/system.md 4 and 6, modes 4, 8, 12, 17a, 52)."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kcfix.drill import groups
from kcfix.flow import Flow
from tests.real.lab import Bench, sees, until

FLOW = Flow()
SESSION_SECONDS = 30


@dataclass(frozen=True)
class Ghost:
    state_after_10_seconds: str
    seconds_to_empty: float


def killed(bench: Bench) -> Ghost:
    bench.start()
    bench.worker.kill()
    began = time.monotonic()
    time.sleep(10)
    state = groups.standing(bench.drill, bench.group).state
    groups.wait_empty(bench.drill, bench.group)
    return Ghost(state, time.monotonic() - began)


@sees(killed)
def test_after_a_kill_the_group_seems_stable_until_the_session_ends(seen: Ghost) -> None:
    assert seen.state_after_10_seconds == "Stable"
    assert SESSION_SECONDS - 6 < seen.seconds_to_empty < SESSION_SECONDS + 6


def killed_and_started(bench: Bench) -> float:
    bench.start()
    bench.worker.kill()
    bench.worker.wait()
    began = time.monotonic()
    bench.restart()
    return time.monotonic() - began


@sees(killed_and_started)
def test_a_worker_that_is_started_after_a_kill_joins_only_when_the_ghost_is_gone(seen: float) -> None:
    assert SESSION_SECONDS - 8 < seen < SESSION_SECONDS + 30


@dataclass(frozen=True)
class Ended:
    exit_code: int
    seconds: float
    log: str


def _ends(bench: Bench) -> Ended:
    began = time.monotonic()
    code = bench.exit_code()
    return Ended(code, time.monotonic() - began, bench.log())


def no_broker(bench: Bench) -> Ended:
    bench.start(join=False, KAFKA_BROKERS="kafka:9")
    return _ends(bench)


@sees(no_broker)
def test_without_a_broker_the_worker_ends_after_half_a_minute_with_a_fatal_error(seen: Ended) -> None:
    assert seen.exit_code == 1
    assert 15 < seen.seconds < 90
    assert "[PurchaseWorker] 🚀 Starting purchase worker..." in seen.log
    assert "connect ECONNREFUSED" in seen.log
    assert '"message":"[PurchaseWorker] Fatal error"' in seen.log


def no_topic(bench: Bench) -> Ended:
    bench.start(join=False, DRILL_NAMESPACE="lab-nothing-here.")
    return _ends(bench)


@sees(no_topic)
def test_without_its_topic_the_worker_ends_with_a_fatal_error(seen: Ended) -> None:
    assert seen.exit_code == 1
    assert "This server does not host this topic-partition" in seen.log
    assert '"message":"[PurchaseWorker] Fatal error"' in seen.log


def no_redis_address(bench: Bench) -> Ended:
    bench.start(join=False, REDIS_URL="")
    return _ends(bench)


@sees(no_redis_address)
def test_without_an_address_of_redis_the_worker_dies_before_its_first_line(seen: Ended) -> None:
    assert seen.exit_code == 1
    [line] = seen.log.splitlines()
    assert json.loads(line)["exception"] is True
    assert json.loads(line)["message"].startswith("uncaughtException: ")


def no_database(bench: Bench) -> str:
    bench.start(POSTGRES_URL="postgresql://nobody@127.0.0.1:9/nothing")
    until("the last line of the start", lambda: "[PurchaseWorker] Started" in bench.log())
    return bench.log()


@sees(no_database)
def test_without_a_database_the_worker_joins_and_says_that_the_index_is_missing(seen: str) -> None:
    assert "index not found" in seen


@dataclass(frozen=True)
class Lines:
    out: list[str]
    err: list[str]
    client_ids: tuple[str, ...]
    started: datetime
    """When Docker says that the container was started."""


def two_dialects(bench: Bench) -> Lines:
    bench.start()
    bench.purchased(bench.pay(0))
    until("the message to be done", lambda: "[KafkaConsumer] Message processed successfully" in bench.log())
    clients = groups.standing(bench.drill, bench.group).clients
    out, err = bench.log(stderr=False).splitlines(), bench.log(stdout=False).splitlines()
    bench.worker.reload()
    started = bench.worker.attrs["State"]["StartedAt"][:19]
    return Lines(out, err, clients, datetime.fromisoformat(f"{started}+00:00"))


def _json(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines if line.startswith("{")]


@sees(two_dialects)
def test_a_client_id_ends_in_the_time_of_its_start_which_is_after_the_containers(seen: Lines) -> None:
    [client] = seen.client_ids
    assert client.startswith("purchase-worker-")
    assert seen.started.timestamp() <= groups.started_at(client) < time.time()


@sees(two_dialects)
def test_the_services_own_lines_are_sorted_and_have_a_time_without_a_zone(seen: Lines) -> None:
    own = [line for line in _json(seen.out) if line.get("logger") != "kafkajs"]
    assert own
    for line in own:
        assert list(line) == sorted(line)
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", line["timestamp"])
        assert line["level"] in ("info", "warn", "error")


@sees(two_dialects)
def test_lines_with_a_context_have_their_message_doubled(seen: Lines) -> None:
    text = "Processing PURCHASE_CONFIRMED event"
    assert f"{text} {text}" in [line["message"] for line in _json(seen.out)]


@sees(two_dialects)
def test_kafkajs_writes_its_warnings_to_standard_error_in_a_dialect_of_its_own(seen: Lines) -> None:
    library = [line for line in _json(seen.err) if line.get("logger") == "kafkajs"]
    assert library
    assert {line["level"] for line in library} <= {"WARN", "ERROR"}
    assert all(line["timestamp"].endswith("Z") for line in library)
    joined = [line for line in _json(seen.out) if "Consumer has joined the group" in line["message"]]
    assert joined[0]["level"] == "INFO"
    assert sorted(joined[0]["memberAssignment"].popitem()[1]) == [0, 1, 2]


@sees(two_dialects)
def test_every_milestone_of_a_purchase_is_logged(seen: Lines) -> None:
    messages = [line["message"] for line in _json(seen.out)]
    for phrase in (
        "[PurchaseWorker] 🚀 Starting purchase worker...",
        "unique_active_purchase index verified",
        "[PurchaseWorker] Initialized",
        "[PurchaseWorker] Started",
        "[KafkaConsumer] Connected and subscribed",
        "[KafkaConsumer] Started consuming",
        "[PurchaseWorker] 📨 Received PURCHASE_CONFIRMED event from Kafka",
        "RECOVERY: Event marked as processed but purchase missing",
        "Creating new purchase (normal flow)",
        "Transaction aborted or constraint error, using fallback method with new client",
        "Purchase created successfully using fallback method",
        "✅ Purchase created and event marked as processed",
        "PURCHASE_CREATED event emitted to Kafka",
        "[KafkaConsumer] Message processed successfully",
    ):
        assert any(phrase in message for message in messages), phrase
