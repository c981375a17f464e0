"""What a snapshot of payments rests on, read from systems that move meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from kcfix.core.events import murmur2_partition
from kcfix.core.judging.gather import Sources, WorkerContainers, payment_snapshots
from kcfix.core.judging.judge import judge
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.offsets import Committed, TopicPartition
from kcfix.core.payments import Payment, PaymentFacts, PaymentId
from kcfix.core.ports.kafka import OffsetRange, SearchResult, TopicConfig
from kcfix.errors import AccessDenied, Unreachable
from kcfix.flow import Flow
from tests.core.snapshots import NOW
from tests.fakes_database import FakeDatabase
from tests.fakes_kafka import WEEK, FakeKafka

GROUP = Flow().purchase_group
PARTITIONS = [TopicPartition("purchase-confirmed", p) for p in range(3)]


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
    assert database.calls.count("facts") == 1


def unannounced(kafka: FakeKafka) -> VerdictKind:
    """The verdict on a payment whose purchase kcfix made just now, with purchase-created as the test left it."""
    database = FakeDatabase(now=NOW)
    paid = database.payment(1, paid_at=NOW - timedelta(minutes=20))
    database.purchase(paid, own=True, created_at=NOW - timedelta(seconds=1))
    return judge(payment_snapshots([paid.id], sources(database, kafka)).by_payment[paid.id]).kind


@pytest.mark.parametrize("later", [False, True], ids=["emptied", "first record since is younger"])
def test_a_purchase_is_unannounced_also_where_retention_emptied_a_quiet_partition(later: bool) -> None:
    kafka = FakeKafka(now=NOW)
    kafka.put("purchase-created", "old", partition=1, at=NOW - timedelta(days=9))
    kafka.delete_before(TopicPartition("purchase-created", 1), 1)
    if later:
        kafka.put("purchase-created", "new", partition=1, at=NOW)
    assert unannounced(kafka) is VerdictKind.UNANNOUNCED


@pytest.mark.parametrize(
    "config",
    [
        replace(WEEK, retention=timedelta(0)),
        replace(WEEK, retention=None, retention_unlimited=True),
        replace(WEEK, retention=timedelta.max),
        replace(WEEK, retention_bytes=1000),
        replace(WEEK, cleanup_policy="compact,delete"),
    ],
)
def test_settings_that_may_have_deleted_the_announcement_prove_nothing(config: TopicConfig) -> None:
    kafka = FakeKafka(now=NOW)
    kafka.put("purchase-created", "old", partition=1, at=NOW - timedelta(days=9))
    kafka.delete_before(TopicPartition("purchase-created", 1), 1)
    kafka.configs["purchase-created"] = config
    assert unannounced(kafka) is VerdictKind.PURCHASED


def test_retention_that_can_not_be_read_proves_nothing() -> None:
    class Shy(FakeKafka):
        def topic_configs(self, names: Collection[str]) -> Mapping[str, TopicConfig]:
            raise AccessDenied("topic settings", system="kafka")

    kafka = Shy(now=NOW)
    kafka.put("purchase-created", "old", partition=1, at=NOW - timedelta(days=9))
    kafka.delete_before(TopicPartition("purchase-created", 1), 1)
    assert unannounced(kafka) is VerdictKind.PURCHASED


@pytest.mark.parametrize("partitions", [3, 6])
def test_a_message_that_does_not_lie_where_its_key_leads_is_found(partitions: int) -> None:
    database, kafka = FakeDatabase(now=NOW), FakeKafka(dict.fromkeys(Flow().topics, partitions), now=NOW)
    paid = database.payment(1, paid_at=NOW - timedelta(minutes=20))
    database.event(paid)
    home = murmur2_partition(paid.id.encode(), partitions)
    stray = TopicPartition("purchase-confirmed", (home + 1) % partitions)
    kafka.put("purchase-confirmed", paid.id, at=paid.paid_at, partition=stray.partition)
    kafka.commit_as_worker(GROUP, {stray: 1})
    snapshot = payment_snapshots([paid.id], sources(database, kafka)).by_payment[paid.id]
    assert snapshot.evidence.value is not None
    assert snapshot.evidence.value.partition == stray
    assert judge(snapshot).kind is VerdictKind.SKIPPED


def test_a_partition_that_can_not_be_read_leaves_unknown_what_was_not_found() -> None:
    database, kafka = FakeDatabase(now=NOW), FakeKafka(now=NOW)
    paid = database.payment(1, paid_at=NOW - timedelta(minutes=20))
    home = murmur2_partition(paid.id.encode(), 3)
    elsewhere = TopicPartition("purchase-confirmed", (home + 1) % 3)
    kafka.put("purchase-confirmed", "x", at=paid.paid_at, partition=elsewhere.partition)
    real = kafka.search

    def cut(ranges: Iterable[OffsetRange], needles: Collection[bytes], *, anywhere: bool = False) -> SearchResult:
        wanted = tuple(ranges)
        found = real(wanted, needles, anywhere=anywhere)
        failed = {r.partition: "time is up" for r in wanted if r.partition == elsewhere}
        return SearchResult(found.records, found.searched, failed)

    kafka.search = cut  # type: ignore[method-assign]
    verdict = judge(payment_snapshots([paid.id], sources(database, kafka)).by_payment[paid.id])
    assert (verdict.kind, "time is up" in verdict.reason) == (VerdictKind.UNKNOWN, True)


@pytest.mark.parametrize("replayed", ["home", "elsewhere"])
def test_of_copies_on_several_partitions_the_newest_decides(replayed: str) -> None:
    database, kafka = FakeDatabase(now=NOW), FakeKafka(now=NOW)
    paid = [database.payment(n, student=n, paid_at=NOW - timedelta(minutes=20)) for n in range(1, 12)]
    for one in paid:
        home = murmur2_partition(one.id.encode(), 3)
        old = (home + 1) % 3 if replayed == "home" else home
        kafka.put("purchase-confirmed", one.id, at=one.paid_at, partition=old)
    read = {tp: kafka.log_offsets([tp])[tp].log_end_offset or 0 for tp in PARTITIONS}
    kafka.commit_as_worker(GROUP, read)
    for one in paid:
        home = murmur2_partition(one.id.encode(), 3)
        new = home if replayed == "home" else (home + 1) % 3
        kafka.put("purchase-confirmed", one.id, at=NOW - timedelta(minutes=5), partition=new)
    # Of many payments each other's partitions are searched as well.
    snapshots = payment_snapshots([p.id for p in paid], sources(database, kafka)).by_payment.values()
    assert {judge(s).kind for s in snapshots} == {VerdictKind.PENDING}


@pytest.mark.parametrize("there", [True, False], ids=["unread", "no such topic"])
def test_dead_letters_that_can_not_be_read_leave_open_what_they_would_tell(there: bool) -> None:
    database, kafka = FakeDatabase(now=NOW), FakeKafka(now=NOW)
    paid = database.payment(1, paid_at=NOW - timedelta(minutes=20))
    record = kafka.put("purchase-confirmed", paid.id, at=paid.paid_at)
    kafka.commit_as_worker(GROUP, {TopicPartition("purchase-confirmed", record.partition): 1})
    real = kafka.search

    def slow(ranges: Iterable[OffsetRange], needles: Collection[bytes], *, anywhere: bool = False) -> SearchResult:
        found = real(ranges, needles, anywhere=anywhere)
        return SearchResult((), (), {TopicPartition("dead-letter-queue", 0): "time is up"}) if anywhere else found

    if there:
        kafka.search = slow  # type: ignore[method-assign]
    else:
        kafka.remove_topic("dead-letter-queue")
    verdict = judge(payment_snapshots([paid.id], sources(database, kafka)).by_payment[paid.id])
    assert verdict.kind is (VerdictKind.UNKNOWN if there else VerdictKind.SKIPPED), verdict.reason
    assert ("time is up" in verdict.reason) is there


def test_a_partition_whose_committed_offset_was_deleted_has_no_head() -> None:
    database, kafka = FakeDatabase(now=NOW), FakeKafka(now=NOW)
    paid = database.payment(1, paid_at=NOW - timedelta(minutes=20))
    for _ in range(3):
        record = kafka.put("purchase-confirmed", paid.id, at=paid.paid_at)
    where = TopicPartition("purchase-confirmed", record.partition)
    kafka.commit_as_worker(GROUP, {where: 0})
    kafka.delete_before(where, 2)
    snapshot = payment_snapshots([paid.id], sources(database, kafka)).by_payment[paid.id]
    assert snapshot.evidence.value is not None
    assert (snapshot.evidence.value.lag.unprotected, snapshot.evidence.value.head) == (True, None)


def test_copies_under_a_foreign_key_come_before_the_payments_own() -> None:
    database, kafka = FakeDatabase(now=NOW), FakeKafka(now=NOW)
    paid = database.payment(1, paid_at=NOW - timedelta(minutes=20))
    body = f'{{"type": "PURCHASE_CONFIRMED", "paymentId": "{paid.id}"}}'
    own = kafka.put("purchase-confirmed", paid.id, body, at=paid.paid_at)
    foreign = kafka.put("purchase-confirmed", "foreign", body, partition=own.partition, at=paid.paid_at)
    scanned = SearchResult((own, foreign), (), {})
    snapshot = payment_snapshots([paid.id], sources(database, kafka), scanned=scanned).by_payment[paid.id]
    assert snapshot.evidence.value is not None
    assert [m.record for m in snapshot.evidence.value.messages] == [foreign, own]


@pytest.mark.parametrize("announced", [True, False])
def test_a_log_of_announcements_that_was_not_read_to_the_end_leaves_the_verdict_open(announced: bool) -> None:
    database, kafka = FakeDatabase(now=NOW), FakeKafka(now=NOW)
    paid = database.payment(1, paid_at=NOW - timedelta(minutes=20))
    made = database.purchase(paid, own=True, created_at=NOW - timedelta(minutes=3))
    if announced:
        body = f'{{"type": "PURCHASE_CREATED", "purchaseId": "{made.id}"}}'
        kafka.put("purchase-created", paid.id, body, partition=0, at=made.created_at)
    real = kafka.search

    def cut(ranges: Iterable[OffsetRange], needles: Collection[bytes], *, anywhere: bool = False) -> SearchResult:
        found = real(ranges, needles, anywhere=anywhere)
        return SearchResult(found.records, (), {TopicPartition("purchase-created", 1): "time is up"})

    kafka.search = cut  # type: ignore[method-assign]
    verdict = judge(payment_snapshots([paid.id], sources(database, kafka)).by_payment[paid.id])
    assert verdict.kind is (VerdictKind.PURCHASED if announced else VerdictKind.UNKNOWN)
    assert ("time is up" in verdict.reason) is not announced


def verdict_of(database: FakeDatabase, kafka: FakeKafka) -> VerdictKind:
    """The verdict on the only payment."""
    [paid] = database.payments
    return judge(payment_snapshots([paid.id], sources(database, kafka)).by_payment[paid.id]).kind


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (-11, VerdictKind.NEVER_EMITTED),
        (-9, VerdictKind.SKIPPED),
        (59, VerdictKind.SKIPPED),
        (61, VerdictKind.NEVER_EMITTED),
    ],
)
def test_what_was_read_is_looked_for_from_ten_minutes_before_to_an_hour_after(
    minutes: float, expected: VerdictKind
) -> None:
    database, kafka = FakeDatabase(now=NOW), FakeKafka(now=NOW)
    paid = database.payment(1, paid_at=NOW - timedelta(hours=5))
    where = kafka.put("purchase-confirmed", paid.id, at=paid.paid_at + timedelta(minutes=minutes)).partition
    kafka.put("purchase-confirmed", "later", at=NOW - timedelta(hours=1), partition=where)
    kafka.commit_as_worker(GROUP, {tp: kafka.log_offsets([tp])[tp].log_end_offset or 0 for tp in PARTITIONS})
    assert verdict_of(database, kafka) is expected


@pytest.mark.parametrize(("committed", "expected"), [(True, VerdictKind.PENDING), (False, VerdictKind.AT_RISK)])
def test_what_may_still_be_read_is_looked_for_whenever_it_was_written(committed: bool, expected: VerdictKind) -> None:
    database, kafka = FakeDatabase(now=NOW), FakeKafka(now=NOW)
    paid = database.payment(1, paid_at=NOW - timedelta(hours=5))
    where = kafka.put("purchase-confirmed", paid.id, at=NOW - timedelta(minutes=30)).partition
    if committed:
        kafka.commit_as_worker(GROUP, {TopicPartition("purchase-confirmed", where): 0})
    assert verdict_of(database, kafka) is expected
