"""Looking for many ids in raw bytes at once: the time grows with the bytes, not with how many ids are wanted."""

from __future__ import annotations

import re
from collections.abc import Collection

# Looked ahead, so that also one that overlaps another hexadecimal text is seen.
_UUID = re.compile(rb"(?=([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}))")
_FEW = 8
"""Up to so many are looked for one by one, which is faster then."""


class Needles:
    """Some byte strings, of which those that are lower-case UUIDs may be very many."""

    def __init__(self, wanted: Collection[bytes]) -> None:
        self.all = frozenset(n for n in wanted if n)
        ids = frozenset(n for n in self.all if len(n) == 36 and _UUID.match(n))
        self._ids = ids if len(ids) > _FEW else frozenset()
        self._others = tuple(self.all - self._ids)

    @property
    def few(self) -> bool:
        """Whether all are looked for one by one, at the speed at which memory is read."""
        return not self._ids

    def within(self, data: bytes) -> bool:
        """Whether any of them stands anywhere in the data."""
        if any(needle in data for needle in self._others):
            return True
        return bool(self._ids) and any(m[1] in self._ids for m in _UUID.finditer(data))
