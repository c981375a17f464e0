"""Docker for the drill: make, find and remove containers, and refuse any that is not the drill's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import docker
import docker.errors
import requests
from docker.models.containers import Container
from docker.types import Mount

from kcfix.drill.state import LABEL, Drill
from kcfix.errors import AccessDenied, NotFound, Refused, Unreachable

TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Bind:
    """A folder or file of the host, seen read-only in a container."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Spec:
    """A container as it is to be made."""

    service: str
    image: str
    command: tuple[str, ...]
    user: str
    environment: Mapping[str, str] = field(default_factory=dict)
    binds: tuple[Bind, ...] = ()
    volume: tuple[str, str] | None = None
    """Name of a volume and where it is mounted."""
    port: tuple[int, int] | None = None
    """Port inside and the port on 127.0.0.1 under which it is published."""
    labels: Mapping[str, str] = field(default_factory=dict)
    restart: str = "no"
    """Docker's restart policy."""
    working_dir: str = "/"
    health: tuple[str, ...] = ()
    """Command of the health check; empty for none."""
    memory_bytes: int | None = None
    """Docker's memory limit, swap included; None for none."""


class Engine:
    """The Docker Engine, asked only about what belongs to one drill."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client

    @property
    def client(self) -> docker.DockerClient:
        """The library's client, for what this class has no words for; mind the label."""
        return self._client

    def close(self) -> None:
        """Give the sockets back."""
        self._client.close()

    def containers(self, name: str) -> list[Container]:
        """The containers of a drill, stopped ones included, by name."""
        with translated("listing the drill's containers"):
            found = self._client.containers.list(all=True, filters={"label": f"{LABEL}={name}"}, ignore_removed=True)
        return sorted(found, key=lambda c: str(c.name))

    def container(self, drill: Drill, service: str) -> Container:
        """The container of a service.

        Raises:
            NotFound: there is none.
            Refused: there is one of that name which is not the drill's. Nothing was changed.
        """
        name = drill.container(service)
        with translated(f"looking at container {name}"):
            try:
                found = self._client.containers.get(name)
            except docker.errors.NotFound:
                raise NotFound(f"there is no container {name}") from None
        if (found.labels or {}).get(LABEL) != drill.name:
            raise Refused(f"container {name} does not belong to the drill {drill.name!r}: left alone")
        return found

    def create(self, drill: Drill, spec: Spec) -> Container:
        """Make a container of the drill and start it.

        Raises:
            Refused: the name is taken by a container of someone else.
            Unreachable: the engine did not do it.
        """
        name = drill.container(spec.service)
        mounts = [Mount(b.target, b.source, type="bind", read_only=True) for b in spec.binds]
        if spec.volume:
            volume, target = spec.volume
            mounts.append(Mount(target, volume, type="volume", labels=drill.labels))
        endpoint = self._client.api.create_endpoint_config(aliases=[spec.service])
        with translated(f"making container {name}"):
            try:
                made = self._client.containers.create(
                    spec.image,
                    list(spec.command),
                    name=name,
                    hostname=None,
                    entrypoint=[],
                    user=spec.user,
                    environment=dict(spec.environment),
                    mounts=mounts,
                    ports={f"{spec.port[0]}/tcp": ("127.0.0.1", spec.port[1])} if spec.port else {},
                    labels=dict(spec.labels) | drill.labels,
                    restart_policy=cast("Any", {"Name": spec.restart}),
                    network=drill.network,
                    networking_config={drill.network: endpoint},
                    working_dir=spec.working_dir,
                    log_config=docker.types.LogConfig(type="json-file", config={}),
                    stop_signal="SIGTERM",
                    healthcheck=_health(spec),
                    mem_limit=cast("Any", spec.memory_bytes),
                    memswap_limit=cast("Any", spec.memory_bytes),
                    init=False,
                    detach=True,
                )
            except docker.errors.APIError as error:
                if error.status_code == 409:
                    raise Refused(f"the name {name} is taken by another container: {error.explanation}") from error
                raise
            made.start()
        return made

    def start(self, drill: Drill, service: str) -> None:
        """Start the service's container; one that runs is left running."""
        container = self.container(drill, service)
        with translated(f"starting {container.name}"):
            container.start()

    def stop(self, drill: Drill, service: str, *, grace_seconds: int = 10) -> None:
        """Stop the service's container: SIGTERM, then SIGKILL after the grace time."""
        container = self.container(drill, service)
        with translated(f"stopping {container.name}"):
            container.stop(timeout=grace_seconds)

    def kill(self, drill: Drill, service: str) -> None:
        """SIGKILL to the service's container."""
        container = self.container(drill, service)
        with translated(f"killing {container.name}"):
            container.kill()

    def remove(self, drill: Drill, service: str) -> None:
        """Remove the service's container, running or not; none there is well too."""
        try:
            container = self.container(drill, service)
        except NotFound:
            return
        with translated(f"removing {container.name}"):
            _gone(lambda: container.remove(force=True, v=True))

    def make_network(self, drill: Drill) -> None:
        """Make the drill's bridge network."""
        with translated(f"making network {drill.network}"):
            self._client.networks.create(drill.network, driver="bridge", labels=drill.labels, check_duplicate=True)

    def make_volume(self, drill: Drill, service: str) -> None:
        """Make the volume of a service's data."""
        with translated(f"making volume {drill.volume(service)}"):
            self._client.volumes.create(drill.volume(service), labels=drill.labels)

    def remove_all(self, name: str, progress: Callable[[str], None] = lambda _: None) -> list[str]:
        """Remove every container, network and volume with the drill's label; the names of what was removed, sorted.

        Raises:
            Unreachable: the engine did not answer, or could not remove one; the rest may be gone. Run it again.
        """
        removed: list[str] = []
        for container in self.containers(name):
            progress(f"removing {container.name}")
            with translated(f"removing container {container.name}"):
                _gone(lambda c=container: c.remove(force=True, v=True))
            removed.append(str(container.name))
        with translated("removing the drill's networks and volumes"):
            for network in self._client.networks.list(filters={"label": f"{LABEL}={name}"}):
                _gone(network.remove)
                removed.append(str(network.name))
            for volume in self._client.volumes.list(filters={"label": f"{LABEL}={name}"}):
                _gone(lambda v=volume: v.remove(force=True))
                removed.append(str(volume.name))
        return sorted(removed)

    def drills(self) -> tuple[str, ...]:
        """Names of all drills of which the engine still has anything, sorted."""
        with translated("looking for drills"):
            things: list[Mapping[str, str]] = [
                c.labels or {}
                for c in self._client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
            ]
            things += [n.attrs.get("Labels") or {} for n in self._client.networks.list(filters={"label": LABEL})]
            things += [v.attrs.get("Labels") or {} for v in self._client.volumes.list(filters={"label": LABEL})]
        return tuple(sorted({labels[LABEL] for labels in things if LABEL in labels}))


