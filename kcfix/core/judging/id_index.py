"""Whose ids stand in a text: of a few payments or of very many, at a cost that does not grow with how many."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from kcfix.core.payments import PaymentId
from kcfix.core.story.payment_story import Marks

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_FEW = 24
"""Up to so many ids are looked for one by one, which is faster then."""


class IdIndex:
    """The ids of payments, their purchases and allocations."""

    def __init__(self, marks: Iterable[Marks]) -> None:
        self._owners: dict[str, list[PaymentId]] = defaultdict(list)
        for one in marks:
            for id in one.ids:
                self._owners[id].append(one.payment_id)

    def named_in(self, text: str) -> frozenset[PaymentId]:
        """The payments of which an id stands in the text, whatever the case of its letters."""
        lowered = text.lower()
        if len(self._owners) <= _FEW:
            found: Iterable[str] = (id for id in self._owners if id in lowered)
        else:
            found = (id for id in set(_UUID.findall(lowered)) if id in self._owners)
        return frozenset(owner for id in found for owner in self._owners[id])
