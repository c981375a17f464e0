"""What a verdict means for the customer, whether it heals by itself and until when, and what to run.

One row a verdict. The command agrees with `kcfix.core.repair.remedy`: tests hold the two tables against each other.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from kcfix.core.judging.judge_log import latest_message
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.story.payment_story import SCANNED, Story
from kcfix.flow import Flow


class Heals(enum.StrEnum):
    """Whether it gets well without anybody doing anything."""

    SETTLED = "SETTLED"
    """There is nothing to heal."""
    YES = "YES"
    ONLY_IF = "ONLY_IF"
    """Only if something comes about that `how` names."""
    NO = "NO"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Prognosis:
    """What will become of one payment."""

    means: str
    """For the customer, in one sentence."""
    heals: Heals
    how: str
    deadline: datetime | None
    """Until when what it rests on is kept; None where there is no such end, or it is not known."""
    deadline_reason: str | None
    """Why then, or why no time can be named; None where nothing ends."""
    commands: tuple[str, ...]
    """What to run, the first one first; empty where nothing is to be done."""


@dataclass(frozen=True, slots=True)
class _Row:
    means: str
    heals: Heals
    how: str
    commands: tuple[str, ...] = ()
    rests_on_log: bool = False
    """Whether it heals only as long as the message and the group's offsets are kept."""


def prognosis(story: Story, flow: Flow) -> Prognosis:
    """The prognosis for the story's verdict."""
    row = _row(story, flow)
    deadline, why = _deadline(story, flow) if row.rests_on_log else (None, None)
    return Prognosis(row.means, row.heals, row.how, deadline, why, row.commands)


NOTHING_GOT = "paid, and has nothing for it: no course, no trainer, no sessions"


def _row(story: Story, flow: Flow) -> _Row:
    id, worker = story.payment_id, story.snapshot.workers.work
    repair, status = f"kcfix repair {id}", "kcfix status"
    restart = f"kcfix restart {flow.purchase_worker}"
    match story.verdict.kind:
        case VerdictKind.NOT_FOUND:
            return _Row(
                "unknown: this database has no such payment",
                Heals.UNKNOWN,
                "check the id, and that it is the right database",
                ("kcfix config show",),
            )
        case VerdictKind.REFUNDED:
            active = story.facts is not None and any(p.is_active for p in story.facts.purchases)
            means = "has the money back, and the course still" if active else "has the money back; nothing is owed"
            how = "nobody takes the purchase away by itself" if active else "nothing is owed"
            return _Row(means, Heals.NO if active else Heals.SETTLED, how, (repair,) if active else ())
        case VerdictKind.NOT_SUCCEEDED:
            return _Row("has not paid, as far as the payments table knows", Heals.SETTLED, "nothing is owed")
        case VerdictKind.NO_COURSE:
            return _Row(
                NOTHING_GOT, Heals.NO, "no event is ever sent without a course; a person must name it", (repair,)
            )
        case VerdictKind.DUPLICATE_PURCHASES:
            means = "has the course more than once; which one counts is unclear"
            return _Row(means, Heals.NO, "a person must decide which one stays", (repair,))
        case VerdictKind.SECOND_PAYMENT:
            means = "paid again for a course that was there already, and got nothing more for it"
            return _Row(means, Heals.NO, "the worker passes over it; a person must decide", (repair,))
        case VerdictKind.WRONG_TIER:
            return _Row("got another number of sessions than was paid for", Heals.NO, "a person must decide", (repair,))
        case VerdictKind.UNANNOUNCED:
            means = "has the course, and no trainer: nobody was told of the purchase"
            return _Row(means, Heals.NO, "PURCHASE_CREATED was never sent", (repair,))
        case VerdictKind.NO_ALLOCATION:
            logs = f"kcfix logs {flow.allocation_worker} --errors"
            means = "has the course, and no trainer"
            waits = _announcement_waits(story)
            if waits:
                how = f"the event still waits for {flow.allocation_worker}"
                return _Row(means, Heals.ONLY_IF, how, (f"kcfix restart {flow.allocation_worker}",))
            gone = "the allocation group has passed the event, or it is gone"
            how = gone if waits is False else "whether the allocation group has read the event is not known"
            heals = Heals.NO if waits is False else Heals.UNKNOWN
            return _Row(means, heals, how, (logs, f"{repair} --strategy announce"))
        case VerdictKind.PENDING_ALLOCATION:
            means = "has the course, and waits for a trainer"
            how = "only if a trainer becomes free and somebody allocates one"
            return _Row(means, Heals.ONLY_IF, how, (f"kcfix logs {flow.allocation_worker} --errors",))
        case VerdictKind.NO_SESSIONS:
            means = "has a trainer, and no sessions"
            how = "only if the sessions are made anew, which fails as long as the student's coordinates are missing"
            return _Row(means, Heals.ONLY_IF, how, (f"kcfix logs {flow.session_worker} --errors",))
        case VerdictKind.PURCHASED:
            return _Row("has what was paid for", Heals.SETTLED, "nothing to do")
        case VerdictKind.POISON:
            how = "the worker fails on the message each time, and stands still at it"
            logs = f"kcfix logs {flow.purchase_worker} --errors"
            return _Row(
                NOTHING_GOT, Heals.NO, how, (logs, repair, f"kcfix offsets --group {flow.purchase_group}"), True
            )
        case VerdictKind.BAD_TIER | VerdictKind.UNKNOWN_COURSE:
            return _Row(NOTHING_GOT, Heals.NO, "the worker would fail on it, or guess; a person must say", (repair,))
        case VerdictKind.BLOCKED:
            how = "only once the record before it is settled and the group has gone past it"
            return _Row(NOTHING_GOT, Heals.ONLY_IF, how, (_blocking(story), f"{repair} --strategy insert"), True)
        case VerdictKind.IN_FLIGHT:
            return _Row("paid a moment ago; the purchase is on its way", Heals.YES, "look again in a minute", ())
        case VerdictKind.PENDING:
            if worker.may_replay:
                how = f"{flow.purchase_worker} is {worker.summary} and has still to read it"
                return _Row("paid, and waits for the purchase", Heals.YES, how, (f"kcfix trace {id}",), True)
            how = f"only if {flow.purchase_worker} reads it, which is {worker.summary} now"
            return _Row(NOTHING_GOT, Heals.ONLY_IF, how, (restart,), True)
        case VerdictKind.AT_RISK:
            how = "a plain start of the worker skips it for good; a restart by kcfix does not"
            command = repair if worker.may_replay else restart
            return _Row(NOTHING_GOT, Heals.NO, how, (command,), True)
        case VerdictKind.DEAD_LETTERED | VerdictKind.SKIPPED:
            return _Row(NOTHING_GOT, Heals.NO, "the group has passed its message and never goes back", (repair,))
        case VerdictKind.EXPIRED:
            return _Row(NOTHING_GOT, Heals.NO, "its message, if there was one, is deleted", (repair,))
        case VerdictKind.NEVER_SENT | VerdictKind.NEVER_EMITTED:
            return _Row(NOTHING_GOT, Heals.NO, "its event was never sent, and nothing sends it later", (repair,))
        case VerdictKind.UNKNOWN:
            how = "ask again once what is silent answers"
            return _Row("unknown: see what did not answer", Heals.UNKNOWN, how, _asking_again(story, status))


