"""How the messages stand that dead letters are copies of (docs/decisions.md 8): judged page by page, from the tables.

What a worker would do with a message now is said by `kcfix.core.move.settlement`, as for a restart; here is added
whether its work is there, whether a copy of it waits, and whether a person has parked it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from kcfix.core.dlq.letter import DlqState, Judged, Original, Place
from kcfix.core.dlq.parking import Parked
from kcfix.core.dlq.read import Backlog, stage_of
from kcfix.core.dlq.store import LetterStore
from kcfix.core.dlq.subject import own_subjects
from kcfix.core.events import Event, Record, parse_value
from kcfix.core.judging.matching import match_facts
from kcfix.core.move.settlement import Effect, Known, Settlement, is_checked, known_about, payment_of, settlement
from kcfix.core.payments import parse_uuid
from kcfix.core.ports.database import DatabasePort, SchemaFacts
from kcfix.errors import Refused, Unreachable
from kcfix.flow import Flow, Stage

PAGE = 1000


def work_done(stage: Stage, event: Event, known: Known) -> str | None:
    """The worker's work for this message, if it is there now: which purchase, allocation or sessions; else None."""
    match stage.name:
        case "purchase":
            facts = known.facts.get(event.payment_id) if event.payment_id else None
            purchase = match_facts(facts).purchase_of(facts.payment_id) if facts else None
            if purchase is None:
                return None
            return f"purchase {purchase.id}" + ("" if purchase.is_active else ", no longer active")
        case "allocation":
            student, course = parse_uuid(event.student_id), parse_uuid(event.course_id)
            rows = known.allocations.get((student, course), ()) if student and course else ()
            done = next((a for a in rows if a.allocated), None) or next(
                (a for a in rows if a.status == "completed"), None
            )
            return f"allocation {done.id}, {done.status}" if done else None
        case "session":
            allocation = parse_uuid(event.body.get("allocationId"))
            count = known.sessions.get(allocation or "", 0)
            return f"{count} sessions of allocation {allocation}" if count else None
        case _:
            return None


def nothing_owed(stage: Stage, event: Event, known: Known) -> str | None:
    """Why nothing is owed although the work is not there: its payment did not succeed, or was paid back."""
    facts = known.facts.get(event.payment_id) if stage.name == "purchase" and event.payment_id else None
    payment = facts.payment if facts else None
    return f"its payment is {payment.status}" if payment is not None and not payment.succeeded else None


def purchase_gone(stage: Stage, event: Event, known: Known) -> str | None:
    """Why a trainer must not be allocated: the purchase that was announced is not there any more, or not active.

    None as well where that can't be told, for the announcement goes back to no payment of this database.
    """
    payment = payment_of(event) if stage.name == "allocation" else None
    facts = known.facts.get(payment) if payment else None
    if facts is None or facts.payment is None or event.purchase_id is None:
        return None
    if (parse_uuid(event.student_id), parse_uuid(event.course_id)) != (
        facts.payment.student_id,
        facts.payment.course_id,
    ):
        return None  # purchases of another student or course were not read
    purchase = next((p for p in facts.purchases if p.id == event.purchase_id.lower()), None)
    if purchase is None:
        return f"its purchase {event.purchase_id} is not there"
    return None if purchase.is_active else f"its purchase {purchase.id} is no longer active"


def judged(
    stage: Stage, event: Event, s: Settlement, known: Known, waiting: Place | None, parked: str | None
) -> Judged:
    """How one message stands. `waiting` is where it, or a copy, waits; `parked` what a person said of it."""
    if (done := work_done(stage, event, known)) is not None:
        return Judged(DlqState.SETTLED, done, owed=False)
    if parked is not None:
        return Judged(DlqState.PARKED, parked, owed=False)
    waits = f"waits at {waiting}" if waiting else ""
    if not is_checked(stage):
        if waits:
            return Judged(DlqState.WAITING, waits, owed=True)
        return Judged(DlqState.UNKNOWN, "whether it was handled can't be checked", owed=True)
    if (gone := purchase_gone(stage, event, known)) is not None:
        return Judged(DlqState.WOULD_HARM, f"{gone}; it {waits}" if waits else gone, owed=False)
    free = nothing_owed(stage, event, known)
    match s.effect:
        case Effect.FAILS:
            return Judged(DlqState.WOULD_FAIL, f"{s.reason}; it {waits}" if waits else s.reason, owed=free is None)
        case Effect.HARMS:
            return Judged(DlqState.WOULD_HARM, f"{s.reason}; it {waits}" if waits else s.reason, owed=free is None)
        case Effect.PASSES if free is not None:
            return Judged(DlqState.SETTLED, f"{free}: nothing is owed", owed=False)
        case Effect.PASSES:
            return Judged(DlqState.SECOND_PAYMENT, s.reason, owed=True)
        case Effect.SETTLES if waits:
            return Judged(DlqState.WAITING, waits, owed=True)
        case Effect.SETTLES if not in_database(stage, event, known):
            return Judged(DlqState.UNKNOWN, s.reason, owed=True)
        case Effect.SETTLES:
            return Judged(DlqState.UNSETTLED, s.reason, owed=True)


