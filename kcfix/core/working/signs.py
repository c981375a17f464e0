"""The signs by which a worker is seen to work, one function each (docs/decisions.md 1).

`worker` turns them into a state. A sign never guesses: UNCLEAR is looked at and proves nothing, UNKNOWN is
not answered.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kcfix.core.logs.entry import LogEntry
from kcfix.core.logs.milestones import Milestone, last, unanswered_crash
from kcfix.core.offsets import Group, GroupState, LagState, Member, PartitionLag, TopicPartition
from kcfix.core.workers import Container, ContainerState
from kcfix.core.working.corroborate import STAMP_DELAY, client_started_at, vouched
from kcfix.flow import Stage

SETTLED = timedelta(seconds=45)
"""A group that is empty, or a member that is there, for longer than this is neither a restart gap nor a ghost."""
CRASH_GRACE = timedelta(seconds=10)
"""kafkajs leaves the group between its `Crash` and its `Restarting` line; a crash younger than this may come back."""
FRESH = timedelta(seconds=60)
"""With records waiting, a message handled longer ago than this no longer proves that the worker consumes."""


class Sure(enum.StrEnum):
    """What one sign says."""

    YES = "YES"
    UNCLEAR = "UNCLEAR"
    """Looked at, and it proves nothing either way."""
    NO = "NO"
    """It proves that the worker does not work."""
    UNKNOWN = "UNKNOWN"
    """The system that could tell did not answer, or was not asked."""


@dataclass(frozen=True, slots=True)
class Look:
    """The worker's surroundings at one moment, as they were read."""

    at: datetime
    """Aware UTC, by the clock of this machine."""
    containers: tuple[Container, ...] | None
    """The worker's containers, all replicas; empty where Docker knows none; None where Docker gave no answer."""
    group: Group | None
    """None where Kafka gave no answer."""
    lags: tuple[PartitionLag, ...] | None
    """One for every partition of the topics that the group reads; None where Kafka gave no answer."""


