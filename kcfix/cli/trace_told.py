"""A story with all that is concluded from it: what `kcfix trace` shows of one payment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.story.maker import MadeBy, made_by
from kcfix.core.story.payment_story import Story
from kcfix.core.story.prognosis import Prognosis, prognosis
from kcfix.core.story.stages import Stage, stages
from kcfix.core.story.timeline import Timeline, timeline
from kcfix.errors import NOT_WELL, OK, NotFound, Unreachable
from kcfix.flow import Flow


@dataclass(frozen=True, slots=True)
class Told:
    """One payment, told."""

    story: Story
    stages: tuple[Stage, ...]
    timeline: Timeline
    maker: MadeBy | None
    """None: there is no purchase, or it is not known."""
    prognosis: Prognosis

    @property
    def waited(self) -> timedelta | None:
        """From the payment to its purchase, or to now while there is none; None where nothing is owed or known."""
        payment, purchase = self.story.payment, self.story.purchase
        if payment is None or not payment.succeeded:
            return None
        until = self.story.snapshot.taken_at if purchase is None else purchase.created_at
        return max(until - payment.paid_at, timedelta(0))

    @property
    def still_waiting(self) -> bool | None:
        """Whether there is no purchase yet; None where nothing is owed or known."""
        return None if self.waited is None else self.story.purchase is None

    @property
    def unknown(self) -> tuple[str, ...]:
        """What could not be read, one sentence each."""
        return tuple(f"{looked.what}: {looked.error}" for looked in self.story.looked if looked.error is not None)

    @property
    def code(self) -> int:
        """Its exit code: whether it is settled, or nothing is owed, or anything could be said at all."""
        facts = self.story.facts
        match self.story.verdict.kind:
            case VerdictKind.PURCHASED | VerdictKind.IN_FLIGHT | VerdictKind.NOT_SUCCEEDED:
                return OK
            case VerdictKind.REFUNDED:
                return NOT_WELL if facts is not None and any(p.is_active for p in facts.purchases) else OK
            case VerdictKind.NOT_FOUND:
                return NotFound.code
            case VerdictKind.UNKNOWN if facts is None:
                return Unreachable.code
            case _:
                return NOT_WELL


def tell(story: Story, flow: Flow) -> Told:
    """The story with its stages, timeline, maker and prognosis."""
    return Told(story, stages(story, flow), timeline(story, flow), made_by(story, flow), prognosis(story, flow))
