"""What changed while a system was watched: what turned into what, when, and how far each number has come since.

What a look could not read neither changes anything nor begins anew: it stays what it was last known to be.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from kcfix.core.times import format_duration
from kcfix.core.watching.observation import Observation, System, restarts
from kcfix.core.workers import Container

KEPT = 200
"""Changes that are kept, the newest."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is not as it was at the look before."""

    at: datetime
    """Of the look that saw it first."""
    text: str
    worse: bool | None = None
    """Whether it is for the worse; None where that can't be said."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A number, when it was first known and now."""

    name: str
    first: int
    now: int


@dataclass(slots=True)
class Watched:
    """What is known so far. Memory does not grow with the looks."""

    began: datetime | None = None
    silent_since: dict[System, datetime] = field(default_factory=dict)
    """The systems that are silent now, since the first look that had no answer."""
    _changes: deque[Change] = field(default_factory=lambda: deque(maxlen=KEPT))
    _states: dict[str, str] = field(default_factory=dict)
    _first: dict[str, int] = field(default_factory=dict)
    _now: dict[str, int] = field(default_factory=dict)
    _errors: int = 0

    def add(self, seen: Observation) -> tuple[Change, ...]:
        """Take in a look; what has changed in it, in words."""
        self.began = self.began or seen.taken_at
        found = [*self._systems(seen), *self._turned(seen), *self._stepped(seen)]
        self._changes.extend(found)
        for name, value in _numbers(seen):
            self._first.setdefault(name, value)
            self._now[name] = value
        self._errors += sum(log.value.fresh or 0 for log in seen.logs.values() if log.value is not None)
        return tuple(found)

    @property
    def changes(self) -> tuple[Change, ...]:
        """The newest, oldest first."""
        return tuple(self._changes)

    @property
    def moved(self) -> tuple[Moved, ...]:
        """Numbers that are others now than when they were first known."""
        return tuple(
            Moved(name, first, self._now[name]) for name, first in self._first.items() if self._now[name] != first
        )

    def last_known(self, name: str) -> int | None:
        """A number as it was when it was last known; None where it never was."""
        return self._now.get(name)

    @property
    def error_lines(self) -> int:
        """Error lines that were written since it began, as far as the logs could be read."""
        return self._errors

    def _systems(self, seen: Observation) -> Iterator[Change]:
        silent = seen.silent
        for system in System:
            since = self.silent_since.get(system)
            if system in silent and since is None:
                self.silent_since[system] = seen.taken_at
                yield Change(seen.taken_at, f"{system} does not answer: {silent[system]}", worse=True)
            elif system not in silent and since is not None:
                del self.silent_since[system]
                after = format_duration(seen.taken_at - since)
                yield Change(seen.taken_at, f"{system} answers again, after {after}", worse=False)

    def _turned(self, seen: Observation) -> Iterator[Change]:
        """States that are other words now. An unknown one is no state."""
        for name, state, known in _states(seen):
            before = self._states.get(name)
            if not known:
                continue
            self._states[name] = state
            if before is not None and before != state:
                yield Change(seen.taken_at, f"{name}: {before} -> {state}", worse=_WORSE.get(state))

    def _stepped(self, seen: Observation) -> Iterator[Change]:
        """Numbers that go by steps and each of whose steps is news; lag and its like move all the time."""
        for name, value in _numbers(seen):
            before = self._now.get(name)
            if before is not None and value != before and name.startswith(_NEWS):
                yield Change(seen.taken_at, f"{name}: {before} -> {value}", worse=value > before)


_WORSE = {
    **dict.fromkeys(("WORKING", "IDLE", "STABLE", "RUNNING"), False),
    **dict.fromkeys(("NOT_WORKING", "EMPTY", "DEAD", "NOT_FOUND", "EXITED", "RESTARTING", "PAUSED", "none"), True),
}
"""States to have come to which is for the better or for the worse; what is not here may be either."""
_NEWS = ("restarts of", "dead letters", "payments without")


def _states(seen: Observation) -> Iterator[tuple[str, str, bool]]:
    """Name, state, and whether it is known."""
    for worker in seen.workers:
        state = str(worker.work.state)
        yield worker.stage.worker, state, state != "UNKNOWN"
        if worker.containers is not None:
            yield f"containers of {worker.stage.worker}", _boxes(worker.containers), True
    for group in seen.groups:
        yield f"group {group.group.group_id}", str(group.group.state), group.readable


def _boxes(containers: Iterable[Container]) -> str:
    return ", ".join(sorted(str(c.state) for c in containers)) or "none"


def _numbers(seen: Observation) -> Iterator[tuple[str, int]]:
    """What is a number and known in this look."""
    for worker in seen.workers:
        count = restarts(worker)
        if count is not None:
            yield f"restarts of {worker.stage.worker}", count
    for group in seen.groups:
        if group.readable and group.lag.unknown_partitions == 0:
            yield f"lag of {group.group.group_id}", group.lag.known_lag_records
    if seen.payments.value is not None:
        yield "payments without a purchase", seen.payments.value.without_purchase
    if (end := seen.dead_letters_end) is not None:
        yield "dead letters written", end
