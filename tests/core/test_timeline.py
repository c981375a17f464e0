"""The merged story of a payment: order, gaps, and what is not known."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from kcfix.cli.trace_told import tell
from kcfix.core.journal import JournalStep, RunRecord
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.offsets import Committed, TopicPartition
from kcfix.core.ports.kafka import OffsetRange, SearchResult
from kcfix.core.story.maker import Maker
from kcfix.core.story.stages import StageState
from kcfix.core.story.timeline import timeline
from kcfix.core.workers import ContainerState
from tests.conftest import NOW
from tests.core.stories import FLOW, log_text, put_confirmed, put_created, put_event, story
from tests.fakes_database import FakeDatabase, event_id
from tests.fakes_docker import FakeDocker, container, line
from tests.fakes_kafka import FakeKafka

PAID = NOW - timedelta(minutes=30)


def test_the_incident_is_told_as_it_happened() -> None:
    """docs/system.md 57: paid, recorded 2.4 s later, made by hand 13 minutes later, while the worker read nothing."""
    day = datetime(2026, 1, 15, tzinfo=UTC)
    paid_at = day.replace(hour=8, minute=22, second=22, microsecond=352000)
    recorded = day.replace(hour=8, minute=22, second=24, microsecond=753000)
    by_hand = day.replace(hour=8, minute=35, second=21, microsecond=31000)
    database, kafka = FakeDatabase(now=NOW), FakeKafka(now=NOW)
    paid = database.payment(1, paid_at=paid_at, created_at=paid_at - timedelta(minutes=1))
    database.event(paid, processed_at=recorded)
    purchase = database.purchase(paid, created_at=by_hand)
    script = database.event(
        paid, "PURCHASE_CREATED", source="create-purchase-from-payment-script", processed_at=by_hand
    )
    database.events[-1] = replace(script, correlation_id=purchase.id)
    put_confirmed(kafka, paid, recorded)
    kafka.join_worker(FLOW.purchase_group, FLOW.purchase_confirmed)  # it holds the partition and commits nothing
    docker = FakeDocker.of([container(started_at=paid_at - timedelta(hours=3))])

    told = tell(story(paid.id, database, kafka, docker), FLOW)

    moments = told.timeline.moments
    assert [(m.source, m.at) for m in moments[1:]] == [
        ("payments", paid_at),
        ("processed_events", recorded),
        ("purchase-confirmed-0", recorded),
        ("processed_events", by_hand),
        ("student_course_purchases", by_hand),
        ("now", NOW),
    ]
    gaps = dict(zip([m.at for m in moments], told.timeline.gaps, strict=True))
    assert told.timeline.gaps[2] == timedelta(seconds=2, milliseconds=401)
    assert told.timeline.gaps[4] == timedelta(minutes=12, seconds=56, milliseconds=278)
    assert gaps[NOW] == NOW - by_hand
    assert told.waited == timedelta(minutes=12, seconds=58, milliseconds=679)
    assert told.still_waiting is False
    assert told.maker is not None
    assert (told.maker.maker, told.maker.sure) == (Maker.SCRIPT, True)
    assert told.maker.name == "create-purchase-from-payment.js"
    assert told.story.verdict.kind is VerdictKind.UNANNOUNCED
    assert "no usable committed offset" in told.stages[1].proof
    rows = [m for m in moments if m.source == "processed_events"]
    assert [m.sure for m in rows] == [False, False]
    assert "proves no send" in rows[0].text


def whole_flow(kafka: FakeKafka, paid_at: datetime = PAID) -> FakeDatabase:
    """A payment that went through every stage."""
    database = FakeDatabase(now=NOW)
    paid = database.payment(1, paid_at=paid_at)
    database.event(paid)
    put_confirmed(kafka, paid)
    bought = database.purchase(paid)
    put_created(kafka, paid, bought)
    allocation = database.allocation(bought, sessions=20)
    at = bought.created_at + timedelta(seconds=2)
    database.allocated_at[allocation.id] = at
    database.sessions_made[allocation.id] = (at + timedelta(seconds=1), at + timedelta(seconds=2))
    later = (
        ("trainer-allocated", "TRAINER_ALLOCATED", "admin-service", allocation.id),
        ("trainer-allocated", "TRAINER_ALLOCATED", "allocation-worker", paid.id),
        ("sessions-generated", "SESSIONS_GENERATED", "admin-service", allocation.id),
        ("course-access-granted", "COURSE_ACCESS_GRANTED", "purchase-worker", paid.id),
        ("notification-requested", "NOTIFICATION_REQUESTED", "allocation-worker", allocation.id),
    )
    for n, (topic, kind, source, key) in enumerate(later):
        body = {"type": kind, "allocationId": allocation.id}
        put_event(kafka, topic, body, key=key, event_id=event_id(77), source=source, at=at + timedelta(milliseconds=n))
    return database


def test_every_hop_of_a_settled_payment_is_there_with_its_groups() -> None:
    kafka = FakeKafka(now=NOW)
    database = whole_flow(kafka)
    told = story(database.payments[0].id, database, kafka)
    assert told.verdict.kind is VerdictKind.PURCHASED
    assert [(h.record.topic, h.event.source if h.event else None) for h in told.hops] == [
        ("purchase-confirmed", "payment-service"),
        ("purchase-created", "purchase-worker"),
        ("trainer-allocated", "admin-service"),
        ("trainer-allocated", "allocation-worker"),
        ("sessions-generated", "admin-service"),
        ("course-access-granted", "purchase-worker"),
        ("notification-requested", "allocation-worker"),
    ]
    groups = {h.record.topic: [r.group for r in h.readers] for h in told.hops}
    assert groups["purchase-created"] == ["trainer-allocation-workers", "cache-invalidation-workers"]
    assert groups["course-access-granted"] == []
    assert {s.state for s in tell(told, FLOW).stages} == {StageState.DONE}


def asked_of(others: int) -> tuple[int, int]:
    """Offsets that are read, and requests that are made, for one payment among so many other records a partition."""
    kafka = FakeKafka(now=NOW)

    def fill(at: datetime) -> None:
        for topic in FLOW.topics:
            for partition in range(3):
                for _ in range(others):
                    kafka.put(topic, "x", partition=partition, at=at)

    fill(NOW - timedelta(days=1))
    database = whole_flow(kafka, NOW - timedelta(hours=6))
    fill(NOW - timedelta(minutes=10))
    ends = {TopicPartition(t, p): len(kafka._logs[TopicPartition(t, p)].records) for t in FLOW.topics for p in range(3)}
    for stage in FLOW.stages:
        kafka.commit_as_worker(stage.group, {tp: end for tp, end in ends.items() if tp.topic in stage.topics})
    read = 0
    real = kafka.search

    def counted(ranges: Iterable[OffsetRange], needles: Collection[bytes], *, anywhere: bool = False) -> SearchResult:
        nonlocal read
        wanted = tuple(ranges)
        read += sum(r.end - r.start for r in wanted)
        return real(wanted, needles, anywhere=anywhere)

    kafka.search = counted  # type: ignore[method-assign]
    told = story(database.payments[0].id, database, kafka)
    assert len(told.hops) == 7
    return read, len(kafka.calls)


def test_what_is_read_does_not_grow_with_the_topics() -> None:
    # Dead letters are read from the payment on (docs/decisions.md 2), so those of the fill are the only ones more.
    alone, among = asked_of(0), asked_of(200)
    assert among[1] == alone[1]
    assert among[0] - alone[0] == 3 * 200


def test_the_story_sees_the_group_where_the_verdict_saw_it() -> None:
    class Moving(FakeKafka):
        """The worker commits after each look at its offsets."""

        def committed(self, ids: Collection[str]) -> Mapping[str, Mapping[TopicPartition, Committed]]:
            seen = super().committed(ids)
            if len(list(ids)) == 2:  # the reading on which the verdict rests
                return seen
            return {**seen, FLOW.purchase_group: {TopicPartition("purchase-confirmed", 0): Committed(1)}}

    kafka, database = Moving(now=NOW), FakeDatabase(now=NOW)
    paid = database.payment(1, paid_at=PAID)
    put_confirmed(kafka, paid)
    kafka.commit_as_worker(FLOW.purchase_group, {TopicPartition("purchase-confirmed", 0): 0})
    told = tell(story(paid.id, database, kafka), FLOW)
    assert told.story.verdict.kind is VerdictKind.PENDING
    assert told.stages[1].state is StageState.WAITING


def test_times_that_nobody_recorded_are_apart() -> None:
    database, kafka = FakeDatabase(now=NOW), FakeKafka(now=NOW)
    paid = database.payment(1, paid_at=PAID, unconfirmed=True)
    bought = database.purchase(paid)
    database.allocation(bought, sessions=0)
    told = timeline(story(paid.id, database, kafka), FLOW)
    assert [u.source for u in told.undated] == ["payments", "trainer_allocations"]
    assert all(m.text != "payment confirmed, status succeeded" for m in told.moments)


def test_an_empty_story_has_only_now() -> None:
    told = timeline(story(FakeDatabase().payment(9).id, FakeDatabase(now=NOW), FakeKafka(now=NOW)), FLOW)
    assert [m.source for m in told.moments] == ["now"]
    assert told.gaps == (None,)


def test_dead_letters_of_one_record_are_one_moment() -> None:
    database, kafka = FakeDatabase(now=NOW), FakeKafka(now=NOW)
    paid = database.payment(1, paid_at=PAID)
    record = put_confirmed(kafka, paid)
    for n in range(6):
        letter = (
            f'{{"originalEvent":{{"paymentId":"{paid.id}"}},"originalTopic":"purchase-confirmed",'
            f'"originalPartition":{record.partition},"originalOffset":"0","failureReason":"tier check {n}"}}'
        )
        kafka.put("dead-letter-queue", paid.id, letter, at=PAID + timedelta(seconds=10 + n))
    found = [m for m in timeline(story(paid.id, database, kafka), FLOW).moments if m.source == "dead-letter-queue"]
    assert len(found) == 1
    assert (found[0].count, found[0].until) == (6, PAID + timedelta(seconds=15))
    assert "6 dead letters, the newest: tier check 5" in found[0].text
    assert f"purchase-confirmed-{record.partition} offset 0" in found[0].text


def test_log_lines_are_condensed_to_milestones_and_errors() -> None:
    database, kafka = FakeDatabase(now=NOW), FakeKafka(now=NOW)
    paid = database.payment(1, paid_at=PAID)
    box = container(state=ContainerState.EXITED, started_at=PAID - timedelta(hours=1))
    said = [
        log_text("[PurchaseWorker] 📨 Received PURCHASE_CONFIRMED event from Kafka", correlationId=paid.id),
        *[log_text("[RetryPolicy] Operation failed, retrying", "warn", correlationId=paid.id, error="no")] * 4,
        log_text("something unimportant", correlationId=paid.id),
        log_text("Purchase creation failed", "error", correlationId=paid.id, error="tier check"),
    ]
    lines = [line(box.name, PAID + timedelta(seconds=n), text) for n, text in enumerate(said)]
    moments = timeline(story(paid.id, database, kafka, FakeDocker.of([box], lines)), FLOW).moments
    assert [m.text for m in moments if m.source == box.name] == [
        "received",
        "retried: no, 4 times",
        "error: tier check",
    ]


def test_steps_of_earlier_runs_are_part_of_the_story() -> None:
    database, kafka = FakeDatabase(now=NOW), FakeKafka(now=NOW)
    paid = database.payment(1, paid_at=PAID)
    at = PAID + timedelta(minutes=9)
    mine = JournalStep("1", at, {"step": "insert", "payment_id": paid.id}, at, {"state": "INSERTED"})
    torn = JournalStep("2", at + timedelta(seconds=1), {"step": "announce", "payment_id": paid.id})
    other = JournalStep("3", at, {"step": "insert", "payment_id": "another"})
    run = RunRecord("r1", at, "someone", "repair", "", (), None, (torn, mine, other))
    told = story(paid.id, database, kafka, runs=[run])
    moments = [m for m in timeline(told, FLOW).moments if m.source == "kcfix"]
    assert [m.text for m in moments] == [
        "insert, run r1: INSERTED",
        "announce, run r1: what became of it is not recorded",
    ]
