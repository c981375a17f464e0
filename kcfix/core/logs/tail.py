"""The newest lines of containers, read again and again: each time only what is new."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from kcfix.core.logs.entry import LogEntry
from kcfix.core.logs.parse import parse
from kcfix.core.ports.docker import DockerPort
from kcfix.core.workers import Container

KEPT = 1000
"""Lines of a container that are read and kept at most: enough for its last start, and bounded."""


@dataclass(slots=True)
class _Tail:
    entries: deque[LogEntry]
    last: datetime | None = None
    """Time of the newest line."""
    at_last: int = 0
    """How many lines of exactly that time were read."""


@dataclass(slots=True)
class LogTail:
    """Lines of the containers that were asked for last; memory grows with these and not with time."""

    kept: int = KEPT
    _tails: dict[str, _Tail] = field(default_factory=dict)

    def read(
        self, docker: DockerPort, containers: Collection[Container]
    ) -> tuple[tuple[LogEntry, ...], tuple[LogEntry, ...]]:
        """The newest lines of these containers, and those of them that were not there before; both in time order.

        Raises:
            Unreachable: Docker did not answer. NotFound: a container was removed meanwhile.
        """
        new: list[LogEntry] = []
        for container in containers:
            new += self._more(docker, container)
        known = [entry for c in containers for entry in self._tails[c.id].entries]
        return tuple(sorted(known, key=_time)), tuple(sorted(new, key=_time))

    def keep_only(self, containers: Collection[Container]) -> None:
        """Forget every other container."""
        ids = {c.id for c in containers}
        self._tails = {i: tail for i, tail in self._tails.items() if i in ids}

    def _more(self, docker: DockerPort, container: Container) -> list[LogEntry]:
        tail = self._tails.setdefault(container.id, _Tail(deque(maxlen=self.kept)))
        since, skip = tail.last, tail.at_last
        new = []
        for line in docker.logs(container.id, since=since, tail=self.kept):
            if since is not None and line.timestamp < since:
                continue
            if line.timestamp == since and skip:
                skip -= 1
                continue
            if tail.last == line.timestamp:
                tail.at_last += 1
            else:
                tail.last, tail.at_last = line.timestamp, 1
            entry = parse(line)
            tail.entries.append(entry)
            new.append(entry)
        return new


def _time(entry: LogEntry) -> datetime:
    return entry.timestamp
