"""Containers as Docker describes them. Times are aware UTC; None is "not given" or "never"."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
STACK_LABEL = "com.docker.stack.namespace"
SWARM_LABEL = "com.docker.swarm.service.name"
NO_DOCKER = "Docker: there is none here"
"""How the error begins that says so where it is set."""
DRILL_LABEL = "io.kcfix.drill"
"""Carried by everything that the drill makes. Only discovery looks at it, to leave drills alone."""


class ContainerState(enum.StrEnum):
    """Docker's own states, plus UNKNOWN."""

    CREATED = "CREATED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    RESTARTING = "RESTARTING"
    REMOVING = "REMOVING"
    EXITED = "EXITED"
    DEAD = "DEAD"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Container:
    """One container, as `docker inspect` gives it."""

    id: str
    name: str
    """Without the leading slash."""
    image: str
    state: ContainerState
    health: str | None = None
    """starting, healthy, unhealthy; None where the container has no health check."""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    """Of the last exit; None while it has never exited."""
    oom_killed: bool = False
    restart_count: int = 0
    """Restarts by Docker since the container was made or last started by hand."""
    restart_policy: str = "no"
    labels: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Holds secrets: never print it."""
    networks: Mapping[str, str] = field(default_factory=dict)
    """Network name -> address of the container there ('' when it is not running)."""
    aliases: tuple[str, ...] = ()
    """Names under which others on its networks reach it: container name, service, aliases, short id."""
    created_at: datetime | None = None
    image_id: str | None = None
    """Of the image that it was made from, whatever the name stands for by now."""
    memory_limit_bytes: int | None = None
    """None: no limit of its own."""
    health_check: bool = False
    """Whether it has one."""
    host: str = ""
    """Address of its engine, where there are several; else empty."""
    published: Mapping[int, str] = field(default_factory=dict)
    """Container TCP port -> `host:port` on which the engine publishes it (wildcards turned into loopback)."""

    @property
    def project(self) -> str | None:
        """Compose project or stack of a swarm, None where it has no such label."""
        return self.labels.get(PROJECT_LABEL) or self.labels.get(STACK_LABEL)

    @property
    def service(self) -> str | None:
        """Service of Compose or of a swarm, without the stack's name; None where it has no such label."""
        of_swarm = self.swarm_service
        stack = self.labels.get(STACK_LABEL)
        bare = of_swarm.removeprefix(f"{stack}_") if of_swarm and stack else of_swarm
        return self.labels.get(SERVICE_LABEL) or bare

    @property
    def swarm_service(self) -> str | None:
        """The service of a swarm that it is a task of, by its whole name; None for any other container."""
        return self.labels.get(SWARM_LABEL)

    @property
    def place(self) -> str:
        """Its name, and on which host it is where there are several."""
        return f"{self.name} on {self.host}" if self.host and "@" not in self.name else self.name

    @property
    def drill(self) -> str | None:
        """Name of the drill that it belongs to, None for a container of a live system."""
        return self.labels.get(DRILL_LABEL) or None

    @property
    def running(self) -> bool:
        """Whether its process exists and can run (not paused, not between restarts)."""
        return self.state is ContainerState.RUNNING


@dataclass(frozen=True, slots=True)
class ContainerEvent:
    """Something that happened to a container, as the engine remembers it."""

    at: datetime
    container: str
    """Name."""
    action: str
    """start, die, kill, stop, oom, pause, unpause, create or destroy."""
    exit_code: int | None = None
    """Of a `die`."""
    signal: str | None = None
    """Of a `kill`, by number."""


class Stream(enum.StrEnum):
    """Which of a container's two outputs a line came from."""

    STDOUT = "stdout"
    STDERR = "stderr"


@dataclass(frozen=True, slots=True)
class RawLine:
    """One line of a container's log with Docker's own timestamp (the trusted clock, docs/system.md 4.1)."""

    container: str
    """Container name."""
    timestamp: datetime
    stream: Stream
    text: str
    """Undecodable bytes replaced; control characters still in it."""
