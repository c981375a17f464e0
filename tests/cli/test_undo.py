"""`kcfix undo` at the terminal and in a pipe, on a system in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kcfix.adapters.journal_file import open_journal
from kcfix.core.events import advisory_lock_key, own_purchase_id
from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import PaymentId
from kcfix.core.ports.kafka import SendState
from kcfix.core.workers import ContainerState
from kcfix.errors import Unreachable
from tests.cli.night import APPLY, GROUP, Night
from tests.conftest import NOW, Ran, Run, Terminal
from tests.fakes_docker import container

LATER = ("--strategy", "insert", "--announce-later", *APPLY)
TOPIC = "purchase-confirmed"
P0 = TopicPartition(TOPIC, 0)


@pytest.fixture
def undo(run: Run, night: Night) -> Callable[..., Ran]:
    """Run `kcfix undo` on that night."""

    def call(*words: str, **more: Any) -> Ran:
        systems = {"kafka": night.kafka, "database": night.database, "docker": night.docker}
        return run("undo", *words, **{**systems, **more})

    return call


@pytest.fixture
def newest(run: Run) -> Callable[[], str]:
    """The id of the newest run."""
    return lambda: str(run("history", "-o", "json").document["data"][0]["run"])


@pytest.fixture
def inserted(repair: Callable[..., Ran], night: Night, newest: Callable[[], str]) -> str:
    """A run that inserted both purchases and left them to be announced later."""
    repair(*night.ids, *LATER)
    assert len(night.database.purchases) == 2
    return newest()


@pytest.fixture
def journalled(tmp_path: Path) -> Callable[..., str]:
    """Write a run with one step as its journal would stand there; gives its id."""

    def write(step: Mapping[str, object], result: Mapping[str, object] | None, *, context: str = "default") -> str:
        folder = tmp_path / "home" / ".local" / "state" / "kcfix" / "journal"
        journal = open_journal(folder, environ={"KCFIX_USER": "operator"}, now=lambda: NOW, secrets=frozenset)
        run = journal.begin(command="restart", context=context, argv=("restart", "purchase-worker"))
        id = run.intend(step)
        if result is not None:
            run.done(id, result)
            run.end(0)
        return run.id

    return write


def moved(before: int | None, made: int) -> dict[str, object]:
    return {
        "step": "commit",
        "group": GROUP,
        "topic": TOPIC,
        "partition": 0,
        "committed_offset_before": before,
        "committed_offset": made,
    }


def told(ran: Ran) -> list[tuple[Any, Any, Any]]:
    """Kind, action and outcome of each row."""
    return [(row["kind"], row["action"], row["outcome"]) for row in ran.document["data"]]


def test_a_dry_run_changes_nothing_and_ends_with_the_line_to_run(
    undo: Callable[..., Ran], inserted: str, night: Night
) -> None:
    ran = undo(inserted)
    assert ran.code == 0, ran.err
    assert "insert (2 times)  DELETE_PURCHASE: not announced, and as the run left it" in ran.out
    assert "Planned: 2 DELETE_PURCHASE. Nothing was changed." in ran.out
    assert ran.lines[-1].strip() == f"kcfix undo {inserted} --apply"
    assert len(night.database.purchases) == 2
    assert "delete" not in night.database.calls
    assert undo(inserted, "--exit-code").code == 1
    assert undo(inserted, "--dry-run", "-q").lines == list(reversed(night.ids))


def test_an_unannounced_insert_is_deleted_and_the_second_time_nothing_is_left(
    undo: Callable[..., Ran], run: Run, inserted: str, night: Night, newest: Callable[[], str]
) -> None:
    ran = undo(inserted, *APPLY, "-o", "json", "--reason", "wrong payments", now=NOW + timedelta(seconds=5))
    assert (ran.code, told(ran)) == (0, [("insert", "DELETE_PURCHASE", "UNDONE")] * 2)
    assert night.database.purchases == []
    assert "Planned: 2 DELETE_PURCHASE." in ran.err
    assert "--apply" not in ran.err.partition("STEP")[2]
    [row] = run("history", newest(), "-o", "json").document["data"]
    assert (row["command"], row["reason"], row["exit_code"]) == ("undo", "wrong payments", 0)
    assert row["summary"] == {"undoes": inserted, "outcomes": {"UNDONE": 2}}
    assert [s["what"]["step"] for s in row["step_list"]] == ["delete", "delete"]
    assert {(s["result"]["state"], s["result"]["read_back"]) for s in row["step_list"]} == {("DELETED", False)}

    again = undo(inserted, *APPLY, "-o", "json", now=NOW + timedelta(minutes=5))
    assert (again.code, told(again)) == (0, [("insert", "NOTHING", None)] * 2)
    assert newest() == row["run"]


def test_what_was_undone_can_be_repaired_again_and_is_then_the_later_runs(
    undo: Callable[..., Ran], repair: Callable[..., Ran], inserted: str, night: Night
) -> None:
    ran = undo(inserted, *APPLY)
    assert f"kcfix repair {night.ids[1]} {night.ids[0]}" in ran.out
    repair(*night.ids, *LATER, now=NOW + timedelta(seconds=1))
    assert len(night.database.purchases) == 2
    once_more = undo(inserted, *APPLY, "-o", "json", now=NOW + timedelta(seconds=2))
    assert (once_more.code, told(once_more)) == (0, [("insert", "NOTHING", None)] * 2)
    assert "inserted again by run" in once_more.document["data"][0]["why"]
    assert len(night.database.purchases) == 2


def test_the_undo_of_an_undo_says_what_makes_the_purchase_again(
    undo: Callable[..., Ran], inserted: str, night: Night, newest: Callable[[], str]
) -> None:
    undo(inserted, *APPLY, now=NOW + timedelta(seconds=5))
    ran = undo(newest(), *APPLY)
    assert ran.code == 5
    assert "a repair of the payment makes its purchase again" in ran.out
    assert ran.lines[-1].strip() == f"kcfix repair {night.ids[0]} {night.ids[1]}"


def test_an_announced_purchase_stays_and_that_is_said_before_apply(
    undo: Callable[..., Ran], repair: Callable[..., Ran], night: Night, newest: Callable[[], str]
) -> None:
    repair(night.ids[0], *APPLY)
    dry = undo(newest())
    assert dry.code == 0
    assert "1 message was sent, or may have been, and can't be called back." in dry.out
    assert "announce  CANNOT: the announcement was sent; a message can't be called back" in dry.out
    assert "insert  CANNOT: its announcement was sent; the allocation worker acts on it" in dry.out
    assert "--apply" not in dry.out.partition("STEP")[2]
    ran = undo(newest(), *APPLY, "-o", "json")
    assert (ran.code, told(ran)) == (5, [("announce", "CANNOT", None), ("insert", "CANNOT", None)])
    assert ran.document["summary"]["sent_messages"] == 1
    assert len(night.database.purchases) == 1


def test_what_can_be_undone_of_a_run_is_and_the_rest_makes_it_6(
    undo: Callable[..., Ran], repair: Callable[..., Ran], night: Night, newest: Callable[[], str]
) -> None:
    night.kafka.send_states = [SendState.ACKNOWLEDGED, SendState.REJECTED]
    repair(*night.ids, *APPLY)
    dry = undo(newest())
    assert "insert  DELETE_PURCHASE" in dry.out
    ran = undo(newest(), "--apply", tty=True, stdin="y\n", now=NOW + timedelta(seconds=5))
    assert ran.code == 6
    assert "Undo 1 step of run" in ran.err
    assert "1 sent can't be called back. Go ahead? [y/N]" in ran.err
    assert [p.id for p in night.database.purchases] == [own_purchase_id(PaymentId(night.ids[0]))]


@pytest.mark.parametrize("state", [SendState.UNKNOWN, SendState.REJECTED])
def test_an_announcement_that_was_not_answered_is_waited_for(
    undo: Callable[..., Ran],
    repair: Callable[..., Ran],
    night: Night,
    newest: Callable[[], str],
    state: SendState,
) -> None:
    night.kafka.send_states = [state]
    repair(night.ids[0], *APPLY)
    ran = undo(newest(), *APPLY, "-o", "json", now=NOW + timedelta(seconds=30))
    assert ran.code == (4 if state is SendState.UNKNOWN else 0)
    assert len(night.database.purchases) == (1 if state is SendState.UNKNOWN else 0)


def test_an_announcement_that_comes_after_the_plan_is_seen_under_the_lock(
    undo: Callable[..., Ran], inserted: str, night: Night
) -> None:
    real = night.database.delete

    def announced_first(orders: Any, recheck: Any) -> Any:
        body = {"type": "PURCHASE_CREATED", "purchaseId": orders[0].purchase.id}
        night.kafka.put("purchase-created", "other key", json.dumps(body))
        return real(orders, recheck)

    night.database.delete = announced_first  # type: ignore[method-assign]
    ran = undo(inserted, *APPLY, "-o", "json")
    assert (ran.code, told(ran)) == (5, [("insert", "DELETE_PURCHASE", "REFUSED")] * 2)
    assert len(night.database.purchases) == 2


def test_a_purchase_that_somebody_acts_on_stays(undo: Callable[..., Ran], inserted: str, night: Night) -> None:
    night.database.allocation(night.database.purchases[0], status="pending", requested_at=NOW)
    ran = undo(inserted, *APPLY, "-o", "json")
    assert ran.code == 6
    assert [o for _, _, o in told(ran)] == ["UNDONE", None]
    assert "an allocation of its student and course is there" in ran.document["data"][1]["why"]
    assert len(night.database.purchases) == 1


def test_the_purchase_of_a_refunded_payment_can_be_taken_back(
    undo: Callable[..., Ran], inserted: str, night: Night
) -> None:
    night.database.change(PaymentId(night.ids[0]), status="refunded")
    assert undo(inserted, *APPLY).code == 0
    assert night.database.purchases == []


def test_a_message_that_waits_for_the_worker_is_noted(undo: Callable[..., Ran], inserted: str, night: Night) -> None:
    record = night.kafka.put(TOPIC, night.ids[0], at=night.paid[0].paid_at)
    where = TopicPartition(TOPIC, record.partition)
    night.kafka.commit_as_worker(GROUP, {where: record.offset})
    ran = undo(inserted)
    assert f"note  its own message waits ({where} offset {record.offset}): the worker makes a purchase" in ran.out


@pytest.mark.parametrize("system", ["kafka", "database"])
def test_a_system_that_is_silent_leaves_everything(
    undo: Callable[..., Ran], inserted: str, night: Night, system: str
) -> None:
    getattr(night, system).down = Unreachable(f"{system} is down", system=system)
    for words in ((), APPLY):
        ran = undo(inserted, *words, "-o", "json")
        assert (ran.code, told(ran)) == (4, [("insert", "UNKNOWN", None)] * 2)
        assert f"{system} is down" in ran.document["errors"][0]["message"]
    assert "What can be undone is not known" in undo(inserted).out
    night.kafka.down = night.database.down = None
    assert len(night.database.purchases) == 2


def test_without_docker_it_goes_on_and_says_what_was_not_checked(
    undo: Callable[..., Ran], inserted: str, night: Night
) -> None:
    night.docker.failure = Unreachable("docker is down", system="docker")
    ran = undo(inserted, *APPLY, "-o", "json")
    assert ran.code == 0
    assert "could not be checked" in " ".join(ran.document["warnings"])


def test_a_lock_that_another_holds_leaves_its_purchase(undo: Callable[..., Ran], inserted: str, night: Night) -> None:
    held = night.database.purchases[0]
    night.database.held_locks.add(advisory_lock_key(held.student_id, held.course_id))
    ran = undo(inserted, *APPLY, "-o", "json")
    assert (ran.code, [o for _, _, o in told(ran)]) == (6, ["UNDONE", "FAILED"])
    assert night.database.purchases == [held]


@pytest.mark.parametrize(("lost", "code", "left"), [("made", 0, 0), ("not made", 6, 2)])
def test_after_a_lost_commit_it_looks_and_stops_in_doubt(
    undo: Callable[..., Ran], inserted: str, night: Night, lost: str, code: int, left: int
) -> None:
    night.database.lost_commit = lost
    ran = undo(inserted, *APPLY, "-o", "json")
    assert (ran.code, len(night.database.purchases)) == (code, left)
    assert [o for _, _, o in told(ran)] == (["UNSEEN", "LEFT"] if left else ["UNDONE", "UNDONE"])
    night.database.lost_commit = None
    assert undo(inserted, *APPLY).code == 0
    assert night.database.purchases == []


@pytest.mark.parametrize(("answer", "code", "left"), [("2\n", 0, 0), ("y\n", 5, 2), ("\n", 5, 2), ("", 5, 2)])
def test_at_a_terminal_it_asks_for_the_number(
    undo: Callable[..., Ran], inserted: str, night: Night, answer: str, code: int, left: int
) -> None:
    ran = undo(inserted, "--apply", tty=True, stdin=answer)
    assert (ran.code, len(night.database.purchases)) == (code, left)
    assert f"Undo 2 steps of run {inserted}: 2 delete purchase. Type 2 to go ahead:" in ran.err


def test_without_a_terminal_it_wants_yes(undo: Callable[..., Ran], inserted: str, night: Night) -> None:
    ran = undo(inserted, "--apply")
    assert ran.code == 5
    assert "--yes" in ran.err
    assert len(night.database.purchases) == 2


def test_a_protected_context_wants_a_reason(undo: Callable[..., Ran], inserted: str, night: Night) -> None:
    protected = {"KCFIX_PROTECTED": "true"}
    assert undo(inserted, *APPLY, environ=protected).code == 5
    assert undo(inserted, environ=protected).lines[-1].strip() == f"kcfix undo {inserted} --apply --reason why"
    again = (inserted, *APPLY, "--reason", "wrong")
    assert undo(*again, environ=protected).code == 5
    assert undo(*again, "--confirm", "default", environ=protected).code == 0


def test_what_changes_while_the_question_stands_is_left_alone(
    undo: Callable[..., Ran], inserted: str, night: Night
) -> None:
    class Slow(Terminal):
        def readline(self, *size: Any) -> str:  # type: ignore[override]
            night.database.allocation(night.database.purchases[0], requested_at=NOW)
            del night.database.purchases[1]
            return "2\n"

    ran = undo(inserted, "--apply", "-o", "json", tty=True, stdin=Slow(tty=True))
    assert ran.code == 5
    assert [o for _, _, o in told(ran)] == ["UNDONE", "REFUSED"]
    assert {row["changed"] for row in ran.document["data"]} == {False}
    assert "since the plan was made it became CANNOT" in ran.document["data"][1]["outcome_text"]


def test_where_the_journal_can_not_be_read_nothing_is_changed(
    undo: Callable[..., Ran], inserted: str, night: Night, tmp_path: Path
) -> None:
    for file in (tmp_path / "home" / ".local" / "state" / "kcfix" / "journal").glob("*.jsonl"):
        file.rename(file.with_name("2025-12.jsonl"))
    (tmp_path / "home" / ".local" / "state" / "kcfix" / "journal" / "2026-01.jsonl").mkdir()
    ran = undo(inserted, *APPLY)
    assert (ran.code, "can't read the journal" in ran.err) == (4, True), ran.err
    assert len(night.database.purchases) == 2


def test_an_unknown_run_and_one_of_another_context_are_told_apart(
    undo: Callable[..., Ran], journalled: Callable[..., str]
) -> None:
    unknown = undo("2020")
    assert (unknown.code, "no run '2020'" in unknown.err) == (3, True)
    other = journalled({"step": "stop"}, {"ok": True}, context="production")
    ran = undo(other, *APPLY)
    assert ran.code == 5
    assert f"kcfix -C production undo {other}" in ran.err


def test_apply_and_dry_run_exclude_each_other(undo: Callable[..., Ran]) -> None:
    assert undo("2020", "--apply", "--dry-run").code == 2


def test_a_run_that_did_not_end_is_said_to_be_so(undo: Callable[..., Ran], journalled: Callable[..., str]) -> None:
    ran = undo(journalled({"step": "stop", "container": "w"}, None), "-o", "json")
    assert ran.code == 0
    assert "killed or is still running" in ran.document["warnings"][0]
    assert told(ran) == [("stop", "NOTHING", None)]


def test_an_insert_that_failed_is_nothing_to_undo(
    undo: Callable[..., Ran], repair: Callable[..., Ran], night: Night, newest: Callable[[], str]
) -> None:
    night.database.read_only = True
    repair(night.ids[0], *APPLY)
    ran = undo(newest(), *APPLY, "-o", "json")
    assert (ran.code, told(ran)) == (0, [("insert", "NOTHING", None)])


# offsets


@pytest.fixture
def waiting(night: Night) -> Night:
    """Partition 0 holds eight records of no value, and the group stands at 7."""
    for _ in range(8):
        night.kafka.put(TOPIC, "k", None, partition=0)
    night.kafka.commit_as_worker(GROUP, {P0: 7})
    return night


def test_an_offset_is_put_back_while_the_worker_stands_still(
    undo: Callable[..., Ran], journalled: Callable[..., str], waiting: Night
) -> None:
    id = journalled(moved(5, 7), {"ok": True})
    dry = undo(id)
    assert "COMMIT_OFFSET: from 7 back to 5: up to 2 messages are read again, 0 of them unsettled" in dry.out
    ran = undo(id, *APPLY, "-o", "json")
    assert (ran.code, told(ran)) == (0, [("commit", "COMMIT_OFFSET", "UNDONE")])
    [row] = ran.document["data"]
    assert (row["partition"], row["committed_offset"], row["committed_offset_before"]) == (0, 7, 5)
    assert waiting.kafka.committed([GROUP])[GROUP][P0].offset == 5
    assert undo(id, *APPLY, "-o", "json").document["data"][0]["action"] == "NOTHING"


def test_the_undo_of_a_moved_offset_can_be_undone(
    undo: Callable[..., Ran], journalled: Callable[..., str], waiting: Night, run: Run
) -> None:
    id = journalled(moved(5, 7), {"ok": True})
    undo(id, *APPLY, now=NOW + timedelta(seconds=1))
    [made] = [r["run"] for r in run("history", "-o", "json").document["data"] if r["command"] == "undo"]
    assert undo(made, *APPLY, now=NOW + timedelta(seconds=2)).code == 0
    assert waiting.kafka.committed([GROUP])[GROUP][P0].offset == 7


def test_a_pin_on_a_partition_without_a_commit_stays_and_says_why(
    undo: Callable[..., Ran], journalled: Callable[..., str], waiting: Night
) -> None:
    ran = undo(journalled(moved(None, 7), {"ok": True}), *APPLY)
    assert ran.code == 5
    assert "without an offset the next start would skip what waits" in ran.out
    assert waiting.kafka.commits == []


def test_an_offset_of_a_running_worker_stays(
    undo: Callable[..., Ran], journalled: Callable[..., str], waiting: Night
) -> None:
    id = journalled(moved(5, 7), {"ok": True})
    box = container(state=ContainerState.RUNNING)
    waiting.docker.boxes = {box.id: box}
    assert "is running; stop it first" in undo(id).out
    waiting.kafka.join_worker(GROUP, TOPIC, client_id="purchase-worker-1")
    ran = undo(id, *APPLY)
    assert ran.code == 5
    assert "the group has a member" in ran.out
    assert waiting.kafka.commits == []


def test_an_offset_before_a_message_that_the_worker_fails_on_stays(
    undo: Callable[..., Ran], journalled: Callable[..., str], waiting: Night
) -> None:
    waiting.kafka.put(TOPIC, "k", "no json", partition=0)
    waiting.kafka.commit_as_worker(GROUP, {P0: 9})
    ran = undo(journalled(moved(5, 9), {"ok": True}), *APPLY)
    assert ran.code == 5
    assert "the worker would read offset 8 again and must not" in ran.out


def test_an_offset_is_not_moved_on_over_what_is_unsettled(
    undo: Callable[..., Ran], journalled: Callable[..., str], waiting: Night
) -> None:
    waiting.kafka.commit_as_worker(GROUP, {P0: 6})
    assert "from 6 on to 8: the messages between are settled" in undo(journalled(moved(8, 6), {"ok": True})).out
    paid = waiting.paid[0]
    body = {
        "type": "PURCHASE_CONFIRMED",
        "paymentId": paid.id,
        "studentId": paid.student_id,
        "courseId": paid.course_id,
        "metadata": paid.metadata,
        "_metadata": {"eventId": paid.id, "correlationId": paid.id},
    }
    waiting.kafka.put(TOPIC, paid.id, json.dumps(body), partition=0)
    ran = undo(journalled(moved(9, 6), {"ok": True}), *APPLY)
    assert ran.code == 5
    assert "would skip offset 8: no purchase" in ran.out


FOREIGN = "someone-elses"


def test_the_offset_of_a_group_outside_the_flow_is_put_back(
    undo: Callable[..., Ran], journalled: Callable[..., str], waiting: Night
) -> None:
    waiting.kafka.put(TOPIC, "k", "no json", partition=0)
    waiting.kafka.commit_as_worker(FOREIGN, {P0: 9})
    run_id = journalled({**moved(7, 9), "group": FOREIGN}, {"ok": True})
    planned = undo(run_id)
    assert planned.code == 0
    assert "from 9 back to 7: up to 2 messages are read again, 2 of them unsettled" in planned.out
    assert "whether a container of its worker runs is not known" in planned.out
    assert undo(run_id, *APPLY).code == 0
    assert waiting.kafka.committed([FOREIGN])[FOREIGN][P0].offset == 7


def test_the_offset_of_a_group_outside_the_flow_is_not_moved_on(
    undo: Callable[..., Ran], journalled: Callable[..., str], waiting: Night
) -> None:
    waiting.kafka.commit_as_worker(FOREIGN, {P0: 5})
    ran = undo(journalled({**moved(8, 5), "group": FOREIGN}, {"ok": True}), *APPLY)
    assert ran.code == 5
    assert "would skip offset 5: whether it was handled can't be checked" in ran.out
    assert f"kcfix offsets reset --group {FOREIGN} --topic {TOPIC}:0 --to 8 --accept-unchecked" in ran.out
    assert waiting.kafka.committed([FOREIGN])[FOREIGN][P0].offset == 5


def test_the_offset_of_a_group_outside_the_flow_that_has_a_member_stays(
    undo: Callable[..., Ran], journalled: Callable[..., str], waiting: Night
) -> None:
    waiting.kafka.commit_as_worker(FOREIGN, {P0: 9})
    waiting.kafka.join_worker(FOREIGN, TOPIC)
    ran = undo(journalled({**moved(7, 9), "group": FOREIGN}, {"ok": True}), *APPLY)
    assert ran.code == 5
    assert "has a member" in ran.out


@pytest.mark.parametrize("columns", ["80", "200"])
def test_it_fits_on_the_terminal(undo: Callable[..., Ran], inserted: str, night: Night, columns: str) -> None:
    ran = undo(inserted, "--color", "never", tty=True, environ={"COLUMNS": columns})
    assert all(i in ran.out for i in night.ids)
    table = [line for line in ran.lines if "DELETE_PURCHASE" in line and "insert" in line]
    assert all(len(line) <= int(columns) for line in table)


def test_the_history_of_a_run_names_the_undo_of_it(run: Run, inserted: str) -> None:
    assert run("history", inserted).lines[-1].strip() == f"kcfix undo {inserted}"


@pytest.mark.parametrize("silent", ["kafka", "database"])
def test_a_system_that_falls_silent_under_the_question_is_4_and_nothing_is_undone(
    undo: Callable[..., Ran], night: Night, inserted: str, silent: str
) -> None:
    class Answer(Terminal):
        def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
            getattr(night, silent).down = Unreachable(f"{silent} did not answer within 3 s", system=silent)
            return "2\n"

    ran = undo(inserted, "--apply", "-o", "json", tty=True, stdin=Answer(tty=True))
    assert (ran.code, told(ran)) == (4, [("insert", "DELETE_PURCHASE", "FAILED")] * 2)
    assert len(night.database.purchases) == 2


def test_a_purchase_that_was_changed_while_the_question_stands_is_left_alone(
    undo: Callable[..., Ran], inserted: str, night: Night
) -> None:
    class Slow(Terminal):
        def readline(self, *size: Any) -> str:  # type: ignore[override]
            first = night.database.purchases[0]
            night.database.purchases[0] = replace(first, metadata={"timeSlot": "5:00 PM"})
            return "2\n"

    ran = undo(inserted, "--apply", "-o", "json", tty=True, stdin=Slow(tty=True))
    assert (ran.code, sorted(str(o) for _, _, o in told(ran))) == (6, ["REFUSED", "UNDONE"])
    assert [p.metadata for p in night.database.purchases] == [{"timeSlot": "5:00 PM"}]
    assert any("became another one" in str(row["outcome_text"]) for row in ran.document["data"])
