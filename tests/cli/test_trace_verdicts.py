"""The words of `kcfix trace` for the rarer verdicts: what it means, whether it heals, and the next command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import Payment
from kcfix.core.ports.database import IndexState
from tests.cli.night import GROUP, Night
from tests.conftest import NOW, Run
from tests.core.stories import put_confirmed, put_created

EARLIER = NOW - timedelta(minutes=30)


def no_course(night: Night) -> Payment:
    return night.database.payment(5, course=None, paid_at=EARLIER)


def duplicates(night: Night) -> Payment:
    night.database.index = IndexState.MISSING
    paid = night.database.payment(5, paid_at=EARLIER)
    night.database.purchase(paid)
    night.database.purchase(paid)
    return paid


def wrong_tier(night: Night) -> Payment:
    paid = night.database.payment(5, paid_at=EARLIER)
    night.database.purchase(paid, tier=30)
    return paid


def purchased(night: Night) -> Payment:
    paid = night.database.payment(5, paid_at=EARLIER)
    put_confirmed(night.kafka, paid)
    put_created(night.kafka, paid, night.database.purchase(paid))
    return paid


def no_allocation(night: Night) -> Payment:
    paid = purchased(night)
    created = night.kafka.log("purchase-created")[0]
    where = TopicPartition(created.topic, created.partition)
    night.kafka.commit_as_worker("trainer-allocation-workers", {where: created.offset + 1})
    return paid


def not_yet_allocated(night: Night) -> Payment:
    paid = purchased(night)
    created = night.kafka.log("purchase-created")[0]
    where = TopicPartition(created.topic, created.partition)
    night.kafka.commit_as_worker("trainer-allocation-workers", {where: created.offset})
    return paid


def pending_allocation(night: Night) -> Payment:
    paid = purchased(night)
    for _ in range(3):
        night.database.allocation(night.database.purchases[-1], status="pending", has_trainer=False)
    return paid


def no_sessions(night: Night) -> Payment:
    paid = purchased(night)
    night.database.allocation(night.database.purchases[-1], sessions=0)
    return paid


def refunded(night: Night) -> Payment:
    paid = night.database.payment(5, paid_at=EARLIER, status="refunded")
    night.database.purchase(paid)
    return paid


def bad_tier(night: Night) -> Payment:
    paid = night.database.payment(5, tier=12, paid_at=EARLIER)
    put_confirmed(night.kafka, paid)
    return paid


def pending(night: Night) -> Payment:
    paid = night.database.payment(5, paid_at=EARLIER)
    record = put_confirmed(night.kafka, paid)
    night.kafka.commit_as_worker(GROUP, {TopicPartition(record.topic, record.partition): record.offset})
    return paid


def failing(night: Night, paid: Payment) -> None:
    """Its message is at the committed offset, and the worker was seen to fail there."""
    record = put_confirmed(night.kafka, paid)
    night.kafka.commit_as_worker(GROUP, {TopicPartition(record.topic, record.partition): record.offset})
    letter = (
        f'{{"originalEvent":{{"paymentId":"{paid.id}"}},"originalTopic":"{record.topic}",'
        f'"originalPartition":{record.partition},"originalOffset":"{record.offset}","failureReason":"made to fail"}}'
    )
    night.kafka.put("dead-letter-queue", paid.id, letter, at=EARLIER + timedelta(seconds=9))


def poison(night: Night) -> Payment:
    paid = night.database.payment(5, paid_at=EARLIER)
    failing(night, paid)
    return paid


def blocked(night: Night) -> Payment:
    first = poison(night)
    home = night.kafka.log("purchase-confirmed")[0].partition
    paid = night.database.payment(6, paid_at=EARLIER)
    record = put_confirmed(night.kafka, paid)
    assert record.partition == home
    assert first.id != paid.id
    return paid


def expired(night: Night) -> Payment:
    paid = night.database.payment(5, paid_at=NOW - timedelta(days=9))
    put_confirmed(night.kafka, paid)
    for partition in range(3):
        night.kafka.put("purchase-confirmed", "x", partition=partition)
        where = TopicPartition("purchase-confirmed", partition)
        night.kafka.delete_before(where, 1)
    return paid


def young(night: Night) -> Payment:
    return night.database.payment(5, paid_at=NOW - timedelta(seconds=5))


@pytest.mark.parametrize(
    ("arrange", "verdict", "phrase", "command", "code"),
    [
        (no_course, "NO_COURSE", "no event is ever sent without a course", "repair {}", 1),
        (duplicates, "DUPLICATE_PURCHASES", "has the course more than once", "repair {}", 1),
        (wrong_tier, "WRONG_TIER", "another number of sessions than was paid for", "repair {}", 1),
        (no_allocation, "NO_ALLOCATION", "has the course, and no trainer", "logs allocation-worker --errors", 1),
        (not_yet_allocated, "NO_ALLOCATION", "still waits for allocation-worker", "restart allocation-worker", 1),
        (pending_allocation, "PENDING_ALLOCATION", "waits for a trainer", "logs allocation-worker --errors", 1),
        (no_sessions, "NO_SESSIONS", "has a trainer, and no sessions", "logs session-worker --errors", 1),
        (refunded, "REFUNDED", "has the money back, and the course still", "repair {}", 1),
        (bad_tier, "BAD_TIER", "the worker would fail on it, or guess", "repair {}", 1),
        (
            pending,
            "PENDING",
            "reads it, which is not working now",
            "restart purchase-worker",
            1,
        ),
        (poison, "POISON", "stands still at it", "logs purchase-worker --errors", 1),
        (blocked, "BLOCKED", "once the record before it is settled", "trace 00000000-0000-4000-8000-000100000005", 1),
        (expired, "EXPIRED", "its message, if there was one, is deleted", "repair {}", 1),
        (young, "IN_FLIGHT", "paid a moment ago; the purchase is on its way", None, 0),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_each_verdict_has_its_words_and_its_command(
    run: Run,
    night: Night,
    arrange: Callable[[Night], Payment],
    verdict: str,
    phrase: str,
    command: str | None,
    code: int,
) -> None:
    paid = arrange(night)
    systems = {"kafka": night.kafka, "database": night.database, "docker": night.docker}
    ran = run("trace", paid.id, "--utc", **systems)
    assert (ran.code, ran.lines[0].split()[1]) == (code, verdict), ran.out
    assert phrase in ran.out
    first = ran.out.partition("next:\n  kcfix ")[2].partition("\n")[0]
    assert first == (command or "").format(paid.id)


def test_a_purchase_that_kcfix_made_and_a_deactivated_one_are_named(run: Run, night: Night) -> None:
    paid = night.database.payment(5, paid_at=EARLIER)
    bought = night.database.purchase(paid, own=True)
    night.database.purchases[-1] = replace(bought, is_active=False)
    ran = run("trace", paid.id, database=night.database, kafka=night.kafka, docker=night.docker)
    assert "made by   KCFIX: the purchase has the id that kcfix gives" in ran.out
    assert "tier 20, not active" in ran.out


def test_what_is_behind_a_failing_record_is_not_left_to_a_restart(run: Run, night: Night) -> None:
    night.database.payments.clear()
    paid = blocked(night)
    systems = {"kafka": night.kafka, "database": night.database, "docker": night.docker}
    offsets = "  kcfix offsets --group purchase-creation-workers"
    for words in (("repair", paid.id), ("missing",)):
        ran = run(*words, **systems)
        assert offsets in ran.lines, ran.out
        assert "kcfix restart" not in ran.out
    assert "1 for `kcfix repair`, 1 behind a record on which the worker fails" in run("missing", **systems).lines
    assert "settle that one first" in run("repair", paid.id, **systems).out


def test_an_empty_plan_is_said_to_be_empty(run: Run, night: Night, tmp_path: Path) -> None:
    systems = {"kafka": night.kafka, "database": night.database, "docker": night.docker}
    ran = run("repair", pending(night).id, "--plan", str(tmp_path / "plan.json"), **systems)
    assert f"The plan, which is empty, is in {tmp_path / 'plan.json'}." in ran.lines
    assert "--apply-plan" not in ran.out
    assert "  kcfix restart purchase-worker" in ran.lines
