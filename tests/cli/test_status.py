"""`kcfix status` on fakes: what is shown, in which format, and the exit code."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import PaymentId
from kcfix.errors import AccessDenied, Unreachable
from tests.conftest import NOW, Run
from tests.fakes_docker import container, line
from tests.system import FLOW, STAGES, START, System


@pytest.fixture
def system() -> System:
    return System()


def test_a_system_in_which_all_is_well_ends_with_0_and_no_next_command(run: Run, system: System) -> None:
    ran = run("status", **system.parts)
    assert ran.code == 0, ran.out
    assert ran.lines[0].startswith("all well at 2026-01-15 12:00:00")
    assert "next:" not in ran.out
    assert "kafka:9092" not in ran.err
    for stage in STAGES:
        assert stage.worker in ran.out
        assert stage.group in ran.out
    assert "notification-worker" not in ran.out


def test_payments_without_a_purchase_are_listed_oldest_first_with_verdict_and_next_command(
    run: Run, system: System
) -> None:
    young, old = system.pay(1, ago=timedelta(minutes=5), sent=False), system.pay(2, sent=False)
    system.pay(3, ago=timedelta(seconds=20), sent=False)
    ran = run("status", **system.parts)
    assert ran.code == 1
    assert ran.out.index(old) < ran.out.index(young)
    assert "NEVER_SENT" in ran.out
    assert "1 younger than a minute, not judged yet" in ran.out
    assert "7,200.00 INR" in ran.out
    assert ran.lines[-1] == f"  kcfix repair {old} {young}"


def test_a_payment_of_a_wrong_clock_is_not_young_for_ever(run: Run, system: System) -> None:
    ahead = system.pay(1, ago=-timedelta(minutes=3), sent=False)
    assert run("status", "-q", **system.parts).lines == [ahead]
    assert run("missing", "-q", **system.parts).lines == [ahead]


def test_quiet_prints_the_ids_one_a_line_and_nothing_else(run: Run, system: System) -> None:
    old, young = system.pay(2), system.pay(1, ago=timedelta(minutes=5))
    ran = run("status", "-q", **system.parts)
    assert ran.out == f"{old}\n{young}\n"
    assert ran.err == ""
    assert ran.code == 1


def test_quiet_prints_nothing_where_every_payment_has_its_purchase(run: Run, system: System) -> None:
    system.database.purchase(system.database.payment(1))
    ran = run("status", "-q", **system.parts)
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_quiet_without_a_database_does_not_look_like_no_payments(run: Run, system: System) -> None:
    system.database.down = Unreachable("database db.example: connection refused", system="database")
    ran = run("status", "-q", **system.parts)
    assert (ran.code, ran.out) == (4, "")
    assert "connection refused" in ran.err


def test_a_stopped_worker_is_said_first_and_restarted_next(run: Run, system: System) -> None:
    system.stop()
    waiting = system.pay(1)
    ran = run("status", **system.parts)
    assert ran.code == 1
    assert ran.lines[0].startswith("NOT WELL")
    assert waiting in ran.out
    assert "PENDING" in ran.out
    assert "EXITED 0" in ran.out
    assert "unless-stopped" in ran.out
    assert ran.lines[-1] == "  kcfix restart purchase-worker"


def test_a_missing_worker_has_a_row(run: Run, system: System) -> None:
    gone = system.docker.inspect("kodingcaravan-cache-worker")
    del system.docker.boxes[gone.id]
    system.kafka.leave(FLOW.cache_group)
    ran = run("status", **system.parts)
    row = next(text for text in ran.lines if text.startswith("cache-worker") and "MISSING" in text)
    assert "UNPROVEN" in row
    assert ran.code == 1


def test_a_running_container_with_an_empty_group_is_not_called_working(run: Run, system: System) -> None:
    system.kafka.leave(FLOW.purchase_group)
    document = run("status", "--json", **system.parts).document
    row = next(r for r in document["data"] if r["section"] == "worker" and r["worker"] == "purchase-worker")
    assert row["containers"][0]["state"] == "RUNNING"
    assert (row["work"], row["health"]) == ("UNPROVEN", "BAD")


def test_a_message_that_was_handled_makes_it_working(run: Run, system: System) -> None:
    handled = {"level": "info", "message": "[KafkaConsumer] Message processed successfully", "partition": 0}
    name = "kodingcaravan-purchase-worker"
    system.docker.lines[name] = [line(name, NOW - timedelta(seconds=5), json.dumps(handled))]
    document = run("status", "--json", **system.parts).document
    row = next(r for r in document["data"] if r["section"] == "worker" and r["worker"] == "purchase-worker")
    assert row["work"] == "WORKING"


def test_a_sample_sees_a_commit_that_moves(run: Run, system: System) -> None:
    for _ in range(3):
        system.kafka.put(FLOW.purchase_confirmed, partition=0, at=NOW)
    looks = []
    first = system.kafka.committed

    def moving(ids: list[str]) -> object:
        looks.append(ids)
        if len(looks) == 2:
            system.kafka.commit_as_worker(FLOW.purchase_group, {TopicPartition(FLOW.purchase_confirmed, 0): 3})
        return first(ids)

    system.kafka.committed = moving  # type: ignore[method-assign, assignment]
    document = run("status", "--sample", "60s", "--json", **system.parts).document
    row = next(r for r in document["data"] if r["section"] == "worker" and r["worker"] == "purchase-worker")
    assert row["work"] == "WORKING"


def test_a_sample_that_is_no_time_is_wrong_usage(run: Run, system: System) -> None:
    ran = run("status", "--sample", "soon", **system.parts)
    assert ran.code == 2
    assert "--sample" in ran.err


@pytest.mark.parametrize("dead", ["kafka", "database", "docker"])
def test_one_silent_system_is_unknown_and_the_others_are_shown(run: Run, system: System, dead: str) -> None:
    payment = system.pay(1, sent=False)
    error = Unreachable(f"{dead} did not answer within 3 s", system=dead)
    system.kafka.down = error if dead == "kafka" else None
    system.database.down = error if dead == "database" else None
    system.docker.failure = error if dead == "docker" else None
    ran = run("status", **system.parts)
    assert ran.code == 1
    assert f"{dead} did not answer within 3 s" in ran.out
    assert "UNKNOWN" in ran.out
    assert (payment in ran.out) == (dead != "database")
    assert ("db.example:5432/kc_app" in ran.out) == (dead != "database")
    assert ("kafka:9092" in ran.out) == (dead != "kafka")
    assert f"{dead} did not answer within 3 s" in ran.err
    document = run("status", "--json", **system.parts).document
    assert document["ok"] is False
    assert document["summary"]["silent"] == [dead]
    assert len(document["errors"]) == 1


def test_where_no_system_answers_nothing_could_be_said(run: Run, system: System) -> None:
    system.kafka.down = Unreachable("Kafka: refused")
    system.database.down = AccessDenied("database: no")
    system.docker.failure = Unreachable("Docker: no socket")
    ran = run("status", "--json", **system.parts)
    assert ran.code == 4
    assert len(ran.document["errors"]) == 3
    assert ran.document["summary"]["payments_without_purchase"] is None


def test_a_missing_payments_table_leaves_the_payments_unknown(run: Run, system: System) -> None:
    system.database.tables = frozenset({"purchases", "events", "allocations", "sessions", "courses"})
    ran = run("status", **system.parts)
    assert ran.code == 1
    assert "has no table payments" in ran.out


def test_without_docker_a_quiet_look_at_payments_still_gives_verdicts(run: Run, system: System) -> None:
    system.docker.failure = Unreachable("no Docker socket")
    payment = system.pay(1, sent=False)
    ran = run("status", "--json", **system.parts)
    row = next(r for r in ran.document["data"] if r["section"] == "payment")
    assert (row["payment_id"], row["verdict"]) == (payment, "NEVER_SENT")


def test_the_next_command_names_the_system_that_was_asked(run: Run, system: System) -> None:
    system.stop()
    ran = run("status", "--project", "kc-backend", "--brokers", "one:9092", **system.parts)
    assert ran.lines[-1] == "  kcfix --project kc-backend --brokers one:9092 restart purchase-worker"


def test_a_terminal_shows_the_oldest_payments_and_says_how_many_more(run: Run, system: System) -> None:
    ids = [system.pay(n, ago=timedelta(hours=2, minutes=-n), sent=False) for n in range(1, 21)]
    ran = run("status", tty=True, environ={"COLUMNS": "80", "NO_COLOR": "1"}, **system.parts)
    assert ids[0] in ran.out
    assert ids[-1] not in ran.out
    assert "and 8 more; all ids: kcfix status -q" in ran.out
    assert "\x1b" not in ran.out
    assert all(len(text) <= 80 for text in ran.lines)
    piped = run("status", **system.parts)
    assert all(i in piped.out for i in ids)


def test_ids_are_never_cut_on_a_narrow_terminal(run: Run, system: System) -> None:
    payment = system.pay(1, sent=False)
    ran = run("status", tty=True, environ={"COLUMNS": "40", "NO_COLOR": "1"}, **system.parts)
    assert payment in ran.out


def test_json_is_one_document_with_a_section_for_each_part(run: Run, system: System) -> None:
    system.pay(1, sent=False)
    ran = run("status", "--json", **system.parts)
    assert ran.document["schema"] == "kcfix.status/v1"
    assert {r["section"] for r in ran.document["data"]} == {
        "finding",
        "payment",
        "worker",
        "group",
        "kafka",
        "database",
        "docker",
    }
    payment = next(r for r in ran.document["data"] if r["section"] == "payment")
    assert payment["paid_at"] == "2026-01-15T11:00:00.000Z"
    assert payment["age_seconds"] == 3600
    assert ran.document["summary"]["amounts_minor"] == {"INR": 360000}


def test_money_is_never_summed_across_currencies(run: Run, system: System) -> None:
    system.pay(1, sent=False)
    euro = system.database.payment(2, paid_at=NOW - timedelta(minutes=50))
    at = system.database.payments.index(euro)
    system.database.payments[at] = type(euro)(
        **{name: getattr(euro, name) for name in euro.__slots__} | {"currency": "EUR"}
    )
    ran = run("status", **system.parts)
    assert "together: 3,600.00 EUR, 3,600.00 INR" in ran.out


def test_reading_changes_nothing(run: Run, system: System) -> None:
    system.stop()
    system.pay(1)
    run("status", **system.parts)
    assert system.kafka.sent == []
    assert system.kafka.commits == []
    assert system.docker.done == []
    assert "insert" not in system.database.calls


def test_times_are_shown_in_utc_on_request(run: Run, system: System) -> None:
    assert run("status", "--utc", **system.parts).lines[0] == "all well at 2026-01-15 12:00:00Z"


def test_look_alikes_of_two_projects_are_both_shown(run: Run, system: System) -> None:
    twin = container("purchase-worker", name="other-purchase-worker", project="other", started_at=START)
    system.docker.boxes[twin.id] = twin
    ran = run("status", **system.parts)
    assert "other-purchase-worker" in ran.out
    assert "several Compose projects look alike: kc-backend, other" in ran.err


def test_a_payment_whose_capture_is_unproven_is_marked(run: Run, system: System) -> None:
    proven, unproven = system.pay(1, sent=False), system.pay(2, sent=False)
    assert "capture" not in run("status", **system.parts).out.lower()
    system.database.change(PaymentId(unproven), provider_payment_id="order_made_up")
    ran = run("status", **system.parts)
    assert "1 with unproven capture" in ran.out
    assert next(line for line in ran.lines if "unproven" in line).split()[0] == unproven
    document = run("status", "-o", "json", **system.parts).document
    marks = {r["payment_id"]: r["capture_unproven"] for r in document["data"] if r["section"] == "payment"}
    assert (marks[proven], bool(marks[unproven])) == (None, True)
    assert document["summary"]["payments_capture_unproven"] == 1
