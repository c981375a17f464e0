from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from kcfix.core.events import Record, own_purchase_id
from kcfix.core.journal import JournalStep, RunRecord
from kcfix.core.judging.snapshot import AnnouncementEvidence, FoundMessage, MessageEvidence, Reading
from kcfix.core.move.settlement import Effect, Settlement
from kcfix.core.offsets import Committed, LogOffsets, TopicPartition, partition_lag
from kcfix.core.undo.offsets import Between, GroupNow
from kcfix.core.undo.plan import UndoFacts, plan_undo
from kcfix.core.undo.step import UndoAction, UndoStep
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


FAILS = Settlement(P0, 6, Effect.FAILS, "its tier is 12")
WAITS = Settlement(P0, 8, Effect.SETTLES, "no purchase", owed=True)
NOW_AT_7 = GroupNow(True, (), {P0: Committed(7)}, {P0: LogOffsets(0, 10)}, {P0: Reading(Between(1))})


@pytest.mark.parametrize(
    ("before", "change", "action", "why"),
    [
        (5, {}, UndoAction.COMMIT_OFFSET, "up to 2 messages are read again, 1 of them unsettled"),
        (None, {}, UndoAction.CANNOT, "nothing was committed before"),
        (9, {}, UndoAction.COMMIT_OFFSET, "from 7 on to 9: the messages between are settled"),
        (9, {"between": {P0: Reading(Between(1, None, WAITS))}}, UndoAction.CANNOT, "would skip offset 8: no purchase"),
        (9, {"between": {P0: Reading(Between(0, FAILS))}}, UndoAction.CANNOT, "would skip offset 6"),
        (5, {"between": {P0: Reading(Between(0, FAILS))}}, UndoAction.CANNOT, "must not: its tier is 12"),
        (5, {"between": {P0: Reading.unknown("down")}}, UndoAction.UNKNOWN, "between 5 and 7: down"),
        (5, {"between": {}}, UndoAction.UNKNOWN, "not read"),
        (5, {"running": None}, UndoAction.COMMIT_OFFSET, "read again"),
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


def test_a_purchase_that_was_updated_stays() -> None:
    seed = bought()
    seed.purchases[0] = replace(seed.purchases[0], updated_at=NOW)
    step = only(run_of(inserted()), facts_of(seed))
    assert (step.action, step.why) == (UndoAction.CANNOT, "its purchase was updated since it was made")


@pytest.mark.parametrize(
    ("made_after", "ahead", "action"),
    [
        (timedelta(0), timedelta(0), UndoAction.DELETE_PURCHASE),
        (timedelta(minutes=-5), timedelta(0), UndoAction.CANNOT),
        (timedelta(hours=2), timedelta(0), UndoAction.CANNOT),
        (timedelta(hours=2), timedelta(hours=2), UndoAction.DELETE_PURCHASE),
    ],
)
def test_a_purchase_that_was_made_at_another_time_than_the_run_is_not_its_own(
    made_after: timedelta, ahead: timedelta, action: UndoAction
) -> None:
    seed = FakeDatabase()
    seed.purchase(seed.payment(1), own=True, created_at=NOW - timedelta(hours=1) + made_after)
    facts = replace(facts_of(seed), database_ahead=ahead)
    assert only(run_of(inserted()), facts).action is action


def test_a_purchase_that_a_later_run_inserted_again_is_that_runs() -> None:
    later = replace(run_of(inserted()), id="s", started_at=NOW + timedelta(milliseconds=1))
    step = only(run_of(inserted()), replace(facts_of(bought()), other_runs=(later,)))
    assert (step.action, step.why) == (
        UndoAction.NOTHING,
        "its purchase was inserted again by run s; undo that run",
    )
    assert only(later, replace(facts_of(bought()), other_runs=(run_of(inserted()),))).order is not None


@pytest.mark.parametrize(
    ("state", "action"), [("ACKNOWLEDGED", UndoAction.CANNOT), ("REJECTED", UndoAction.DELETE_PURCHASE)]
)
def test_an_announcement_by_another_run_counts_as_well(state: str, action: UndoAction) -> None:
    other = replace(run_of(announced(state)), id="s")
    assert only(run_of(inserted()), replace(facts_of(bought()), other_runs=(other,))).action is action


@pytest.mark.parametrize(("minutes", "action"), [(1, UndoAction.UNKNOWN), (3, UndoAction.NOTHING)])
@pytest.mark.parametrize("state", [None, "UNKNOWN"])
def test_an_insert_that_may_be_under_way_is_not_taken_for_none(
    minutes: int, action: UndoAction, state: str | None
) -> None:
    seed = bought()
    seed.purchases.clear()
    what, _ = inserted()
    step = JournalStep("1", NOW - timedelta(minutes=minutes), what, None, {"state": state} if state else None)
    assert only(replace(run_of(), steps=(step,)), facts_of(seed)).action is action


@pytest.mark.parametrize(
    ("offset", "committed", "notes"),
    [
        (
            4,
            3,
            ("its own message waits (purchase-confirmed-0 offset 4): the worker makes a purchase when it reads it",),
        ),
        (4, 5, ()),
    ],
)
def test_a_message_that_still_waits_is_said(offset: int, committed: int, notes: tuple[str, ...]) -> None:
    lag = partition_lag(P0, Committed(committed), LogOffsets(0, 10))
    message = FoundMessage(Record(P0.topic, 0, offset, NOW, ID.encode(), b"{}"), None)
    evidence = MessageEvidence(P0, lag, (message,), (), complete=True)
    step = only(run_of(inserted()), replace(facts_of(bought()), messages={ID: Reading(evidence)}))
    assert (step.action, step.notes) == (UndoAction.DELETE_PURCHASE, notes)


def test_what_is_not_known_of_a_moved_offsets_worker_is_a_note() -> None:
    run = run_of(({**COMMIT, "committed_offset": 7, "committed_offset_before": 5}, {"ok": True}))
    facts = UndoFacts(NOW, groups={"g": Reading(replace(NOW_AT_7, running=None))})
    assert "container of its worker runs is not known" in only(run, facts).notes[0]


@pytest.mark.parametrize("state", ["REFUSED", "FAILED", "EXISTS"])
def test_a_later_run_that_did_not_insert_it_has_not_made_it(state: str) -> None:
    later = replace(run_of(inserted(state)), id="s", started_at=NOW + timedelta(minutes=1))
    step = only(run_of(inserted()), replace(facts_of(bought()), other_runs=(later,)))
    assert step.action is UndoAction.DELETE_PURCHASE
