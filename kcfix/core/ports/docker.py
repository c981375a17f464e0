"""What the core asks of the Docker Engine."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from kcfix.core.workers import Container, ContainerEvent, RawLine


@dataclass(frozen=True, slots=True)
class Engine:
    """The Docker engine that answered."""

    version: str
    """Its release, e.g. 20.10.24."""
    name: str
    """Of the host that it runs on."""
    address: str
    """The URL by which it was reached."""


class DockerPort(Protocol):
    """The Docker engine."""

    def engine(self) -> Engine:
        """Which engine it is."""

    def silent(self) -> Mapping[str, str]:
        """Where there are several engines: those that gave no answer so far, by address, with why.

        What runs on them is unknown. Empty for a single one, which raises.
        """

    def containers(self) -> tuple[Container, ...]:
        """All containers, running or not, inspected, sorted by name. Those of drills are among them."""

    def inspect(self, container_id: str) -> Container:
        """One container as it is now. Raises NotFound."""

    def logs(
        self,
        container_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        tail: int | None = None,
        follow: bool = False,
    ) -> Iterator[RawLine]:
        """Lines in Docker's order. `follow` goes on until the container stops or the caller does."""

    def now(self) -> datetime:
        """The engine's clock (`docker info`'s SystemTime)."""

    def events(self, since: datetime) -> tuple[ContainerEvent, ...]:
        """What happened to containers since then, oldest first, as far as the engine remembers: a few hundred events.

        Only starts and ends, kills, pauses, and out-of-memory.
        """

    def image_ids(self, names: Collection[str]) -> Mapping[str, str]:
        """The id of the image that each name stands for now; a name that stands for none is left out."""

    # changes

    def stop(self, container_id: str, *, grace: timedelta) -> None:
        """SIGTERM, then SIGKILL after the grace. Raises OutcomeUnknown when the engine did not answer in time."""

    def start(self, container_id: str) -> None:
        """Start a stopped container. Raises Refused with the engine's reason, OutcomeUnknown without an answer."""

    def restart(self, container_id: str, *, grace: timedelta) -> None:
        """Stop and start in one call of the engine."""

    def close(self) -> None:
        """Close every connection."""
