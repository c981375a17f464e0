"""A few pages by HTTP, read only: each request is answered from what is known already, and waits for no system."""

from __future__ import annotations

import errno
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from kcfix.core.watching.pages import Answer
from kcfix.errors import UsageError

PATIENCE_SECONDS = 10.0
"""For a client that connects and says nothing."""
AT_ONCE = 32
"""Requests that are answered at the same time; more are turned away, so that memory has a bound."""


class Server:
    """Answers in threads of its own until it is closed."""

    def __init__(self, host: str, port: int, answer: Answer) -> None:
        self._server = _Listening(host, port, answer)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="pages", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """`host:port` that it listens at, with the port that the system chose for port 0."""
        host, port = self._server.server_address[:2]
        name = host.decode() if isinstance(host, bytes | bytearray) else str(host)
        return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"

    def close(self) -> None:
        """Listen no more. Answers that are under way may be cut."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve(host: str, port: int, answer: Answer) -> Server:
    """Listen there, and answer.

    Raises:
        UsageError: the address can't be listened at; the message says why. Nothing was asked.
    """
    try:
        return Server(host, port, answer)
    except (OSError, OverflowError) as error:
        at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        code = error.errno if isinstance(error, OSError) else None
        if code == errno.EADDRINUSE:
            why, hint = "something listens there already", "is a monitor running? or choose another port with --listen"
        elif code == errno.EACCES:
            why, hint = "this user may not", "ports below 1024 need a privilege; choose another with --listen"
        elif code == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
            why, hint = "this host has no such address", "0.0.0.0 is every address of this host, 127.0.0.1 none but it"
        else:
            why, hint = str(error), "choose another address with --listen"
        raise UsageError(f"can't listen at {at}: {why}", hint=hint) from error


class _Listening(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(self, host: str, port: int, answer: Answer) -> None:
        self.answer = answer
        self.free = threading.BoundedSemaphore(AT_ONCE)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Bind, without asking the name service who this host is, as the library would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: object, client_address: object) -> None:
        """One thread a request, up to the limit."""
        if self.free.acquire(blocking=False):
            super().process_request(request, client_address)  # type: ignore[arg-type]
        else:
            self.shutdown_request(request)  # type: ignore[arg-type]

    def process_request_thread(self, request: object, client_address: object) -> None:
        """The same, and leave room for another."""
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self.free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is nothing to complain about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Listening
    timeout: ClassVar[float] = PATIENCE_SECONDS
    server_version = "kcfix"
    sys_version = ""

    def do_GET(self) -> None:
        """The page."""
        self._give(body=True)

    def do_HEAD(self) -> None:
        """Its head alone."""
        self._give(body=False)

    def _give(self, *, body: bool) -> None:
        page = self.server.answer(unquote(urlsplit(self.path).path), self.headers.get("Accept", ""))
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        if body:
            self.wfile.write(page.body)

    def log_message(self, format: str, *args: object) -> None:
        """Every scrape would be a line."""
