"""Names for the shell's completion, kept for some seconds: one file for each system, readable by its owner only."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

FRESH_SECONDS = 5.0
STALE_SECONDS = 600.0
"""Older names are not offered, also where no newer ones can be had in time."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What was known of a system's names."""

    names: Mapping[str, Sequence[str]]
    """By kind."""
    asked_at: float
    """When it was asked last, with or without success, in seconds since the epoch."""
    named_at: float
    """When the names were had; 0 for never."""

    def fresh(self, now: float) -> bool:
        """Whether the system need not be asked again yet, be it down or not."""
        return 0 <= now - self.asked_at <= FRESH_SECONDS

    def usable(self, now: float) -> Mapping[str, Sequence[str]]:
        """The names, unless they are too old."""
        return self.names if 0 <= now - self.named_at <= STALE_SECONDS else {}


NOTHING = Kept({}, 0.0, 0.0)


class NameCache:
    """The folder of these files. It never raises: a cache that can't be used is one that holds nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, system: str) -> Kept:
        """What is known of this system, NOTHING where that is nothing or can't be read."""
        try:
            with self._path(system).open(encoding="utf-8") as file:
                told = json.load(file)
            names = {str(kind): tuple(map(str, values)) for kind, values in told["names"].items()}
            return Kept(names, float(told["asked_at"]), float(told["named_at"]))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return NOTHING

    def write(self, system: str, kept: Kept) -> None:
        """Keep it in the place of what was there."""
        told = {"names": kept.names, "asked_at": kept.asked_at, "named_at": kept.named_at}
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # mkstemp makes a file that its owner alone can read.
            handle, made = tempfile.mkstemp(dir=self._folder, prefix=".new-")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(told, file)
                Path(made).replace(self._path(system))
            except BaseException:
                Path(made).unlink(missing_ok=True)
                raise

    def _path(self, system: str) -> Path:
        return self._folder / f"{hashlib.sha256(system.encode()).hexdigest()[:32]}.json"
