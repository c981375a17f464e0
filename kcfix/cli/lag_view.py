"""What `lag` found, as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from kcfix.core.lag import GroupReport, LagReport, LagRow
from kcfix.core.offsets import GroupState, LagState
from kcfix.core.times import format_duration
from kcfix.flow import Flow
from kcfix.render.view import Cell, Column, Line, Section, Table, Tone, Value

_STATE_TONES = {
    GroupState.STABLE: Tone.GOOD,
    GroupState.EMPTY: Tone.WARN,
    GroupState.NOT_FOUND: Tone.BAD,
    GroupState.DEAD: Tone.BAD,
    GroupState.UNKNOWN: Tone.WARN,
}
_COLUMNS = (
    Column("PARTITION"),
    Column("COMMITTED", right=True),
    Column("START", right=True, priority=2),
    Column("END", right=True),
    Column("LAG", right=True),
    Column("STATE"),
    Column("AGE", right=True),
    Column("MEMBER", priority=1),
    Column("HOST", priority=3),
)


def sections(report: LagReport, *, one_table: bool) -> tuple[Section, ...]:
    """A table for each group; or (with very many groups) one of all partitions and one of all groups."""
    if not one_table:
        return tuple(_group_table(g, report.taken_at) for g in report.groups)
    rows = tuple((g.group.group_id, *_cells(row, g)) for g in report.groups for row in g.rows)
    groups = tuple(
        (
            g.group.group_id,
            state_cell(g),
            _members(g),
            len(g.rows),
            _total(g),
            g.lag.unknown_partitions or None,
            g.lag.skipped_by_latest or None,
        )
        for g in report.groups
    )
    totals = (
        Column("GROUP"),
        Column("STATE"),
        Column("MEMBERS", right=True),
        Column("PARTITIONS", right=True, priority=2),
        Column("LAG", right=True),
        Column("UNKNOWN", right=True, priority=1),
        Column("LATEST-SKIPS", right=True),
    )
    notes = tuple(note for g in report.groups for note in _row_notes(g, report.taken_at, name=True))
    return (
        Table((Column("GROUP"), *_COLUMNS), rows, "partitions", notes),
        Table(totals, groups, "groups", _stale_notes(report.groups)),
    )


def _group_table(report: GroupReport, now: datetime) -> Table:
    """One group: its partitions, and below them what the figures mean."""
    group = report.group
    title = f"{group.group_id}: {group.state}, {member_words(report)}, {total_words(report)}"
    return Table(
        _COLUMNS,
        tuple(_cells(row, report) for row in report.rows),
        title,
        (*_group_notes(report), *_row_notes(report, now), *_stale_notes((report,))),
        empty="none of its topics exists" if report.missing_topics else "no partition concerns it",
    )


def _cells(row: LagRow, report: GroupReport) -> tuple[Value, ...]:
    lag = row.lag
    return (
        str(lag.partition),
        lag.committed_offset,
        lag.log_start_offset,
        lag.log_end_offset,
        _lag_text(row),
        _state_cell(row),
        format_duration(row.unread.age) if row.unread.age is not None else None,
        row.member.client_id if row.member else None if report.group.members_known else "?",
        row.member.host if row.member else None if report.group.members_known else "?",
    )


def _lag_text(row: LagRow) -> str | int | None:
    count = row.lag.lag_records
    return f"≤{count}" if count and row.compacted else count


def _state_cell(row: LagRow) -> Cell:
    state = row.lag.state
    if state is LagState.OK:
        return Cell(str(state), Tone.GOOD if not row.lag.lag_records else Tone.PLAIN)
    harmless = state is LagState.UNCOMMITTED and not row.lag.retained_records
    return Cell(str(state), Tone.WARN if harmless or state is LagState.UNKNOWN else Tone.BAD)


def state_cell(report: GroupReport) -> Cell:
    """The group's state in its colour."""
    return Cell(str(report.group.state), _STATE_TONES.get(report.group.state, Tone.WARN))


def _members(report: GroupReport) -> int | str:
    return len(report.group.members) if report.group.members_known else "?"


def member_words(report: GroupReport) -> str:
    """How many members, in words."""
    if not report.group.members_known:
        return "members unknown"
    count = len(report.group.members)
    return "1 member" if count == 1 else f"{count or 'no'} members"


def _total(report: GroupReport) -> str | int:
    unknown, known = report.lag.unknown_partitions, report.lag.known_lag_records
    if not report.readable or (unknown and unknown == len(report.rows)):
        return "?"
    bound = (
        "≤" if any(r.compacted and r.lag.lag_records for r in report.rows) and not unknown else "≥" if unknown else ""
    )
    return f"{bound}{known}" if bound else known


