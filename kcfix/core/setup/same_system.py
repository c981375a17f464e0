"""Whether kcfix talks to the same Kafka and database as the workers (docs/decisions.md 3, last line).

Addresses are compared after the address map, so that `kafka:9092` inside the network and its published port are one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kcfix.core.setup.discovery import Configured
from kcfix.core.setup.dsn import database_address


@dataclass(frozen=True, slots=True)
class Apart:
    """A container that is configured with another system than kcfix talks to."""

    container: str
    service: str
    system: str
    """kafka or database."""
    theirs: str
    """Address, never with a password."""

    @property
    def words(self) -> str:
        """In one clause."""
        what = "brokers" if self.system == "kafka" else "database"
        return f"{self.container} is configured with the {what} {self.theirs}"


def apart(
    configured: Iterable[Configured],
    brokers: Iterable[str],
    dsn: str | None,
    addresses: Mapping[str, str],
) -> tuple[Apart, ...]:
    """The containers that are configured otherwise than kcfix; none where nothing is known to differ.

    `brokers` and `dsn` are kcfix's own; None or empty: not used in this run. `addresses` is asked with `get`.
    """
    found: dict[Apart, None] = {}
    mine = {_canonical(broker, addresses) for broker in brokers}
    for one in configured:
        if mine and one.brokers is not None:
            theirs = {_canonical(broker, addresses) for broker in one.brokers}
            if not mine & theirs:
                found[Apart(one.container, one.service, "kafka", ", ".join(one.brokers))] = None
        if dsn is not None and one.dsn is not None and not _same_database(dsn, one.dsn, addresses):
            other = database_address(one.dsn)
            found[Apart(one.container, one.service, "database", str(other or "(not understood)"))] = None
    return tuple(found)


def differences(
    configured: Iterable[Configured],
    brokers: Iterable[str],
    dsn: str | None,
    addresses: Mapping[str, str],
) -> tuple[str, ...]:
    """What kcfix would talk to otherwise than the workers, in words; empty where nothing is known to differ."""
    return tuple(dict.fromkeys(one.words for one in apart(configured, brokers, dsn, addresses)))


def _canonical(address: str, addresses: Mapping[str, str]) -> str:
    mapped = (addresses.get(address) or address).lower()
    host, _, port = mapped.rpartition(":")
    host = host.strip("[]")
    if host == "localhost":
        return f"loopback:{port}"
    try:
        if ipaddress.ip_address(host).is_loopback:
            return f"loopback:{port}"
    except ValueError:
        pass
    return f"{host}:{port}"


def _same_database(mine: str, theirs: str, addresses: Mapping[str, str]) -> bool:
    one, other = database_address(mine), database_address(theirs)
    if one is None or other is None:
        return mine == theirs
    if one.name != other.name:
        return False
    a = _canonical(f"{one.host}:{one.port}", addresses)
    b = _canonical(f"{other.host}:{other.port}", addresses)
    return a == b or _short_form(a, b) or _short_form(b, a)


def _short_form(short: str, full: str) -> bool:
    """Hosted databases have an inner name that is the first label of the outer one (`dpg-x`, `dpg-x.region.host`)."""
    host, _, port = short.rpartition(":")
    full_host, _, full_port = full.rpartition(":")
    return port == full_port and "." not in host and len(host) >= 8 and full_host.partition(".")[0] == host
