"""Times and durations as operators write them."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcfix.core.times import format_duration, format_time, parse_duration, parse_time
from kcfix.errors import UsageError

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
INDIA = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("10m", 600),
        ("2h30m", 9000),
        ("7d", 604800),
        ("1w", 604800),
        ("500ms", 0.5),
        ("1.5h", 5400),
        ("PT5H", 18000),
        ("P1DT2H", 93600),
        (" 1h 5m ", 3900),
        ("0", 0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "soon", "5x", "-5m", "P", "PT", "1h-", "٣m", "9" * 400 + "w"])
def test_what_is_no_duration_says_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"no duration|too long"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", "2026-01-15T11:50:00+00:00"),
        ("now-1h", "2026-01-15T11:00:00+00:00"),
        ("now", "2026-01-15T12:00:00+00:00"),
        ("2026-01-15", "2026-01-14T18:30:00+00:00"),
        ("2026-01-15 17:30", "2026-01-15T12:00:00+00:00"),
        ("2026-01-15T12:00:00Z", "2026-01-15T12:00:00+00:00"),
        ("2026-01-15T17:30:00.5+05:30", "2026-01-15T12:00:00.500000+00:00"),
        ("1768478400", "2026-01-15T12:00:00+00:00"),
        ("1768478400000", "2026-01-15T12:00:00+00:00"),
        ("@1768478400", "2026-01-15T12:00:00+00:00"),
    ],
)
def test_moments(text: str, expected: str) -> None:
    assert parse_time(text, NOW, INDIA).isoformat() == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "2026-01-15 25:00", "90", "@x", "9" * 400])
def test_what_is_no_moment_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="is no time"):
        parse_time(text, NOW)


@given(st.text(max_size=30))
def test_no_text_breaks_the_parser(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert parse_time(text, NOW, UTC).tzinfo is UTC


def test_times_are_shown_with_their_offset() -> None:
    assert format_time(NOW, UTC) == "2026-01-15 12:00:00Z"
    assert format_time(NOW, INDIA) == "2026-01-15 17:30:00+05:30"
    assert format_time(None) == "-"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (0.25, "0.2s"), (59, "59s"), (61, "1m1s"), (3600, "1h"), (90061, "1d1h"), (-5, "-5s"), (86400, "1d")],
)
def test_durations_are_shown_in_two_units(seconds: float, shown: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == shown
