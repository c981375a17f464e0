"""The search of whole topics: what it finds counts as evidence, in pieces, and what could not be read is said."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta

import pytest

from kcfix.core.events import murmur2_partition
from kcfix.core.judging.scan import PIECE, SMALLEST_PIECE, scan, scan_ranges
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import Payment, PaymentId
from kcfix.core.ports.kafka import OffsetRange, SearchResult
from kcfix.core.story.payment_story import Story
from kcfix.flow import Flow
from tests.conftest import NOW
from tests.core.stories import FLOW, put_confirmed, story
from tests.fakes_database import FakeDatabase
from tests.fakes_kafka import FakeKafka

PAID = NOW - timedelta(days=2)


def scanned(kafka: FakeKafka, *ids: PaymentId) -> SearchResult:
    """All of both topics."""
    return scan(kafka, scan_ranges(kafka, FLOW), ids, lambda count: None)


def judged(database: FakeDatabase, kafka: FakeKafka, paid: Payment, *, with_scan: bool) -> Story:
    """The story with or without a scan before it."""
    return story(paid.id, database, kafka, scanned=scanned(kafka, paid.id) if with_scan else None)


def passed(kafka: FakeKafka) -> None:
    """The purchase group has read everything."""
    ends = {TopicPartition(FLOW.purchase_confirmed, p): 0 for p in range(3)}
    for record in kafka.log(FLOW.purchase_confirmed):
        ends[TopicPartition(record.topic, record.partition)] = record.offset + 1
    kafka.commit_as_worker(FLOW.purchase_group, ends)


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase(now=NOW)


@pytest.fixture
def kafka() -> FakeKafka:
    return FakeKafka(now=NOW)


def test_a_message_with_a_foreign_key_is_a_message_of_the_payment(database: FakeDatabase, kafka: FakeKafka) -> None:
    paid = database.payment(1, paid_at=PAID)
    record = put_confirmed(kafka, paid, record_key="foreign")
    passed(kafka)
    assert judged(database, kafka, paid, with_scan=False).verdict.kind is VerdictKind.NEVER_EMITTED
    told = judged(database, kafka, paid, with_scan=True)
    assert told.verdict.kind is VerdictKind.SKIPPED
    assert f"purchase-confirmed-{record.partition} offset {record.offset}" in told.verdict.reason
    assert [h.scanned for h in told.hops] == [True]


def test_a_message_with_a_wrong_clock_is_found(database: FakeDatabase, kafka: FakeKafka) -> None:
    paid = database.payment(1, paid_at=PAID)
    put_confirmed(kafka, paid, PAID - timedelta(days=3))
    passed(kafka)
    assert judged(database, kafka, paid, with_scan=False).verdict.kind is VerdictKind.NEVER_EMITTED
    assert judged(database, kafka, paid, with_scan=True).verdict.kind is VerdictKind.SKIPPED


def test_what_the_usual_search_finds_is_not_said_to_be_found_by_the_scan(
    database: FakeDatabase, kafka: FakeKafka
) -> None:
    paid = database.payment(1, paid_at=PAID)
    put_confirmed(kafka, paid)
    passed(kafka)
    told = judged(database, kafka, paid, with_scan=True)
    assert [h.scanned for h in told.hops] == [False]
    assert told.verdict == judged(database, kafka, paid, with_scan=False).verdict


def test_its_own_message_goes_before_one_with_a_foreign_key(database: FakeDatabase, kafka: FakeKafka) -> None:
    paid = database.payment(1, paid_at=PAID)
    own = put_confirmed(kafka, paid)
    other = next(k for k in "abcdefgh" if murmur2_partition(k.encode(), 3) != own.partition)
    put_confirmed(kafka, paid, record_key=other)
    passed(kafka)
    told = judged(database, kafka, paid, with_scan=True)
    assert told.verdict.message is not None
    assert told.verdict.message.record == own
    assert told.snapshot.evidence.value is not None
    assert told.snapshot.evidence.value.partition.partition == own.partition
    assert len(told.hops) == 2


def test_a_record_that_only_names_the_payment_is_shown_and_is_no_message_of_it(
    database: FakeDatabase, kafka: FakeKafka
) -> None:
    paid = database.payment(1, paid_at=PAID)
    kafka.put(FLOW.purchase_confirmed, "x", f'{{"note":"see {paid.id}"}}', at=PAID)
    passed(kafka)
    told = judged(database, kafka, paid, with_scan=True)
    assert told.verdict.kind is VerdictKind.NEVER_EMITTED
    assert len(told.hops) == 1


def test_a_dead_letter_from_before_the_payment_is_found(database: FakeDatabase, kafka: FakeKafka) -> None:
    paid = database.payment(1, paid_at=PAID)
    put_confirmed(kafka, paid)
    passed(kafka)
    letter = f'{{"originalEvent":{{"paymentId":"{paid.id}"}},"failureReason":"no such tier"}}'
    kafka.put(FLOW.dead_letters, "unknown", letter, at=PAID - timedelta(days=4))
    assert judged(database, kafka, paid, with_scan=False).verdict.kind is VerdictKind.SKIPPED
    told = judged(database, kafka, paid, with_scan=True)
    assert told.verdict.kind is VerdictKind.DEAD_LETTERED
    assert [d.reason for d in told.letters] == ["no such tier"]


def test_an_unknown_payment_is_told_what_the_log_has_of_it(database: FakeDatabase, kafka: FakeKafka) -> None:
    paid = FakeDatabase(now=NOW).payment(1, paid_at=PAID)
    put_confirmed(kafka, paid)
    told = judged(database, kafka, paid, with_scan=True)
    assert told.verdict.kind is VerdictKind.NOT_FOUND
    assert len(told.hops) == 1


def test_an_id_in_upper_case_is_found(database: FakeDatabase, kafka: FakeKafka) -> None:
    paid = database.payment(1, paid_at=PAID)
    wanted = PaymentId("abcdef00-0000-4000-8000-000000000001")
    kafka.put(FLOW.purchase_confirmed, "x", f'{{"paymentId":"{wanted.upper()}"}}', at=PAID)
    assert len(scanned(kafka, wanted).records) == 1
    assert scanned(kafka, paid.id).records == ()


class Pieces(FakeKafka):
    """Notes what it is asked for; does not get through a piece of more than `most` offsets."""

    def __init__(self, most: int = PIECE) -> None:
        super().__init__({FLOW.purchase_confirmed: 1, FLOW.dead_letters: 1}, now=NOW)
        self.most = most
        self.asked: list[int] = []

    def search(
        self, ranges: Iterable[OffsetRange], needles: Collection[bytes], *, anywhere: bool = False
    ) -> SearchResult:
        wanted = tuple(ranges)
        self.asked += [r.end - r.start for r in wanted]
        late = {r.partition: "not read in time" for r in wanted if r.end - r.start > self.most}
        found = super().search(wanted, needles, anywhere=anywhere)
        return SearchResult(found.records, found.searched, late)


def filled(kafka: Pieces, count: int) -> PaymentId:
    """So many records, the last of which names the payment."""
    wanted = PaymentId("00000000-0000-4000-8000-00000000000a")
    for n in range(count):
        kafka.put(FLOW.purchase_confirmed, "x", wanted if n == count - 1 else "y", partition=0)
    return wanted


def test_the_log_is_read_in_pieces_and_each_is_told_of() -> None:
    kafka = Pieces()
    wanted = filled(kafka, 1200)
    told: list[int] = []
    ranges = scan_ranges(kafka, Flow())
    found = scan(kafka, ranges, [wanted], told.append)
    assert len(found.records) == 1
    assert found.searched == (OffsetRange(TopicPartition(FLOW.purchase_confirmed, 0), 0, 1200),)
    assert sum(told) == ranges.offsets == 1200
    assert max(kafka.asked) <= PIECE


def test_a_piece_that_is_not_read_in_time_is_asked_for_in_smaller_ones() -> None:
    kafka = Pieces(most=SMALLEST_PIECE)
    wanted = filled(kafka, 1200)
    found = scan(kafka, scan_ranges(kafka, FLOW), [wanted], lambda count: None)
    assert (len(found.records), found.failed) == (1, {})
    assert kafka.asked[-1] <= SMALLEST_PIECE


def test_a_partition_that_can_not_be_read_is_given_up_and_named() -> None:
    kafka = Pieces(most=10)
    wanted = filled(kafka, 1200)
    told: list[int] = []
    found = scan(kafka, scan_ranges(kafka, FLOW), [wanted], told.append)
    assert found.failed == {TopicPartition(FLOW.purchase_confirmed, 0): "not read in time"}
    assert found.records == ()
    assert sum(told) == 1200


def test_times_narrow_the_scan_and_retention_too(kafka: FakeKafka) -> None:
    tp = TopicPartition(FLOW.purchase_confirmed, 0)
    for n in range(10):
        kafka.put(tp.topic, "x", partition=0, at=NOW - timedelta(hours=10 - n))
    kafka.delete_before(tp, 2)
    every = scan_ranges(kafka, FLOW)
    assert every.ranges == (OffsetRange(tp, 2, 10),)
    some = scan_ranges(kafka, FLOW, NOW - timedelta(hours=5), NOW - timedelta(hours=2))
    assert some.ranges == (OffsetRange(tp, 5, 8),)
    assert scan_ranges(kafka, FLOW, NOW).ranges == ()


def test_a_partition_without_offsets_is_named(kafka: FakeKafka) -> None:
    tp = TopicPartition(FLOW.purchase_confirmed, 1)
    kafka.partition_errors[tp] = "no leader"
    assert scanned(kafka, PaymentId("00000000-0000-4000-8000-00000000000a")).failed == {tp: "no leader"}


def test_without_the_topics_there_is_nothing_to_scan() -> None:
    assert scan_ranges(FakeKafka({}), FLOW).offsets == 0
