"""What a message does that the worker can't handle (docs/system.md 2.5 and 6, modes 2, 3, 4, 17b, 32, 33)."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace

from kcfix.core.events import DeadLetter
from kcfix.drill import groups, wire
from tests.real.lab import Bench, sees, until

TIER_REFUSED = "Fallback purchase creation failed: new row"
AFTER_THE_JOIN_SECONDS = 8
DEAD_FOR_SECONDS = 20
"""More than twice the back-off after which kafkajs restarts where it restarts at all."""


@dataclass(frozen=True)
class Poisoned:
    runs: int
    """Times that the handler tried."""
    letters: list[DeadLetter]
    crash: str
    """The text of the log from the first crash on."""
    good_behind: int | None
    committed: dict[int, int]


def poison_without_an_offset(bench: Bench) -> Poisoned:
    bench.start()
    poison, good = bench.pay(0, tier=12), bench.pay(0)
    log = until("a crash and a new join", lambda: _joined_again(bench), 90)
    time.sleep(AFTER_THE_JOIN_SECONDS)
    return Poisoned(
        _runs(bench, poison.id), bench.dead_letters(), _from_crash(log), bench.tier(good), bench.committed()
    )


@sees(poison_without_an_offset)
def test_poison_without_an_offset_is_tried_eighteen_times_with_six_dead_letters(seen: Poisoned) -> None:
    assert seen.runs == 18
    assert len(seen.letters) == 6
    assert {(x.original_topic, x.original_partition, x.original_offset) for x in seen.letters} == {
        ("lab-poison-without-an-offset.purchase-confirmed", 0, 0)
    }


@sees(poison_without_an_offset)
def test_a_bad_tier_is_told_by_the_text_of_the_check_constraint(seen: Poisoned) -> None:
    assert TIER_REFUSED in seen.letters[0].reason
    assert '"student_course_purchases_purchase_tier_check"' in seen.letters[0].reason


@sees(poison_without_an_offset)
def test_after_the_crash_it_is_skipped_with_all_behind_it_and_nothing_is_committed(seen: Poisoned) -> None:
    assert "[Consumer] Crash: KafkaJSNumberOfRetriesExceeded: Fallback purchase creation failed" in seen.crash
    assert "[Consumer] Restarting the consumer in " in seen.crash
    assert seen.good_behind is None
    assert seen.committed == {}


@dataclass(frozen=True)
class Looping:
    letters: list[DeadLetter]
    committed: dict[int, int]
    behind_while_looping: int | None
    behind_after_the_move: int | None
    exit_code: int
    letters_after_stop: int


def poison_with_an_offset(bench: Bench) -> Looping:
    bench.start()
    bench.purchased(bench.pay(0))
    groups.wait_committed(bench.drill, bench.group, bench.confirmed, 0, 1)
    bench.pay(0, tier=12)
    good = bench.pay(0)
    letters = until("more dead letters than one cycle writes", lambda: _more_than(bench, 6), 120)
    committed, behind = bench.committed(), bench.tier(good)
    exit_code = bench.stop()
    after_stop = len(bench.dead_letters())
    groups.commit(bench.drill, bench.group, bench.confirmed, {0: 2})
    bench.restart()
    return Looping(letters, committed, behind, bench.purchased(good), exit_code, after_stop)


@sees(poison_with_an_offset)
def test_poison_with_an_offset_is_tried_for_ever_and_holds_up_what_is_behind(seen: Looping) -> None:
    assert {x.original_offset for x in seen.letters} == {1}
    assert seen.committed == {0: 1}
    assert seen.behind_while_looping is None


@sees(poison_with_an_offset)
def test_moving_the_offset_behind_the_poison_frees_the_partition(seen: Looping) -> None:
    assert seen.behind_after_the_move == 20


@sees(poison_with_an_offset)
def test_stopped_in_the_middle_of_poison_the_worker_still_exits_with_zero(seen: Looping) -> None:
    assert seen.exit_code == 0
    assert seen.letters_after_stop >= len(seen.letters)


@dataclass(frozen=True)
class Dead:
    after_null: dict[int, int]
    log: str
    state: str
    restarts: int
    group: str
    letters: int


def _dies_of(bench: Bench, value: bytes) -> Dead:
    bench.start()
    wire.send_raw(bench.drill, bench.confirmed, 0, None, key=b"null")
    groups.wait_committed(bench.drill, bench.group, bench.confirmed, 0, 1)
    after_null = bench.committed()
    wire.send_raw(bench.drill, bench.confirmed, 0, value)
    until("a crash", lambda: "[Consumer] Crash: " in bench.log())
    time.sleep(DEAD_FOR_SECONDS)
    bench.worker.reload()
    return Dead(
        after_null,
        _from_crash(bench.log()),
        str(bench.worker.status),
        int(bench.worker.attrs["RestartCount"]),
        groups.standing(bench.drill, bench.group).state,
        len(bench.dead_letters()),
    )


def an_empty_value(bench: Bench) -> Dead:
    return _dies_of(bench, b"")


def malformed_json(bench: Bench) -> Dead:
    return _dies_of(bench, b'{"type":')


@sees(an_empty_value)
def test_a_null_value_is_skipped_and_committed(seen: Dead) -> None:
    assert seen.after_null == {0: 1}


@sees(an_empty_value)
def test_an_empty_value_kills_the_consumer_in_a_live_container(seen: Dead) -> None:
    _assert_dead(seen)


@sees(malformed_json)
def test_malformed_json_kills_the_consumer_in_a_live_container(seen: Dead) -> None:
    _assert_dead(seen)


def _assert_dead(seen: Dead) -> None:
    assert "[Consumer] Crash: KafkaJSNonRetriableError: Unexpected end of JSON input" in seen.log
    assert "Restarting the consumer" not in seen.log
    assert (seen.state, seen.restarts) == ("running", 0)
    assert seen.group == "Empty"
    assert seen.letters == 0


@dataclass(frozen=True)
class Bare:
    without_headers: int | None
    key: bytes | None
    reason: str
    ids: tuple[object, object]


def bare_messages(bench: Bench) -> Bare:
    bench.start()
    plain = bench.record(0)
    bench.send(replace(plain.message(), headers=()))
    tier = bench.purchased(plain)
    bare = bench.record(1)
    bench.send(replace(bare.message(), value=json.dumps(bare.body).encode()))
    [letter, *_] = until("a dead letter", bench.dead_letters)
    value = json.loads(letter.record.value or b"")
    return Bare(tier, letter.record.key, letter.reason, (value["eventId"], value["correlationId"]))


@sees(bare_messages)
def test_a_message_without_headers_is_handled(seen: Bare) -> None:
    assert seen.without_headers == 20


@sees(bare_messages)
def test_a_message_without_metadata_block_is_poison_with_unknown_ids(seen: Bare) -> None:
    assert seen.key == b"unknown"
    assert seen.ids == ("unknown", "unknown")
    assert 'invalid input syntax for type uuid: "unknown"' in seen.reason


def an_unknown_course(bench: Bench) -> tuple[str, int]:
    bench.start()
    lost = bench.pay(2, course_id="00000000-0000-4000-9000-0000000000ff")
    [letter, *_] = until("a dead letter", bench.dead_letters)
    assert letter.payment_id == lost.id
    return letter.reason, letter.record.partition


@sees(an_unknown_course)
def test_an_unknown_course_is_told_by_the_text_of_the_foreign_key(seen: tuple[str, int]) -> None:
    reason, partition = seen
    assert reason.startswith("Fallback purchase creation failed: ")
    assert '"student_course_purchases_course_id_fkey"' in reason
    assert partition == 2, "the dead letter has the key of the original and so its partition"


def _joined_again(bench: Bench) -> str:
    log = bench.log()
    crash = log.find("[Consumer] Crash: ")
    return log if crash >= 0 and "Consumer has joined the group" in log[crash:] else ""


def _from_crash(log: str) -> str:
    return log[log.index("[Consumer] Crash: ") :]


def _runs(bench: Bench, payment_id: str) -> int:
    lines = [json.loads(line) for line in bench.log().splitlines() if line.startswith("{")]
    return sum(
        1
        for line in lines
        if line.get("paymentId") == payment_id and "Processing PURCHASE_CONFIRMED event" in line["message"]
    )


def _more_than(bench: Bench, count: int) -> list[DeadLetter]:
    found = bench.dead_letters()
    return found if len(found) > count else []
