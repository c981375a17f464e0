"""Who made the purchase of a payment: a table of rules, of which the first that holds decides.

No column says it (docs/system.md 1.2). A PURCHASE_CREATED of the worker alone is no proof, for the worker announces
also what it found there (docs/system.md 6, modes 29 and 37). What can't be told apart is said to be unsure.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from kcfix.core.events import own_purchase_id
from kcfix.core.logs.parse import payment_of
from kcfix.core.payments import EventRow, Purchase, metadata_mapping
from kcfix.core.story.payment_story import Hop, Story, StoryLine
from kcfix.flow import Flow

NEAR = timedelta(minutes=1)
"""How far a row or a line may lie from the purchase that it tells of: clocks differ, a worker waits for its lock."""
FALLBACK_TIER = 30
"""What payment-service's retry queue orders, whatever was paid (docs/system.md 2.6)."""


class Maker(enum.StrEnum):
    """Who may have made a purchase."""

    KCFIX = "KCFIX"
    WORKER = "WORKER"
    SCRIPT = "SCRIPT"
    COURSE_SERVICE = "COURSE_SERVICE"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class MadeBy:
    """Who made it, and why that is said."""

    maker: Maker
    sure: bool
    because: str
    name: str | None = None
    """Of the script or worker; None where that is not known."""


SCRIPTS: Mapping[str, str] = {
    "create-purchase-from-payment-script": "create-purchase-from-payment.js",
    "fix-script": "fix-purchase-event-system.js",
    "fix-purchase-script": "fix-purchase-from-payment-id.js",
}
"""Sources in processed_events of the scripts that insert a purchase (docs/system.md 5). fix-missing-purchase.js is not
among them: it sends an event, and the worker makes the purchase."""

COMMITTED = (
    "Transaction committed successfully",
    "Purchase created successfully using fallback method",
    "✅ Purchase created and event marked as processed",
)
FOUND_THERE = "Purchase already exists"
RETRY_QUEUED = "Added job to retry queue"


@dataclass(frozen=True, slots=True)
class _Case:
    story: Story
    purchase: Purchase
    flow: Flow

    @property
    def rows(self) -> tuple[EventRow, ...]:
        after = self.story.aftermath.value
        return after.events if after else (self.story.facts.events if self.story.facts else ())

    @property
    def announcements(self) -> Iterator[Hop]:
        """PURCHASE_CREATED records of this very purchase that the worker sent."""
        for hop in self.story.on(self.flow.purchase_created):
            event = hop.event
            mine = event is not None and (event.purchase_id or "").lower() == self.purchase.id
            if mine and event is not None and event.source == self.flow.purchase_worker:
                yield hop

    @property
    def unread(self) -> tuple[str, ...]:
        """What could not be read, or not wholly."""
        return tuple(looked.what for looked in self.story.looked if looked.error is not None)

    def lines(self, *phrases: str) -> list[StoryLine]:
        """Lines of the purchase-worker about this payment with one of the phrases."""
        return [
            line
            for line in self.story.lines
            if line.worker == self.flow.purchase_worker
            and not line.around
            and any(phrase in line.entry.message for phrase in phrases)
            and payment_of(line.entry) in (None, self.story.payment_id)
            and line.entry.fields.get("purchaseId") in (None, self.purchase.id)
        ]

    def near(self, at: datetime | None) -> bool:
        return at is not None and abs(at - self.purchase.created_at) <= NEAR


def made_by(story: Story, flow: Flow) -> MadeBy | None:
    """Who made the payment's purchase; None where it has none."""
    purchase = story.purchase
    if purchase is None:
        return None
    case = _Case(story, purchase, flow)
    for rule in RULES:
        found = rule(case)
        if found is not None:
            return found
    raise AssertionError("the last rule always holds")


def _kcfix(case: _Case) -> MadeBy | None:
    if case.purchase.id != own_purchase_id(case.story.payment_id):
        return None
    return MadeBy(Maker.KCFIX, True, "the purchase has the id that kcfix gives this payment's")


def _script(case: _Case) -> MadeBy | None:
    for row in case.rows:
        if row.source in SCRIPTS and (row.correlation_id == case.purchase.id or case.near(row.processed_at)):
            which = SCRIPTS[row.source]
            return MadeBy(Maker.SCRIPT, True, f"{which} recorded {row.event_type} for it as it was made", which)
    return None