def _health(spec: Spec) -> dict[str, Any] | None:
    if not spec.health:
        return None
    second = 1_000_000_000
    return {
        "test": ["CMD", *spec.health],
        "interval": 10 * second,
        "timeout": 10 * second,
        "retries": 5,
        "start_period": 60 * second,
    }


@contextmanager
def connected() -> Iterator[Engine]:
    """The Docker Engine that the environment names, closed again at the end.

    Raises:
        Unreachable: no engine answers.
        AccessDenied: it does not let this user in.
    """
    with translated("reaching the Docker Engine"):
        client = docker.from_env(timeout=TIMEOUT_SECONDS)
    engine = Engine(client)
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn the library's errors into kcfix's, with what was being done."""
    try:
        yield
    except docker.errors.APIError as error:
        raise Unreachable(
            f"{doing}: the Docker Engine answered: {error.explanation or error}", system="docker"
        ) from error
    except (docker.errors.DockerException, requests.RequestException) as error:
        if "Permission denied" in str(error):
            raise AccessDenied(
                f"{doing}: no right to use the Docker socket", system="docker", hint="run as root or join group docker"
            ) from error
        raise Unreachable(
            f"{doing}: the Docker Engine does not answer",
            system="docker",
            hint="make setup starts one on Debian or Ubuntu",
        ) from error


def _gone(remove: Any) -> None:
    """Call a removal; what is not there any more, or is being removed already, is well."""
    try:
        remove()
    except docker.errors.NotFound:
        return
    except docker.errors.APIError as error:
        if error.status_code != 409 or "already in progress" not in str(error.explanation):
            raise
