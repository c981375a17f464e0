"""The journal of many transactions, one after the other: its lines are written while the server works.

The intents of a transaction are on the disk before it begins, as ever; they are written while the one before is under
way, and what became of that one while the next is. If the next is then not begun after all, that is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from kcfix.core.journal import Recorder
from kcfix.errors import Refused
from kcfix.parallel import beside

T = TypeVar("T")
Entry = Mapping[str, object]
NOT_BEGUN: Entry = {"state": "FAILED", "reason": "not begun: the run ended before it"}


@dataclass
class Lines:
    """Used in a `with`, at whose end every line is written."""

    journal: Recorder
    _begun: tuple[str, ...] = ()
    """Ids of the steps of the transaction that is under way."""
    _next: tuple[str, ...] = ()
    """Ids of the steps that are recorded and not begun."""
    _done: list[tuple[str, Entry]] = field(default_factory=list)
    """What became of steps, still to be written."""
    _refused: Refused | None = None
    """Why the next transaction must not be begun."""

    def during(
        self,
        work: Callable[[], T],
        entries: Callable[[], Sequence[Entry]],
        following: Callable[[], Sequence[Entry]] | None = None,
    ) -> T:
        """What the work gives: a transaction with these steps, recorded before it; `following` are those of the next.

        Raises:
            Refused: the steps can't be recorded, so the work was not begun.
        """
        if self._refused is not None:
            raise self._refused
        self._begun, self._next = self._next or self.journal.intend_all(entries()), ()
        if following is None and not self._done:
            return work()

        def write() -> None:
            self._flush()
            try:
                self._next = self.journal.intend_all(following()) if following else ()
            except Refused as error:
                self._refused = error

        return beside(work, write)

    def became(self, results: Sequence[Entry]) -> None:
        """What became of the steps of the last transaction; written with the next lines."""
        self._done += zip(self._begun, results, strict=True)
        self._begun = ()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *of: object) -> None:
        self._done += [(step, NOT_BEGUN) for step in self._next]
        self._next = ()
        self._flush()

    def _flush(self) -> None:
        done, self._done = self._done, []
        if done:
            self.journal.done_all(done)
