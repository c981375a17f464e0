"""`kcfix offsets` on real servers: moved as planned, never over a payment that waits, finished after a kill."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kcfix.drill import groups
from kcfix.drill.buy import buy
from kcfix.drill.engine import Engine
from kcfix.drill.faults import break_, mend
from kcfix.drill.network import kafka_settings
from kcfix.drill.state import Drill
from kcfix.drill.wire import ends, send_raw
from tests.real import offsets_world, repair_world
from tests.real.conftest import Kcfix, Ran, eventually, kafka
from tests.real.offsets_world import GROUP, TOPIC, die_after
from tests.real.repair_world import WORKER, ago, purchases, start

system, database, kcfix = repair_world.system, repair_world.database, repair_world.kcfix
bare = offsets_world.bare

P0 = ("--topic", f"{TOPIC}:0")


def reset(kcfix: Kcfix, to: str, *more: str) -> Ran:
    """Reset for real."""
    return kcfix("offsets", "reset", "--group", GROUP, "--to", to, *more, "--apply", "--yes", "-o", "json")


def settle(kcfix: Kcfix, *ids: str) -> None:
    """Make these payments' purchases without the worker."""
    ran = kcfix("repair", *ids, "--strategy", "insert", "--apply", "--yes", "-o", "json")
    assert ran.code == 0, ran.out + ran.err


def outcome(ran: Ran) -> list[tuple[Any, Any]]:
    """New offset and outcome of each row."""
    return [(row["new_offset"], row["outcome"]) for row in ran.rows]


def committed(system: Drill) -> dict[int, int]:
    """What the group has committed, by partition."""
    return groups.committed(system, GROUP, TOPIC)


@pytest.mark.usefixtures("bare")
def test_every_kind_of_target_lands_where_it_says(system: Drill, kcfix: Kcfix) -> None:
    begin = ends(system, TOPIC)[0][1]
    old = buy(system, 2, partition=0, at=ago(minutes=30))
    [lost] = buy(system, 1, partition=0, at=ago(minutes=10))
    [last] = buy(system, 1, partition=0, at=ago(minutes=5))
    settle(kcfix, *old, last)
    for to, offset in (
        ("earliest", begin),
        ("+1", begin + 1),
        (str(begin + 3), begin + 3),
        ("-2", begin + 1),
        ("first-unsettled", begin + 2),
        ((ago(minutes=7) + timedelta(seconds=0)).isoformat(), begin + 3),
        (f"payment:{lost}", begin + 2),
    ):
        named = ("--skip", lost)
        ran = reset(kcfix, to, *P0, *named)
        assert (ran.code, outcome(ran)) == (0, [(offset, "MOVED")]), (to, ran.out)
        assert committed(system) == {0: offset}, to
    refused = reset(kcfix, "latest", *P0)
    assert refused.code == 5
    assert lost in refused.document["summary"]["refusals"][0]
    assert committed(system) == {0: begin + 2}
    settle(kcfix, lost)
    ran = reset(kcfix, "latest", *P0)
    assert (ran.code, outcome(ran)) == (0, [(begin + 4, "MOVED")])
    beyond = reset(kcfix, str(begin + 99), *P0)
    assert (beyond.code, outcome(beyond)) == (0, [(None, None)]), "clamped to where it stands"
    run = ran.document["summary"]["run_id"]
    assert kcfix("undo", run, "--apply", "--yes").code == 0
    assert committed(system) == {0: begin + 2}


