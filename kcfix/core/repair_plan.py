"""What would be done about each payment, and why: a value, made from one snapshot (docs/decisions.md 3).

Planning changes nothing and asks nothing. The same function plans again right before the change.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from kcfix.core.events import advisory_lock_key, own_purchase_id
from kcfix.core.judge import judge
from kcfix.core.matching import match_facts
from kcfix.core.payments import Payment, PaymentFacts, PaymentId, Purchase, metadata_mapping
from kcfix.core.ports import InsertOrder
from kcfix.core.remedy import PERSON_ADVICE, REMEDIES, Remedy
from kcfix.core.replay import Origin, Replay, replay_of
from kcfix.core.snapshot import PaymentSnapshot, Snapshots
from kcfix.core.verdict import OVERDUE, Verdict, VerdictKind
from kcfix.flow import PURCHASE_CONFIRMED, Flow


class Strategy(enum.StrEnum):
    """How a purchase is to be made; `auto` is decided payment by payment."""

    AUTO = "auto"
    REPLAY = "replay"
    INSERT = "insert"


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
    judged = {i: judge(s, overdue=wishes.overdue) for i, s in snapshots.by_payment.items()}
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
        if step.action in (Action.REPLAY, Action.INSERT) and payment and payment.course_id:
            first = taken.setdefault((payment.student_id, payment.course_id), step.payment_id)
            if first != step.payment_id:
                yield replace(
                    step,
                    action=Action.REFUSE,
                    why=f"payment {first} of the same student and course comes first; this is then a second one",
                    order=None,
                    replay=None,
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
            return replace(step, action=Action.REFUSE, why=PERSON_ADVICE[verdict.kind])
        case Remedy.ANNOUNCE:
            return replace(
                step, action=Action.ANNOUNCE, why="send the missing PURCHASE_CREATED", purchase=verdict.purchase
            )
        case Remedy.UNKNOWN:
            return _unknown(step, snapshot, wishes)
        case Remedy.WAIT:
            if wishes.strategy is Strategy.INSERT:
                note = "its message still waits: the worker will find the purchase, and may announce it once more"
                return replace(_insert(step, snapshot, "named by --strategy"), notes=(note,))
            return replace(step, action=Action.WAIT, why="get the worker going: it will read the message")
        case Remedy.INSERT:
            if wishes.strategy is Strategy.REPLAY:
                return replace(step, action=Action.REFUSE, why="a replay would fail as its message does")
            note = "its partition still stands on this message until the worker gets past it"
            return replace(_insert(step, snapshot, "the worker fails on its message"), notes=(note,))
        case Remedy.SUPPLY:
            return _supply(step, snapshot, wishes, flow)


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
        return replace(_insert(step, snapshot, "Kafka does not answer"), notes=(note,))
    why = "kcfix does not act on what it could not find out"
    if kafka_is_silent and payment is not None and step.verdict.purchase is None:
        why += "; if it can't wait for Kafka: --strategy insert --announce-later"
    return replace(step, action=Action.UNKNOWN, why=why)


def _supply(step: Step, snapshot: PaymentSnapshot, wishes: Wishes, flow: Flow) -> Step:
    facts, payment = _payment(step)
    replay = replay_of(snapshot, facts, payment, flow)
    against = (*replay.problems, *_against_replay(snapshot, facts))
    match wishes.strategy:
        case Strategy.INSERT:
            return _insert(step, snapshot, "named by --strategy")
        case Strategy.REPLAY if against:
            return replace(step, action=Action.REFUSE, why="no replay: " + "; ".join(against))
        case Strategy.AUTO if against:
            return _insert(step, snapshot, "; ".join(against))
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
    matched = match_facts(facts).by_payment
    if any(p.id != facts.payment_id and p.id not in matched for p in facts.siblings):
        # The worker's purchase could not be told from one for the other payment.
        against.append("another payment of that student and course has no purchase either")
    return against


def _insert(step: Step, snapshot: PaymentSnapshot, why: str) -> Step:
    facts, payment = _payment(step)
    if payment.tier is None:
        return replace(step, action=Action.REFUSE, why=PERSON_ADVICE[VerdictKind.BAD_TIER])
    if facts.course_known is False or payment.course_id is None:
        return replace(step, action=Action.REFUSE, why=PERSON_ADVICE[VerdictKind.UNKNOWN_COURSE])
    order = insert_order(snapshot, facts, payment, payment.course_id, payment.tier)
    return replace(step, action=Action.INSERT, why=f"insert a purchase of tier {payment.tier}: {why}", order=order)


def insert_order(
    snapshot: PaymentSnapshot, facts: PaymentFacts, payment: Payment, course_id: str, tier: int
) -> InsertOrder:
    """The purchase as the worker would have written it (docs/system.md 1.2), under kcfix's own id."""
    evidence = snapshot.evidence.value
    events = [m.event for m in evidence.messages if m.event is not None] if evidence else []
    payloads = [metadata_mapping(e.payload) for e in facts.events if e.event_type == PURCHASE_CONFIRMED]
    event_metadata: Mapping[str, object] = {}
    for metadata in (*(e.metadata for e in reversed(events)), *(p.get("metadata") for p in payloads)):
        if isinstance(metadata, Mapping):
            event_metadata = metadata
            break
    metadata = {
        **metadata_mapping(payment.metadata),
        **event_metadata,
        "purchaseTier": tier,
        "sessionCount": tier,
        "courseId": course_id,
    }
    expiry = metadata.get("expiryDate")
    names = {
        (payment.student_id, course_id),
        (payment.student_id, str(metadata_mapping(payment.metadata).get("courseId"))),
    }
    written = [(e.student_id, e.course_id) for e in events] + [
        (p.get("studentId"), p.get("courseId")) for p in payloads
    ]
    names |= {(student, course) for student, course in written if isinstance(student, str) and isinstance(course, str)}
    return InsertOrder(
        payment_id=payment.id,
        purchase_id=own_purchase_id(payment.id),
        student_id=payment.student_id,
        course_id=course_id,
        tier=tier,
        metadata=metadata,
        expiry_date=expiry if isinstance(expiry, str) and expiry else None,
        lock_keys=tuple(sorted({advisory_lock_key(student, course) for student, course in names})),
        planned_on=facts,
    )


def recheck(order: InsertOrder, now: PaymentFacts) -> str | None:
    """Whether the world under the lock is still the one that was planned for: None, or which fact changed."""
    then = order.planned_on
    before, payment = then.payment, now.payment
    if before is None or payment is None:
        return "the payment row is gone"
    if payment.status != before.status:
        return f"the payment's status is now {payment.status}"
    if (payment.student_id, payment.course_id, payment.tier) != (before.student_id, before.course_id, before.tier):
        return "the payment's student, course or tier changed"
    if {p.id for p in now.siblings} != {p.id for p in then.siblings}:
        return "another payment of this student and course appeared"
    if [(p.id, p.is_active) for p in now.purchases] != [(p.id, p.is_active) for p in then.purchases]:
        return "the purchases of this student and course changed"
    if now.course_known is False:
        return "its course is no longer in the courses table"
    return "the payment row changed" if payment != before else None
