"""Where a reset leads: the words of `--to`, understood."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from datetime import datetime, tzinfo

from kcfix.core.payments import PaymentId, parse_uuid
from kcfix.core.times import parse_time
from kcfix.errors import UsageError

WORDS = (
    "earliest, latest, first-unsettled, an offset (42), a shift (+5, -5), a time (2h, 2026-01-15T20:00Z), payment:ID"
)
_SHIFT = re.compile(r"([+-])(\d+)", re.ASCII)
_OFFSET = re.compile(r"\d+", re.ASCII)


class TargetKind(enum.StrEnum):
    """The kinds of targets."""

    EARLIEST = "EARLIEST"
    """The log start."""
    LATEST = "LATEST"
    """The log end as read now."""
    FIRST_UNSETTLED = "FIRST_UNSETTLED"
    """The first message that is unsettled and that the worker can settle; where there is none, the offset stays."""
    OFFSET = "OFFSET"
    SHIFT = "SHIFT"
    """So many offsets on from the committed one, or back."""
    TIME = "TIME"
    """The first record that is not older; where there is none, the log end."""
    PAYMENT = "PAYMENT"
    """The first message of this payment; partitions without one stay as they are."""
    BEHIND_NEXT = "BEHIND_NEXT"
    """Behind the record that is read next: the one that the worker fails on, with nothing else skipped."""
    FILE = "FILE"
    """What a file says for each partition; those that it does not name stay as they are."""


@dataclass(frozen=True, slots=True)
class Target:
    """A target; of the last three fields the one that its kind needs is set."""

    kind: TargetKind
    text: str
    """As it was written."""
    number: int = 0
    """Of OFFSET, or of SHIFT with its sign."""
    time: datetime | None = None
    payment_id: PaymentId | None = None


def parse_target(text: str, now: datetime, zone: tzinfo | None = None) -> Target:
    """The target that the words name. A bare number is an offset, so a time in unix seconds is written `@SECONDS`.

    >>> parse_target("-5", datetime(2026, 1, 1)).number
    -5

    Raises:
        UsageError: they name none. Nothing was asked.
    """
    wish = text.strip()
    word = wish.lower()
    for kind in (TargetKind.EARLIEST, TargetKind.LATEST, TargetKind.FIRST_UNSETTLED):
        if word == kind.lower().replace("_", "-"):
            return Target(kind, word)
    if word.startswith("payment:"):
        id = parse_uuid(word.removeprefix("payment:"))
        if id is None:
            raise UsageError(f"{text!r}: a payment id is a UUID")
        return Target(TargetKind.PAYMENT, word, payment_id=PaymentId(id))
    if shift := _SHIFT.fullmatch(wish):
        return Target(TargetKind.SHIFT, wish, int(f"{shift[1]}{_digits(shift[2])}"))
    if _OFFSET.fullmatch(wish):
        return Target(TargetKind.OFFSET, wish, int(_digits(wish)))
    try:
        return Target(TargetKind.TIME, wish, time=parse_time(wish, now, zone))
    except UsageError:
        raise UsageError(f"--to {text!r} is no place in a log", hint=f"one of: {WORDS}") from None


def _digits(text: str) -> str:
    if len(text) > 18:
        raise UsageError(f"{text!r} is larger than any offset")
    return text
