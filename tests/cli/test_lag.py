"""`kcfix lag` from the command line to exit code, output and errors."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from kcfix.core.offsets import TopicPartition
from kcfix.errors import AccessDenied, Unreachable
from kcfix.flow import Flow
from kcfix.main import main
from kcfix.services import Services
from tests.conftest import NOW, Run, Terminal
from tests.fakes_kafka import FakeKafka

FLOW = Flow()
GROUP = FLOW.purchase_group
TOPIC = FLOW.purchase_confirmed
P0, P1, P2 = (TopicPartition(TOPIC, p) for p in range(3))


@pytest.fixture
def kafka() -> FakeKafka:
    """Two records in each partition of purchase-confirmed; commits on two of the three; nobody in the group."""
    made = FakeKafka(now=NOW)
    for n in range(6):
        made.put(TOPIC, "k", partition=n % 3, at=NOW - timedelta(minutes=6 - n))
    made.commit_as_worker(GROUP, {P0: 1, P1: 2})
    return made


def test_lag_shows_every_partition_and_what_a_start_would_skip(run: Run, kafka: FakeKafka) -> None:
    ran = run("lag", "--group", GROUP, kafka=kafka)
    assert ran.code == 0
    assert ran.err == ""
    title, header, first, second, third, *notes = ran.lines
    assert title == f"{GROUP}: EMPTY, no members, lag ≥1 (1 of 3 partitions unknown)"
    assert header.split() == ["PARTITION", "COMMITTED", "START", "END", "LAG", "STATE", "AGE", "MEMBER", "HOST"]
    assert first.split() == ["purchase-confirmed-0", "1", "0", "2", "1", "OK", "3m", "-", "-"]
    assert second.split() == ["purchase-confirmed-1", "2", "0", "2", "0", "OK", "-", "-", "-"]
    assert third.split() == ["purchase-confirmed-2", "-", "0", "2", "-", "UNCOMMITTED", "-", "-", "-"]
    assert "no consumer is in it: what waits is not being read" in notes
    skipped = "nothing committed; a start at latest skips 2 records, at earliest reads 2 records"
    assert f"purchase-confirmed-2: {skipped}" in notes
    assert "  kcfix restart purchase-worker" in notes


def test_a_list_of_all_groups_is_not_taken_for_whole_where_the_flows_own_are_hidden(run: Run, kafka: FakeKafka) -> None:
    kafka.hidden_groups = {GROUP}
    ran = run("lag", "--all", kafka=kafka)
    assert (ran.code, ran.out) == (4, "")
    assert ran.err == f"kcfix: asking Kafka for the group {GROUP}: the broker denies it\n"


def test_lag_says_how_long_the_offsets_of_an_empty_group_live(run: Run, kafka: FakeKafka) -> None:
    note = "Kafka forgets what it committed 7d after its last member left; only a member stops that"
    assert note in run("lag", "-g", GROUP, kafka=kafka).lines
    kafka.settings = {}
    assert "forgets" not in run("lag", "-g", GROUP, kafka=kafka).out
    kafka.settings = {"offsets.retention.minutes": "10080"}
    kafka.join_worker(GROUP, TOPIC)
    kafka.calls.clear()
    assert "forgets" not in run("lag", "-g", GROUP, kafka=kafka).out
    assert "broker_config" not in kafka.calls


def test_lag_names_member_and_host(run: Run, kafka: FakeKafka) -> None:
    kafka.join_worker(GROUP, TOPIC, client_id="purchase-worker-1768478400000", host="172.18.0.9")
    ran = run("lag", "-g", GROUP, kafka=kafka)
    assert ran.lines[2].split()[-2:] == ["purchase-worker-1768478400000", "172.18.0.9"]
    assert "kcfix restart" not in ran.out


def test_lag_as_json_has_numbers_and_null(run: Run, kafka: FakeKafka) -> None:
    ran = run("lag", "-g", GROUP, "-o", "json", kafka=kafka)
    document = ran.document
    assert (ran.code, document["schema"], document["ok"]) == (0, "kcfix.lag/v1", True)
    first, _, third = document["data"]
    assert first["partition"] == 0
    assert (first["committed_offset"], first["log_start_offset"], first["log_end_offset"]) == (1, 0, 2)
    assert (first["lag_records"], first["age_seconds"], first["state"]) == (1, 180.0, "OK")
    assert (third["committed_offset"], third["lag_records"], third["age_seconds"]) == (None, None, None)
    assert (third["skipped_by_latest_records"], third["unprotected"]) == (2, True)
    (summary,) = document["summary"]["groups"]
    assert (summary["lag_records"], summary["known_lag_records"], summary["unknown_partitions"]) == (None, 1, 1)


def test_lag_without_arguments_shows_the_groups_of_the_flow(run: Run, kafka: FakeKafka) -> None:
    ran = run("lag", "-q", kafka=kafka)
    assert ran.lines == [s.group for s in FLOW.stages if s.required]


def test_quiet_gives_the_bare_lag_of_the_groups_named(run: Run, kafka: FakeKafka) -> None:
    assert run("lag", "-g", GROUP, "-q", kafka=kafka).lines == ["-"]
    kafka.commit_as_worker(GROUP, {P2: 0})
    assert run("lag", "-g", GROUP, "-q", kafka=kafka).lines == ["3"]


def test_lag_all_shows_foreign_groups_without_ages(run: Run, kafka: FakeKafka) -> None:
    kafka.commit_as_worker("billing", {P0: 0})
    ran = run("lag", "--all", "-o", "json", kafka=kafka)
    assert {row["group"] for row in ran.document["data"]} == {GROUP, "billing"}
    assert {row["age_seconds"] for row in ran.document["data"]} == {None}
    with_age = run("lag", "--all", "--age", "-o", "json", kafka=kafka)
    assert any(row["age_seconds"] for row in with_age.document["data"])


def test_lag_of_an_unknown_group_is_3_with_a_suggestion(run: Run, kafka: FakeKafka) -> None:
    ran = run("lag", "-g", "purchase-creation-worker", kafka=kafka)
    assert ran.code == 3
    assert ran.out == ""
    assert "Kafka knows no group 'purchase-creation-worker'" in ran.err
    assert f"did you mean {GROUP}?" in ran.err


def test_lag_of_a_known_and_an_unknown_group_shows_the_known_one(run: Run, kafka: FakeKafka) -> None:
    ran = run("lag", "-g", GROUP, "-g", "nobody", "-o", "json", kafka=kafka)
    assert ran.code == 3
    assert {row["group"] for row in ran.document["data"]} == {GROUP}
    assert [e["kind"] for e in ran.document["errors"]] == ["not_found"]


@pytest.mark.parametrize(("limit", "code"), [("3", 0), ("2", 1), ("0", 1)])
def test_max_lag_counts_what_may_be_unread(run: Run, kafka: FakeKafka, limit: str, code: int) -> None:
    ran = run("lag", "-g", GROUP, "--max-lag", limit, kafka=kafka)
    assert ran.code == code
    assert ("the limit is" in ran.err or "is over" in ran.err) is (code == 1)


def test_a_negative_limit_is_wrong_usage(run: Run, kafka: FakeKafka) -> None:
    assert run("lag", "--max-lag", "-1", kafka=kafka).code == 2


def test_group_and_all_contradict_each_other(run: Run, kafka: FakeKafka) -> None:
    ran = run("lag", "--all", "-g", GROUP, kafka=kafka)
    assert ran.code == 2
    assert "--group and --all" in ran.err


def test_a_kafka_without_an_answer_is_4_and_not_lag_0(run: Run, kafka: FakeKafka) -> None:
    kafka.down = Unreachable("asking Kafka for its topics (kafka:9092): no answer within 3 s", system="kafka")
    ran = run("lag", kafka=kafka)
    assert (ran.code, ran.out) == (4, "")
    assert "no answer within 3 s" in ran.err
    as_json = run("lag", "--json", kafka=kafka)
    assert (as_json.code, as_json.document["ok"]) == (4, False)
    assert as_json.document["errors"][0]["kind"] == "unreachable"


def test_a_denied_user_is_4_with_its_own_kind(run: Run, kafka: FakeKafka) -> None:
    kafka.down = AccessDenied("listing the groups: the broker denies it", system="kafka")
    ran = run("lag", "--all", "-o", "json", kafka=kafka)
    assert (ran.code, ran.document["errors"][0]["kind"]) == (4, "access_denied")


def test_a_partition_without_an_answer_is_4_and_shown(run: Run, kafka: FakeKafka) -> None:
    kafka.partition_errors[P1] = "LEADER_NOT_AVAILABLE"
    ran = run("lag", "-g", GROUP, kafka=kafka)
    assert ran.code == 4
    assert "purchase-confirmed-1: unknown: LEADER_NOT_AVAILABLE" in ran.out
    assert "UNKNOWN" in ran.lines[3]


def test_lost_records_are_told(run: Run, kafka: FakeKafka) -> None:
    kafka.delete_before(P0, 2)
    ran = run("lag", "-g", GROUP, kafka=kafka)
    assert "purchase-confirmed-0: 1 record deleted before the group read them" in ran.out
    assert ran.lines[2].split()[5] == "LOST"


def test_a_commit_beyond_the_end_is_told(run: Run, kafka: FakeKafka) -> None:
    kafka.commit_as_worker(GROUP, {P0: 7})
    ran = run("lag", "-g", GROUP, kafka=kafka)
    assert "committed 7 lies beyond the log end 2" in ran.out


def test_an_open_transaction_is_told(run: Run, kafka: FakeKafka) -> None:
    kafka.hold_back(P0, 1)
    ran = run("lag", "-g", GROUP, kafka=kafka)
    assert "purchase-confirmed-0: an open transaction holds back 1 record from offset 1" in ran.out


def test_a_stale_commit_is_apart_and_not_counted(run: Run, kafka: FakeKafka) -> None:
    kafka.add_topic("old-topic", 1)
    for _ in range(50):
        kafka.put("old-topic", "k")
    kafka.commit_as_worker(GROUP, {TopicPartition("old-topic", 0): 3})
    ran = run("lag", "-g", GROUP, kafka=kafka)
    assert "lag ≥1" in ran.lines[0]
    assert f"{GROUP} old-topic-0: committed 3 once, no longer read; not in the totals" in ran.out


def test_hidden_members_are_a_question_mark(run: Run, kafka: FakeKafka) -> None:
    kafka.join_worker(GROUP, TOPIC)
    kafka.hidden_members.add(GROUP)
    ran = run("lag", "-g", GROUP, kafka=kafka)
    assert "STABLE, members unknown" in ran.lines[0]
    assert ran.lines[2].split()[-2:] == ["?", "?"]
    assert "kcfix restart" not in ran.out


def test_a_terminal_of_80_columns_keeps_the_figures_whole(run: Run, kafka: FakeKafka) -> None:
    ran = run("lag", "-g", GROUP, "--no-color", kafka=kafka, tty=True, environ={"COLUMNS": "80"})
    assert all(len(line) <= 80 for line in ran.lines[:5])
    for whole in ("purchase-confirmed-2", "UNCOMMITTED", "COMMITTED"):
        assert whole in ran.out


def test_text_of_the_outside_world_is_no_markup(run: Run, kafka: FakeKafka) -> None:
    kafka.join_worker(GROUP, TOPIC, client_id="[red]x[/tmp/y]\x1b[2J")
    ran = run("lag", "-g", GROUP, kafka=kafka, tty=True, environ={"COLUMNS": "200"})
    assert "[red]x[/tmp/y]" in ran.out
    assert "\x1b[2J" not in ran.out


def test_looking_changes_nothing(run: Run, kafka: FakeKafka) -> None:
    run("lag", "--all", kafka=kafka)
    assert kafka.sent == []
    assert kafka.commits == []
    assert {"send", "commit"}.isdisjoint(kafka.calls)


class Enough(Exception):
    """Ends a watch that would go on for ever."""


def watch(kafka: FakeKafka, *argv: str, looks: int = 3) -> str:
    out, slept = Terminal(), []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        kafka.put(TOPIC, "k", partition=0)
        kafka.down = Unreachable("gone for a while", system="kafka") if len(slept) == 1 and looks > 3 else None
        if len(slept) == looks:
            raise KeyboardInterrupt

    services = Services(
        environ={"HOME": "/nowhere"}, stdout=out, stderr=Terminal(), kafka=kafka, sleep=sleep, now=lambda: NOW
    )
    assert main(["lag", "--watch", "-g", GROUP, *argv], services) == 130
    assert set(slept) == {2.0 if "--every" not in argv else 5.0}
    return out.getvalue()


def test_watch_says_one_line_a_look_with_the_change(kafka: FakeKafka) -> None:
    lines = watch(kafka).splitlines()
    assert len(lines) == 3
    assert "EMPTY  no members  lag ≥1" in lines[0]
    assert "lag ≥2 (1 of 3 partitions unknown)  +1" in lines[1]
    assert "a start at latest skips 2 records" in lines[2]


def test_watch_as_json_is_one_object_a_line(kafka: FakeKafka) -> None:
    *rows, end = (json.loads(line) for line in watch(kafka, "-o", "json", "--every", "5s").splitlines())
    assert end["error"]["kind"] == "interrupted"
    assert [row["lag_change_records"] for row in rows] == [None, 1, 1]
    assert {row["schema"] for row in rows} == {"kcfix.lag/v1"}


def test_watch_goes_on_when_kafka_does_not_answer(kafka: FakeKafka) -> None:
    lines = watch(kafka, looks=4).splitlines()
    assert "no answer: gone for a while" in lines[1]
    assert "lag ≥3" in lines[2]


def test_watch_waits_for_a_group_of_the_flow_and_not_for_a_stranger(run: Run) -> None:
    assert "NOT_FOUND" in watch(FakeKafka(now=NOW)).splitlines()[0]
    assert run("lag", "--watch", "-g", "nobody", kafka=FakeKafka(now=NOW)).code == 3


@pytest.mark.parametrize("argv", [("--every", "5s"), ("--watch", "--every", "soon"), ("--watch", "--every", "1ms")])
def test_a_senseless_pause_is_wrong_usage(run: Run, kafka: FakeKafka, argv: tuple[str, ...]) -> None:
    assert run("lag", *argv, kafka=kafka).code == 2


def test_the_next_command_is_for_the_system_that_was_asked(run: Run, kafka: FakeKafka) -> None:
    ran = run("--project", "kc-other", "lag", "--group", GROUP, kafka=kafka)
    assert ran.lines[-1].strip() == "kcfix --project kc-other restart purchase-worker"
