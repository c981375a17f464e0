"""`kcfix doctor` and `kcfix explain` on fakes: what is shown, the exit code, and that nothing changes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kcfix.core.doctor.rules import RULES
from kcfix.core.missing import FIRST
from kcfix.core.payments import PaymentId
from kcfix.core.workers import NO_DOCKER
from kcfix.errors import Unreachable
from tests.conftest import Run
from tests.ward import FLOW, MINUTE, NOW, Ward


@pytest.fixture
def ward() -> Ward:
    return Ward()


def silence(ward: Ward, *systems: str) -> None:
    """These systems do not answer."""
    for name in systems:
        error = Unreachable(f"{name} did not answer within 3 s", system=name)
        if name == "docker":
            ward.docker.failure = error
        else:
            getattr(ward, name).down = error


def test_a_healthy_system_ends_with_0_and_still_has_advice(run: Run, ward: Ward) -> None:
    ran = run("doctor", **ward.parts)
    assert ran.code == 0, ran.out
    assert ran.lines[0].startswith("well (")
    assert "G015" in ran.out
    assert "next:" not in ran.out
    assert run("doctor", "--strict", **ward.parts).code == 1


def test_of_very_many_payments_the_oldest_are_read_and_the_rest_is_said_not_to_be(
    run: Run, ward: Ward, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("kcfix.core.doctor.read.MOST_PAYMENTS", 3)
    ward.end()
    oldest = [ward.pay(n, ago=(20 - n) * MINUTE) for n in range(1, 6)][:3]
    report = tmp_path / "report.md"
    ran = run("doctor", "--report", str(report), **ward.parts)
    assert ran.code == 1
    assert "cost      at least 3 payments, 10,800.00 INR" in ran.out
    assert "P001  at least 3 payments waiting for purchase-worker" in ran.out
    assert "the oldest 3 payments that are not well were read: kcfix missing has all" in ran.err
    assert "of these not well: at least 3 (10,800.00 INR); in flight: not counted" in report.read_text()
    document = run("doctor", "--json", **ward.parts).document
    impact = document["data"][0]["impact"]
    assert (impact["payment_ids"], impact["payments_at_least"]) == (oldest, True)
    assert (document["summary"]["payments_cut"], document["summary"]["payments_in_flight"]) == (True, None)
    (consequence,) = (row for row in document["data"] if row.get("code") == "P001")
    assert consequence["impact"]["payments_at_least"] is True
    of_none = [row for row in document["data"] if "impact" in row and row["impact"]["payments"] is None]
    assert of_none
    assert not any(row["impact"]["payments_at_least"] for row in of_none)
    monkeypatch.setattr("kcfix.core.doctor.read.MOST_PAYMENTS", 5)
    all_of_them = run("doctor", "--json", **ward.parts).document
    assert all_of_them["data"][0]["impact"]["payments_at_least"] is False
    assert (all_of_them["summary"]["payments_cut"], all_of_them["summary"]["payments_in_flight"]) == (False, 0)


def test_payments_beyond_those_are_not_read_at_all(run: Run, ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kcfix.core.doctor.read.MOST_PAYMENTS", 3)
    ward.end()
    for n in range(1, 4 * FIRST):
        ward.pay(n, ago=timedelta(hours=20) - n * timedelta(seconds=1))
    read: list[int] = []
    facts = ward.database.facts

    def counted(ids: Collection[PaymentId], **more: Any) -> Any:
        read.append(len(ids))
        return facts(ids, **more)

    monkeypatch.setattr(ward.database, "facts", counted)
    assert run("doctor", **ward.parts).code == 1
    assert read == [FIRST, FIRST]


def test_a_stopped_worker_is_told_with_cost_evidence_and_the_line_to_paste(run: Run, ward: Ward) -> None:
    ward.end()
    ward.happened("kill", signal="15")
    paid = ward.pay(1, ago=10 * MINUTE)
    ran = run("doctor", "--utc", **ward.parts)
    assert ran.code == 1
    assert "NOT WELL: 1 cause" in ran.lines[0]
    assert "W001 ERROR  purchase-worker does not run" in ran.out
    assert "1 payment, 3,600.00 INR; since 2026-01-15 11:50:00Z" in ran.out or "1 payment, 3,600.00 INR" in ran.out
    assert "Docker: kodingcaravan-purchase-worker kill, signal 15" in ran.out
    assert "so also P001" in ran.out
    assert ran.lines[-1] == "  kcfix restart purchase-worker"
    (first, second, *_) = run("doctor", "--json", **ward.parts).document["data"]
    assert (first["code"], first["explained_by"], first["explains"]) == ("W001", None, ["P001"])
    assert first["impact"]["payment_ids"] == [paid]
    assert first["impact"]["amounts_minor"] == {"INR": 360000}
    assert first["impact"]["deadline_at"] is not None
    assert (second["code"], second["explained_by"], second["rank"]) == ("P001", "W001", 1)


def test_a_dead_broker_is_one_cause_with_the_crashing_workers_beneath_it(run: Run, ward: Ward) -> None:
    ward.end("kafka", 143)
    silence(ward, "kafka")
    for stage in FLOW.stages[:4]:
        ward.change(stage.worker, restart_count=3, started_at=NOW - MINUTE / 2)
        ward.kafkajs("[Connection] Connection error: connect ECONNREFUSED 172.18.0.2:9092", service=stage.worker)
    document = run("doctor", "--json", **ward.parts).document
    findings = [r for r in document["data"] if r["section"] == "finding" and r["severity"] == "ERROR"]
    assert [(f["code"], f["explained_by"]) for f in findings] == [("K001", None), *[("W003", "K001")] * 4]
    assert document["summary"]["causes"][0] == "K001"


@pytest.mark.parametrize("system", ["kafka", "database", "docker"])
def test_with_one_system_down_the_others_are_examined_and_the_rest_is_listed_as_not_checked(
    run: Run, ward: Ward, system: str
) -> None:
    silence(ward, system)
    ran = run("doctor", "--json", **ward.parts)
    assert ran.code == 1
    unchecked = [r for r in ran.document["data"] if r["section"] == "unchecked"]
    assert unchecked
    assert {r["reason"] for r in unchecked} == {f"{system} did not answer within 3 s"}
    assert ran.document["summary"]["checked"] + len(unchecked) == len(RULES)
    assert ran.document["summary"]["silent"] == [system]


def test_with_every_system_down_nothing_can_be_said(run: Run, ward: Ward) -> None:
    silence(ward, "kafka", "database", "docker")
    ran = run("doctor", **ward.parts)
    assert ran.code == 4
    assert "not checked" in ran.out


def test_without_kafka_and_docker_the_payments_are_still_told(run: Run, ward: Ward) -> None:
    ward.pay(1, ago=10 * MINUTE)
    silence(ward, "kafka", "docker")
    ran = run("doctor", **ward.parts)
    assert ran.code == 1
    assert "P020" in ran.out


def test_quiet_prints_the_codes_causes_first(run: Run, ward: Ward) -> None:
    ward.end()
    ward.pay(1, ago=10 * MINUTE)
    assert run("doctor", "-q", **ward.parts).out == "W001\nP001\n"


def test_only_and_skip_take_codes_and_families(run: Run, ward: Ward) -> None:
    ward.end()
    ward.pay(1, ago=10 * MINUTE)
    assert run("doctor", "-q", "--only", "payments", **ward.parts).out == "P001\n"
    assert run("doctor", "-q", "--only", "w001,P", **ward.parts).out == "W001\nP001\n"
    assert run("doctor", "-q", "--skip", "P,G,C", **ward.parts).out == "W001\n"
    ran = run("doctor", "--only", "Z9", **ward.parts)
    assert ran.code == 2
    assert "neither a code nor a family" in ran.err


def test_the_checks_can_be_listed_without_asking_any_system(run: Run) -> None:
    ran = run("doctor", "--list-checks", "--json")
    assert ran.code == 0
    assert [r["code"] for r in ran.document["data"]] == [rule.code for rule in RULES]
    assert run("doctor", "--list-checks", "--only", "K", "-q").lines[0] == "K001"


def test_the_report_is_markdown_with_timeline_numbers_and_evidence(run: Run, ward: Ward, tmp_path: Path) -> None:
    ward.end()
    ward.happened("kill", signal="15")
    paid = ward.pay(1, ago=10 * MINUTE)
    file = tmp_path / "incident.md"
    ran = run("doctor", "--report", str(file), "--utc", **ward.parts)
    assert ran.code == 1
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# Incident report, 2026-01-15 12:00:00Z")
    for heading in ("## Timeline", "## Numbers", "## Findings", "## So that it does not happen again"):
        assert heading in text
    assert "- 2026-01-15 11:55:00Z Docker: kodingcaravan-purchase-worker kill, signal 15" in text
    assert paid in text
    assert "kcfix restart purchase-worker" in text
    assert "made-up-password" not in text


def test_a_report_that_can_not_be_written_is_wrong_usage(run: Run, ward: Ward, tmp_path: Path) -> None:
    assert run("doctor", "--report", str(tmp_path), **ward.parts).code == 2
    assert run("doctor", "--report", str(tmp_path / "no" / "file.md"), **ward.parts).code == 2


def test_markdown_can_be_pasted_into_a_ticket(run: Run, ward: Ward) -> None:
    ward.end()
    ran = run("doctor", "-o", "markdown", **ward.parts)
    assert "W001" in ran.out
    assert "\x1b" not in ran.out


def test_nothing_is_changed_and_no_group_is_joined(run: Run, ward: Ward) -> None:
    ward.end()
    ward.pay(1, ago=10 * MINUTE)
    run("doctor", "--sample", "60s", **ward.parts)
    assert (ward.kafka.sent, ward.kafka.commits, ward.docker.done) == ([], [], [])
    assert not {"insert", "delete", "holding"} & set(ward.database.calls)
    assert not {"send", "commit"} & set(ward.kafka.calls)


def test_commands_name_the_system_that_was_chosen(run: Run, ward: Ward) -> None:
    ward.end()
    ran = run("--project", "kc-backend", "doctor", **ward.parts)
    assert "kcfix --project kc-backend restart purchase-worker" in ran.out


def test_advice_ends_with_the_lines_to_paste(run: Run, ward: Ward) -> None:
    lines = run("doctor", "-o", "table", **ward.parts).lines
    advice = lines[next(n for n, line in enumerate(lines) if line.startswith("to prevent")) + 1 :]
    assert [line for line in advice if line and not line.startswith(" ")]
    for one, after in itertools.pairwise(advice):
        assert one.startswith(" ") or after.startswith("      "), one
    assert advice[-1].startswith("      ")


def test_lines_of_a_compose_file_are_quoted_and_are_no_next_commands(run: Run, ward: Ward) -> None:
    ward.change("purchase-worker", environment={"KAFKA_BROKERS": "kafka:9092", "REDIS_URL": "redis://cache"})
    ran = run("doctor", **ward.parts)
    line = 'services: { purchase-worker: { environment: { POSTGRES_URL: "${POSTGRES_URL}" } } }'
    assert line in ran.out
    assert line not in ran.out[ran.out.index("next:") :]


def test_in_markdown_a_finding_is_one_block(run: Run, ward: Ward) -> None:
    ward.end()
    text = run("doctor", "-o", "markdown", **ward.parts).out
    before, _, after = text.partition("kcfix restart purchase-worker")
    assert before.count("```") == 1
    assert after.count("```") % 2 == 1


def test_secrets_of_containers_are_in_no_output(run: Run, ward: Ward) -> None:
    ward.log("connecting to postgresql://app:made-up-password@db.example:5432/kc_app failed", level="error")
    ward.end()
    for argv in (("doctor", "-v"), ("doctor", "--json"), ("doctor", "-o", "markdown")):
        ran = run(*argv, **ward.parts)
        assert "made-up-password" not in ran.out + ran.err


def test_an_acknowledged_payment_is_no_finding(run: Run, ward: Ward) -> None:
    paid = ward.pay(1, ago=10 * MINUTE, sent=False)
    assert run("doctor", "-q", **ward.parts).out == "P007\n"
    run("missing", "--ack", paid, "--reason", "paid back", **ward.parts)
    assert run("doctor", "-q", **ward.parts).out == ""


def test_a_locked_table_does_not_keep_the_lock_from_being_seen(run: Run, ward: Ward) -> None:
    ward.database.refused_tables = Unreachable("database db.example did not answer within 3 s (reading payments)")
    document = run("doctor", "--json", **ward.parts).document
    reasons = {r["code"]: r["reason"] for r in document["data"] if r["section"] == "unchecked"}
    assert "P001" in reasons
    assert "D005" not in reasons


def test_explain_says_what_a_code_means(run: Run) -> None:
    ran = run("explain", "w001")
    assert ran.code == 0
    assert "A worker was stopped or never started" in ran.out
    assert "kcfix restart" in ran.out
    (row,) = run("explain", "G001", "--json").document["data"]
    assert row["family"] == "consumer groups"
    assert "3" in row["modes"]
    assert "poison" not in json.dumps(row["title"])


def test_explain_of_an_unknown_code_suggests_one(run: Run) -> None:
    ran = run("explain", "W01")
    assert ran.code == 3
    assert "did you mean" in ran.err


def test_a_system_that_is_said_to_have_no_docker_is_not_accused_of_a_silent_one(run: Run, ward: Ward) -> None:
    ward.docker.failure = Unreachable(f'{NO_DOCKER} (docker_host = "none")', system="docker")
    ran = run("doctor", **ward.parts)
    assert (ran.code, "checks could not be made" in ran.lines[0], "W011" in ran.out) == (1, True, False)
    silence(ward, "docker")
    assert "W011" in run("doctor", **ward.parts).out
