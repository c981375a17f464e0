"""`kcfix dlq list`, `show` and `park` on a system in memory."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from kcfix.core.offsets import TopicPartition
from kcfix.errors import Unreachable
from tests.conftest import NOW, Run
from tests.dlq_world import FLOW, GROUP, LETTERS, REFUSED, TOPIC, DlqWorld, body_of, place_of
from tests.fakes_database import course_id, event_id
from tests.schemas import check_line


@pytest.fixture
def world(run: Run) -> DlqWorld:
    return DlqWorld(run)


def states(world: DlqWorld, *words: str) -> dict[str, str]:
    """State by payment."""
    ran = world.kcfix("list", "--all", "-o", "json", *words)
    return {row["payment_id"]: row["state"] for row in ran.document["data"]}


def test_no_dead_letters_is_well(world: DlqWorld) -> None:
    ran = world.kcfix("list")
    assert (ran.code, "no dead letters" in ran.out) == (0, True)
    assert world.kcfix("-o", "json").document["data"] == []


@pytest.mark.parametrize("words", [("show", ""), ("show", " , "), ("park", "", "--reason", "x")])
def test_an_empty_word_names_no_message(world: DlqWorld, words: tuple[str, ...]) -> None:
    world.fail(1, REFUSED)
    ran = world.kcfix(*words)
    assert (ran.code, ran.out) == (2, "")
    assert "no message is named" in ran.err


def test_letters_that_this_user_may_not_see_are_not_taken_for_none(world: DlqWorld) -> None:
    world.kafka.hidden_topics = {LETTERS}
    ran = world.kcfix("list")
    assert (ran.code, ran.out) == (4, "")
    assert ran.err == f"kcfix: asking Kafka for the topic {LETTERS}: the broker denies it\n"


def test_letters_are_grouped_by_cause_and_counted_by_message(world: DlqWorld) -> None:
    for n in (1, 2):
        world.fail(n, f"connect ECONNREFUSED 10.0.0.{n}:5432")
    done = world.fail(3, "timeout exceeded when trying to connect")
    world.database.purchase(done)
    ran = world.kcfix("list", "-o", "json")
    assert ran.code == 1
    first, second = ran.document["data"]
    assert (first["messages"], first["letters"], first["unsettled"]) == (2, 6, 2)
    assert first["cause"].startswith("connect-econnrefused-")
    assert (first["topic"], first["worker"]) == (TOPIC, "purchase-worker")
    assert (second["messages"], second["unsettled"], second["states"]["SETTLED"]) == (1, 0, 1)
    summary = ran.document["summary"]
    assert (summary["letters"], summary["messages"], summary["unsettled"]) == (9, 3, 2)
    text = world.kcfix("list")
    assert f"kcfix dlq replay --cause {first['cause']}" in text.out
    assert world.kcfix().out == text.out
    assert (
        world.kcfix("--all", "-o", "json").document["data"]
        == world.kcfix("list", "--all", "-o", "json").document["data"]
    )
    assert world.kcfix("--all", "list").code == 2


def test_settled_since_is_exit_0_and_names_the_purchase(world: DlqWorld) -> None:
    done = world.fail(1)
    purchase = world.database.purchase(done)
    ran = world.kcfix("list", "--all", "-o", "json")
    assert ran.code == 0
    [row] = ran.document["data"]
    assert (row["state"], row["why"], row["unsettled"]) == ("SETTLED", f"purchase {purchase.id}", False)


def test_quiet_gives_the_payments_for_a_repair(world: DlqWorld) -> None:
    paid = [world.fail(n) for n in (2, 1)]
    world.database.purchase(world.fail(3))
    ran = world.kcfix("list", "-q")
    assert (ran.code, ran.lines) == (1, sorted(p.id for p in paid))


def test_each_state(world: DlqWorld) -> None:
    poison = world.fail(1, tier=12)
    refunded = world.fail(2, status="refunded")
    other = world.pay(3)
    world.database.purchase(other)
    second = world.database.payment(4, student=3, paid_at=NOW - timedelta(hours=1))
    record = world.put(second)
    world.letters(record)
    world.pass_by(place_of(record))
    elsewhere = world.pay(5)
    world.database.payments.remove(elsewhere)
    record = world.put(elsewhere)
    world.letters(record)
    world.pass_by(place_of(record))
    gone = world.fail(7)
    world.database.purchase(gone, is_active=False)
    wrong = world.pay(8)
    record = world.put(wrong, body_of(wrong, course=course_id(2)))
    world.letters(record)
    world.pass_by(place_of(record))
    plain = world.fail(9)
    waiting = world.pay(6)
    world.letters(world.put(waiting))
    assert states(world) == {
        poison.id: "WOULD_FAIL",
        refunded.id: "WOULD_HARM",
        second.id: "SECOND_PAYMENT",
        elsewhere.id: "UNKNOWN",
        waiting.id: "WAITING",
        gone.id: "SETTLED",
        wrong.id: "WOULD_HARM",
        plain.id: "UNSETTLED",
    }
    owed = world.kcfix("list", "-q").lines
    assert refunded.id not in owed
    assert {poison.id, waiting.id, second.id, plain.id} <= set(owed)


def test_a_copy_that_was_sent_since_and_waits_counts_for_the_old_place(world: DlqWorld) -> None:
    paid = world.fail(1)
    copy = world.put(paid)
    ran = world.kcfix("list", "--all", "-o", "json")
    [row] = ran.document["data"]
    assert (row["state"], row["why"]) == ("WAITING", f"waits at {place_of(copy)}")


def test_allocation_sessions_and_notifications(world: DlqWorld) -> None:
    allocated, lacking = world.pay(1), world.pay(2)
    for n, payment in enumerate((allocated, lacking)):
        purchase = world.database.purchase(payment)
        if n == 0:
            allocation = world.database.allocation(purchase, sessions=0)
        body = {**body_of(payment, event=purchase.id), "type": "PURCHASE_CREATED", "purchaseId": purchase.id}
        record = world.kafka.put(FLOW.purchase_created, payment.id, json.dumps(body))
        world.letters(record, "No trainers available")
        world.pass_by(place_of(record), FLOW.allocation_group)
    body = {**body_of(allocated, event=allocation.id), "allocationId": allocation.id}
    record = world.kafka.put(FLOW.trainer_allocated, allocation.id, json.dumps(body))
    world.letters(record, "no coordinates")
    world.pass_by(place_of(record), FLOW.session_group)
    record = world.kafka.put(FLOW.notification_requested, "n", json.dumps({"_metadata": {"eventId": "notif-1"}}))
    world.letters(record, "no token")
    world.pass_by(place_of(record), FLOW.notification_group)
    rows = world.kcfix("list", "--all", "-o", "json").document["data"]
    assert {(r["topic"], r["state"], r["payment_id"]) for r in rows} == {
        (FLOW.purchase_created, "SETTLED", allocated.id),
        (FLOW.purchase_created, "UNSETTLED", lacking.id),
        (FLOW.trainer_allocated, "UNSETTLED", allocated.id),
        (FLOW.notification_requested, "UNKNOWN", None),
    }
    only = world.kcfix("list", "--topic", FLOW.trainer_allocated, "-o", "json").document
    assert (len(only["data"]), only["summary"]["messages"]) == (1, 1)


@pytest.mark.parametrize("gone", [True, False])
def test_no_trainer_is_asked_for_a_purchase_that_is_gone(world: DlqWorld, gone: bool) -> None:
    payment = world.pay(1)
    purchase = world.database.purchase(payment, is_active=False)
    body = {**body_of(payment, event=purchase.id), "type": "PURCHASE_CREATED", "purchaseId": purchase.id}
    if gone:
        world.database.purchases.clear()
    record = world.kafka.put(FLOW.purchase_created, payment.id, json.dumps(body))
    world.letters(record, "No trainers available")
    world.pass_by(place_of(record), FLOW.allocation_group)
    [row] = world.kcfix("list", "--all", "-o", "json").document["data"]
    why = "is not there" if gone else "is no longer active"
    assert (row["state"], row["unsettled"], why in row["why"]) == ("WOULD_HARM", False, True)


def test_letters_of_a_window(world: DlqWorld) -> None:
    old, new = world.pay(1), world.pay(2)
    for payment, hours in ((old, 50), (new, 1)):
        record = world.put(payment)
        world.letters(record, at=NOW - timedelta(hours=hours))
        world.pass_by(place_of(record))
    assert set(states(world, "--since", "24h")) == {new.id}
    assert set(states(world, "--until", "24h")) == {old.id}
    assert world.kcfix("list", "--since", "1h", "--until", "2h").code == 2


def test_what_is_no_dead_letter_is_counted_and_never_a_crash(world: DlqWorld) -> None:
    for raw in (b"", b"nonsense", b"[1]", b"\xff\xfe", b"null", b"NaN"):
        world.kafka.put(LETTERS, "k", raw)
    odd: list[dict[str, object]] = [
        {},
        {"originalTopic": "\ud800", "originalPartition": 10**30, "originalOffset": "9" * 40, "failureReason": "\ud800"},
        {"originalTopic": TOPIC, "originalPartition": 0, "originalOffset": "-5", "originalEvent": [1]},
        {"originalTopic": TOPIC, "originalPartition": 0, "originalOffset": "77", "eventId": "\udfff"},
        {"originalTopic": "elsewhere", "originalPartition": 0, "originalOffset": "1", "originalEvent": {"a": 1}},
    ]
    for value in odd:
        world.kafka.put(LETTERS, "k", json.dumps(value))
    ran = world.kcfix("list", "--all", "-o", "json")
    assert ran.code == 1, ran.err
    summary = ran.document["summary"]
    assert (summary["letters"], summary["no_dead_letters"]) == (5, 6)
    assert {row["state"] for row in ran.document["data"]} == {"UNKNOWN"}
    for row in ran.document["data"]:
        assert world.kcfix("show", row["message"], "-o", "json").code == 1, row
        assert world.kcfix("replay", row["message"]).code == 0, row


def test_a_reason_can_not_move_the_cursor(world: DlqWorld) -> None:
    paid = world.fail(1, "\x1b[2Jgone\nsecond line")
    for words in (("list",), ("list", "--all"), ("show", paid.id), ("replay", paid.id)):
        ran = world.kcfix(*words, tty=True)
        assert "\x1b[2J" not in ran.out
        assert "Made-Up Person" not in ran.out + ran.err


def test_messages_of_a_cause(world: DlqWorld) -> None:
    paid, settled = world.fail(1), world.fail(2)
    world.fail(3, "another thing")
    world.database.purchase(settled)
    rows = world.kcfix("list", "-o", "json").document["data"]
    cause = next(row["cause"] for row in rows if row["reason"] == REFUSED)
    ran = world.kcfix("list", "--cause", cause, "-o", "json")
    assert [row["payment_id"] for row in ran.document["data"]] == [paid.id]
    everything = world.kcfix("list", "--cause", cause[-6:], "--all", "-o", "json")
    assert len(everything.document["data"]) == 2
    lines = [json.loads(line) for line in world.kcfix("list", "--cause", cause, "-o", "jsonl").lines]
    for line in lines:
        check_line(line)
    assert [line.get("payment_id") for line in lines] == [paid.id, None]
    assert world.kcfix("list", "--cause", "nothing").code == 3


def test_two_incarnations_of_a_topic_are_two_messages(world: DlqWorld) -> None:
    first = world.fail(1)
    where = world.place(first)
    world.kafka.remove_topic(TOPIC)
    world.kafka.add_topic(TOPIC)
    second = world.pay(2)
    record = world.put(second, partition=int(where.partition("@")[0][-1]))
    world.letters(record)
    assert str(place_of(record)) == where
    assert set(states(world)) == {first.id, second.id}
    shown = world.kcfix("show", where, "-o", "json").document["data"]
    assert {(row["payment_id"], row["in_topic"]) for row in shown} == {(first.id, False), (second.id, True)}


def test_without_the_database_it_says_what_it_knows_and_ends_with_4(world: DlqWorld) -> None:
    world.fail(1)
    world.database.down = Unreachable("database: no answer", system="database")
    ran = world.kcfix("list", "-o", "json")
    assert ran.code == 4
    [row] = ran.document["data"]
    assert (row["letters"], row["states"]["UNKNOWN"]) == (3, 1)
    assert ran.document["errors"][0]["message"] == "database: no answer"
    quiet = world.kcfix("list", "-q")
    assert (quiet.code, "no answer" in quiet.err) == (4, True)


def test_without_kafka_or_the_topic_nothing_is_said(world: DlqWorld) -> None:
    world.kafka.remove_topic(LETTERS)
    assert world.kcfix("list").code == 3
    world.kafka.down = Unreachable("kafka: no answer", system="kafka")
    assert world.kcfix("list").code == 4


def test_a_partition_that_can_not_be_read_is_named(world: DlqWorld) -> None:
    world.fail(1)
    world.kafka.partition_errors = {TopicPartition(LETTERS, p): "no leader" for p in range(3)}
    ran = world.kcfix("list", "-o", "json")
    assert (ran.code, ran.document["summary"]["unread_partitions"]) == (4, [f"{LETTERS}-{p}" for p in range(3)])


# show


def test_show_tells_all_about_a_message(world: DlqWorld) -> None:
    paid = world.fail(1, copies=30)
    ran = world.kcfix("show", paid.id, "-o", "json")
    assert ran.code == 1
    [row] = ran.document["data"]
    assert (row["state"], row["letters"], row["in_topic"], row["replays"]) == ("UNSETTLED", 30, True, 0)
    assert len(row["letter_list"]) == 20
    assert row["event"]["student_id"] == paid.student_id
    assert row["headers"] == {"eventId": event_id(1), "traceparent": "(4 bytes)"}
    assert "Made-Up Person" not in ran.out
    letter = row["letter_list"][0]["letter"]
    for word in (row["message"], letter):
        assert [r["payment_id"] for r in world.kcfix("show", word, "-o", "json").document["data"]] == [paid.id]
    text = world.kcfix("show", paid.id)
    assert "still in its topic" in text.out
    assert f"kcfix dlq replay {row['message']}" in text.out


def test_show_of_what_is_gone_from_its_topic(world: DlqWorld) -> None:
    paid = world.fail(1)
    place = world.place(paid)
    for p in range(3):
        world.kafka.delete_before(TopicPartition(TOPIC, p), 1)
    [row] = world.kcfix("show", place, "-o", "json").document["data"]
    assert (row["in_topic"], row["event"]["payment_id"]) == (False, paid.id)


@pytest.mark.parametrize(
    ("word", "code"), [("00000000-0000-4000-8000-000000000009", 3), ("purchase-confirmed-0@9", 3), ("nonsense", 2)]
)
def test_show_of_what_has_no_letter(world: DlqWorld, word: str, code: int) -> None:
    world.fail(1)
    assert world.kcfix("show", word).code == code


# park


def test_a_parked_message_counts_apart_until_it_is_taken_back(world: DlqWorld) -> None:
    paid = world.fail(1, tier=12)
    assert world.kcfix("park", paid.id).code == 2
    ran = world.kcfix("park", paid.id, "--reason", "sales asks the customer", "-o", "json")
    assert ran.code == 0
    assert ran.document["data"][0]["payment_id"] == paid.id
    listed = world.kcfix("list", "-o", "json")
    assert (listed.code, listed.document["data"][0]["states"]["PARKED"]) == (0, 1)
    assert world.kcfix("list", "-q").out == ""
    refused = world.kcfix("replay", paid.id, "-o", "json").document["data"][0]
    assert (refused["action"], "sales asks" in refused["why"]) == ("REFUSE", True)
    assert world.kcfix("park", paid.id, "--unpark").code == 0
    assert world.kcfix("list").code == 1
    assert world.kcfix("park", paid.id, "--unpark").code == 3


def test_a_park_counts_only_for_its_cause_and_a_settled_one_is_settled(world: DlqWorld) -> None:
    paid = world.fail(1)
    world.kcfix("park", paid.id, "--reason", "later")
    assert states(world) == {paid.id: "PARKED"}
    record = next(r for r in world.kafka.log(TOPIC) if r.key == paid.id.encode())
    world.letters(record, "something else", at=NOW)
    assert states(world) == {paid.id: "UNSETTLED"}
    world.kcfix("park", paid.id, "--reason", "later")
    world.database.purchase(paid)
    assert states(world) == {paid.id: "SETTLED"}
    assert world.kcfix("park", paid.id, "--reason", "again").code == 5


def test_a_park_is_of_one_cluster(world: DlqWorld) -> None:
    paid = world.fail(1)
    world.kcfix("park", paid.id, "--reason", "later")
    world.kafka.cluster_id = "another-cluster-000000"
    assert states(world) == {paid.id: "UNSETTLED"}


def test_a_torn_line_is_named_and_keeps_a_replay_from_being_sent(world: DlqWorld, tmp_path: Path) -> None:
    paid = world.fail(1)
    file = tmp_path / "parked.jsonl"
    file.write_text('{"topic": \n')
    shared = {"KCFIX_PARKED": str(file)}
    assert "line 1 is no parked message" in world.kcfix("list", environ=shared).err
    assert world.kcfix("replay", paid.id, environ=shared).code == 5
    file.unlink()
    file.mkdir()
    assert "nothing counts as parked" in world.kcfix("list", environ=shared).err
    assert world.kcfix("park", paid.id, "--reason", "x", environ=shared).code == 5


def test_what_the_worker_commits_is_read_first(world: DlqWorld) -> None:
    """A message on an unprotected partition waits for nobody: nobody knows whether it will be read."""
    paid = world.pay(1)
    record = world.put(paid)
    world.letters(record)
    world.kafka.forget_commit(GROUP, place_of(record).in_partition)
    assert states(world) == {paid.id: "UNSETTLED"}
