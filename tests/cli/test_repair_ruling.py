"""`kcfix repair` with a person's word (--course, --tier), and a further announcement by name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from kcfix.core.events import own_purchase_id
from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import PaymentId
from kcfix.errors import Unreachable
from tests.cli.night import APPLY, Night, outcomes
from tests.conftest import NOW, Ran
from tests.fakes_database import course_id

Repair = Callable[..., Ran]
COURSE = course_id(2)


def told(ran: Ran) -> tuple[str, str]:
    """Verdict and action of the only row."""
    [row] = ran.document["data"]
    return row["verdict"], row["action"]


@pytest.mark.parametrize(
    ("row", "verdict", "words"),
    [
        ({"course": None}, "NO_COURSE", ("--course", COURSE)),
        ({"course": None, "tier": 12}, "NO_COURSE", ("--course", COURSE, "--tier", "10")),
        ({"tier": None}, "BAD_TIER", ("--tier", "20")),
        ({"tier": 12}, "BAD_TIER", ("--tier", "10")),
        ({"course": 99}, "UNKNOWN_COURSE", ("--course", COURSE)),
    ],
)
def test_a_persons_word_fills_what_the_payment_does_not_say(
    repair: Repair, night: Night, row: dict[str, Any], verdict: str, words: tuple[str, ...]
) -> None:
    paid = night.pay(5, **row).id
    assert told(repair(paid, "-o", "json")) == (verdict, "REFUSE")
    asked = "--tier N" if verdict == "BAD_TIER" else "--course COURSE_ID"
    assert repair(paid).lines[-1].strip() == f"kcfix repair {paid} {asked} --reason why"
    dry = repair(paid, *words)
    assert dry.lines[-1].strip() == f"kcfix repair {paid} {' '.join(words)} --reason why --apply"
    ran = repair(paid, *words, *APPLY, "--reason", "asked the customer", "-o", "json")
    assert (ran.code, outcomes(ran)) == (0, ["SETTLED"]), ran.out
    [made] = night.database.purchases
    assert made.id == own_purchase_id(PaymentId(paid))
    wanted = dict(zip(words[::2], words[1::2], strict=True))
    assert made.course_id == wanted.get("--course", made.course_id)
    assert made.tier == int(wanted.get("--tier", 20))
    assert isinstance(made.metadata, dict)
    assert (made.metadata["courseId"], made.metadata["purchaseTier"]) == (made.course_id, made.tier)
    later = NOW + timedelta(minutes=1)
    for more in ((), words):
        assert told(repair(paid, *more, "-o", "json", now=later)) == ("PURCHASED", "NOTHING")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--tier", "30"), "the payment itself states tier 20"),
        (("--course", COURSE), f"the payment itself names course {course_id(1)}"),
    ],
)
def test_a_word_against_the_payments_own_is_refused(
    repair: Repair, night: Night, words: tuple[str, ...], says: str
) -> None:
    ran = repair(night.ids[0], *words, *APPLY, "--reason", "because", "-o", "json")
    assert ran.code == 5
    assert says in ran.document["data"][0]["why"]
    assert night.database.purchases == []


def test_a_word_that_agrees_with_the_payment_changes_nothing_about_the_plan(repair: Repair, night: Night) -> None:
    assert told(repair(night.ids[0], "--tier", "20", "-o", "json")) == ("NEVER_SENT", "INSERT")


def test_a_course_that_is_not_there_either_is_refused(repair: Repair, night: Night) -> None:
    paid = night.pay(5, course=None).id
    ran = repair(paid, "--course", course_id(77), *APPLY, "--reason", "because", "-o", "json")
    assert (ran.code, told(ran)) == (5, ("UNKNOWN_COURSE", "REFUSE"))


def test_a_course_that_another_payment_has_bought_is_a_second_payment(repair: Repair, night: Night) -> None:
    first = night.database.payment(6, student=5, course=2, paid_at=NOW - timedelta(hours=1))
    night.database.purchase(first)
    paid = night.pay(5, course=None).id
    ran = repair(paid, "--course", COURSE, *APPLY, "--reason", "because", "-o", "json")
    assert (ran.code, told(ran)) == (5, ("SECOND_PAYMENT", "REFUSE"))


@pytest.mark.parametrize(
    "words",
    [
        ("--course", "x"),
        ("--tier", "15"),
        ("--tier", "20", "--apply"),
        ("--tier", "20", "00000000-0000-4000-8000-00000000000b"),
        ("--tier", "20", "--missing"),
    ],
)
def test_a_word_needs_a_usable_value_one_payment_and_a_reason(
    repair: Repair, night: Night, words: tuple[str, ...]
) -> None:
    assert repair(night.ids[0], *words).code == 2
    assert night.database.calls == []


def test_a_word_about_a_message_that_still_waits_inserts_and_leaves_nothing_to_the_worker(
    repair: Repair, night: Night
) -> None:
    paid = night.pay(5, tier=None)
    found = night.kafka.put("purchase-confirmed", paid.id, '{"type": "PURCHASE_CONFIRMED"}', at=paid.paid_at)
    night.kafka.commit_as_worker(
        "purchase-creation-workers", {TopicPartition("purchase-confirmed", found.partition): 0}
    )
    assert told(repair(paid.id, "-o", "json")) == ("BAD_TIER", "REFUSE")
    ran = repair(paid.id, "--tier", "20", "-o", "json")
    assert told(ran) == ("PENDING", "INSERT")
    assert "still waits" in ran.document["data"][0]["notes"][0]


@pytest.fixture
def lonely(night: Night) -> str:
    """A payment whose purchase was announced and has no trainer."""
    paid = night.pay(5, minutes=60)
    bought = night.database.purchase(paid)
    body = f'{{"type": "PURCHASE_CREATED", "purchaseId": "{bought.id}"}}'
    night.kafka.put("purchase-created", paid.id, body, partition=0, at=bought.created_at)
    night.kafka.commit_as_worker("trainer-allocation-workers", {TopicPartition("purchase-created", 0): 1})
    return paid.id


def test_a_purchase_without_trainer_is_announced_again_only_by_name(repair: Repair, night: Night, lonely: str) -> None:
    assert told(repair(lonely, "-o", "json")) == ("NO_ALLOCATION", "REFUSE")
    ran = repair(lonely, "--strategy", "announce", "-o", "json")
    assert told(ran) == ("NO_ALLOCATION", "ANNOUNCE")
    assert "pending rows" in ran.document["data"][0]["notes"][0]
    ran = repair(lonely, "--strategy", "announce", *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)) == (0, ["SETTLED"])
    assert len(night.announced()) == 2


def test_it_is_not_announced_again_while_the_first_announcement_waits(
    repair: Repair, night: Night, lonely: str
) -> None:
    night.kafka.commit_as_worker("trainer-allocation-workers", {TopicPartition("purchase-created", 0): 0})
    ran = repair(lonely, "--strategy", "announce", *APPLY, "-o", "json")
    assert (ran.code, told(ran)) == (5, ("NO_ALLOCATION", "REFUSE"))
    assert "still waits" in ran.document["data"][0]["why"]


@pytest.mark.parametrize("outside", [True, False], ids=["outside the log", "none"])
def test_that_it_may_still_wait_is_said_where_no_offset_tells(
    repair: Repair, night: Night, lonely: str, outside: bool
) -> None:
    where = TopicPartition("purchase-created", 0)
    if outside:
        night.kafka.commit_as_worker("trainer-allocation-workers", {where: 99})  # the log ends at 1
    else:
        night.kafka.forget_commit("trainer-allocation-workers", where)
    ran = repair(lonely, "--strategy", "announce", "-o", "json")
    assert told(ran) == ("NO_ALLOCATION", "ANNOUNCE")
    assert "is not known" in ran.document["data"][0]["notes"][1]


def test_there_is_nothing_to_announce_without_a_purchase(repair: Repair, night: Night) -> None:
    ran = repair(night.ids[0], "--strategy", "announce", *APPLY, "-o", "json")
    assert (ran.code, told(ran)) == (5, ("NEVER_SENT", "REFUSE"))


def test_a_persons_word_holds_also_where_a_silent_kafka_hides_the_verdict(repair: Repair, night: Night) -> None:
    paid = night.pay(5, tier=None)
    night.kafka.down = Unreachable("kafka did not answer within 3 s", system="kafka")
    words = ("--strategy", "insert", "--announce-later", "-o", "json")
    assert told(repair(paid.id, *words)) == ("UNKNOWN", "REFUSE")
    ran = repair(paid.id, *words, "--tier", "10", "--reason", "asked the customer", *APPLY)
    assert (ran.code, told(ran), outcomes(ran)) == (6, ("UNKNOWN", "INSERT"), ["UNANNOUNCED"])
    assert [p.tier for p in night.database.purchases] == [10]
