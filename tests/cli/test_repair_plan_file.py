"""`kcfix repair --plan FILE` and `--apply-plan FILE`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kcfix.core.payments import PaymentId
from kcfix.core.repair import plan_file
from kcfix.core.repair.plan_file import PlannedFor, system_differences
from kcfix.errors import Unreachable
from tests.cli.night import Night, outcomes
from tests.conftest import NOW, Ran
from tests.fakes_database import course_id, payment_id

Repair = Callable[..., Ran]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "night.json"


@pytest.fixture
def planned(repair: Repair, night: Night, file: Path) -> Path:
    """The plan for both payments, written to a file."""
    ran = repair(*night.ids, "--plan", str(file), "--reason", "worker was down")
    assert ran.code == 0, ran.err
    assert ran.lines[-1].strip() == f"kcfix repair --apply-plan {file}"
    assert "The plan, 2 payments, is in" in ran.out
    return file


def test_a_plan_says_what_it_rests_on_and_nothing_about_the_student(planned: Path, night: Night) -> None:
    document = json.loads(planned.read_text())
    assert document["schema"] == "kcfix.repair-plan/v1"
    assert document["system"]["cluster_id"] == night.kafka.cluster_id
    assert [s["payment_id"] for s in document["steps"]] == night.ids
    facts = document["steps"][0]["facts"]
    assert (facts["verdict"], facts["action"], facts["payment.status"]) == ("NEVER_SENT", "INSERT", "succeeded")
    assert (facts["insert.tier"], facts["purchases"]) == (20, [])
    assert planned.stat().st_mode & 0o077 == 0
    assert night.database.purchases == []


def test_a_plan_is_applied_as_it_is(repair: Repair, night: Night, planned: Path) -> None:
    dry = repair("--apply-plan", str(planned), "--dry-run")
    assert dry.code == 0
    assert dry.lines[-1].strip() == f"kcfix repair --apply-plan {planned}"
    assert night.database.purchases == []
    ran = repair("--apply-plan", str(planned), "--yes", "-o", "json")
    assert (ran.code, outcomes(ran)) == (0, ["SETTLED", "SETTLED"])
    again = repair("--apply-plan", str(planned), "--yes", "-o", "json", now=NOW + timedelta(minutes=1))
    assert (again.code, [r["action"] for r in again.document["data"]]) == (0, ["NOTHING", "NOTHING"])
    assert len(night.database.purchases) == 2


def test_the_journal_knows_the_plan_that_was_applied(
    repair: Repair, run: Callable[..., Ran], night: Night, planned: Path
) -> None:
    repair("--apply-plan", str(planned), "--yes")
    [row] = run("history", "-o", "json").document["data"]
    assert row["reason"] == "worker was down"
    assert row["summary"]["plan_sha256"] == json.loads(planned.read_text())["sha256"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"status": "refunded"}, "payment.status was succeeded, is refunded"),
        ({"amount_minor": 1}, "payment.amount_minor was 360000, is 1"),
        ({"metadata": {"courseId": course_id(1), "sessionCount": 30}}, "payment.tier was 20, is 30"),
        (
            {"metadata": {"courseId": course_id(1), "sessionCount": 20, "timeSlot": "5:00 PM"}},
            "payment.metadata_sha256",
        ),
    ],
)
def test_a_payment_that_changed_is_refused_with_the_fact_and_the_rest_is_done(
    repair: Repair, night: Night, planned: Path, fields: dict[str, Any], says: str
) -> None:
    night.database.change(PaymentId(night.ids[0]), **fields)
    ran = repair("--apply-plan", str(planned), "--yes", "-o", "json")
    assert ran.code == 6
    assert says in ran.document["data"][0]["why"]
    assert "insert.tier was 20, is nothing" not in ran.document["data"][0]["why"]
    assert outcomes(ran) == [None, "SETTLED"]
    assert len(night.database.purchases) == 1


def test_a_message_that_appeared_since_is_named(repair: Repair, night: Night, planned: Path) -> None:
    found = night.kafka.put("purchase-confirmed", night.ids[0], "{}", at=night.paid[0].paid_at)
    ran = repair("--apply-plan", str(planned), "--dry-run", "-o", "json")
    why = ran.document["data"][0]["why"]
    assert "verdict was NEVER_SENT, is AT_RISK" in why
    assert f"message was nothing, is purchase-confirmed-{found.partition}@0" in why


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda n: setattr(n.kafka, "cluster_id", "another"), "the Kafka cluster was fake-cluster"),
        (lambda n: setattr(n.database, "system_identifier", "7"), "(another server)"),
        (lambda n: setattr(n.database, "name", "kc_copy"), "the database was"),
    ],
)
def test_a_plan_for_another_system_is_refused_whole(
    repair: Repair, night: Night, planned: Path, change: Callable[[Night], None], says: str
) -> None:
    change(night)
    ran = repair("--apply-plan", str(planned), "--yes")
    assert ran.code == 5
    assert says in ran.err
    assert night.database.purchases == []


@pytest.mark.parametrize("change", ["action", "payment", "wish", "reason"])
def test_a_plan_that_was_edited_is_refused(repair: Repair, night: Night, planned: Path, change: str) -> None:
    document = json.loads(planned.read_text())
    match change:
        case "action":
            document["steps"][0]["facts"]["action"] = "REPLAY"
        case "payment":
            document["steps"][0]["payment_id"] = payment_id(9)
        case "wish":
            document["wishes"]["tier"] = 30
        case _:
            document["reason"] = "another"
    planned.write_text(json.dumps(document))
    ran = repair("--apply-plan", str(planned), "--yes")
    assert ran.code == 5
    assert "its hash does not match" in ran.err
    assert night.database.calls.count("insert") == 0


def test_a_plan_that_only_another_layout_was_given_is_the_same_plan(
    repair: Repair, night: Night, planned: Path
) -> None:
    planned.write_text(json.dumps(json.loads(planned.read_text()), sort_keys=True))
    assert repair("--apply-plan", str(planned), "--yes").code == 0
    assert len(night.database.purchases) == 2


def forged(planned: Path, **facts: object) -> None:
    """A plan as somebody would make it who knows how to hash."""
    document = json.loads(planned.read_text())
    document["steps"][0]["facts"] |= facts
    rehashed(document, planned)


def rehashed(document: dict[str, Any], planned: Path) -> None:
    del document["sha256"]
    document["sha256"] = plan_file._hash(document)
    planned.write_text(json.dumps(document))


def test_a_forged_plan_does_nothing_that_would_not_be_planned(repair: Repair, night: Night, planned: Path) -> None:
    forged(planned, **{"insert.tier": 30, "insert.purchase_id": payment_id(77)})
    ran = repair("--apply-plan", str(planned), "--yes", "-o", "json")
    assert ran.code == 6
    assert "insert.tier was 30, is 20" in ran.document["data"][0]["why"]
    assert [p.tier for p in night.database.purchases] == [20]


UNHASHED = '{"schema": "kcfix.repair-plan/v1"}'
WRONG = ("", "[]", "{}", "nonsense", UNHASHED, "[" * 100_000, '{"schema": "other/v9"}')


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_plan_is_wrong_usage_or_refused(repair: Repair, file: Path, text: str) -> None:
    file.write_text(text)
    ran = repair("--apply-plan", str(file), "--yes")
    assert ran.code == (5 if text == UNHASHED else 2)
    assert "bug" not in ran.err


@pytest.mark.parametrize("system", [{}, {"database": 5}, None, {"more": 1}])
def test_a_forged_plan_with_nonsense_about_the_system_is_no_plan(repair: Repair, planned: Path, system: object) -> None:
    document = json.loads(planned.read_text())
    document["system"] = {**document["system"], **system} if isinstance(system, dict) and system else system
    rehashed(document, planned)
    ran = repair("--apply-plan", str(planned), "--yes")
    assert ran.code == 2
    assert "no plan that can be read" in ran.err


def test_a_plan_of_a_persons_word_keeps_it(repair: Repair, night: Night, file: Path) -> None:
    paid = night.pay(5, tier=None).id
    repair(paid, "--tier", "10", "--plan", str(file), "--reason", "asked the customer")
    ran = repair("--apply-plan", str(file), "--yes", "-o", "json")
    assert (ran.code, outcomes(ran)) == (0, ["SETTLED"])
    assert [p.tier for p in night.database.purchases] == [10]


def test_a_plan_holds_at_most_as_many_as_max(repair: Repair, night: Night, file: Path) -> None:
    assert "The plan, 1 payment, is in" in repair(*night.ids, "--max", "1", "--plan", str(file)).out
    ran = repair("--apply-plan", str(file), "--yes", "-o", "json")
    assert (ran.code, outcomes(ran)) == (0, ["SETTLED"])
    assert len(night.database.purchases) == 1


def test_a_plan_without_anything_to_do_is_done_at_once(repair: Repair, file: Path) -> None:
    repair(payment_id(99), "--plan", str(file))
    assert repair("--apply-plan", str(file), "--yes").code == 0


def test_a_silent_system_applies_nothing(repair: Repair, night: Night, planned: Path) -> None:
    night.kafka.down = Unreachable("kafka did not answer within 3 s", system="kafka")
    ran = repair("--apply-plan", str(planned), "--yes", "-o", "json")
    assert (ran.code, {row["action"] for row in ran.document["data"]}) == (4, {"UNKNOWN"})
    assert "kafka did not answer" in ran.document["errors"][0]["message"]
    assert night.database.purchases == []
    night.kafka.down = None
    night.database.down = Unreachable("database did not answer within 3 s", system="database")
    assert repair("--apply-plan", str(planned), "--yes").code == 4


def test_options_that_do_not_go_with_a_plan_file(repair: Repair, night: Night, planned: Path) -> None:
    assert repair("--apply-plan", str(planned), night.ids[0]).code == 2
    assert repair("--apply-plan", str(planned), "--plan", "x").code == 2
    assert repair(night.ids[0], "--apply", "--yes", "--plan", "x").code == 2
    assert repair(night.ids[0], "--plan", str(planned.parent / "no" / "folder.json")).code == 2
    assert repair("--apply-plan", str(planned.parent / "none.json")).code == 2
    assert repair("--apply-plan", str(planned)).code == 5  # no terminal, and no --yes


@pytest.mark.parametrize(
    "words",
    [
        ("--strategy", "insert"),
        ("--strategy", "insert", "--announce-later"),
        ("--course", course_id(1), "--reason", "x"),
        ("--tier", "10", "--reason", "x"),
        ("--older-than", "10m"),
        ("--since", "1h"),
    ],
)
def test_what_the_plan_decides_can_not_be_said_again(
    repair: Repair, night: Night, planned: Path, words: tuple[str, ...]
) -> None:
    ran = repair("--apply-plan", str(planned), "--yes", *words)
    assert (ran.code, night.database.purchases) == (2, [])


def test_max_holds_for_a_plan_that_is_applied_too(repair: Repair, night: Night, planned: Path) -> None:
    ran = repair("--apply-plan", str(planned), "--yes", "--max", "1", "-o", "json")
    assert (ran.code, outcomes(ran)) == (6, ["SETTLED", "LEFT"])


def test_a_plan_of_more_than_the_usual_max_is_applied_whole(repair: Repair, night: Night, file: Path) -> None:
    night.paid += [night.pay(n, minutes=60) for n in range(3, 110)]
    repair("--missing", "--max", "500", "--plan", str(file))
    ran = repair("--apply-plan", str(file), "--yes", "-o", "json")
    assert (ran.code, outcomes(ran)) == (0, ["SETTLED"] * 109)


def test_a_persons_word_is_not_applied_without_a_reason(repair: Repair, night: Night, file: Path) -> None:
    paid = night.pay(5, tier=None).id
    repair(paid, "--tier", "10", "--plan", str(file))
    ran = repair("--apply-plan", str(file), "--yes")
    assert (ran.code, night.database.purchases) == (2, [])
    assert "--reason" in ran.err
    assert repair("--apply-plan", str(file), "--yes", "--reason", "asked the customer").code == 0


def test_a_plan_that_can_not_be_written_leaves_the_old_one(repair: Repair, night: Night, planned: Path) -> None:
    before = planned.read_text()
    night.database.down = Unreachable("database did not answer within 3 s", system="database")
    assert repair(*night.ids, "--plan", str(planned)).code == 4
    assert planned.read_text() == before
    assert list(planned.parent.glob(".night.json.*")) == []


def test_identical_facts_of_another_run_are_the_same_facts(night: Night) -> None:
    here = PlannedFor("c", "h:1/kc", "7", "h:1/kc", "7")
    assert system_differences(here, replace(here, database="elsewhere:2/kc", payments_database="elsewhere:2/kc")) == ()
    assert system_differences(here, replace(here, database_identifier=None)) == ()
    assert system_differences(here, replace(here, database_identifier=None, database="x:1/kc")) != ()


def test_a_fact_that_a_forged_plan_leaves_out_counts_as_changed(repair: Repair, night: Night, planned: Path) -> None:
    document = json.loads(planned.read_text())
    del document["steps"][0]["facts"]["payment.status"]
    rehashed(document, planned)
    ran = repair("--apply-plan", str(planned), "--dry-run", "-o", "json")
    assert "payment.status was nothing, is succeeded" in ran.document["data"][0]["why"]


@pytest.mark.parametrize("wishes", [{"tier": 10}, {"course_id": course_id(1)}])
def test_a_forged_plan_can_not_speak_for_several_payments(
    repair: Repair, night: Night, planned: Path, wishes: dict[str, object]
) -> None:
    document = json.loads(planned.read_text())
    document["wishes"] |= wishes
    rehashed(document, planned)
    ran = repair("--apply-plan", str(planned), "--yes")
    assert (ran.code, "for one payment" in ran.err, night.database.purchases) == (2, True, [])


@pytest.mark.parametrize("wishes", [{"tier": 15}, {"tier": "20"}, {"course_id": "nonsense"}])
def test_a_forged_plan_with_an_unusable_word_is_no_plan(
    repair: Repair, night: Night, planned: Path, wishes: dict[str, object]
) -> None:
    document = json.loads(planned.read_text())
    document["wishes"] |= wishes
    document["steps"] = document["steps"][:1]
    rehashed(document, planned)
    ran = repair("--apply-plan", str(planned), "--yes", "--reason", "x")
    assert (ran.code, night.database.purchases) == (2, [])


def test_another_payments_database_is_another_system() -> None:
    here = PlannedFor("c", "h:1/kc", "7", "p:1/pay", "8")
    assert system_differences(here, replace(here, payments_database_identifier="9")) != ()
    assert system_differences(here, replace(here, payments_database="p:1/copy")) != ()


def test_the_next_command_asks_for_the_reason_that_the_plan_does_not_have(
    repair: Repair, night: Night, file: Path
) -> None:
    paid = night.pay(5, tier=None).id
    ran = repair(paid, "--tier", "10", "--plan", str(file))
    assert ran.lines[-1].strip() == f"kcfix repair --apply-plan {file} --reason why"
    ran = repair(paid, "--tier", "10", "--plan", str(file), "--reason", "asked")
    assert ran.lines[-1].strip() == f"kcfix repair --apply-plan {file}"
    ran = repair(night.ids[0], "--plan", str(file), environ={"KCFIX_PROTECTED": "true"})
    assert ran.lines[-1].strip() == f"kcfix repair --apply-plan {file} --reason why"
