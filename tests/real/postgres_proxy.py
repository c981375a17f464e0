"""A TCP proxy in front of PostgreSQL that counts statements, and loses the line at a chosen moment."""

from __future__ import annotations

import contextlib
import enum
import socket
import threading
from collections.abc import Iterator


class Loss(enum.Enum):
    """What becomes of the client's COMMIT."""

    AFTER = "passed on, its answer lost"
    BEFORE = "not passed on, the line cut"
    SILENCE = "not passed on, and no word ever"


class Proxy:
    """Passes bytes between clients (no TLS) and one server; with a loss, until one sends COMMIT after a change."""

    def __init__(self, port: int, loss: Loss | None) -> None:
        self.statements = 0
        self._to = port
        self._loss = loss
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Close every line."""
        for line in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                self._sockets += [client, server]
                lost = threading.Event()
                threading.Thread(target=self._requests, args=(client, server, lost), daemon=True).start()
                threading.Thread(target=self._answers, args=(client, server, lost), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        changed = False
        frames = _Frames()
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                self.statements += frames.statements(data)
                changed = changed or b"INSERT INTO" in data or b"DELETE FROM" in data
                if self._loss is not None and changed and b"COMMIT" in data:
                    lost.set()
                    if self._loss is Loss.SILENCE:
                        return
                    if self._loss is Loss.AFTER:
                        server.sendall(data)
                        server.settimeout(5)
                    else:
                        client.shutdown(socket.SHUT_RDWR)
                    return
                server.sendall(data)

    def _answers(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if lost.is_set():
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)


class _Frames:
    """Takes a client's bytes apart: after a first message without type come a type, a length, and so many bytes."""

    def __init__(self) -> None:
        self._rest = b""
        self._started = False

    def statements(self, data: bytes) -> int:
        """How many of the messages that are complete now carry a statement (Query or Parse)."""
        found = 0
        self._rest += data
        while True:
            head = 1 if self._started else 0
            if len(self._rest) < head + 4:
                return found
            end = head + int.from_bytes(self._rest[head : head + 4], "big")
            if len(self._rest) < end:
                return found
            found += self._started and self._rest[:1] in (b"Q", b"P")
            self._started = True
            self._rest = self._rest[end:]


@contextlib.contextmanager
def proxy(port: int, loss: Loss | None = None) -> Iterator[Proxy]:
    """A proxy before the server on this port of the loopback."""
    running = Proxy(port, loss)
    try:
        yield running
    finally:
        running.close()
