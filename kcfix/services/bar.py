"""How far a long run is, told to a person who watches; to nobody where nobody does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class ProgressBar(Protocol):
    """Told what is being done and how much of it is through. Used in a `with`."""

    def say(self, text: str) -> None:
        """What is being done just now."""

    def advance(self, count: int) -> None:
        """So many more are through."""

    def __enter__(self) -> ProgressBar: ...

    def __exit__(self, *exc: object) -> None: ...


class Lines:
    """Says each thing on a line, through `say`: for a run that is over at once, or that nobody watches."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def say(self, text: str) -> None:
        self._say(text)

    def advance(self, count: int) -> None:
        pass

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *exc: object) -> None:
        pass
