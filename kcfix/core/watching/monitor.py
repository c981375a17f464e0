"""The state of a monitor: the newest look, what was counted since it began, and what a health check is told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kcfix.core.watching.history import History
from kcfix.core.watching.metrics import Counters, families
from kcfix.core.watching.metrics_kinds import Family
from kcfix.core.watching.observation import Observation
from kcfix.core.working.worker import WorkState

MISSED_LOOKS = 3
"""A newest look that is older than so many intervals, and the deadline of one, is no longer taken for the present."""


@dataclass(frozen=True, slots=True)
class Health:
    """The answer to a health check."""

    well: bool
    words: str
    """One line."""


@dataclass(frozen=True, slots=True)
class Published:
    """What one look left to be served. It is never changed, so that a scrape needs no lock and waits for nobody."""

    taken_at: datetime | None
    """Of the newest look; None before the first one is over."""
    observation: Observation | None
    families: tuple[Family, ...]


@dataclass(slots=True)
class Monitor:
    """Takes in the looks, one thread at a time, and publishes what they say."""

    version: str
    interval: timedelta
    deadline: timedelta
    """How long a look may take."""
    history: History = field(default_factory=History)
    published: Published = field(init=False)
    _looks: int = 0
    _failed: int = 0
    _errors: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Before the first look only the monitor itself is known."""
        self.published = self._publish(None, 0)

    def add(self, observation: Observation, kafka_requests: int) -> None:
        """Take in a look. `kafka_requests` were sent to the brokers since the monitor began."""
        self.history.add(observation)
        self._looks += 1
        self._failed += bool(observation.silent)
        for worker, log in observation.logs.items():
            if log.value is not None and log.value.fresh is not None:
                self._errors[worker] += log.value.fresh
        self.published = self._publish(observation, kafka_requests)

    def _publish(self, observation: Observation | None, requests: int) -> Published:
        counters = Counters(self._looks, self._failed, requests, dict(self._errors))
        found = families(self.history, counters, self.version, self.interval.total_seconds())
        return Published(observation.taken_at if observation is not None else None, observation, found)

    def health(self, now: datetime) -> Health:
        """Whether the monitor itself does its work; a silent system does not make it ill."""
        stale = self._stale(self.published, now)
        if stale is not None:
            return stale
        seen = self.published.observation
        silent = ", ".join(seen.silent) if seen is not None else ""
        return Health(True, f"looking; no answer from {silent}" if silent else "looking; every system answers")

    def worker_health(self, name: str, now: datetime) -> Health | None:
        """Whether a worker is working: WORKING, or IDLE because nothing waits for it. None: there is no such worker."""
        published = self.published
        stale = self._stale(published, now)
        seen = published.observation
        if seen is None:
            return stale
        stage = seen.flow.stage_of_worker(name)
        if stage is None:
            return None
        if stale is not None:
            return stale
        worker = seen.worker(name)
        if worker is None:
            return Health(False, f"{stage.worker}: there is no trace of it")
        well = worker.work.state in (WorkState.WORKING, WorkState.IDLE)
        return Health(well, f"{stage.worker}: {worker.work.summary}: {'; '.join(worker.work.reasons)}")

    def _stale(self, published: Published, now: datetime) -> Health | None:
        if published.taken_at is None:
            return Health(False, "no look is over yet")
        age = now - published.taken_at
        if age > MISSED_LOOKS * self.interval + self.deadline:
            return Health(False, f"the newest look is {age.total_seconds():.0f} s old")
        return None
