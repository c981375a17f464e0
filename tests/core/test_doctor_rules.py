"""What the doctor says of one fault at a time: a table of broken systems and the cause that must come first."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from kcfix.cli.examining import examine
from kcfix.core.doctor.diagnose import diagnose
from kcfix.core.doctor.diagnosis import Confidence, Severity
from kcfix.core.doctor.rules import RULES
from kcfix.core.offsets import TopicPartition
from kcfix.core.ports.database import IndexState
from kcfix.core.ports.health import LockWait, OpenTransaction, RoleFacts
from kcfix.core.status.findings import all_well
from kcfix.core.workers import ContainerState
from kcfix.core.working.worker import Sign, Sure, WorkState
from kcfix.errors import AccessDenied, Unreachable
from tests.fakes_docker import container
from tests.ward import FLOW, HEALTH, MINUTE, NOW, START, WORKER, Breaking, Ward

TOPIC = FLOW.purchase_confirmed


class Case(NamedTuple):
    """A way to break the system, and the code that must stand first."""

    name: str
    breaking: Breaking
    code: str
    severity: Severity = Severity.ERROR


def oom(ward: Ward) -> None:
    ward.end(exit_code=137, state=ContainerState.RESTARTING, oom_killed=True, memory_limit_bytes=24 * 2**20)


def crash_loop(ward: Ward) -> None:
    ward.end(exit_code=1, state=ContainerState.RESTARTING, restart_count=7)
    ward.log("uncaughtException: Cannot find module './purchase-stores'", exception=True)


def redis_unset(ward: Ward) -> None:
    ward.end(exit_code=1, state=ContainerState.RESTARTING, restart_count=7)
    ward.change(environment={k: v for k, v in ward.box().environment.items() if k != "REDIS_URL"})
    ward.log("uncaughtException: REDIS_URL environment variable is required", exception=True)


def brokers_unset(ward: Ward) -> None:
    ward.end(exit_code=1, state=ContainerState.RESTARTING, restart_count=7)
    ward.change(environment={k: v for k, v in ward.box().environment.items() if k != "KAFKA_BROKERS"})
    ward.kafkajs("[Connection] Connection error: connect ECONNREFUSED 127.0.0.1:9092")
    ward.log("[PurchaseWorker] Fatal error", error="Connection error: connect ECONNREFUSED 127.0.0.1:9092")


def brokers_misspelt(ward: Ward) -> None:
    ward.end(exit_code=1, state=ContainerState.RESTARTING, restart_count=7)
    ward.change(environment={**ward.box().environment, "KAFKA_BROKERS": "kafak:9092"})
    ward.kafkajs("[Connection] Connection error: getaddrinfo ENOTFOUND kafak")


def sasl(ward: Ward) -> None:
    ward.end(exit_code=1, state=ContainerState.RESTARTING, restart_count=7)
    ward.kafkajs("[Connection] SASL PLAIN authentication failed: Authentication failed")


def dead_consumer(ward: Ward) -> None:
    ward.kafka.put(TOPIC, partition=0, value=b"", at=NOW - 9 * MINUTE)
    ward.kafka.leave(FLOW.purchase_group)
    ward.log(
        "[KafkaConsumer] Message processing failed",
        ago=9 * MINUTE,
        topic=TOPIC,
        partition=0,
        offset="0",
        error="Unexpected end of JSON input",
    )
    ward.kafkajs("[Consumer] Crash: KafkaJSNonRetriableError: Unexpected end of JSON input", ago=9 * MINUTE)


def poison(ward: Ward) -> None:
    paid = ward.pay(1, ago=10 * MINUTE)
    ward.dead_letter(*ward.offset_of(paid), 'violates check constraint "…purchase_tier_check"', payment=paid)


def poison_unprotected(ward: Ward) -> None:
    paid = ward.pay(1, ago=10 * MINUTE)
    partition, offset = ward.offset_of(paid)
    ward.uncommit(partition)
    ward.dead_letter(partition, offset, 'violates check constraint "…purchase_tier_check"', payment=paid)


def skipped(ward: Ward) -> None:
    ward.uncommit()
    ward.pay(1, ago=90 * MINUTE)


def offsets_gone(ward: Ward) -> None:
    ward.end()
    ward.pay(1, ago=4 * MINUTE)
    ward.handled(0, 3, ago=50 * MINUTE)
    ward.uncommit(0, 1, 2)


def truncated(ward: Ward) -> None:
    for _ in range(4):
        ward.kafka.put(TOPIC, partition=1, at=NOW - 10 * MINUTE)
    ward.kafka.delete_before(TopicPartition(TOPIC, 1), 3)


def deleted_and_reset(ward: Ward) -> None:
    paid = ward.pay(1, ago=10 * MINUTE, sent=False)
    partition = ward.partition_of(paid)
    ward.kafka.put(TOPIC, partition=partition, at=NOW - 10 * MINUTE)
    ward.kafka.delete_before(TopicPartition(TOPIC, partition), 1)
    ward.commit(partition, 1)
    words = "[ConsumerGroup] Offset out of range, resetting to default offset"
    ward.kafkajs(words, ago=5 * MINUTE, topic=TOPIC, partition=partition)


def all_offsets_gone(ward: Ward) -> None:
    ward.database.allocation(ward.database.purchase(ward.database.payment(8)), sessions=20)
    ward.pay(1, ago=10 * MINUTE)
    ward.uncommit()


def another_log(ward: Ward) -> None:
    ward.commit(1, 7)


def wrong_group(ward: Ward) -> None:
    ward.kafka.leave(FLOW.purchase_group)
    member = f"{WORKER}-{int((START + timedelta(seconds=3)).timestamp() * 1000)}"
    ward.kafka.join_worker("purchase-creation-worker", TOPIC, client_id=member, host="172.18.0.5")


def wrong_topic(ward: Ward) -> None:
    ward.end(exit_code=1, state=ContainerState.RESTARTING, restart_count=7)
    ward.log("[KafkaConsumer] Connected and subscribed", level="info", topics=["purchases-confirmed"])
    ward.log("[PurchaseWorker] Fatal error", error="This server does not host this topic-partition")


def stalled(ward: Ward) -> None:
    paid = ward.pay(1, ago=10 * MINUTE)
    ward.received(*ward.offset_of(paid), ago=9 * MINUTE)


def slow(ward: Ward) -> None:
    for n in range(4):
        ward.kafka.put(TOPIC, partition=0, at=NOW - 9 * MINUTE)
        ward.received(0, n, ago=timedelta(seconds=40 - 8 * n))
        ward.handled(0, n, ago=timedelta(seconds=36 - 8 * n))
    for _ in range(90):
        ward.kafka.put(TOPIC, partition=0, at=NOW - 5 * MINUTE)
    ward.commit(0, 4)


def database_password(ward: Ward) -> None:
    ward.log(
        "[RetryPolicy] Operation failed, retrying", level="warn", error='password authentication failed for user "app"'
    )
    ward.change(
        environment={**ward.box().environment, "POSTGRES_URL": "postgresql://app:old@db.example:5432/kc_app"},
    )


def other_database(ward: Ward) -> None:
    paid = ward.pay(1, ago=10 * MINUTE)
    partition, offset = ward.offset_of(paid)
    ward.commit(partition, offset + 1)
    ward.handled(partition, offset, ago=9 * MINUTE)
    ward.change(
        environment={
            **ward.box().environment,
            "POSTGRES_URL": "postgresql://app:made-up-password@db.example:5432/kc_old",
        },
    )


def committed_before_written(ward: Ward) -> None:
    paid = ward.pay(1, ago=10 * MINUTE)
    partition, offset = ward.offset_of(paid)
    ward.commit(partition, offset + 1)
    ward.handled(partition, offset, ago=9 * MINUTE)


def reset_to_latest(ward: Ward) -> None:
    paid = ward.pay(1, ago=10 * MINUTE)
    partition, offset = ward.offset_of(paid)
    ward.commit(partition, offset + 1)


def locked(ward: Ward) -> None:
    holder = OpenTransaction(7, "report", "psql", "idle in transaction", 9 * MINUTE, 9 * MINUTE, ("purchases",))
    wait = LockWait(9, "purchases", "RowExclusiveLock", timedelta(seconds=20), "koding-caravan", 7)
    ward.database.condition = replace(HEALTH, waits=(wait,), transactions=(holder,))
    ward.database.refused_tables = Unreachable("database db.example did not answer within 3 s (reading payments)")


def read_only(ward: Ward) -> None:
    ward.database.read_only = True
    ward.database.condition = replace(HEALTH, read_only=True, read_only_database=True)


def rights(ward: Ward) -> None:
    lacking = RoleFacts("app", exists=True, lacking=("INSERT ON student_course_purchases",))
    ward.database.condition = replace(HEALTH, roles={"app": lacking})


def full(ward: Ward) -> None:
    ward.database.condition = replace(HEALTH, connections=97)


def doubles(ward: Ward) -> None:
    ward.database.index = IndexState.MISSING
    paid = ward.database.payment(1)
    for _ in range(2):
        ward.database.allocation(ward.database.purchase(paid), sessions=20)


def old_events(ward: Ward) -> None:
    ward.database.shape = "A"
    ward.log(
        "[RetryPolicy] Operation failed, retrying",
        service="allocation-worker",
        error='invalid input syntax for type uuid: "purchase-created-00000000-0000-4000-8000-000000000001"',
    )


def no_slot(ward: Ward) -> None:
    ward.database.condition = replace(HEALTH, unique_indexes={"idx_processed_events_idempotency": True})
    text = "there is no unique or exclusion constraint matching the ON CONFLICT specification"
    ward.log("[RetryPolicy] Operation failed, retrying", service="session-worker", error=text)


def clock(ward: Ward) -> None:
    ward.kafka.put(TOPIC, partition=0, at=NOW + timedelta(hours=2))
    ward.commit(0, 1)


def no_trainer(ward: Ward) -> None:
    text = "Allocation service returned allocation without trainerId"
    ward.log("[RetryPolicy] Operation failed, retrying", service="allocation-worker", error=text)


def no_place(ward: Ward) -> None:
    ward.log("STUDENT GPS ISSUE: no location in student_profiles", service="allocation-worker")


def approval(ward: Ward) -> None:
    text = 'insert or update on table "trainer_allocations" violates "trainer_allocations_allocated_by_fkey"'
    ward.log("Auto Assignment: failed", service="allocation-worker", error=text)


def hot(ward: Ward) -> None:
    for _ in range(60):
        ward.kafka.put(TOPIC, partition=1, at=NOW - 5 * MINUTE)
    ward.commit(1, 10)
    for n in range(8, 10):
        ward.received(1, n, ago=timedelta(seconds=2, milliseconds=30))
        ward.handled(1, n, ago=timedelta(seconds=2))


def cut_off(ward: Ward) -> None:
    for service in ("purchase-worker", "allocation-worker", "session-worker", "cache-worker"):
        ward.end(service, 1, state=ContainerState.RESTARTING, restart_count=3)
        ward.kafkajs("[Connection] Connection error: getaddrinfo ENOTFOUND kafka", service=service)
    ward.change("kafka", name="old-name", aliases=("broker",))


def add_partition(ward: Ward) -> None:
    ward.kafka._logs[TopicPartition(TOPIC, 3)] = type(next(iter(ward.kafka._logs.values())))()
    ward.kafka.put(TOPIC, partition=3, at=NOW - 5 * MINUTE)


def both(*steps: Breaking) -> Breaking:
    """One after the other."""

    def breaking(ward: Ward) -> None:
        for step in steps:
            step(ward)

    return breaking


def kafka_down(error: str = "no answer within 3 s") -> Breaking:
    """Kafka does not answer."""
    return lambda ward: setattr(ward.kafka, "down", Unreachable(error))


def topic_setting(**fields: Any) -> Breaking:
    def breaking(ward: Ward) -> None:
        ward.kafka.configs[TOPIC] = replace(ward.kafka.configs[TOPIC], **fields)

    return breaking


CASES = (
    Case("stopped by hand", both(lambda w: w.end(), lambda w: w.happened("kill", signal="15")), "W001"),
    Case("killed from outside", both(lambda w: w.end(exit_code=137), lambda w: w.happened("kill", signal="9")), "W001"),
    Case("never started", lambda w: w.end(state=ContainerState.CREATED, started_at=None), "W001"),
    Case("no container", lambda w: w.remove(), "W002"),
    Case("crashing", crash_loop, "W003"),
    Case("out of memory", oom, "W004"),
    Case("paused", lambda w: w.end(state=ContainerState.PAUSED), "W005"),
    Case("dead consumer", dead_consumer, "W006"),
    Case("ended, not restarted", lambda w: w.end(exit_code=1, restart_policy="no"), "W007"),
    Case(
        "killed by nobody, not restarted",
        both(lambda w: w.end(exit_code=137, restart_policy="no"), lambda w: w.happened("die", exit_code=137)),
        "W007",
    ),
    Case("runs, not in its group", lambda w: w.kafka.leave(FLOW.purchase_group), "W008"),
    Case("hangs on a message", stalled, "W009"),
    Case("slow", slow, "W014"),
    Case("another worker stopped", lambda w: w.end("cache-worker"), "W001"),
    Case("broker stopped", both(lambda w: w.end("kafka", 143), kafka_down()), "K001"),
    Case(
        "broker paused",
        both(lambda w: w.end("kafka", state=ContainerState.PAUSED), kafka_down()),
        "K001",
    ),
    Case("broker silent", lambda w: setattr(w.kafka, "down", Unreachable("no answer within 3 s")), "K002"),
    Case("Kafka refuses kcfix", lambda w: setattr(w.kafka, "down", AccessDenied("SASL authentication failed")), "K003"),
    Case("Kafka refuses the worker", sasl, "K003"),
    Case("topic missing", lambda w: w.kafka.remove_topic(FLOW.purchase_created), "K004"),
    Case("topic keeps too little", topic_setting(retention=timedelta(minutes=5)), "K011", Severity.CAUTION),
    Case("no replica in sync", topic_setting(min_insync_replicas=2), "K014"),
    Case("messages too large", topic_setting(max_message_bytes=200), "K014"),
    Case("broker's name is gone", cut_off, "K013"),
    Case("poison behind a commit", poison, "G001"),
    Case("poison behind no commit", poison_unprotected, "G002"),
    Case("skipped by a start", skipped, "G003"),
    Case("deleted unread", truncated, "G004"),
    Case("deleted unread, then started", deleted_and_reset, "G004"),
    Case("all offsets gone", all_offsets_gone, "G006"),
    Case("another log", another_log, "G005"),
    Case("offsets expired", offsets_gone, "G006"),
    Case("a stranger in the group", lambda w: w.join_stranger("rdkafka", "other"), "G007"),
    Case("a wrong group", wrong_group, "G008"),
    Case("a wrong topic", wrong_topic, "G009"),
    Case("a partition that nobody holds", add_partition, "G011"),
    Case("a hot partition", hot, "G012", Severity.CAUTION),
    Case("KAFKA_BROKERS unset", brokers_unset, "C001"),
    Case("POSTGRES_URL unset", lambda w: w.change(environment={"KAFKA_BROKERS": "kafka:9092"}), "C002"),
    Case("KAFKA_BROKERS misspelt", brokers_misspelt, "C003"),
    Case("another database", other_database, "C004"),
    Case("REDIS_URL unset", redis_unset, "C005"),
    Case("clocks apart", clock, "C010"),
    Case("off the network", lambda w: w.change(networks={"bridge": "172.17.0.4"}), "C013"),
    Case(
        "database down", lambda w: setattr(w.database, "down", Unreachable("database db: connection refused")), "D002"
    ),
    Case(
        "login refused",
        lambda w: setattr(w.database, "down", AccessDenied("database db: it refused the user or the password")),
        "D003",
    ),
    Case("one worker's login refused", database_password, "D003"),
    Case("rights revoked", rights, "D004"),
    Case("table locked", locked, "D005"),
    Case("read-only", read_only, "D006"),
    Case("connections used up", full, "D007"),
    Case("table missing", lambda w: setattr(w.database, "tables", w.database.tables - {"events"}), "D008"),
    Case(
        "column missing",
        lambda w: setattr(w.database, "condition", replace(HEALTH, missing_columns=("s.start_date",))),
        "D008",
    ),
    Case("index missing", lambda w: setattr(w.database, "index", IndexState.MISSING), "D009", Severity.CAUTION),
    Case("doubles without an index", doubles, "D009"),
    Case("old shape of processed_events", old_events, "D010"),
    Case("no index for sessions", no_slot, "D012"),
    Case("never sent", lambda w: w.pay(1, ago=10 * MINUTE, sent=False), "P007"),
    Case("never emitted", lambda w: w.database.payment(1, paid_at=NOW - 10 * MINUTE), "P008"),
    Case("no course", lambda w: w.database.payment(1, course=None, paid_at=NOW - 10 * MINUTE), "P010"),
    Case("reset to latest", reset_to_latest, "P004"),
    Case("committed before written", committed_before_written, "P024"),
    Case("no trainer", no_trainer, "P018"),
    Case("no coordinates", no_place, "P019"),
    Case("approval fails", approval, "P021"),
    Case(
        "stuck",
        lambda w: w.database.payment(1, status="processing", paid_at=NOW - 3 * 60 * MINUTE),
        "P022",
        Severity.CAUTION,
    ),
)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_cause_of_a_single_fault_comes_first(case: Case) -> None:
    ward = Ward()
    case.breaking(ward)
    findings = ward.diagnose().findings
    told = [(f.code, f.symptom, f.cause) for f in findings]
    assert findings[0].code == case.code, told
    assert findings[0].severity is case.severity, told


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_each_finding_says_what_to_do_and_on_what_it_rests(case: Case) -> None:
    ward = Ward()
    case.breaking(ward)
    for finding in ward.diagnose().every:
        assert finding.symptom
        assert finding.cause
        assert finding.action or finding.code in ("C010", "D003"), finding.code
        assert "made-up-password" not in str(finding)


def test_the_dead_letters_topic_is_a_finding_of_its_own_that_explains_no_payment() -> None:
    ward = Ward()
    ward.kafka.remove_topic(FLOW.dead_letters)
    ward.pay(1, ago=10 * MINUTE)
    findings = ward.diagnose().findings
    letters = next(f for f in findings if f.code == "K004")
    assert FLOW.dead_letters in letters.symptom
    assert letters.consequences == ()
    assert [f.code for f in findings][:2] == ["K004", "W009"]
    ward.kafka.remove_topic(FLOW.purchase_created)
    assert [f.code for f in ward.diagnose().findings].count("K004") == 2


def test_what_was_paid_after_a_reset_to_the_log_end_is_not_blamed_on_it() -> None:
    ward = Ward()
    deleted_and_reset(ward)
    # That start lies half an hour back, and what is missing was paid ten minutes ago.
    ward.docker.lines.clear()
    words = "[ConsumerGroup] Offset out of range, resetting to default offset"
    for partition in range(3):
        ward.kafkajs(words, ago=30 * MINUTE, topic=TOPIC, partition=partition)
    assert "P007" in ward.causes()
    assert "G004" not in ward.causes()


def test_with_its_container_down_the_database_of_kcfix_is_not_called_another_one() -> None:
    ward = Ward()
    network = next(iter(ward.box().networks))
    box = replace(container("postgres"), aliases=("postgres",), networks={network: ""})
    ward.put(replace(box, state=ContainerState.EXITED, exit_code=0, finished_at=NOW - MINUTE))
    for stage in FLOW.stages[:4]:
        settings = {**ward.box(stage.worker).environment, "POSTGRES_URL": "postgresql://app:x@postgres:5432/kc_app"}
        ward.change(stage.worker, environment=settings)
    ward.database.down = Unreachable("database 127.0.0.1:24483/kc_app: connection refused")
    assert ward.causes() == ["D001"]


def test_a_healthy_system_has_advice_and_nothing_else() -> None:
    assert Ward().causes() == []


@pytest.mark.parametrize(("breaking", "code"), [(no_trainer, "P018"), (approval, "P021")])
def test_a_message_that_waits_for_a_trainer_is_not_called_poison(breaking: Breaking, code: str) -> None:
    ward = Ward()
    breaking(ward)
    ward.kafka.put(FLOW.purchase_created, partition=0, at=NOW - 5 * MINUTE)
    ward.kafka.commit_as_worker(FLOW.allocation_group, {TopicPartition(FLOW.purchase_created, 0): 0})
    text = "Allocation service returned allocation without trainerId"
    ward.dead_letter(0, 0, text, topic=FLOW.purchase_created)
    first = ward.diagnose().findings[0]
    assert (first.code, [f.code for f in first.consequences]) == (code, ["G001"])


def test_what_was_written_before_a_stranger_came_is_not_blamed_on_it() -> None:
    ward = Ward()
    words = "[ConsumerGroup] Consumer has joined the group"
    for ago, held in ((6 * MINUTE, [0, 1, 2]), (4 * MINUTE, [2])):
        ward.log(words, ago=ago, level="INFO", logger="kafkajs", memberAssignment={TOPIC: held})
    ward.join_stranger("debug", TOPIC, held=(0, 1))
    for n, ago in ((1, 10 * MINUTE), (2, 2 * MINUTE)):
        partition, offset = ward.offset_of(ward.pay(n, ago=ago))
        ward.commit(partition, offset + 1)
    findings = {f.code: f for f in ward.diagnose().findings if f.severity is Severity.ERROR}
    assert sorted(findings) == ["G007", "P004"]
    assert [(f.code, f.impact.payments) for f in findings["G007"].consequences] == [("P004", 1)]
    assert findings["P004"].impact.payments == 1


def test_a_session_that_idles_is_suspected_where_statements_time_out_and_nobody_waits_just_now() -> None:
    ward = Ward()
    idle = OpenTransaction(7, "report", "psql", "idle in transaction", 2 * MINUTE, 2 * MINUTE)
    ward.database.condition = replace(HEALTH, transactions=(idle,))
    assert "D005" not in ward.causes()
    text = "canceling statement due to statement timeout"
    ward.log("[RetryPolicy] Operation failed, retrying", level="warn", error=text)
    first = ward.diagnose().findings[0]
    assert (first.code, first.confidence) == ("D005", Confidence.LIKELY)
    assert "session 7 (psql" in first.cause


def test_a_busy_system_is_healthy() -> None:
    ward = Ward()
    for n in range(1, 6):
        paid = ward.pay(n, ago=timedelta(seconds=5))
        ward.received(*ward.offset_of(paid), ago=timedelta(seconds=2))
    assert ward.causes() == []


def test_a_worker_that_catches_up_is_a_caution_with_its_time() -> None:
    ward = Ward()
    for n in range(1, 31):
        paid = ward.pay(n, ago=10 * MINUTE)
    for n in range(5):
        ward.received(0, n, ago=timedelta(seconds=5 - n, milliseconds=50))
        ward.handled(0, n, ago=timedelta(seconds=5 - n))
    assert paid
    first = ward.diagnose().findings[0]
    assert (first.code, first.severity) == ("P001", Severity.CAUTION)
    assert first.impact.payments == 30
    assert first.heals


def test_a_worker_that_was_started_a_moment_ago_is_no_alarm() -> None:
    ward = Ward()
    ward.kafka.leave(FLOW.purchase_group)
    ward.change(started_at=NOW - timedelta(seconds=4))
    findings = ward.diagnose().findings
    assert (findings[0].code, findings[0].severity) == ("W008", Severity.CAUTION)
    assert findings[0].confidence is Confidence.UNPROVEN


def test_a_sample_settles_what_one_look_leaves_open() -> None:
    ward = Ward()
    ward.kafka.leave(FLOW.purchase_group)
    clock = [NOW]

    def later(seconds: float) -> None:
        clock[0] += timedelta(seconds=seconds)
        ward.database.now = clock[0]

    ward.docker.clock = lambda: clock[0]

    services = ward.services()
    services.now = lambda: clock[0]
    services.sleep = later
    first = diagnose(examine(services, timedelta(seconds=60))[0], RULES).findings[0]
    assert (first.code, first.confidence) == ("W008", Confidence.PROVEN)


def test_a_container_of_another_kind_is_none_of_the_flow() -> None:
    ward = Ward()
    ward.put(container("chat-service", started_at=START))
    assert ward.causes() == []


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_is_not_well_by_status_has_a_finding(case: Case) -> None:
    ward = Ward()
    case.breaking(ward)
    if not all_well(ward.examine().observed):
        assert ward.causes(), case.name


def test_a_worker_that_takes_seconds_for_a_message_is_slow_and_not_hung() -> None:
    ward = Ward()
    slow(ward)
    # What stands still between two looks is another partition, whose turn has not come.
    examination = ward.examine()
    workers = tuple(
        replace(w, work=replace(w.work, state=WorkState.UNPROVEN, signs=tuple(_unclear(s) for s in w.work.signs)))
        for w in examination.observed.workers
    )
    examination = replace(examination, observed=replace(examination.observed, workers=workers))
    codes = [f.code for f in diagnose(examination, RULES).every]
    assert codes[0] == "W014"
    assert "W009" not in codes


def _unclear(sign: Sign) -> Sign:
    return replace(sign, sure=Sure.UNCLEAR) if sign.name == "consumed" else sign
