"""The address map in force: what was said explicitly, then what the containers tell of names unknown to this host."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Told:
    """What the containers tell: `name:port` or `name` -> where it is reached, and which addresses they publish."""

    addresses: Mapping[str, str]
    published: Collection[str]


RESOLVER_SECONDS = 2.0


def host_resolves(host: str) -> bool:
    """Whether this host knows the name; no where its resolver has not answered after two seconds."""
    known: list[bool] = []

    def ask() -> None:
        with suppress(OSError, UnicodeError):
            known.append(bool(socket.getaddrinfo(host, None)))

    # The C library's resolver knows no deadline, hence a thread that may be left behind.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(RESOLVER_SECONDS)
    return bool(known)


def is_known(host: str) -> bool:
    """Whether this host can connect to it by what it is: an address, or a name that it resolves."""
    return _is_ip(host) or host_resolves(host)


class AddressMap(Mapping[str, str]):
    """`host:port` -> `host:port` where it is reached; a missing key means: as it is.

    Explicit entries win, with or without a port. A name that this host resolves is left alone. For any other name the
    containers are asked, once. Only an address that was configured is mapped without question; one that a broker
    merely advertises is mapped when a configured address lies in the same Compose system, for the same name may also
    be that of a container here which has nothing to do with a broker elsewhere.
    """

    def __init__(
        self,
        explicit: Mapping[str, str],
        ask: Callable[[], Told],
        configured: Callable[[], Collection[str]],
        resolves: Callable[[str], bool] = host_resolves,
    ) -> None:
        self._explicit = explicit
        self._ask = ask
        self._configured = configured
        self._resolves = resolves
        self._answers: dict[str, str | None] = {}

    def __getitem__(self, address: str) -> str:
        if address not in self._answers:
            self._answers[address] = self._look_up(address)
        answer = self._answers[address]
        if answer is None:
            raise KeyError(address)
        return answer

    def __iter__(self) -> Iterator[str]:
        """The explicit entries only: the others are known when they are asked for."""
        return iter(self._explicit)

    def __len__(self) -> int:
        return len(self._explicit)

    def __bool__(self) -> bool:
        # Without explicit entries it may still have answers.
        return True

    def _look_up(self, address: str) -> str | None:
        host, _, port = address.rpartition(":")
        explicit = _in(self._explicit, host, port)
        if explicit is not None or not host:
            return explicit
        if _is_ip(host) or self._resolves(host):
            return None
        told = self._ask()
        mapped = _in(told.addresses, host, port)
        if mapped is None:
            return None
        configured = {_plain(a) for a in self._configured()}
        ours = {_plain(a) for a in told.published}
        trusted = address in configured or any(_in(told.addresses, *_split(a)) or a in ours for a in configured)
        return mapped if trusted else None


def _in(addresses: Mapping[str, str], host: str, port: str) -> str | None:
    exact = addresses.get(f"{host}:{port}")
    if exact is not None:
        return exact
    bare = addresses.get(host)
    if bare is None:
        return None
    return bare if _has_port(bare) else f"{bare}:{port}"


def _has_port(address: str) -> bool:
    return ":" in address and not _is_ip(address) and not address.endswith("]")


def _split(address: str) -> tuple[str, str]:
    host, _, port = address.rpartition(":")
    return host, port


def _plain(address: str) -> str:
    host, port = _split(address)
    return f"127.0.0.1:{port}" if host in ("localhost", "[::1]", "::1") else address


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
