"""What `lag` found, as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from kcfix.core.lag import GroupReport, LagReport, LagRow
from kcfix.core.offsets import GroupState


def json_rows(report: LagReport) -> tuple[dict[str, object], ...]:
    """One row for each partition of each group."""
    states = {g.group.group_id: g.group.state for g in report.groups}
    return tuple(_json_row(row, states[row.group]) for row in report.rows)


def _json_row(row: LagRow, group_state: GroupState) -> dict[str, object]:
    lag = row.lag
    return {
        "group": row.group,
        "group_state": group_state,
        "topic": lag.partition.topic,
        "partition": lag.partition.partition,
        "committed_offset": lag.committed_offset,
        "log_start_offset": lag.log_start_offset,
        "log_end_offset": lag.log_end_offset,
        "last_stable_offset": lag.last_stable_offset,
        "lag_records": lag.lag_records,
        "lag_is_upper_bound": row.compacted or row.unread.no_record,
        "state": lag.state,
        "unprotected": lag.unprotected,
        "retained_records": lag.retained_records,
        "lost_records": lag.lost_records,
        "skipped_by_latest_records": lag.skipped_by_latest,
        "reread_by_earliest_records": lag.reread_by_earliest,
        "held_back_by_transaction_records": row.held_back,
        "age_seconds": row.unread.age,
        "oldest_unread_at": row.unread.at,
        "deleted_at": row.deleted_at,
        "member": row.member.member_id if row.member else None,
        "client_id": row.member.client_id if row.member else None,
        "host": row.member.host if row.member else None,
        "stale": row.stale,
        "error": lag.error,
    }


def json_summary(report: LagReport, limit: int | None, above: Sequence[str]) -> dict[str, object]:
    """Each group with its totals."""
    groups = [group_totals(g) for g in report.groups]
    return {"groups": groups, "max_lag_records": limit, "within_max_lag": None if limit is None else not above}


def group_totals(report: GroupReport) -> dict[str, object]:
    lag = report.lag
    return {
        "group": report.group.group_id,
        "state": report.group.state,
        "type": report.group.group_type or None,
        "members": len(report.group.members) if report.group.members_known else None,
        "lag_records": lag.total_lag_records if report.readable else None,
        "known_lag_records": lag.known_lag_records if report.readable else None,
        "partitions": len(report.rows),
        "unknown_partitions": lag.unknown_partitions,
        "unprotected_partitions": len(report.unprotected),
        "skipped_by_latest_records": lag.skipped_by_latest,
        "missing_topics": report.missing_topics,
        "error": report.group.error,
    }
