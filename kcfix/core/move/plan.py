"""Moves of committed offsets as values: from where to where, over which messages, and why not (docs/decisions.md 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from kcfix.core.move.committing import OffsetCommit, offset_text
from kcfix.core.move.passage import Passage
from kcfix.core.move.settlement import Effect, Settlement
from kcfix.core.move.target import Target, TargetKind
from kcfix.core.offsets import Group, LagState, PartitionLag, TopicPartition
from kcfix.core.ports.kafka import OffsetRange
from kcfix.core.restart.plan import No
from kcfix.flow import Stage

NAMED = 5
"""Messages that a sentence names before it only counts."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a target lies on one partition."""

    offset: int | None
    """Within the log; None: the partition stays as it is."""
    how: str
    """How it was arrived at, in words."""
    impossible: bool = False
    """Whether the target means nothing here, so that nothing at all may be moved."""


@dataclass(frozen=True, slots=True)
class Found:
    """What had to be read to find a target; keyed by partition, missing where nothing was found."""

    at_time: Mapping[TopicPartition, int]
    """The first offset whose record is not older than the target's time."""
    of_payment: Mapping[TopicPartition, int]
    """The first message of the target's payment."""
    first_unsettled: Mapping[TopicPartition, Settlement]
    """The first unsettled message that the worker can settle."""
    behind_next: Mapping[TopicPartition, int]
    """The offset behind the record that the group reads next."""
    in_file: Mapping[TopicPartition, int]
    """What the file says."""
    shift_from: Mapping[TopicPartition, int]
    """Where a run of the same shift that was cut short had begun: it is not shifted twice."""


def place(target: Target, lag: PartitionLag, found: Found) -> Place:
    """Where the target lies on this partition, clamped to its log, whose offsets must be known."""
    start, end = _log(lag)
    tp = lag.partition
    match target.kind:
        case TargetKind.EARLIEST:
            return Place(start, "the log start")
        case TargetKind.LATEST:
            return Place(end, "the log end")
        case TargetKind.OFFSET:
            return _clamped(target.number, f"offset {target.number}", start, end)
        case TargetKind.SHIFT:
            return _shifted(target, lag, found, start, end)
        case TargetKind.TIME:
            offset = found.at_time.get(tp)
            if offset is None:
                return Place(end, "no record is that young: the log end")
            return _clamped(offset, "the first record that is not older", start, end)
        case TargetKind.PAYMENT:
            offset = found.of_payment.get(tp)
            if offset is None:
                return Place(None, "no message of that payment")
            return _clamped(offset, "its first message here", start, end)
        case TargetKind.FIRST_UNSETTLED:
            first = found.first_unsettled.get(tp)
            if first is not None:
                return Place(first.offset, f"the first unsettled message{_whose(first)}")
            if lag.unprotected:
                return Place(end, "no unsettled message that the worker can settle: the log end")
            return Place(None, "no unsettled message that the worker can settle")
        case TargetKind.BEHIND_NEXT:
            if lag.state is not LagState.OK:
                return Place(
                    None, "no usable committed offset: it stands on no record, and a start skips all", impossible=True
                )
            offset = found.behind_next.get(tp)
            return Place(offset, "nothing waits here" if offset is None else "behind the record that is read next")
        case TargetKind.FILE:
            offset = found.in_file.get(tp)
            if offset is None:
                return Place(None, "the file does not name it, or nothing was committed then")
            return _clamped(offset, "as in the file", start, end)


def _log(lag: PartitionLag) -> tuple[int, int]:
    if lag.log_start_offset is None or lag.log_end_offset is None:
        raise ValueError(f"{lag.partition}: its log offsets are unknown")
    return lag.log_start_offset, lag.log_end_offset


def _shifted(target: Target, lag: PartitionLag, found: Found, start: int, end: int) -> Place:
    base = found.shift_from.get(lag.partition, lag.committed_offset)
    if base is None:
        return Place(None, "nothing is committed, so there is nothing to shift from", impossible=True)
    how = f"{target.text} from {base}"
    if lag.partition in found.shift_from:
        how += ", where the run that was cut short began"
    return _clamped(base + target.number, how, start, end)


def _clamped(offset: int, how: str, start: int, end: int) -> Place:
    inside = min(max(offset, start), end)
    if inside == offset:
        return Place(offset, how)
    edge = "start" if inside == start else "end"
    return Place(inside, f"{how}; {offset} is outside the log ({start} to {end}): the log {edge}")


@dataclass(frozen=True, slots=True)
class Move:
    """One partition, and what is done about its committed offset."""

    lag: PartitionLag
    place: Place
    reread: Passage | None = None
    """What the group will read that it would not have read; None: nothing."""
    skipped: Passage | None = None
    """What it will not read; None: nothing."""

    @property
    def partition(self) -> TopicPartition:
        return self.lag.partition

    @property
    def changes(self) -> bool:
        """Whether another offset than the one that stands is to be committed."""
        return self.place.offset is not None and self.place.offset != self.lag.committed_offset

    @property
    def commit(self) -> OffsetCommit:
        """What is to be committed; only of a move that changes something."""
        assert self.place.offset is not None  # noqa: S101  it changes something
        return OffsetCommit(self.partition, self.lag.committed_offset, self.place.offset)


def reread_range(lag: PartitionLag, offset: int) -> OffsetRange | None:
    """What a commit of `offset` has the group read that it would not have read; None if nothing.

    On an unprotected partition a start begins at the log end, so everything from the offset on counts.
    """
    start, end = _log(lag)
    until = lag.committed_offset if lag.state is LagState.OK and lag.committed_offset is not None else end
    return OffsetRange(lag.partition, offset, until) if start <= offset < until else None


