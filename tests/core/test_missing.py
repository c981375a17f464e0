"""The pass over all payments, on fakes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kcfix.core.capture import capture_unproven
from kcfix.core.gather import Sources, WorkerContainers
from kcfix.core.missing import Finding, Progress, Span, Tally, findings, repairable_ids
from kcfix.core.verdict import VerdictKind
from kcfix.errors import Unreachable
from kcfix.flow import Flow
from tests.core.snapshots import NOW
from tests.fakes_database import FakeDatabase
from tests.fakes_kafka import FakeKafka

MINUTE = timedelta(minutes=1)
SPAN = Span(NOW - timedelta(days=1), NOW + timedelta(minutes=5), NOW, MINUTE)


def look(
    database: FakeDatabase,
    kafka: FakeKafka | None = None,
    tally: Tally | None = None,
    progress: Progress = lambda looked: None,
) -> list[Finding]:
    def ask() -> FakeKafka:
        if kafka is None:
            raise Unreachable("Kafka did not answer", system="kafka")
        return kafka

    sources = Sources(Flow(), lambda: database, ask, lambda: WorkerContainers((), ()), lambda: NOW)
    return list(findings(database, sources, SPAN, Tally() if tally is None else tally, progress=progress))


def world() -> FakeDatabase:
    return FakeDatabase(now=NOW)


def test_what_is_missing_comes_oldest_first_with_its_verdict_and_counts() -> None:
    database, tally = world(), Tally()
    young = database.payment(1, paid_at=NOW - 10 * MINUTE)
    old = database.payment(2, paid_at=NOW - 60 * MINUTE, amount_minor=100)
    settled = database.payment(3)
    database.allocation(database.purchase(settled), sessions=20)
    found = look(database, FakeKafka(now=NOW), tally)
    assert [f.payment.id for f in found] == [old.id, young.id]
    assert {f.verdict.kind for f in found} == {VerdictKind.NEVER_EMITTED}
    assert (tally.payments, tally.suspects, tally.findings, tally.oldest) == (3, 2, 2, old.paid_at)
    assert tally.missing_minor == {"INR": 360100}
    assert list(repairable_ids(found)) == [old.id, young.id]


def test_progress_is_told_before_the_first_answer() -> None:
    database, told = world(), list[int]()
    database.payment(1, paid_at=NOW - 10 * MINUTE)
    look(database, FakeKafka(now=NOW), progress=told.append)
    assert told == [0, 1]


def test_the_young_are_counted_and_never_found_whatever_their_verdict() -> None:
    database, tally = world(), Tally()
    database.payment(1, paid_at=NOW - MINUTE / 2)
    database.payment(2, paid_at=NOW - MINUTE / 2, course=None)
    assert look(database, FakeKafka(now=NOW), tally) == []
    assert (tally.in_flight, tally.findings) == (2, 0)


def test_a_silent_kafka_makes_the_missing_unknown_and_leaves_what_the_tables_tell() -> None:
    database = world()
    database.payment(1)
    database.purchase(database.payment(2, tier=30), tier=10)
    assert {f.payment.id[-1]: f.verdict.kind for f in look(database)} == {
        "1": VerdictKind.UNKNOWN,
        "2": VerdictKind.WRONG_TIER,
    }


def test_trouble_downstream_is_a_finding_that_repair_leaves_to_a_person() -> None:
    database = world()
    database.allocation(database.purchase(database.payment(1)), status="pending")
    found = look(database, FakeKafka(now=NOW))
    assert [f.verdict.kind for f in found] == [VerdictKind.PENDING_ALLOCATION]
    assert list(repairable_ids(found)) == []


def test_kafka_is_not_asked_where_the_tables_settle_everything() -> None:
    database, tally = world(), Tally()
    database.purchase(database.payment(1, tier=None), tier=30, is_active=False)
    assert look(database, None, tally) == []
    assert tally.suspects == 1


def test_what_was_settled_meanwhile_is_no_finding() -> None:
    class Settling(FakeDatabase):
        def _called(self, name: str) -> None:
            if name == "facts" and "facts" in self.calls:
                self.allocation(self.purchase(self.payments[0]), sessions=20)
            super()._called(name)

    database = Settling(now=NOW)
    database.payment(1)
    assert look(database, FakeKafka(now=NOW)) == []


def test_a_database_that_dies_during_the_pass_is_no_empty_answer() -> None:
    class Dying(FakeDatabase):
        def _called(self, name: str) -> None:
            if name == "facts":
                self.down = Unreachable("database did not answer", system="database")
            super()._called(name)

    database = Dying(now=NOW)
    database.payment(1)
    with pytest.raises(Unreachable):
        look(database, FakeKafka(now=NOW))


@pytest.mark.parametrize(
    ("provider", "unconfirmed", "told"),
    [
        ("pay_made_up", False, None),
        ("pay_made_up", True, "confirmed_at is not recorded"),
        ("order_made_up", False, "only an order id of the provider is on record, no payment id"),
    ],
)
def test_capture_is_unproven_without_a_payment_id_or_a_confirmation(
    provider: str, unconfirmed: bool, told: str | None
) -> None:
    payment = world().payment(1, provider_payment_id=provider, unconfirmed=unconfirmed)
    assert capture_unproven(payment) == told
