"""How far one payment came: one row for each stage of the flow, each with its proof."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from kcfix.core.judging.judge_log import latest_message
from kcfix.core.judging.snapshot import MessageEvidence
from kcfix.core.payments import Allocation
from kcfix.core.story.payment_story import Hop, Reach, Reader, Story
from kcfix.flow import Flow


class StageName(enum.StrEnum):
    """The stages, in the order in which a payment passes them."""

    PAYMENT = "PAYMENT"
    EVENT = "EVENT"
    """PURCHASE_CONFIRMED in the log, and the purchase group at it."""
    PURCHASE = "PURCHASE"
    ANNOUNCEMENT = "ANNOUNCEMENT"
    """PURCHASE_CREATED in the log, and the groups at it."""
    ALLOCATION = "ALLOCATION"
    SESSIONS = "SESSIONS"
    NOTIFICATION = "NOTIFICATION"


class StageState(enum.StrEnum):
    """What is known of one stage."""

    DONE = "DONE"
    WAITING = "WAITING"
    """Under way: a record that its group has still to read, or a pending row."""
    UNPROTECTED = "UNPROTECTED"
    """Its record is there, what should follow is not, and no committed offset says whether its group has read it."""
    PASSED = "PASSED"
    """Its record is there, its group has gone past it, and what should follow is not there."""
    MISSING = "MISSING"
    """It should be there, what was looked at is whole, and it is not."""
    NOT_SEEN = "NOT_SEEN"
    """Not found where it was looked for, which proves little: nothing is kept of it elsewhere."""
    NOT_DUE = "NOT_DUE"
    """The stage before it has not happened."""
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of one payment."""

    name: StageName
    state: StageState
    at: datetime | None
    """When it was reached; None where it was not, or nobody recorded it."""
    proof: str


def stages(story: Story, flow: Flow) -> tuple[Stage, ...]:
    """All stages in order; none where the payment's row is not known."""
    if story.facts is None or story.payment is None:
        return ()
    return (
        _payment(story),
        _event(story, flow),
        _purchase(story),
        _announcement(story, flow),
        _allocation(story),
        _sessions(story),
        _notification(story, flow),
    )


def _payment(story: Story) -> Stage:
    payment = story.payment
    assert payment is not None  # noqa: S101  asked before
    paid = payment.succeeded or payment.status == "refunded"  # the money came, and went back
    state = StageState.DONE if paid else StageState.MISSING
    note = "" if payment.confirmed_at or not payment.succeeded else ", confirmed_at not recorded"
    return Stage(StageName.PAYMENT, state, payment.paid_at, f"row with status {payment.status}{note}")


def _event(story: Story, flow: Flow) -> Stage:
    evidence = story.snapshot.evidence
    if evidence.value is None:
        return Stage(StageName.EVENT, StageState.UNKNOWN, None, evidence.error or "the log was not read")
    message = latest_message(evidence.value)
    if message is None:
        return _no_event(story, evidence.value)
    record = message.record
    hop = next(h for h in story.on(record.topic) if h.record == record)
    followed = story.purchase is not None
    return Stage(StageName.EVENT, _reached(hop, followed=followed), record.timestamp, placed(hop))


def _reached(hop: Hop, *, followed: bool) -> StageState:
    """The state of a record's stage by the group that comes first. `followed`: what it is there for is done."""
    if followed:
        return StageState.DONE
    match hop.readers[0].reach if hop.readers else Reach.UNKNOWN:
        case Reach.PASSED:
            return StageState.PASSED
        case Reach.WAITING:
            return StageState.WAITING
        case Reach.UNPROTECTED:
            return StageState.UNPROTECTED
        case Reach.UNKNOWN:
            return StageState.UNKNOWN


def _no_event(story: Story, evidence: MessageEvidence) -> Stage:
    payment = story.payment
    if not evidence.complete:
        return Stage(StageName.EVENT, StageState.UNKNOWN, None, f"not found; {evidence.incomplete_reason}")
    begins = evidence.log_begins_at
    cut = payment is not None and evidence.log_was_cut and (begins is None or begins > payment.paid_at)
    kept = evidence.kept_since
    if cut and not (payment is not None and kept is not None and kept <= payment.paid_at):
        return Stage(StageName.EVENT, StageState.UNKNOWN, None, f"the retained log of {evidence.partition} is younger")
    return Stage(StageName.EVENT, StageState.MISSING, None, f"no message of it in {evidence.partition}")


def placed(hop: Hop) -> str:
    """Where a record lies, and where the groups are at it."""
    record = hop.record
    where = f"{record.topic}-{record.partition} offset {record.offset}"
    return "; ".join((where, *(read(reader) for reader in hop.readers)))


