"""Where brokers are: addresses, the map from advertised to reachable ones, and how long a call may look for them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kcfix.errors import UsageError

PAUSE_SECONDS = 0.1
DEFAULT_PORT = 9092


class Deadline:
    """A moment by which a call must have ended."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = time.monotonic() + seconds

    def left(self, at_most: float | None = None) -> float:
        """Seconds until then (or `at_most`, if that is less); 0 when it has passed."""
        left = max(0.0, self._at - time.monotonic())
        return left if at_most is None else min(left, at_most)

    @property
    def passed(self) -> bool:
        return self.left() == 0.0

    def pause(self) -> bool:
        """Wait a little before asking again; False, at once, if there is no time for that."""
        if self.left() <= PAUSE_SECONDS:
            return False
        time.sleep(PAUSE_SECONDS)
        return True

    def part(self, share: int) -> Deadline:
        """A deadline for one of `share` tries that are still to be made."""
        return Deadline(max(self.left() / max(1, share), min(1.0, self.left())))


MOVE_SECONDS = 3.0
"""How long another broker may take to stand in for one that went away in order."""


class Address(NamedTuple):
    """Host and port. Written as host:port, IPv6 in brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, default_port: int = DEFAULT_PORT) -> Address:
    """The address in `host`, `host:port` or `[v6]:port`; a listener prefix such as `PLAINTEXT://` is dropped.

    >>> parse_address("PLAINTEXT://kafka:9092"), parse_address("[::1]"), parse_address("10.0.0.1:19092")
    (Address(host='kafka', port=9092), Address(host='::1', port=9092), Address(host='10.0.0.1', port=19092))

    Raises:
        UsageError: it is none of these. Nothing was asked.
    """
    bare = text.strip().rpartition("://")[2]
    if bare.startswith("["):
        host, _, rest = bare[1:].partition("]")
        port = rest.removeprefix(":")
    elif bare.count(":") > 1:
        host, port = bare, ""
    else:
        host, _, port = bare.partition(":")
    number = int(port) if port.isascii() and port.isdigit() else None if port else default_port
    if not host or number is None or not 0 < number < 65536:
        raise UsageError(f"{text!r} is no broker address", hint="write it as HOST:PORT")
    return Address(host, number)


class AddressMap:
    """Where to connect in place of an address: `host:port` -> `host:port`, or nothing for the address itself.

    The entries are asked with `get`, once for each address that is really needed, because the answer may have to be
    looked up in Docker.
    """

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._entries = entries
        self._known: dict[Address, Address] = {}

    def lead(self, address: Address) -> Address:
        """The address to connect to."""
        if address not in self._known:
            reachable = self._entries.get(str(address))
            self._known[address] = parse_address(reachable, address.port) if reachable else address
        return self._known[address]


def parse_addresses(brokers: Sequence[str]) -> tuple[Address, ...]:
    """The addresses of a broker list; each entry may itself hold several, parted by commas."""
    return tuple(dict.fromkeys(parse_address(part) for entry in brokers for part in entry.split(",") if part.strip()))
