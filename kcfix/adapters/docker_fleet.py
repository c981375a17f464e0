"""Several Docker engines as one: a container knows its host, and an engine that is silent hides only its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from kcfix.core.ports.docker import DockerPort, Engine
from kcfix.core.workers import Container, ContainerEvent, RawLine
from kcfix.errors import KcfixError, NotFound, Unreachable

T = TypeVar("T")


@dataclass(slots=True)
class _Member:
    """One engine of the fleet."""

    host: str
    open: Callable[[], DockerPort]
    port: DockerPort | None = None
    error: KcfixError | None = None
    names: dict[str, str] = field(default_factory=dict)
    """Container's own name -> the name under which it is shown, where another host has one of the same name."""

    def reached(self) -> DockerPort:
        """The engine. One that could not be opened is not tried again: a run asks a dead system once."""
        if self.error is not None:
            raise self.error
        if self.port is None:
            try:
                self.port = self.open()
            except KcfixError as error:
                self.error = error
                raise
        return self.port


class Fleet:
    """DockerPort over several engines, asked at the same time."""

    def __init__(self, members: Sequence[tuple[str, Callable[[], DockerPort]]]) -> None:
        self._members = tuple(_Member(host, open_) for host, open_ in members)
        self._home: dict[str, _Member] = {}
        """By id and by shown name of each container: the engine that it is on."""
        self._silent: dict[str, str] = {}

    def engine(self) -> Engine:
        found = self._each("asking which engines they are", lambda port: port.engine())
        names = ", ".join(engine.name for engine in found.values())
        addresses = ", ".join(engine.address for engine in found.values())
        return Engine("/".join(sorted({e.version for e in found.values()})), names, addresses)

    def silent(self) -> Mapping[str, str]:
        # A node of a swarm that its manager tells of is known where its own engine is among these.
        nodes: dict[str, str] = {}
        for member in self._members:
            with suppress(KcfixError):
                nodes |= member.reached().silent()
        if nodes:
            nodes = {n: told for n, told in nodes.items() if n not in self._names()}
        return {**self._silent, **nodes}

    def _names(self) -> frozenset[str]:
        """What the hosts of the engines that answer call themselves."""
        return frozenset(engine.name for engine in self._each("asking", lambda port: port.engine()).values())

    def containers(self) -> tuple[Container, ...]:
        found = self._each("listing the containers", lambda port: port.containers())
        often = Counter(c.name for those in found.values() for c in those)
        shown: list[Container] = []
        for member in self._members:
            for container in found.get(member.host, ()):
                if often[container.name] > 1:
                    member.names[container.name] = f"{container.name}@{member.host}"
                shown.append(self._placed(container, member))
        return tuple(sorted(shown, key=lambda c: (c.name, c.id)))

    def _placed(self, container: Container, member: _Member) -> Container:
        placed = replace(container, host=member.host, name=member.names.get(container.name, container.name))
        self._home |= {placed.id: member, placed.name: member}
        return placed

    def inspect(self, container_id: str) -> Container:
        member, port, bare = self._find(container_id)
        return self._placed(port.inspect(bare), member)

    def logs(
        self,
        container_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        tail: int | None = None,
        follow: bool = False,
    ) -> Iterator[RawLine]:
        member, port, bare = self._find(container_id)
        for line in port.logs(bare, since=since, until=until, tail=tail, follow=follow):
            yield replace(line, container=member.names.get(line.container, line.container))

    def now(self) -> datetime:
        # The earliest: what starts after it starts after it on every host, as far as their clocks agree.
        return min(self._each("asking for their clocks", lambda port: port.now()).values())

    def events(self, since: datetime) -> tuple[ContainerEvent, ...]:
        found = self._each("asking what happened to containers", lambda port: port.events(since))
        told = [
            replace(event, container=member.names.get(event.container, event.container))
            for member in self._members
            for event in found.get(member.host, ())
        ]
        return tuple(sorted(told, key=lambda event: event.at))

    def image_ids(self, names: Collection[str]) -> Mapping[str, str]:
        """Of the names that stand for the same on every host: hosts pull at different times."""
        found = list(self._each("inspecting images", lambda port: port.image_ids(names)).values())
        ids = {name: {those[name] for those in found if name in those} for name in names}
        return {name: next(iter(known)) for name, known in sorted(ids.items()) if len(known) == 1}

    def stop(self, container_id: str, *, grace: timedelta) -> None:
        _, port, bare = self._find(container_id)
        port.stop(bare, grace=grace)

    def start(self, container_id: str) -> None:
        _, port, bare = self._find(container_id)
        port.start(bare)

    def restart(self, container_id: str, *, grace: timedelta) -> None:
        _, port, bare = self._find(container_id)
        port.restart(bare, grace=grace)

    def close(self) -> None:
        for member in self._members:
            if member.port is not None:
                with suppress(KcfixError, OSError):
                    member.port.close()

    def _find(self, container_id: str) -> tuple[_Member, DockerPort, str]:
        """The engine that a container is on, and what it is called there.

        Raises:
            NotFound: no engine has it, and all have answered. Unreachable: one has not, and it may be there.
        """
        bare, _, host = container_id.partition("@")
        known = self._home.get(container_id)
        if known is not None:
            return known, known.reached(), bare
        silent: KcfixError | None = None
        for member in self._members:
            if host not in ("", member.host):
                continue
            try:
                port = member.reached()
                self._placed(port.inspect(bare), member)
            except NotFound:
                continue
            except KcfixError as error:
                silent = error
            else:
                return member, port, bare
        if silent is not None:
            raise silent
        raise NotFound(f"no Docker engine has such a container: {container_id}")

    def _each(self, doing: str, ask: Callable[[DockerPort], T]) -> dict[str, T]:
        """What each engine says, by host; those that are silent are kept apart.

        Raises:
            Unreachable: all are.
        """

        def asked(member: _Member) -> T:
            return ask(member.reached())

        with ThreadPoolExecutor(len(self._members), thread_name_prefix="docker host") as pool:
            futures = [pool.submit(partial(asked, member)) for member in self._members]
        found: dict[str, T] = {}
        for member, future in zip(self._members, futures, strict=True):
            error = future.exception()
            if error is None:
                found[member.host] = future.result()
                self._silent.pop(member.host, None)
            elif isinstance(error, KcfixError):
                self._silent[member.host] = error.message
            else:
                raise error
        if not found:
            raise Unreachable(f"{doing}: {'; '.join(self._silent.values())}", system="docker")
        return found
