"""Whether a message of a group is settled, and what its worker would do with it now (docs/decisions.md 1 and 4).

A restart, and whatever else moves an offset, asks this of every record before it decides where reading begins: a
message that is owed must be read, one that the worker would fail on must not be.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from types import MappingProxyType

from kcfix.core.events import Event, Record, parse_event, undecodable
from kcfix.core.judging.matching import match_facts
from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import TIERS, Allocation, PaymentFacts, PaymentId, parse_uuid, worker_tier
from kcfix.core.ports.database import DatabasePort, SchemaFacts, StudentCourse
from kcfix.core.ports.kafka import KafkaPort, OffsetRange
from kcfix.flow import Stage

BATCH = 2000
"""Records whose facts are asked for at once."""


class Effect(enum.StrEnum):
    """What comes of it when the worker reads the message now."""

    PASSES = "PASSES"
    """Nothing: it is settled, or there is nothing in it."""
    SETTLES = "SETTLES"
    """It is unsettled, and the worker can settle it."""
    FAILS = "FAILS"
    """The worker would fail on it: with a committed offset, again and again (docs/system.md 6, mode 3)."""
    HARMS = "HARMS"
    """The worker would do what must not be done: a second purchase, one of a guessed tier."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """One message of a group, judged."""

    partition: TopicPartition
    offset: int
    effect: Effect
    reason: str
    """Why, in a few words."""
    owed: bool = False
    """Whether somebody goes without what was paid for unless it, or a repair, is still acted upon."""
    payment_id: PaymentId | None = None
    written_at: datetime | None = None

    @property
    def stops(self) -> bool:
        """Whether reading must not begin at or before it."""
        return self.effect in (Effect.FAILS, Effect.HARMS)


@dataclass(frozen=True, slots=True)
class Known:
    """What the database says about the messages of one batch."""

    facts: Mapping[PaymentId, PaymentFacts] = field(default_factory=dict)
    allocations: Mapping[StudentCourse, tuple[Allocation, ...]] = field(default_factory=dict)
    sessions: Mapping[str, int] = field(default_factory=dict)
    event_id_type: str | None = None
    """Type of processed_events.event_id: a text that does not fit it makes the worker fail (mode 38)."""
    correlation_id_type: str | None = None


Judgement = tuple[Effect, str, bool]
"""Effect, reason, owed."""


def _mark_fails(event: Event, known: Known) -> str | None:
    """Why the worker could not mark the event as processed, None if it could (docs/system.md 6, modes 17b and 38)."""
    marks = (
        ("event id", event.event_id or "unknown", known.event_id_type),
        ("correlation id", event.correlation_id or "unknown", known.correlation_id_type),
    )
    for name, text, kind in marks:
        if kind == "uuid" and parse_uuid(text) is None:
            return f"its {name} {text!r} is no UUID, and processed_events takes nothing else"
    return None


def _ids_fail(event: Event, **ids: object) -> str | None:
    bad = [name for name, value in ids.items() if parse_uuid(value) is None]
    return f"it names no usable {' and '.join(bad)}" if bad else None


def _student_course(event: Event) -> StudentCourse | None:
    student, course = parse_uuid(event.student_id), parse_uuid(event.course_id)
    return (student, course) if student and course else None


def purchase_message(event: Event, known: Known) -> Judgement:
    """A PURCHASE_CONFIRMED to the purchase-worker: settled once a purchase answers its payment."""
    if fails := _ids_fail(event, studentId=event.student_id, courseId=event.course_id):
        return Effect.FAILS, fails, False
    if event.payment_id is None:
        return Effect.HARMS, "it names no payment, and the worker would make a purchase all the same", False
    mark = _mark_fails(event, known)
    tier = worker_tier(event.metadata)
    bad_tier = None if tier in TIERS else f"its tier is {tier!r}, not 10, 20 or 30"
    facts = known.facts.get(event.payment_id)
    payment = facts.payment if facts else None
    if facts is None or payment is None:
        # The worker makes a purchase from the event alone, so losing the message could lose a purchase.
        if fails := mark or bad_tier:
            return Effect.FAILS, fails, True
        return Effect.SETTLES, "its payment is not in the database: whether it has a purchase can't be checked", True
    active = [p for p in facts.purchases if p.is_active]
    purchase = match_facts(facts).purchase_of(payment.id)
    settled = purchase is not None or bool(active)
    owed = payment.succeeded and not settled
    if mark:
        return Effect.FAILS, mark, owed
    if _student_course(event) != (payment.student_id, payment.course_id):
        return Effect.HARMS, "it names another student or course than its payment", owed
    if active:
        reason = f"purchase {purchase.id}" if purchase else f"purchase {active[0].id} of another payment is active"
        return Effect.PASSES, reason, False
    if bad_tier:
        return Effect.FAILS, bad_tier, owed
    if facts.course_known is False:
        return Effect.FAILS, f"course {event.course_id} is not in the courses table", owed
    if purchase is not None:
        return Effect.HARMS, f"its purchase {purchase.id} is no longer active: the worker would make another", False
    if not payment.succeeded:
        return Effect.HARMS, f"its payment is {payment.status}: the worker would make a purchase all the same", False
    if payment.tier != tier:
        paid = payment.stated_tier if payment.stated_tier is not None else "no tier"
        return Effect.HARMS, f"the worker would make a purchase of tier {tier}; the payment states {paid}", owed
    return Effect.SETTLES, "no purchase", True


def allocation_message(event: Event, known: Known) -> Judgement:
    """A PURCHASE_CREATED to the allocation-worker: settled once student and course have a trainer."""
    if fails := _ids_fail(event, studentId=event.student_id, courseId=event.course_id):
        return Effect.FAILS, fails, False
    pair = _student_course(event)
    rows = known.allocations.get(pair, ()) if pair else ()
    done = next((a for a in rows if a.allocated), None) or next((a for a in rows if a.status == "completed"), None)
    if fails := _mark_fails(event, known):
        return Effect.FAILS, fails, done is None
    if done is not None and done.allocated:
        return Effect.PASSES, f"allocation {done.id}", False
    if done is not None:
        return Effect.HARMS, f"its allocation {done.id} is completed: the worker would make another", False
    return Effect.SETTLES, "no approved or active allocation", True


def session_message(event: Event, known: Known) -> Judgement:
    """A TRAINER_ALLOCATED to the session-worker: settled once the allocation has sessions."""
    allocation = parse_uuid(event.body.get("allocationId"))
    if fails := _ids_fail(event, allocationId=allocation, studentId=event.student_id):
        return Effect.FAILS, fails, False
    sessions = known.sessions.get(allocation or "", 0)
    if fails := _mark_fails(event, known):
        return Effect.FAILS, fails, not sessions
    if sessions:
        return Effect.PASSES, f"{sessions} sessions", False
    return Effect.SETTLES, f"allocation {allocation} has no sessions", True


_UNCHECKED = "whether it was handled can't be checked"


def unchecked_message(event: Event, known: Known) -> Judgement:
    """A message whose work leaves nothing behind that could be checked: it counts as unsettled."""
    return Effect.SETTLES, _UNCHECKED, False


JUDGES: Mapping[str, Callable[[Event, Known], Judgement]] = MappingProxyType(
    {"purchase": purchase_message, "allocation": allocation_message, "session": session_message}
)
"""By the stage's short name. A stage that is not here can't be checked."""


def is_checked(stage: Stage) -> bool:
    """Whether the tables can tell which messages of this stage are settled."""
    return stage.name in JUDGES


def settlement(stage: Stage, record: Record, known: Known) -> Settlement:
    """What the worker of this stage would do with the record now."""
    where = TopicPartition(record.topic, record.partition)
    base = Settlement(where, record.offset, Effect.PASSES, "", written_at=record.timestamp)
    event = parse_event(record)
    if stage.is_foreign:
        # Its consumer may read any format, and a record without a value may mean something to it.
        return replace(base, effect=Effect.SETTLES, reason=_UNCHECKED, payment_id=payment_of(event) if event else None)
    if record.value is None:
        return replace(base, reason="it has no value: the worker passes it")
    if event is None:
        key = parse_uuid(record.key.decode(errors="replace")) if record.key else None
        owner = PaymentId(key) if key else None
        return replace(base, effect=Effect.FAILS, reason=undecodable(record.value), payment_id=owner)
    effect, reason, owed = JUDGES.get(stage.name, unchecked_message)(event, known)
    return replace(base, effect=effect, reason=reason, owed=owed, payment_id=payment_of(event))


def payment_of(event: Event) -> PaymentId | None:
    """The payment that an event goes back to: its own, else the correlation id where that is a UUID."""
    text = event.payment_id or parse_uuid(event.correlation_id)
    return PaymentId(text) if text else None


def known_about(stage: Stage, events: Iterable[Event], database: DatabasePort, schema: SchemaFacts) -> Known:
    """What the database says about these messages: one reading, whichever the stage.

    Raises:
        Unreachable: the database did not answer.
        Refused: a table that is needed is missing.
    """
    known = Known(event_id_type=schema.event_id_type, correlation_id_type=schema.correlation_id_type)
    match stage.name:
        case "purchase":
            ids = tuple(dict.fromkeys(e.payment_id for e in events if e.payment_id))
            return replace(known, facts=database.facts(ids) if ids else {})
        case "allocation":
            pairs = tuple(dict.fromkeys(p for e in events if (p := _student_course(e))))
            return replace(known, allocations=database.allocations(pairs) if pairs else {})
        case "session":
            found = tuple(dict.fromkeys(a for e in events if (a := parse_uuid(e.body.get("allocationId")))))
            return replace(known, sessions=database.sessions(found) if found else {})
        case _:
            return known


def settlements(
    stage: Stage, ranges: Iterable[OffsetRange], kafka: KafkaPort, database: Callable[[], DatabasePort]
) -> Iterator[Settlement]:
    """Every record of the ranges, judged, partition by partition in offset order, in constant memory.

    Raises as `judged` does, and Unreachable where Kafka did not answer; what was yielded is not the whole.
    """
    return judged(stage, kafka.records(ranges), database)


def judged(stage: Stage, records: Iterable[Record], database: Callable[[], DatabasePort]) -> Iterator[Settlement]:
    """Each of these records, judged now. The database is not asked for a stage that can't be checked.

    Raises:
        Unreachable: the database did not answer; what was yielded is not the whole.
        Refused: a table that is needed is missing.
    """
    left = iter(records)
    checked = is_checked(stage)
    schema: SchemaFacts | None = None
    while batch := tuple(islice(left, BATCH)):
        known = Known()
        if checked:
            schema = schema or database().schema()
            events = [e for r in batch if (e := parse_event(r)) is not None]
            known = known_about(stage, events, database(), schema)
        for record in batch:
            yield settlement(stage, record, known)
