"""What would be done about each payment, and why: a value, made from one snapshot (docs/decisions.md 3).

Planning changes nothing and asks nothing. The same function plans again right before the change.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from kcfix.core.judging.judge import judge
from kcfix.core.judging.matching import match_facts
from kcfix.core.judging.snapshot import PaymentSnapshot, Snapshots
from kcfix.core.judging.verdict import OVERDUE, Verdict, VerdictKind
from kcfix.core.payments import Payment, PaymentFacts, PaymentId, Purchase
from kcfix.core.ports.database import InsertOrder
from kcfix.core.repair.confirmed_message import Origin, Replay, replay_of
from kcfix.core.repair.order import insert_order
from kcfix.core.repair.remedy import PERSON_ADVICE, REMEDIES, Remedy
from kcfix.core.repair.ruling import Ruling
from kcfix.flow import Flow


class Strategy(enum.StrEnum):
    """How a purchase is to be made; `auto` is decided payment by payment."""

    AUTO = "auto"
    REPLAY = "replay"
    INSERT = "insert"
    ANNOUNCE = "announce"
    """No purchase is made; a PURCHASE_CREATED is sent for one that has no allocation."""


class Action(enum.StrEnum):
    """What is done about one payment."""

    NOTHING = "NOTHING"
    """It is settled."""
    WAIT = "WAIT"
    """The worker has it, or will have."""
    REPLAY = "REPLAY"
    INSERT = "INSERT"
    ANNOUNCE = "ANNOUNCE"
    REFUSE = "REFUSE"
    """A person decides."""
    UNKNOWN = "UNKNOWN"
    """A system did not answer."""
    NOT_FOUND = "NOT_FOUND"

    @property
    def changes(self) -> bool:
        """Whether it changes anything."""
        return self in (Action.REPLAY, Action.INSERT, Action.ANNOUNCE)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the operator asked for."""

    strategy: Strategy = Strategy.AUTO
    announce_later: bool = False
    """Insert although Kafka does not answer; a later run announces."""
    overdue: timedelta = OVERDUE
    ruling: Ruling | None = None
    """A person's word about the one payment of the run."""

    @property
    def by_hand(self) -> bool:
        """Whether a person gave what the payment lacks: the worker can't know it, so nothing is left to the worker."""
        return self.ruling is not None


@dataclass(frozen=True, slots=True)
class Step:
    """What is planned for one payment. Exactly what its action needs of `order`, `replay` and `purchase` is set."""

    payment_id: PaymentId
    verdict: Verdict
    action: Action
    why: str
    facts: PaymentFacts | None = None
    order: InsertOrder | None = None
    replay: Replay | None = None
    purchase: Purchase | None = None
    """For ANNOUNCE: the purchase that nothing has announced."""
    notes: tuple[str, ...] = ()
    """What the operator must know before it is applied."""

    def refused(self, why: str) -> Step:
        """The same payment, left alone."""
        return replace(self, action=Action.REFUSE, why=why, order=None, replay=None, purchase=None, notes=())


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """One step a payment, oldest payment first; those that are not known come last, as they were given."""

    steps: tuple[Step, ...]
    snapshots: Snapshots

    @property
    def changing(self) -> tuple[Step, ...]:
        """The steps that change something."""
        return tuple(s for s in self.steps if s.action.changes)


def plan_repair(snapshots: Snapshots, wishes: Wishes, flow: Flow) -> RepairPlan:
    """The plan for all payments of the snapshots. At most one payment of a student and course is changed in a run."""
    judged = {i: judge(s, overdue=wishes.overdue, ruling=wishes.ruling) for i, s in snapshots.by_payment.items()}
    steps = [_step(snapshot, judged[i], wishes, flow) for i, snapshot in snapshots.by_payment.items()]
    return RepairPlan(tuple(_one_a_pair(sorted(steps, key=_by_age))), snapshots)


def _by_age(step: Step) -> tuple[bool, float]:
    payment = step.facts.payment if step.facts else None
    return payment is None, payment.paid_at.timestamp() if payment else 0.0


def _one_a_pair(steps: Iterable[Step]) -> Iterable[Step]:
    """The oldest payment of a student and course is settled; another one then is a second payment: a person decides."""
    taken: dict[tuple[str, str], PaymentId] = {}
    for step in steps:
        payment = step.facts.payment if step.facts else None
        course = step.order.course_id if step.order else payment.course_id if payment else None
        if step.action in (Action.REPLAY, Action.INSERT) and payment and course:
            first = taken.setdefault((payment.student_id, course), step.payment_id)
            if first != step.payment_id:
                yield step.refused(
                    f"payment {first} of the same student and course comes first; this is then a second one"
                )
                continue
        yield step


