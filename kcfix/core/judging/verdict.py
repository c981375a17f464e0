"""What can be the case with one payment (docs/decisions.md 2)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import timedelta

from kcfix.core.judging.matching import Matching
from kcfix.core.judging.snapshot import FoundMessage, PaymentSnapshot
from kcfix.core.payments import Payment, PaymentFacts, PaymentId, Purchase

OVERDUE = timedelta(seconds=60)
"""A payment younger than this is on its way, never a finding (docs/decisions.md 1)."""


class VerdictKind(enum.StrEnum):
    """The verdicts, in the order in which they are tried."""

    NOT_FOUND = "NOT_FOUND"
    REFUNDED = "REFUNDED"
    NOT_SUCCEEDED = "NOT_SUCCEEDED"
    NO_COURSE = "NO_COURSE"
    DUPLICATE_PURCHASES = "DUPLICATE_PURCHASES"
    SECOND_PAYMENT = "SECOND_PAYMENT"
    WRONG_TIER = "WRONG_TIER"
    UNANNOUNCED = "UNANNOUNCED"
    NO_ALLOCATION = "NO_ALLOCATION"
    PENDING_ALLOCATION = "PENDING_ALLOCATION"
    NO_SESSIONS = "NO_SESSIONS"
    PURCHASED = "PURCHASED"
    POISON = "POISON"
    BAD_TIER = "BAD_TIER"
    UNKNOWN_COURSE = "UNKNOWN_COURSE"
    BLOCKED = "BLOCKED"
    IN_FLIGHT = "IN_FLIGHT"
    PENDING = "PENDING"
    AT_RISK = "AT_RISK"
    DEAD_LETTERED = "DEAD_LETTERED"
    SKIPPED = "SKIPPED"
    EXPIRED = "EXPIRED"
    NEVER_SENT = "NEVER_SENT"
    NEVER_EMITTED = "NEVER_EMITTED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is the case with one payment."""

    payment_id: PaymentId
    kind: VerdictKind
    reason: str
    """One sentence: the proof, or for UNKNOWN what could not be found out."""
    also: tuple[str, ...] = ()
    """Further facts that are true as well."""
    detail: str | None = None
    """For SECOND_PAYMENT: double_charge, upgrade, next_cycle, unmatched_purchase or other."""
    purchase: Purchase | None = None
    """The purchase that settles it."""
    message: FoundMessage | None = None
    """Its PURCHASE_CONFIRMED record that the verdict rests on."""


@dataclass(frozen=True, slots=True)
class Case:
    """A payment that exists, succeeded and names a course, with its matching: what the rows below look at."""

    snapshot: PaymentSnapshot
    facts: PaymentFacts
    payment: Payment
    matching: Matching
    purchase: Purchase | None
    overdue: timedelta
    course_id: str | None
    """That its purchase is for: by a person's word, by kcfix's own purchase, or as the payment names it."""
    tier: int | None
    """That it is owed: as the payment states it, else by a person's word; None if neither is one of 10, 20, 30."""

    def verdict(
        self, kind: VerdictKind, reason: str, *, detail: str | None = None, message: FoundMessage | None = None
    ) -> Verdict:
        return Verdict(self.payment.id, kind, reason, detail=detail, purchase=self.purchase, message=message)

    def unknown(self, reason: str) -> Verdict:
        return self.verdict(VerdictKind.UNKNOWN, reason)
