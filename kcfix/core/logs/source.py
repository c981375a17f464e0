"""The log of one container as entries: what is there, and what comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from kcfix.core.logs.entry import LogEntry
from kcfix.core.logs.parse import parse_all
from kcfix.core.ports.docker import DockerPort
from kcfix.core.workers import Container, RawLine
from kcfix.errors import NotFound

AGAIN = timedelta(seconds=1)
"""How often a container that has stopped is looked at, to go on with its log once it runs again."""
GONE = timedelta(seconds=20)
"""A container that was removed for this long is not coming back."""


def read(
    docker: DockerPort,
    container: Container,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    tail: int | None = None,
) -> Iterator[LogEntry]:
    """The entries that are there now, in Docker's order; `since` and `until` are both included."""
    return parse_all(docker.logs(container.id, since=since, until=until, tail=tail))


def follow(
    docker: DockerPort, container: Container, *, since: datetime, seen: int, sleep: Callable[[float], None]
) -> Iterator[LogEntry]:
    """The entries after `since`, as they come, over restarts of the container and under a container of the same name.

    `seen` is how many lines of exactly that time are known already; they are left out. Ends when the container was
    removed and none of its name came in its place.
    """
    return parse_all(_lines(docker, container.name, since, seen, sleep))


def _lines(
    docker: DockerPort, name: str, since: datetime, seen: int, sleep: Callable[[float], None]
) -> Iterator[RawLine]:
    gone = timedelta(0)
    while gone < GONE:
        skip = seen
        try:
            for line in docker.logs(name, since=since, follow=True):
                gone = timedelta(0)
                if line.timestamp <= since and skip:
                    skip -= 1
                    continue
                if line.timestamp > since:
                    since, seen = line.timestamp, 1
                elif line.timestamp == since:
                    seen += 1
                yield line
            _wait_until_it_runs(docker, name, sleep)
        except NotFound:
            gone += AGAIN
            sleep(AGAIN.total_seconds())


def _wait_until_it_runs(docker: DockerPort, name: str, sleep: Callable[[float], None]) -> None:
    """Waits for its next start. Raises NotFound when it was removed."""
    while True:
        sleep(AGAIN.total_seconds())
        if docker.inspect(name).running:
            return