def _step(snapshot: PaymentSnapshot, verdict: Verdict, wishes: Wishes, flow: Flow) -> Step:
    facts = snapshot.facts.value
    step = Step(snapshot.payment_id, verdict, Action.NOTHING, "", facts)
    match REMEDIES[verdict.kind]:
        case Remedy.SETTLED:
            return replace(step, why="settled")
        case Remedy.FLIGHT:
            return replace(step, action=Action.WAIT, why="not yet overdue; look again in a minute")
        case Remedy.NOT_FOUND:
            return replace(step, action=Action.NOT_FOUND, why="check the id, and whether this is the right database")
        case Remedy.PERSON:
            return step.refused(PERSON_ADVICE[verdict.kind])
        case Remedy.ANNOUNCE:
            return replace(
                step, action=Action.ANNOUNCE, why="send the missing PURCHASE_CREATED", purchase=verdict.purchase
            )
        case Remedy.ANNOUNCE_AGAIN:
            return _announce_again(step, snapshot, wishes)
        case Remedy.UNKNOWN:
            return _unknown(step, snapshot, wishes)
        case Remedy.WAIT:
            if wishes.strategy is Strategy.INSERT or wishes.by_hand:
                note = "its message still waits: the worker will find the purchase, and may announce it once more"
                why = _by_hand(wishes) if wishes.by_hand else "named by --strategy"
                return replace(_insert(step, snapshot, wishes, why), notes=(note,))
            blocked = verdict.kind is VerdictKind.BLOCKED
            return replace(step, action=Action.WAIT, why=_BEHIND if blocked else _UNREAD)
        case Remedy.INSERT:
            if wishes.strategy in (Strategy.REPLAY, Strategy.ANNOUNCE):
                return step.refused(_NO_OTHER_WAY[wishes.strategy])
            note = "its partition still stands on this message until the worker gets past it"
            return replace(_insert(step, snapshot, wishes, "the worker fails on its message"), notes=(note,))
        case Remedy.SUPPLY:
            return _supply(step, snapshot, wishes, flow)


_UNREAD = "get the worker going: it will read the message"
_BEHIND = "it is behind a record on which the worker fails: settle that one first (`kcfix offsets` shows it)"
_NO_OTHER_WAY = {
    Strategy.REPLAY: "a replay would fail as its message does",
    Strategy.ANNOUNCE: "there is no purchase to be announced",
}


def _by_hand(wishes: Wishes) -> str:
    assert wishes.ruling is not None  # noqa: S101  only asked where there is one
    return f"a person's word ({wishes.ruling.words}), which the worker can't know"


def _announce_again(step: Step, snapshot: PaymentSnapshot, wishes: Wishes) -> Step:
    """An announced purchase without allocation: once more only by name, and not while the first copy still waits."""
    if wishes.strategy is not Strategy.ANNOUNCE:
        return step.refused(PERSON_ADVICE[step.verdict.kind])
    looked = snapshot.announcement.value if snapshot.announcement else None
    if looked is None:
        error = snapshot.announcement.error if snapshot.announcement else "it was not looked up"
        return replace(step, action=Action.UNKNOWN, why=f"whether its announcement still waits is unknown: {error}")
    if looked.waits:
        why = "its announcement still waits for the allocation-worker: get that going first"
        return step.refused(why)
    notes = ["if no trainer is free, each further announcement makes the allocation-worker add pending rows"]
    if looked.waits is None:
        notes.append("whether the first announcement was read is not known: no committed offset protects its partition")
    why = "send PURCHASE_CREATED once more: named by --strategy"
    return replace(step, action=Action.ANNOUNCE, why=why, purchase=step.verdict.purchase, notes=tuple(notes))


def _payment(step: Step) -> tuple[PaymentFacts, Payment]:
    assert step.facts is not None  # noqa: S101  every verdict that leads here rests on the row
    assert step.facts.payment is not None  # noqa: S101
    return step.facts, step.facts.payment


