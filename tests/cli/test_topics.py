"""`kcfix topics` from the command line to exit code, output and errors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta

import pytest

from kcfix.core.offsets import Group, TopicPartition
from kcfix.core.ports.kafka import TopicConfig
from kcfix.errors import AccessDenied, Unreachable
from kcfix.flow import Flow
from tests.conftest import NOW, Run
from tests.fakes_kafka import FakeKafka

FLOW = Flow()
TOPIC = FLOW.purchase_confirmed


@pytest.fixture
def kafka() -> FakeKafka:
    made = FakeKafka(now=NOW)
    for n in range(3):
        made.put(TOPIC, "k", partition=n, at=NOW - timedelta(minutes=n + 1))
    made.join_worker(FLOW.purchase_group, TOPIC)
    return made


def row(lines: list[str], topic: str) -> list[str]:
    return next(line.split() for line in lines if line.split()[:1] == [topic])


def test_topics_shows_what_is_in_them_and_who_reads_them(run: Run, kafka: FakeKafka) -> None:
    ran = run("topics", kafka=kafka)
    assert (ran.code, ran.err) == (0, "")
    assert ran.lines[0].split() == ["TOPIC", "STATE", "PARTITIONS", "IN-SYNC", "RECORDS", "NEWEST", "KEPT", "GROUPS"]
    assert row(ran.lines, TOPIC) == [
        TOPIC,
        "OK",
        "3",
        "3/3",
        "3",
        "1m",
        "7d",
        f"{FLOW.purchase_group}",
        "(STABLE,",
        "1)",
    ]
    assert row(ran.lines, FLOW.dead_letters)[-1] == "none"


def test_a_missing_topic_of_the_flow_has_a_row(run: Run, kafka: FakeKafka) -> None:
    kafka.remove_topic(FLOW.trainer_allocated)
    ran = run("topics", kafka=kafka)
    assert ran.code == 0
    assert row(ran.lines, FLOW.trainer_allocated)[1] == "MISSING"
    assert f"the topic {FLOW.trainer_allocated} does not exist" in ran.err
    document = run("topics", "-o", "json", kafka=kafka).document
    assert document["summary"]["missing_topics"] == [FLOW.trainer_allocated]


@pytest.mark.parametrize("words", [("topics",), ("topics", FLOW.trainer_allocated)])
def test_a_topic_that_this_user_may_not_see_is_no_missing_topic(
    run: Run, kafka: FakeKafka, words: tuple[str, ...]
) -> None:
    kafka.hidden_topics = {FLOW.trainer_allocated}
    ran = run(*words, kafka=kafka)
    assert (ran.code, ran.out) == (4, "")
    assert ran.err == f"kcfix: asking Kafka for the topic {FLOW.trainer_allocated}: the broker denies it\n"


def test_one_topic_is_shown_by_partition(run: Run, kafka: FakeKafka) -> None:
    ran = run("topics", TOPIC, kafka=kafka)
    assert ran.code == 0
    assert row(ran.lines, f"{TOPIC}-2") == [f"{TOPIC}-2", "1", "1", "1", "0", "1", "1", "3m"]


def test_a_group_that_ought_to_read_a_topic_and_does_not_is_named(run: Run, kafka: FakeKafka) -> None:
    ran = run("topics", FLOW.purchase_created, kafka=kafka)
    wanted = f"ought to read it, and does not: {FLOW.cache_group}, {FLOW.allocation_group}"
    assert wanted in ran.out


def test_an_unknown_topic_is_3_with_a_suggestion(run: Run, kafka: FakeKafka) -> None:
    ran = run("topics", "purchase-confrmed", kafka=kafka)
    assert (ran.code, ran.out) == (3, "")
    assert "Kafka knows no topic 'purchase-confrmed'" in ran.err
    assert TOPIC in ran.err


def test_an_expected_topic_that_is_not_there_is_3(run: Run, kafka: FakeKafka) -> None:
    kafka.remove_topic(TOPIC)
    ran = run("topics", TOPIC, kafka=kafka)
    assert ran.code == 3
    assert "though the flow needs it" in ran.err


def test_topics_as_json(run: Run, kafka: FakeKafka) -> None:
    document = run("topics", TOPIC, "-o", "json", kafka=kafka).document
    assert document["schema"] == "kcfix.topics/v1"
    (found,) = document["data"]
    assert (found["topic"], found["state"], found["log_records"], found["retention_seconds"]) == (
        TOPIC,
        "OK",
        3,
        604800,
    )
    assert found["newest_record_age_seconds"] == 60
    assert found["groups"] == [{"group": FLOW.purchase_group, "state": "STABLE", "members": 1}]
    assert [p["log_end_offset"] for p in found["partitions"]] == [1, 1, 1]


def test_a_compacted_topic_has_at_most_so_many_records(run: Run, kafka: FakeKafka) -> None:
    kafka.configs[TOPIC] = TopicConfig(None, retention_unlimited=True, cleanup_policy="compact")
    cells = row(run("topics", kafka=kafka).lines, TOPIC)
    assert (cells[4], cells[6]) == ("≤3", "compacted")


def test_a_partition_without_an_answer_is_unknown(run: Run, kafka: FakeKafka) -> None:
    kafka.partition_errors[TopicPartition(TOPIC, 1)] = "no leader answered"
    ran = run("topics", TOPIC, kafka=kafka)
    assert "state: UNKNOWN" in ran.out
    assert f"{TOPIC}-1: no leader answered" in ran.out


class Guarded(FakeKafka):
    """A cluster that does not show its groups to this user."""

    def groups(self, ids: Collection[str] | None = None) -> Mapping[str, Group]:
        raise AccessDenied("listing the groups: the broker denies it", system="kafka")


def test_groups_that_can_not_be_read_are_unknown_and_not_none(run: Run) -> None:
    ran = run("topics", TOPIC, kafka=Guarded(now=NOW))
    assert ran.code == 0
    assert "groups: ?" in ran.out
    assert "who reads a topic is not known: listing the groups: the broker denies it" in ran.err
    assert run("topics", TOPIC, "-o", "json", kafka=Guarded(now=NOW)).document["data"][0]["groups"] is None


def test_quiet_gives_names_only(run: Run, kafka: FakeKafka) -> None:
    kafka.remove_topic(TOPIC)
    assert run("topics", "-q", kafka=kafka).lines == [t for t in FLOW.topics if t != TOPIC]


def test_a_dead_kafka_is_4(run: Run, kafka: FakeKafka) -> None:
    kafka.down = Unreachable("no answer within 3 s", system="kafka")
    ran = run("topics", kafka=kafka)
    assert (ran.code, ran.out) == (4, "")


def test_looking_makes_no_topic(run: Run, kafka: FakeKafka) -> None:
    before = set(kafka.topics())
    run("topics", "never-heard-of", kafka=kafka)
    assert set(kafka.topics()) == before
