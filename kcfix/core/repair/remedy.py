"""What may be done about each verdict (docs/decisions.md 3). One row a verdict; nothing else decides it."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from kcfix.core.judging.verdict import VerdictKind


class Remedy(enum.StrEnum):
    """The default treatment of a verdict."""

    SETTLED = "SETTLED"
    """Nothing to do: it is settled."""
    WAIT = "WAIT"
    """Nothing to do: the worker has it, or will have. An insert only when it is named."""
    FLIGHT = "FLIGHT"
    """Nothing to do yet: it is too young to be a finding."""
    SUPPLY = "SUPPLY"
    """Replay or insert."""
    INSERT = "INSERT"
    """Insert only: a replay would fail as the message did."""
    ANNOUNCE = "ANNOUNCE"
    """Send the PURCHASE_CREATED that is missing."""
    ANNOUNCE_AGAIN = "ANNOUNCE_AGAIN"
    """Left alone unless `--strategy announce` is named: then a further PURCHASE_CREATED."""
    PERSON = "PERSON"
    """Left alone: a person decides."""
    NOT_FOUND = "NOT_FOUND"
    UNKNOWN = "UNKNOWN"
    """Left alone: a system did not answer."""


REMEDIES: Mapping[VerdictKind, Remedy] = {
    VerdictKind.NOT_FOUND: Remedy.NOT_FOUND,
    VerdictKind.REFUNDED: Remedy.PERSON,
    VerdictKind.NOT_SUCCEEDED: Remedy.PERSON,
    VerdictKind.NO_COURSE: Remedy.PERSON,
    VerdictKind.DUPLICATE_PURCHASES: Remedy.PERSON,
    VerdictKind.SECOND_PAYMENT: Remedy.PERSON,
    VerdictKind.WRONG_TIER: Remedy.PERSON,
    VerdictKind.UNANNOUNCED: Remedy.ANNOUNCE,
    VerdictKind.NO_ALLOCATION: Remedy.ANNOUNCE_AGAIN,
    VerdictKind.PENDING_ALLOCATION: Remedy.PERSON,
    VerdictKind.NO_SESSIONS: Remedy.PERSON,
    VerdictKind.PURCHASED: Remedy.SETTLED,
    VerdictKind.POISON: Remedy.INSERT,
    VerdictKind.BAD_TIER: Remedy.PERSON,
    VerdictKind.UNKNOWN_COURSE: Remedy.PERSON,
    VerdictKind.BLOCKED: Remedy.WAIT,
    VerdictKind.IN_FLIGHT: Remedy.FLIGHT,
    VerdictKind.PENDING: Remedy.WAIT,
    VerdictKind.AT_RISK: Remedy.SUPPLY,
    VerdictKind.DEAD_LETTERED: Remedy.SUPPLY,
    VerdictKind.SKIPPED: Remedy.SUPPLY,
    VerdictKind.EXPIRED: Remedy.SUPPLY,
    VerdictKind.NEVER_SENT: Remedy.SUPPLY,
    VerdictKind.NEVER_EMITTED: Remedy.SUPPLY,
    VerdictKind.UNKNOWN: Remedy.UNKNOWN,
}

PERSON_ADVICE: Mapping[VerdictKind, str] = {
    VerdictKind.REFUNDED: "the money went back; nothing is owed",
    VerdictKind.NOT_SUCCEEDED: "nothing was paid, as far as the payments table knows",
    VerdictKind.NO_COURSE: "a person must find out which course was paid for, and say --course",
    VerdictKind.DUPLICATE_PURCHASES: "a person must decide which of the purchases stays",
    VerdictKind.SECOND_PAYMENT: "a person must decide: pay back, upgrade, or another cycle",
    VerdictKind.WRONG_TIER: "a person must decide which tier is owed",
    VerdictKind.NO_ALLOCATION: "no trainer yet: see `kcfix logs allocation-worker --errors`, or --strategy announce",
    VerdictKind.PENDING_ALLOCATION: "the purchase is there; free a trainer, or a person allocates one",
    VerdictKind.NO_SESSIONS: "the purchase is there; look for missing coordinates in the student's profile",
    VerdictKind.BAD_TIER: "a person must find out how many sessions were paid for, and say --tier",
    VerdictKind.UNKNOWN_COURSE: "a person must find out which course was paid for, and say --course",
}
"""What to tell the operator about a payment that is left to a person."""
