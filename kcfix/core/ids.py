"""Payment ids as people give them: from arguments, from a pipe, pasted with quotes and commas."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from kcfix.core.payments import PaymentId, parse_uuid

_AROUND = "\"'`\ufeff"
"""Stripped off a word: quotes, and the mark of the byte order that some editors put before the first."""


@dataclass(frozen=True, slots=True)
class GivenIds:
    """What was given, sorted out. Order is kept, doubles are dropped."""

    valid: tuple[PaymentId, ...]
    malformed: tuple[str, ...]
    """Words that are no UUID, as they were given: they count as unknown payments (docs/decisions.md 5)."""


def parse_ids(words: Iterable[str]) -> GivenIds:
    """Payment ids in these words, each of which may hold several, split by space, comma or semicolon.

    >>> parse_ids([" '00000000-0000-4000-8000-00000000000A', x"])
    GivenIds(valid=('00000000-0000-4000-8000-00000000000a',), malformed=('x',))
    """
    valid: dict[PaymentId, None] = {}
    malformed: dict[str, None] = {}
    for word in words:
        for part in re.split(r"[\s,;]+", word):
            bare = part.strip(_AROUND)
            if not bare:
                continue
            parsed = parse_uuid(bare)
            if parsed is None:
                malformed[bare] = None
            else:
                valid[PaymentId(parsed)] = None
    return GivenIds(tuple(valid), tuple(malformed))
