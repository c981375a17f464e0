"""What `status` concludes from what was read: findings, their order, and the next command."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kcfix.core.judging.snapshot import Reading
from kcfix.core.judging.verdict import OVERDUE, Verdict, VerdictKind
from kcfix.core.offsets import (
    NOTHING_COMMITTED,
    Committed,
    Group,
    GroupLag,
    GroupState,
    LogOffsets,
    Member,
    TopicPartition,
    partition_lag,
)
from kcfix.core.payments import Payment, PaymentId
from kcfix.core.ports.database import DatabaseIdentity, IndexState, SchemaFacts
from kcfix.core.ports.kafka import Broker, Cluster, PartitionInfo, Topic
from kcfix.core.repair.remedy import REMEDIES, Remedy
from kcfix.core.status.findings import all_well, container_health, container_words, findings, worker_health
from kcfix.core.status.next import FEW, next_steps
from kcfix.core.status.read import MAX_JUDGED, Glance, WithoutPurchase, judged, read_without_purchase, worker_facts
from kcfix.core.status.system import DatabaseFacts, Health, KafkaFacts, Observed, PaymentsFacts, Unpurchased
from kcfix.core.workers import Container, ContainerState
from kcfix.core.working.worker import WorkState
from kcfix.errors import Unreachable
from kcfix.flow import Flow, Stage
from tests.fakes_database import FakeDatabase
from tests.fakes_docker import container

FLOW = Flow()
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
START = NOW - timedelta(hours=1)
TABLES = frozenset({"payments", "purchases", "events", "allocations", "sessions", "courses"})


def group_lag_of(stage: Stage, *, members: bool = True, committed: Iterable[int | None] = (3, 3, 3)) -> GroupLag:
    """A group on three partitions of its first topic, each with three records."""
    partitions = [TopicPartition(stage.topics[0], n) for n in range(3)]
    client = f"{stage.worker}-{int((START.timestamp() + 5) * 1000)}"
    member = Member(f"{client}-x", client, "172.18.0.5", tuple(partitions))
    state = GroupState.STABLE if members else GroupState.EMPTY
    lags = tuple(
        partition_lag(tp, NOTHING_COMMITTED if at is None else Committed(at), LogOffsets(0, 3))
        for tp, at in zip(partitions, committed, strict=True)
    )
    return GroupLag(Group(stage.group, state, (member,) if members else ()), lags)


def observed(
    *,
    lags: dict[str, GroupLag] | None = None,
    containers: dict[str, tuple[Container, ...]] | None = None,
    infrastructure: tuple[Container, ...] = (),
    payments: PaymentsFacts | None = None,
    topics: Iterable[str] = FLOW.topics,
    index: IndexState = IndexState.VALID,
) -> Observed:
    """A system in which all is well, but for what is given."""
    every = {s.group: group_lag_of(s) for s in FLOW.stages if s.required} | (lags or {})
    boxes = {s.worker: (container(s.worker, started_at=START),) for s in FLOW.stages if s.required} | (containers or {})
    glance = Glance(NOW, boxes, every)
    known = {name: Topic(name, tuple(PartitionInfo(n, 1, (1,), (1,)) for n in range(3))) for name in topics}
    identity = DatabaseIdentity("db.example", 5432, "kc_app", "reader", "15.0", NOW, read_only=False)
    return Observed(
        flow=FLOW,
        taken_at=NOW,
        docker=Reading(infrastructure),
        kafka=Reading(KafkaFacts(Cluster("c", 1, (Broker(1, "kafka", 9092),)), known, tuple(every.values()))),
        database=Reading(DatabaseFacts(identity, identity, SchemaFacts(TABLES, index))),
        payments=Reading(payments or PaymentsFacts(NOW - timedelta(days=1), (), 0)),
        workers=worker_facts(FLOW, [glance], {s.worker: () for s in FLOW.stages}, NOW),
    )


def unpurchased(n: int, kind: VerdictKind | None) -> Unpurchased:
    """Payment n, an hour old, with that verdict."""
    payment = FakeDatabase(now=NOW).payment(n)
    return Unpurchased(payment, Verdict(payment.id, kind, "because") if kind else None)


def paid(*kinds: VerdictKind | None) -> PaymentsFacts:
    """One payment for each kind."""
    return PaymentsFacts(NOW - timedelta(days=1), tuple(unpurchased(n, kind) for n, kind in enumerate(kinds, 1)), 0)


def identity_of(n: int) -> PaymentId:
    return unpurchased(n, None).payment.id


STOPPED = (container("purchase-worker", state=ContainerState.EXITED, exit_code=0, started_at=START, finished_at=NOW),)
EMPTY = {FLOW.purchase_group: group_lag_of(FLOW.stages[0], members=False)}


def test_a_healthy_system_has_no_finding_and_no_next_step() -> None:
    seen = observed()
    assert findings(seen) == ()
    assert all_well(seen)
    assert next_steps(seen) == ()
    assert {w.work.state for w in seen.workers} == {WorkState.IDLE}


def test_an_optional_worker_appears_only_where_there_is_a_trace_of_it() -> None:
    assert "notification-worker" not in [w.stage.worker for w in observed().workers]
    there = observed(containers={"notification-worker": (container("notification-worker", started_at=START),)})
    row = next(w for w in there.workers if w.stage.worker == "notification-worker")
    assert worker_health(row) is Health.CAUTION  # its group is missing, and nobody is woken for it
    assert all_well(there)


def test_a_container_that_runs_is_not_yet_a_worker_that_works() -> None:
    seen = observed(lags=EMPTY)
    assert worker_health(seen.workers[0]) is Health.BAD
    assert not all_well(seen)
    assert next_steps(seen) == ("kcfix status --sample 60s",)


def test_a_client_that_started_just_before_dockers_stamp_is_no_ghost() -> None:
    stamped_late = container("purchase-worker", started_at=START + timedelta(seconds=5.3))
    seen = observed(containers={"purchase-worker": (stamped_late,)})
    assert seen.workers[0].work.state is WorkState.IDLE
    older = container("purchase-worker", started_at=START + timedelta(seconds=6))
    assert observed(containers={"purchase-worker": (older,)}).workers[0].work.state is WorkState.UNPROVEN


def test_a_worker_to_whom_nothing_was_ever_sent_is_a_caution_and_no_alarm() -> None:
    fresh = group_lag_of(FLOW.stages[0], committed=(None, None, None))
    empty = replace(
        fresh,
        partitions=tuple(partition_lag(p.partition, NOTHING_COMMITTED, LogOffsets(0, 0)) for p in fresh.partitions),
    )
    seen = observed(lags={FLOW.purchase_group: empty})
    assert seen.workers[0].work.state is WorkState.UNPROVEN
    (finding,) = findings(seen)
    assert finding.health is Health.CAUTION
    assert all_well(seen)
    assert next_steps(seen) == ()


def test_a_stopped_worker_is_restarted_by_kcfix() -> None:
    seen = observed(lags=EMPTY, containers={"purchase-worker": STOPPED})
    (finding,) = findings(seen)
    assert (finding.health, finding.subject) == (Health.BAD, "purchase-worker")
    assert "exited" in finding.text
    assert next_steps(seen, "kcfix -C drill") == ("kcfix -C drill restart purchase-worker",)


def test_a_missing_worker_is_a_row_and_a_finding() -> None:
    seen = observed(lags=EMPTY, containers={"purchase-worker": ()})
    assert seen.workers[0].containers == ()
    assert worker_health(seen.workers[0]) is Health.BAD
    assert next_steps(seen) == ("kcfix restart purchase-worker",)


def test_the_log_of_a_crashed_worker_is_read_before_it_is_restarted() -> None:
    crashing = replace(STOPPED[0], state=ContainerState.RESTARTING, exit_code=1)
    seen = observed(lags=EMPTY, containers={"purchase-worker": (crashing,)})
    assert next_steps(seen) == ("kcfix logs purchase-worker --errors", "kcfix restart purchase-worker")


def test_the_purchase_worker_comes_before_the_others_and_payments_before_it() -> None:
    seen = observed(
        lags={**EMPTY, FLOW.cache_group: group_lag_of(FLOW.stages[3], members=False)},
        containers={"purchase-worker": STOPPED, "cache-worker": ()},
        payments=paid(VerdictKind.NEVER_SENT),
        index=IndexState.MISSING,
    )
    subjects = [f.subject for f in findings(seen)]
    assert subjects == ["payments", "purchase-worker", "cache-worker", "database"]


def test_a_missing_index_is_a_caution_and_no_alarm() -> None:
    seen = observed(index=IndexState.INVALID)
    (finding,) = findings(seen)
    assert finding.health is Health.CAUTION
    assert all_well(seen)


def test_a_missing_topic_is_an_alarm() -> None:
    seen = observed(topics=[t for t in FLOW.topics if t != FLOW.dead_letters])
    assert any(FLOW.dead_letters in f.text for f in findings(seen))
    assert not all_well(seen)


def test_records_without_a_committed_offset_are_named_with_what_a_restart_would_skip() -> None:
    seen = observed(lags={FLOW.purchase_group: group_lag_of(FLOW.stages[0], committed=(3, None, 3))})
    (finding,) = findings(seen)
    assert finding.health is Health.CAUTION
    assert "purchase-confirmed-1" in finding.text
    assert "3 records" in finding.text


def test_lost_records_are_an_alarm() -> None:
    lag = group_lag_of(FLOW.stages[0])
    lost = replace(
        lag, partitions=(partition_lag(TopicPartition("purchase-confirmed", 0), Committed(1), LogOffsets(3, 9)),)
    )
    seen = observed(lags={FLOW.purchase_group: lost})
    assert any(f.health is Health.BAD and "2 records were deleted" in f.text for f in findings(seen))


@pytest.mark.parametrize("name", ["kafka", "database", "docker"])
def test_a_silent_system_comes_first_and_is_not_well(name: str) -> None:
    seen = replace(observed(payments=paid(VerdictKind.NEVER_SENT)), **{name: Reading.unknown("no answer in 3 s")})  # type: ignore[arg-type]
    first = findings(seen)[0]
    assert first.health is Health.UNKNOWN
    assert first.subject.lower() == name
    assert not all_well(seen)
    assert next_steps(seen) != ()


def test_nothing_can_be_said_only_if_no_system_answers() -> None:
    silent: Reading[object] = Reading.unknown("no answer")
    seen = replace(observed(), docker=silent, kafka=silent, database=silent)  # type: ignore[arg-type]
    assert seen.could_say_nothing
    assert not replace(seen, database=observed().database).could_say_nothing


def test_a_stopped_broker_is_started_before_anything_else() -> None:
    broker = container("kafka", state=ContainerState.EXITED, exit_code=143, finished_at=NOW)
    seen = replace(observed(infrastructure=(broker,)), kafka=Reading.unknown("refused"))
    assert next_steps(seen) == ("docker start kodingcaravan-kafka",)


def test_payments_that_no_worker_will_settle_are_repaired_by_name() -> None:
    seen = observed(payments=paid(VerdictKind.NEVER_SENT, VerdictKind.SKIPPED))
    assert next_steps(seen) == (f"kcfix repair {identity_of(1)} {identity_of(2)}",)


def test_payments_that_wait_need_the_worker_and_no_repair() -> None:
    kinds = paid(VerdictKind.PENDING, VerdictKind.AT_RISK)
    seen = observed(lags=EMPTY, containers={"purchase-worker": STOPPED}, payments=kinds)
    assert next_steps(seen) == ("kcfix restart purchase-worker",)


def test_repair_of_what_no_worker_settles_comes_before_the_restart() -> None:
    kinds = paid(VerdictKind.PENDING, VerdictKind.NEVER_SENT)
    seen = observed(lags=EMPTY, containers={"purchase-worker": STOPPED}, payments=kinds)
    assert next_steps(seen) == (f"kcfix repair {identity_of(2)}", "kcfix restart purchase-worker")


def test_a_payment_at_risk_under_a_worker_that_works_is_repaired() -> None:
    assert next_steps(observed(payments=paid(VerdictKind.AT_RISK))) == (f"kcfix repair {identity_of(1)}",)


def test_many_payments_are_piped() -> None:
    seen = observed(payments=paid(*[VerdictKind.SKIPPED] * (FEW + 1)))
    assert next_steps(seen, "kcfix -C x") == ("kcfix -C x status -q | kcfix -C x repair -",)


def test_second_payments_alone_are_shown_to_a_person() -> None:
    seen = observed(payments=paid(VerdictKind.SECOND_PAYMENT))
    assert not all_well(seen)
    assert next_steps(seen) == (f"kcfix repair {identity_of(1)}",)


def test_every_verdict_that_needs_something_leads_somewhere() -> None:
    # The worker has what waits, and is well here; the rest needs nothing, or is no payment without a purchase.
    nowhere = {Remedy.WAIT, Remedy.FLIGHT, Remedy.SETTLED, Remedy.NOT_FOUND, Remedy.ANNOUNCE_AGAIN}
    for kind in VerdictKind:
        led = bool(next_steps(observed(payments=paid(kind))))
        assert led is (REMEDIES[kind] not in nowhere), kind
        assert [f.subject for f in findings(observed(payments=paid(kind)))] == ["payments"], kind


def test_findings_count_verdicts_and_name_what_was_not_looked_into() -> None:
    (finding,) = findings(observed(payments=paid(VerdictKind.SKIPPED, VerdictKind.SKIPPED, None)))
    assert finding.text == "3 paid and without a purchase: 2 SKIPPED, 1 not looked into"


def test_a_finished_topic_set_up_is_well_and_a_failed_one_is_not() -> None:
    init = replace(container("kafka-init", state=ContainerState.EXITED, exit_code=0), restart_policy="no")
    assert container_health(init) is Health.GOOD
    assert container_health(replace(init, exit_code=1)) is Health.BAD


def test_out_of_memory_is_said() -> None:
    box = replace(container(state=ContainerState.EXITED, exit_code=137), oom_killed=True)
    assert container_words(box) == "EXITED 137, out of memory"
    assert container_words(replace(container(), health="unhealthy")) == "RUNNING unhealthy"


# reading


def lacking(database: FakeDatabase) -> WithoutPurchase:
    return read_without_purchase(database, NOW - timedelta(days=1), NOW, OVERDUE)


def ids(payments: Iterable[Payment | None]) -> list[str]:
    return [p.id for p in payments if p]


def test_only_overdue_payments_without_their_own_purchase_are_found_oldest_first() -> None:
    database = FakeDatabase(now=NOW)
    young = database.payment(1, paid_at=NOW - timedelta(seconds=30))
    late = database.payment(2, paid_at=NOW - timedelta(minutes=5))
    later = database.payment(3, paid_at=NOW - timedelta(minutes=2))
    database.purchase(database.payment(4))
    database.payment(5, status="refunded")
    database.payment(6, paid_at=NOW - timedelta(hours=25))
    first = database.payment(7, student=7, paid_at=NOW - timedelta(minutes=9))
    database.purchase(first)
    second = database.payment(8, student=7, paid_at=NOW - timedelta(minutes=8))
    found = lacking(database)
    assert ids(f.payment for f in found.overdue) == [second.id, late.id, later.id]
    assert found.in_flight == 1
    assert young.id not in ids(f.payment for f in found.overdue)


def test_a_payment_without_a_course_is_found() -> None:
    database = FakeDatabase(now=NOW)
    lost = database.payment(1, course=None)
    assert ids(f.payment for f in lacking(database).overdue) == [lost.id]


def test_payments_are_listed_with_verdict_unknown_when_kafka_is_silent() -> None:
    from kcfix.core.judging.gather import Sources, WorkerContainers

    database = FakeDatabase(now=NOW)
    for n in range(1, MAX_JUDGED + 3):
        database.payment(n)

    def silent() -> object:
        raise Unreachable("Kafka did not answer")

    sources = Sources(FLOW, lambda: database, silent, lambda: WorkerContainers((), ()), lambda: NOW)  # type: ignore[arg-type]
    facts = judged(lacking(database), sources, OVERDUE)
    kinds = [u.kind for u in facts.unpurchased]
    assert kinds == [VerdictKind.UNKNOWN] * MAX_JUDGED + [None, None]
    assert len(facts.ids) == MAX_JUDGED + 2
