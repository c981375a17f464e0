"""The Docker engine, through its SDK."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import requests
from docker import APIClient
from docker.types import CancellableStream

from kcfix.adapters.docker_client import AT_ONCE, client_of, connected, knock, pinned, raise_for_status
from kcfix.adapters.docker_context import Tls
from kcfix.adapters.docker_deadline import paced, within
from kcfix.adapters.docker_errors import LIBRARY_ERRORS, changing, reading
from kcfix.adapters.docker_inspect import EVENTS, container_of, docker_time, event_of, shaped
from kcfix.adapters.docker_log import exactly, framed_lines, frames, terminal_lines
from kcfix.adapters.docker_ssh import Tunnel
from kcfix.adapters.docker_swarm import Swarm, is_replica
from kcfix.core.ports.docker import DockerPort, Engine
from kcfix.core.workers import Container, ContainerEvent, RawLine
from kcfix.errors import KcfixError, NotFound, Unreachable

_DEFAULT_SOCKET = "unix:///var/run/docker.sock"
_CHANGE_DEADLINE = 30.0
"""Least deadline of a change, in seconds: giving up early leaves the operator with an unknown outcome."""

T = TypeVar("T")


def open_docker(
    host: str | None, timeout: float, environment: Mapping[str, str] | None = None, *, tls: Tls | None = None
) -> DockerPort:
    """The engine at `host` (a Docker URL; None: DOCKER_HOST of the environment, else the local socket).

    `timeout` is the deadline of every call in seconds. For a TCP host `tls` holds, else DOCKER_TLS_VERIFY and
    DOCKER_CERT_PATH of the environment. DOCKER_API_VERSION of the environment pins the API, which is otherwise the
    newest that engine and library both know. One small request is made, so that an engine that is not there fails here.

    Raises:
        Unreachable: no socket, nothing listens, or no answer in time.
        AccessDenied: no right to use the socket.
        UsageError: the host can't be understood.
    """
    environment = environment or {}
    url = host or environment.get("DOCKER_HOST") or _DEFAULT_SOCKET
    if not url.startswith("ssh://"):
        return _opened(url, url, timeout, environment, tls=tls)
    tunnel = Tunnel(url, timeout)
    try:
        return _opened(url, tunnel.url, timeout, pinned(environment), tunnel)
    except BaseException:
        tunnel.close()
        raise


def _opened(
    url: str,
    reached: str,
    timeout: float,
    environment: Mapping[str, str],
    tunnel: Tunnel | None = None,
    tls: Tls | None = None,
) -> DockerPort:
    client, options = connected(url, reached, timeout, environment, tls)
    return _Docker(client, url, reached, options, tunnel)


class _Docker:
    """DockerPort over one APIClient. Safe for several threads: the library's connection pool is."""

    def __init__(
        self, client: APIClient, url: str, reached: str, options: Mapping[str, Any], tunnel: Tunnel | None
    ) -> None:
        self._client = client
        self._url = url
        self._reached = reached
        self._tunnel = tunnel
        self._options = options
        self._timeout = float(options["timeout"])
        parts = urlsplit(url)
        self._engine_host = parts.hostname if parts.scheme in ("tcp", "http", "https", "ssh") else None
        self._swarm = Swarm(client)
        self._streams: set[CancellableStream[Any]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def engine(self) -> Engine:
        told = self._read("asking which engine it is", self._client.info)
        return Engine(str(told.get("ServerVersion") or "unknown"), str(told.get("Name") or ""), self._url)

    def silent(self) -> Mapping[str, str]:
        return self._read("asking where the swarm's tasks are", self._swarm.elsewhere)

    def containers(self) -> tuple[Container, ...]:
        deadline = time.monotonic() + self._timeout
        ids = self._read("listing the containers", lambda: [str(c["Id"]) for c in self._client.containers(all=True)])
        pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="docker")
        try:
            futures = [pool.submit(self._inspect_if_there, container_id) for container_id in ids]
            wait_for(futures, timeout=max(0.0, deadline - time.monotonic()))
            found = [self._in_time(future, container_id) for future, container_id in zip(futures, ids, strict=True)]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        there = [c for c in found if c is not None]
        current = self._read("reading the tasks of the swarm", lambda: self._swarm.resolved(there))
        return tuple(sorted(current, key=lambda c: (c.name, c.id)))

    def _in_time(self, future: Future[Container | None], container_id: str) -> Container | None:
        if not future.done():
            raise Unreachable(
                f"Docker at {self._url} did not answer within {self._timeout:g} s "
                f"(inspecting container {container_id[:12]})",
                system="docker",
                hint="that container may hang: docker inspect " + container_id[:12],
            )
        return future.result()

    def _inspect_if_there(self, container_id: str) -> Container | None:
        try:
            return self.inspect(container_id)
        except NotFound:
            return None  # It was removed after it was listed.

    def inspect(self, container_id: str) -> Container:
        doing = f"inspecting container {container_id[:12]}"
        bare = self._behind(container_id)
        if bare is None:
            replica = self._read(doing, lambda: self._swarm.parked_replica(container_id))
            if replica is not None:
                return replica
            bare = container_id
        found = self._read(doing, lambda: container_of(self._client.inspect_container(bare), self._engine_host))
        if bare == container_id:
            return found
        return replace(found, id=container_id, name=container_id, restart_policy="swarm any")

    def _behind(self, container_id: str) -> str | None:
        """The container that stands behind a replica of a swarm now, None where none does; else the id itself."""
        if not is_replica(container_id):
            return container_id
        doing = f"looking for the task of {container_id}"
        found = self._read(doing, lambda: self._swarm.container_of(container_id))
        if found is None and self._read(doing, lambda: self._swarm.service_of(container_id)) is None:
            return container_id
        return found

    def now(self) -> datetime:
        text = self._read("asking for its clock", lambda: self._client.info().get("SystemTime"))
        clock = docker_time(text)
        if clock is None:
            raise Unreachable(f"Docker at {self._url} gave no time: {text!r}", system="docker")
        return clock

    def logs(
        self,
        container_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        tail: int | None = None,
        follow: bool = False,
    ) -> Iterator[RawLine]:
        # The engine counts the tail before it looks at `until`: the newest lines would all be too young.
        own_tail = tail if until is not None and not follow else None
        lines = self._log(container_id, since, until, None if own_tail is not None else tail, follow)
        return lines if own_tail is None else _last(lines, own_tail)

    def _log(
        self, container_id: str, since: datetime | None, until: datetime | None, tail: int | None, follow: bool
    ) -> Iterator[RawLine]:
        doing = f"reading the log of container {container_id[:12]}"
        bare = self._behind(container_id) or container_id
        name, terminal = self._read(doing, lambda: _name_and_terminal(self._client.inspect_container(bare)))
        if bare != container_id and is_replica(container_id):
            name = container_id
        parameters = {
            "stdout": 1,
            "stderr": 1,
            "timestamps": 1,
            "follow": int(follow),
            "tail": "all" if tail is None else max(0, tail),
            **({"since": _stamp(since)} if since else {}),
            # Docker counts nanoseconds: without them it would leave out lines of that very microsecond.
            **({"until": _stamp(until) + "999"} if until else {}),
        }
        # A container that is followed may be silent for ever, and the engine answers only with its first line.
        timeout = (self._timeout, None) if follow else self._timeout
        path = f"{self._client.base_url}/v{self._client.api_version}/containers/{quote(bare)}/logs"

        def ask() -> requests.Response:
            response = self._client.get(path, params=parameters, stream=True, timeout=timeout)
            raise_for_status(response)
            return response

        response = self._read(doing, ask, patient=follow)
        stream: CancellableStream[Any] = CancellableStream(iter(()), response)
        with self._lock:
            self._streams.add(stream)
        chunks: Iterator[bytes] = response.iter_content(None)
        if not follow:
            chunks = paced(chunks, self._timeout, partial(_cancel, stream))
        try:
            if terminal:
                yield from terminal_lines(name, chunks)
            else:
                yield from framed_lines(name, frames(exactly(chunks)))
        except LIBRARY_ERRORS as error:
            if not self._closed:
                raise reading(error, self._url, doing, self._timeout) from error
        finally:
            with self._lock:
                self._streams.discard(stream)
            _cancel(stream)

    def events(self, since: datetime) -> tuple[ContainerEvent, ...]:
        def ask() -> list[ContainerEvent]:
            # Until now: the engine would otherwise go on telling what happens.
            until = datetime.now(UTC)
            wanted = {"type": ["container"], "event": list(EVENTS)}
            span: dict[str, Any] = {"since": _stamp(since), "until": _stamp(until)}
            stream = self._client.events(**span, filters=wanted, decode=True)
            return [event for facts in stream if (event := event_of(facts)) is not None]

        found = self._read("asking what happened to containers", ask)
        return tuple(sorted(found, key=lambda event: event.at))

    def image_ids(self, names: Collection[str]) -> Mapping[str, str]:
        found = {}
        for name in sorted(set(names)):
            try:
                found[name] = self._read(f"inspecting image {name}", partial(self._image_id, name))
            except NotFound:
                continue
        return found

    def _image_id(self, name: str) -> str:
        return str(self._client.inspect_image(name)["Id"])  # type: ignore[no-untyped-call]

    def stop(self, container_id: str, *, grace: timedelta) -> None:
        seconds = round(grace.total_seconds())
        if self._is_swarms(container_id):
            self._of_service(
                f"scaling the service of {container_id} down", seconds, self._swarm.scale_down, container_id
            )
            return
        doing = f"stopping container {container_id[:12]}"
        self._change(doing, seconds, lambda client: client.stop(container_id, timeout=seconds))

    def _is_swarms(self, container_id: str) -> bool:
        doing = f"looking for the service of {container_id}"
        return is_replica(container_id) and self._read(doing, lambda: self._swarm.service_of(container_id)) is not None

    def _of_service(
        self, doing: str, grace: int, change: Callable[[str, APIClient, Callable[[], float]], None], name: str
    ) -> None:
        end = time.monotonic() + max(self._timeout, _CHANGE_DEADLINE) + grace
        self._change(doing, grace, lambda client: change(name, client, lambda: end - time.monotonic()))

    def start(self, container_id: str) -> None:
        if self._is_swarms(container_id):
            self._of_service(f"scaling the service of {container_id} up", 0, self._swarm.scale_up, container_id)
            return
        self._change(f"starting container {container_id[:12]}", 0, lambda client: client.start(container_id))

    def restart(self, container_id: str, *, grace: timedelta) -> None:
        seconds = round(grace.total_seconds())
        if self._is_swarms(container_id):
            self._of_service(f"updating the service of {container_id}", seconds, self._swarm.force, container_id)
            return
        doing = f"restarting container {container_id[:12]}"
        self._change(doing, seconds, lambda client: client.restart(container_id, timeout=seconds))

    def close(self) -> None:
        self._closed = True
        with self._lock:
            streams = tuple(self._streams)
        for stream in streams:
            _cancel(stream)
        self._client.close()
        if self._tunnel is not None:
            self._tunnel.close()

    def _read(self, doing: str, call: Callable[[], T], *, patient: bool = False) -> T:
        """What the call gives, within the deadline; a patient one may wait for ever."""
        try:
            return call() if patient else within(self._timeout, partial(shaped, call))
        except KcfixError:
            raise
        except LIBRARY_ERRORS as error:
            raise reading(error, self._url, doing, self._timeout) from error

    def _change(self, doing: str, grace_seconds: int, call: Callable[[APIClient], object]) -> None:
        deadline = max(self._timeout, _CHANGE_DEADLINE)
        try:
            knock(self._reached, self._timeout)
            with contextlib.closing(client_of({**self._options, "timeout": deadline})) as client:
                within(deadline + grace_seconds, lambda: call(client))  # The library adds the grace, too.
        except LIBRARY_ERRORS as error:
            raise changing(error, self._url, doing, deadline + grace_seconds) from error


def _name_and_terminal(facts: Mapping[str, Any]) -> tuple[str, bool]:
    return str(facts["Name"]).lstrip("/"), bool((facts.get("Config") or {}).get("Tty"))


def _stamp(time: datetime) -> str:
    """The time as the engine wants it: seconds since the epoch, to the microsecond."""
    return f"{time.timestamp():.6f}"


def _last(lines: Iterator[RawLine], count: int) -> Iterator[RawLine]:
    yield from deque(lines, maxlen=max(0, count))


def _cancel(stream: CancellableStream[Any]) -> None:
    """Closes a log stream, also under another thread that waits for its next line."""
    with contextlib.suppress(*LIBRARY_ERRORS, AttributeError):
        stream.close()
