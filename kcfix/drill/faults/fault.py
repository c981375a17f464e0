"""What a fault is: a way to break a drill by a real cause, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from kcfix.drill.faults.site import Site, State


class Area(StrEnum):
    """Where a fault is made; the catalogue is grouped by it."""

    WORKERS = "worker containers"
    SERVERS = "broker and database"
    CONFIGURATION = "configuration"
    PROGRAM = "deployed program"
    OFFSETS = "offsets and log"
    TOPICS = "topics"
    MESSAGES = "messages"
    PAYMENTS = "payments and purchases"
    DATABASE = "inside the database"
    DOWNSTREAM = "behind the purchase"


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to break a drill.

    `make` gives what `undo` needs; `undo` copes with a making that broke off, and with a system that was repaired
    meanwhile, and leaves a drill that works.
    """

    name: str
    area: Area
    modes: tuple[str, ...]
    """Which failure modes of docs/system.md 6 it plays, most telling first; empty where that list has none for it."""
    what: str
    """What is broken then, and by what, in a line."""
    seen: str
    """What an operator would see of it, in a line."""
    make: Callable[[Site], State]
    undo: Callable[[Site, State], None]
