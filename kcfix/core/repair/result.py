"""What became of the payments of a repair."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import PaymentId, Purchase


class Outcome(enum.StrEnum):
    """What became of one payment."""

    SETTLED = "SETTLED"
    """Read back: it has its purchase, and the purchase is announced."""
    UNANNOUNCED = "UNANNOUNCED"
    """It has its purchase, which is not announced, or not surely: the next run finishes it."""
    UNSEEN = "UNSEEN"
    """Sent, or its commit was, and the purchase was not seen in time: it may yet appear."""
    UNVERIFIED = "UNVERIFIED"
    """Done, and it does not read back as settled, or could not be read back: look again before anything else."""
    CHANGED = "CHANGED"
    """The world changed since it was planned: nothing was done about it."""
    FAILED = "FAILED"
    """Nothing was done about it: a system failed or did not answer."""
    LEFT = "LEFT"
    """Nothing was tried: it is beyond --max, or the run ended before it."""

    @property
    def stops(self) -> bool:
        """Whether a run goes no further after it: what failed for one payment may fail for all that follow."""
        return self in (Outcome.UNANNOUNCED, Outcome.UNSEEN, Outcome.UNVERIFIED, Outcome.FAILED)


@dataclass(frozen=True, slots=True)
class Result:
    """What was done about one payment, and how it stands."""

    payment_id: PaymentId
    outcome: Outcome
    text: str
    changed: bool
    """Whether something was changed for it, or may have been."""
    purchase: Purchase | None = None
    announced_at: tuple[TopicPartition, int] | None = None
    """Where this run's PURCHASE_CREATED lies; None where it sent none, or the broker did not say."""


Results = dict[PaymentId, Result]
"""By payment; changed as the run goes, so that it can be shown on every way out."""