@pytest.mark.usefixtures("bare")
def test_a_reset_is_refused_under_a_member_a_container_and_over_what_the_worker_must_not_read(
    system: Drill, kcfix: Kcfix, engine: Engine, database: psycopg.Connection
) -> None:
    [poison] = buy(system, 1, partition=0, at=ago(minutes=5), tier=12)
    first = ends(system, TOPIC)[0][0]
    before = reset(kcfix, "earliest", *P0)
    assert before.code == 5
    assert "read what it must not" in before.document["summary"]["refusals"][0]
    assert reset(kcfix, "latest", *P0, "--skip", poison).code == 0
    start(system, engine)
    under = reset(kcfix, str(first), *P0, "--reread", poison)
    assert under.code == 5
    told = " ".join(under.document["summary"]["refusals"])
    assert f"{engine.container(system, WORKER).name} runs" in told
    assert "has members: purchase-worker-" in told
    assert committed(system) == {0: first + 1}
    engine.stop(system, WORKER, grace_seconds=30)
    break_(system, "worker-crash-looping")
    try:
        looping = reset(kcfix, str(first), *P0, "--reread", poison)
        assert looping.code == 5, "it never joins, yet it is there"
        assert "runs and belongs to" in looping.document["summary"]["refusals"][0]
    finally:
        mend(system, "worker-crash-looping")
    assert purchases(database, poison) == 0


@pytest.mark.usefixtures("bare")
def test_nothing_is_moved_that_can_t_be_judged(system: Drill, kcfix: Kcfix) -> None:
    buy(system, 1, partition=0)
    cache = ("offsets", "reset", "--group", "cache-invalidation-workers", "--to", "earliest", "-o", "json")
    told = " ".join(kcfix(*cache).document["summary"]["refusals"])
    assert "has members: cache-worker-" in told
    for fault in ("database-down", "broker-down"):
        break_(system, fault)
        try:
            ran = reset(kcfix, "latest", *P0)
            assert ran.code == 4, ran.out
            assert "Traceback" not in ran.err
        finally:
            mend(system, fault)
    assert committed(system) == {}


@pytest.mark.usefixtures("bare")
def test_of_a_group_that_can_t_be_checked_nothing_is_skipped_unasked(system: Drill, kcfix: Kcfix) -> None:
    end = ends(system, TOPIC)[0][1]
    buy(system, 1, partition=0)
    groups.commit(system, "reporting", TOPIC, {0: end})
    latest = ("offsets", "reset", "--group", "reporting", *P0, "--to", "latest", "--apply", "--yes", "-o", "json")
    refused = kcfix(*latest)
    assert refused.code == 5
    assert "can't be checked" in refused.document["summary"]["refusals"][0]
    assert groups.committed(system, "reporting", TOPIC) == {0: end}
    accepted = kcfix(*latest, "--accept-unchecked")
    assert (accepted.code, outcome(accepted)) == (0, [(end + 1, "MOVED")])


def test_a_group_outside_the_flow_may_read_any_format_and_is_put_back(system: Drill, kcfix: Kcfix) -> None:
    group, topic = "exports", "course-access-granted"
    first = send_raw(system, topic, 0, b"\x00no json")
    send_raw(system, topic, 0, None, key=b"gone")
    groups.commit(system, group, topic, {0: first + 2})
    move = ("offsets", "reset", "--group", group, "--topic", f"{topic}:0", "--to")
    back = kcfix(*move, str(first), "--apply", "--yes", "-o", "json")
    assert (back.code, outcome(back)) == (0, [(first, "MOVED")])
    run = back.document["summary"]["run_id"]
    kept = kcfix("undo", run, "--apply", "--yes")
    assert kept.code == 5
    line = ("kcfix", *move, str(first + 2), "--accept-unchecked")
    assert " ".join(line) in " ".join(kept.out.split())
    on = kcfix(*line[1:], "--apply", "--yes", "-o", "json")
    assert (on.code, outcome(on)) == (0, [(first + 2, "MOVED")])
    assert kcfix("undo", on.document["summary"]["run_id"], "--apply", "--yes").code == 0
    assert groups.committed(system, group, topic) == {0: first}


@pytest.mark.usefixtures("bare")
def test_a_pin_saves_what_a_plain_start_would_skip(
    system: Drill, kcfix: Kcfix, engine: Engine, database: psycopg.Connection
) -> None:
    ids = [buy(system, 1, partition=p)[0] for p in range(3)]
    shown = kcfix("offsets", "--group", GROUP, "-o", "json")
    assert shown.code == 1
    assert {m["payment_id"] for row in shown.rows for m in row["passed"]["messages"]} == set(ids)
    pinned = kcfix("offsets", "pin", "--group", GROUP, "--apply", "--yes")
    assert pinned.code == 0, pinned.out
    assert "Kafka forgets the offsets of a group 7d after its last member left: at 20" in pinned.out
    start(system, engine)
    eventually(lambda: [purchases(database, i) for i in ids] == [1, 1, 1])


