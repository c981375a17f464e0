"""A TCP proxy in front of a broker that loses chosen answers, or cuts every line."""

from __future__ import annotations

import contextlib
import enum
import socket
import struct
import threading
from types import TracebackType

_API_KEYS = {"Produce": 0, "OffsetCommit": 8, "OffsetFetch": 9}


class Loss(enum.Enum):
    """What becomes of the next request of one kind."""

    ANSWER = "passed on; its answer is not, and the line is cut"
    SILENCE = "passed on; no answer ever, on this line and all later ones"


class Proxy:
    """Passes frames between clients and one broker on the same host."""

    def __init__(self, port: int) -> None:
        self.lost = 0
        self._to = port
        self._loss: tuple[Loss, int] | None = None
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def lose(self, loss: Loss, api: str) -> None:
        """Lose the answer to the next request of this kind."""
        self._loss = (loss, _API_KEYS[api])

    def cut(self) -> None:
        """Close every line; new ones are taken."""
        for line in self._sockets:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(5)
        for line in self._sockets:
            line.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                broker = socket.create_connection(("127.0.0.1", self._to))
                self._sockets += [client, broker]
                drop = threading.Event()
                for pump in (self._requests, self._answers):
                    self._threads.append(threading.Thread(target=pump, args=(client, broker, drop)))
                    self._threads[-1].start()

    def _requests(self, client: socket.socket, broker: socket.socket, drop: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while frame := _frame(client):
                loss, api = self._loss or (None, -1)
                if struct.unpack_from(">h", frame, 4)[0] == api:
                    drop.set()
                    self.lost += 1
                    if loss is Loss.ANSWER:
                        self._loss = None
                broker.sendall(frame)
            broker.shutdown(socket.SHUT_WR)

    def _answers(self, client: socket.socket, broker: socket.socket, drop: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while frame := _frame(broker):
                if not drop.is_set():
                    client.sendall(frame)
                elif self._loss is None:
                    client.shutdown(socket.SHUT_RDWR)
                    return
            client.shutdown(socket.SHUT_RDWR)


def _frame(line: socket.socket) -> bytes:
    """The next request or answer with its length; empty at the end."""
    head = _exactly(line, 4)
    return head + _exactly(line, struct.unpack(">i", head)[0]) if head else b""


def _exactly(line: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = line.recv(count - len(data))
        if not piece:
            return b""
        data += piece
    return data
