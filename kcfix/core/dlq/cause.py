"""What dead letters have in common: the failure reason without what is different in each, and a code to name it by."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

LONGEST = 240
"""Letters of a normalised reason that count: what follows is mostly detail of the one message."""
REASON_KEPT = 1000
"""Letters of a raw reason that are kept as an example."""
REMEMBERED = 1024
"""Reasons whose code is kept: mostly many letters have the same."""

_QUOTES = "\"'`"
_TAKEN_OUT = (
    ("-", re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.I), "<id>"),
    (":", re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d[\d:.]*(?:Z|[+-]\d\d:?\d\d)?"), "<time>"),
    ("@", re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "<value>"),
    # A quoted name of the schema is the cause itself; any other quoted text is a value.
    (
        _QUOTES,
        re.compile(
            r"\b(relation|constraint|column|table|index|function|schema|type|database|role|property)(s?) "
            r"""["'`]([A-Za-z_][A-Za-z_.]*)["'`]"""
        ),
        r"\1\2 \3",
    ),
    (_QUOTES, re.compile(r'"[^"]*"|`[^`]*`' + r"|(?<![A-Za-z])'[^']*'(?![A-Za-z])"), "<value>"),
    (".:", re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b|\[[0-9a-f]*:[0-9a-f:]+\](?::\d+)?", re.I), "<host>"),
    (":", re.compile(r"\b[\w-]+(?:\.[\w-]+)*:\d{2,5}\b"), "<host>"),
    (".", re.compile(r"\b(?:[a-z0-9-]+\.){2,}[a-z]{2,}\b", re.I), "<host>"),
    (_DIGITS := "0123456789", re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b", re.I), "<id>"),
    (_DIGITS, re.compile(r"(?<![A-Za-z])[-+]?\d+(?:[.,:]\d+)*"), "<n>"),
)
"""Where one of these characters is in a text: what is taken out of it, and what is put in its place."""
_PLACEHOLDER = re.compile(r"<\w+>")
_WORD = re.compile(r"[a-z]{2,}")
_SMALL = frozenset(
    ("an", "and", "are", "at", "by", "can", "for", "has", "in", "is", "it", "of", "on", "that", "the", "to", "was")
)


def normalised(reason: str) -> str:
    """The reason without ids, numbers, quoted values and hosts, so that it is the same for each message of a cause.

    >>> normalised('insert of 12 for "Ann" at db.example.com:5432 violates check constraint "tier_check"')
    'insert of <n> for <value> at <host> violates check constraint tier_check'
    """
    text = reason[: LONGEST * 4]
    for signs, pattern, instead in _TAKEN_OUT:
        if any(sign in text for sign in signs):
            text = pattern.sub(instead, text)
    return " ".join(text.split())[:LONGEST].strip()


@lru_cache(REMEMBERED)
def cause_code(topic: str, reason: str) -> str:
    """A short name of the cause, the same in every run: a few of its words, and a digest of topic and reason.

    >>> cause_code("purchase-confirmed", "connect ECONNREFUSED 10.0.0.5:5432").rpartition("-")[0]
    'connect-econnrefused'
    """
    return _code(topic, normalised(reason))


@lru_cache(REMEMBERED)
def _code(topic: str, text: str) -> str:
    words = [w for w in _WORD.findall(_PLACEHOLDER.sub(" ", text).lower().replace("_", " ")) if w not in _SMALL]
    digest = hashlib.sha256(f"{topic}\n{text}".encode("utf-8", "replace")).hexdigest()[:6]
    return "-".join([*(word[:14] for word in words[-4:]), digest]) if words else f"no-reason-{digest}"
