"""What may be said of payments by a database that lies behind: what it lacks may have been made since."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from kcfix.core.judging.verdict import Verdict, VerdictKind
from kcfix.core.ports.database import Behind
from kcfix.core.times import format_duration

CERTAIN = frozenset({VerdictKind.PURCHASED, VerdictKind.REFUNDED, VerdictKind.IN_FLIGHT})
"""What stays true, or accuses nobody."""


def told(behind: Behind, now: datetime) -> str:
    """How far behind it is, in words."""
    why = ", and is cut off from its primary" if behind.cut_off else ""
    if behind.as_of is None:
        return f"database {behind.label} is a standby that can't tell how far behind it is{why}"
    age = format_duration(max(now - behind.as_of, now - now))
    moment = behind.as_of.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return f"database {behind.label} is a standby, {age} behind: it is as of {moment}{why}"


def doubted(verdict: Verdict, behind: Behind | None, now: datetime) -> Verdict:
    """The verdict, or UNKNOWN where only something that has not arrived at the standby could speak against it."""
    if behind is None or verdict.kind in CERTAIN:
        return verdict
    then = verdict.reason if verdict.kind is VerdictKind.UNKNOWN else f"as of then {verdict.kind}: {verdict.reason}"
    reason = f"{told(behind, now)}; what is missing there may have been made since; {then}"
    return replace(verdict, kind=VerdictKind.UNKNOWN, reason=reason, detail=None)
