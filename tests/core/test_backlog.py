"""What waits, by the time at which it was written: nothing but what the log says."""

from __future__ import annotations

from datetime import timedelta

from kcfix.core.doctor.backlog import interesting, read_backlogs
from kcfix.core.lag import read_lag
from kcfix.core.offsets import GroupLag, TopicPartition
from tests.conftest import NOW
from tests.fakes_kafka import FakeKafka
from tests.system import FLOW

MINUTE = timedelta(minutes=1)
P0, P1, P2 = (TopicPartition(FLOW.purchase_confirmed, n) for n in range(3))


def lag_of(kafka: FakeKafka) -> GroupLag:
    return read_lag(kafka, FLOW, NOW, named=[FLOW.purchase_group]).groups[0].lag


def a_log() -> FakeKafka:
    """Five messages on partition 0, one a minute, of which the first two are read."""
    kafka = FakeKafka(now=NOW)
    for ago in (5, 4, 3, 2, 1):
        kafka.put(FLOW.purchase_confirmed, b"k", partition=0, at=NOW - ago * MINUTE)
    kafka.commit_as_worker(FLOW.purchase_group, {P0: 2, P1: 0, P2: 0})
    return kafka


def test_only_what_waits_now_is_counted_and_by_the_time_it_was_written() -> None:
    kafka = a_log()
    moments = [NOW - ago * MINUTE for ago in (6, 3.5, 2.5, 1.5, 0)]
    (found,) = read_backlogs(kafka, [lag_of(kafka)], moments)
    assert (found.group, found.waiting, found.unknown, found.retained) == (FLOW.purchase_group, 3, (), 0)
    assert found.written == tuple(zip(moments, (0, 0, 1, 2, 3), strict=True))


def test_a_partition_without_a_commit_is_unknown_and_no_zero() -> None:
    kafka = a_log()
    kafka.forget_commit(FLOW.purchase_group, P0)
    lag = lag_of(kafka)
    assert interesting([lag]) == (lag,)
    (found,) = read_backlogs(kafka, [lag], [NOW])
    assert (found.waiting, found.unknown, found.retained) == (0, (P0,), 5)


def test_what_was_deleted_unread_does_not_wait() -> None:
    kafka = a_log()
    kafka.delete_before(P0, 4)
    (found,) = read_backlogs(kafka, [lag_of(kafka)], [NOW - 1.5 * MINUTE, NOW])
    assert [count for _, count in found.written] == [0, 1]


def test_a_group_for_which_nothing_waits_is_not_drawn_and_no_request_is_made_for_it() -> None:
    kafka = a_log()
    kafka.commit_as_worker(FLOW.purchase_group, {P0: 5})
    lag = lag_of(kafka)
    assert interesting([lag]) == ()
    kafka.calls.clear()
    assert read_backlogs(kafka, [lag], [NOW])[0].written == ((NOW, 0),)
    assert kafka.calls == []
