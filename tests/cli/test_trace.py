"""`kcfix trace`: what the operator reads, at any width, in any format, with any system dead."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kcfix.adapters.journal_file import open_journal
from kcfix.core.journal import RunRecord
from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import Payment
from kcfix.core.workers import ContainerState
from kcfix.errors import Unreachable
from tests.cli.night import GROUP, Night
from tests.conftest import NOW, Ran, Run
from tests.core.stories import log_text, put_confirmed, put_created
from tests.fakes_database import purchase_id
from tests.fakes_docker import FakeDocker, container, line
from tests.fakes_kafka import FakeKafka

PAID = NOW - timedelta(minutes=20)
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
NARROW, WIDE = {"COLUMNS": "80", "NO_COLOR": "1"}, {"COLUMNS": "200", "NO_COLOR": "1"}


@pytest.fixture
def trace(run: Run, night: Night) -> Callable[..., Ran]:
    """Run `kcfix trace` on that night, in UTC."""

    def call(*words: str, **more: Any) -> Ran:
        systems = {"kafka": night.kafka, "database": night.database, "docker": night.docker}
        return run("trace", *words, "--utc", **{**systems, **more})

    return call


def skipped(night: Night) -> Payment:
    """A payment whose message the group has passed."""
    paid = night.pay(3)
    record = put_confirmed(night.kafka, paid)
    where = TopicPartition(record.topic, record.partition)
    night.kafka.commit_as_worker(GROUP, {where: record.offset + 1})
    return paid


def settled(night: Night) -> Payment:
    """A payment that has everything."""
    paid = night.pay(4)
    put_confirmed(night.kafka, paid)
    bought = night.database.purchase(paid)
    put_created(night.kafka, paid, bought)
    made = night.database.allocation(bought, sessions=20)
    night.database.allocated_at[made.id] = made.requested_at + timedelta(milliseconds=400)
    night.database.sessions_made[made.id] = (made.requested_at + timedelta(seconds=1),) * 2
    return paid


# what is read


def test_a_skipped_payment_is_told_with_its_proof_and_its_way_out(trace: Callable[..., Ran], night: Night) -> None:
    paid = skipped(night)
    ran = trace(paid.id)
    assert ran.code == 1
    assert ran.lines[0] == f"{paid.id}  SKIPPED"
    for text in (
        "its message is purchase-confirmed-0 offset 0, behind the committed offset 1",
        "customer  paid, and has nothing for it: no course, no trainer, no sessions",
        "waited    20m so far, without a purchase",
        "heals     never by itself: the group has passed its message and never goes back",
        "passed by purchase-creation-workers (committed 1), held by no worker",
        f"kcfix repair {paid.id}",
    ):
        assert text in ran.out, text
    assert ran.err == ""


def test_a_settled_payment_is_all_done(trace: Callable[..., Ran], night: Night) -> None:
    ran = trace(settled(night).id)
    assert ran.code == 0
    assert "PURCHASED" in ran.lines[0]
    assert "heals " not in ran.out
    assert "waited    2s from the payment to its purchase" in ran.out
    assert "made by   WORKER (purchase-worker), not certain" in ran.out
    assert "next:" not in ran.out


def test_a_payment_at_risk_says_what_a_plain_start_does_and_until_when(trace: Callable[..., Ran], night: Night) -> None:
    paid = night.pay(3)
    put_confirmed(night.kafka, paid)
    ran = trace(paid.id)
    assert "AT_RISK" in ran.lines[0]
    assert "a plain start of the worker skips it for good; a restart by kcfix does not" in ran.out
    assert "until     2026-01-22 11:40:01Z: then purchase-confirmed may delete its message" in ran.out
    assert "kcfix restart purchase-worker" in ran.out
    assert "UNPROTECTED" in ran.out


def test_a_member_that_no_container_vouches_for_is_doubted(trace: Callable[..., Ran], night: Night) -> None:
    paid = skipped(night)
    night.kafka.join_worker(GROUP, "purchase-confirmed", client_id="purchase-worker-1767805200000")
    doubt = "held by purchase-worker-1767805200000, for which no running container vouches"
    assert doubt in trace(paid.id).out
    silent = trace(paid.id, docker=FakeDocker(failure=Unreachable("no engine", system="docker")))
    assert doubt not in silent.out
    assert "held by purchase-worker-1767805200000" in silent.out


def test_a_payment_whose_event_was_recorded_and_never_sent(trace: Callable[..., Ran], night: Night) -> None:
    ran = trace(night.ids[0])
    assert "NEVER_SENT" in ran.lines[0]
    assert "row PURCHASE_CONFIRMED by payment-service (row only, proves no send)" in ran.out
    assert re.search(r"EVENT +MISSING", ran.out)


def test_a_dead_letter_is_told_with_its_reason(trace: Callable[..., Ran], night: Night) -> None:
    paid = skipped(night)
    letter = f'{{"originalEvent":{{"paymentId":"{paid.id}"}},"failureReason":"no such tier (23514)"}}'
    night.kafka.put("dead-letter-queue", paid.id, letter, at=PAID + timedelta(seconds=5))
    ran = trace(paid.id)
    assert "DEAD_LETTERED" in ran.lines[0]
    assert "dead letter: no such tier (23514)" in ran.out


def test_two_payments_for_one_course_are_told_apart(trace: Callable[..., Ran], night: Night) -> None:
    paid = settled(night)
    again = night.database.payment(5, student=4, paid_at=paid.paid_at + timedelta(minutes=2))
    ran = trace(again.id)
    assert ran.code == 1
    assert ran.lines[0] == f"{again.id}  SECOND_PAYMENT (double charge)"
    assert "paid again for a course that was there already" in ran.out


def test_nothing_is_owed_for_a_payment_that_failed(trace: Callable[..., Ran], night: Night) -> None:
    ran = trace(night.database.payment(5, status="failed").id)
    assert (ran.code, "NOT_SUCCEEDED" in ran.lines[0], "next:" in ran.out) == (0, True, False)
    assert "waited" not in ran.out


def test_reading_changes_nothing(trace: Callable[..., Ran], night: Night) -> None:
    for paid in (skipped(night), settled(night)):
        trace(paid.id, "-v", "--scan")
    assert (night.kafka.sent, night.kafka.commits, night.docker.done) == ([], [], [])
    assert "insert" not in night.database.calls


# how it looks


@pytest.mark.parametrize("make", [skipped, settled])
def test_at_80_columns_no_id_is_cut_and_no_table_runs_over(
    trace: Callable[..., Ran], night: Night, make: Callable[[Night], Payment]
) -> None:
    paid = make(night)
    ran = trace(paid.id, tty=True, environ=NARROW)
    tables = ran.out[ran.out.index("stages (") :]
    assert [text for text in tables.splitlines() if len(text) > 80 and "unknown:" not in text] == []
    ids = {
        paid.id,
        *(p.id for p in night.database.purchases),
        *(r.allocation.id for r in night.database.allocation_rows),
    }
    assert ids <= set(UUID.findall(ran.out))
    assert "SOURCE" not in ran.out


def test_at_200_columns_the_source_has_a_column(trace: Callable[..., Ran], night: Night) -> None:
    ran = trace(settled(night).id, tty=True, environ=WIDE)
    assert re.search(r"TIME +GAP +SOURCE +WHAT", ran.out)
    assert re.search(r"11:40:02\.000 +1s +student_course_purchases +purchase 0", ran.out)


def test_through_a_pipe_each_moment_is_one_line(trace: Callable[..., Ran], night: Night) -> None:
    ran = trace(settled(night).id)
    assert re.search(r"^PURCHASE +DONE +11:40:02\.000 +purchase 0\S+, tier 20$", ran.out, re.MULTILINE)
    assert "\x1b" not in ran.out


def test_a_time_of_another_day_is_shown_with_its_date(trace: Callable[..., Ran], night: Night) -> None:
    paid = night.database.payment(5, paid_at=NOW - timedelta(days=3))
    ran = trace(paid.id)
    assert "timeline (2026-01-12, UTC)" in ran.out
    assert "01-15 12:00:00" in ran.out


def test_a_time_of_another_year_is_shown_with_it(trace: Callable[..., Ran], night: Night) -> None:
    paid = night.database.payment(5, paid_at=NOW - timedelta(days=30))
    assert "2026-01-15 12:00 " in trace(paid.id).out


def test_verbose_shows_headers_log_lines_and_where_was_searched(trace: Callable[..., Ran], night: Night) -> None:
    paid = skipped(night)
    box = next(iter(night.docker.boxes.values()))
    text = log_text("Purchase creation failed", "error", paymentId=paid.id, error="tier check")
    night.docker.lines[box.name] = [line(box.name, PAID + timedelta(seconds=2), text)]
    ran = trace(paid.id, "-v")
    assert f"correlationId={paid.id} eventType=PURCHASE_CONFIRMED" in ran.out
    assert f"* 2026-01-15T11:40:02.000Z {box.name} ERROR Purchase creation failed: tier check" in ran.out
    assert re.search(r"kafka +purchase-confirmed +1 +offsets of partition 0: 0 to 1", ran.out)
    quiet = trace(paid.id)
    assert "log lines" not in quiet.out
    assert f"{box.name}  error: tier check" in quiet.out


def test_control_characters_from_outside_are_not_printed(trace: Callable[..., Ran], night: Night) -> None:
    paid = skipped(night)
    night.kafka.put("dead-letter-queue", paid.id, f'{{"failureReason":"\\u001b[2J{paid.id}"}}', at=PAID)
    box = next(iter(night.docker.boxes.values()))
    night.docker.lines[box.name] = [line(box.name, PAID, f"\x1b[31mError: {paid.id}")]
    for words in ((), ("-v",), ("-o", "json")):
        assert "\x1b" not in trace(paid.id, *words).out


def test_what_the_student_entered_is_never_shown(trace: Callable[..., Ran], night: Night) -> None:
    paid = night.database.payment(6, paid_at=PAID, phone="made-up-phone", address="made-up-street")
    put_confirmed(night.kafka, paid)
    night.database.purchase(paid)
    for words in ((), ("-v",), ("-o", "json")):
        assert "made-up" not in trace(paid.id, *words).out


# several, and none


def test_several_payments_are_told_one_after_the_other_and_the_worst_code_holds(
    trace: Callable[..., Ran], night: Night
) -> None:
    good, bad = settled(night), skipped(night)
    unknown = "00000000-0000-4000-8000-000000000999"
    ran = trace("-", stdin=f"{good.id}\n{bad.id}\n{unknown}\nno-id\n")
    assert ran.code == 3
    assert [text for text in ran.lines if UUID.match(text)] == [
        f"{good.id}  PURCHASED",
        f"{bad.id}  SKIPPED",
        f"{unknown}  NOT_FOUND",
    ]
    assert "no-id  NOT_FOUND  no payment has such an id" in ran.out
    assert f"\n\n{bad.id}  SKIPPED" in ran.out
    assert trace(good.id, bad.id).code == 1


def test_of_many_payments_there_is_a_row_each(trace: Callable[..., Ran], night: Night) -> None:
    ids = [night.pay(n).id for n in range(10, 17)]
    ran = trace(*ids)
    assert "stages" not in ran.out
    assert len(re.findall("NEVER_SENT", ran.out)) == 7
    assert "Give fewer ids to read their stories" in ran.out
    assert len(trace(*ids, "-o", "json").document["data"]) == 7


def test_quiet_is_the_verdict_alone_and_of_several_id_and_verdict(trace: Callable[..., Ran], night: Night) -> None:
    paid = skipped(night)
    assert trace(paid.id, "-q").out == "SKIPPED\n"
    assert trace(paid.id, "x", "-q").out == f"{paid.id} SKIPPED\nx NOT_FOUND\n"


def test_no_id_is_a_usage_error_and_empty_input_is_none(trace: Callable[..., Ran], night: Night) -> None:
    assert trace().code == 2
    assert trace("-", stdin="\n").code == 0
    assert trace("no-id").code == 3
    assert (night.kafka.calls, night.database.calls) == ([], [])  # nobody was asked
    assert trace(night.ids[0], "--since", "1h").code == 2
    assert trace(night.ids[0], "--scan", "--since", "1h", "--until", "2h").code == 2


# for programs


def test_the_document_has_everything_nested(trace: Callable[..., Ran], night: Night) -> None:
    paid = skipped(night)
    night.docker.boxes = {c.id: c for c in [container(state=ContainerState.EXITED)]}
    document = trace(paid.id, "-o", "json").document
    [row] = document["data"]
    assert (row["payment_id"], row["verdict"], row["still_waiting"]) == (paid.id, "SKIPPED", True)
    assert (row["topic"], row["partition"], row["offset"], row["committed_offset"]) == ("purchase-confirmed", 0, 0, 1)
    assert row["waited_seconds"] == 1200.0
    assert row["maker"] is None
    assert row["prognosis"]["commands"] == [f"kcfix repair {paid.id}"]
    assert [s["stage"] for s in row["stages"]][:3] == ["PAYMENT", "EVENT", "PURCHASE"]
    assert [s["state"] for s in row["stages"]][:3] == ["DONE", "PASSED", "MISSING"]
    assert row["timeline"][-1]["source"] == "now"
    [record] = row["records"]
    assert record["groups"] == [
        {
            "group": GROUP,
            "worker": "purchase-worker",
            "committed_offset": 1,
            "reach": "PASSED",
            "member": None,
            "container": None,
            "unvouched": False,
        }
    ]
    assert {s["system"] for s in row["searched"]} == {"database", "kafka", "docker", "journal"}
    assert document["summary"] == {"payments": 1, "verdicts": {"SKIPPED": 1}, "scanned_offsets": None}


def test_a_malformed_id_has_a_row_with_every_name(trace: Callable[..., Ran], night: Night) -> None:
    good, bad = trace(settled(night).id, "x", "-o", "json").document["data"]
    assert (bad["payment_id"], bad["verdict"], set(bad)) == ("x", "NOT_FOUND", set(good))


def test_the_commands_say_which_system_is_meant(trace: Callable[..., Ran], night: Night) -> None:
    paid = skipped(night)
    complete = f"kcfix --project kc-backend repair {paid.id}"
    assert complete in trace(paid.id, "--project", "kc-backend").out
    document = trace(paid.id, "--project", "kc-backend", "-o", "json").document
    assert document["data"][0]["prognosis"]["commands"] == [complete]


# with a system dead


def test_without_a_database_nothing_can_be_said(trace: Callable[..., Ran], night: Night) -> None:
    paid = skipped(night)
    night.database.down = Unreachable("database db.example did not answer", system="database")
    ran = trace(paid.id)
    assert (ran.code, ran.lines[0]) == (4, f"{paid.id}  UNKNOWN")
    assert "unknown: database: database db.example did not answer" in ran.out
    assert "kcfix: database db.example did not answer" in ran.err
    assert f"next:\n  kcfix status\n  kcfix trace {paid.id} --scan" in ran.out
    assert "--scan\n" not in trace(paid.id, "--scan").out
    [row] = trace(paid.id, "-o", "json").document["data"]
    assert (row["status"], row["stages"], row["waited_seconds"]) == (None, [], None)


def test_without_a_database_the_log_and_the_journal_still_tell(
    trace: Callable[..., Ran], night: Night, tmp_path: Path
) -> None:
    paid = skipped(night)
    night.database.down = Unreachable("database db.example did not answer", system="database")
    box = next(iter(night.docker.boxes.values()))
    text = log_text("Purchase creation failed", "error", paymentId=paid.id, error="tier check")
    night.docker.lines[box.name] = [line(box.name, PAID, text)]
    journal = open_journal(tmp_path / "journal", environ={}, now=lambda: NOW, secrets=frozenset)
    began = journal.begin(command="repair", context="", argv=["repair"])
    began.done(began.intend({"step": "insert", "payment_id": paid.id}), {"state": "FAILED"})
    began.end(4)
    ran = trace(paid.id, journal=journal)
    assert "tier check" in ran.out
    assert re.search(r"kcfix +insert, run \S+: FAILED", ran.out)


def test_without_kafka_a_payment_without_purchase_is_unknown(trace: Callable[..., Ran], night: Night) -> None:
    paid = skipped(night)
    night.kafka.down = Unreachable("no broker answered", system="kafka")
    ran = trace(paid.id)
    assert (ran.code, ran.lines[0]) == (1, f"{paid.id}  UNKNOWN")
    assert "it has no purchase; what became of its message is unknown: no broker answered" in ran.out
    assert re.search(r"EVENT +UNKNOWN", ran.out)
    assert re.search(r"PURCHASE +MISSING", ran.out)
    assert ran.err.count("no broker answered") == 1
    assert night.kafka.calls == ["topics"]  # it is not waited for twice


def test_without_kafka_a_settled_payment_is_settled(trace: Callable[..., Ran], night: Night) -> None:
    paid = settled(night)
    night.kafka.down = Unreachable("no broker answered", system="kafka")
    ran = trace(paid.id)
    assert (ran.code, "PURCHASED" in ran.lines[0]) == (0, True)
    assert "unknown: purchase-confirmed, the later topics: no broker answered" in ran.out
    assert re.search(r"ANNOUNCEMENT +UNKNOWN", ran.out)


def test_without_docker_the_verdict_stands_and_the_logs_are_unknown(trace: Callable[..., Ran], night: Night) -> None:
    paid = skipped(night)
    ran = trace(paid.id, docker=FakeDocker(failure=Unreachable("no engine", system="docker")))
    assert (ran.code, ran.lines[0]) == (1, f"{paid.id}  SKIPPED")
    assert "unknown: logs: no engine" in ran.out
    assert "kcfix: warning: no engine" in ran.err


def test_a_log_that_can_not_be_read_is_said_and_the_rest_is_told(trace: Callable[..., Ran], night: Night) -> None:
    paid = settled(night)
    box = container("session-worker")
    night.docker.boxes[box.id] = box
    night.docker.unreadable[box.name] = Unreachable("no such log driver", system="docker")
    ran = trace(paid.id)
    assert (ran.code, f"unknown: {box.name}: no such log driver" in ran.out) == (0, True)


def test_a_journal_that_can_not_be_read_is_said(trace: Callable[..., Ran], night: Night) -> None:
    class Torn:
        problems: tuple[str, ...] = ()

        def runs(self, about: object = None) -> tuple[RunRecord, ...]:
            raise Unreachable("the journal can't be read", system="journal")

    ran = trace(skipped(night).id, journal=Torn())
    assert ran.code == 1
    assert "unknown: the journal: the journal can't be read" in ran.out
    assert "kcfix: warning: the journal can't be read" in ran.err


def test_topics_that_do_not_exist_and_partitions_without_leader_are_said(
    trace: Callable[..., Ran], night: Night
) -> None:
    paid = settled(night)
    night.kafka.remove_topic("notification-requested")
    night.kafka.partition_errors[TopicPartition("purchase-created", 1)] = "no leader"
    ran = trace(paid.id)
    assert ran.code == 0
    assert "unknown: notification-requested: no such topic" in ran.out
    assert "unknown: purchase-created: purchase-created-1: no leader" in ran.out
    assert re.search(r"NOTIFICATION +UNKNOWN", ran.out)


def test_a_missing_events_table_is_no_error(trace: Callable[..., Ran], night: Night) -> None:
    paid = settled(night)
    night.database.tables -= {"events"}
    ran = trace(paid.id, "-v")
    assert ran.code == 0
    assert "there is no table of processed events" in ran.out


# scan


def test_a_scan_counts_as_evidence_and_says_how_much_it_read(trace: Callable[..., Ran], night: Night) -> None:
    paid = night.database.payment(7, paid_at=PAID)
    record = put_confirmed(night.kafka, paid, record_key="foreign")
    night.kafka.commit_as_worker(GROUP, {TopicPartition(record.topic, record.partition): record.offset + 1})
    assert trace(paid.id, "-q").out == "NEVER_EMITTED\n"
    assert trace(paid.id, "-q", "--scan").out == "SKIPPED\n"
    document = trace(paid.id, "--scan", "-o", "json").document
    assert document["summary"]["scanned_offsets"] == 1
    assert document["data"][0]["records"][0]["scanned"] is True
    early = trace(paid.id, "--scan", "--until", "1d", "-o", "json").document
    assert (early["summary"]["scanned_offsets"], early["data"][0]["verdict"]) == (0, "NEVER_EMITTED")


def test_a_person_who_watches_is_told_how_far_the_scan_is(trace: Callable[..., Ran], night: Night) -> None:
    for _ in range(20):
        night.kafka.put("purchase-confirmed", "x")
    ran = trace(night.ids[0], "--scan", tty=True, environ=WIDE)
    assert "scanned 20 offsets" in ran.err
    assert trace(night.ids[0], "--scan").err == ""


def test_a_scan_without_kafka_is_a_warning(trace: Callable[..., Ran], night: Night) -> None:
    night.kafka.down = Unreachable("no broker answered", system="kafka")
    ran = trace(night.ids[0], "--scan")
    assert "kcfix: warning: nothing was scanned: no broker answered" in ran.err


def test_partitions_that_could_not_be_scanned_are_a_warning(trace: Callable[..., Ran], night: Night) -> None:
    night.kafka.partition_errors[TopicPartition("dead-letter-queue", 2)] = "no leader"
    assert "not scanned: dead-letter-queue-2: no leader" in trace(night.ids[0], "--scan").err


def test_the_purchase_of_an_id_is_not_taken_for_a_payment(trace: Callable[..., Ran], night: Night) -> None:
    settled(night)
    ran = trace(purchase_id(1))
    assert (ran.code, "NOT_FOUND" in ran.out) == (3, True)
    assert isinstance(night.kafka, FakeKafka)


def test_money_that_nothing_proves_is_said(trace: Callable[..., Ran], night: Night) -> None:
    proven = night.pay(5, provider_payment_id="pay_made_up")
    doubtful = night.pay(6, provider_payment_id="order_made_up")
    assert "capture unproven" not in trace(proven.id).out
    assert "money     capture unproven: only an order id of the provider is on record" in trace(doubtful.id).out