def _unknown(step: Step, snapshot: PaymentSnapshot, wishes: Wishes) -> Step:
    facts = snapshot.facts.value
    payment = facts.payment if facts else None
    kafka_is_silent = snapshot.evidence.value is None and snapshot.evidence.error is not None
    wished = wishes.announce_later and wishes.strategy is Strategy.INSERT
    if wished and payment is not None and kafka_is_silent and step.verdict.purchase is None:
        note = "it stays unannounced, without trainer and sessions, until a later run announces it"
        return replace(_insert(step, snapshot, wishes, "Kafka does not answer"), notes=(note,))
    evidence = snapshot.evidence.value
    unread = evidence is not None and evidence.dead_letters_unread and step.verdict.purchase is None
    if unread and wishes.strategy is Strategy.INSERT:
        # Whatever they would tell (POISON, BLOCKED, PENDING, DEAD_LETTERED, SKIPPED), an insert by name is allowed.
        return _insert(step, snapshot, wishes, "named by --strategy; its dead letters could not be read")
    why = "kcfix does not act on what it could not find out"
    if unread:
        why += "; an insert does not rest on it: --strategy insert"
    if kafka_is_silent and payment is not None and step.verdict.purchase is None:
        why += "; if it can't wait for Kafka: --strategy insert --announce-later"
    return replace(step, action=Action.UNKNOWN, why=why)


def _supply(step: Step, snapshot: PaymentSnapshot, wishes: Wishes, flow: Flow) -> Step:
    if wishes.strategy is Strategy.ANNOUNCE:
        return step.refused(_NO_OTHER_WAY[Strategy.ANNOUNCE])
    if wishes.by_hand:
        if wishes.strategy is Strategy.REPLAY:
            return step.refused(f"no replay: {_by_hand(wishes)}")
        return _insert(step, snapshot, wishes, _by_hand(wishes))
    if wishes.strategy is Strategy.INSERT:
        return _insert(step, snapshot, wishes, "named by --strategy")
    facts, payment = _payment(step)
    replay = replay_of(snapshot, facts, payment, flow)
    against = (*replay.problems, *_against_replay(snapshot, facts))
    match wishes.strategy:
        case Strategy.REPLAY if against:
            return step.refused("no replay: " + "; ".join(against))
        case Strategy.AUTO if against:
            return _insert(step, snapshot, wishes, "; ".join(against))
        case _:
            origin = {
                Origin.TOPIC: "the event in the topic",
                Origin.RECORDED: "the recorded event",
                Origin.BUILT: "an event built from the payment",
            }[replay.origin]
            why = (
                f"send {origin} again (event id {replay.event.event_id}); the worker is {snapshot.workers.work.summary}"
            )
            return replace(step, action=Action.REPLAY, why=why, replay=replay)


def _against_replay(snapshot: PaymentSnapshot, facts: PaymentFacts) -> list[str]:
    """What makes a replay unsafe or hopeless just now, whatever the event says."""
    against: list[str] = []
    work = snapshot.workers.work
    evidence = snapshot.evidence.value
    if not work.may_replay:
        against.append(f"the worker is {work.summary} ({work.reasons[0]})")
    elif evidence is not None and not work.holds(evidence.partition):
        against.append(f"no proven member holds {evidence.partition}")
    if evidence is None or evidence.lag.unprotected is not False:
        against.append("its partition has no usable committed offset")
    elif evidence.head is not None and evidence.head.failing:
        against.append(f"{evidence.partition} stands on a record that fails")
    if evidence is not None and evidence.dead_letters:
        against.append("it has a dead letter whose cause may persist")
    elif evidence is not None and evidence.dead_letters_unread:
        against.append("whether it has a dead letter could not be read")
    matched = match_facts(facts).by_payment
    if any(p.id != facts.payment_id and p.id not in matched for p in facts.siblings):
        # The worker's purchase could not be told from one for the other payment.
        against.append("another payment of that student and course has no purchase either")
    return against


def _insert(step: Step, snapshot: PaymentSnapshot, wishes: Wishes, why: str) -> Step:
    facts, payment = _payment(step)
    ruling = wishes.ruling
    tier = payment.tier or (ruling.tier if ruling else None)
    course = (ruling.course_id if ruling else None) or payment.course_id
    if tier is None:
        return step.refused(PERSON_ADVICE[VerdictKind.BAD_TIER])
    if facts.course_known is False or course is None:
        return step.refused(PERSON_ADVICE[VerdictKind.UNKNOWN_COURSE])
    order = insert_order(snapshot, facts, payment, course, tier)
    return replace(step, action=Action.INSERT, why=f"insert a purchase of tier {tier}: {why}", order=order)