def read(reader: Reader) -> str:
    """How far one group is at a record, in words."""
    match reader.reach:
        case Reach.PASSED:
            text = f"passed by {reader.group} (committed {reader.committed_offset})"
        case Reach.WAITING:
            text = f"waits for {reader.group} (committed {reader.committed_offset})"
        case Reach.UNPROTECTED:
            text = f"{reader.group} has no usable committed offset there"
        case Reach.UNKNOWN:
            return f"{reader.group} unknown"
    if reader.member is None:
        return f"{text}, held by no worker"
    doubt = ", for which no running container vouches" if reader.unvouched else ""
    return f"{text}, held by {reader.container or reader.member}{doubt}"


def _purchase(story: Story) -> Stage:
    purchase = story.purchase
    if purchase is None:
        owed = story.payment is not None and story.payment.succeeded
        state = StageState.MISSING if owed else StageState.NOT_DUE
        return Stage(StageName.PURCHASE, state, None, "no purchase is matched to it")
    text = f"purchase {purchase.id}, tier {purchase.tier}{'' if purchase.is_active else ', not active'}"
    return Stage(StageName.PURCHASE, StageState.DONE, purchase.created_at, text)


def _announcement(story: Story, flow: Flow) -> Stage:
    if story.purchase is None:
        return Stage(StageName.ANNOUNCEMENT, StageState.NOT_DUE, None, "there is no purchase")
    hops = story.on(flow.purchase_created)
    if hops:
        newest = hops[-1]
        state = _reached(newest, followed=bool(_allocated(story) or story.allocations))
        more = f"; {len(hops)} copies" if len(hops) > 1 else ""
        return Stage(StageName.ANNOUNCEMENT, state, hops[0].record.timestamp, placed(newest) + more)
    looked = story.searched(flow.purchase_created)
    if looked is None or looked.error is not None:
        why = looked.error if looked else "the later topics were not read"
        return Stage(StageName.ANNOUNCEMENT, StageState.UNKNOWN, None, f"not found; {why}")
    evidence = story.snapshot.announcement
    if evidence is not None and evidence.value is not None and evidence.value.reaches_back:
        return Stage(StageName.ANNOUNCEMENT, StageState.MISSING, None, "no PURCHASE_CREATED for it is in the log")
    text = "no PURCHASE_CREATED for it around its known times"
    return Stage(StageName.ANNOUNCEMENT, StageState.NOT_SEEN, None, text)


def _allocated(story: Story) -> list[Allocation]:
    """The approved and active allocations of its student and course."""
    return [a for a in story.facts.allocations if a.allocated] if story.facts else []


def _allocation(story: Story) -> Stage:
    if story.purchase is None:
        return Stage(StageName.ALLOCATION, StageState.NOT_DUE, None, "there is no purchase")
    allocations, after = story.allocations, story.aftermath.value
    done = [a for a in allocations if a.allocated]
    if done:
        at = after.allocated_at.get(done[0].id) if after else None
        return Stage(StageName.ALLOCATION, StageState.DONE, at, f"allocation {done[0].id}, {done[0].status}")
    older = _allocated(story)
    if older:
        text = f"allocation {older[0].id}, {older[0].status}, requested before this purchase"
        return Stage(StageName.ALLOCATION, StageState.DONE, None, text)
    if allocations:
        text = f"{len(allocations)} rows, none approved; the newest is {allocations[-1].status}"
        return Stage(StageName.ALLOCATION, StageState.WAITING, allocations[0].requested_at, text)
    return Stage(StageName.ALLOCATION, StageState.MISSING, None, "no allocation was requested since the purchase")


def _sessions(story: Story) -> Stage:
    allocated = _allocated(story)
    if story.purchase is None or not allocated:
        return Stage(StageName.SESSIONS, StageState.NOT_DUE, None, "there is no allocation")
    count = sum(a.sessions for a in allocated)
    if not count:
        return Stage(StageName.SESSIONS, StageState.MISSING, None, f"allocation {allocated[-1].id} has no sessions")
    after = story.aftermath.value
    times = [m.first for a in allocated if after and (m := after.sessions_made.get(a.id)) and m.first]
    return Stage(StageName.SESSIONS, StageState.DONE, min(times, default=None), f"{count} sessions")


def _notification(story: Story, flow: Flow) -> Stage:
    hops = story.on(flow.notification_requested)
    if hops:
        text = f"{len(hops)} requested; the newest: {placed(hops[-1])}"
        return Stage(StageName.NOTIFICATION, StageState.DONE, hops[0].record.timestamp, text)
    if story.purchase is None:
        return Stage(StageName.NOTIFICATION, StageState.NOT_DUE, None, "there is no purchase")
    looked = story.searched(flow.notification_requested)
    if looked is None or looked.error is not None:
        why = looked.error if looked else "the later topics were not read"
        return Stage(StageName.NOTIFICATION, StageState.UNKNOWN, None, f"not found; {why}")
    return Stage(StageName.NOTIFICATION, StageState.NOT_SEEN, None, "no request that names its ids")
