"""What a person says of a payment that it does not say itself (docs/decisions.md 3: `--course`, `--tier`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.payments import Payment, PaymentId

RULABLE = frozenset(
    {VerdictKind.NO_COURSE, VerdictKind.UNKNOWN_COURSE, VerdictKind.BAD_TIER, VerdictKind.POISON, VerdictKind.UNKNOWN}
)
"""Verdicts that a ruling may change. UNKNOWN is among them: it may hide one of the others, and stays UNKNOWN."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """A person's word. It never changes the payment's row, only what kcfix makes of it."""

    payment_id: PaymentId
    course_id: str | None = None
    """Lower-case UUID; None: the payment's own."""
    tier: int | None = None
    """10, 20 or 30; None: the payment's own."""

    @property
    def courses(self) -> Mapping[PaymentId, str]:
        """The course as `DatabasePort.facts` takes it; empty where none was named."""
        return {} if self.course_id is None else {self.payment_id: self.course_id}

    @property
    def words(self) -> str:
        """As it was given, e.g. `--course … --tier 20`."""
        course = None if self.course_id is None else f"--course {self.course_id}"
        tier = None if self.tier is None else f"--tier {self.tier}"
        return " ".join(word for word in (course, tier) if word is not None)


def contradiction(ruling: Ruling, payment: Payment, *, own_course_known: bool | None) -> str | None:
    """What the payment itself says otherwise, in words; None where the ruling only fills what is missing.

    `own_course_known`: whether the course that the payment names is in the courses table; None where that is unknown.
    """
    stated = payment.tier
    if ruling.tier is not None and stated is not None and stated != ruling.tier:
        return f"the payment itself states tier {stated}"
    course = payment.course_id
    if ruling.course_id is not None and course not in (None, ruling.course_id) and own_course_known is not False:
        return f"the payment itself names course {course}"
    return None
