"""What a snapshot of payments rests on, read from systems that move meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from kcfix.core.gather import Sources, WorkerContainers, payment_snapshots
from kcfix.core.judge import judge
from kcfix.core.offsets import Committed, TopicPartition
from kcfix.core.payments import Payment, PaymentFacts, PaymentId
from kcfix.core.verdict import VerdictKind
from kcfix.errors import Unreachable
from kcfix.flow import Flow
from tests.core.snapshots import NOW
from tests.fakes_database import FakeDatabase
from tests.fakes_kafka import FakeKafka

GROUP = Flow().purchase_group


@dataclass
class Telling(FakeDatabase):
    """Says when the tables were read."""

    read: threading.Event = field(default_factory=threading.Event)

    def facts(
        self, ids: Collection[PaymentId], *, courses: Mapping[PaymentId, str] | None = None
    ) -> Mapping[PaymentId, PaymentFacts]:
        found = super().facts(ids, courses=courses)
        self.read.set()
        return found


class Catching(FakeKafka):
    """Between the first reading of the tables and that of the offsets the worker makes the purchase and commits."""

    def __init__(self, database: Telling, paid: Payment) -> None:
        super().__init__(now=NOW)
        self.database, self.paid = database, paid
        self.message = self.put("purchase-confirmed", paid.id, at=paid.paid_at)
        self.partition = TopicPartition("purchase-confirmed", self.message.partition)

    def committed(self, ids: Collection[str]) -> Mapping[str, Mapping[TopicPartition, Committed]]:
        if not self.database.purchases:
            assert self.database.read.wait(5)
            self.database.purchase(self.paid)
            self.commit_as_worker(GROUP, {self.partition: self.message.offset + 1})
        return super().committed(ids)


def sources(database: FakeDatabase, kafka: FakeKafka) -> Sources:
    return Sources(Flow(), lambda: database, lambda: kafka, lambda: WorkerContainers((), ()), lambda: NOW)


def test_a_purchase_made_while_the_offsets_are_read_is_not_called_skipped() -> None:
    database = Telling(now=NOW)
    paid = database.payment(1, paid_at=NOW - timedelta(minutes=20))
    snapshots = payment_snapshots([paid.id], sources(database, Catching(database, paid)))
    verdict = judge(snapshots.by_payment[paid.id])
    assert verdict.kind not in (VerdictKind.SKIPPED, VerdictKind.NEVER_EMITTED), verdict
    assert verdict.purchase == database.purchases[0]


def test_a_database_that_falls_silent_between_two_readings_makes_the_payment_unknown() -> None:
    class Failing(FakeDatabase):
        def _called(self, name: str) -> None:
            if "facts" in self.calls:
                self.down = Unreachable("database db.example did not answer", system="database")
            super()._called(name)

    database = Failing(now=NOW)
    paid = database.payment(1, paid_at=NOW - timedelta(minutes=20))
    snapshots = payment_snapshots([paid.id], sources(database, FakeKafka(now=NOW)))
    assert judge(snapshots.by_payment[paid.id]).kind is VerdictKind.UNKNOWN


def test_settled_payments_are_read_once() -> None:
    database = FakeDatabase(now=NOW)
    database.purchase(database.payment(1))
    payment_snapshots([database.payments[0].id], sources(database, FakeKafka(now=NOW)))
    assert database.calls == ["facts"]
