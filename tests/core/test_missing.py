"""The pass over all payments, on fakes."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from kcfix.core.acknowledgement import Acknowledgement
from kcfix.core.certificate import certificate
from kcfix.core.events import own_purchase_id
from kcfix.core.judging.capture import capture_unproven
from kcfix.core.judging.gather import Sources, WorkerContainers
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.missing import CHUNK, FIRST, Finding, Progress, Span, Tally, findings, judged, repairable_ids
from kcfix.core.offsets import Committed, TopicPartition
from kcfix.core.payments import PaymentFacts, PaymentId
from kcfix.errors import Unreachable
from kcfix.flow import Flow
from tests.core.snapshots import NOW
from tests.fakes_database import FakeDatabase
from tests.fakes_kafka import FakeKafka

MINUTE = timedelta(minutes=1)
SPAN = Span(NOW - timedelta(days=1), NOW + timedelta(minutes=5), NOW, MINUTE)


def sources_of(database: FakeDatabase, kafka: FakeKafka | None) -> Sources:
    def ask() -> FakeKafka:
        if kafka is None:
            raise Unreachable("Kafka did not answer", system="kafka")
        return kafka

    return Sources(Flow(), lambda: database, ask, lambda: WorkerContainers((), ()), lambda: NOW)


def look(
    database: FakeDatabase,
    kafka: FakeKafka | None = None,
    tally: Tally | None = None,
    progress: Progress = lambda looked: None,
    *,
    span: Span = SPAN,
) -> list[Finding]:
    sources, counted = sources_of(database, kafka), Tally() if tally is None else tally
    return list(findings(database, sources, span, counted, progress=progress))


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


def test_kafka_is_not_asked_about_payments_and_purchases_that_are_young() -> None:
    database, kafka, tally = world(), FakeKafka(now=NOW), Tally()
    database.payment(1, paid_at=NOW - MINUTE / 2)
    database.purchase(database.payment(2), created_at=NOW - MINUTE)
    assert look(database, kafka, tally) == []
    assert (tally.suspects, tally.in_flight, kafka.calls) == (2, 1, [])
    late = database.purchase(database.payment(3), created_at=NOW - 3 * MINUTE)
    assert [f.verdict.kind for f in look(database, kafka)] == [VerdictKind.UNANNOUNCED], late
    assert kafka.calls


@pytest.mark.parametrize("again", [False, True])
def test_a_purchase_that_was_made_while_the_offsets_were_read_is_seen(again: bool) -> None:
    class Working(FakeKafka):
        def committed(self, ids: Collection[str]) -> Mapping[str, Mapping[TopicPartition, Committed]]:
            if not database.purchases:
                database.allocation(database.purchase(paid), sessions=20)
            return super().committed(ids)

    database = world()
    paid = database.payment(1)
    sources = sources_of(database, Working(now=NOW))
    found = findings(database, sources, SPAN, Tally())
    assert list(judged([paid.id], database, sources, SPAN, Tally(), {}) if again else found) == []
    assert database.purchases


def test_an_announcement_that_was_sent_after_the_offsets_were_read_is_seen() -> None:
    class Repairing(FakeDatabase):
        def _called(self, name: str) -> None:
            if name == "facts" and self.calls.count("facts") == 2:  # those of the second chunk come now
                last = self.payments[-1]
                made = self.purchase(last, id=own_purchase_id(last.id), created_at=NOW)
                kafka.put("purchase-created", made.student_id, json.dumps({"purchaseId": made.id}), at=NOW)
            super()._called(name)

    database, kafka = Repairing(now=NOW), FakeKafka(now=NOW)
    for n in range(FIRST + 1):
        database.payment(n + 1)
    assert {f.verdict.kind for f in look(database, kafka)} == {VerdictKind.NEVER_EMITTED}


def test_what_was_settled_meanwhile_is_no_finding() -> None:
    class Settling(FakeDatabase):
        def _called(self, name: str) -> None:
            if name == "facts" and "facts" in self.calls:
                self.allocation(self.purchase(self.payments[0]), sessions=20)
            super()._called(name)

    database = Settling(now=NOW)
    database.payment(1)
    assert look(database, FakeKafka(now=NOW)) == []


def test_facts_that_were_read_after_the_offsets_are_not_read_twice() -> None:
    class Counting(FakeDatabase):
        read = 0

        def facts(
            self, ids: Collection[PaymentId], *, courses: Mapping[PaymentId, str] | None = None
        ) -> Mapping[PaymentId, PaymentFacts]:
            self.read += len(ids)
            return super().facts(ids, courses=courses)

    database = Counting(now=NOW)
    for n in range(FIRST + CHUNK):
        database.payment(n + 1)
    assert len(look(database, FakeKafka(now=NOW))) == FIRST + CHUNK
    assert (database.read, database.calls.count("facts")) == (2 * FIRST + CHUNK, 3)


@pytest.mark.parametrize(("later", "found"), [(timedelta(0), 2), (MINUTE, 1)])
def test_what_was_read_long_ago_is_read_again_before_it_is_judged(later: timedelta, found: int) -> None:
    class Settling(FakeDatabase):
        def _called(self, name: str) -> None:
            if name == "facts" and self.calls.count("facts") == 2:
                self.allocation(self.purchase(self.payments[0]), sessions=20)
            super()._called(name)

    database, kafka = Settling(now=NOW), FakeKafka(now=NOW)
    for n in range(2):
        database.payment(n + 1)
    word = Acknowledgement(database.payments[1].id, VerdictKind.NEVER_EMITTED, "known", "somebody", NOW, "")
    sources = replace(sources_of(database, kafka), now=lambda: clock[0])
    clock = [NOW]

    def progress(looked: int) -> None:
        if looked:  # all are read
            clock[0] += later

    each = list(findings(database, sources, SPAN, Tally(), {word.payment_id: word}, progress))
    assert [f.acknowledged for f in each] == [False, True][-found:]


def test_a_kafka_that_is_slow_to_answer_is_not_asked_again_for_that() -> None:
    class Slow(FakeKafka):
        def committed(self, ids: Collection[str]) -> Mapping[str, Mapping[TopicPartition, Committed]]:
            clock[0] += MINUTE
            return super().committed(ids)

    database, kafka, clock = world(), Slow(now=NOW), [NOW]
    database.payment(1)
    sources = replace(sources_of(database, kafka), now=lambda: clock[0])
    assert len(list(findings(database, sources, SPAN, Tally()))) == 1
    assert clock == [NOW + MINUTE]


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


def test_a_payment_whose_message_is_younger_than_wanted_is_in_flight() -> None:
    database, kafka, tally = world(), FakeKafka(now=NOW), Tally()
    paid = database.payment(1, paid_at=NOW - 60 * MINUTE)
    where = TopicPartition(
        "purchase-confirmed", kafka.put("purchase-confirmed", paid.id, at=NOW - 5 * MINUTE).partition
    )
    kafka.commit_as_worker(Flow().purchase_group, {where: 0})
    kafka.join_worker(Flow().purchase_group, "purchase-confirmed", client_id="purchase-worker-1", host="h")
    assert [f.verdict.kind for f in look(database, kafka)] == [VerdictKind.PENDING]
    assert look(database, kafka, tally, span=replace(SPAN, overdue=10 * MINUTE)) == []
    assert tally.in_flight == 1


def test_an_acknowledged_payment_is_not_repaired() -> None:
    database = world()
    database.payment(1)
    [found] = look(database, FakeKafka(now=NOW))
    word = Acknowledgement(found.payment.id, found.verdict.kind, "paid back", "somebody", NOW, "")
    assert list(repairable_ids([found])) == [found.payment.id]
    assert list(repairable_ids([replace(found, word=word)])) == []


def test_the_log_is_searched_for_so_many_payments_at_a_time() -> None:
    class Counting(FakeKafka):
        groups_asked = 0

        def committed(self, ids: Collection[str]) -> Mapping[str, Mapping[TopicPartition, Committed]]:
            self.groups_asked += 1
            return super().committed(ids)

    database, kafka = world(), Counting(now=NOW)
    for n in range(CHUNK + FIRST + 1):
        database.payment(n + 1)
    sources = sources_of(database, kafka)
    assert len(list(findings(database, sources, SPAN, Tally(), batch=CHUNK))) == CHUNK + FIRST + 1
    assert kafka.groups_asked == 2
    made = certificate(database, sources, SPAN, {}, batch=CHUNK)
    assert (len(made.lacking), len(made.findings), kafka.groups_asked) == (CHUNK + FIRST + 1, CHUNK + FIRST + 1, 4)
