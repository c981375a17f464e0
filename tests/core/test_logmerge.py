"""Logs merged in time order, and what repeats folded."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcfix.core.logs.entry import Dialect, Level, LogEntry
from kcfix.core.logs.merge import Failed, Folded, Folder, finished, folded, followed, merged, settled
from kcfix.core.workers import Stream
from kcfix.errors import Unreachable

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
PAYMENT = "00000000-0000-4000-8000-000000000001"


def entry(second: float, message: str, container: str = "a", **fields: object) -> LogEntry:
    at = NOON + timedelta(seconds=second)
    return LogEntry(container, at, Stream.STDOUT, Dialect.APPLICATION, Level.INFO, message, fields, message)


def shown(lines: Iterator[Folded]) -> list[tuple[str, int, bool]]:
    return [(line.entry.message, line.count, line.again) for line in lines]


def messages(lines: Iterator[Folded]) -> list[str]:
    return [line.entry.message for line in lines]


def test_lines_of_several_containers_come_in_the_order_of_time() -> None:
    first = finished([entry(1, "a1"), entry(3, "a3")], None)
    second = finished([entry(0, "b0", "b"), entry(2, "b2", "b"), entry(9, "b9", "b")], None)
    assert messages(merged([first, second, finished([], None)])) == ["b0", "a1", "b2", "a3", "b9"]


def test_lines_of_one_moment_keep_their_order() -> None:
    lines = [entry(1, str(n)) for n in range(20)]
    other = [entry(1, f"b{n}", "b") for n in range(3)]
    found = messages(merged([finished(lines, None), finished(other, None)]))
    assert found == [str(n) for n in range(20)] + ["b0", "b1", "b2"]


def test_a_log_that_is_slightly_out_of_order_is_put_right() -> None:
    lines = [entry(1.0, "1"), entry(0.9, "0"), entry(5, "5"), entry(4.5, "4")]
    assert [e.message for e in settled(lines, lambda e: e.timestamp)] == ["0", "1", "4", "5"]


def test_merging_is_lazy() -> None:
    endless = finished((entry(n, str(n)) for n in itertools.count()), None, fold=False)
    assert messages(itertools.islice(merged([endless]), 3)) == ["0", "1", "2"]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.integers(0, 50), max_size=30), max_size=5))
def test_whatever_the_logs_none_is_lost_and_all_are_in_order(logs: list[list[int]]) -> None:
    sources = [finished([entry(n, f"{i}-{n}", str(i)) for n in log], None, fold=False) for i, log in enumerate(logs)]
    found = [line.entry.timestamp for line in merged(sources)]
    assert len(found) == sum(len(log) for log in logs)
    if all(log == sorted(log) for log in logs):
        assert found == sorted(found)


def test_the_newest_lines_are_counted_after_folding() -> None:
    noise = [entry(n, "Redis connection error") for n in range(10, 5000)]
    found = finished([entry(1, "one"), entry(2, "two"), *noise], 2)
    assert [(line.entry.message, line.count) for line in found] == [("two", 1), ("Redis connection error", 4990)]


def test_a_line_in_a_row_becomes_one_with_its_count() -> None:
    lines = [entry(0, "x"), entry(1, "x"), entry(2, "x"), entry(3, "y")]
    (x, y) = folded(lines)
    assert (x.entry.timestamp, x.count, x.until) == (NOON, 3, NOON + timedelta(seconds=2))
    assert (y.count, y.until) == (1, None)


def test_counters_do_not_make_a_line_another() -> None:
    lines = [entry(n, "Connection error", retryCount=n, retryTime=n * 300) for n in range(4)]
    assert shown(folded(lines)) == [("Connection error", 4, False)]


def test_other_fields_or_containers_do() -> None:
    lines = [entry(0, "x", error="a"), entry(1, "x", error="b"), entry(2, "x", "other", error="b")]
    assert shown(folded(lines)) == [("x", 1, False)] * 3


def test_noise_between_other_lines_is_held_back_and_counted() -> None:
    lines = []
    for n in range(6):
        lines += [entry(n, "Redis connection error"), entry(n + 0.5, f"line {n}")]
    assert shown(folded(lines)) == [
        ("Redis connection error", 1, False),
        *((f"line {n}", 1, False) for n in range(6)),
        ("Redis connection error", 5, True),
    ]


def test_noise_that_goes_on_is_told_once_a_minute() -> None:
    lines = []
    for n in range(0, 200):
        lines += [entry(n, "Redis connection error"), entry(n + 0.5, f"line {n}")]
    told = [(line.entry.timestamp - NOON, line.count) for line in folded(lines) if line.again]
    assert [count for _, count in told] == [61, 60, 60, 18]
    assert sum(count for _, count in told) == 199


def test_a_line_that_was_away_for_long_is_news() -> None:
    lines = [entry(0, "x"), entry(1, "y"), entry(60, "x")]
    assert shown(folded(lines)) == [("x", 1, False), ("y", 1, False), ("x", 1, False)]


def test_the_story_of_a_payment_is_never_shortened() -> None:
    lines = []
    for n in range(3):
        lines += [entry(n, "Processing", correlationId=PAYMENT), entry(n + 0.5, "Failed", correlationId=PAYMENT)]
    assert shown(folded(lines)) == [("Processing", 1, False), ("Failed", 1, False)] * 3


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 100), st.sampled_from(["a", "b", "c"])), max_size=60))
def test_folding_counts_every_line_once(log: list[tuple[int, str]]) -> None:
    lines = [entry(second, message) for second, message in sorted(log)]
    for found in (list(folded(lines)), list(finished(lines, None))):
        assert sum(line.count for line in found) == len(lines)
    times = [line.entry.timestamp for line in finished(lines, None)]
    assert times == sorted(times)


def test_a_pause_shows_the_line_that_waits() -> None:
    folder = Folder()
    assert list(folder.feed(entry(0, "x"))) == []
    assert shown(folder.idle()) == [("x", 1, False)]
    assert list(folder.feed(entry(1, "x"))) == []
    assert shown(folder.end()) == [("x", 1, True)]


def test_followed_logs_are_merged_until_all_have_ended() -> None:
    barrier = threading.Barrier(2)

    def source(name: str, offset: float) -> Iterator[LogEntry]:
        barrier.wait(5)
        for n in range(50):
            yield entry(n + offset, f"{name}{n}", name)

    clock = itertools.count()
    found = [
        item
        for item in followed([lambda: source("a", 0), lambda: source("b", 0.5)], lambda: next(clock) * 0.0)
        if isinstance(item, LogEntry)
    ]
    assert len(found) == 100
    assert [e.timestamp for e in found] == sorted(e.timestamp for e in found)


def test_a_followed_log_that_breaks_off_does_not_stop_the_others() -> None:
    failure = Unreachable("gone", system="docker")

    def broken() -> Iterator[LogEntry]:
        yield entry(0, "before")
        raise failure

    found = list(followed([broken, lambda: iter([entry(1, "other", "b")])], lambda: 0.0))
    assert {item.message for item in found if isinstance(item, LogEntry)} == {"before", "other"}
    assert [item for item in found if isinstance(item, Failed)] == [Failed(0, failure)]


def test_a_followed_log_gives_pauses_while_nothing_comes() -> None:
    go = threading.Event()

    def quiet() -> Iterator[LogEntry]:
        go.wait(5)
        yield entry(0, "at last")

    found = []
    for item in followed([quiet], lambda: 0.0, hold=0.01):
        found.append(item)
        go.set()
    assert found[0] is None
    assert [item.message for item in found if isinstance(item, LogEntry)] == ["at last"]


@pytest.mark.parametrize("seed", range(3))
def test_a_followed_line_waits_for_an_earlier_one_of_another_container(seed: int) -> None:
    order = random.Random(seed).sample(range(30), 30)  # noqa: S311 - a shuffled test case
    late = [partial(iter, [entry(n, str(n), str(n))]) for n in order]
    found = [item.message for item in followed(late, lambda: 0.0, hold=0.2) if isinstance(item, LogEntry)]
    assert found == [str(n) for n in range(30)]
