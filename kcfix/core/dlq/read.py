"""Reads the dead letters, and what waits for the workers, into the store: a stream in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kcfix.core.dlq.letter import Letter, Place, letter_of
from kcfix.core.dlq.store import LetterStore, Waiting
from kcfix.core.dlq.subject import subjects
from kcfix.core.events import parse_dead_letter, parse_event
from kcfix.core.offsets import PartitionLag, TopicPartition
from kcfix.core.ports.kafka import KafkaPort, OffsetRange
from kcfix.core.restart.plan import GroupView
from kcfix.core.restart.read import group_view
from kcfix.errors import NotFound, Unreachable
from kcfix.flow import Flow, Stage

TOLD_EVERY = 20_000
"""Letters between two words of progress."""


def stage_of(flow: Flow, topic: str) -> Stage | None:
    """The worker that writes the dead letters of this topic; None where none does. cache-worker writes none."""
    return next((s for s in flow.stages if topic in s.topics and s.group != flow.cache_group), None)


@dataclass
class Mailbox:
    """The dead-letter topic as far as it was read into the store."""

    kafka: Callable[[], KafkaPort]
    flow: Flow
    store: LetterStore
    told: Callable[[int], None] = lambda letters: None
    letters: int = 0
    unreadable: int = 0
    """Records of the topic that are no dead letters."""
    failed: dict[TopicPartition, str] = field(default_factory=dict)
    """Partitions that were not read to their end, and why."""
    _next: dict[TopicPartition, int] = field(default_factory=dict)

    def read(self, since: datetime | None = None, until: datetime | None = None) -> None:
        """Read all that is retained, or was written between the two times by the broker's time index.

        Raises:
            Unreachable: Kafka does not answer. A single partition that can't be read is in `failed` instead.
            NotFound: there is no dead-letter topic.
        """
        for wanted in self._ranges(since, until):
            self._next[wanted.partition] = wanted.end
            self._read(wanted)

    def read_on(self) -> None:
        """Read what was written since. Raises Unreachable."""
        logs = self.kafka().log_offsets(self._next)
        for tp, log in logs.items():
            if log.log_end_offset is not None and log.log_end_offset > self._next[tp]:
                wanted = OffsetRange(tp, self._next[tp], log.log_end_offset)
                self._next[tp] = wanted.end
                self._read(wanted)

    def _ranges(self, since: datetime | None, until: datetime | None) -> Iterator[OffsetRange]:
        kafka, topic = self.kafka(), self.flow.dead_letters
        found = kafka.topics().get(topic)
        if found is None:
            raise NotFound(f"there is no topic {topic}", hint="kcfix topics")
        logs = kafka.log_offsets([TopicPartition(topic, p.partition) for p in found.partitions])
        broken = {
            tp: log.error or "its offsets are not known" for tp, log in logs.items() if log.log_end_offset is None
        }
        self.failed |= broken
        known = [tp for tp in logs if tp not in broken]
        first = kafka.offsets_for_time(dict.fromkeys(known, since)) if since else {}
        last = kafka.offsets_for_time(dict.fromkeys(known, until)) if until else {}
        for tp in known:
            start, end = logs[tp].log_start_offset or 0, logs[tp].log_end_offset or 0
            if since is not None:
                found_start = first.get(tp)
                start = end if found_start is None else found_start
            if until is not None and (stop := last.get(tp)) is not None:
                end = stop
            yield OffsetRange(tp, start, end)

    def _read(self, wanted: OffsetRange) -> None:
        if wanted.start >= wanted.end:
            return
        try:
            self.store.add(self._letters(wanted))
        except Unreachable as error:
            if error.system == "disk":
                raise
            self.failed[wanted.partition] = error.message

    def _letters(self, wanted: OffsetRange) -> Iterator[Letter]:
        for record in self.kafka().records([wanted]):
            found = parse_dead_letter(record)
            if found is None:
                self.unreadable += record.value is not None
                continue
            self.letters += 1
            if self.letters % TOLD_EVERY == 0:
                self.told(self.letters)
            yield letter_of(found)


@dataclass
class Backlog:
    """Where each worker is in its topics, and what lies before it: kept in the store by what it is about."""

    kafka: Callable[[], KafkaPort]
    store: LetterStore
    views: dict[str, GroupView] = field(default_factory=dict)
    """By the stage's short name."""
    _next: dict[TopicPartition, int] = field(default_factory=dict)

    def look(self, stages: Iterable[Stage]) -> None:
        """Read the groups' offsets, and the records from the committed offset on that were not read before.

        Only protected partitions: on another one nobody can say what will be read. Raises Unreachable.
        """
        for stage in stages:
            view = group_view(self.kafka(), stage)
            self.views[stage.name] = view
            for lag in view.lags:
                if lag.unprotected is not False or lag.committed_offset is None or lag.log_end_offset is None:
                    continue
                start = max(lag.committed_offset, self._next.get(lag.partition, 0))
                if start < lag.log_end_offset:
                    self.store.add_waiting(self._waiting(stage, OffsetRange(lag.partition, start, lag.log_end_offset)))
                self._next[lag.partition] = lag.log_end_offset

    def _waiting(self, stage: Stage, wanted: OffsetRange) -> Iterator[Waiting]:
        for record in self.kafka().records([wanted]):
            event = parse_event(record)
            if event is not None:
                place = Place(record.topic, record.partition, record.offset)
                yield from (Waiting(subject, place) for subject in subjects(stage, event))

    def lag(self, stage: Stage, partition: TopicPartition) -> PartitionLag | None:
        """The worker's group on this partition; None where there is no such partition."""
        view = self.views.get(stage.name)
        return next((p for p in view.lags if p.partition == partition), None) if view else None

    def still_waiting(self, stage: Stage, found: Mapping[str, Place]) -> dict[str, Place]:
        """Of the places those that lie at or past the committed offset of a protected partition."""
        return {
            subject: place
            for subject, place in found.items()
            if (lag := self.lag(stage, place.in_partition)) is not None
            and lag.unprotected is False
            and lag.committed_offset is not None
            and place.offset >= lag.committed_offset
        }
