"""A proxy between kcfix and one server of any kind, over TCP or a Unix socket, that plays a server's bad days.

It knows no protocol: an answer is what the server says after the client has spoken. Only who wants to answer some
requests in the server's place (`answers`) has to understand them.
"""

from __future__ import annotations

import contextlib
import enum
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

Address = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""
Answers = Callable[[bytes], bytes | None]
"""What to answer to these bytes of a client in the server's place; None passes them on."""

SLOW_SECONDS = 0.05
TRICKLE_SECONDS = 0.3
_STRANGER = b"SSH-2.0-OpenSSH_9.2p1\r\n"


class Line(enum.Enum):
    """What becomes of the lines to a server."""

    WHOLE = "everything is passed on"
    LOST = "no packet comes back"
    REFUSES = "nobody listens there"
    HANGS = "the line is taken, and no word ever comes"
    SLOW = "each answer comes late"
    TRICKLES = "an answer comes byte by byte, with a pause before each"
    RESETS = "the line is reset in the middle of an answer"
    CLOSES = "the line is closed in the middle of an answer"
    STRANGER = "something else listens there, and says so"
    GARBAGE = "an answer holds random bytes"


class Proxy:
    """Passes bytes between clients and one server until the fault begins: after so many answers, over all lines."""

    def __init__(
        self, server: Address, line: Line, *, path: Path | None = None, after: int = 0, answers: Answers | None = None
    ) -> None:
        """Listen on a free port of the loopback, or on the socket at `path`."""
        self._server = server
        self._line = line
        self._after = after
        self._answers = answers
        self._answered = 0
        self._lock = threading.Lock()
        self._chance = random.Random(after)  # noqa: S311 - the same garbage each time
        self._sockets: list[socket.socket] = []
        self._closed = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self._listener.bind(str(path) if path else ("127.0.0.1", 0))
        self.address: Address = self._listener.getsockname()
        if line is Line.REFUSES:
            return  # bound, so that nobody else gets it, and not listening
        if line is Line.LOST:
            self._fill()
            return
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """The port on the loopback."""
        return int(self.address[1])

    def close(self) -> None:
        """Close every line."""
        with self._lock:
            self._closed.set()
        for sock in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _keep(self, sock: socket.socket) -> socket.socket:
        """The socket, to be closed with the proxy; at once where that is closed already."""
        with self._lock:
            self._sockets.append(sock)
            if self._closed.is_set():
                sock.close()
        return sock

    def _fill(self) -> None:
        """Let the queue of connections that nobody takes be full: the kernel then drops what comes."""
        self._listener.listen(0)
        for _ in range(3):
            sock = socket.socket(self._listener.family)
            sock.setblocking(False)
            sock.connect_ex(self._listener.getsockname())
            self._keep(sock)
        time.sleep(0.05)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._keep(self._listener.accept()[0])
                if self._line is Line.STRANGER:
                    with contextlib.suppress(OSError):
                        client.sendall(_STRANGER)
                elif self._line is Line.HANGS and self._fault_is_due():
                    continue
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._line is Line.STRANGER:
                while client.recv(1 << 16):
                    pass
                return
            server = self._keep(_connected(self._server))
            asked = threading.Event()
            threading.Thread(target=self._answers_of, args=(client, server, asked), daemon=True).start()
            while data := client.recv(1 << 16):
                own = self._answers(data) if self._answers else None
                if own is not None:
                    client.sendall(own)
                    continue
                asked.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _answers_of(self, client: socket.socket, server: socket.socket, asked: threading.Event) -> None:
        with contextlib.suppress(OSError):
            due = False
            while data := server.recv(1 << 20):
                if asked.is_set():
                    asked.clear()
                    due = self._fault_is_due()
                if not (self._spoilt(client, data) if due else _passed(client, data)):
                    return
            client.shutdown(socket.SHUT_RDWR)

    def _fault_is_due(self) -> bool:
        """Whether the fault begins with the answer that begins now."""
        with self._lock:
            self._answered += 1
            return self._answered > self._after

    def _spoilt(self, client: socket.socket, data: bytes) -> bool:
        """Pass the bytes on as the fault has it; False ends the line."""
        half = len(data) // 2
        match self._line:
            case Line.HANGS:
                return True
            case Line.SLOW:
                time.sleep(SLOW_SECONDS)
                return _passed(client, data)
            case Line.TRICKLES:
                for byte in data:
                    client.sendall(bytes([byte]))
                    if self._closed.wait(TRICKLE_SECONDS):
                        return False
                return True
            case Line.RESETS:
                client.sendall(data[:half])
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                time.sleep(0.02)  # else the reset overtakes the bytes
                # `shutdown` first: the other thread's `recv` would keep the socket open.
                self._reset(client)
                return False
            case Line.CLOSES:
                client.sendall(data[:half])
                client.shutdown(socket.SHUT_RDWR)
                return False
            case Line.GARBAGE:
                return _passed(client, self._chance.randbytes(len(data)))
            case _:
                return _passed(client, data)

    def _reset(self, client: socket.socket) -> None:
        if client.family == socket.AF_INET:
            # Connecting a TCP socket to no family at all aborts the connection at once, whoever else holds it.
            with contextlib.suppress(OSError):
                _disconnect(client)
            return
        client.shutdown(socket.SHUT_RDWR)


def _passed(client: socket.socket, data: bytes) -> bool:
    client.sendall(data)
    return True


def _disconnect(sock: socket.socket) -> None:
    import ctypes

    nowhere = ctypes.create_string_buffer(16)  # a sockaddr of the family AF_UNSPEC
    if ctypes.CDLL(None, use_errno=True).connect(sock.fileno(), nowhere, 16):
        raise OSError(ctypes.get_errno(), "disconnect")


def _connected(address: Address) -> socket.socket:
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(address)
        return sock
    return socket.create_connection(address)


@contextlib.contextmanager
def proxy(
    server: Address,
    line: Line = Line.WHOLE,
    *,
    path: Path | None = None,
    after: int = 0,
    answers: Answers | None = None,
) -> Iterator[Proxy]:
    """A proxy before the server, closed at the end."""
    running = Proxy(server, line, path=path, after=after, answers=answers)
    try:
        yield running
    finally:
        running.close()
