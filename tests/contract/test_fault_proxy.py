"""The proxy of the fault matrix does to a line what it says, over TCP and over a Unix socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.real.fault_proxy import Address, Line, Proxy, proxy

QUESTION = b"twelve bytes"
ANSWER = QUESTION * 10
Place = Callable[..., Proxy]


@pytest.fixture
def server() -> Iterator[Address]:
    """A server that says what it hears ten times."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as open_lines:

        def serve(line: socket.socket) -> None:
            with suppress(OSError):
                while data := line.recv(1000):
                    line.sendall(data * 10)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    line, _ = listener.accept()
                    open_lines.enter_context(line)
                    threading.Thread(target=serve, args=(line,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture(params=["tcp", "unix"])
def place(request: pytest.FixtureRequest, server: Address, tmp_path: Path) -> Iterator[Place]:
    """Makes a proxy before the server."""
    with ExitStack() as stack:

        def make(line: Line, after: int = 0) -> Proxy:
            path = tmp_path / "p.sock" if request.param == "unix" else None
            return stack.enter_context(proxy(server, line, path=path, after=after))

        yield make


def asked(at: Proxy, times: int = 1, *, seconds: float = 5) -> list[bytes | str]:
    """What came back for each question on one line, or the name of the error that ended it."""
    got: list[bytes | str] = []
    with socket.socket(socket.AF_UNIX if isinstance(at.address, str) else socket.AF_INET) as line:
        line.settimeout(seconds)
        try:
            line.connect(at.address)
            for _ in range(times):
                line.sendall(QUESTION)
                heard = b""
                while len(heard) < len(ANSWER):
                    piece = line.recv(1000)
                    if not piece:
                        break
                    heard += piece
                got.append(heard)
        except OSError as error:
            got.append(type(error).__name__)
    return got


def test_a_whole_line_passes_everything_on(place: Place) -> None:
    assert asked(place(Line.WHOLE), 3) == [ANSWER] * 3


@pytest.mark.parametrize("line", [Line.REFUSES, Line.LOST, Line.HANGS])
def test_no_word_comes_over_a_dead_line(place: Place, line: Line) -> None:
    (got,) = asked(place(line), seconds=0.3)
    assert (
        got
        in {
            Line.REFUSES: {"ConnectionRefusedError"},
            Line.LOST: {"TimeoutError", "BlockingIOError"},  # a Unix socket says at once that its queue is full
            Line.HANGS: {"TimeoutError"},
        }[line]
    )


@pytest.mark.parametrize("line", [Line.RESETS, Line.CLOSES])
def test_a_line_is_cut_in_the_middle_of_the_answer_that_was_named(place: Place, line: Line) -> None:
    first, *rest = asked(place(line, after=1), 2)
    assert first == ANSWER
    assert rest in ([ANSWER[:60]], ["ConnectionResetError"])


def test_garbage_is_as_long_as_the_answer_and_another(place: Place) -> None:
    first, second = asked(place(Line.GARBAGE, after=1), 2)
    assert first == ANSWER
    assert len(second) == len(ANSWER)
    assert second != ANSWER


def test_a_stranger_speaks_first(place: Place) -> None:
    at = place(Line.STRANGER)
    with socket.socket(socket.AF_UNIX if isinstance(at.address, str) else socket.AF_INET) as line:
        line.settimeout(5)
        line.connect(at.address)
        assert line.recv(100).startswith(b"SSH-")


def test_an_answer_trickles(place: Place) -> None:
    assert asked(place(Line.TRICKLES), seconds=0.1) == ["TimeoutError"]


def test_some_requests_are_answered_in_the_servers_place(server: Address) -> None:
    with proxy(server, answers=lambda data: b"no" * 60 if data == QUESTION else None) as at:
        assert asked(at) == [b"no" * 60]
