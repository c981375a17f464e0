"""Requests that were sent to brokers, and whose answers are taken later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kcfix.adapters.kafka_address import Deadline
from kcfix.adapters.kafka_errors import LinkError
from kcfix.adapters.kafka_net import Connection


@dataclass(frozen=True, slots=True)
class Line:
    """What was sent to one broker, or why it was not."""

    was_open: bool
    """Whether the connection was there before: it may have been closed by the broker while it was idle."""
    connection: Connection | None = None
    numbers: Sequence[int] = ()
    error: LinkError | None = None

    def answers(self, deadline: Deadline) -> list[Any]:
        """Its answers, in the order of the requests.

        Raises:
            LinkError: one could not be sent, or none came.
        """
        if self.error is not None:
            raise self.error
        return [self.connection.receive(number, deadline) for number in self.numbers] if self.connection else []

    def forget(self) -> None:
        """Nobody will take the answers."""
        for number in self.numbers:
            if self.connection is not None:
                self.connection.forget(number)


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Requests to several brokers that were sent, and whose answers were not taken yet."""

    asks: Mapping[int, Sequence[Any]]
    lines: Mapping[int, Line]