@pytest.mark.usefixtures("bare")
def test_a_poison_that_loops_is_shown_settled_and_passed_with_nothing_else_skipped(
    system: Drill, kcfix: Kcfix, engine: Engine, database: psycopg.Connection
) -> None:
    start(system, engine)
    [good] = buy(system, 1, partition=0)
    eventually(lambda: committed(system).get(0) == ends(system, TOPIC)[0][1])
    assert purchases(database, good) == 1
    stands = committed(system)[0]
    [poison] = buy(system, 1, partition=0, at=ago(minutes=5), tier=12)
    [behind] = buy(system, 1, partition=0, at=ago(minutes=5))

    def failing() -> Any:
        # The worker complains before it writes the dead letter.
        ran = kcfix("offsets", "show", "--group", GROUP, *P0, "-o", "json")
        return [row for row in ran.rows if any("dead letter: " in text for text in row["failures"])]

    [row] = eventually(failing, seconds=60, every=1)
    assert (row["offset"], row["payment_id"], row["stuck"], row["settled"]) == (stands, poison, True, False)
    skip = ("offsets", "skip-one", "--group", GROUP, *P0, "--apply", "--yes", "-o", "json")
    assert kcfix(*skip).code == 5, "the worker runs, and its payment is owed"
    engine.stop(system, WORKER, grace_seconds=30)
    groups.wait_empty(system, GROUP)
    unsettled = kcfix(*skip)
    assert unsettled.code == 5
    assert poison in unsettled.document["summary"]["refusals"][0]
    by_hand = kcfix("repair", poison, "--tier", "20", "--reason", "asked", "--apply", "--yes", "-o", "json")
    assert purchases(database, poison) == 1, by_hand.out + by_hand.err
    passed = kcfix(*skip)
    assert (passed.code, outcome(passed)) == (0, [(stands + 1, "MOVED")])
    start(system, engine)
    eventually(lambda: purchases(database, behind) == 1)
    assert [purchases(database, i) for i in (good, poison, behind)] == [1, 1, 1]


@pytest.mark.usefixtures("bare")
def test_a_poison_without_an_offset_is_shown_as_passed(
    system: Drill, kcfix: Kcfix, engine: Engine, database: psycopg.Connection
) -> None:
    start(system, engine)
    [poison] = buy(system, 1, partition=0, tier=12)

    def passed() -> Any:
        ran = kcfix("offsets", "show", "--group", GROUP, *P0, "-o", "json")
        return [m for row in ran.rows for m in (row["passed"] or {}).get("messages", ()) if m["failures"]]

    [message] = eventually(passed, seconds=60, every=1)
    assert (message["payment_id"], message["effect"]) == (poison, "FAILS")
    assert committed(system) == {}
    bare_skip = kcfix("offsets", "skip-one", "--group", GROUP, *P0)
    assert "stands on no record" in bare_skip.out
    assert purchases(database, poison) == 0


@pytest.mark.usefixtures("bare")
def test_a_reset_killed_half_way_is_told_of_and_finished(system: Drill, kcfix: Kcfix, tmp_path: Path) -> None:
    ids = [i for p in range(3) for i in buy(system, 2, partition=p, at=ago(minutes=5))]
    settle(kcfix, *ids)
    log_ends = {p: end for p, (_, end) in ends(system, TOPIC).items()}
    assert reset(kcfix, "latest").code == 0
    shift = ("offsets", "reset", "--group", GROUP, "--to", "-2", "--apply", "--yes")
    die_after("kafka", "commit", 1, system, tmp_path, *shift)
    assert committed(system) == {0: log_ends[0] - 2, 1: log_ends[1], 2: log_ends[2]}
    told = kcfix("offsets", "reset", "--group", GROUP, "--to", "-2", "-o", "json")
    [halted] = told.document["summary"]["cut_short"]
    assert "was cut short" in halted
    assert f"{TOPIC}-0 at {log_ends[0] - 2} (before: {log_ends[0]}) stands" in halted
    finished = kcfix(*shift, "-o", "json")
    assert finished.code == 0, finished.out
    assert committed(system) == {p: end - 2 for p, end in log_ends.items()}, "shifted once on each"
    assert kcfix(*shift[:5], "+2", *P0, "-o", "json").document["summary"]["cut_short"] == []


