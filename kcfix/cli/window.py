"""The window of payments that `--since` and `--until` name, the same for `missing` and `repair --missing`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from kcfix.core.missing import AHEAD, Span
from kcfix.core.times import parse_time
from kcfix.errors import UsageError
from kcfix.services import Services

SINCE = "24h"
"""How far a window reaches back by itself."""


def window(since: str, until: str | None, overdue: timedelta, services: Services, *, ahead: timedelta = AHEAD) -> Span:
    """The window by the database's clock, which set the times that are compared; it ends `ahead` of now by itself.

    Raises:
        UsageError: a time can't be read, or the window ends before it begins. Unreachable: the database is silent.
    """
    for text in (since, until):
        if text is not None:
            parse_time(text, services.now(), services.zone)  # a usage error needs no database
    now, behind = services.database.identity().now, services.database.behind()
    begin = parse_time(since, now, services.zone)
    end = now + ahead if until is None else parse_time(until, now, services.zone)
    # To the millisecond, as documents show it: who repeats the window from one looks at the same payments.
    known = now if behind is None or behind.as_of is None else min(now, behind.as_of)
    span = Span(_to_millisecond(begin), _to_millisecond(end), known, overdue, behind)
    if span.since >= span.until:
        raise UsageError("--since is not before --until")
    return span


def window_words(span: Span) -> list[str]:
    """The options that name this very window, to be pasted."""
    return ["--since", pasted(span.since), "--until", pasted(span.until)]


def pasted(moment: datetime) -> str:
    """The time as an option takes it, to the millisecond, in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _to_millisecond(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
