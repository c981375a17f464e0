"""A night in memory on which payments have no purchase, and `kcfix repair` run on it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from kcfix.core.events import parse_event
from kcfix.core.payments import Payment
from kcfix.core.workers import ContainerState
from tests.conftest import NOW, Ran
from tests.fakes_database import FakeDatabase
from tests.fakes_docker import FakeDocker, container
from tests.fakes_kafka import FakeKafka

GROUP = "purchase-creation-workers"
APPLY = ("--apply", "--yes")


class Night:
    """A stopped purchase-worker and two payments whose messages were never sent."""

    def __init__(self) -> None:
        self.database = FakeDatabase(now=NOW)
        self.kafka = FakeKafka(now=NOW)
        self.docker = FakeDocker()
        self.docker.boxes = {c.id: c for c in [container(state=ContainerState.EXITED)]}
        self.paid = [self.pay(n, minutes=30 - n) for n in (1, 2)]

    def pay(self, n: int, *, minutes: float = 20, **row: Any) -> Payment:
        """A payment so many minutes ago, recorded by payment-service and not sent."""
        made = self.database.payment(n, student=n, paid_at=NOW - timedelta(minutes=minutes), **row)
        self.database.event(made)
        return made

    @property
    def ids(self) -> list[str]:
        """The two payments."""
        return [p.id for p in self.paid]

    def announced(self) -> list[str | None]:
        """Purchases that the topic tells of."""
        events = [parse_event(r) for r in self.kafka.log("purchase-created")]
        return [e.purchase_id for e in events if e]


def outcomes(ran: Ran) -> list[Any]:
    """Outcomes in the order of the rows."""
    return [row["outcome"] for row in ran.document["data"]]
