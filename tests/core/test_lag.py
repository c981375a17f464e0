"""What `lag` reads, in which order, and what it concludes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta

import pytest

from kcfix.core.lag import GroupReport, LagReport, over, read_lag
from kcfix.core.offsets import GroupState, LagState, LogOffsets, TopicPartition
from kcfix.core.ports.kafka import TopicConfig
from kcfix.errors import AccessDenied, Unreachable
from kcfix.flow import Flow
from tests.conftest import NOW
from tests.fakes_kafka import FakeKafka

FLOW = Flow()
GROUP = FLOW.purchase_group
TOPIC = FLOW.purchase_confirmed
P0, P1, P2 = (TopicPartition(TOPIC, p) for p in range(3))


def filled(count: int = 2) -> FakeKafka:
    """So many records in each partition of purchase-confirmed, one a minute, the newest a minute old."""
    kafka = FakeKafka(now=NOW)
    for partition in range(3):
        for n in range(count):
            kafka.put(TOPIC, "k", partition=partition, at=NOW - timedelta(minutes=count - n))
    return kafka


def one(kafka: FakeKafka, group: str = GROUP, *, ages: bool = True) -> GroupReport:
    report = read_lag(kafka, FLOW, NOW, named=[group], ages=ages)
    return report.groups[0]


def test_commits_are_read_before_the_ends_of_the_log() -> None:
    kafka = filled()
    read_lag(kafka, FLOW, NOW)
    assert kafka.calls.index("groups") < kafka.calls.index("log_offsets")
    assert kafka.calls.index("committed") < kafka.calls.index("log_offsets")


def test_a_partition_without_a_commit_has_a_row_like_any_other() -> None:
    kafka = filled()
    kafka.commit_as_worker(GROUP, {P0: 1, P1: 2})
    rows = one(kafka).rows
    assert [(r.lag.partition, r.lag.lag_records, r.lag.state) for r in rows] == [
        (P0, 1, LagState.OK),
        (P1, 0, LagState.OK),
        (P2, None, LagState.UNCOMMITTED),
    ]
    assert rows[2].lag.skipped_by_latest == 2


def test_the_age_is_that_of_the_record_at_the_committed_offset() -> None:
    kafka = filled(5)
    kafka.commit_as_worker(GROUP, {P0: 1, P1: 5})
    rows = one(kafka).rows
    assert rows[0].unread.age == timedelta(minutes=4)
    assert rows[1].unread.age is None
    assert rows[2].unread.age is None


def test_ages_are_asked_for_all_partitions_at_once() -> None:
    kafka = filled()
    kafka.commit_as_worker(GROUP, {P0: 0, P1: 0, P2: 1})
    one(kafka)
    assert kafka.calls.count("record_times") == 1


def test_groups_at_different_places_of_a_partition_have_their_own_ages() -> None:
    kafka = filled(5)
    for n in range(3):
        kafka.commit_as_worker(f"g{n}", {P0: n})
    report = read_lag(kafka, FLOW, NOW, everything=True)
    ages = [r.unread.age for g in report.groups for r in g.rows if r.lag.partition == P0]
    assert ages == [timedelta(minutes=5), timedelta(minutes=4), timedelta(minutes=3)]


def test_without_ages_none_is_asked_for() -> None:
    kafka = filled()
    kafka.commit_as_worker(GROUP, {P0: 0})
    assert one(kafka, ages=False).rows[0].unread.age is None
    assert "record_times" not in kafka.calls


def test_a_record_dated_in_the_future_has_no_age() -> None:
    kafka = FakeKafka(now=NOW)
    kafka.put(TOPIC, "k", partition=0, at=NOW + timedelta(hours=1))
    kafka.commit_as_worker(GROUP, {P0: 0})
    unread = one(kafka).rows[0].unread
    assert unread.age is None
    assert unread.at == NOW + timedelta(hours=1)


def test_records_that_were_deleted_unread_are_lost_and_what_is_left_is_the_lag() -> None:
    kafka = filled(5)
    kafka.commit_as_worker(GROUP, {P0: 1})
    kafka.delete_before(P0, 3)
    row = one(kafka).rows[0]
    assert (row.lag.state, row.lag.lost_records, row.lag.lag_records, row.lag.skipped_by_latest) == (
        LagState.LOST,
        2,
        2,
        2,
    )


def test_a_commit_beyond_the_end_is_looked_at_twice_and_never_made_zero() -> None:
    kafka = filled(2)
    kafka.commit_as_worker(GROUP, {P0: 9})
    row = one(kafka).rows[0]
    assert row.lag.state is LagState.AHEAD
    assert row.lag.lag_records is None
    assert kafka.calls.count("log_offsets") == 2


class StaleLeader(FakeKafka):
    """The first answer about the log is that of a leader which lags behind."""

    def log_offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, LogOffsets]:
        found = dict(super().log_offsets(partitions))
        return {tp: LogOffsets(0, 0, 0) for tp in found} if self.calls.count("log_offsets") == 1 else found


def test_a_commit_that_only_seemed_to_be_beyond_the_end_is_in_order() -> None:
    kafka = StaleLeader(now=NOW)
    for _ in range(3):
        kafka.put(TOPIC, "k", partition=0)
    kafka.commit_as_worker(GROUP, {P0: 2})
    row = one(kafka).rows[0]
    assert (row.lag.state, row.lag.lag_records) == (LagState.OK, 1)


def test_an_open_transaction_is_told_and_its_records_have_no_age() -> None:
    kafka = filled(5)
    kafka.commit_as_worker(GROUP, {P0: 3})
    kafka.hold_back(P0, 3)
    row = one(kafka).rows[0]
    assert row.held_back == 2
    assert row.unread.age is None
    assert not row.unread.no_record


def test_a_partition_that_could_not_be_asked_is_unknown_and_the_others_are_shown() -> None:
    kafka = filled()
    kafka.commit_as_worker(GROUP, {P0: 0, P1: 0, P2: 0})
    kafka.partition_errors[P1] = "NOT_LEADER_FOR_PARTITION"
    report = read_lag(kafka, FLOW, NOW, named=[GROUP])
    assert [r.lag.state for r in report.rows] == [LagState.OK, LagState.UNKNOWN, LagState.OK]
    assert report.groups[0].lag.total_lag_records is None
    assert report.groups[0].lag.known_lag_records == 4
    assert report.unanswered == ("purchase-confirmed-1: NOT_LEADER_FOR_PARTITION",)


def test_a_group_that_could_not_be_read_is_not_taken_for_one_without_commits() -> None:
    kafka = filled()
    kafka.commit_as_worker(GROUP, {P0: 0})
    kafka.group_errors[GROUP] = "COORDINATOR_NOT_AVAILABLE"
    report = read_lag(kafka, FLOW, NOW)
    assert not report.groups[0].readable
    assert report.groups[0].most_lag_records is None
    assert {row.lag.state for row in report.groups[0].rows} == {LagState.UNKNOWN}
    assert report.groups[0].unprotected == ()
    assert report.unanswered == (f"group {GROUP}: COORDINATOR_NOT_AVAILABLE",)


def test_without_names_the_groups_of_the_flow_are_shown_in_its_order() -> None:
    report = read_lag(FakeKafka(now=NOW), FLOW, NOW)
    shown = [g.group.group_id for g in report.groups]
    assert shown == [s.group for s in FLOW.stages if s.required]
    assert {g.group.state for g in report.groups} == {GroupState.NOT_FOUND}


def test_a_group_that_need_not_be_there_is_shown_if_it_is() -> None:
    kafka = FakeKafka(now=NOW)
    kafka.commit_as_worker(FLOW.notification_group, {})
    assert FLOW.notification_group in [g.group.group_id for g in read_lag(kafka, FLOW, NOW).groups]


def test_an_unknown_group_comes_with_names_like_it() -> None:
    kafka = FakeKafka(now=NOW)
    kafka.commit_as_worker("billing-workers", {P0: 0})
    report = read_lag(kafka, FLOW, NOW, named=["biling-workers", "purchase-creation-worker"])
    assert report.groups == ()
    assert report.unknown["biling-workers"] == ("billing-workers",)
    assert report.unknown["purchase-creation-worker"][0] == GROUP


def test_a_group_of_the_flow_that_never_was_is_unknown_and_shown_all_the_same() -> None:
    report = read_lag(filled(), FLOW, NOW, named=[GROUP])
    assert list(report.unknown) == [GROUP]
    assert report.groups[0].lag.skipped_by_latest == 6


def test_a_missing_topic_is_named() -> None:
    kafka = FakeKafka(now=NOW)
    kafka.remove_topic(TOPIC)
    group = one(kafka)
    assert group.rows == ()
    assert group.missing_topics == (TOPIC,)


def test_members_that_can_not_be_seen_are_not_taken_for_none() -> None:
    kafka = filled()
    kafka.join_worker(GROUP, TOPIC)
    kafka.hidden_members.add(GROUP)
    group = one(kafka).group
    assert not group.members_known
    assert group.state is GroupState.STABLE


def test_what_is_left_of_a_compacted_topic_bounds_the_lag() -> None:
    kafka = filled()
    kafka.configs[TOPIC] = TopicConfig(None, retention_unlimited=True, cleanup_policy="compact")
    kafka.commit_as_worker(GROUP, {P0: 0})
    assert one(kafka).rows[0].compacted


def test_retention_gives_the_time_at_which_unread_records_go() -> None:
    kafka = filled(2)
    kafka.commit_as_worker(GROUP, {P0: 0})
    row = one(kafka).rows[0]
    assert row.deleted_at == NOW - timedelta(minutes=2) + timedelta(days=7)


class Guarded(FakeKafka):
    """A cluster that does not show the settings of its topics to this user."""

    def topic_configs(self, names: Collection[str]) -> Mapping[str, TopicConfig]:
        raise AccessDenied("no")


def test_settings_that_may_not_be_read_are_done_without() -> None:
    kafka = Guarded(now=NOW)
    kafka.put(TOPIC, "k", partition=0)
    kafka.commit_as_worker(GROUP, {P0: 0})
    row = one(kafka).rows[0]
    assert (row.lag.lag_records, row.deleted_at) == (1, None)


def test_a_dead_kafka_is_an_error_and_not_an_empty_report() -> None:
    kafka = FakeKafka(now=NOW)
    kafka.down = Unreachable("gone", system="kafka")
    with pytest.raises(Unreachable):
        read_lag(kafka, FLOW, NOW)


# --max-lag


@pytest.mark.parametrize(
    ("commits", "limit", "word"),
    [
        ({P0: 0, P1: 0, P2: 0}, 6, None),
        ({P0: 0, P1: 0, P2: 0}, 5, "lag 6 is over 5"),
        ({P0: 2, P1: 2}, 2, None),
        ({P0: 2, P1: 2}, 1, "up to 2 may be unread, 0 of them surely"),
        ({P0: 0, P1: 0}, 3, "lag 4 is over 3"),
        ({P0: 9, P1: 2, P2: 2}, 100, "can't be shown to be within 100"),
    ],
)
def test_a_limit_holds_only_where_it_can_be_shown(
    commits: dict[TopicPartition, int], limit: int, word: str | None
) -> None:
    kafka = filled(2)
    kafka.commit_as_worker(GROUP, commits)
    told = over(one(kafka), limit)
    assert told is None if word is None else word in str(told)


def test_an_unanswered_partition_is_within_no_limit() -> None:
    kafka = filled(1)
    kafka.commit_as_worker(GROUP, {P0: 1, P1: 1, P2: 1})
    kafka.partition_errors[P2] = "no leader"
    assert over(one(kafka), 1_000_000) is not None


def test_an_empty_report_answers_nothing() -> None:
    assert LagReport(NOW, ()).unanswered == ()
