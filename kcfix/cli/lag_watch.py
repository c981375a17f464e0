"""One group at one look of `lag --watch`, for people and for programs."""

from __future__ import annotations

from datetime import tzinfo

from kcfix.cli.lag_json import group_totals
from kcfix.cli.lag_view import member_words, records_words, state_cell, total_words
from kcfix.core.lag import GroupReport, LagReport
from kcfix.core.times import format_duration, format_time
from kcfix.render.view import Cell, Line, Tone


def watch_line(report: LagReport, group: GroupReport, before: LagReport | None, zone: tzinfo | None) -> Line:
    """One group at one look, on one line."""
    change = _change(report, group, before)
    oldest = max((row.unread.age for row in group.rows if row.unread.age is not None), default=None)
    parts: list[str | Cell] = [
        f"{format_time(report.taken_at, zone)}  {group.group.group_id}  ",
        state_cell(group),
        f"  {member_words(group)}  {total_words(group)}",
    ]
    if change:
        parts.append(f"  {change:+d}")
    if oldest is not None:
        parts.append(f"  oldest {format_duration(oldest)}")
    if group.lag.skipped_by_latest:
        parts.append(Cell(f"  a start at latest skips {records_words(group.lag.skipped_by_latest)}", Tone.BAD))
    return tuple(parts)


def watch_row(report: LagReport, group: GroupReport, before: LagReport | None) -> dict[str, object]:
    """The same for programs."""
    ages = [row.unread.age for row in group.rows if row.unread.age is not None]
    return {
        "generated_at": report.taken_at,
        **group_totals(group),
        "lag_change_records": _change(report, group, before),
        "age_seconds": max(ages, default=None),
    }


def _change(report: LagReport, group: GroupReport, before: LagReport | None) -> int | None:
    """How the known lag changed since the look before; None at the first, or if what is known differs."""
    for other in before.groups if before else ():
        if (
            other.group.group_id == group.group.group_id
            and other.lag.unknown_partitions == group.lag.unknown_partitions
        ):
            return group.lag.known_lag_records - other.lag.known_lag_records
    return None