def skipped_range(lag: PartitionLag, offset: int) -> OffsetRange | None:
    """What a commit of `offset` makes the group pass; None if nothing.

    On an unprotected partition everything before the offset counts: the commit makes the loss of it final.
    """
    start, _ = _log(lag)
    begin = lag.committed_offset if lag.state is LagState.OK and lag.committed_offset is not None else start
    return OffsetRange(lag.partition, begin, offset) if begin < offset else None


@dataclass(frozen=True, slots=True)
class MovePlan:
    """What would be done about one group."""

    group: Group
    stage: Stage
    """Of a foreign group: one that can't be checked, without a worker."""
    target: Target
    moves: tuple[Move, ...]
    """Every partition that was chosen, sorted."""
    checked: bool = True
    """Whether the tables tell which messages are settled."""
    refusals: tuple[No, ...] = ()
    """With any nothing is done at all."""
    unknown: tuple[str, ...] = ()
    """What could not be read; with any nothing is done at all."""
    halted: tuple[str, ...] = ()
    """Earlier runs on this group after which not everything stood as it was to, in words."""
    notes: tuple[str, ...] = ()
    offsets_kept: timedelta | None = None
    """How long the broker keeps offsets of a group without members; None: not known."""
    stopped_at: datetime | None = None
    """When the last container of its worker stopped; None: one runs, there is none, or that is not known."""

    @property
    def changing(self) -> tuple[Move, ...]:
        """The moves that would be made; empty where the plan is refused."""
        return () if self.refusals or self.unknown else tuple(m for m in self.moves if m.changes)

    @property
    def expires_at(self) -> datetime | None:
        """When Kafka forgets the group's offsets unless a member joins before; None: not known.

        The time runs from when the group became empty, and a commit does not begin it anew (Kafka, KIP-211).
        """
        if self.offsets_kept is None or self.stopped_at is None:
            return None
        return self.stopped_at + self.offsets_kept


def in_the_way(group: Group, running: tuple[str, ...] | None) -> tuple[No, ...]:
    """Why nobody may commit for this group now: its members would overwrite it, or join while it is done.

    `running`: containers of its worker that run; None where Docker did not answer, so that the group alone tells.
    """
    found = []
    if running:
        names = " ".join(running)
        found.append(No(f"{', '.join(running)} runs and belongs to group {group.group_id}", f"docker stop {names}"))
    if group.error is not None:
        found.append(No(f"whether group {group.group_id} has members can't be told: {group.error}"))
    elif not group.members_known and not group.is_empty:
        found.append(No(f"group {group.group_id} is {group.state}, and this client can't see its members"))
    elif not group.is_empty:
        who = ", ".join(f"{m.client_id} at {m.host}" for m in group.members) or "unknown ones"
        wait = "stop them; a member that was killed stays for half a minute"
        found.append(No(f"group {group.group_id} is {group.state} and has members: {who}; {wait}"))
    return tuple(found)


def losses(moves: Iterable[Move], *, checked: bool, accept_unchecked: bool, passes_failing: bool) -> tuple[No, ...]:
    """Why these moves must not be made as they are: what they skip, and what they have read again.

    `passes_failing`: messages that the worker would fail on may be left behind on unprotected partitions (a pin: nobody
    reads them whatever is done, docs/decisions.md 4).
    """
    found = []
    for move in moves:
        if move.skipped is not None and (no := _skips(move, checked, accept_unchecked, passes_failing)):
            found.append(no)
        if move.reread is not None and move.reread.stops_count:
            stops = move.reread.stops
            told = "; ".join(f"offset {s.offset}{_whose(s)}: {s.reason}" for s in stops[:NAMED])
            more = f" and {move.reread.stops_count - NAMED} more" if move.reread.stops_count > NAMED else ""
            told += f"{more}; go behind that, or name each with --reread"
            found.append(No(f"{move.partition}: the worker would read what it must not: {told}"))
    return tuple(found)


def _skips(move: Move, checked: bool, accept_unchecked: bool, passes_failing: bool) -> No | None:
    passage = move.skipped
    assert passage is not None  # noqa: S101  only called where something is skipped
    unnamed, count = passage.unnamed, passage.unnamed_count
    if not checked:
        if accept_unchecked or not count:
            return None
        return No(
            f"{move.partition}: {count} messages would be skipped, and whether they were handled can't be checked; add "
            "--accept-unchecked if they may be lost"
        )
    if passes_failing and move.lag.unprotected:
        kept = [s for s in unnamed if s.effect is Effect.SETTLES]
        unnamed, count = tuple(kept), len(kept)
    if not count:
        return None
    told = ", ".join(_call(s) for s in unnamed[:NAMED])
    more = f" and {count - NAMED} more" if count > NAMED else ""
    ids = " ".join(dict.fromkeys(s.payment_id for s in unnamed[:NAMED] if s.payment_id))
    reason = (
        f"{move.partition}: unsettled messages would be skipped: {told}{more}; settle them, or name each with --skip"
    )
    return No(reason, f"kcfix repair {ids}" if ids else None)


def _call(message: Settlement) -> str:
    return message.payment_id or f"{message.partition}@{message.offset}"


def _whose(message: Settlement) -> str:
    return f" (payment {message.payment_id})" if message.payment_id else ""


def move_text(move: Move) -> str:
    """Old and new offset in words."""
    return f"{offset_text(move.lag.committed_offset)} → {offset_text(move.place.offset)}"
