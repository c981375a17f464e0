"""The metrics of groups, partitions and dead letters. Nothing here where Kafka was silent."""

from __future__ import annotations

import math
from collections.abc import Iterator

from kcfix.core.lag import GroupReport, LagRow
from kcfix.core.offsets import GroupState, LagState, TopicPartition
from kcfix.core.watching.history import History, retention_left
from kcfix.core.watching.metrics_kinds import Family, Kind, Labels, Point, series
from kcfix.core.watching.observation import Observation
from kcfix.core.watching.progress import Progress, Rates

Where = tuple[GroupReport, LagRow]


def group_families(history: History, seen: Observation) -> Iterator[Family]:
    """Every metric that Kafka answers."""
    readable = [g for g in seen.groups if g.readable]
    rows: list[Where] = [(g, row) for g in readable for row in g.rows if row.lag.state is not LagState.UNKNOWN]
    yield from _groups(history, seen, readable)
    yield from _offsets(rows)
    yield from _risks(seen, rows)
    yield from _progress(history, rows)
    yield series(
        "kcfix_dead_letters_total",
        "Log end of the dead letters' topic: all that were ever written there.",
        Kind.COUNTER,
        ("partition",),
        [
            ({"partition": str(where.partition)}, log.log_end_offset)
            for where, log in seen.dead_letters.items()
            if log.log_end_offset is not None
        ],
    )


def _group(group: GroupReport) -> Labels:
    return {"group": group.group.group_id}


def _part(where: Where) -> Labels:
    group, row = where
    return {**_group(group), **_place(row.lag.partition)}


def _place(where: TopicPartition) -> Labels:
    return {"topic": where.topic, "partition": str(where.partition)}


def _groups(history: History, seen: Observation, readable: list[GroupReport]) -> Iterator[Family]:
    yield series(
        "kcfix_group_state",
        "State of a consumer group: 1 for the state that it is in.",
        Kind.GAUGE,
        ("group", "state"),
        [
            ({**_group(g), "state": str(state)}, int(g.group.state is state))
            for g in seen.groups
            for state in GroupState
        ],
    )
    yield series(
        "kcfix_group_members",
        "Members of a consumer group; absent where they can't be seen.",
        Kind.GAUGE,
        ("group",),
        [(_group(g), len(g.group.members)) for g in readable if g.group.members_known],
    )
    yield series(
        "kcfix_group_catch_up_seconds",
        "When a group will have caught up, at the pace of the last looks; +Inf: never at this pace.",
        Kind.GAUGE,
        ("group",),
        [(_group(g), seconds) for g in readable if (seconds := _catch_up(history.rates(g.group.group_id))) is not None],
    )
    yield series(
        "kcfix_group_offsets_expire_seconds",
        "After how long, at most, Kafka forgets what an empty group committed; absent while it has members.",
        Kind.GAUGE,
        ("group",),
        [
            (_group(g), left.total_seconds())
            for g in readable
            if (left := history.expires_in(g.group.group_id)) is not None
        ],
    )


def _catch_up(rates: Rates) -> float | None:
    if rates.falls_behind:
        return math.inf
    return None if rates.catch_up is None else rates.catch_up.total_seconds()


def _offsets(rows: list[Where]) -> Iterator[Family]:
    ends: dict[TopicPartition, LagRow] = {row.lag.partition: row for _, row in rows}
    yield series(
        "kcfix_log_start_offset",
        "First offset that is retained.",
        Kind.GAUGE,
        ("topic", "partition"),
        [(_place(w), r.lag.log_start_offset) for w, r in ends.items() if r.lag.log_start_offset is not None],
    )
    yield series(
        "kcfix_log_end_offset",
        "The offset that the next record will get.",
        Kind.GAUGE,
        ("topic", "partition"),
        [(_place(w), r.lag.log_end_offset) for w, r in ends.items() if r.lag.log_end_offset is not None],
    )
    yield series(
        "kcfix_group_committed_offset",
        "The next offset to be read; absent where nothing is committed.",
        Kind.GAUGE,
        ("group", "topic", "partition"),
        [(_part(w), w[1].lag.committed_offset) for w in rows if w[1].lag.committed_offset is not None],
    )
    yield series(
        "kcfix_group_lag_records",
        "Offsets still to be read; absent where there is no committed offset to count from.",
        Kind.GAUGE,
        ("group", "topic", "partition"),
        [(_part(w), w[1].lag.lag_records) for w in rows if w[1].lag.lag_records is not None],
    )
    yield series(
        "kcfix_group_lag_seconds",
        "Age of the oldest record that was not read, by its own timestamp; 0 where nothing waits.",
        Kind.GAUGE,
        ("group", "topic", "partition"),
        list(_ages(rows)),
    )


def _ages(rows: list[Where]) -> Iterator[Point]:
    for where in rows:
        row = where[1]
        if row.lag.lag_records == 0 or row.unread.no_record:
            yield _part(where), 0
        elif row.unread.age is not None:
            yield _part(where), row.unread.age.total_seconds()


def _risks(seen: Observation, rows: list[Where]) -> Iterator[Family]:
    yield series(
        "kcfix_group_partition_unprotected",
        "1 where a plain restart would skip what waits, for want of a committed offset inside the log.",
        Kind.GAUGE,
        ("group", "topic", "partition"),
        [(_part(w), int(w[1].lag.unprotected)) for w in rows if w[1].lag.unprotected is not None],
    )
    yield series(
        "kcfix_group_skipped_by_restart_records",
        "Records that a plain restart would skip for good.",
        Kind.GAUGE,
        ("group", "topic", "partition"),
        [(_part(w), w[1].lag.skipped_by_latest) for w in rows if w[1].lag.skipped_by_latest is not None],
    )
    yield series(
        "kcfix_group_lost_records",
        "Records that retention deleted before the group read them.",
        Kind.GAUGE,
        ("group", "topic", "partition"),
        [(_part(w), w[1].lag.lost_records) for w in rows if w[1].lag.lost_records is not None],
    )
    yield series(
        "kcfix_group_retention_left_seconds",
        "Until retention may delete the oldest record that was not read; absent where nothing waits.",
        Kind.GAUGE,
        ("group", "topic", "partition"),
        [(_part(w), left.total_seconds()) for w in rows if (left := retention_left(w[1], seen.taken_at)) is not None],
    )


def _progress(history: History, rows: list[Where]) -> Iterator[Family]:
    judged = [(w, history.evaluation(w[0].group.group_id, w[1].lag.partition)) for w in rows]
    yield series(
        "kcfix_group_commit_staleness_seconds",
        "How long records have waited, at least, without a commit that moved; 0 where nothing waits.",
        Kind.GAUGE,
        ("group", "topic", "partition"),
        [
            (_part(w), stale.total_seconds())
            for w in rows
            if (stale := history.staleness(w[0].group.group_id, w[1].lag.partition)) is not None
        ],
    )
    yield series(
        "kcfix_group_progress",
        "How a group gets on with a partition, by Burrow's rules: 1 for the state that holds.",
        Kind.GAUGE,
        ("group", "topic", "partition", "progress"),
        [({**_part(w), "progress": str(p)}, int(found.progress is p)) for w, found in judged for p in Progress],
    )
    yield series(
        "kcfix_group_progress_evidence_ratio",
        "How complete the looks are that the state rests on: 1 where a whole window was answered.",
        Kind.GAUGE,
        ("group", "topic", "partition"),
        [(_part(w), found.evidence.complete) for w, found in judged],
    )
