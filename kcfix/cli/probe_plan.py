"""What a probe would do, and what earlier ones have left behind."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from kcfix.cli.sources import sources
from kcfix.core.judging.gather import payment_snapshots
from kcfix.core.judging.judge import judge
from kcfix.core.judging.verdict import Verdict, VerdictKind
from kcfix.core.payments import Payment
from kcfix.core.ports.database import ProbeOrder
from kcfix.core.probe import AMOUNT_MINOR, PROVIDER, metadata_of, probe_id, student_of
from kcfix.errors import Refused
from kcfix.services import Services

SHOWN = 20
"""Earlier probes that are looked into, the newest."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """A probe that is there already."""

    payment: Payment
    verdict: Verdict

    @property
    def settled(self) -> bool:
        """Whether it came through."""
        return self.verdict.kind is VerdictKind.PURCHASED


@dataclass(frozen=True, slots=True)
class Plan:
    """The probe that would be made."""

    order: ProbeOrder
    tier: int
    earlier: tuple[Earlier, ...]
    """The newest first."""
    more: bool
    """Whether there are older ones that were not looked into."""


def make_plan(student_id: str | None, course_id: str | None, tier: int, services: Services) -> Plan:
    """A new probe, and what became of the earlier ones.

    Raises:
        Unreachable: the database or Kafka did not answer. Refused: there is no course, or no topic for the event.
            Nothing was changed.
    """
    topic = services.flow.purchase_confirmed
    if topic not in services.kafka.topics():  # a probe whose event can't be sent is none
        raise Refused(
            f"topic {topic} is not there, or not shown to this login: the event could not be sent", hint="kcfix topics"
        )
    seen = services.database.probes(SHOWN + 1)
    course = course_id or seen.course_id
    if course is None:
        raise Refused("there is no course that a probe could be about", hint="name one with --course")
    id = probe_id(uuid.uuid4())
    order = ProbeOrder(
        payment_id=id,
        student_id=student_id or student_of(id),
        new_student=student_id is None,
        course_id=course,
        amount_minor=AMOUNT_MINOR,
        provider=PROVIDER,
        metadata=metadata_of(course, tier, services.now()),
    )
    ids = seen.payment_ids[:SHOWN]
    snapshots = payment_snapshots(ids, sources(services)).by_payment if ids else {}
    earlier = [
        Earlier(facts.payment, judge(snapshots[i], overdue=services.settings.overdue))
        for i in ids
        if (facts := snapshots[i].facts.value) is not None and facts.payment is not None
    ]
    return Plan(order, tier, tuple(earlier), len(seen.payment_ids) > SHOWN)
