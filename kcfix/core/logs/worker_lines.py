"""The newest lines of a worker's containers, understood and in the order of time."""

from __future__ import annotations

from collections.abc import Iterable

from kcfix.core.logs.entry import LogEntry
from kcfix.core.logs.parse import parse
from kcfix.core.ports.docker import DockerPort
from kcfix.core.workers import Container

NEWEST = 2000
"""Lines read of each container: enough for the last start of a busy worker, and little enough for one look."""


def newest_lines(docker: DockerPort, containers: Iterable[Container], *, newest: int = NEWEST) -> tuple[LogEntry, ...]:
    """The newest lines of these containers, whether they run or not. Raises Unreachable."""
    entries = [parse(line) for c in containers for line in docker.logs(c.id, tail=newest)]
    return tuple(sorted(entries, key=lambda e: e.timestamp))