def in_database(stage: Stage, event: Event, known: Known) -> bool:
    """Whether the payment is there on which the judgement of a purchase message rests; other stages rest on none."""
    facts = known.facts.get(event.payment_id) if event.payment_id else None
    return stage.name != "purchase" or (facts is not None and facts.payment is not None)


@dataclass
class Judge:
    """Judges what is in the store, with the systems that it takes."""

    flow: Flow
    store: LetterStore
    backlog: Backlog
    database: Callable[[], DatabasePort]
    parked: Callable[[], Parked]
    _schema: SchemaFacts | None = None

    def all(self) -> str | None:
        """Judge every message; gives why not, where a system did not answer: the rest is then UNKNOWN."""
        parked = self.parked()
        try:
            for topic in self.store.topics():
                stage = stage_of(self.flow, topic)
                if stage is not None:
                    self.backlog.look([stage])
                self._topic(topic, stage, parked)
        except (Unreachable, Refused) as error:
            if isinstance(error, Unreachable) and error.system == "disk":
                raise
            self.store.judge_rest(Judged(DlqState.UNKNOWN, error.message, owed=True))
            return error.message
        return None

    def _topic(self, topic: str, stage: Stage | None, parked: Parked) -> None:
        last = 0
        while page := self.store.page(topic, last, PAGE):
            last = page[-1].id
            self.store.judge(self.page(stage, page, parked))

    def page(self, stage: Stage | None, originals: Sequence[Original], parked: Parked) -> dict[int, Judged]:
        """How these messages of one topic stand, by number, from their outlines. Raises Unreachable, Refused."""
        if stage is None:
            why = "no worker that writes dead letters reads its topic"
            return {o.id: parked_or(parked, o, Judged(DlqState.UNKNOWN, why, owed=True)) for o in originals}
        events = {o.id: parse_value(o.outline) for o in originals if o.outline is not None}
        known = self.known(stage, [e for e in events.values() if e is not None])
        waiting = self.waiting(stage, originals[0].place.topic, [e for e in events.values() if e is not None])
        found: dict[int, Judged] = {}
        for original in originals:
            event = events.get(original.id)
            if event is None:
                unread = Judged(DlqState.UNKNOWN, "its dead letter does not hold the event", owed=True)
                found[original.id] = parked_or(parked, original, unread)
                continue
            found[original.id] = self.one(stage, original, event, known, waiting, parked)
        return found

    def one(
        self,
        stage: Stage,
        original: Original,
        event: Event,
        known: Known,
        waiting: Mapping[str, Place],
        parked: Parked,
        record: Record | None = None,
    ) -> Judged:
        """How one message stands by what was read; `record` is the message itself, where it was read."""
        place = original.place
        record = record or Record(place.topic, place.partition, place.offset, None, None, original.outline)
        s = settlement(stage, record, known)
        where = next((waiting[w] for w in own_subjects(stage, event) if w in waiting), None)
        entry = parked.of(original)
        return judged(stage, event, s, known, where, entry.said if entry else None)

    def known(self, stage: Stage, events: Sequence[Event]) -> Known:
        """What the database says of these messages. Raises Unreachable, Refused."""
        if not is_checked(stage):
            return Known()
        self._schema = self._schema or self.database().schema()
        known = known_about(stage, events, self.database(), self._schema)
        if stage.name == "allocation":
            payments = tuple(dict.fromkeys(payment for e in events if (payment := payment_of(e))))
            known = replace(known, facts=self.database().facts(payments) if payments else {})
        return known

    def waiting(self, stage: Stage, topic: str, events: Iterable[Event]) -> Mapping[str, Place]:
        """Where messages about the same things wait, by subject."""
        wanted = {subject for event in events for subject in own_subjects(stage, event)}
        return self.backlog.still_waiting(stage, self.store.waiting(topic, wanted))


def parked_or(parked: Parked, original: Original, otherwise: Judged) -> Judged:
    """PARKED where a person has said so, else what it would be."""
    entry = parked.of(original)
    return Judged(DlqState.PARKED, entry.said, owed=False) if entry else otherwise
