"""What a run has opened: each thing once, its error as well, and all of it closed at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from kcfix.errors import KcfixError

if TYPE_CHECKING:
    from kcfix.core.ports.database import DatabasePort
    from kcfix.core.ports.docker import DockerPort
    from kcfix.core.ports.kafka import KafkaPort

    Port = KafkaPort | DockerPort | DatabasePort

T = TypeVar("T")
P = TypeVar("P", "KafkaPort", "DockerPort", "DatabasePort")

CLOSE_SECONDS = 1.0


class Keep:
    """Things by name, made when they are first asked for. May be used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._locks: dict[str, threading.Lock] = {}
        self._kept: dict[str, object] = {}
        self._opened: list[Port] = []

    def once(self, name: str, make: Callable[[], T]) -> T:
        """The thing of that name, made once; an error is kept as well, so that a dead system is asked only once.

        Raises:
            KcfixError: what `make` raised, now or earlier.
        """
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            if name not in self._kept:
                try:
                    self._kept[name] = make()
                except KcfixError as error:
                    self._kept[name] = error
            kept = self._kept[name]
        if isinstance(kept, KcfixError):
            raise kept
        return kept  # type: ignore[return-value]

    def found(self, name: str) -> object:
        """What is kept by that name, be it an error; None where it was never asked for. Nothing is made."""
        return self._kept.get(name)

    def to_be_closed(self, port: P) -> P:
        """The port itself, which was opened here and is closed with the run."""
        with self._lock:
            self._opened.append(port)
        return port

    def drop(self, systems: Collection[str], silent: Collection[str], more: Collection[str]) -> list[object]:
        """Forget `more`, and of `systems` those that could not be opened or are `silent`; gives these, still open."""
        dropped: list[object] = []
        with self._lock:
            for name in systems:
                kept = self._kept.get(name)
                if isinstance(kept, KcfixError) or (kept is not None and name in silent):
                    dropped.append(self._kept.pop(name))
            for name in more:
                self._kept.pop(name, None)
        return dropped

    def close_later(self, dropped: Collection[object]) -> None:
        """Close those of them that were opened here, in the background: a silent one may take its time."""
        with self._lock:
            gone = [port for port in self._opened if any(port is one for one in dropped)]
            self._opened = [port for port in self._opened if all(port is not one for one in gone)]
        if gone:
            threading.Thread(target=_close_all, args=(gone,), daemon=True).start()

    def close(self) -> None:
        """Close what was opened, as far as that takes no longer than a second.

        A connection on which another thread still waits for a silent system can't be closed; it ends with the process.
        """
        opened, self._opened = self._opened, []
        if opened:
            thread = threading.Thread(target=_close_all, args=(opened,), daemon=True)
            thread.start()
            thread.join(CLOSE_SECONDS)


def _close_all(opened: list[Port]) -> None:
    for port in reversed(opened):
        with suppress(KcfixError, OSError):
            port.close()
