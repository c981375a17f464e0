"""The connection to PostgreSQL where the line goes dead at an awkward moment; no server is needed."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import cast

import psycopg
import pytest

from kcfix.adapters.postgres_address import parse_address
from kcfix.adapters.postgres_errors import _CONNECT, obstacle_of
from kcfix.adapters.postgres_link import Connection, Link
from kcfix.errors import Obstacle, Unreachable


class Line:
    """A connection that has just begun a transaction; the answer to the next statement is an error, or never comes."""

    def __init__(self, *, silent: bool) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.silent = silent
        self.closed = False

    def fileno(self) -> int:
        return self.ours.fileno()

    def execute(self, statement: str) -> None:
        if self.silent:
            self.ours.recv(1)
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    def close(self) -> None:
        self.closed = True
        self.ours.close()
        self.theirs.close()


@pytest.mark.parametrize("silent", [False, True])
def test_a_line_that_dies_before_a_transaction_is_no_answer_and_no_bug(
    silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(silent=silent)
    link = Link(
        parse_address("postgresql://kcfix@db.example/kc_app", timeout_seconds=0.2, application_name="kcfix"), 0.2
    )
    monkeypatch.setattr(link, "_begin_reading", lambda deadline, doing: cast(Connection, line))
    link._connection = cast(Connection, line)
    begun = time.monotonic()
    with pytest.raises(Unreachable, match=r"db\.example"), link.exclusive():
        raise AssertionError("there is no connection to work with")
    assert time.monotonic() - begun < 5
    assert line.closed


def test_whatever_is_said_of_a_connection_says_what_stood_in_the_way() -> None:
    assert [words for _, _, words, _ in _CONNECT if obstacle_of(words) is None] == []
    for pattern, obstacle in (("certificate", Obstacle.TLS), ("password", Obstacle.AUTHENTICATION)):
        told = {obstacle_of(words) for _, _, words, _ in _CONNECT if words.startswith("it") and pattern in words}
        assert told == {obstacle}


@pytest.mark.parametrize("answers", [(b"\xff\xfe\xfd",), (b"N", b"zzzzzzzzzz")])
def test_something_else_that_listens_there_is_told_in_words(answers: tuple[bytes, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    line, _ = listener.accept()
                    with line:
                        for answer in answers:
                            line.recv(1000)
                            line.sendall(answer)
                        line.recv(1000)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        place = f"postgresql://kcfix@127.0.0.1:{listener.getsockname()[1]}/kc_app"
        link = Link(parse_address(place, timeout_seconds=20, application_name="kcfix"), 20)
        with pytest.raises(Unreachable, match="what answers there is not PostgreSQL"), link.reading("x"):
            raise AssertionError("there is no connection to work with")
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
