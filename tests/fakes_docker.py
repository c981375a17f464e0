"""A Docker engine in memory. The contract test (tests/contract/test_docker.py) keeps it honest."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from kcfix.core.ports.docker import Engine
from kcfix.core.workers import (
    PROJECT_LABEL,
    SERVICE_LABEL,
    Container,
    ContainerEvent,
    ContainerState,
    RawLine,
    Stream,
)
from kcfix.errors import KcfixError, NotFound

NOON = datetime(2026, 1, 7, 12, 0, tzinfo=UTC)


def container(
    service: str = "purchase-worker",
    *,
    name: str | None = None,
    project: str = "kc-backend",
    state: ContainerState = ContainerState.RUNNING,
    started_at: datetime | None = NOON,
    finished_at: datetime | None = None,
    exit_code: int | None = None,
    labels: dict[str, str] | None = None,
    environment: dict[str, str] | None = None,
    restart_count: int = 0,
    address: str = "172.18.0.5",
    published: dict[int, str] | None = None,
) -> Container:
    """A container of the Compose project as it looks in production."""
    name = name or f"kodingcaravan-{service}"
    live = state in (ContainerState.RUNNING, ContainerState.PAUSED)
    return Container(
        id=uuid.uuid5(uuid.NAMESPACE_OID, f"{project}/{name}").hex * 2,
        name=name,
        image="kc-backend-" + service,
        state=state,
        started_at=started_at,
        finished_at=finished_at,
        exit_code=exit_code,
        restart_count=restart_count,
        restart_policy="unless-stopped",
        labels={PROJECT_LABEL: project, SERVICE_LABEL: service} if labels is None else labels,
        environment={"NODE_ENV": "production", "SERVICE_NAME": service, "KAFKA_BROKERS": "kafka:9092"}
        if environment is None
        else environment,
        networks={"kodingcaravan-network": address if live else ""},
        aliases=tuple(sorted({name, service})),
        published=published or {},
    )


def line(container_name: str, at: datetime, text: str, stream: Stream = Stream.STDOUT) -> RawLine:
    """A line of a container's log."""
    return RawLine(container_name, at, stream, text)


@dataclass
class FakeDocker:
    """DockerPort in memory. Set `failure` and every call raises it."""

    boxes: dict[str, Container] = field(default_factory=dict)
    """By id."""
    lines: dict[str, list[RawLine]] = field(default_factory=dict)
    """By container name, in Docker's order."""
    clock: Callable[[], datetime] = lambda: NOON + timedelta(hours=1)
    failure: KcfixError | None = None
    silent_hosts: dict[str, str] = field(default_factory=dict)
    """Other engines that give no answer, with why."""
    failing_changes: KcfixError | None = None
    """Raised by stop, start and restart only; nothing is changed."""
    on_start: list[Callable[[Container], None]] = field(default_factory=list)
    """Told of each container after it was started, so that a test can let its worker join."""
    on_stop: list[Callable[[Container], None]] = field(default_factory=list)
    on_followed: list[Callable[[Container], None]] = field(default_factory=list)
    """Told when a followed log has come to its end, as if the container had stopped: may add lines or remove it."""
    unreadable: dict[str, KcfixError] = field(default_factory=dict)
    """By container name: raised in place of its log."""
    happened: list[ContainerEvent] = field(default_factory=list)
    """What the engine remembers, in any order; starts and stops by this fake are added."""
    images: dict[str, str] = field(default_factory=dict)
    """By name: the id of the image that it stands for now."""
    done: list[str] = field(default_factory=list)
    """The changes, e.g. `stop kodingcaravan-purchase-worker`."""
    closed: bool = False

    @classmethod
    def of(
        cls, containers: Iterable[Container], lines: Iterable[RawLine] = (), *, failure: KcfixError | None = None
    ) -> FakeDocker:
        """An engine with these containers and lines."""
        fake = cls({c.id: c for c in containers}, failure=failure)
        for one in lines:
            fake.lines.setdefault(one.container, []).append(one)
        return fake

    def engine(self) -> Engine:
        """Which engine it is."""
        self._answer()
        return Engine("20.10.24", "a-host", "unix:///var/run/docker.sock")

    def silent(self) -> Mapping[str, str]:
        return self.silent_hosts

    def containers(self) -> tuple[Container, ...]:
        self._answer()
        return tuple(sorted(self.boxes.values(), key=lambda c: (c.name, c.id)))

    def inspect(self, container_id: str) -> Container:
        self._answer()
        for box in self.boxes.values():
            if container_id in (box.id, box.name):
                return box
        raise NotFound(f"Docker has no such container: {container_id}")

    def logs(
        self,
        container_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        tail: int | None = None,
        follow: bool = False,
    ) -> Iterator[RawLine]:
        box = self.inspect(container_id)
        if box.name in self.unreadable:
            raise self.unreadable[box.name]
        wanted = [
            one
            for one in self.lines.get(box.name, ())
            if (since is None or one.timestamp >= since) and (until is None or one.timestamp <= until)
        ]
        yield from wanted if tail is None else wanted[max(0, len(wanted) - tail) :]
        for told in self.on_followed if follow else ():
            told(box)

    def now(self) -> datetime:
        self._answer()
        return self.clock()

    def events(self, since: datetime) -> tuple[ContainerEvent, ...]:
        self._answer()
        return tuple(sorted((e for e in self.happened if e.at >= since), key=lambda e: e.at))

    def image_ids(self, names: Collection[str]) -> Mapping[str, str]:
        self._answer()
        return {name: self.images[name] for name in sorted(set(names)) if name in self.images}

    def stop(self, container_id: str, *, grace: timedelta) -> None:
        box = self._change("stop", container_id)
        if box.state in (ContainerState.RUNNING, ContainerState.PAUSED, ContainerState.RESTARTING):
            self._stop(box)

    def start(self, container_id: str) -> None:
        box = self._change("start", container_id)
        if box.state is not ContainerState.RUNNING:
            self._start(box)

    def restart(self, container_id: str, *, grace: timedelta) -> None:
        box = self._change("restart", container_id)
        self._start(self._stop(box))

    def close(self) -> None:
        self.closed = True

    def _answer(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _change(self, what: str, container_id: str) -> Container:
        box = self.inspect(container_id)
        if self.failing_changes is not None:
            raise self.failing_changes
        self.done.append(f"{what} {box.name}")
        return box

    def _stop(self, box: Container) -> Container:
        stopped = replace(
            box,
            state=ContainerState.EXITED,
            finished_at=self.clock(),
            exit_code=0,
            networks=dict.fromkeys(box.networks, ""),
        )
        self.boxes[box.id] = stopped
        self.happened.append(ContainerEvent(self.clock(), box.name, "die", 0))
        for told in self.on_stop:
            told(stopped)
        return stopped

    def _start(self, box: Container) -> None:
        started = replace(
            box,
            state=ContainerState.RUNNING,
            started_at=self.clock(),
            exit_code=None,
            restart_count=0,
            networks=dict.fromkeys(box.networks, "172.18.0.5"),
        )
        self.boxes[box.id] = started
        self.happened.append(ContainerEvent(self.clock(), box.name, "start"))
        for told in self.on_start:
            told(started)
