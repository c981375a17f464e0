"""Names of a live system for the shell's completion: soon, or those of a little while ago, or none; never an error."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from kcfix import __version__
from kcfix.adapters.errand import errand
from kcfix.adapters.name_cache import Kept, NameCache
from kcfix.settings.files import xdg

if TYPE_CHECKING:
    from kcfix.services.services import Services

WAIT_SECONDS = 0.05
"""How long is waited for the first sign that a system is there."""
WAIT_IF_UP_SECONDS = 1.0
KNOCK_SECONDS = 0.5
ASKED_FOR = timedelta(seconds=2)
SAFE = re.compile(r"[A-Za-z0-9._:@%+/=-]{1,249}")
"""Names that mean nothing to a shell: others are not offered, for they come from outside and would be put on a line."""

Names = Mapping[str, Sequence[str]]
Fetch = Callable[["Services", Callable[[], None]], Names]
"""Asks for the names, and calls the function that it is given once the system was seen to be there. May raise."""


@dataclass(frozen=True, slots=True)
class Source:
    """A system that knows names."""

    system: str
    fetch: Fetch


def names(services: Services, source: Source, kind: str, wait: float = WAIT_SECONDS) -> tuple[str, ...]:
    """The names of that kind which the source gives, as far as they can be had now.

    Without a sign that the system is there `wait` seconds are waited.
    """
    key = f"{source.system} {_where(services)}"
    cache = NameCache(xdg(services.environ, "XDG_CACHE_HOME", ".cache") / "kcfix" / "names")
    kept, now = cache.read(key), time.time()
    if kept.fresh(now):
        return _safe(kept.usable(now), kind)

    def work(up: Callable[[], None]) -> bytes:
        # Said before it is tried, so that a system that hangs is not asked at every key.
        cache.write(key, Kept(kept.names, now, kept.named_at))
        services.settings = replace(services.settings, timeout=ASKED_FOR, connect_timeout=ASKED_FOR)
        found = {k: list(v) for k, v in source.fetch(services, up).items()}
        cache.write(key, Kept(found, time.time(), time.time()))
        return json.dumps(found).encode()

    told = errand(work, wait=wait, wait_if_up=max(wait, WAIT_IF_UP_SECONDS))
    if told:
        return _safe(json.loads(told), kind)
    return _safe(kept.usable(now), kind)


def _safe(found: Names, kind: str) -> tuple[str, ...]:
    return tuple(name for name in found.get(kind, ()) if SAFE.fullmatch(name) and not name.startswith("-"))


def _where(services: Services) -> str:
    """What tells one system from another; a secret in it is hashed with the rest and not kept."""
    s = services.settings
    return repr(
        (
            __version__,
            s.context,
            s.brokers,
            sorted(s.address_map.items()),
            s.project,
            s.docker_host,
            s.docker_context,
            s.journal,
        )
    )


def _kafka_names(services: Services, up: Callable[[], None]) -> Names:
    if services.settings.brokers and _knock(services):
        up()
    kafka = services.kafka
    return {"groups": sorted(kafka.groups()), "topics": sorted(n for n, t in kafka.topics().items() if not t.internal)}


def _knock(services: Services) -> bool:
    """Whether a broker says a word at once. Only where its address is known without asking Docker.

    A connection alone is no sign, since Docker takes connections for a dead broker; with TLS it has to do.

    Raises:
        OSError: it is known, and nobody is there.
    """
    mapped = services.settings.address_map
    tls = "SSL" in str(services.settings.kafka.get("security_protocol", ""))
    for broker in services.settings.brokers:
        host, _, port = mapped.get(broker, broker).rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS) as connection:
                if tls or _speaks(connection, _API_VERSIONS):
                    return True
        except socket.gaierror:
            return False  # Docker may know the name.
        except OSError:
            if broker == services.settings.brokers[-1]:
                raise
    return False


_API_VERSIONS = bytes.fromhex("0000000a 0012 0000 00000001 ffff")
"""The one request that every broker answers to anybody: what it can do (Kafka protocol, ApiVersions version 0)."""
_PING = b"GET /_ping HTTP/1.0\r\n\r\n"


def _speaks(connection: socket.socket, request: bytes) -> bool:
    try:
        connection.sendall(request)
        return connection.recv(1) != b""
    except TimeoutError:  # slow, or dead: its names are asked for all the same, and are there for a later key
        return False


def _docker_names(services: Services, up: Callable[[], None]) -> Names:
    host = services.settings.docker_host or services.settings.docker_context
    path = (host or "unix:///var/run/docker.sock").removeprefix("unix://")
    try:
        if path.startswith("/"):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(KNOCK_SECONDS)
                probe.connect(path)
                if _speaks(probe, _PING):
                    up()
    except OSError:
        if host is not None:
            raise
    boxes = services.discovery.workers.values()
    return {"containers": sorted(box.name for those in boxes for box in those)}


def _journal_names(services: Services, up: Callable[[], None]) -> Names:
    up()
    return {"runs": [run.id for run in services.journal.runs()]}


KAFKA = Source("kafka", _kafka_names)
"""groups, topics."""
DOCKER = Source("docker", _docker_names)
"""containers: those of the workers."""
JOURNAL = Source("journal", _journal_names)
"""runs, the newest first."""
