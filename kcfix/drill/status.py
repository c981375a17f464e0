"""What there is of a drill now."""

from __future__ import annotations

from dataclasses import dataclass

from kcfix.drill.engine import connected
from kcfix.drill.state import DEFAULT_NAME, Drill, checked_name, find
from kcfix.errors import NotFound


@dataclass(frozen=True, slots=True)
class Part:
    """One container of a drill as the engine shows it."""

    service: str
    container: str
    state: str
    """Docker's word (running, exited, restarting, …), or `missing` where there is no container."""
    exit_code: int | None
    """Of the last run; None while it runs, or where there is no container."""
    restarts: int | None
    """How often Docker has started it again; None where there is no container."""
    port: int | None
    """Port on 127.0.0.1 under which it is published; None for a worker."""

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self.state == "running"


@dataclass(frozen=True, slots=True)
class Status:
    """A drill and its containers, in the order brokers, database, workers."""

    drill: Drill
    parts: tuple[Part, ...]


def status(name: str = DEFAULT_NAME) -> Status:
    """The drill of that name and the state of its containers.

    Raises:
        NotFound: there is no drill of that name, or only remains of one that broke off.
        Unreachable: the Docker Engine did not answer.
    """
    drill = find(checked_name(name))
    option = "" if name == DEFAULT_NAME else f" --name {name}"
    with connected() as engine:
        if drill is None or not drill.ready:
            if drill is not None or name in engine.drills():
                raise NotFound(f"of the drill {name!r} only remains are there", hint=f"kcfix drill down{option}")
            raise NotFound(f"there is no drill {name!r}", hint=f"kcfix drill up{option}")
        found = {str(c.name): c.attrs for c in engine.containers(name)}
    ports = {drill.container(service): port for service, port in drill.kafka_ports.items()}
    ports[drill.container("postgres")] = drill.postgres_port
    parts = []
    for service in drill.services:
        container = drill.container(service)
        attrs = found.get(container)
        state = attrs["State"] if attrs else {}
        running = bool(state.get("Running"))
        parts.append(
            Part(
                service=service,
                container=container,
                state=str(state.get("Status", "unknown")) if attrs else "missing",
                exit_code=None if running or not attrs else int(state.get("ExitCode", 0)),
                restarts=int(attrs.get("RestartCount", 0)) if attrs else None,
                port=ports.get(container),
            )
        )
    return Status(drill, tuple(parts))


def names() -> tuple[str, ...]:
    """Names of all drills of which the Docker Engine has anything, whole or not, sorted."""
    with connected() as engine:
        return engine.drills()
