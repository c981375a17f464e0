"""What `docker inspect` says, as a Container."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from kcfix.core.workers import SERVICE_LABEL, Container, ContainerEvent, ContainerState

T = TypeVar("T")

_TIME = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)T(?P<time>\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d+))?(?P<zone>Z|[+-]\d\d:\d\d)"
)
_NEVER = 1
"""Docker writes "never" as the first moment of year 1."""
_DIGITS = 10
"""An exit code has fewer."""
_WILDCARDS = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, not bound to
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def shaped(make: Callable[[], T]) -> T:
    """What is made of an answer.

    Raises:
        ValueError: the answer has not the shape of Docker's.
    """
    try:
        return make()
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError) as error:
        raise ValueError(f"an answer of another shape ({error!r})") from error


def docker_time(text: object) -> datetime | None:
    """A time as Docker writes it, aware UTC, nanoseconds cut to microseconds; None for "never" and for no time.

    >>> docker_time("2026-11-23T11:39:52.661000999Z").isoformat()
    '2026-11-23T11:39:52.661000+00:00'
    >>> docker_time("0001-01-01T00:00:00Z") is None
    True
    """
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    fraction = (match["fraction"] or "0")[:6].ljust(6, "0")
    zone = "+00:00" if match["zone"] == "Z" else match["zone"]
    try:
        time = datetime.fromisoformat(f"{match['date']}T{match['time']}.{fraction}{zone}")
        return None if time.year == _NEVER else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def container_of(facts: Mapping[str, Any], engine_host: str | None) -> Container:
    """The container that an inspect describes.

    `engine_host` is the host of an engine that is reached by TCP, None for a local socket: it decides where a
    published port is reached.

    Raises:
        ValueError, AttributeError, TypeError, OverflowError: what is described is no container (see `shaped`).
    """
    state = facts.get("State") or {}
    config = facts.get("Config") or {}
    host_config = facts.get("HostConfig") or {}
    network = facts.get("NetworkSettings") or {}
    networks = network.get("Networks") or {}
    name = str(facts.get("Name", "")).lstrip("/")
    status = _state(state.get("Status"))
    labels = {str(k): str(v) for k, v in (config.get("Labels") or {}).items()}
    finished = docker_time(state.get("FinishedAt"))
    # Docker sets the exit code back to 0 when it starts a container, so a live one has none to tell.
    live = status in (ContainerState.RUNNING, ContainerState.PAUSED)
    health = (state.get("Health") or {}).get("Status")
    return Container(
        id=str(facts.get("Id", "")),
        name=name,
        image=str(config.get("Image", "")),
        state=status,
        health=str(health) if health and health != "none" else None,
        started_at=docker_time(state.get("StartedAt")),
        finished_at=finished,
        exit_code=None if live or finished is None else int(state.get("ExitCode") or 0),
        oom_killed=bool(state.get("OOMKilled")),
        restart_count=int(facts.get("RestartCount") or 0),
        restart_policy=str((host_config.get("RestartPolicy") or {}).get("Name") or "no"),
        labels=labels,
        environment=dict(_split(entry) for entry in config.get("Env") or ()),
        networks={str(n): str((at or {}).get("IPAddress") or "") for n, at in sorted(networks.items())},
        aliases=_aliases(name, str(facts.get("Id", "")), labels.get(SERVICE_LABEL), networks.values()),
        created_at=docker_time(facts.get("Created")),
        image_id=str(facts.get("Image") or "") or None,
        memory_limit_bytes=int(host_config.get("Memory") or 0) or None,
        health_check=_has_health_check(config.get("Healthcheck")),
        published=_published(network.get("Ports") or {}, engine_host),
    )


def _state(status: object) -> ContainerState:
    try:
        return ContainerState(str(status).upper())
    except ValueError:
        return ContainerState.UNKNOWN


def _has_health_check(configured: Any) -> bool:
    test = (configured or {}).get("Test") or ["NONE"]
    return bool(test) and test[0] != "NONE"


EVENTS = ("create", "start", "die", "kill", "stop", "oom", "pause", "unpause", "destroy")


def event_of(facts: Mapping[str, Any]) -> ContainerEvent | None:
    """The event that the engine tells of; None for one that is of no interest."""
    action = str(facts.get("Action") or facts.get("status") or "")
    nanoseconds = facts.get("timeNano")
    if action not in EVENTS or not isinstance(nanoseconds, int):
        return None
    attributes = (facts.get("Actor") or {}).get("Attributes") or {}
    code = str(attributes.get("exitCode", ""))
    return ContainerEvent(
        at=datetime.fromtimestamp(nanoseconds / 1e9, UTC),
        container=_lasting_name(attributes),
        action=action,
        exit_code=int(code) if code.isdecimal() and len(code) < _DIGITS else None,
        signal=str(attributes["signal"]) if "signal" in attributes else None,
    )


def _lasting_name(attributes: Mapping[str, Any]) -> str:
    """The container's name; for a task of a swarm without the task's own id (see `docker_swarm`)."""
    task = str(attributes.get("com.docker.swarm.task.name", ""))
    return task.rpartition(".")[0] if task else str(attributes.get("name", ""))


def _split(entry: object) -> tuple[str, str]:
    name, _, value = str(entry).partition("=")
    return name, value


def _aliases(name: str, container_id: str, service: str | None, networks: Iterable[Any]) -> tuple[str, ...]:
    names = {name, container_id[:12], service or ""}
    for at in networks:
        names.update(str(alias) for alias in (at or {}).get("Aliases") or ())
        names.update(str(alias) for alias in (at or {}).get("DNSNames") or ())
    return tuple(sorted(names - {""}))


def _published(ports: Mapping[str, Any], engine_host: str | None) -> dict[int, str]:
    published: dict[int, str] = {}
    for port, bindings in sorted(ports.items()):
        number, _, protocol = port.partition("/")
        if protocol != "tcp" or not number.isdecimal():
            continue
        for binding in bindings or ():
            address = _reachable(str(binding.get("HostIp") or ""), engine_host)
            if address is not None and binding.get("HostPort"):
                published.setdefault(int(number), f"{address}:{binding['HostPort']}")
    return published


def _reachable(bound_to: str, engine_host: str | None) -> str | None:
    """Where a port bound to this address is reached from here; None where it can't be."""
    local = engine_host is None or engine_host in _LOOPBACK
    if bound_to in _WILDCARDS:
        return "127.0.0.1" if local else engine_host
    if bound_to in _LOOPBACK and not local:
        return None
    return f"[{bound_to}]" if ":" in bound_to else bound_to
