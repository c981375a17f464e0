"""`kcfix repair` at the terminal and in a pipe, on a system in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kcfix.core.events import own_purchase_id
from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import PaymentId
from kcfix.core.ports.database import IndexState
from kcfix.core.ports.kafka import SendState
from kcfix.core.workers import ContainerState
from kcfix.errors import Refused, Unreachable
from tests.cli.night import APPLY, GROUP, Night, outcomes
from tests.conftest import NOW, Ran, Run, Terminal
from tests.fakes_database import course_id, payment_id
from tests.fakes_docker import container


def test_a_dry_run_changes_nothing_and_ends_with_the_line_to_run(repair: Callable[..., Ran], night: Night) -> None:
    ran = repair(*night.ids)
    assert ran.code == 0
    assert "NEVER_SENT" in ran.out
    assert f"kcfix repair {night.ids[0]} {night.ids[1]} --apply" in ran.lines[-1]
    assert night.database.purchases == []
    assert night.kafka.sent == []
    assert "insert" not in night.database.calls


def test_a_dry_run_exits_with_1_only_when_asked(repair: Callable[..., Ran], night: Night) -> None:
    assert repair(*night.ids, "--exit-code").code == 1
    assert repair(*night.ids, "--exit-code", "-q").lines == night.ids


def test_apply_inserts_announces_and_reads_back(repair: Callable[..., Ran], night: Night) -> None:
    ran = repair(*night.ids, *APPLY, "-o", "json", "--reason", "worker was down")
    assert (ran.code, outcomes(ran)) == (0, ["SETTLED", "SETTLED"])
    own = [own_purchase_id(PaymentId(i)) for i in night.ids]
    assert sorted(p.id for p in night.database.purchases) == sorted(own)
    assert sorted(str(i) for i in night.announced()) == sorted(own)
    again = repair(*night.ids, *APPLY, "-o", "json", now=NOW + timedelta(minutes=1))
    assert again.code == 0
    assert [row["verdict"] for row in again.document["data"]] == ["PURCHASED", "PURCHASED"]
    assert len(night.kafka.sent) == 2


def test_the_plan_shown_before_a_change_does_not_claim_that_nothing_was_changed(
    repair: Callable[..., Ran], night: Night
) -> None:
    ran = repair(*night.ids, *APPLY)
    assert "Planned: 2 INSERT, for 7,200.00 INR." in ran.err
    assert "Nothing was changed" not in ran.err
    assert "--apply" not in ran.err


def test_the_run_is_journalled_with_its_reason(repair: Callable[..., Ran], run: Run, night: Night) -> None:
    repair(night.ids[0], *APPLY, "--reason", "worker was down")
    [row] = run("history", "-o", "json").document["data"]
    assert (row["command"], row["reason"], row["exit_code"]) == ("repair", "worker was down", 0)
    [whole] = run("history", row["run"], "-o", "json").document["data"]
    steps = [step["what"] for step in whole["step_list"]]
    assert [(s["step"], s["payment_id"]) for s in steps] == [("insert", night.ids[0]), ("announce", night.ids[0])]
    assert {str(s["before"]) for s in steps} == {str({"verdict": "NEVER_SENT", "status": "succeeded", "purchases": []})}


def test_where_the_journal_cannot_be_written_nothing_is_changed(
    repair: Callable[..., Ran], night: Night, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    ran = repair(night.ids[0], *APPLY, environ={"KCFIX_STATE_DIR": str(blocked), "XDG_STATE_HOME": str(blocked)})
    assert ran.code == 5, ran.err
    assert night.database.purchases == []


@pytest.mark.parametrize("words", [(), APPLY], ids=["dry run", "apply"])
def test_an_insert_that_no_unique_index_guards_is_said(
    repair: Callable[..., Ran], night: Night, words: tuple[str, ...]
) -> None:
    night.database.index = IndexState.MISSING
    ran = repair(night.ids[0], *words, "-o", "json")
    assert ran.code == 0
    assert "unique_active_purchase is MISSING" in " ".join(ran.document["warnings"])
    night.database.index = IndexState.VALID
    assert not repair(night.ids[1], *words, "-o", "json").document["warnings"]


def test_without_a_terminal_it_wants_yes(repair: Callable[..., Ran], night: Night) -> None:
    ran = repair(night.ids[0], "--apply")
    assert ran.code == 5
    assert "--yes" in ran.err
    assert night.database.purchases == []


@pytest.mark.parametrize(("answer", "code", "made"), [("y\n", 0, 1), ("n\n", 5, 0), ("\n", 5, 0), ("", 5, 0)])
def test_at_a_terminal_it_asks_with_the_count(
    repair: Callable[..., Ran], night: Night, answer: str, code: int, made: int
) -> None:
    ran = repair(night.ids[0], "--apply", tty=True, stdin=answer)
    assert ran.code == code
    assert "Change 1 payment, 3,600.00 INR: 1 insert. Go ahead? [y/N]" in ran.err
    assert len(night.database.purchases) == made


def test_a_row_that_changed_under_the_question_is_refused(repair: Callable[..., Ran], night: Night) -> None:
    database = night.database
    real = database.insert

    def refund_first(orders: Sequence[Any], recheck: Any) -> Any:
        database.change(PaymentId(night.ids[0]), status="refunded")
        return real(orders, recheck)

    database.insert = refund_first  # type: ignore[method-assign]
    ran = repair(*night.ids, *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)) == (6, ["CHANGED", "SETTLED"])
    assert "refunded" in ran.document["data"][0]["outcome_text"]


def test_the_worker_being_faster_is_success(repair: Callable[..., Ran], night: Night) -> None:
    database = night.database
    real = database.insert

    def worker_first(orders: Sequence[Any], recheck: Any) -> Any:
        database.purchase(night.paid[0])
        return real(orders, recheck)

    database.insert = worker_first  # type: ignore[method-assign]
    ran = repair(night.ids[0], *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)) == (0, ["SETTLED"])
    assert len(database.purchases) == 1
    assert night.kafka.sent == []


@pytest.mark.parametrize(("lost", "code", "outcome"), [("made", 0, "SETTLED"), ("not made", 6, "UNSEEN")])
def test_a_commit_without_an_answer_is_looked_up(
    repair: Callable[..., Ran], night: Night, lost: str, code: int, outcome: str
) -> None:
    night.database.lost_commit = lost
    ran = repair(night.ids[0], *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)) == (code, [outcome])
    night.database.lost_commit = None
    assert repair(night.ids[0], *APPLY).code == 0
    assert len(night.database.purchases) == 1
    assert set(night.announced()) == {own_purchase_id(PaymentId(night.ids[0]))}


def test_after_a_lost_commit_the_workers_purchase_is_not_announced_under_kcfixs_id(
    repair: Callable[..., Ran], night: Night
) -> None:
    database = night.database
    database.lost_commit = "not made"
    real = database.insert

    def worker_next(orders: Sequence[Any], recheck: Any) -> Any:
        results = real(orders, recheck)
        database.purchase(night.paid[0])
        return results

    database.insert = worker_next  # type: ignore[method-assign]
    ran = repair(night.ids[0], *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)) == (0, ["SETTLED"])
    assert night.announced() == []


@pytest.mark.parametrize("state", [SendState.REJECTED, SendState.UNKNOWN])
def test_an_unannounced_purchase_is_finished_by_the_next_run(
    repair: Callable[..., Ran], night: Night, state: SendState
) -> None:
    night.kafka.send_states = [state]
    ran = repair(night.ids[0], *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)) == (6, ["UNANNOUNCED"])
    before = len(night.announced())
    ran = repair(night.ids[0], *APPLY, "-o", "json")
    assert ran.code == 0
    assert len(night.announced()) == max(1, before)


def test_a_lock_that_is_held_is_a_silent_system(repair: Callable[..., Ran], night: Night) -> None:
    ran = repair(night.ids[0], "-o", "json")
    assert ran.code == 0
    from kcfix.core.events import advisory_lock_key

    paid = night.paid[0]
    night.database.held_locks = {advisory_lock_key(paid.student_id, str(paid.course_id))}
    ran = repair(night.ids[0], *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)) == (4, ["FAILED"])
    assert "lock" in ran.document["data"][0]["outcome_text"]
    assert [(e["code"], "lock" in e["message"]) for e in ran.document["errors"]] == [(4, True)]


def test_a_replay_that_is_not_seen_in_time_is_unknown_and_not_sent_again(
    repair: Callable[..., Ran], night: Night
) -> None:
    started = int((NOW - timedelta(hours=1)).timestamp() * 1000)
    night.docker.boxes = {c.id: c for c in [container(started_at=NOW - timedelta(hours=1, minutes=1))]}
    night.kafka.join_worker(GROUP, "purchase-confirmed", client_id=f"purchase-worker-{started}", host="172.18.0.5")
    night.kafka.commit_as_worker(GROUP, {TopicPartition("purchase-confirmed", p): 0 for p in range(3)})
    dry = repair(night.ids[0], "-o", "json")
    assert dry.document["data"][0]["action"] == "REPLAY", dry.out
    ran = repair(night.ids[0], *APPLY, "-o", "json", "--wait", "2s")
    assert (ran.code, outcomes(ran)) == (6, ["UNSEEN"])
    again = repair(night.ids[0], *APPLY, "-o", "json")
    assert again.code == 1
    assert again.document["data"][0]["verdict"] in ("IN_FLIGHT", "PENDING")
    assert len(night.kafka.sent) == 1


def test_the_oldest_are_changed_first_and_the_rest_is_listed(repair: Callable[..., Ran], night: Night) -> None:
    ran = repair(*reversed(night.ids), *APPLY, "--max", "1", "-o", "json")
    rows = {row["payment_id"]: row["outcome"] for row in ran.document["data"]}
    assert (ran.code, rows) == (6, {night.ids[0]: "SETTLED", night.ids[1]: "LEFT"})


def test_ids_in_any_shape_are_understood(repair: Callable[..., Ran], night: Night) -> None:
    words = f' "{night.ids[0].upper()}",{night.ids[0]};\n\n\t{night.ids[1]}\r\nnonsense\x1b[31m {payment_id(99)}'
    ran = repair("-", "-o", "json", stdin=words)
    assert ran.code == 3
    assert [(r["payment_id"], r["verdict"]) for r in ran.document["data"]][:2] == [(i, "NEVER_SENT") for i in night.ids]
    assert "\x1b" not in repair("-", stdin=words).out


def test_a_mark_of_the_byte_order_before_the_first_id_is_no_part_of_it(
    repair: Callable[..., Ran], night: Night
) -> None:
    ran = repair("-", "-o", "json", stdin=f"\ufeff{night.ids[0]}\r\n")
    assert [(r["payment_id"], r["verdict"]) for r in ran.document["data"]] == [(night.ids[0], "NEVER_SENT")]


def test_a_word_as_long_as_a_file_does_not_fill_the_screen(repair: Callable[..., Ran]) -> None:
    word = "x" * 5_000
    ran = repair(word)
    assert ran.code == 3
    assert max(map(len, ran.out.splitlines())) < 200
    assert repair(word, "-o", "json").document["data"][0]["payment_id"] == word


def test_no_ids_at_all(repair: Callable[..., Ran]) -> None:
    assert repair().code == 2
    assert repair("-", stdin="").code == 0
    assert repair("-", stdin="\n \n").code == 0


@pytest.mark.parametrize(
    ("silent", "code"),
    [
        ("kafka", 4),
        ("database", 4),
        ("docker", 0),
    ],
)
def test_a_silent_system_is_unknown_and_only_docker_can_be_done_without(
    repair: Callable[..., Ran], night: Night, silent: str, code: int
) -> None:
    error = Unreachable(f"{silent} did not answer within 3 s", system=silent)
    if silent == "docker":
        night.docker.failure = error
    else:
        getattr(night, silent).down = error
    ran = repair(night.ids[0])
    assert ran.code == code
    applied = repair(night.ids[0], *APPLY)
    assert applied.code == code
    if code:
        assert f"{silent} did not answer" in ran.out
        assert "UNKNOWN" in ran.out
        assert night.kafka.sent == []


def test_a_protected_context_wants_a_reason(repair: Callable[..., Ran], night: Night, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir(exist_ok=True)
    (folder / "kcfix.toml").write_text("[contexts.prod]\nprotected = true\n")
    ran = repair(night.ids[0], *APPLY, "-C", "prod")
    assert ran.code == 5
    assert "--reason" in ran.err
    assert repair(night.ids[0], *APPLY, "-C", "prod", "--reason", " ").code == 5
    assert night.database.purchases == []


@pytest.mark.parametrize(("typed", "code"), [("prod\n", 0), ("yes\n", 5), ("\n", 5)])
def test_a_protected_context_wants_its_name_typed_after_the_plan_was_shown(
    repair: Callable[..., Ran], night: Night, tmp_path: Path, typed: str, code: int
) -> None:
    folder = tmp_path / "work"
    folder.mkdir(exist_ok=True)
    (folder / "kcfix.toml").write_text("[contexts.prod]\nprotected = true\n")
    words = (night.ids[0], *APPLY, "-C", "prod", "--reason", "why")
    ran = repair(*words, tty=True, stdin=Terminal(typed, tty=True))
    assert ran.code == code, ran.err
    assert night.ids[0] in (ran.out + ran.err).partition("Type prod to go ahead")[0]
    assert bool(night.database.purchases or night.kafka.sent) is (code == 0)


def test_several_projects_that_look_alike_are_a_refusal(repair: Callable[..., Ran], night: Night) -> None:
    for project in ("one", "two"):
        box = container(project=project, name=f"{project}-purchase-worker")
        night.docker.boxes[box.id] = box
    ran = repair(night.ids[0], *APPLY)
    assert ran.code == 5
    assert "--project" in ran.err
    assert night.database.purchases == []


def test_a_bug_in_the_middle_still_says_what_was_done(repair: Callable[..., Ran], night: Night) -> None:
    def broken(messages: Any) -> Any:
        raise ZeroDivisionError

    night.kafka.send = broken  # type: ignore[method-assign]
    ran = repair(night.ids[0], *APPLY)
    assert ran.code == 70
    assert "UNANNOUNCED" in ran.err
    assert len(night.database.purchases) == 1


def test_ctrl_c_in_the_middle_says_what_was_done(repair: Callable[..., Ran], night: Night) -> None:
    def interrupted(messages: Any) -> Any:
        raise KeyboardInterrupt

    night.kafka.send = interrupted  # type: ignore[method-assign]
    ran = repair(night.ids[0], *APPLY)
    assert ran.code == 130
    assert "UNANNOUNCED" in ran.err


def test_options_that_contradict_each_other_are_usage(repair: Callable[..., Ran], night: Night) -> None:
    assert repair(night.ids[0], "--apply", "--dry-run").code == 2
    assert repair(night.ids[0], "--announce-later").code == 2
    assert repair(night.ids[0], "--max", "0").code == 2
    assert repair(night.ids[0], "--wait", "soon").code == 2


@pytest.mark.parametrize(("ends", "code"), [(KeyboardInterrupt(), 130), (Refused("a table is gone"), 5)])
def test_a_run_that_ends_before_its_first_step_is_closed_in_the_journal(
    repair: Callable[..., Ran], run: Run, night: Night, ends: BaseException, code: int
) -> None:
    repair(*night.ids)
    readings = night.database.calls.count("facts")
    night.database.calls.clear()
    real = night.database.facts

    def facts(*args: Any, **more: Any) -> Any:
        if night.database.calls.count("facts") >= readings:
            raise ends
        return real(*args, **more)

    night.database.facts = facts  # type: ignore[method-assign]
    ran = repair(*night.ids, *APPLY)
    assert ran.code == code
    assert "not reached" in ran.err
    assert night.database.purchases == []
    [row] = run("history", "-o", "json").document["data"]
    assert (row["finished"], row["exit_code"]) == (True, 5)


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("KAFKA_BROKERS", "other-kafka.example:9092", "brokers other-kafka.example:9092"),
        (
            "POSTGRES_URL",
            "postgresql://u:made-up-secret@other.example:5432/kc_app",
            "database other.example:5432/kc_app",
        ),
    ],
)
def test_another_system_than_the_workers_is_refused_unless_the_settings_say_so(
    repair: Callable[..., Ran], night: Night, tmp_path: Path, setting: str, value: str, says: str
) -> None:
    environment = {
        "SERVICE_NAME": "purchase-worker",
        "KAFKA_BROKERS": "kafka.example:9092",
        "POSTGRES_URL": "postgresql://u:p@db.example:5432/kc_app",
        setting: value,
    }
    worker = container(state=ContainerState.EXITED, environment=environment)
    night.docker.boxes = {worker.id: worker}
    mine = ("--brokers", "kafka.example:9092", "--dsn", "postgresql://u@db.example:5432/kc_app")
    ran = repair(night.ids[0], *APPLY, *mine)
    assert ran.code == 5
    assert "another system than the workers" in ran.err
    assert says in ran.err
    assert "made-up-secret" not in ran.out + ran.err
    assert night.database.purchases == []
    assert repair(night.ids[0], *mine).code == 0

    folder = tmp_path / "work"
    (folder / "kcfix.toml").write_text("allow_other_system = true\n")
    assert repair(night.ids[0], *APPLY, *mine).code == 0


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"status": "refunded"}, "REFUNDED"),
        ({"metadata": {"courseId": course_id(1), "sessionCount": 30}}, "tier 30"),
    ],
)
def test_what_changed_while_the_question_stood_there_is_not_done(
    repair: Callable[..., Ran], night: Night, fields: dict[str, Any], says: str
) -> None:
    class Answer(Terminal):
        def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
            night.database.change(PaymentId(night.ids[0]), **fields)
            return "y\n"

    ran = repair(night.ids[0], "--apply", "-o", "json", tty=True, stdin=Answer(tty=True))
    assert (ran.code, outcomes(ran)) == (5, ["CHANGED"])
    assert says in ran.document["data"][0]["outcome_text"]
    assert night.database.purchases == []


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "1e-300"])
def test_a_rate_that_is_none_is_a_usage_error(repair: Callable[..., Ran], night: Night, rate: str) -> None:
    ran = repair(*night.ids, *APPLY, "--rate", rate)
    assert ran.code == 2
    assert "--rate" in ran.err
    assert night.database.purchases == []


def test_a_payment_whose_capture_is_unproven_is_marked_before_it_is_repaired(
    repair: Callable[..., Ran], night: Night
) -> None:
    night.database.change(PaymentId(night.ids[0]), provider_payment_id="order_made_up")
    rows = repair(*night.ids, "-o", "json").document["data"]
    assert [row["capture_unproven"] is None for row in rows] == [False, True]
    assert repair(*night.ids).out.count("capture unproven") == 1


@pytest.mark.parametrize("silent", ["kafka", "database"])
def test_a_system_that_falls_silent_under_the_question_is_4_and_no_change(
    repair: Callable[..., Ran], night: Night, silent: str
) -> None:
    class Answer(Terminal):
        def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
            getattr(night, silent).down = Unreachable(f"{silent} did not answer within 3 s", system=silent)
            return "y\n"

    ran = repair(night.ids[0], "--apply", "-o", "json", tty=True, stdin=Answer(tty=True))
    assert (ran.code, outcomes(ran)) == (4, ["FAILED"])
    assert f"{silent} did not answer" in ran.document["data"][0]["outcome_text"]
    assert f"{silent} did not answer" in ran.document["errors"][0]["message"]


def test_ctrl_c_during_an_insert_leaves_it_open_whether_it_was_committed(
    repair: Callable[..., Ran], run: Run, night: Night
) -> None:
    def interrupted(orders: Sequence[Any], recheck: Any) -> Any:
        raise KeyboardInterrupt

    night.database.insert = interrupted  # type: ignore[method-assign]
    ran = repair(*night.ids, *APPLY)
    assert ran.code == 130
    assert "whether it was committed is unknown" in ran.err
    [row] = run("history", "-o", "json").document["data"]
    assert (row["exit_code"], row["summary"]["outcomes"]) == (6, {"UNSEEN": 1, "LEFT": 1})


@pytest.mark.parametrize(("state", "code"), [(SendState.UNKNOWN, 6), (SendState.REJECTED, 4)])
def test_an_announcement_alone_that_was_not_answered_may_have_changed_something(
    repair: Callable[..., Ran], night: Night, state: SendState, code: int
) -> None:
    night.kafka.send_states = [SendState.REJECTED]
    repair(night.ids[0], *APPLY)
    night.kafka.send_states = [state]
    ran = repair(night.ids[0], *APPLY, "-o", "json")
    assert ran.document["data"][0]["action"] == "ANNOUNCE"
    assert (ran.code, outcomes(ran)) == (code, ["UNANNOUNCED"])
