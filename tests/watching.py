"""A system on fakes that is looked at again and again, with a clock that a test moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta

from kcfix.core.offsets import TopicPartition
from kcfix.core.setup.discovery import discover
from kcfix.core.watching.history import History
from kcfix.core.watching.observation import Observation
from kcfix.core.watching.observe import Observer, Places
from kcfix.core.workers import Stream
from tests.conftest import NOW
from tests.fakes_docker import line
from tests.system import FLOW, System

PURCHASE = [TopicPartition(FLOW.purchase_confirmed, p) for p in range(3)]


class Watched(System):
    """A well system, its clock, an observer and the history of its looks."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.observer = Observer(self.places())
        self.history = History()

    def places(self) -> Places:
        """The fakes."""
        return Places(
            flow=FLOW,
            kafka=lambda: self.kafka,
            docker=lambda: self.docker,
            discovery=lambda: discover(FLOW, self.docker.containers()),
            database=lambda: self.database,
            words=dict,
            now=lambda: self.now,
            overdue=timedelta(seconds=60),
            deadline=20.0,
        )

    def look(self, after: timedelta = timedelta(0)) -> Observation:
        """The next look, so much later."""
        self.now += after
        self.database.now = self.kafka.now = self.now
        seen = self.observer.look()
        self.history.add(seen)
        return seen

    def looks(self, count: int, every: timedelta, between: Callable[[int], None] = lambda n: None) -> Observation:
        """Several looks; what happens before each is told by its number."""
        seen = None
        for n in range(count):
            between(n)
            seen = self.look(every)
        assert seen is not None
        return seen

    def commit(self, offset: int, partition: int = 0) -> None:
        """The purchase group commits."""
        self.kafka.commit_as_worker(FLOW.purchase_group, {PURCHASE[partition]: offset})

    def put(self, count: int = 1, at: datetime | None = None) -> None:
        """Records come into the first partition of the purchase group's topic."""
        for _ in range(count):
            self.kafka.put(FLOW.purchase_confirmed, partition=0, at=at or self.now)

    def complain(self, text: str, worker: str = "purchase-worker", at: datetime | None = None) -> None:
        """The worker logs an error."""
        name = f"kodingcaravan-{worker}"
        raw = json.dumps({"level": "error", "message": text})
        self.docker.lines.setdefault(name, []).append(line(name, at or self.now, raw, Stream.STDERR))
