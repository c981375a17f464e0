"""Which failure modes of docs/system.md 6 the doctor does not see by itself, and why. The others name their rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kcfix.core.doctor.rule import Rule

MODES = (*(str(n) for n in range(1, 60)), "17a", "17b")

NOT_SEEN: Mapping[str, str] = {
    "8": "a refusal of a reset while the group is active: nothing is broken; `kcfix restart` stops the worker first",
    "10": "a replay that announces once more: allowed by design; what it adds shows as pending rows (P018)",
    "28": "the fallback on every purchase: so with the index as well, hence no evidence of anything",
    "34": "a purchase with empty metadata: made by hand and shown without a schedule; no table says which one is owed",
    "44": "two makers of sessions: only the student can tell the extra ones at 4:00 PM from those wanted",
    "45": "past-dated sessions of the top-up cron: they harm no purchase, and which are too many no table says",
    "49": "HTTP 202 that scripts call success: the pending row that it leaves is in P018",
    "50": "sessions of the booking-service: another purchase system, left alone on purpose",
    "51": "a cache that was not cleared: Redis is none of the three systems; it heals by itself within five minutes",
    "57": "the delay from payment to event: a duration, no failure; what is late shows as P001",
    "58": "coins that were redeemed before the event: another account than the purchase's",
    "59": "a notification that is dropped as a repetition: harmless for purchases",
}
"""Modes without a rule. Everything else must be in a rule's row (tested)."""


def rules_of(mode: str, rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules that see the mode, in the order of the table."""
    return tuple(rule for rule in rules if mode in rule.modes)
