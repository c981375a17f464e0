"""What the tables hold about one payment beyond its facts: when things were made, and rows about events.

All of it only tells the story; no verdict rests on it. What the live schema does not have is None, not an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kcfix.core.payments import EventRow


@dataclass(frozen=True, slots=True)
class Made:
    """When the sessions of one allocation were made: the first and the last of them. None: not recorded."""

    first: datetime | None
    last: datetime | None


@dataclass(frozen=True, slots=True)
class Aftermath:
    """Read in one snapshot. Ids are lower-case; an id that was asked for and has nothing is left out."""

    allocated_at: Mapping[str, datetime] = field(default_factory=dict)
    """By allocation; left out where it was never allocated, or the time is not recorded."""
    sessions_made: Mapping[str, Made] = field(default_factory=dict)
    """By allocation; left out where it has no sessions."""
    updated_at: Mapping[str, datetime] = field(default_factory=dict)
    """By purchase."""
    events: tuple[EventRow, ...] = ()
    """Rows of processed_events with one of the ids, oldest first. They prove no send (docs/system.md 1.3)."""
    events_recorded: bool = True
    """False: there is no such table, so that nothing follows from the absence of rows."""
