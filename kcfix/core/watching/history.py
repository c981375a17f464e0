"""The last looks, in bounded memory: how fast records come and are committed, who stands still, and since when."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from kcfix.core.lag import GroupReport, LagRow
from kcfix.core.offsets import GroupState, LagState, TopicPartition
from kcfix.core.watching.observation import Observation
from kcfix.core.watching.progress import WINDOW, Evaluation, Point, Rates, evaluate, rates, total

KEPT = 240
"""Looks that are kept: two hours at one in thirty seconds."""

Place = tuple[str, TopicPartition]
"""A group and a partition."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What is kept of a look."""

    at: datetime
    points: Mapping[Place, Point] | None
    """Of each group on each of its partitions; one that could not be read is left out. None: Kafka was silent."""
    groups: frozenset[str]
    """All that the look spoke of, readable or not."""
    lags: Mapping[str, int]
    """Lag by group, as far as it is known of its partitions."""
    waiting: int | None
    """Payments that wait; None where that is unknown."""
    without_purchase: int | None


@dataclass(slots=True)
class History:
    """The last looks. `first` and `latest` are kept whole, the others as samples; one thread at a time adds."""

    kept: int = KEPT
    window: int = WINDOW
    """Looks that rates and evaluations rest on."""
    first: Observation | None = None
    latest: Observation | None = None
    looks: int = 0
    """How many were added in all."""
    _samples: deque[Sample] = field(default_factory=deque)
    _standing: dict[Place, tuple[int | None, datetime]] = field(default_factory=dict)
    """Where records wait: the commit, and since when it has been that."""
    _empty: dict[str, datetime] = field(default_factory=dict)

    def add(self, observation: Observation) -> None:
        """Take in a look; they come in time order."""
        sample = _sample(observation)
        self.first = self.first or observation
        self.latest = observation
        self.looks += 1
        self._samples.append(sample)
        while len(self._samples) > self.kept:
            self._samples.popleft()
        if sample.points is not None:
            self._standing = _still_standing(sample, self._standing)
            self._empty = {
                g.group.group_id: self._empty.get(g.group.group_id, _empty_since(observation, g))
                for g in observation.groups
                if g.group.state is GroupState.EMPTY
            }

    @property
    def samples(self) -> tuple[Sample, ...]:
        """What is kept of the last looks, oldest first."""
        return tuple(self._samples)

    # one partition, one group

    def evaluation(self, group: str, partition: TopicPartition) -> Evaluation:
        """How the group gets on with the partition, over the last looks."""
        return evaluate(self._window(group, partition), self.window)

    def rates(self, group: str, partition: TopicPartition | None = None) -> Rates:
        """The pace over the last looks: of one partition, or of the whole group.

        Of the group a number is None unless it is known of every partition, but for those in which there is nothing.
        """
        if partition is not None:
            return rates(self._window(group, partition))
        report = self._report(group)
        rows = report.rows if report is not None else ()
        return total([rates(self._window(group, row.lag.partition)) for row in rows if not _unused(row)])

    def staleness(self, group: str, partition: TopicPartition) -> timedelta | None:
        """How long records have waited there, at least, without a commit; 0 where nothing waits.

        None where it is unknown: no answer in the newest look, or nothing committed.
        """
        newest = self._samples[-1] if self._samples else None
        point = (newest.points or {}).get((group, partition)) if newest is not None else None
        if newest is None or point is None or point.lag is None:
            return None
        since = self._standing.get((group, partition))
        return timedelta(0) if since is None else newest.at - since[1]

    def expires_in(self, group: str) -> timedelta | None:
        """After how long, at most, Kafka forgets what an empty group committed.

        Counted from when it was first seen empty, or its last container had stopped, if that was earlier. None for a
        group with members, or where the broker's setting is not known.
        """
        report, since = self._report(group), self._empty.get(group)
        if report is None or report.offsets_kept is None or since is None or self.latest is None:
            return None
        return report.offsets_kept - (self.latest.taken_at - since)

    def _report(self, group: str) -> GroupReport | None:
        found = self.latest.groups if self.latest is not None else ()
        return next((g for g in found if g.group.group_id == group), None)

    def _window(self, group: str, partition: TopicPartition) -> Sequence[Point | None]:
        newest = list(self._samples)[-self.window :]
        return [(s.points or {}).get((group, partition)) for s in newest]

    # lines of a chart

    def lag_line(self, group: str, width: int) -> tuple[int | None, ...]:
        """The group's lag over all looks that are kept, in at most `width` points; None where it is unknown."""
        return _line(self.samples, lambda s: s.lags.get(group), width)

    def payments_line(self, width: int) -> tuple[int | None, ...]:
        """The same for the payments to which no purchase belongs."""
        return _line(self.samples, lambda s: s.without_purchase, width)


