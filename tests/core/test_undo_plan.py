from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from kcfix.core.events import Record, own_purchase_id
from kcfix.core.journal import JournalStep, RunRecord
from kcfix.core.offsets import Committed, LogOffsets, TopicPartition
from kcfix.core.snapshot import AnnouncementEvidence, Reading
from kcfix.core.undo_plan import GroupNow, UndoAction, UndoFacts, UndoStep, plan_undo
from tests.fakes_database import NOW, FakeDatabase, payment_id

P0 = TopicPartition("purchase-confirmed", 0)
ID = payment_id(1)
EVIDENCE = AnnouncementEvidence(own_purchase_id(ID), (), reaches_back=True)
SENT = Record("purchase-created", 0, 4, NOW, b"k", b"{}")
COMMIT = {"step": "commit", "group": "g", "topic": P0.topic, "partition": 0}


def run_of(*steps: tuple[dict[str, object], dict[str, object] | None]) -> RunRecord:
    made = tuple(JournalStep(str(n), NOW - timedelta(hours=1), what, NOW, r) for n, (what, r) in enumerate(steps, 1))
    return RunRecord("r", NOW, "who", "repair", "", (), None, made)


def inserted(state: str = "INSERTED") -> tuple[dict[str, object], dict[str, object]]:
    what = {"step": "insert", "payment_id": ID, "purchase_id": own_purchase_id(ID), "tier": 20}
    return what, {"state": state}


def announced(state: str) -> tuple[dict[str, object], dict[str, object]]:
    return {"step": "announce", "payment_id": ID}, {"state": state}


def facts_of(seed: FakeDatabase, evidence: AnnouncementEvidence | None = EVIDENCE) -> UndoFacts:
    log = Reading.unknown("Kafka is down") if evidence is None else Reading(evidence)
    return UndoFacts(NOW, {ID: Reading(seed.facts([ID])[ID])}, {ID: log})


def bought(**how: bool) -> FakeDatabase:
    seed = FakeDatabase()
    seed.purchase(seed.payment(1, tier=20), own=True, **how)  # type: ignore[arg-type]
    return seed


def only(run: RunRecord, facts: UndoFacts) -> UndoStep:
    (step,) = plan_undo(run, facts)
    return step


def test_an_insert_that_was_not_announced_is_deleted() -> None:
    step = only(run_of(inserted()), facts_of(bought()))
    assert step.action is UndoAction.DELETE_PURCHASE
    assert step.order is not None
    assert step.order.purchase.id == own_purchase_id(ID)


@pytest.mark.parametrize(
    ("evidence", "action", "why"),
    [
        (replace(EVIDENCE, announcements=(SENT,)), UndoAction.CANNOT, "its announcement was sent"),
        (replace(EVIDENCE, reaches_back=False), UndoAction.UNKNOWN, "does not reach back"),
        (None, UndoAction.UNKNOWN, "Kafka is down"),
    ],
)
def test_what_the_log_says_keeps_it(evidence: AnnouncementEvidence | None, action: UndoAction, why: str) -> None:
    step = only(run_of(inserted()), facts_of(bought(), evidence))
    assert step.action is action
    assert why in step.why
    assert step.order is None


@pytest.mark.parametrize("state", ["REFUSED", "FAILED", "EXISTS"])
def test_an_insert_that_the_run_did_not_make_is_nothing_to_undo(state: str) -> None:
    assert only(run_of(inserted(state)), facts_of(bought())).action is UndoAction.NOTHING


def test_an_insert_that_was_found_after_a_lost_commit_is_the_runs_own() -> None:
    what, _ = inserted()
    run = run_of((what, {"state": "EXISTS", "reason": "the commit was sent and not answered"}))
    assert only(run, facts_of(bought())).action is UndoAction.DELETE_PURCHASE


def test_a_purchase_that_is_gone_is_nothing_to_undo() -> None:
    seed = bought()
    seed.purchases.clear()
    assert only(run_of(inserted()), facts_of(seed)).action is UndoAction.NOTHING


def test_a_purchase_that_was_not_read_is_unknown() -> None:
    assert only(run_of(inserted()), UndoFacts(NOW)).action is UndoAction.UNKNOWN


