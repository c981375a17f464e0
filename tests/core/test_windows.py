"""Which spans of time are searched for the messages of many payments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from kcfix.core.judging.windows import AFTER, BEFORE, MOST, merged, windows
from kcfix.core.offsets import TopicPartition
from kcfix.core.ports.kafka import OffsetRange

DAY = datetime(2026, 1, 1, tzinfo=UTC)


def test_spans_that_touch_are_one() -> None:
    [span] = windows([DAY + timedelta(hours=1), DAY])
    assert (span.start, span.end) == (DAY - BEFORE, DAY + timedelta(hours=1) + AFTER)


def test_of_many_lonely_payments_each_still_lies_in_a_span_and_the_requests_are_bounded() -> None:
    moments = [DAY + timedelta(hours=2 * n) for n in range(1000)] + [DAY + timedelta(days=400)]
    spans = windows(moments)
    assert len(spans) == MOST
    for moment in moments:
        assert any(s.start <= moment - BEFORE and moment + AFTER <= s.end for s in spans)
    # What lies widest apart stays apart.
    assert spans[-1].start == DAY + timedelta(days=400) - BEFORE
    assert [s.start for s in spans] == sorted(s.start for s in spans)


def test_no_payments_need_no_span() -> None:
    assert windows([]) == ()


def test_a_range_within_another_shortens_nothing() -> None:
    tp, other = TopicPartition("t", 0), TopicPartition("t", 1)
    given = [OffsetRange(tp, 0, 10), OffsetRange(tp, 2, 5), OffsetRange(tp, 7, 12), OffsetRange(other, 3, 3)]
    assert merged(given) == (OffsetRange(tp, 0, 12),)
    assert merged([OffsetRange(tp, 0, 10), OffsetRange(tp, 2, 5)]) == (OffsetRange(tp, 0, 10),)
    assert merged([OffsetRange(tp, 0, 2), OffsetRange(tp, 3, 5)]) == (OffsetRange(tp, 0, 2), OffsetRange(tp, 3, 5))
