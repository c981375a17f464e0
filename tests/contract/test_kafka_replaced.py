"""When a broker that went away is asked for once more: another may stand in for it by now."""

from __future__ import annotations

import pytest

from kcfix.adapters.kafka_address import Deadline
from kcfix.adapters.kafka_errors import LinkError, Trouble
from kcfix.adapters.kafka_link import Link
from kcfix.adapters.kafka_metadata import Metadata
from kcfix.core.ports.kafka import Broker


class Known(Link):
    """A link that has read of so many brokers."""

    def __init__(self, brokers: int) -> None:
        found = {n: Broker(n, f"kafka-{n}", 9092) for n in range(1, brokers + 1)}
        self._metadata = Metadata("c", 1, found, {}, {})


GONE = (Trouble.CLOSED, Trouble.REFUSED)


@pytest.mark.parametrize("trouble", Trouble)
def test_only_a_broker_that_closed_or_refuses_can_have_been_replaced(trouble: Trouble) -> None:
    assert Known(3).replaced(LinkError(trouble, "kafka-1:9092"), Deadline(3)) == (trouble in GONE)


def test_nobody_stands_in_for_the_only_broker_or_after_the_patience_is_over() -> None:
    error = LinkError(Trouble.CLOSED, "kafka-1:9092")
    assert not Known(1).replaced(error, Deadline(3))
    assert not Known(3).replaced(error, Deadline(0))
