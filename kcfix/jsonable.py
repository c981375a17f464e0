"""Python values as JSON shows them: UTC RFC 3339, durations in seconds, unknown as null."""

from __future__ import annotations

import enum
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePath
from typing import Any

_UNSEEN = re.compile("[\x7f-\x9f\u061c\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal obeys and JSON leaves as it is: C1 controls (CSI in one sign), marks of the writing direction; and
halves of surrogate pairs, which no UTF-8 stream takes."""


def plain(value: Any, scrub: Callable[[str], str] = str) -> Any:
    """The value made of what JSON has, every text passed through `scrub`. Sets are sorted.

    Raises:
        TypeError: a value that has no JSON form; a defect of the caller.
    """
    kind = type(value)
    if kind is str:
        return scrub(_whole(value))
    if value is None or kind is int or kind is bool:
        return value
    if isinstance(value, enum.Enum):
        return plain(value.value, scrub)
    if isinstance(value, str):
        return scrub(_whole(value))
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise TypeError("a time without a zone")
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {_whole(str(key)): plain(item, scrub) for key, item in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(plain(item, scrub) for item in value)
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [plain(item, scrub) for item in value]
    raise TypeError(f"{type(value).__name__} has no JSON form")


_LINE = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_QUICK = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, default=plain)


def plain_dumps(value: object) -> str:
    """`dumps(plain(value))`, quickly where there is little to make plain: a journal has tens of thousands of lines.

    >>> plain_dumps({"at": date(2026, 1, 15), "state": (None, 1, "\u20b9")})
    '{"at": "2026-01-15", "state": [null, 1, "\u20b9"]}'
    """
    try:
        text = _QUICK.encode(value)
    except ValueError:  # infinity, or no number
        return dumps(plain(value))
    return text if text.isascii() else dumps(plain(value))


def _whole(text: str) -> str:
    """The text without halves of surrogate pairs: the outside world may send them, and no UTF-8 stream takes them."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def dumps(value: object, indent: int | None = None) -> str:
    r"""JSON text; what is not ASCII stays readable, but for control characters and what turns the writing direction.

    >>> dumps("\u20b9 \x1b \x9b \u202e")
    '"\u20b9 \\u001b \\u009b \\u202e"'
    """
    text = (
        _LINE.encode(value) if indent is None else json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    )
    # JSON escapes by itself only what lies below the space. All that is found here stands within a string.
    return text if text.isascii() and "\x7f" not in text else _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
