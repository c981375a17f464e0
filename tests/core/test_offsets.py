"""Lag of one partition, and which partitions concern a group."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcfix.core.offsets import (
    NOTHING_COMMITTED,
    Committed,
    Group,
    GroupState,
    LagState,
    LogOffsets,
    Member,
    TopicPartition,
    group_lag,
    partition_lag,
)

TP = TopicPartition("t", 0)


@pytest.mark.parametrize(
    ("committed", "start", "end", "state", "lag", "lost", "skipped"),
    [
        (5, 0, 8, LagState.OK, 3, 0, 0),
        (8, 0, 8, LagState.OK, 0, 0, 0),
        (3, 3, 8, LagState.OK, 5, 0, 0),
        (0, 0, 0, LagState.OK, 0, 0, 0),
        (None, 0, 8, LagState.UNCOMMITTED, None, None, 8),
        (None, 8, 8, LagState.UNCOMMITTED, None, None, 0),
        (2, 3, 8, LagState.LOST, 5, 1, 5),
        (9, 0, 8, LagState.AHEAD, None, None, 8),
    ],
)
def test_lag_follows_from_the_offsets(
    committed: int | None,
    start: int,
    end: int,
    state: LagState,
    lag: int | None,
    lost: int | None,
    skipped: int,
) -> None:
    row = partition_lag(TP, Committed(committed), LogOffsets(start, end))
    assert (row.state, row.lag_records, row.lost_records, row.skipped_by_latest) == (state, lag, lost, skipped)
    assert row.unprotected is (state is not LagState.OK)


@pytest.mark.parametrize(
    ("committed", "log"),
    [
        (Committed(None, "GROUP_AUTHORIZATION_FAILED"), LogOffsets(0, 8)),
        (Committed(3), LogOffsets(None, None, error="the partition has no leader")),
        (Committed(3), LogOffsets(0, None)),
        (Committed(3), None),
    ],
)
def test_what_could_not_be_read_is_unknown_and_never_zero(committed: Committed, log: LogOffsets | None) -> None:
    row = partition_lag(TP, committed, log)
    assert row.state is LagState.UNKNOWN
    assert row.error
    assert row.lag_records is None
    assert row.skipped_by_latest is None
    assert row.unprotected is None


@given(st.none() | st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
def test_lag_is_never_negative_and_never_more_than_is_there(committed: int | None, start: int, more: int) -> None:
    row = partition_lag(TP, Committed(committed), LogOffsets(start, start + more))
    assert row.lag_records is None or 0 <= row.lag_records <= more
    assert row.lost_records is None or row.lost_records >= 0
    assert row.skipped_by_latest in (0, more)


def member(*assignment: TopicPartition, topics: tuple[str, ...] = ()) -> Member:
    return Member("m-1", "worker-1", "10.0.0.1", assignment, topics)


def test_every_partition_of_a_subscribed_topic_has_a_row() -> None:
    group = Group("g", GroupState.STABLE, (member(TP, topics=("t",)),))
    logs = {TopicPartition("t", p): LogOffsets(0, 5) for p in range(3)}
    lag = group_lag(group, {TP: Committed(5)}, logs, {"t": range(3)})
    assert [r.partition.partition for r in lag.partitions] == [0, 1, 2]
    assert (lag.known_lag_records, lag.unknown_partitions, lag.total_lag_records) == (0, 2, None)
    assert lag.skipped_by_latest == 10


def test_a_declared_topic_counts_without_any_member_or_commit() -> None:
    group = Group("g", GroupState.NOT_FOUND)
    lag = group_lag(group, {}, {TP: LogOffsets(0, 2)}, {"t": [0]}, ["t", "not-there"])
    assert [(r.partition, r.state) for r in lag.partitions] == [(TP, LagState.UNCOMMITTED)]


def test_a_commit_on_a_topic_that_is_no_longer_read_is_stale() -> None:
    old = TopicPartition("old", 0)
    group = Group("g", GroupState.STABLE, (member(TP, topics=("t",)),))
    logs = {TP: LogOffsets(0, 5), old: LogOffsets(0, 500)}
    lag = group_lag(group, {TP: Committed(4), old: Committed(1)}, logs, {"t": [0], "old": [0]})
    assert [r.partition for r in lag.stale] == [old]
    assert lag.total_lag_records == 1


def test_an_empty_foreign_group_is_shown_with_whole_topics() -> None:
    group = Group("g", GroupState.EMPTY)
    logs = {TopicPartition("t", p): LogOffsets(0, 5) for p in range(2)}
    lag = group_lag(group, {TP: Committed(4)}, logs, {"t": [0, 1]})
    assert [r.state for r in lag.partitions] == [LagState.OK, LagState.UNCOMMITTED]
    assert lag.stale == ()


def test_nothing_committed_is_a_value() -> None:
    assert partition_lag(TP, NOTHING_COMMITTED, LogOffsets(0, 0)).state is LagState.UNCOMMITTED
