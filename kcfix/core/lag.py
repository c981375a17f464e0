"""What `lag` looks at and what follows from it: groups, their partitions, ages, loss, and what a start would skip.

The order of reading is part of the truth: members and committed offsets first, the log's offsets after them. Then a
committed offset beyond the log end can't be an effect of reading, only of a log that was truncated or made anew.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from kcfix.core.offsets import (
    Committed,
    Group,
    GroupLag,
    GroupState,
    LagState,
    LogOffsets,
    Member,
    PartitionLag,
    TopicPartition,
    group_lag,
)
from kcfix.core.ports.kafka import KafkaPort, TopicConfig
from kcfix.core.unread import NOT_READ, Unread, read_unread
from kcfix.errors import KcfixError
from kcfix.flow import Flow


@dataclass(frozen=True, slots=True)
class LagRow:
    """One partition of one group."""

    group: str
    lag: PartitionLag
    member: Member | None
    unread: Unread
    compacted: bool = False
    """Records may be missing between the offsets: the lag counts offsets, so it is an upper bound of records."""
    deleted_at: datetime | None = None
    """When retention will begin to delete unread records; None where that is not known or nothing waits."""
    stale: bool = False
    """The group committed here once, and no longer reads it: not in the totals."""

    @property
    def held_back(self) -> int:
        """Offsets between the last stable offset and the log end: kept from read_committed consumers."""
        end, stable = self.lag.log_end_offset, self.lag.last_stable_offset
        return 0 if end is None or stable is None else max(0, end - stable)

    @property
    def most_lag_records(self) -> int | None:
        """The lag can't be more than this; None if nothing bounds it."""
        if self.lag.lag_records is not None:
            return self.lag.lag_records
        return self.lag.retained_records if self.lag.state is LagState.UNCOMMITTED else None


@dataclass(frozen=True, slots=True)
class GroupReport:
    """One group with its rows, sorted by partition."""

    lag: GroupLag
    rows: tuple[LagRow, ...]
    stale: tuple[LagRow, ...] = ()
    missing_topics: tuple[str, ...] = ()
    """Declared topics that do not exist."""
    offsets_kept: timedelta | None = None
    """For an empty group: how long after its last member left Kafka forgets what it committed. None: not known."""

    @property
    def group(self) -> Group:
        return self.lag.group

    @property
    def readable(self) -> bool:
        """Whether the coordinator told what the group has committed."""
        return self.group.error is None

    @property
    def most_lag_records(self) -> int | None:
        """The whole lag can't be more than this; None if nothing bounds it."""
        counts = [row.most_lag_records for row in self.rows]
        if not self.readable or any(count is None for count in counts):
            return None
        return sum(count for count in counts if count is not None)

    @property
    def unprotected(self) -> tuple[LagRow, ...]:
        """Partitions where a start at latest begins at the log end, whatever waits there."""
        return tuple(row for row in self.rows if row.lag.unprotected)