def retention_left(row: LagRow, now: datetime) -> timedelta | None:
    """Until retention may delete the oldest unread record; None where that is unknown, or nothing waits."""
    return row.deleted_at - now if row.deleted_at is not None else None


def _sample(observation: Observation) -> Sample:
    at, kafka, payments = observation.taken_at, observation.kafka.value, observation.payments.value
    readable = [g for g in observation.groups if g.readable]
    return Sample(
        at=at,
        points=None if kafka is None else {place: point for g in readable for place, point in _points(g, at)},
        groups=frozenset(g.group.group_id for g in observation.groups),
        lags={g.group.group_id: g.lag.known_lag_records for g in readable},
        waiting=None if payments is None else payments.count,
        without_purchase=None if payments is None else payments.without_purchase,
    )


def _points(group: GroupReport, at: datetime) -> Iterator[tuple[Place, Point]]:
    for row in group.rows:
        lag = row.lag
        if lag.error is None:
            point = Point(at, lag.committed_offset, lag.log_end_offset, lag.lag_records, _held(group, row))
            yield (group.group.group_id, lag.partition), point


def _held(group: GroupReport, row: LagRow) -> bool | None:
    if not group.group.members_known or group.group.is_rebalancing:
        return None
    return row.member is not None


def _still_standing(
    sample: Sample, before: Mapping[Place, tuple[int | None, datetime]]
) -> dict[Place, tuple[int | None, datetime]]:
    """Where records wait: the commit and since when it is that. What this look could not read is as it was."""
    points = sample.points or {}
    found = {place: was for place, was in before.items() if place not in points and place[0] in sample.groups}
    for place, point in points.items():
        if point.lag:
            was = before.get(place)
            found[place] = was if was is not None and was[0] == point.committed else (point.committed, point.at)
    return found


def _unused(row: LagRow) -> bool:
    """Whether nothing was committed there, and nothing is there to be read."""
    return row.lag.state is LagState.UNCOMMITTED and row.lag.retained_records == 0


def _empty_since(observation: Observation, group: GroupReport) -> datetime:
    """Since when the group has had no member, at the latest."""
    worker = next((w for w in observation.workers if w.stage.group == group.group.group_id), None)
    boxes = worker.containers if worker is not None else None
    if not boxes or any(c.running or c.finished_at is None for c in boxes):
        return observation.taken_at
    return min(observation.taken_at, max(c.finished_at for c in boxes if c.finished_at is not None))


def _line(samples: Sequence[Sample], value: Callable[[Sample], int | None], width: int) -> tuple[int | None, ...]:
    """Stretches of the looks, each as the largest value in it, for a peak must not be lost."""
    if not samples or width < 1:
        return ()
    width = min(width, len(samples))
    edges = [len(samples) * n // width for n in range(width + 1)]
    stretches = [samples[start:end] for start, end in pairwise(edges)]
    return tuple(max((v for s in stretch if (v := value(s)) is not None), default=None) for stretch in stretches)
