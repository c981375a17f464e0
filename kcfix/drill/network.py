"""Ways to the drill from the host: free ports, and the map from the advertised name to the published port."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Mapping
from typing import Any

from kcfix.drill.state import Drill
from kcfix.errors import Refused

_PORTS = range(20_000, 30_000)
"""Below the range that Linux takes for outgoing connections, so that a stopped broker finds its port again."""


def free_ports(count: int, taken: frozenset[int] = frozenset()) -> list[int]:
    """So many ports of 127.0.0.1 that nothing listens on now.

    Raises:
        Refused: none were found.
    """
    found: list[int] = []
    for port in random.sample(_PORTS, 400):
        if port in taken:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise Refused("no free ports on 127.0.0.1")


def kafka_answers(port: int) -> bool:
    """Whether a broker behind this port of 127.0.0.1 answers the simplest request there is (ApiVersions 0).

    An open port alone says nothing: Docker's proxy accepts before the broker listens.
    """
    request = struct.pack(">hhih", 18, 0, 1, -1)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            return len(connection.recv(4)) == 4
    except OSError:
        return False


def kafka_settings(drill: Drill) -> dict[str, Any]:
    """Settings for a client of kafka-python on the host that reaches the drill's brokers."""
    return mapped_settings(drill.address_map)


def mapped_settings(address_map: Mapping[str, str]) -> dict[str, Any]:
    """Settings for a client of kafka-python that reaches each of these brokers where the map says: `host:port` both."""
    from kafka.net.inet import KafkaNetSocket

    scheme = "drill-" + "-".join(way.rpartition(":")[2] for way in address_map.values())

    class DrillSocket(KafkaNetSocket):  # type: ignore[misc]
        SCHEMES = (scheme,)

        def dns_lookup(self, host: str, port: int, raise_error: bool = False) -> Any:
            way = address_map.get(f"{host}:{port}")
            if way is not None:
                host, port = way.rpartition(":")[0], int(way.rpartition(":")[2])
            return super().dns_lookup(host, port, raise_error)

        async def sock_connect(
            self, net: Any, sock: socket.socket, sockaddr: Any, timeout_at: float | None = None
        ) -> Any:
            # The library forgets the socket where the broker refuses, or the client is closed meanwhile.
            try:
                return await super().sock_connect(net, sock, sockaddr, timeout_at=timeout_at)
            except BaseException:
                sock.close()
                raise

    return {"bootstrap_servers": list(address_map), "proxy_url": f"{scheme}://map", "client_id": "kcfix-drill"}
