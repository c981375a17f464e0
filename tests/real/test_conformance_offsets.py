"""What kafkajs does about offsets: kcfix's verdicts and restarts rest on it (docs/system.md 6, modes 1 and 6)."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from kcfix.drill import groups, wire
from kcfix.drill.network import kafka_settings
from tests.real.lab import Bench, sees

IDLE_SECONDS = 8
"""Longer than kafkajs waits in a fetch, and long enough for a periodic commit to show."""


@dataclass(frozen=True)
class Restarted:
    idle: dict[int, int]
    after_one: dict[int, int]
    exit_code: int
    seconds_to_empty: float
    handled: dict[int, bool]
    """By partition, whether the message that waited became a purchase."""
    after_restart: dict[int, int]


def stop_three_messages_start(bench: Bench) -> Restarted:
    bench.start()
    time.sleep(IDLE_SECONDS)
    idle = bench.committed()
    bench.purchased(bench.pay(1))
    groups.wait_committed(bench.drill, bench.group, bench.confirmed, 1, 1)
    time.sleep(2)
    after_one = bench.committed()
    began = time.monotonic()
    exit_code = bench.stop()
    seconds = time.monotonic() - began
    waiting = {partition: bench.pay(partition) for partition in range(3)}
    bench.restart()
    bench.purchased(waiting[1])
    time.sleep(IDLE_SECONDS)
    handled = {partition: bench.tier(payment) is not None for partition, payment in waiting.items()}
    return Restarted(idle, after_one, exit_code, seconds, handled, bench.committed())


@sees(stop_three_messages_start)
def test_an_idle_worker_never_commits(seen: Restarted) -> None:
    assert seen.idle == {}


@sees(stop_three_messages_start)
def test_after_one_message_only_its_partition_is_committed(seen: Restarted) -> None:
    assert seen.after_one == {1: 1}


@sees(stop_three_messages_start)
def test_messages_that_waited_on_partitions_without_an_offset_are_skipped_for_good(seen: Restarted) -> None:
    assert seen.handled == {0: False, 1: True, 2: False}
    assert seen.after_restart == {1: 2}


@sees(stop_three_messages_start)
def test_on_sigterm_the_worker_leaves_the_group_and_exits_with_zero(seen: Restarted) -> None:
    assert seen.exit_code == 0
    assert seen.seconds_to_empty < 9, "a fetch in flight may take 5 s; a kill would take the whole session of 30 s"


@dataclass(frozen=True)
class OutOfRange:
    handled: dict[str, bool]
    committed_then: dict[int, int]
    """After the join and before any new message."""
    committed_last: dict[int, int]


def committed_outside_the_log(bench: Bench) -> OutOfRange:
    waiting = {
        "beyond the end": bench.pay(0),
        "deleted": bench.pay(1),
        "after the log start": bench.pay(1),
        "inside": bench.pay(2),
    }
    with closing(KafkaAdminClient(**kafka_settings(bench.drill))) as admin:
        admin.delete_records({TopicPartition(bench.confirmed, 1): 1})
    assert wire.ends(bench.drill, bench.confirmed)[1] == (1, 2)
    groups.commit(bench.drill, bench.group, bench.confirmed, {0: 7, 1: 0, 2: 0})
    bench.start()
    bench.purchased(waiting["inside"])
    time.sleep(IDLE_SECONDS)
    then = bench.committed()
    later = {"new, beyond the end": bench.pay(0), "new, after the log start": bench.pay(1)}
    for payment in later.values():
        bench.purchased(payment)
    handled = {what: bench.tier(payment) is not None for what, payment in (waiting | later).items()}
    groups.wait_committed(bench.drill, bench.group, bench.confirmed, 1, 3)
    groups.wait_committed(bench.drill, bench.group, bench.confirmed, 0, 2)
    return OutOfRange(handled, then, bench.committed())


@sees(committed_outside_the_log)
def test_with_an_offset_outside_the_log_kafkajs_starts_at_latest(seen: OutOfRange) -> None:
    assert seen.handled == {
        "beyond the end": False,
        "deleted": False,
        "after the log start": False,
        "inside": True,
        "new, beyond the end": True,
        "new, after the log start": True,
    }


@sees(committed_outside_the_log)
def test_an_offset_outside_the_log_is_given_up_until_the_next_message(seen: OutOfRange) -> None:
    assert seen.committed_then == {2: 1}
    assert seen.committed_last == {0: 2, 1: 3, 2: 1}
