"""`kcfix missing --certify`: a statement only where it is true, and one that can be checked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kcfix.core.payments import Payment
from kcfix.errors import Unreachable
from tests.cli.night import APPLY, Night
from tests.conftest import NOW, Ran, Run

Certify = Callable[..., Ran]


@pytest.fixture
def certify(run: Run, night: Night) -> Certify:
    """Run `kcfix missing --certify` on that night."""

    def call(*words: str, **more: Any) -> Ran:
        systems = {"kafka": night.kafka, "database": night.database, "docker": night.docker}
        return run("missing", *words, **{**systems, **more})

    return call


def bought(night: Night, n: int, **row: Any) -> Payment:
    """A payment that is settled to the end."""
    paid = night.pay(n, minutes=60 + n, **row)
    night.database.allocation(night.database.purchase(paid), sessions=20)
    return paid


def digest(night: Night) -> str:
    """Made as the documents say, from the rows alone."""
    paid = sorted(night.database.payments, key=lambda p: (p.paid_at, p.id))
    of = {(p.student_id, p.course_id): p.id for p in night.database.purchases}
    lines = [f"{p.id} {of[p.student_id, str(p.course_id)]}\n" for p in paid]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def test_nothing_is_certified_while_a_payment_has_no_purchase(certify: Certify, night: Night) -> None:
    bought(night, 5)
    ran = certify("--certify", "-o", "json")
    [row] = ran.document["data"]
    assert (ran.code, row["certified"], row["sha256"]) == (1, False, None)
    assert row["lacking"] == [{"payment_id": i, "verdict": "NEVER_SENT"} for i in night.ids]
    assert (row["payments"], row["with_one_purchase"]) == (3, 1)
    text = certify("--certify").out
    assert "No certificate: 2 payments" in text
    assert "sha256" not in text
    assert certify("--certify", "-q").lines == night.ids


def test_after_the_repair_it_is_certified_with_a_digest_that_can_be_made_again(
    certify: Certify, run: Run, night: Night
) -> None:
    for n in range(5, 9):
        bought(night, n)
    systems = {"kafka": night.kafka, "database": night.database, "docker": night.docker}
    assert run("repair", *night.ids, *APPLY, **systems).code == 0
    later = NOW + timedelta(hours=1)
    ran = certify("--certify", "-o", "json", now=later)
    [row] = ran.document["data"]
    assert (ran.code, row["certified"], row["with_one_purchase"]) == (0, True, 6)
    assert row["sha256"] == digest(night)
    assert row["amounts_minor"] == {"INR": 6 * 360000}
    assert row["cluster_id"] == night.kafka.cluster_id
    assert [p["partition"] for p in row["partitions"]] == [0, 1, 2]
    assert certify("--certify", "-q", now=later).lines == [row["sha256"]]
    assert "Every payment of the window has exactly one purchase." in certify("--certify").out


def test_trouble_behind_a_purchase_is_counted_and_no_reason_to_refuse(certify: Certify, night: Night) -> None:
    night.database.payments.clear()
    paid = night.pay(5, minutes=90)
    night.database.allocation(night.database.purchase(paid), status="pending")
    night.database.purchase(night.pay(6, minutes=91))
    told = night.pay(7, minutes=92)
    made = night.database.purchase(told)
    body = f'{{"type": "PURCHASE_CREATED", "purchaseId": "{made.id}"}}'
    night.kafka.put("purchase-created", told.id, body, at=made.created_at)
    [row] = certify("--certify", "-o", "json").document["data"]
    assert (row["certified"], row["with_one_purchase"]) == (True, 3)
    assert row["trouble"] == {"NO_ALLOCATION": 1, "PENDING_ALLOCATION": 1, "UNANNOUNCED": 1}
    night.kafka.down = Unreachable("kafka did not answer within 3 s", system="kafka")
    ran = certify("--certify", "-o", "json")
    [row] = ran.document["data"]
    assert (ran.code, row["certified"], row["trouble"]) == (0, True, {"PENDING_ALLOCATION": 1, "UNKNOWN": 2})


def test_two_active_purchases_are_not_exactly_one(certify: Certify, night: Night) -> None:
    night.database.payments.clear()
    paid = bought(night, 5)
    night.database.purchase(paid)
    ran = certify("--certify", "-o", "json")
    [row] = ran.document["data"]
    assert (ran.code, row["lacking"]) == (1, [{"payment_id": paid.id, "verdict": "DUPLICATE_PURCHASES"}])


def test_what_a_person_has_judged_is_named_and_does_not_count(certify: Certify, night: Night) -> None:
    night.database.payments.clear()
    first = bought(night, 5)
    second = night.pay(6, minutes=50)
    night.database.change(second.id, student_id=first.student_id)
    assert certify("--certify").code == 1
    assert certify("--ack", second.id, "--reason", "double charge, paid back").code == 0
    ran = certify("--certify", "-o", "json")
    [row] = ran.document["data"]
    assert (ran.code, row["certified"], row["with_one_purchase"]) == (0, True, 1)
    assert [(a["payment_id"], a["reason"]) for a in row["acknowledged"]] == [(second.id, "double charge, paid back")]
    assert "double charge, paid back" in certify("--certify").out


def test_a_payment_in_flight_is_outside_of_the_window(certify: Certify, night: Night) -> None:
    night.database.payments.clear()
    night.pay(5, minutes=0.5)
    [row] = certify("--certify", "-o", "json").document["data"]
    assert (row["certified"], row["payments"]) == (True, 0)


def test_a_silent_kafka_leaves_the_offsets_unknown(certify: Certify, night: Night) -> None:
    night.database.payments.clear()
    bought(night, 5)
    night.kafka.down = Unreachable("kafka did not answer within 3 s", system="kafka")
    ran = certify("--certify", "-o", "json")
    [row] = ran.document["data"]
    assert (ran.code, row["certified"], row["partitions"], row["cluster_id"]) == (0, True, None, None)
    assert "the offsets are unknown" in ran.document["warnings"][0]


def test_without_the_database_or_the_acknowledgements_nothing_is_stated(
    certify: Certify, night: Night, tmp_path: Path
) -> None:
    file = tmp_path / "acknowledged.jsonl"
    file.write_text("torn\n")
    assert certify("--certify", environ={"KCFIX_ACKNOWLEDGEMENTS": str(file)}).code == 5
    night.database.down = Unreachable("database did not answer within 3 s", system="database")
    assert certify("--certify").code == 4
    assert certify("--certify", "--acknowledged").code == 2


def test_what_is_still_to_come_is_not_certified(certify: Certify, night: Night) -> None:
    night.database.payments.clear()
    ran = certify("--certify", "--until", (NOW + timedelta(days=1)).isoformat())
    assert (ran.code, ran.out) == (2, "")
    assert "still to come" in ran.err


def test_what_is_in_flight_is_neither_certified_nor_called_lacking(certify: Certify, night: Night) -> None:
    night.database.payments.clear()
    night.pay(5, minutes=0.75)
    until = ("--until", (NOW - timedelta(seconds=30)).isoformat())
    ran = certify("--certify", *until)
    assert (ran.code, ran.out) == (2, "")
    assert "in flight" in ran.err
    assert certify("--certify", *until, "--older-than", "20s", "-q").code == 1
    assert certify("--certify", "--until", (NOW - timedelta(seconds=60)).isoformat()).code == 0


def test_where_kafka_is_silent_nobody_knows_whether_an_acknowledgement_stands(certify: Certify, night: Night) -> None:
    assert certify("--ack", night.ids[0], "--reason", "paid back").code == 0
    night.kafka.down = Unreachable("kafka did not answer within 3 s", system="kafka")
    ran = certify("--certify", "-o", "json")
    [row] = ran.document["data"]
    assert (ran.code, row["certified"], row["undecided"]) == (1, False, [night.ids[0]])
    assert row["lacking"] == [{"payment_id": night.ids[1], "verdict": "UNKNOWN"}]
    night.database.purchase(night.paid[1])
    ran = certify("--certify", "-o", "json")
    [row] = ran.document["data"]
    assert (ran.code, row["certified"], row["sha256"], row["lacking"]) == (4, False, None, [])
    assert row["undecided"] == [night.ids[0]]
    assert "kafka did not answer" in ran.document["errors"][0]["message"]
    text = certify("--certify").out
    assert "No certificate" in text
    assert night.ids[0] in text


def test_only_payments_without_exactly_one_purchase_stand_against_it(certify: Certify, night: Night) -> None:
    night.database.purchase(night.pay(5, minutes=90, tier=20), tier=10)
    assert certify("--ack", night.ids[0], "--reason", "paid back").code == 0
    [row] = certify("--certify", "-o", "json").document["data"]
    assert row["lacking"] == [{"payment_id": night.ids[1], "verdict": "NEVER_SENT"}]
    assert [a["payment_id"] for a in row["acknowledged"]] == [night.ids[0]]
    assert row["trouble"] == {"WRONG_TIER": 1}


def test_the_window_of_a_document_can_be_repeated_as_it_stands(certify: Certify, night: Night) -> None:
    night.database.payments.clear()
    night.database.now = NOW + timedelta(microseconds=123_456)
    bought(night, 5)
    [row] = certify("--certify", "-o", "json").document["data"]
    edge = night.pay(6, minutes=1)
    night.database.change(edge.id, confirmed_at=NOW - timedelta(minutes=1) + timedelta(microseconds=123_200))
    [again] = certify("--certify", "--since", row["since"], "--until", row["until"], "-o", "json").document["data"]
    assert (again["since"], again["until"], again["sha256"]) == (row["since"], row["until"], row["sha256"])
    [whole] = certify("--certify", "-o", "json").document["data"]
    assert (whole["payments"], whole["certified"]) == (1, True)