def total_words(report: GroupReport) -> str:
    """The lag of the whole group in words."""
    if not report.readable:
        return "lag unknown"
    unknown, count = report.lag.unknown_partitions, len(report.rows)
    if unknown and unknown == count:
        return "lag unknown"
    return f"lag {_total(report)}" + (f" ({unknown} of {count} partitions unknown)" if unknown else "")


def _group_notes(report: GroupReport) -> tuple[Line, ...]:
    group = report.group
    notes: list[Line] = []
    if group.error:
        notes.append(Cell(f"the group could not be read: {group.error}", Tone.WARN))
    elif group.state is GroupState.NOT_FOUND:
        notes.append(Cell("Kafka knows no such group: it never started, or all it had committed expired", Tone.BAD))
    elif not group.members_known:
        notes.append(f"its protocol ({group.group_type or 'new'}) hides its members from this client")
    elif group.is_rebalancing:
        notes.append(Cell("it is rebalancing: who holds what is in motion, look again in some seconds", Tone.WARN))
    elif group.state is GroupState.EMPTY and report.lag.known_lag_records:
        notes.append(Cell("no consumer is in it: what waits is not being read", Tone.BAD))
    if report.offsets_kept is not None:
        kept = format_duration(report.offsets_kept)
        notes.append(f"Kafka forgets what it committed {kept} after its last member left; only a member stops that")
    return tuple(notes)


def _row_notes(report: GroupReport, now: datetime, *, name: bool = False) -> tuple[Line, ...]:
    notes: list[Line] = []
    for row in report.rows:
        for told in _notes_of(row, now):
            prefix = f"{row.group} {row.lag.partition}" if name else str(row.lag.partition)
            bad = row.lag.state in (LagState.LOST, LagState.AHEAD) or bool(row.lag.skipped_by_latest)
            notes.append(Cell(f"{prefix}: {told}", Tone.BAD if bad else Tone.WARN))
    bare = sum(1 for r in report.rows if r.lag.state is LagState.UNCOMMITTED and not r.lag.retained_records)
    if bare and not name:
        which = "1 partition is" if bare == 1 else f"{bare} partitions are"
        notes.append(f"{which} empty with nothing committed: a start at latest skips what arrives before it has joined")
    return tuple(notes)


def _notes_of(row: LagRow, now: datetime) -> list[str]:
    lag = row.lag
    waiting = records_words(lag.retained_records or 0)
    notes: list[str] = []
    if lag.state is LagState.UNCOMMITTED and lag.retained_records:
        notes.append(f"nothing committed; a start at latest skips {waiting}, at earliest reads {waiting}")
    elif lag.state is LagState.LOST:
        notes.append(
            f"{records_words(lag.lost_records or 0)} deleted before the group read them; its offset lies before the log"
            f" start, so a start at latest skips {waiting}"
        )
    elif lag.state is LagState.AHEAD:
        notes.append(
            f"committed {lag.committed_offset} lies beyond the log end {lag.log_end_offset}: the topic was made anew or"
            f" cut; a start at latest skips {waiting}"
        )
    elif lag.state is LagState.UNKNOWN:
        notes.append(f"unknown: {lag.error}")
    if row.held_back:
        notes.append(
            f"an open transaction holds back {records_words(row.held_back)} from offset {lag.last_stable_offset}"
            " (of readers of committed data)"
        )
    if row.unread.no_record:
        notes.append(f"{lag.lag_records} offsets, but no record: transaction markers, or compacted away; nothing waits")
    if row.unread.at is not None and row.unread.age is None:
        notes.append("the oldest unread record is dated in the future: its age is not known")
    if row.deleted_at is not None and row.unread.age is not None and row.deleted_at - now < row.unread.age:
        left = row.deleted_at - now
        when = f"in {format_duration(left)}" if left.total_seconds() > 0 else "at any moment"
        notes.append(f"retention deletes its oldest unread record {when}")
    return notes


def records_words(count: int) -> str:
    """A number of records in words."""
    return "1 record" if count == 1 else f"{count} records"


def _stale_notes(reports: Sequence[GroupReport]) -> tuple[Line, ...]:
    return tuple(
        f"{row.group} {row.lag.partition}: committed {row.lag.committed_offset} once, no longer read; not in the totals"
        for report in reports
        for row in report.stale
    )


def next_commands(report: LagReport, flow: Flow) -> tuple[str, ...]:
    """The restart that loses nothing, for each worker of the flow whose group has work and nobody in it."""
    return tuple(
        f"kcfix restart {stage.worker}"
        for g in report.groups
        if (stage := flow.stage_of_group(g.group.group_id)) is not None
        and g.group.members_known
        and not g.group.members
        and not g.group.is_rebalancing
        and (g.lag.known_lag_records or g.lag.skipped_by_latest)
    )


def bare_lag(report: GroupReport) -> str:
    """The whole lag as a bare number; `-` where it is not known."""
    total = report.lag.total_lag_records if report.readable else None
    return "-" if total is None else str(total)
