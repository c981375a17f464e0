"""Requests on one connection: answers come in the order of the questions, and are taken in any order."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

from kcfix.adapters import kafka_protocol
from kcfix.adapters.kafka_address import Deadline
from kcfix.adapters.kafka_errors import LinkError
from kcfix.adapters.kafka_net import Connection
from kcfix.adapters.kafka_security import Security


class Line:
    """A connection, and the broker's end of it."""

    def __init__(self) -> None:
        ours, self.theirs = socket.socketpair()
        self.connection = Connection("kafka:9092", "kafka", ours, "test", Security({}))

    def ask(self) -> int:
        return self.connection.send(kafka_protocol.ApiVersionsRequest(version=0), Deadline(5))

    def answer(self, number: int, error: int) -> None:
        """An answer to ApiVersions 0 with no versions; the error code tells it from others."""
        body = struct.pack(">ihi", number, error, 0)
        self.theirs.sendall(struct.pack(">i", len(body)) + body)

    def take(self, number: int) -> int:
        return int(self.connection.receive(number, Deadline(0.2)).error_code)


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.connection.close()
    made.theirs.close()


def test_an_answer_that_comes_before_the_one_wanted_is_kept(line: Line) -> None:
    first, second = line.ask(), line.ask()
    line.answer(first, 1)
    line.answer(second, 2)
    assert (line.take(second), line.take(first)) == (2, 1)


def test_an_answer_that_nobody_wants_is_passed(line: Line) -> None:
    first, second = line.ask(), line.ask()
    line.connection.forget(first)
    line.answer(first, 1)
    line.answer(second, 2)
    assert line.take(second) == 2
    with pytest.raises(LinkError):
        line.take(first)


def test_an_answer_that_came_early_can_be_let_go_too(line: Line) -> None:
    first, second = line.ask(), line.ask()
    line.answer(first, 1)
    line.answer(second, 2)
    assert line.take(second) == 2
    line.connection.forget(first)
    with pytest.raises(LinkError):
        line.take(first)


def test_an_answer_to_another_question_closes_the_connection(line: Line) -> None:
    first = line.ask()
    line.answer(first + 1, 0)
    with pytest.raises(LinkError, match="the answer to another question"):
        line.take(first)
    assert line.connection.closed