@dataclass(frozen=True, slots=True)
class Sign:
    """One sign and what it says, in words."""

    name: str
    sure: Sure
    text: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that the signs look at, sorted out once."""

    stage: Stage
    looks: Sequence[Look]
    entries: Sequence[LogEntry] | None
    now: datetime
    dead: frozenset[str]
    """Names of running containers whose consumer crashed and was not started again."""
    members: tuple[Member, ...]

    @property
    def look(self) -> Look:
        return self.looks[-1]

    @property
    def span(self) -> timedelta:
        return self.look.at - self.looks[0].at

    @property
    def running(self) -> tuple[Container, ...]:
        return tuple(c for c in self.look.containers or () if c.running)

    @property
    def held(self) -> frozenset[TopicPartition]:
        return frozenset(tp for m in self.members for tp in m.assignment)


def _since_start(entries: Sequence[LogEntry], container: Container) -> list[LogEntry]:
    started = container.started_at
    return [e for e in entries if e.container == container.name and (started is None or e.timestamp >= started)]


def evidence_of(stage: Stage, looks: Sequence[Look], entries: Sequence[LogEntry] | None, now: datetime) -> Evidence:
    look = looks[-1]
    running = [c for c in look.containers or () if c.running]
    dead = set()
    for container in running if entries is not None else ():
        crash = unanswered_crash(_since_start(entries or (), container))
        if crash is not None and now - crash.timestamp > CRASH_GRACE:
            dead.add(container.name)
    members = [
        member
        for member, owner in vouched(look.group.members if look.group else (), running, stage)
        if owner.name not in dead
    ]
    return Evidence(stage, looks, entries, now, frozenset(dead), tuple(members))


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.0f} s"


def _partitions(partitions: Sequence[TopicPartition]) -> str:
    return ", ".join(str(tp) for tp in partitions)


def _container(e: Evidence) -> Sign:
    name = "container"
    containers = e.look.containers
    if containers is None:
        return Sign(name, Sure.UNKNOWN, "without Docker its container is unknown")
    if not containers:
        return Sign(name, Sure.UNCLEAR, f"no container of {e.stage.worker} on this Docker engine")
    if e.running:
        of = f"{len(e.running)} of {len(containers)} containers run" if len(containers) > 1 else "its container runs"
        return Sign(name, Sure.YES, of)
    strangers = [m for m in (e.look.group.members if e.look.group else ()) if not _was_here(m, containers)]
    what = "; ".join(f"container {c.name} {_stopped(c)}" for c in containers)
    if strangers:
        return Sign(name, Sure.UNCLEAR, f"{what}, yet a member of unknown origin ({strangers[0].client_id}) is there")
    return Sign(name, Sure.NO, what)


def _was_here(member: Member, containers: Sequence[Container]) -> bool:
    """Whether a member can be what is left of one of these containers, all of which are stopped."""
    started = client_started_at(member.client_id)
    return started is not None and any(
        (c.started_at is None or c.started_at <= started + STAMP_DELAY)
        and (c.finished_at is None or started <= c.finished_at)
        for c in containers
    )


def _stopped(container: Container) -> str:
    words = {
        ContainerState.CREATED: "was never started",
        ContainerState.PAUSED: "is paused",
        ContainerState.RESTARTING: "keeps crashing",
        ContainerState.UNKNOWN: "is in an unknown state",
    }.get(container.state, f"is {container.state.value.lower()}")
    if container.state in (ContainerState.CREATED, ContainerState.PAUSED) or container.exit_code is None:
        return words
    return f"{words} (exit code {container.exit_code}{', out of memory' if container.oom_killed else ''})"


def _steady(e: Evidence) -> Sign:
    name = "steady"
    if e.look.containers is None:
        return Sign(name, Sure.UNKNOWN, "without Docker restarts are unknown")
    before = {c.name: c for c in e.looks[0].containers or ()}
    for container in e.running:
        earlier = before.get(container.name)
        if earlier is None or earlier.started_at == container.started_at:
            continue
        times = container.restart_count - earlier.restart_count
        if container.id == earlier.id and times > 0:
            return Sign(name, Sure.NO, f"{container.name} crashed and was restarted {times}x within {_seconds(e.span)}")
        return Sign(name, Sure.UNCLEAR, f"{container.name} was started anew within the sample")
    return Sign(name, Sure.YES, "it did not restart while it was looked at")


_EMPTY = (GroupState.EMPTY, GroupState.DEAD, GroupState.NOT_FOUND)


def _joined(e: Evidence) -> Sign:
    name = "joined"
    group = e.look.group
    if group is None:
        return Sign(name, Sure.UNKNOWN, "Kafka did not answer: its group is unknown")
    if group.error or group.state is GroupState.UNKNOWN:
        return Sign(name, Sure.UNKNOWN, f"group {group.group_id}: {group.error or 'state unknown'}")
    if group.is_rebalancing:
        return Sign(name, Sure.UNCLEAR, f"group {group.group_id} is rebalancing: one look proves nothing")
    if group.state in _EMPTY:
        first = e.looks[0].group
        stays = first is not None and first.state in _EMPTY and e.span >= SETTLED
        how = "does not exist" if group.state is GroupState.NOT_FOUND else "has no member"
        if stays:
            return Sign(name, Sure.NO, f"group {group.group_id} {how}, and had none {_seconds(e.span)} ago")
        hint = "this may be the gap of a restart (look with --sample 60s)"
        return Sign(name, Sure.UNCLEAR, f"group {group.group_id} {how}; {hint}")
    if not group.members_known:
        return Sign(name, Sure.UNCLEAR, f"group {group.group_id} is active, its members are unknown to this client")
    return Sign(name, Sure.YES, f"group {group.group_id} is stable")


def _member(e: Evidence) -> Sign:
    name = "member"
    group = e.look.group
    if group is None or e.look.lags is None:
        return Sign(name, Sure.UNKNOWN, "Kafka did not answer: its members are unknown")
    if not group.members:
        return Sign(name, Sure.UNCLEAR, "no member holds its partitions")
    if not e.members:
        odd = group.members[0].client_id
        if not e.running:
            return Sign(name, Sure.UNCLEAR, f"no running container vouches for the member {odd}")
        return Sign(name, Sure.UNCLEAR, f"member {odd} did not start after the container: a ghost, or another process")
    missing = [lag.partition for lag in e.look.lags if lag.partition not in e.held]
    if missing:
        return Sign(name, Sure.UNCLEAR, f"no corroborated member holds {_partitions(missing)}")
    if not e.look.lags:
        return Sign(name, Sure.UNCLEAR, "its topics have no partitions")
    return Sign(name, Sure.YES, f"{', '.join(sorted(m.client_id for m in e.members))} holds all its partitions")


def _alive(e: Evidence) -> Sign:
    name = "alive"
    if e.entries is None:
        return Sign(name, Sure.UNKNOWN, "its log was not read: a dead consumer would not show")
    open_crashes = [c for c in (unanswered_crash(_since_start(e.entries, box)) for box in e.running) if c is not None]
    if not open_crashes:
        return Sign(name, Sure.YES, "no crash without a restart in the lines that were read")
    crash = max(open_crashes, key=lambda c: c.timestamp)
    if e.dead and len(e.dead) == len(e.running):
        return Sign(name, Sure.NO, f"its consumer died inside the live container: {crash.message}")
    return Sign(name, Sure.UNCLEAR, f"a consumer crashed {_seconds(e.now - crash.timestamp)} ago: {crash.message}")


def _advanced(e: Evidence) -> list[TopicPartition]:
    if len(e.looks) < 2 or e.look.lags is None:
        return []
    before = {lag.partition: lag.committed_offset for lag in e.looks[0].lags or ()}
    return [
        lag.partition
        for lag in e.look.lags
        if lag.partition in before
        and lag.committed_offset is not None
        and lag.state is not LagState.UNKNOWN
        and lag.committed_offset > (-1 if (earlier := before[lag.partition]) is None else earlier)
        and _was_read(e.looks[0], lag.partition)
    ]


def _was_read(look: Look, partition: TopicPartition) -> bool:
    """Whether the commit of this partition is known in the look: a missing one must not count as an advance."""
    return any(lag.partition == partition and lag.state is not LagState.UNKNOWN for lag in look.lags or ())


def _standing(e: Evidence) -> list[TopicPartition]:
    """Partitions with records waiting at both ends of the sample and no commit in between."""
    if len(e.looks) < 2:
        return []
    before = {lag.partition: lag for lag in e.looks[0].lags or ()}
    return [
        lag.partition
        for lag in e.look.lags or ()
        if lag.lag_records
        and (earlier := before.get(lag.partition)) is not None
        and earlier.lag_records
        and earlier.committed_offset == lag.committed_offset
    ]


def _consumed(e: Evidence) -> Sign:
    name = "consumed"
    standing = _standing(e)
    if standing and e.span >= CRASH_GRACE:
        return Sign(
            name, Sure.UNCLEAR, f"records wait on {_partitions(standing)} and no commit came within {_seconds(e.span)}"
        )
    advanced = _advanced(e)
    if advanced:
        return Sign(name, Sure.YES, f"its commit advanced on {_partitions(advanced)} within {_seconds(e.span)}")
    if e.entries is None:
        return Sign(name, Sure.UNCLEAR, "it was not seen to consume (its log was not read)")
    mine = [entry for box in e.running for entry in _since_start(e.entries, box)]
    handled = last(mine, Milestone.HANDLED)
    if handled is None:
        return Sign(name, Sure.UNCLEAR, "it was not seen to consume since its start")
    ago = e.now - handled.timestamp
    crash = last(mine, Milestone.CRASHED)
    if crash is not None and crash.timestamp > handled.timestamp:
        return Sign(name, Sure.UNCLEAR, "it crashed and restarted since it last handled a message")
    if ago > FRESH and any(lag.lag_records for lag in e.look.lags or ()):
        return Sign(name, Sure.UNCLEAR, f"records wait, and it last handled a message {_seconds(ago)} ago")
    return Sign(name, Sure.YES, f"it handled a message {_seconds(ago)} ago")


def _nothing_waits(e: Evidence) -> Sign:
    name = "nothing_waits"
    if e.look.lags is None:
        return Sign(name, Sure.UNKNOWN, "Kafka did not answer: what waits is unknown")
    unknown = [lag.partition for lag in e.look.lags if lag.state is LagState.UNKNOWN]
    if unknown:
        return Sign(name, Sure.UNKNOWN, f"the offsets of {_partitions(unknown)} are unknown")
    waiting = [lag.partition for lag in e.look.lags if lag.lag_records]
    if waiting:
        return Sign(name, Sure.UNCLEAR, f"records wait on {_partitions(waiting)}")
    if not any(lag.unprotected is False for lag in e.look.lags):
        return Sign(name, Sure.UNCLEAR, "no partition has a committed offset: nothing was ever handled")
    return Sign(name, Sure.YES, "nothing waits for it")


CONSUMED = "consumed"
IDLE = "nothing_waits"
SIGNS: tuple[Callable[[Evidence], Sign], ...] = (
    _container,
    _steady,
    _joined,
    _member,
    _alive,
    _consumed,
    _nothing_waits,
)
"""The table. The first five must all be YES; then `consumed` makes WORKING, `nothing_waits` IDLE."""
