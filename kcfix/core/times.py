"""Times and durations as operators write them, and as kcfix shows them.

Inside kcfix a time is an aware `datetime` in UTC and a duration is a `timedelta`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

from kcfix.errors import UsageError

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)", re.ASCII)
_ISO_DURATION = re.compile(
    r"P(?:(?P<w>\d+)W)?(?:(?P<d>\d+)D)?(?:T(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?",
    re.ASCII | re.IGNORECASE,
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_DATE = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?", re.ASCII | re.I
)
_FAR = 100_000_000_000
"""A number this large counts milliseconds: as seconds it would be the year 5138."""


SHOWN_YEARS = range(2, 9999)
"""Years of a time in UTC that can be shown in any zone: at the very ends of the calendar an offset leads out of it."""


class BadDuration(UsageError, ValueError):
    """A text that is no duration. Nothing was asked."""


def parse_duration(text: str) -> timedelta:
    """A duration: `90` (seconds), `10m`, `2h30m`, `1d`, `500ms`, `PT5H`. Never negative.

    >>> parse_duration("2h30m")
    datetime.timedelta(seconds=9000)

    Raises:
        BadDuration: the text is no duration: a UsageError, and a ValueError to those who parse.
    """
    compact = text.strip().lower().replace(" ", "")
    try:
        if _NUMBER.fullmatch(compact):
            return timedelta(seconds=float(compact))
        if compact and not _PART.sub("", compact):
            return sum((float(n) * _UNITS[unit] for n, unit in _PART.findall(compact)), timedelta())
        iso = _ISO_DURATION.fullmatch(compact)
        if iso and any(iso.groups()):
            return sum((float(n) * _UNITS[unit] for unit, n in iso.groupdict().items() if n), timedelta())
    except OverflowError:
        raise BadDuration(f"{text!r} is too long a time") from None
    raise BadDuration(f"{text!r} is no duration", hint="write 90 (seconds), 10m, 2h30m, 1d or PT5H")


def parse_time(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """A moment, in UTC: `10m` or `now-10m` (that long ago), RFC 3339, `YYYY-MM-DD[ HH:MM[:SS]]`, unix seconds or ms.

    A time without an offset is in `zone` (None: the local one). A bare number below 100,000 is refused: it could mean
    seconds ago or 1970.

    >>> parse_time("2h", datetime(2026, 1, 1, 12, tzinfo=UTC)).isoformat()
    '2026-01-01T10:00:00+00:00'

    Raises:
        UsageError: the text is no time. Nothing was asked.
    """
    wish = text.strip()
    try:
        if wish.lower() == "now":
            return now
        if wish.startswith("@") or (_NUMBER.fullmatch(wish) and float(wish) >= 100_000):
            number = float(wish.removeprefix("@"))
            return datetime.fromtimestamp(number / 1000 if number >= _FAR else number, UTC)
        if _DATE.fullmatch(wish):
            moment = datetime.fromisoformat(wish.replace(",", ".").upper())
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=zone) if zone else moment.astimezone()
            return moment.astimezone(UTC)
        if not _NUMBER.fullmatch(wish):
            return now - parse_duration(wish.lower().removeprefix("now-"))
    except (ValueError, OverflowError, OSError):
        pass
    raise UsageError(
        f"{text!r} is no time", hint="write 10m, 2h30m, 2026-01-31, '2026-01-31 18:30', RFC 3339 or unix seconds"
    )


def format_time(moment: datetime | None, zone: tzinfo | None = None) -> str:
    """A moment for people, to the second, with its offset; `-` for None. `zone` None is the local one.

    >>> format_time(datetime(2026, 1, 1, 12, tzinfo=UTC), UTC)
    '2026-01-01 12:00:00Z'
    """
    if moment is None:
        return "-"
    shown = moment.astimezone(zone)
    offset = shown.strftime("%z")
    suffix = "Z" if offset in ("+0000", "") else f"{offset[:3]}:{offset[3:5]}"
    return shown.strftime("%Y-%m-%d %H:%M:%S") + suffix


def format_duration(duration: timedelta | None) -> str:
    """A duration for people in its two largest units; `-` for None.

    >>> format_duration(timedelta(hours=2, minutes=5, seconds=9))
    '2h5m'
    """
    if duration is None:
        return "-"
    seconds = duration.total_seconds()
    sign = "-" if seconds < 0 else ""
    left = abs(seconds)
    if left < 10 and left != int(left):
        return f"{sign}{left:.1f}s"
    whole = int(left)
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, whole = divmod(whole, size)
        parts.append((count, unit))
    while len(parts) > 1 and parts[0][0] == 0:
        parts.pop(0)
    shown = [f"{count}{unit}" for count, unit in parts[:2] if count]
    return sign + ("".join(shown) or "0s")