def _script_at_another_time(case: _Case) -> MadeBy | None:
    for row in case.rows:
        if row.source in SCRIPTS:
            which = SCRIPTS[row.source]
            because = f"{which} recorded {row.event_type} for this payment, though not when it was made"
            return MadeBy(Maker.SCRIPT, False, because, which)
    return None


def _worker_log(case: _Case) -> MadeBy | None:
    name = case.flow.purchase_worker
    made = [e.entry for e in case.lines(*COMMITTED) if case.near(e.entry.timestamp)]
    if not made:
        return None
    # Before it commits, a worker that finds the purchase there says so, and then logs and announces as if it made it.
    if any(e.entry.timestamp <= made[0].timestamp and case.near(e.entry.timestamp) for e in case.lines(FOUND_THERE)):
        return None
    at = made[0].timestamp.isoformat(timespec="milliseconds")
    return MadeBy(Maker.WORKER, True, f"{made[0].container} logged at {at} that it committed it", name)


def _worker_event(case: _Case) -> MadeBy | None:
    made = (case.purchase.id, f"purchase-created-{case.purchase.id}")
    events = [h for h in case.announcements if h.event and h.event.event_id in made and case.near(h.record.timestamp)]
    if not events or case.lines(FOUND_THERE):
        return None
    record = events[0].record
    where = f"{record.topic}-{record.partition} offset {record.offset}"
    how = "its metadata is as the worker composes it" if composed(case.purchase) else "its metadata is not the worker's"
    because = f"the worker announced it as it was made ({where}); {how}; it announces also what it finds there"
    if not composed(case.purchase):
        return MadeBy(Maker.UNKNOWN, False, because)
    return MadeBy(Maker.WORKER, False, because, case.flow.purchase_worker)


def _course_service(case: _Case) -> MadeBy | None:
    payment = case.story.payment
    if case.purchase.tier != FALLBACK_TIER or payment is None or any(case.announcements):
        return None
    queued = any(RETRY_QUEUED in line.entry.message for line in case.story.lines)
    if queued:
        text = f"{case.flow.payment_service} put it into its retry queue, which orders tier 30 from course-service"
        return MadeBy(Maker.COURSE_SERVICE, False, f"{text}; nothing else tells of it")
    if case.unread:
        return None  # that there is no trace can be said only where everything was looked at
    facts = case.story.facts
    older = [p for p in facts.purchases if p.created_at < case.purchase.created_at] if facts else []
    if payment.tier != FALLBACK_TIER or (older and not any(p.is_active for p in older)):
        text = "tier 30, not announced, no trace in events or logs: payment-service's retry queue orders so"
        return MadeBy(Maker.COURSE_SERVICE, False, f"{text}; a script that leaves no trace would look the same")
    return None


def _hand_made(case: _Case) -> MadeBy | None:
    if metadata_mapping(case.purchase.metadata):
        return None
    text = "its metadata is empty, which the worker never writes: a script or course-service made it"
    return MadeBy(Maker.UNKNOWN, False, f"{text}; which one can't be told")


def _found(case: _Case) -> MadeBy | None:
    ids = [h.event.event_id or "" for h in case.announcements if h.event]
    if not any(i.endswith("-recovery") for i in ids) and not case.lines(FOUND_THERE):
        return None
    return MadeBy(Maker.UNKNOWN, False, "the worker found it there and announced it; who made it left no trace")


def _nobody(case: _Case) -> MadeBy:
    if case.unread:
        return MadeBy(Maker.UNKNOWN, False, f"no trace was found; not all was read: {', '.join(case.unread)}")
    return MadeBy(Maker.UNKNOWN, False, "nobody left a trace: no event, no row, no log line tells of it")


RULES: tuple[Callable[[_Case], MadeBy | None], ...] = (
    _kcfix,
    _script,
    _worker_log,
    _worker_event,
    _script_at_another_time,
    _found,
    _course_service,
    _hand_made,
    _nobody,
)
"""In the order in which they are tried; the last one always holds."""


def composed(purchase: Purchase) -> bool:
    """Whether its metadata is as the worker composes it: purchaseTier and sessionCount both the tier, and courseId.

    A payment's own metadata may look the same, so this alone proves nothing.
    """
    fields = metadata_mapping(purchase.metadata)
    both = (fields.get("purchaseTier"), fields.get("sessionCount"))
    return both == (purchase.tier, purchase.tier) and bool(fields.get("courseId"))
