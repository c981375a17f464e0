"""`kcfix offsets` on a system in memory: what is shown, what is moved, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kcfix.core.workers import ContainerState, RawLine, Stream
from kcfix.errors import OutcomeUnknown, Refused, Unreachable
from kcfix.main import main
from tests.conftest import Ran
from tests.restart_world import FLOW, GROUP, TOPIC, World, tp

RESET = ("offsets", "reset", "--group", GROUP)
APPLY = ("--apply", "--yes")


@pytest.fixture
def world() -> World:
    """A stopped worker; partition 0: two bought, one not; 1: one that fails, one that waits; 2: nothing committed."""
    world = World(running=False)
    for partition in (0, 0):
        world.pay(partition, bought=True)
    world.lost = world.pay(0)  # type: ignore[attr-defined]
    world.poison = world.pay(1, tier=12)  # type: ignore[attr-defined]
    world.waits = world.pay(1)  # type: ignore[attr-defined]
    world.bare = world.pay(2)  # type: ignore[attr-defined]
    world.commit(p0=3, p1=0)
    return world


@pytest.fixture
def kcfix(world: World, tmp_path: Path) -> Any:
    """Run kcfix on it."""
    return lambda *argv, **more: world.run(tmp_path / "run", *argv, **more)


def moves(ran: Ran) -> list[tuple[Any, Any, Any]]:
    """Committed, new, outcome of each row."""
    return [(row["committed_offset"], row["new_offset"], row["outcome"]) for row in ran.document["data"]]


def test_a_reset_is_a_dry_run_that_shows_what_is_read_and_what_is_skipped(kcfix: Any, world: World) -> None:
    ran = kcfix(*RESET, "--topic", f"{TOPIC}:0", "--to", "1")
    assert ran.code == 0, ran.err
    assert f"{TOPIC}-0: 3 → 1 (offset 1)" in ran.out
    assert "Planned: 1 offset to be moved. Nothing was changed." in ran.out
    assert ran.lines[-1].strip() == f"kcfix offsets reset --group {GROUP} --to 1 --topic {TOPIC}:0 --apply"
    [row] = kcfix(*RESET, "--topic", f"{TOPIC}:0", "--to", "1", "-o", "json").document["data"]
    assert [(m["offset"], m["settled"]) for m in row["read"]["messages"]] == [(1, True), (2, False)]
    assert row["read"]["messages"][1]["payment_id"] == world.lost.id  # type: ignore[attr-defined]
    assert row["skipped"] is None
    assert world.kafka.commits == []
    assert kcfix(*RESET, "--topic", f"{TOPIC}:0", "--to", "1", "--exit-code").code == 1
    assert kcfix(*RESET, "--topic", f"{TOPIC}:0", "--to", "3", "--exit-code").code == 0


@pytest.mark.parametrize(
    ("to", "offset"),
    [("earliest", 0), ("1", 1), ("-2", 1), ("2026-03-02 11:00", 0), ("first-unsettled", 2)],
)
def test_each_kind_of_target_is_committed_and_read_back(kcfix: Any, world: World, to: str, offset: int) -> None:
    ran = kcfix(*RESET, "--topic", f"{TOPIC}:0", "--to", to, *APPLY, "-o", "json")
    assert ran.code == 0, ran.out
    assert moves(ran) == [(3, offset, "MOVED")]
    assert world.committed() == {0: offset, 1: 0}


def test_latest_forward_and_a_payment(kcfix: Any, world: World) -> None:
    world.commit(p0=1)
    payment = world.lost.id  # type: ignore[attr-defined]
    ran = kcfix(*RESET, "--to", f"payment:{payment}", *APPLY, "-o", "json")
    assert (ran.code, moves(ran)) == (0, [(1, 2, "MOVED"), (0, None, None), (None, None, None)])
    refused = kcfix(*RESET, "--topic", f"{TOPIC}:0", "--to", "latest", *APPLY, "-o", "json")
    assert refused.code == 5
    assert payment in refused.document["summary"]["refusals"][0]
    named = kcfix(*RESET, "--topic", f"{TOPIC}:0", "--to", "latest", "--skip", payment, *APPLY, "-o", "json")
    assert (named.code, moves(named)) == (0, [(2, 3, "MOVED")])
    [row] = named.document["data"]
    assert row["skipped"]["unsettled_records"] == 1


def test_a_payment_without_a_message_is_not_found(kcfix: Any, world: World) -> None:
    silent = world.pay(0, sent=False)
    assert kcfix(*RESET, "--to", f"payment:{silent.id}", *APPLY).code == 3


def test_what_the_worker_must_not_read_is_not_put_before_it(kcfix: Any, world: World) -> None:
    world.commit(p1=2)
    ran = kcfix(*RESET, "--topic", f"{TOPIC}:1", "--to", "earliest", *APPLY, "-o", "json")
    assert ran.code == 5
    assert "the worker would read what it must not" in ran.document["summary"]["refusals"][0]
    poison = world.poison.id  # type: ignore[attr-defined]
    named = kcfix(*RESET, "--topic", f"{TOPIC}:1", "--to", "earliest", "--reread", poison, *APPLY)
    assert named.code == 0, named.out
    assert world.committed()[1] == 0


def test_nothing_is_moved_under_a_running_worker_or_a_group_with_members(tmp_path: Path) -> None:
    world = World()
    world.pay(0, bought=True)
    world.commit(p0=1)
    ran = world.run(tmp_path, *RESET, "--topic", f"{TOPIC}:0", "--to", "0", *APPLY, "-o", "json")
    assert ran.code == 5
    told = ran.document["summary"]["refusals"]
    assert "kodingcaravan-purchase-worker runs" in told[0]
    assert "has members: purchase-worker-" in told[1]
    assert "docker stop kodingcaravan-purchase-worker" in world.run(tmp_path, *RESET, "--to", "0").out
    assert world.kafka.commits == []


def test_a_paused_worker_would_go_on_committing_where_it_was(kcfix: Any, world: World) -> None:
    world.docker.boxes[world.box.id] = world.box.__class__(
        **{**{f: getattr(world.box, f) for f in world.box.__dataclass_fields__}, "state": ContainerState.PAUSED}
    )
    assert kcfix(*RESET, "--topic", f"{TOPIC}:0", "--to", "1", *APPLY).code == 5
    assert world.kafka.commits == []


def test_a_member_that_joins_after_the_plan_stops_the_move(kcfix: Any, world: World) -> None:
    commit = world.kafka.commit

    def join_first(group: str, offsets: Any) -> None:
        world.kafka.join_worker(GROUP, TOPIC)
        commit(group, offsets)

    world.kafka.commit = join_first  # type: ignore[method-assign]
    ran = kcfix(*RESET, "--topic", f"{TOPIC}:0", "--to", "1", *APPLY, "-o", "json")
    assert ran.code != 0
    assert world.kafka.commits == []
    assert moves(ran) == [(3, 1, "FAILED")]


def test_an_offset_that_somebody_else_moved_is_not_overwritten(kcfix: Any, world: World) -> None:
    begin = world.kafka.groups

    def move_first(ids: Any = None) -> Any:
        if world.kafka.calls.count("groups") == 2:  # planned twice; now it is looked at before the commit
            world.commit(p0=2)
        return begin(ids)

    world.kafka.groups = move_first  # type: ignore[method-assign]
    ran = kcfix(*RESET, "--topic", f"{TOPIC}:0", "--to", "1", *APPLY, "-o", "json")
    assert (ran.code, moves(ran)) == (5, [(3, 1, "REFUSED")])
    assert "is 2 now and was 3" in ran.document["data"][0]["outcome_text"]
    assert world.committed()[0] == 2


def test_a_commit_without_an_answer_counts_by_what_reads_back(kcfix: Any, world: World) -> None:
    commit = world.kafka.commit

    def silent(group: str, offsets: Any) -> None:
        commit(group, offsets)
        raise OutcomeUnknown("no answer in time")

    world.kafka.commit = silent  # type: ignore[method-assign]
    ran = kcfix(*RESET, "--topic", f"{TOPIC}:0", "--to", "1", *APPLY, "-o", "json")
    assert (ran.code, moves(ran)) == (0, [(3, 1, "MOVED")])


def test_the_first_partition_that_does_not_move_ends_the_run(kcfix: Any, world: World) -> None:
    commit = world.kafka.commit

    def second_fails(group: str, offsets: Any) -> None:
        if world.kafka.commits:
            raise OutcomeUnknown("no answer in time")
        commit(group, offsets)

    world.commit(p1=2, p2=1)
    world.kafka.commit = second_fails  # type: ignore[method-assign]
    more = ("--reread", world.poison.id)  # type: ignore[attr-defined]
    ran = kcfix(*RESET, "--to", "-1", *more, *APPLY, "-o", "json")
    assert (ran.code, [o for _, _, o in moves(ran)]) == (6, ["MOVED", "UNSEEN", "LEFT"])

    world.kafka.commit = commit  # type: ignore[method-assign]
    finished = kcfix(*RESET, "--to", "-1", *more, *APPLY, "-o", "json")
    assert finished.code == 0
    assert world.committed() == {0: 2, 1: 1, 2: 0}, "the shift was made once on each"
    assert "ended before all was done" in finished.document["summary"]["cut_short"][0]
    again = kcfix(*RESET, "--topic", f"{TOPIC}:0", "--to", "-1", *APPLY)
    assert (again.code, world.committed()[0]) == (0, 1), "the next shift begins anew"


def test_the_old_offsets_come_back_with_undo(kcfix: Any, world: World) -> None:
    world.commit(p0=2)
    done = kcfix(*RESET, "--topic", f"{TOPIC}:0", "--to", "earliest", *APPLY, "--reason", "read again")
    [row] = kcfix("history", "-o", "json").document["data"]
    assert (row["command"], row["reason"], row["exit_code"]) == ("offsets", "read again", 0)
    assert [line.strip() for line in done.lines[-2:]] == ["kcfix restart purchase-worker", f"kcfix undo {row['run']}"]
    assert world.committed()[0] == 0
    assert kcfix("undo", row["run"], *APPLY).code == 0
    assert world.committed()[0] == 2


def test_undo_does_not_skip_what_is_owed(kcfix: Any, world: World) -> None:
    kcfix(*RESET, "--topic", f"{TOPIC}:0", "--to", "1", *APPLY)
    [row] = kcfix("history", "-o", "json").document["data"]
    assert kcfix("undo", row["run"], *APPLY).code == 5
    assert world.committed()[0] == 1


def test_pin_commits_where_nothing_is_and_only_there(kcfix: Any, world: World) -> None:
    pin = ("offsets", "pin", "--group", GROUP)
    shown = kcfix(*pin)
    assert shown.code == 0
    assert f"{TOPIC}-2: nothing → 0 (the first unsettled message (payment {world.bare.id}))" in shown.out  # type: ignore[attr-defined]
    ran = kcfix(*pin, *APPLY)
    assert ran.code == 0, ran.out
    assert world.committed() == {0: 3, 1: 0, 2: 0}
    # The worker stopped at 11:00; from then on the offsets live for seven days.
    assert "Kafka forgets the offsets of a group 7d after its last member left: at 2026-03-09 11:00:00" in ran.out
    again = kcfix(*pin, *APPLY)
    assert "every partition has a usable committed offset" in again.out
    assert again.code == 0


def test_skip_one_passes_the_poison_and_nothing_else(kcfix: Any, world: World) -> None:
    skip = ("offsets", "skip-one", "--group", GROUP, "--topic", f"{TOPIC}:1")
    refused = kcfix(*skip, *APPLY, "-o", "json")
    assert refused.code == 5
    poison = world.poison  # type: ignore[attr-defined]
    assert poison.id in refused.document["summary"]["refusals"][0]
    assert f"kcfix repair {poison.id}" in refused.document["errors"][0]["hint"]
    world.database.purchase(poison, tier=20)
    ran = kcfix(*skip, *APPLY, "-o", "json")
    assert (ran.code, moves(ran)) == (0, [(0, 1, "MOVED")])
    assert ran.document["data"][0]["skipped"]["records"] == 1
    waits = kcfix(*skip, *APPLY, "-o", "json")
    assert waits.code == 5, "the next one is owed and must not be skipped"
    assert world.committed()[1] == 1


def test_skip_one_needs_one_partition_that_stands_on_a_record(kcfix: Any, world: World) -> None:
    skip = ("offsets", "skip-one", "--group", GROUP, "--topic")
    assert kcfix(*skip, TOPIC).code == 2
    assert kcfix(*skip, f"{TOPIC}:0,1").code == 2
    at_end = kcfix(*skip, f"{TOPIC}:0", *APPLY)
    assert (at_end.code, "Every offset stands where it is to be" in at_end.out) == (0, True)
    bare = kcfix(*skip, f"{TOPIC}:2", *APPLY, "-o", "json")
    assert bare.code == 5
    assert "stands on no record" in bare.document["summary"]["refusals"][0]


def test_export_and_import(kcfix: Any, world: World, tmp_path: Path) -> None:
    file = str(tmp_path / "saved.json")
    assert kcfix("offsets", "export", "--group", GROUP, file).code == 0
    kcfix(*RESET, "--topic", f"{TOPIC}:0", "--to", "0", *APPLY)
    back = kcfix("offsets", "import", "--group", GROUP, file, *APPLY, "-o", "json")
    assert back.code == 5, "what was rewound waits to be read: going on skips an unsettled payment"
    named = ("--skip", world.lost.id)  # type: ignore[attr-defined]
    done = kcfix("offsets", "import", "--group", GROUP, file, *named, *APPLY, "-o", "json")
    assert (done.code, world.committed()) == (0, {0: 3, 1: 0})
    world.kafka.cluster_id = "another"
    assert kcfix("offsets", "import", "--group", GROUP, file).code == 5
    assert kcfix("offsets", "import", "--group", FLOW.allocation_group, file).code == 2
    lines = tmp_path / "kafka.csv"
    lines.write_text(f"{GROUP},{TOPIC},0,2\n")
    assert kcfix("offsets", "import", "--group", GROUP, str(lines), *APPLY).code == 0
    assert world.committed()[0] == 2
    assert kcfix("offsets", "import", "--group", GROUP, str(tmp_path / "none")).code == 2


def test_show_decodes_the_record_and_says_what_fails_there(kcfix: Any, world: World) -> None:
    poison, text = world.poison, "violates check constraint"  # type: ignore[attr-defined]
    value = {
        "originalTopic": TOPIC,
        "originalPartition": 1,
        "originalOffset": "0",
        "failureReason": text,
        "originalEvent": {"paymentId": poison.id},
    }
    world.kafka.put(FLOW.dead_letters, poison.id, json.dumps(value, separators=(",", ":")), at=world.clock.at)
    line = {"level": "error", "message": "[KafkaConsumer] Message processing failed", "error": "tier 12"}
    line |= {"topic": TOPIC, "partition": "1", "offset": "0"}
    raw = RawLine(world.box.name, world.clock.at, Stream.STDOUT, json.dumps(line))
    world.docker.lines.setdefault(world.box.name, []).append(raw)
    ran = kcfix("offsets", "--group", GROUP, "-o", "json")
    assert ran.code == 1
    rows = {row["partition"]: row for row in ran.document["data"]}
    assert (rows[1]["offset"], rows[1]["payment_id"], rows[1]["event_type"]) == (0, poison.id, "PURCHASE_CONFIRMED")
    assert (rows[1]["stuck"], rows[1]["effect"], rows[1]["settled"]) == (True, "FAILS", False)
    assert rows[1]["failures"][0] == f"dead letter: {text}"
    assert (rows[0]["offset"], rows[0]["stuck"]) == (None, False)
    assert rows[2]["passed"]["unsettled_records"] == 1
    shown = kcfix("offsets", "show", "--group", GROUP)
    assert [line.strip() for line in shown.lines[-3:]] == [
        f"kcfix repair {poison.id}",
        f"kcfix offsets skip-one --group {GROUP} --topic {TOPIC}:1 --apply",
        "kcfix restart purchase-worker",
    ]
    assert kcfix("offsets", "--group", GROUP, "-q").lines == [f"{TOPIC}-1", f"{TOPIC}-2"]
    assert kcfix("offsets", "--group", GROUP, "--topic", f"{TOPIC}:0").code == 0


def test_show_finds_what_was_passed_after_it_failed(kcfix: Any, world: World) -> None:
    bare = world.bare  # type: ignore[attr-defined]
    value = {"originalTopic": TOPIC, "originalPartition": 2, "originalOffset": "0", "failureReason": "boom"}
    world.kafka.put(FLOW.dead_letters, bare.id, json.dumps(value, separators=(",", ":")), at=world.clock.at)
    ran = kcfix("offsets", "show", "--group", GROUP)
    assert f"{TOPIC}-2 offset 0 was passed after it failed" in ran.out
    assert "failed: dead letter: boom" in ran.out


@pytest.mark.parametrize("system", ["database", "kafka", "docker"])
def test_a_silent_system_changes_nothing_and_is_said(world: World, tmp_path: Path, system: str) -> None:
    def down(*_: Any, **__: Any) -> Any:
        raise Unreachable(f"{system}: no answer", system=system)

    if system == "kafka":
        world.kafka.down = Unreachable("kafka: no answer", system="kafka")
    elif system == "database":
        world.database.facts = down  # type: ignore[method-assign]
    else:
        world.docker.inspect = down  # type: ignore[method-assign]
    ran = world.run(tmp_path, *RESET, "--topic", f"{TOPIC}:0", "--to", "1", *APPLY, "-o", "json")
    if system == "docker":
        assert ran.code == 0, "the group alone tells; the broker itself refuses a commit to a group in use"
        assert any("could not be looked at" in w for w in ran.document["warnings"])
        return
    assert ran.code == 4
    assert world.kafka.commits == []
    shown = world.run(tmp_path, "offsets", "--group", GROUP, "-o", "json")
    assert shown.code in (1, 4)
    assert any("no answer" in e["message"] for e in shown.document["errors"])


def test_a_group_whose_work_can_t_be_checked(kcfix: Any, world: World) -> None:
    group = FLOW.cache_group
    world.kafka.put(FLOW.purchase_created, "k", "{}", partition=0)
    world.kafka.commit_as_worker(group, {tp(0).__class__(FLOW.purchase_created, 0): 0})
    reset = ("offsets", "reset", "--group", group, "--topic", f"{FLOW.purchase_created}:0", "--to", "latest", *APPLY)
    assert kcfix(*reset).code == 5
    assert kcfix(*reset, "--accept-unchecked").code == 0


def test_a_foreign_group_is_known_by_what_it_committed(kcfix: Any, world: World) -> None:
    world.kafka.commit_as_worker("reporting", {tp(0): 1})
    ran = kcfix("offsets", "reset", "--group", "reporting", "--to", "0", "--topic", f"{TOPIC}:0", *APPLY, "-o", "json")
    assert (ran.code, moves(ran)) == (0, [(1, 0, "MOVED")])
    assert kcfix("offsets", "--group", "reporting", "--topic", f"{TOPIC}:0").code in (0, 1)


def test_a_foreign_group_may_read_what_no_worker_could(kcfix: Any, world: World) -> None:
    world.kafka.add_topic("binary", 1)
    world.kafka.put("binary", "k", "no json", partition=0)
    world.kafka.put("binary", "k", None, partition=0)
    binary = tp(0).__class__("binary", 0)
    world.kafka.commit_as_worker("reporting", {binary: 2})
    back = kcfix("offsets", "reset", "--group", "reporting", "--to", "0", *APPLY, "-o", "json")
    assert (back.code, moves(back)) == (0, [(2, 0, "MOVED")])
    on = ("offsets", "reset", "--group", "reporting", "--to", "2", *APPLY)
    refused = kcfix(*on)
    assert refused.code == 5
    assert "2 messages would be skipped" in refused.out + refused.err
    assert kcfix(*on, "--accept-unchecked").code == 0


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("offsets", "reset", "--group", GROUP), 2),
        (("offsets", "reset", "--group", GROUP, "--to", "soon"), 2),
        (("offsets", "reset", "--group", GROUP, "--to", "1", "--skip", "x"), 2),
        (("offsets", "reset", "--group", GROUP, "--to", "1", "--apply", "--dry-run"), 2),
        (("offsets", "reset", "--group", GROUP, "--to", "1", "--topic", "t:x"), 2),
        (("offsets", "--group", GROUP, "reset", "--to", "1"), 2),
        (("offsets", "reset", "--group", "purchase-creation-worker", "--to", "1"), 3),
        (("offsets", "reset", "--group", GROUP, "--to", "1", "--topic", "purchase-confirm"), 3),
        (("offsets", "reset", "--group", GROUP, "--to", "1", "--topic", f"{TOPIC}:9"), 3),
        (("offsets", "show", "--group", "nobody"), 3),
        (("offsets", "reset", "--group", GROUP, "--topic", f"{TOPIC}:0", "--to", "1", "--apply"), 5),
    ],
)
def test_wrong_words_are_told_apart(kcfix: Any, world: World, argv: tuple[str, ...], code: int) -> None:
    ran = kcfix(*argv)
    assert ran.code == code, ran.err
    assert world.kafka.commits == []


def test_a_declined_question_and_a_journal_that_can_t_be_written_change_nothing(
    kcfix: Any, world: World, tmp_path: Path
) -> None:
    declined = kcfix(*RESET, "--topic", f"{TOPIC}:0", "--to", "1", "--apply", stdin="n\n", tty=True)
    assert declined.code == 5
    blocked = tmp_path / "run" / ".local"
    if blocked.exists():
        blocked.rename(tmp_path / "away")
    blocked.write_text("no folder")
    assert kcfix(*RESET, "--topic", f"{TOPIC}:0", "--to", "1", *APPLY).code == Refused.code
    assert world.kafka.commits == []


def test_what_comes_while_the_question_stands_is_not_skipped(kcfix: Any, world: World, tmp_path: Path) -> None:
    world.commit(p0=2)
    world.database.purchase(world.lost)  # type: ignore[attr-defined]
    services = world.services(tmp_path / "run", tty=True)
    services.stdin = Answer(lambda: world.pay(0))
    code = main((*RESET, "--topic", f"{TOPIC}:0", "--to", "latest", "--apply"), services)
    end = world.kafka.log_offsets([tp(0)])[tp(0)].log_end_offset
    assert end == 4
    assert code == 5
    assert world.committed()[0] == 2


class Answer:
    """A terminal at which something happens before the yes."""

    def __init__(self, meanwhile: Any) -> None:
        self.meanwhile = meanwhile

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        self.meanwhile()
        return "y\n"


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("the same is committed", 0),
        ("another offset is committed", 5),
        ("the worker joins", 5),
        ("tables are silent", 4),
    ],
)
def test_what_happens_under_the_question_is_found_out(world: World, tmp_path: Path, what: str, code: int) -> None:
    def silent(*_: Any, **__: Any) -> Any:
        raise Unreachable("database: no answer", system="database")

    def meanwhile() -> None:
        match what:
            case "the same is committed":
                world.commit(p0=1)
            case "another offset is committed":
                world.commit(p0=2)
            case "the worker joins":
                world.kafka.join_worker(GROUP, TOPIC)
            case _:
                world.database.facts = silent  # type: ignore[method-assign]

    services = world.services(tmp_path / "run", tty=True)
    services.stdin = Answer(meanwhile)
    assert main((*RESET, "--topic", f"{TOPIC}:0", "--to", "1", "--apply"), services) == code
    assert world.kafka.commits == []
