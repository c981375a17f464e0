"""Where a group stands: on each partition the record it reads next, what comes of it, and what it has passed by."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from kcfix.core.doctor.heads import failures_at, head_needles
from kcfix.core.events import DeadLetter, Record, parse_dead_letter, parse_event
from kcfix.core.judging.windows import since
from kcfix.core.logs.entry import LogEntry
from kcfix.core.move.passage import Named, Passage, passages
from kcfix.core.move.read import MoveSources, TopicChoice, next_record, read_lags
from kcfix.core.move.settlement import Settlement, judged, settlements
from kcfix.core.offsets import Group, LagState, PartitionLag, TopicPartition
from kcfix.core.ports.kafka import KafkaPort, OffsetRange
from kcfix.errors import KcfixError, Refused, Unreachable
from kcfix.flow import Stage

LOOKED_UP = 20
"""Passed messages of a partition whose dead letters and log lines are looked for."""
BEFORE = timedelta(minutes=10)
"""Before the oldest of them was written: clocks differ."""
Lines = Callable[[str], Iterable[LogEntry]]


@dataclass(frozen=True, slots=True)
class Standing:
    """One partition of a group."""

    lag: PartitionLag
    record: Record | None = None
    """The one that the group reads next; None: nothing waits, or no committed offset says which."""
    event_type: str | None = None
    message: Settlement | None = None
    """What its worker would do with `record` now; None: nothing waits, or that can't be told."""
    passed: Passage | None = None
    """Of an unprotected partition: all its retained messages, which a start at latest would pass, or has passed."""
    failures: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """By offset, what was seen to fail there: dead letters, then log lines. Missing: nothing was seen."""
    error: str | None = None
    """Why the messages of this partition could not be judged."""

    @property
    def partition(self) -> TopicPartition:
        return self.lag.partition

    def failures_of(self, offset: int) -> tuple[str, ...]:
        """What was seen to fail at this offset, the newest last; empty: nothing was seen."""
        return self.failures.get(offset, ())

    @property
    def stuck(self) -> bool:
        """Whether the worker fails, or would fail, on the record that it reads next."""
        if self.record is None:
            return False
        return bool(self.failures_of(self.record.offset)) or (self.message is not None and self.message.stops)


@dataclass(frozen=True, slots=True)
class GroupStanding:
    """One look at a group."""

    group: Group
    stage: Stage
    partitions: tuple[Standing, ...]
    """Sorted."""
    unread: tuple[str, ...] = ()
    """Why dead letters or log lines could not be read; empty: they were."""


def read_standing(group: str, topics: Sequence[TopicChoice], sources: MoveSources, lines: Lines) -> GroupStanding:
    """Where this group stands. `lines`: the newest log lines of a worker, by its Compose service name.

    Raises:
        NotFound: there is no such group, topic or partition. Unreachable: Kafka did not answer.
    """
    found, stage, lags = read_lags(group, topics, sources)
    kafka = sources.kafka()
    looked = [_look(lag, stage, kafka, sources) for lag in lags]
    wanted = {(s.partition, offset) for s in looked for offset in _looked_up(s)}
    letters, no_letters = _letters(wanted, looked, kafka, sources)
    entries, no_lines = _lines(stage, lines) if wanted else ((), None)
    at = failures_at(letters, entries)
    partitions = tuple(
        replace(s, failures={o: tuple(at[s.partition, o]) for o in _looked_up(s) if (s.partition, o) in at})
        for s in looked
    )
    return GroupStanding(found, stage, partitions, tuple(t for t in (no_letters, no_lines) if t is not None))


def _look(lag: PartitionLag, stage: Stage, kafka: KafkaPort, sources: MoveSources) -> Standing:
    if lag.state is LagState.UNKNOWN:
        return Standing(lag, error=lag.error)
    try:
        return _passed(lag, stage, kafka, sources) if lag.unprotected else _next(lag, stage, kafka, sources)
    except (Unreachable, Refused) as error:
        return Standing(lag, error=error.message)


def _next(lag: PartitionLag, stage: Stage, kafka: KafkaPort, sources: MoveSources) -> Standing:
    record = next_record(kafka, lag)
    if record is None:
        return Standing(lag)
    event = parse_event(record)
    standing = Standing(lag, record, event.type if event else None)
    try:
        return replace(standing, message=next(judged(stage, [record], sources.database)))
    except (Unreachable, Refused) as error:
        return replace(standing, error=error.message)


def _passed(lag: PartitionLag, stage: Stage, kafka: KafkaPort, sources: MoveSources) -> Standing:
    assert lag.log_start_offset is not None  # noqa: S101  its state is known
    assert lag.log_end_offset is not None  # noqa: S101
    log = OffsetRange(lag.partition, lag.log_start_offset, lag.log_end_offset)
    return Standing(lag, passed=passages([log], settlements(stage, [log], kafka, sources.database), Named())[log])


def _looked_up(standing: Standing) -> tuple[int, ...]:
    if standing.record is not None:
        return (standing.record.offset,)
    if standing.passed is not None:
        return tuple(s.offset for s in standing.passed.unsettled[:LOOKED_UP])
    return ()


def _letters(
    wanted: Collection[tuple[TopicPartition, int]], looked: Iterable[Standing], kafka: KafkaPort, sources: MoveSources
) -> tuple[list[DeadLetter], str | None]:
    """Dead letters of these places, by a bounded search; and why they could not all be read."""
    topic = sources.flow.dead_letters
    times = [t for s in looked for t in _written(s)]
    if not wanted or not times:
        return [], None
    try:
        there = kafka.topics().get(topic)
        if there is None:
            return [], None
        logs = kafka.log_offsets([TopicPartition(topic, p.partition) for p in there.partitions])
        found = kafka.search(
            since(kafka, logs, min(times) - BEFORE), head_needles({o for _, o in wanted}), anywhere=True
        )
    except Unreachable as error:
        return [], f"dead letters: {error.message}"
    letters = [d for d in map(parse_dead_letter, found.records) if d is not None]
    return letters, f"dead letters: {next(iter(found.failed.values()))}" if found.failed else None


def _written(standing: Standing) -> Iterator[datetime]:
    """When the messages that are looked up were written."""
    messages = standing.passed.unsettled[:LOOKED_UP] if standing.passed is not None else ()
    times = [standing.record.timestamp] if standing.record is not None else [m.written_at for m in messages]
    return (t for t in times if t is not None)


def _lines(stage: Stage, lines: Lines) -> tuple[tuple[LogEntry, ...], str | None]:
    if not stage.worker:
        return (), None
    try:
        return tuple(lines(stage.worker)), None
    except KcfixError as error:
        return (), f"the log of {stage.worker}: {error.message}"
