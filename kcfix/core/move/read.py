"""Reads what a move of committed offsets is decided on, and decides; nothing here changes anything."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kcfix.core.events import Record
from kcfix.core.journal import RunRecord
from kcfix.core.move.journal import CutShort, cut_short, shift_bases
from kcfix.core.move.passage import Named, passages
from kcfix.core.move.pin import first_to_settle
from kcfix.core.move.plan import Found, Move, MovePlan, Place, in_the_way, losses, place, reread_range, skipped_range
from kcfix.core.move.settlement import is_checked, settlements
from kcfix.core.move.target import Target, TargetKind
from kcfix.core.offsets import (
    NOTHING_COMMITTED,
    Group,
    GroupState,
    LagState,
    PartitionLag,
    TopicPartition,
    partition_lag,
)
from kcfix.core.ports.database import DatabasePort
from kcfix.core.ports.kafka import KafkaPort, OffsetRange, Topic
from kcfix.core.restart.plan import No
from kcfix.core.workers import Container, ContainerState
from kcfix.errors import KcfixError, NotFound, Refused, Unreachable
from kcfix.flow import Flow, Stage, foreign_stage


@dataclass(frozen=True, slots=True)
class TopicChoice:
    """A topic, and which of its partitions; none named: all."""

    topic: str
    partitions: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked."""

    group: str
    target: Target
    topics: tuple[TopicChoice, ...] = ()
    """Empty: every topic that the group reads."""
    named: Named = field(default_factory=Named)
    """Messages that may be skipped."""
    reread: Named = field(default_factory=Named)
    """Messages that may be read although the worker must not read them."""
    accept_unchecked: bool = False
    only_unprotected: bool = False
    """A pin: partitions with a usable commit stay as they are."""
    in_file: Mapping[TopicPartition, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MoveSources:
    """Where a plan is read from. Each is called when it is needed and may raise Unreachable."""

    flow: Flow
    kafka: Callable[[], KafkaPort]
    database: Callable[[], DatabasePort]
    containers: Callable[[str], tuple[Container, ...]]
    """The containers of a worker as they are now, by its Compose service name."""
    runs: Callable[[], Sequence[RunRecord]]
    """The journal, the newest run first."""


def read_lags(
    wish_group: str, topics: Sequence[TopicChoice], sources: MoveSources
) -> tuple[Group, Stage, tuple[PartitionLag, ...]]:
    """The group, its stage, and the chosen partitions, sorted: committed offsets were read before the log ends.

    Raises:
        NotFound: there is no such group, topic or partition. Unreachable: Kafka did not answer.
    """
    kafka = sources.kafka()
    existing = kafka.topics()
    group = kafka.groups([wish_group])[wish_group]
    stage = sources.flow.stage_of_group(wish_group)
    if stage is None and group.state is GroupState.NOT_FOUND:
        raise _no_group(wish_group, sources.flow, kafka)
    committed = kafka.committed([wish_group]).get(wish_group, {}) if group.error is None else {}
    if stage is None:
        read = {tp.topic for tp in committed} | {t for m in group.members for t in m.subscription}
        stage = foreign_stage(wish_group, read)
    partitions = _chosen(topics, stage, existing)
    logs = kafka.log_offsets(partitions)
    lags = tuple(partition_lag(tp, committed.get(tp, NOTHING_COMMITTED), logs.get(tp)) for tp in sorted(partitions))
    return group, stage, lags


def _no_group(name: str, flow: Flow, kafka: KafkaPort) -> NotFound:
    try:
        known = {*kafka.groups(None), *(s.group for s in flow.stages)}
    except KcfixError:
        known = {s.group for s in flow.stages}
    like = difflib.get_close_matches(name, sorted(known), n=2, cutoff=0.75)
    return NotFound(
        f"Kafka knows no group {name!r}", hint=f"did you mean {' or '.join(like)}?" if like else "kcfix lag --all"
    )


def _chosen(choices: Sequence[TopicChoice], stage: Stage, existing: Mapping[str, Topic]) -> list[TopicPartition]:
    wanted = choices or [TopicChoice(t) for t in stage.topics if t in existing]
    found: dict[TopicPartition, None] = {}
    for choice in wanted:
        if choice.topic not in existing:
            like = difflib.get_close_matches(choice.topic, sorted(existing), n=2, cutoff=0.75)
            raise NotFound(
                f"there is no topic {choice.topic!r}",
                hint=f"did you mean {' or '.join(like)}?" if like else "kcfix topics",
            )
        there = {p.partition for p in existing[choice.topic].partitions}
        for number in choice.partitions or sorted(there):
            if number not in there:
                raise NotFound(f"topic {choice.topic} has no partition {number}: it has {len(there)}")
            found[TopicPartition(choice.topic, number)] = None
    if not found:
        raise NotFound(f"group {stage.group} reads no topic that exists", hint="kcfix topics")
    return list(found)


def read_moves(wish: Wish, sources: MoveSources) -> MovePlan:
    """The plan as the world is now. A system that does not answer about messages makes it one that does nothing.

    Raises:
        NotFound: there is no such group, topic, partition or payment. Unreachable: Kafka did not answer.
    """
    group, stage, lags = read_lags(wish.group, wish.topics, sources)
    unknown = tuple(f"{lag.partition}: {lag.error}" for lag in lags if lag.state is LagState.UNKNOWN)
    known = tuple(lag for lag in lags if lag.state is not LagState.UNKNOWN)
    if wish.only_unprotected:
        known = tuple(lag for lag in known if lag.unprotected)
    halted = cut_short(sources.runs(), wish.group)
    moves: tuple[Move, ...] = ()
    if not unknown:
        try:
            moves = _moves(wish, stage, known, halted, sources)
        except (Unreachable, Refused) as error:
            unknown = (error.message,)
    boxes, notes = _containers(stage, sources)
    running = None if boxes is None else names_of_running(boxes)
    checked = is_checked(stage)
    impossible = tuple(
        No(f"{m.partition}: {m.place.how}", "name an offset, or --to first-unsettled")
        for m in moves
        if m.place.impossible
    )
    return MovePlan(
        group=group,
        stage=stage,
        target=wish.target,
        moves=moves,
        checked=checked,
        refusals=(
            *impossible,
            *losses(
                moves,
                checked=checked,
                accept_unchecked=wish.accept_unchecked,
                passes_failing=wish.only_unprotected,
            ),
            *(in_the_way(group, running) if any(m.changes for m in moves) else ()),
        ),
        unknown=unknown,
        halted=tuple(h.text(lags) for h in halted),
        notes=notes,
        offsets_kept=_kept(sources.kafka()),
        stopped_at=_stopped_at(boxes),
    )


def _containers(stage: Stage, sources: MoveSources) -> tuple[tuple[Container, ...] | None, tuple[str, ...]]:
    """None, and why, where Docker did not answer or nothing says which containers belong to the group."""
    if stage.is_foreign:
        return None, ("the group is none of the flow: whether a container belongs to it is not known",)
    try:
        return sources.containers(stage.worker), ()
    except KcfixError as error:
        return None, (f"whether a container of {stage.worker} runs could not be looked at: {error.message}",)


STOPPED = (ContainerState.EXITED, ContainerState.CREATED, ContainerState.DEAD, ContainerState.REMOVING)
"""States from which a worker does not come back by itself: a paused one would go on committing where it was."""


def names_of_running(containers: Iterable[Container]) -> tuple[str, ...]:
    """Those that run, or would by themselves."""
    return tuple(c.name for c in containers if c.state not in STOPPED)


def _stopped_at(containers: Sequence[Container] | None) -> datetime | None:
    if not containers or names_of_running(containers):
        return None
    return max((c.finished_at for c in containers if c.finished_at is not None), default=None)


def _moves(
    wish: Wish, stage: Stage, lags: Sequence[PartitionLag], halted: Sequence[CutShort], sources: MoveSources
) -> tuple[Move, ...]:
    found = _find(wish, stage, lags, halted, sources)
    places = {lag.partition: place(wish.target, lag, found) for lag in lags}
    skipped = {tp: r for lag in lags if (r := _range(lag, places, skipped_range)) for tp in [lag.partition]}
    reread = {tp: r for lag in lags if (r := _range(lag, places, reread_range)) for tp in [lag.partition]}
    left_out = passages(
        list(skipped.values()), settlements(stage, skipped.values(), sources.kafka(), sources.database), wish.named
    )
    again = passages(
        list(reread.values()), settlements(stage, reread.values(), sources.kafka(), sources.database), wish.reread
    )
    return tuple(
        Move(
            lag,
            places[lag.partition],
            again.get(reread[lag.partition]) if lag.partition in reread else None,
            left_out.get(skipped[lag.partition]) if lag.partition in skipped else None,
        )
        for lag in lags
    )


def _range(
    lag: PartitionLag, places: Mapping[TopicPartition, Place], of: Callable[[PartitionLag, int], OffsetRange | None]
) -> OffsetRange | None:
    offset = places[lag.partition].offset
    # Nothing is left out or read again where the offset that stands is the one that is wanted.
    return of(lag, offset) if offset is not None and offset != lag.committed_offset else None


def _whole(lags: Iterable[PartitionLag]) -> list[OffsetRange]:
    return [
        OffsetRange(lag.partition, lag.log_start_offset, lag.log_end_offset)
        for lag in lags
        if lag.log_start_offset is not None and lag.log_end_offset is not None
    ]


def _find(
    wish: Wish, stage: Stage, lags: Sequence[PartitionLag], halted: Sequence[CutShort], sources: MoveSources
) -> Found:
    """What the kind of target needs read, and no more."""
    target, kafka = wish.target, sources.kafka()
    at_time: dict[TopicPartition, int] = {}
    of_payment: dict[TopicPartition, int] = {}
    behind: dict[TopicPartition, int] = {}
    first = {}
    if target.kind is TargetKind.TIME and target.time is not None:
        asked = {lag.partition: target.time for lag in lags}
        at_time = {tp: o for tp, o in kafka.offsets_for_time(asked).items() if o is not None}
    elif target.kind is TargetKind.PAYMENT and target.payment_id is not None:
        of_payment = _of_payment(target, lags, kafka)
    elif target.kind is TargetKind.FIRST_UNSETTLED:
        for log in _whole(lags):
            message = first_to_settle(stage, log, kafka, sources.database)
            if message is not None:
                first[log.partition] = message
    elif target.kind is TargetKind.BEHIND_NEXT:
        records = {lag.partition: next_record(kafka, lag) for lag in lags if lag.state is LagState.OK}
        behind = {tp: record.offset + 1 for tp, record in records.items() if record is not None}
    bases = shift_bases(halted, target, {lag.partition: lag.committed_offset for lag in lags})
    return Found(at_time, of_payment, first, behind, wish.in_file, bases)


def next_record(kafka: KafkaPort, lag: PartitionLag) -> Record | None:
    """The record that a group reads next on a protected partition; None where nothing waits."""
    if lag.committed_offset is None or lag.log_end_offset is None or lag.committed_offset >= lag.log_end_offset:
        return None
    return next(kafka.records([OffsetRange(lag.partition, lag.committed_offset, lag.log_end_offset)]), None)


def _of_payment(target: Target, lags: Sequence[PartitionLag], kafka: KafkaPort) -> dict[TopicPartition, int]:
    needle = str(target.payment_id).encode()
    result = kafka.search(_whole(lags), [needle, needle.upper()], anywhere=True)
    if result.failed:
        raise Unreachable("; ".join(f"{tp}: {why}" for tp, why in sorted(result.failed.items())), system="kafka")
    found: dict[TopicPartition, int] = {}
    for record in result.records:
        found.setdefault(TopicPartition(record.topic, record.partition), record.offset)
    if not found:
        raise NotFound(
            f"no message of payment {target.payment_id} is in the log", hint=f"kcfix trace {target.payment_id}"
        )
    return found


def _kept(kafka: KafkaPort) -> timedelta | None:
    try:
        return timedelta(minutes=int(kafka.broker_config()["offsets.retention.minutes"]))
    except (KcfixError, KeyError, ValueError, OverflowError):
        return None