@dataclass(frozen=True, slots=True)
class LagReport:
    """Everything that one look gave."""

    taken_at: datetime
    groups: tuple[GroupReport, ...]
    unknown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Groups that were asked for by name and do not exist, with names that are like theirs."""
    others: Mapping[TopicPartition, LogOffsets] = field(default_factory=dict)
    """The logs of the topics that were asked for as well, partition by partition; none of a topic that is not there."""

    @property
    def rows(self) -> tuple[LagRow, ...]:
        return tuple(row for g in self.groups for row in (*g.rows, *g.stale))

    @property
    def unanswered(self) -> tuple[str, ...]:
        """What could not be read, one sentence each."""
        groups = [f"group {g.group.group_id}: {g.group.error}" for g in self.groups if g.group.error]
        parts = {
            f"{row.lag.partition}: {row.lag.error}"
            for g in self.groups
            if g.readable
            for row in g.rows
            if row.lag.state is LagState.UNKNOWN
        }
        return (*groups, *sorted(parts))


def over(report: GroupReport, limit: int) -> str | None:
    """Why a group is not shown to be within a limit of lag; None if it is.

    Where nothing was ever committed the lag is no number, but it can't be more than what is retained. A group whose lag
    can't be bounded is not within any limit: an alarm must not fall silent because something could not be known.
    """
    known = report.lag.known_lag_records
    most = report.most_lag_records
    if known > limit:
        return f"{report.group.group_id}: lag {known} is over {limit}"
    if most is None:
        return f"{report.group.group_id}: its lag is not known, so it can't be shown to be within {limit}"
    if most > limit:
        return f"{report.group.group_id}: up to {most} may be unread, {known} of them surely; the limit is {limit}"
    return None


def expected_groups(flow: Flow) -> tuple[str, ...]:
    """The groups of the flow, in the order in which a purchase passes them."""
    return tuple(stage.group for stage in flow.stages)


def read_lag(
    kafka: KafkaPort,
    flow: Flow,
    now: datetime,
    *,
    named: Collection[str] = (),
    everything: bool = False,
    ages: bool = True,
    also: Collection[str] = (),
) -> LagReport:
    """Look at the groups named, at all groups, or (neither) at those of the flow; and at the logs of topics `also`.

    Raises:
        Unreachable: Kafka did not answer. AccessDenied: it denies this user.
    """
    wanted = None if everything else tuple(dict.fromkeys(named)) or expected_groups(flow)
    groups = dict(kafka.groups(wanted))
    if everything and (absent := [g for g in expected_groups(flow) if g not in groups]):
        kafka.groups(absent)  # a list leaves out what is hidden from this user; asked by name, the broker says so
    unknown: dict[str, tuple[str, ...]] = {}
    for group in named:
        if group in groups and groups[group].state is GroupState.NOT_FOUND:
            unknown[group] = ()
            if flow.stage_of_group(group) is None:
                del groups[group]
    if not named:
        groups = {g: found for g, found in groups.items() if _belongs(flow, found)}
    committed = kafka.committed([g for g, found in groups.items() if found.error is None])
    partitions_of = {name: [p.partition for p in t.partitions] for name, t in kafka.topics().items()}

    declared = {stage.group: stage.topics for stage in flow.stages}

    def commits(group: Group) -> Mapping[TopicPartition, Committed]:
        """What could not be read is unknown on every partition, which is not the same as never committed."""
        if group.error is None:
            return committed[group.group_id]
        topics = declared.get(group.group_id, ())
        return {TopicPartition(t, p): Committed(None, group.error) for t in topics for p in partitions_of.get(t, ())}

    def lags(logs: Mapping[TopicPartition, LogOffsets]) -> dict[str, GroupLag]:
        return {
            g: group_lag(found, commits(found), logs, partitions_of, declared.get(g, ())) for g, found in groups.items()
        }

    beside = {TopicPartition(topic, p) for topic in also for p in partitions_of.get(topic, ())}
    logs = dict(kafka.log_offsets(_concerned(groups.values(), committed, declared, partitions_of) | beside))
    found = lags(logs)
    ahead = {row.partition for lag in found.values() for row in lag.partitions if row.state is LagState.AHEAD}
    if ahead:  # a stale leader may have answered: only what is still so at a second look is said
        logs |= kafka.log_offsets(ahead)
        found = lags(logs)
    order = {g: number for number, g in enumerate(wanted or sorted(found))}
    in_order = sorted(found.values(), key=lambda lag: order[lag.group.group_id])
    reports = _reports(kafka, declared, in_order, partitions_of, now, ages)
    if ages:
        reports = _with_expiry(kafka, reports)
    if unknown:
        known = {*expected_groups(flow), *_all_groups(kafka)}
        unknown = {g: tuple(difflib.get_close_matches(g, sorted(known - {g}), n=2, cutoff=0.75)) for g in unknown}
    return LagReport(now, reports, unknown, {where: logs[where] for where in sorted(beside)})


def _with_expiry(kafka: KafkaPort, reports: tuple[GroupReport, ...]) -> tuple[GroupReport, ...]:
    """The empty groups told how long their offsets live: one request, and none where every group has members."""

    def may_expire(report: GroupReport) -> bool:
        committed = any(row.lag.committed_offset is not None for row in report.rows)
        return report.readable and report.group.state is GroupState.EMPTY and committed

    if not any(map(may_expire, reports)):
        return reports
    try:
        kept = timedelta(minutes=int(kafka.broker_config()["offsets.retention.minutes"]))
    except (KcfixError, KeyError, ValueError, OverflowError):
        return reports
    return tuple(replace(report, offsets_kept=kept) if may_expire(report) else report for report in reports)


def _all_groups(kafka: KafkaPort) -> Collection[str]:
    """Every group that there is, to find one with a similar name; none where they can't be listed."""
    try:
        return kafka.groups(None)
    except KcfixError:
        return ()


def _belongs(flow: Flow, group: Group) -> bool:
    """Whether a group that nobody asked for by name is shown: one of the flow that need not exist only if it does."""
    stage = flow.stage_of_group(group.group_id)
    return group.state is not GroupState.NOT_FOUND or stage is None or stage.required


def _concerned(
    groups: Collection[Group],
    committed: Mapping[str, Mapping[TopicPartition, Committed]],
    declared: Mapping[str, Collection[str]],
    partitions_of: Mapping[str, Collection[int]],
) -> set[TopicPartition]:
    """Every partition that a group may have a row for: whole topics that it reads, ought to read, or once read."""
    wanted = {where for group in groups for where in committed.get(group.group_id, ())}
    wanted |= {where for group in groups for member in group.members for where in member.assignment}
    topics = {where.topic for where in wanted}
    topics |= {topic for group in groups for member in group.members for topic in member.subscription}
    topics |= {topic for group in groups for topic in declared.get(group.group_id, ())}
    return wanted | {TopicPartition(topic, p) for topic in topics for p in partitions_of.get(topic, ())}


def _reports(
    kafka: KafkaPort,
    declared: Mapping[str, Collection[str]],
    lags: Iterable[GroupLag],
    partitions_of: Mapping[str, Collection[int]],
    now: datetime,
    ages: bool,
) -> tuple[GroupReport, ...]:
    lags = tuple(lags)
    behind = {row.partition.topic for lag in lags for row in lag.partitions if row.lag_records}
    configs = _configs(kafka, behind)
    unread = read_unread(kafka, lags, now) if ages else {}

    def row(lag: GroupLag, part: PartitionLag, *, stale: bool = False) -> LagRow:
        oldest = unread.get((lag.group.group_id, part.partition), NOT_READ)
        config = configs.get(part.partition.topic)
        retention = config.retention if config else None
        return LagRow(
            group=lag.group.group_id,
            lag=part,
            member=lag.group.owner(part.partition),
            unread=oldest,
            compacted=config is not None and "compact" in config.cleanup_policy,
            deleted_at=oldest.at + retention if oldest.at is not None and retention is not None else None,
            stale=stale,
        )

    return tuple(
        GroupReport(
            lag,
            tuple(row(lag, part) for part in lag.partitions),
            tuple(row(lag, part, stale=True) for part in lag.stale),
            tuple(t for t in declared.get(lag.group.group_id, ()) if t not in partitions_of),
        )
        for lag in lags
    )


def _configs(kafka: KafkaPort, topics: Collection[str]) -> Mapping[str, TopicConfig]:
    """Settings of the topics; none where this user may not read them, for they only refine what is said."""
    if not topics:
        return {}
    try:
        return kafka.topic_configs(topics)
    except KcfixError:
        return {}