def _announcement_waits(story: Story) -> bool | None:
    """Whether the allocation group has still to read its announcement; None where nobody looked, or no offset tells."""
    looked = story.snapshot.announcement.value if story.snapshot.announcement else None
    return None if looked is None else looked.waits


def _asking_again(story: Story, status: str) -> tuple[str, ...]:
    """Without its row nothing says when to look into the log, but a scan needs no time."""
    scanned = any(looked.note == SCANNED for looked in story.looked)
    kafka_answers = story.snapshot.workers.group.error is None
    if story.facts is None and kafka_answers and not scanned:
        return (status, f"kcfix trace {story.payment_id} --scan")
    return (status,)


def _blocking(story: Story) -> str:
    evidence = story.snapshot.evidence.value
    head = evidence.head.payment_id if evidence and evidence.head else None
    return f"kcfix trace {head}" if head else "kcfix status"


def _deadline(story: Story, flow: Flow) -> tuple[datetime | None, str | None]:
    """The earliest end of what it rests on, and its reason; without a time, why none can be named."""
    ends: list[tuple[datetime, str]] = []
    doubts: list[str] = []
    for found in (_message_end(story, flow), _offset_end(story, flow)):
        for end in found:
            if isinstance(end, str):
                doubts.append(end)
            else:
                ends.append(end)
    if not ends:
        return None, "; ".join(doubts) or None
    at, why = min(ends)
    return at, "; ".join((why, *doubts))


def _message_end(story: Story, flow: Flow) -> Iterator[tuple[datetime, str] | str]:
    evidence = story.snapshot.evidence.value
    message = latest_message(evidence) if evidence else None
    if message is None:
        return
    written, kept = message.record.timestamp, story.retention.message
    if written is None or kept is None:
        yield f"how long {flow.purchase_confirmed} keeps its message is not known"
    else:
        sooner = ", or sooner: it is limited in size as well" if story.retention.by_size else ""
        yield written + kept, f"then {flow.purchase_confirmed} may delete its message{sooner}"


def _offset_end(story: Story, flow: Flow) -> Iterator[tuple[datetime, str] | str]:
    group = story.snapshot.workers.group.value
    evidence = story.snapshot.evidence.value
    if group is None or evidence is None or evidence.lag.committed_offset is None or group.members:
        return  # as long as a member is there no offset expires, and without a commit none can
    since, kept = story.retention.group_empty_since, story.retention.offsets
    if since is None or kept is None:
        yield f"Kafka may forget the offsets of {flow.purchase_group} sooner: since when it is empty is not known"
    else:
        yield since + kept, f"then the offsets of {flow.purchase_group} may expire, if nobody joins"
