"""`kcfix dlq replay` on a system in memory whose worker handles what is sent."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from kcfix.core.dlq.message import REPLAYS
from kcfix.core.events import parse_event
from kcfix.core.offsets import TopicPartition
from kcfix.core.ports.kafka import SendState
from kcfix.errors import Unreachable
from tests.conftest import NOW, Ran, Run, Terminal
from tests.dlq_world import APPLY, FLOW, GROUP, LETTERS, TOPIC, DlqWorld, body_of, place_of


@pytest.fixture
def world(run: Run) -> DlqWorld:
    return DlqWorld(run)


def rows(ran: Ran) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ran.document["data"]
    return found


def actions(ran: Ran) -> list[str]:
    return [row["action"] for row in rows(ran)]


def outcomes(ran: Ran) -> list[str]:
    return [row["outcome"] for row in rows(ran)]


def test_a_dry_run_sends_nothing_and_ends_with_the_line_to_run(world: DlqWorld) -> None:
    paid = world.fail(1)
    ran = world.kcfix("replay", paid.id)
    assert (ran.code, world.kafka.sent) == (0, [])
    assert ran.lines[-1].strip() == f"kcfix dlq replay {paid.id} --apply"
    assert world.kcfix("replay", paid.id, "--exit-code", "-q").lines == [world.place(paid)]
    assert world.kcfix("replay", paid.id, "--exit-code").code == 1


def test_the_record_goes_out_as_it_was_with_a_counter(world: DlqWorld) -> None:
    paid = world.fail(1)
    [original] = [r for r in world.kafka.log(TOPIC) if r.key == paid.id.encode()]
    ran = world.kcfix("replay", paid.id, *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)) == (0, ["SETTLED"])
    [sent] = world.kafka.sent
    assert (sent.topic, sent.key, sent.value, sent.partition) == (
        TOPIC,
        original.key,
        original.value,
        original.partition,
    )
    assert sent.headers == (*original.headers, (REPLAYS, b"1"))
    assert world.purchases(paid) == 1
    again = world.kcfix("replay", paid.id, *APPLY, "-o", "json")
    assert (again.code, actions(again), len(world.kafka.sent)) == (0, ["NOTHING"], 1)


def test_what_was_settled_since_is_not_sent(world: DlqWorld) -> None:
    paid = world.fail(1)
    world.database.purchase(paid)
    ran = world.kcfix("replay", paid.id, *APPLY, "-o", "json")
    assert (ran.code, actions(ran), world.kafka.sent) == (0, ["NOTHING"], [])
    assert "settled since: purchase" in rows(ran)[0]["why"]


def test_what_is_settled_between_plan_and_send_is_success_and_not_sent(world: DlqWorld) -> None:
    paid = world.fail(1)
    world.fail(2)

    class Slow(Terminal):
        """A person who takes so long to answer that somebody else settles it."""

        def readline(self, *size: Any) -> Any:
            world.database.purchase(paid)
            return super().readline(*size)

    answer = Slow("2\n", tty=True)
    ran = world.kcfix("replay", "--since", "1d", "--apply", "-o", "json", tty=True, stdin=answer)
    assert (ran.code, outcomes(ran)) == (0, ["SETTLED", "SETTLED"]), ran.err
    assert "settled by somebody else meanwhile" in rows(ran)[0]["outcome_text"]
    assert len(world.kafka.sent) == 1


def test_an_original_that_is_gone_is_made_of_its_dead_letter(world: DlqWorld) -> None:
    paid = world.fail(1)
    world.kafka.delete_before(TopicPartition(TOPIC, int(world.place(paid).partition("@")[0][-1])), 1)
    ran = world.kcfix("replay", paid.id, *APPLY, "-o", "json")
    assert (ran.code, rows(ran)[0]["from_log"]) == (0, False), ran.err
    [sent] = world.kafka.sent
    assert sent.key == paid.id.encode()
    assert json.loads(sent.value) == body_of(paid)
    names = [name for name, _ in sent.headers]
    assert names == ["eventId", "correlationId", "eventType", "source", "version", REPLAYS]
    assert world.purchases(paid) == 1


def test_a_record_of_another_message_at_the_same_place_is_not_sent(world: DlqWorld) -> None:
    first = world.fail(1)
    partition = int(world.place(first).partition("@")[0][-1])
    world.kafka.remove_topic(TOPIC)
    world.kafka.add_topic(TOPIC)
    other = world.pay(2)
    world.database.purchase(other)
    world.put(other, partition=partition)
    world.kafka.commit_as_worker(GROUP, {TopicPartition(TOPIC, partition): 1})
    ran = world.kcfix("replay", first.id, *APPLY, "-o", "json")
    assert (ran.code, rows(ran)[0]["from_log"]) == (0, False), ran.err
    event = parse_event(world.kafka.log(TOPIC)[-1])
    assert event is not None
    assert event.payment_id == first.id


def test_a_record_without_a_key_or_an_event_id_goes_where_it_was(world: DlqWorld) -> None:
    paid = world.pay(1)
    body = {k: v for k, v in body_of(paid).items() if k != "_metadata"}
    world.database.shape = "B"
    record = world.kafka.put(TOPIC, None, json.dumps(body), partition=2, headers=(("by-hand", None),))
    world.letters(record)
    world.pass_by(place_of(record))
    world.database.tables -= {"events"}
    ran = world.kcfix("replay", paid.id, *APPLY, "-o", "json")
    assert ran.code == 0, ran.out
    [sent] = world.kafka.sent
    assert (sent.key, sent.partition) == (None, 2)
    assert sent.headers == (("by-hand", None), (REPLAYS, b"1"))


@pytest.mark.parametrize(("why", "row"), [("tier is 12", {"tier": 12}), ("refunded", {"status": "refunded"})])
def test_what_would_fail_or_do_harm_is_refused(world: DlqWorld, why: str, row: dict[str, Any]) -> None:
    paid = world.fail(1, **row)
    ran = world.kcfix("replay", paid.id, *APPLY, "-o", "json")
    assert (ran.code, actions(ran), world.kafka.sent) == (5, ["REFUSE"], [])
    assert why in rows(ran)[0]["why"]


def test_on_an_unprotected_partition_it_is_refused(world: DlqWorld) -> None:
    paid = world.fail(1)
    world.kafka.forget_commit(GROUP, TopicPartition(TOPIC, int(world.place(paid).partition("@")[0][-1])))
    ran = world.kcfix("replay", paid.id, *APPLY, "-o", "json")
    assert (ran.code, actions(ran), world.kafka.sent) == (5, ["REFUSE"], [])
    assert "kcfix restart purchase-worker" in rows(ran)[0]["why"]


def test_a_partition_that_loses_its_commit_under_the_question_is_refused(world: DlqWorld) -> None:
    paid = world.fail(1)
    real = world.database.schema
    calls: list[int] = []

    def schema() -> Any:
        calls.append(1)
        if len(calls) == 1:
            world.kafka.forget_commit(GROUP, TopicPartition(TOPIC, int(world.place(paid).partition("@")[0][-1])))
        return real()

    world.database.schema = schema  # type: ignore[method-assign]
    ran = world.kcfix("replay", paid.id, *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran), world.kafka.sent) == (5, ["CHANGED"], [])


def test_a_copy_that_waits_is_not_sent_again(world: DlqWorld) -> None:
    paid = world.fail(1)
    world.alive = False
    first = world.kcfix("replay", paid.id, *APPLY, "-o", "json")
    assert (first.code, outcomes(first)) == (6, ["UNSEEN"])
    second = world.kcfix("replay", paid.id, *APPLY, "-o", "json")
    assert (second.code, actions(second), len(world.kafka.sent)) == (1, ["WAIT"], 1)


def test_a_worker_that_is_away_is_said_and_no_refusal(world: DlqWorld) -> None:
    paid = world.fail(1)
    world.kafka.leave(GROUP)
    [row] = rows(world.kcfix("replay", paid.id, "-o", "json"))
    assert row["action"] == "SEND"
    assert "no member of purchase-creation-workers reads" in row["notes"][0]


def test_the_canary_stops_the_run_and_the_rest_is_left(world: DlqWorld) -> None:
    paid = [world.fail(n) for n in (1, 2, 3)]
    world.broken = {p.id for p in paid}
    ran = world.kcfix("replay", "--since", "1d", *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran), len(world.kafka.sent)) == (6, ["FAILED_AGAIN", "LEFT", "LEFT"], 1)
    assert "it failed again" in rows(ran)[0]["outcome_text"]


def test_each_cause_has_its_own_canary(world: DlqWorld) -> None:
    good = [world.fail(n, "one thing") for n in (1, 2)]
    bad = [world.fail(n, "another thing") for n in (3, 4)]
    world.broken = {p.id for p in bad}
    ran = world.kcfix("replay", "--since", "1d", *APPLY, "-o", "json")
    found = {row["payment_id"]: row["outcome"] for row in rows(ran)}
    assert sorted(found[p.id] for p in bad) == ["FAILED_AGAIN", "LEFT"]
    assert [world.purchases(p) for p in good] == [1, 1]


def test_many_go_in_batches_and_more_than_max_are_left(world: DlqWorld) -> None:
    paid = [world.fail(n) for n in range(1, 8)]
    ran = world.kcfix("replay", "--since", "1d", *APPLY, "--max", "5", "--rate", "2", "-o", "json")
    assert (ran.code, outcomes(ran)) == (6, ["SETTLED"] * 5)
    assert ran.document["summary"]["beyond_max"] == 2
    rest = world.kcfix("replay", "--since", "1d", *APPLY, "-o", "json")
    assert (rest.code, outcomes(rest)) == (0, ["SETTLED"] * 2)
    assert [world.purchases(p) for p in paid] == [1] * 7


def test_by_cause(world: DlqWorld) -> None:
    one, other = world.fail(1, "one thing"), world.fail(2, "another thing")
    listed = world.kcfix("list", "-o", "json").document["data"]
    cause = next(row["cause"] for row in listed if row["reason"] == "one thing")
    ran = world.kcfix("replay", "--cause", cause, *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)) == (0, ["SETTLED"])
    assert (world.purchases(one), world.purchases(other)) == (1, 0)


def test_what_a_selection_leaves_counts(world: DlqWorld) -> None:
    world.fail(1)
    world.fail(2, tier=12)
    ran = world.kcfix("replay", "--since", "1d", *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran), ran.document["summary"]["left"]) == (6, ["SETTLED"], {"WOULD_FAIL": 1})


def test_the_loop_guard(world: DlqWorld) -> None:
    paid = world.fail(1)
    world.broken = {paid.id}
    for n in (1, 2, 3):
        ran = world.kcfix("replay", paid.id, *APPLY, "-o", "json")
        assert outcomes(ran).count("FAILED_AGAIN") == 1, ran.out
        assert dict(world.kafka.sent[-1].headers)[REPLAYS] == str(n).encode()
        # Somebody gets the worker past it.
        record = next(r for r in reversed(world.kafka.log(TOPIC)) if r.key == paid.id.encode())
        world.pass_by(place_of(record))
    ran = world.kcfix("replay", paid.id, *APPLY, "-o", "json")
    assert ran.code == 5
    assert "replayed 3 times" in next(row["why"] for row in rows(ran) if row["action"] == "REFUSE")
    assert len(world.kafka.sent) == 3
    world.broken = set()
    ran = world.kcfix("replay", paid.id, "--max-replays", "4", *APPLY, "-o", "json")
    assert ran.code == 0, ran.out
    assert dict(world.kafka.sent[-1].headers)[REPLAYS] == b"4"


def test_the_counter_survives_the_copy(world: DlqWorld) -> None:
    """Where the copies are gone, the letters about several places of one event tell how often it was sent."""
    paid = world.fail(1)
    for _ in range(3):
        record = world.put(paid)
        world.letters(record)
        world.pass_by(place_of(record))
    for p in range(3):
        end = world.kafka.log_offsets([TopicPartition(TOPIC, p)])[TopicPartition(TOPIC, p)].log_end_offset
        world.kafka.delete_before(TopicPartition(TOPIC, p), end or 0)
    ran = world.kcfix("replay", paid.id, "-o", "json")
    assert "SEND" not in actions(ran)
    assert any("replayed 3 times" in row["why"] for row in rows(ran))


def test_one_of_a_student_and_course_in_a_run(world: DlqWorld) -> None:
    world.fail(1)
    world.fail(2, student=1)
    ran = world.kcfix("replay", "--since", "1d", "-o", "json")
    assert sorted(actions(ran)) == ["REFUSE", "SEND"]
    assert "of the same student and course goes first" in " ".join(row["why"] for row in rows(ran))


def test_another_payment_of_theirs_that_waits_goes_first(world: DlqWorld) -> None:
    paid = world.fail(1)
    world.put(world.pay(2, student=1))
    ran = world.kcfix("replay", paid.id, "-o", "json")
    assert actions(ran) == ["REFUSE"]
    assert "waits at" in rows(ran)[0]["why"]


def test_what_can_not_be_checked_is_sent_only_by_name_and_proven_by_the_commit(world: DlqWorld) -> None:
    record = world.kafka.put(
        FLOW.notification_requested, "n", json.dumps({"_metadata": {"eventId": "notif-1"}}), at=NOW
    )
    world.letters(record, "no token")
    world.pass_by(place_of(record), FLOW.notification_group)
    selected = world.kcfix("replay", "--since", "1d", *APPLY, "-o", "json")
    assert (selected.code, rows(selected)) == (0, [])
    named = world.kcfix("replay", str(place_of(record)), "-o", "json")
    assert "can't be checked" in " ".join(rows(named)[0]["notes"])

    def handled(results: Any, messages: Any) -> None:
        where = TopicPartition(FLOW.notification_requested, results[0].partition)
        world.kafka.commit_as_worker(FLOW.notification_group, {where: results[0].offset + 1})

    world.kafka.worker = handled
    ran = world.kcfix("replay", str(place_of(record)), *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)) == (0, ["SETTLED"])
    assert "no table can show it" in rows(ran)[0]["outcome_text"]


@pytest.mark.parametrize(
    ("state", "code", "outcome"), [(SendState.REJECTED, 4, "FAILED"), (SendState.UNKNOWN, 6, "UNSEEN")]
)
def test_a_send_that_is_refused_or_not_answered(world: DlqWorld, state: SendState, code: int, outcome: str) -> None:
    paid = world.fail(1)
    world.kafka.send_states = [state]
    ran = world.kcfix("replay", paid.id, *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)) == (code, [outcome])
    again = world.kcfix("replay", paid.id, *APPLY, "-o", "json")
    assert (again.code, outcomes(again)) == (0, ["SETTLED"])


def test_a_database_that_falls_silent_sends_nothing(world: DlqWorld) -> None:
    paid = world.fail(1)
    world.database.down = Unreachable("database: no answer", system="database")
    ran = world.kcfix("replay", paid.id, *APPLY, "-o", "json")
    assert (ran.code, actions(ran), world.kafka.sent) == (4, ["UNKNOWN"], [])


def test_a_database_that_falls_silent_after_the_send_is_unknown(world: DlqWorld) -> None:
    paid = world.fail(1)

    def silent() -> None:
        world.database.down = Unreachable("database: no answer", system="database")

    world.kafka.before = silent
    ran = world.kcfix("replay", paid.id, *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)) == (6, ["UNSEEN"])
    world.database.down = None
    assert world.kcfix("replay", paid.id, *APPLY).code == 0
    assert (world.purchases(paid), len(world.kafka.sent)) == (1, 1)


def test_two_active_purchases_after_a_replay_stop_the_run(world: DlqWorld) -> None:
    paid = [world.fail(n) for n in (1, 2)]

    def double() -> None:
        for payment in paid:
            world.database.purchase(payment, created_at=NOW)
            world.database.purchase(payment, created_at=NOW + timedelta(seconds=1))

    world.kafka.before = double
    ran = world.kcfix("replay", "--since", "1d", *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)[0]) == (6, "UNVERIFIED")
    assert len(world.kafka.sent) == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), 2),
        (("--cause", "x", "00000000-0000-4000-8000-000100000001"), 2),
        (("nonsense",), 2),
        (("--since", "1d", "--rate", "0"), 2),
        (("--since", "1d", "--rate", "nan"), 2),
        (("--since", "1d", "--apply", "--dry-run"), 2),
        (("--since", "1d", "--apply"), 5),
        (("--cause", "nothing"), 3),
        (("00000000-0000-4000-8000-000100000009",), 3),
    ],
)
def test_what_can_not_be_asked(world: DlqWorld, words: tuple[str, ...], code: int) -> None:
    world.fail(1)
    assert world.kcfix("replay", *words).code == code
    assert world.kafka.sent == []


def test_the_run_is_in_the_journal_and_can_not_be_called_back(world: DlqWorld, run: Run) -> None:
    paid = world.fail(1)
    world.kcfix("replay", paid.id, *APPLY, "--reason", "database was down")
    [row] = run("history", "-o", "json").document["data"]
    assert (row["command"], row["reason"], row["exit_code"]) == ("dlq", "database was down", 0)
    [whole] = run("history", row["run"], "-o", "json").document["data"]
    [step] = whole["step_list"]
    assert (step["what"]["step"], step["what"]["payment_id"], step["result"]["state"]) == (
        "replay",
        paid.id,
        "ACKNOWLEDGED",
    )
    assert "traceparent" not in step["what"]["headers"]
    undone = run("undo", row["run"], "-o", "json", kafka=world.kafka, database=world.database)
    [back] = undone.document["data"]
    assert (back["kind"], back["action"]) == ("replay", "CANNOT")


def test_a_run_that_was_cut_short_is_finished_by_the_next(world: DlqWorld) -> None:
    paid = [world.fail(n) for n in (1, 2)]

    def die(results: Any, messages: Any) -> None:
        world.work(results, messages)
        raise SystemError("as if killed")

    world.kafka.worker = die
    first = world.kcfix("replay", paid[0].id, *APPLY)
    assert first.code == 70
    world.kafka.worker = world.work
    ran = world.kcfix("replay", "--since", "1d", *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)) == (0, ["SETTLED"])
    assert [world.purchases(p) for p in paid] == [1, 1]
    assert len(world.kafka.log(LETTERS)) == 6