@pytest.mark.usefixtures("bare")
def test_export_and_import_bring_offsets_back(system: Drill, kcfix: Kcfix, tmp_path: Path) -> None:
    ids = [buy(system, 1, partition=p, at=ago(minutes=5))[0] for p in range(3)]
    settle(kcfix, *ids)
    assert reset(kcfix, "latest").code == 0
    saved, file = committed(system), str(tmp_path / "saved.json")
    assert kcfix("offsets", "export", "--group", GROUP, file).code == 0
    assert reset(kcfix, "earliest").code == 0
    assert committed(system) != saved
    ran = kcfix("offsets", "import", "--group", GROUP, file, "--apply", "--yes")
    assert ran.code == 0, ran.out
    assert committed(system) == saved


@pytest.mark.usefixtures("bare")
def test_a_topic_made_again_has_no_offsets_and_is_pinned(
    system: Drill, kcfix: Kcfix, engine: Engine, database: psycopg.Connection
) -> None:
    """Deleting a topic erases the groups' offsets on it (docs/system.md 6, mode 12)."""
    [before] = buy(system, 1, partition=0, at=ago(minutes=5))
    settle(kcfix, before)
    assert reset(kcfix, "latest").code == 0
    with contextlib.closing(kafka.admin.KafkaAdminClient(**kafka_settings(system))) as admin:
        admin.delete_topics([TOPIC])
        eventually(lambda: TOPIC not in admin.list_topics())
        gone = kcfix("offsets", "show", "--group", GROUP)
        assert gone.code == 3, gone.out + gone.err
        new = kafka.admin.NewTopic(name=TOPIC, num_partitions=3, replication_factor=1)
        eventually(lambda: _made(admin, new))
    [shown] = eventually(lambda: _shown(kcfix), seconds=30, every=1)
    assert [row["state"] for row in shown.rows] == ["UNCOMMITTED"] * 3
    ids = [buy(system, 1, partition=p)[0] for p in range(3)]
    assert kcfix("offsets", "pin", "--group", GROUP, "--apply", "--yes").code == 0
    start(system, engine)
    eventually(lambda: [purchases(database, i) for i in ids] == [1, 1, 1])


def _made(admin: Any, topic: Any) -> bool:
    try:
        admin.create_topics([topic])
    except kafka.errors.KafkaError:
        return False
    return True


def _shown(kcfix: Kcfix) -> list[Ran]:
    ran = kcfix("offsets", "show", "--group", GROUP, "-o", "json")
    return [ran] if ran.code in (0, 1) and len(ran.rows) == 3 else []


@pytest.mark.usefixtures("bare")
def test_looking_moves_nothing_and_garbage_is_named(system: Drill, kcfix: Kcfix) -> None:
    first = ends(system, TOPIC)[0][1]
    send_raw(system, TOPIC, 0, b"\xff\x1b[31m{")
    buy(system, 1, partition=0)
    shown = kcfix("offsets", "--group", GROUP)
    assert shown.code == 1
    assert "\x1b" not in shown.out
    dry = kcfix("offsets", "reset", "--group", GROUP, "--to", "earliest", "-o", "json")
    assert f"offset {first}: its value is not JSON" in dry.document["summary"]["refusals"][0]
    assert kcfix("offsets", "pin", "--group", GROUP).code == 0
    assert committed(system) == {}
    everything = {kafka.TopicPartition(TOPIC, p): -1 for p in range(3)}
    with contextlib.closing(kafka.admin.KafkaAdminClient(**kafka_settings(system))) as admin:
        admin.delete_records(everything)
