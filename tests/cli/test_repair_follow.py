"""`kcfix repair --wait`: what was settled is followed to its allocation and sessions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytest

from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import PaymentFacts, PaymentId
from kcfix.core.repair.follow import Followed
from kcfix.errors import Unreachable
from tests.cli.night import APPLY, Night
from tests.conftest import Ran

Repair = Callable[..., Ran]
CACHE = "cache-invalidation-workers"


def meanwhile(night: Night, looks: int, happens: Callable[[], object]) -> None:
    """Something happens at so many looks after all purchases were made."""
    real = night.database.facts
    seen: list[int] = []

    def facts(
        ids: Collection[PaymentId], *, courses: Mapping[PaymentId, str] | None = None
    ) -> Mapping[PaymentId, PaymentFacts]:
        if night.kafka.sent:
            seen.append(1)
            if len(seen) == looks:
                happens()
        return real(ids, courses=courses)

    night.database.facts = facts  # type: ignore[method-assign]


def row(ran: Ran) -> tuple[Any, ...]:
    [found] = ran.document["data"]
    return found["outcome"], found["allocation_id"] is not None, found["sessions"], found["cache_group_passed"]


def test_what_was_inserted_is_followed_until_it_has_sessions(repair: Repair, night: Night) -> None:
    def allocate() -> None:
        night.database.allocation(night.database.purchases[0], sessions=20)
        [record] = night.kafka.log("purchase-created")
        where = TopicPartition("purchase-created", record.partition)
        night.kafka.commit_as_worker(CACHE, {where: record.offset + 1})

    meanwhile(night, 4, allocate)
    ran = repair(night.ids[0], *APPLY, "--wait", "30s", "-o", "json")
    assert (ran.code, row(ran)) == (0, ("SETTLED", True, 20, True))


def test_where_nobody_allocates_it_is_settled_all_the_same_and_said(repair: Repair, night: Night) -> None:
    ran = repair(night.ids[0], *APPLY, "--wait", "1s", "-o", "json")
    assert (ran.code, row(ran)) == (0, ("SETTLED", False, 0, None))
    text = repair(night.ids[1], *APPLY, "--wait", "1s").out
    assert "no approved allocation yet" in text
    assert f"kcfix trace {night.ids[1]}" in text


@pytest.mark.parametrize(("behind", "passed"), [(0, False), (1, True)])
def test_the_cache_groups_offset_is_evidence_and_no_proof(
    repair: Repair, night: Night, behind: int, passed: bool
) -> None:
    night.kafka.commit_as_worker(CACHE, {TopicPartition("purchase-created", p): behind for p in range(3)})
    ran = repair(night.ids[0], *APPLY, "--wait", "1s", "-o", "json")
    assert row(ran)[3] is passed
    assert ("no proof" in Followed(None, 0, passed).text) is passed


def test_a_database_that_falls_silent_while_following_changes_no_outcome(repair: Repair, night: Night) -> None:
    def silent() -> None:
        raise Unreachable("the database did not answer within 3 s", system="database")

    meanwhile(night, 2, silent)  # the first look reads back
    ran = repair(night.ids[0], *APPLY, "--wait", "1s", "-o", "json")
    assert (ran.code, row(ran)) == (0, ("SETTLED", False, None, None))


def test_without_the_option_nothing_is_followed(repair: Repair, night: Night) -> None:
    ran = repair(night.ids[0], *APPLY, "-o", "json")
    assert row(ran) == ("SETTLED", False, None, None)
    assert "Followed" not in repair(night.ids[1], *APPLY).out


def test_a_trainer_without_sessions_is_not_the_end(repair: Repair, night: Night) -> None:
    meanwhile(night, 2, lambda: night.database.allocation(night.database.purchases[0], sessions=0))
    ran = repair(night.ids[0], *APPLY, "--wait", "2s")
    assert "no sessions" in ran.out
    assert "Followed 1: 0 with" in ran.out
    assert ran.lines[-1].strip() == f"kcfix trace {night.ids[0]}"


def test_what_the_worker_settled_meanwhile_is_not_this_runs_to_follow(repair: Repair, night: Night) -> None:
    real = night.database.insert

    def worker_first(orders: Any, recheck: Any) -> Any:
        night.database.purchase(night.paid[0])
        return real(orders, recheck)

    night.database.insert = worker_first  # type: ignore[method-assign]
    ran = repair(night.ids[0], *APPLY, "--wait", "2s", "-o", "json")
    assert (ran.code, row(ran)) == (0, ("SETTLED", False, None, None))


def test_of_several_only_those_that_have_not_arrived_are_looked_at_again(repair: Repair, night: Night) -> None:
    asked: list[int] = []
    real = night.database.facts

    def facts(
        ids: Collection[PaymentId], *, courses: Mapping[PaymentId, str] | None = None
    ) -> Mapping[PaymentId, PaymentFacts]:
        if len(night.kafka.sent) == 2:
            asked.append(len(ids))
            if len(asked) == 1:
                night.database.allocation(night.database.purchases[0], sessions=20)
        return real(ids, courses=courses)

    night.database.facts = facts  # type: ignore[method-assign]
    ran = repair(*night.ids, *APPLY, "--wait", "2s", "-o", "json")
    assert ran.code == 0
    assert asked[:2] == [2, 1]  # both; the one that waits
    assert [r["sessions"] for r in ran.document["data"]] == [20, 0]
