"""What follows from each verdict, and that it agrees with what repair would do."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from kcfix.core.judging.snapshot import AnnouncementEvidence, FoundMessage, PaymentSnapshot, Reading
from kcfix.core.judging.verdict import Verdict, VerdictKind
from kcfix.core.repair.remedy import REMEDIES, Remedy
from kcfix.core.story.payment_story import Marks, Retention, Story
from kcfix.core.story.prognosis import Heals, prognosis
from kcfix.core.working.worker import WorkState
from tests.core.snapshots import NOW, PAYMENT, evidence, facts, found, head, purchase, snapshot, workers
from tests.core.stories import FLOW

WEEK = timedelta(days=7)


def a_story(kind: VerdictKind, seen: PaymentSnapshot | None = None, retention: Retention | None = None) -> Story:
    """A story with this verdict."""
    verdict = Verdict(PAYMENT, kind, "a made-up reason")
    return Story(
        seen or snapshot(), verdict, Marks(PAYMENT), Reading(None, "not read"), retention=retention or Retention()
    )


@pytest.mark.parametrize("kind", VerdictKind)
def test_the_command_agrees_with_the_remedy(kind: VerdictKind) -> None:
    told = prognosis(a_story(kind), FLOW)
    repair = [c for c in told.commands if c.startswith("kcfix repair")]
    match REMEDIES[kind]:
        case Remedy.SETTLED | Remedy.FLIGHT:
            assert told.commands == ()
        case Remedy.SUPPLY | Remedy.INSERT | Remedy.ANNOUNCE if kind is not VerdictKind.AT_RISK:
            assert repair == [f"kcfix repair {PAYMENT}"]
            assert told.heals is Heals.NO
        case Remedy.SUPPLY | Remedy.WAIT:
            assert told.commands
            assert all("--strategy insert" in c for c in repair)
        case Remedy.NOT_FOUND | Remedy.UNKNOWN:
            assert told.heals is Heals.UNKNOWN
            assert repair == []
        case _:
            assert told.heals is not Heals.YES
    assert told.means
    assert told.how


@pytest.mark.parametrize(
    ("state", "heals", "command"),
    [
        (WorkState.WORKING, Heals.YES, f"kcfix trace {PAYMENT}"),
        (WorkState.NOT_WORKING, Heals.ONLY_IF, "kcfix restart purchase-worker"),
        (WorkState.UNKNOWN, Heals.ONLY_IF, "kcfix restart purchase-worker"),
    ],
)
def test_a_pending_payment_heals_if_the_worker_works(state: WorkState, heals: Heals, command: str) -> None:
    told = prognosis(a_story(VerdictKind.PENDING, snapshot(by=workers(state))), FLOW)
    assert (told.heals, told.commands) == (heals, (command,))


def test_a_payment_at_risk_is_repaired_where_the_worker_works_and_else_restarted() -> None:
    works = a_story(VerdictKind.AT_RISK, snapshot(by=workers(WorkState.IDLE)))
    assert prognosis(works, FLOW).commands == (f"kcfix repair {PAYMENT}",)
    assert prognosis(a_story(VerdictKind.AT_RISK), FLOW).commands == ("kcfix restart purchase-worker",)


def test_a_blocked_payment_leads_to_the_one_that_blocks_it() -> None:
    seen = snapshot(seen=evidence(found(7), head=head(5, "tier check", payment_id=PAYMENT)))
    assert prognosis(a_story(VerdictKind.BLOCKED, seen), FLOW).commands[0] == f"kcfix trace {PAYMENT}"
    unreadable = snapshot(seen=evidence(found(7), head=head(5, "no JSON", payment_id=None)))
    assert prognosis(a_story(VerdictKind.BLOCKED, unreadable), FLOW).commands[0] == "kcfix status"


def test_a_refunded_payment_with_an_active_purchase_is_not_settled() -> None:
    settled = prognosis(a_story(VerdictKind.REFUNDED), FLOW)
    assert (settled.heals, settled.commands) == (Heals.SETTLED, ())
    active = a_story(VerdictKind.REFUNDED, snapshot(facts(purchases=(purchase(),))))
    assert prognosis(active, FLOW).heals is Heals.NO


def waiting(at: datetime, retention: Retention, *, member: bool = False) -> Story:
    """A message that waits, written at this time."""
    return a_story(VerdictKind.PENDING, snapshot(seen=evidence(found(7, at)), by=workers(member=member)), retention)


def test_the_deadline_is_the_earlier_end_of_message_and_offsets() -> None:
    written, empty = NOW - timedelta(days=2), NOW - timedelta(days=3)
    told = prognosis(waiting(written, Retention(WEEK, False, WEEK, empty)), FLOW)
    assert told.deadline == empty + WEEK
    assert told.deadline_reason is not None
    assert "offsets of purchase-creation-workers may expire" in told.deadline_reason
    message = prognosis(waiting(NOW - timedelta(days=5), Retention(WEEK, False, WEEK, empty)), FLOW)
    assert message.deadline == NOW - timedelta(days=5) + WEEK
    assert message.deadline_reason == "then purchase-confirmed may delete its message"


def test_offsets_do_not_expire_while_a_member_is_there() -> None:
    written = NOW - timedelta(days=1)
    told = prognosis(waiting(written, Retention(WEEK, False, WEEK, NOW - timedelta(days=6)), member=True), FLOW)
    assert told.deadline == written + WEEK


def test_what_is_not_known_of_a_deadline_is_said() -> None:
    told = prognosis(waiting(NOW - timedelta(days=1), Retention(WEEK, False, WEEK, None)), FLOW)
    assert told.deadline == NOW - timedelta(days=1) + WEEK
    assert told.deadline_reason is not None
    assert "is not known" in told.deadline_reason
    nothing = prognosis(waiting(NOW - timedelta(days=1), Retention()), FLOW)
    assert nothing.deadline is None
    assert nothing.deadline_reason is not None
    assert "how long purchase-confirmed keeps its message is not known" in nothing.deadline_reason


def test_a_topic_that_is_limited_in_size_may_delete_sooner() -> None:
    told = prognosis(waiting(NOW, Retention(WEEK, True, WEEK, None), member=True), FLOW)
    assert told.deadline_reason is not None
    assert told.deadline_reason.endswith("or sooner: it is limited in size as well")


def test_a_settled_payment_has_no_deadline() -> None:
    story = replace(
        waiting(NOW, Retention(WEEK, False, WEEK, NOW)), verdict=Verdict(PAYMENT, VerdictKind.PURCHASED, "it is")
    )
    told = prognosis(story, FLOW)
    assert (told.deadline, told.deadline_reason) == (None, None)


def test_a_message_without_a_time_has_no_end_that_could_be_named() -> None:
    timeless = FoundMessage(replace(found(7).record, timestamp=None), found(7).event)
    waits = snapshot(seen=evidence(timeless), by=workers(member=True))
    told = prognosis(a_story(VerdictKind.PENDING, waits, Retention(WEEK, False, WEEK, None)), FLOW)
    assert told.deadline is None
    assert told.deadline_reason == "how long purchase-confirmed keeps its message is not known"


@pytest.mark.parametrize(
    ("waits", "heals", "how"),
    [
        (True, Heals.ONLY_IF, "still waits"),
        (False, Heals.NO, "has passed the event, or it is gone"),
        (None, Heals.UNKNOWN, "is not known"),
    ],
)
def test_whether_an_announcement_was_read_is_said_only_where_an_offset_tells(
    waits: bool | None, heals: Heals, how: str
) -> None:
    looked = AnnouncementEvidence("purchase", (found(2).record,), reaches_back=True, waits=waits)
    told = prognosis(a_story(VerdictKind.NO_ALLOCATION, snapshot(announced=Reading(looked))), FLOW)
    assert (told.heals, how in told.how) == (heals, True)
    if waits is None:
        assert prognosis(a_story(VerdictKind.NO_ALLOCATION), FLOW).how == told.how
