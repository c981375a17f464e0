"""A payment that is made up to try the pipe: how it is marked, what it says, and how far it came.

The mark is in the id itself, so that whoever meets it in the database, a topic or a log knows what it is, and so that
what an earlier probe left behind is found without any journal.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta

from kcfix.core.payments import PaymentFacts, PaymentId
from kcfix.core.story.payment_story import Story, allocations_of, purchase_of

MARK = "6b636669-78"
"""Every probe's payment id begins so: `kcfix` in hexadecimal digits."""
FIRST, LAST = f"{MARK}00-0000-0000-000000000000", f"{MARK}ff-ffff-ffff-ffffffffffff"
"""Between these lie the ids of all probes, in the order of a primary key."""
PROVIDER = "kcfix-probe"
"""What stands as the payment's provider: no report of a real provider's money counts it."""
AMOUNT_MINOR = 1
"""One paisa: the table allows no nothing."""
SLOT = "4:00 PM"
_STUDENTS = uuid.UUID("3f0b52f6-6a4f-4f1c-9c53-5a8e0c4a9d11")
"""The namespace of made-up students; never changes."""


def probe_id(random: uuid.UUID) -> PaymentId:
    """The id of a new probe, marked; of `random` 80 bits are kept.

    >>> probe_id(uuid.UUID("ffffffff-ffff-4fff-bfff-ffffffffffff"))
    '6b636669-78ff-4fff-bfff-ffffffffffff'
    """
    return PaymentId(MARK + str(random)[len(MARK) :])


def is_probe(payment_id: str) -> bool:
    """Whether the id is marked as a probe's."""
    return payment_id.lower().startswith(MARK)


def student_of(payment_id: PaymentId) -> str:
    """The made-up student of a probe: the same whenever it is asked for."""
    return str(uuid.uuid5(_STUDENTS, payment_id))


def metadata_of(course_id: str, tier: int, now: datetime) -> Mapping[str, object]:
    """What the payment says of itself, as a checkout would have written it, and that it is a probe."""
    start = (now + timedelta(days=2)).date().isoformat()
    return {
        "courseId": course_id,
        "sessionCount": tier,
        "groupSize": 1,
        "learningMode": "home",
        "timeSlot": SLOT,
        "startDate": start,
        "schedule": {"startDate": start, "date": start, "timeSlot": SLOT, "mode": "everyday"},
        "scheduleType": "everyday",
        "kcfixProbe": True,
    }


def arrived(facts: PaymentFacts) -> bool:
    """Whether the payment has come through: a purchase, a trainer and sessions are there."""
    return purchase_of(facts) is not None and any(a.allocated and a.sessions for a in allocations_of(facts))


def reached(facts: PaymentFacts) -> str:
    """How far it is, in words."""
    if purchase_of(facts) is None:
        return "waiting for the purchase"
    allocations = allocations_of(facts)
    if not any(a.allocated for a in allocations):
        return "purchase made; waiting for a trainer"
    return "sessions made" if arrived(facts) else "trainer allocated; waiting for sessions"


def left_behind(story: Story, *, student: bool) -> tuple[str, ...]:
    """All that the payment has brought into the world, as far as it was seen; a line each.

    `student`: whether a student was made up for it.
    """
    payment = story.payment
    lines = []
    if payment is not None:
        lines.append(f"payment {payment.id}, {payment.amount_minor / 100:.2f} {payment.currency}, {payment.status}")
        if student:
            lines.append(f"student {payment.student_id} with a profile")
    lines += [
        f"message {h.record.topic}-{h.record.partition} offset {h.record.offset}"
        + (f" ({h.event.type})" if h.event is not None and h.event.type else "")
        for h in story.hops
    ]
    lines += [f"{d.copies} dead letters: {d.reason}" for d in story.letters]
    if story.purchase is not None:
        lines.append(f"purchase {story.purchase.id}, tier {story.purchase.tier}")
    for allocation in story.allocations:
        trainer = "which holds a trainer's slot" if allocation.allocated else allocation.status
        lines.append(f"allocation {allocation.id}, {trainer}, {allocation.sessions} sessions")
    rows = len(story.facts.events) if story.facts else 0
    return (*lines, *([f"{rows} rows of processed events"] if rows else []))