def test_an_inactive_purchase_stays() -> None:
    assert only(run_of(inserted()), facts_of(bought(is_active=False))).action is UndoAction.CANNOT


def test_a_purchase_of_another_tier_stays() -> None:
    seed = bought()
    seed.purchases[0] = replace(seed.purchases[0], tier=30)
    assert "tier 30 now" in only(run_of(inserted()), facts_of(seed)).why


def test_a_purchase_with_an_allocation_stays() -> None:
    seed = bought()
    seed.allocation(seed.purchases[0], status="pending")
    assert only(run_of(inserted()), facts_of(seed)).action is UndoAction.CANNOT


def test_an_acknowledged_announcement_in_the_journal_keeps_it_whatever_the_log_says() -> None:
    announce, insert = plan_undo(run_of(inserted(), announced("ACKNOWLEDGED")), facts_of(bought()))
    assert (announce.kind, announce.action) == ("announce", UndoAction.CANNOT)
    assert insert.action is UndoAction.CANNOT


def test_a_rejected_announcement_keeps_nothing() -> None:
    announce, insert = plan_undo(run_of(inserted(), announced("REJECTED")), facts_of(bought()))
    assert announce.action is UndoAction.NOTHING
    assert insert.action is UndoAction.DELETE_PURCHASE


@pytest.mark.parametrize(("minutes", "action"), [(1, UndoAction.UNKNOWN), (3, UndoAction.DELETE_PURCHASE)])
def test_an_unanswered_announcement_is_in_doubt_for_two_minutes(minutes: int, action: UndoAction) -> None:
    run = run_of(inserted(), announced("UNKNOWN"))
    sent = replace(run.steps[1], at=NOW - timedelta(minutes=minutes))
    assert plan_undo(replace(run, steps=(run.steps[0], sent)), facts_of(bought()))[1].action is action


NOW_AT_7 = GroupNow(True, (), {P0: Committed(7)}, {P0: LogOffsets(0, 10)})


@pytest.mark.parametrize(
    ("before", "change", "action", "why"),
    [
        (5, {}, UndoAction.COMMIT_OFFSET, "up to 2 messages are read again"),
        (None, {}, UndoAction.CANNOT, "nothing was committed before"),
        (9, {}, UndoAction.CANNOT, "would skip up to 2"),
        (11, {}, UndoAction.CANNOT, "outside the log"),
        (5, {"logs": {P0: LogOffsets(6, 10)}}, UndoAction.CANNOT, "outside the log"),
        (5, {"logs": {}}, UndoAction.UNKNOWN, "the log"),
        (5, {"empty": False}, UndoAction.CANNOT, "has a member"),
        (5, {"running": ("purchase-worker",)}, UndoAction.CANNOT, "is running"),
        (5, {"committed": {P0: Committed(8)}}, UndoAction.CANNOT, "is 8 now"),
        (5, {"committed": {P0: Committed(None, "no answer")}}, UndoAction.UNKNOWN, "no answer"),
        (5, {"committed": {P0: Committed(5)}}, UndoAction.NOTHING, "as it was before"),
        (None, {"committed": {}}, UndoAction.NOTHING, "as it was before"),
    ],
)
def test_a_commit(before: int | None, change: dict[str, object], action: UndoAction, why: str) -> None:
    run = run_of(({**COMMIT, "committed_offset": 7, "committed_offset_before": before}, {"ok": True}))
    step = only(run, UndoFacts(NOW, groups={"g": Reading(replace(NOW_AT_7, **change))}))  # type: ignore[arg-type]
    assert step.action is action
    assert why in step.why


@pytest.mark.parametrize("kind", ["stop", "start"])
def test_containers_are_left_alone(kind: str) -> None:
    assert only(run_of(({"step": kind}, {})), UndoFacts(NOW)).action is UndoAction.NOTHING


@pytest.mark.parametrize("kind", ["delete", "replay", "something newer"])
def test_what_cant_be_undone_is_said(kind: str) -> None:
    assert only(run_of(({"step": kind}, {})), UndoFacts(NOW)).action is UndoAction.CANNOT
