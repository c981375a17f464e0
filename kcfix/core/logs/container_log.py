"""A container's log, understood once for all the rules that look at it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kcfix.core.doctor.troubles import Telling, tellings
from kcfix.core.logs.entry import LogEntry
from kcfix.core.logs.milestones import Milestone, is_milestone

LOOKED_FOR = (Milestone.RECEIVED, Milestone.HANDLED, Milestone.JOINED, Milestone.FATAL)


@dataclass(frozen=True, slots=True)
class ContainerLog:
    """The newest lines of a container, those of its earlier lives among them, in time order."""

    entries: tuple[LogEntry, ...] = ()
    tellings: tuple[Telling, ...] = ()
    """The error and warning lines that tell of a kind of failure."""
    milestones: Mapping[Milestone, tuple[LogEntry, ...]] = field(default_factory=dict)
    """Those of `LOOKED_FOR`."""

    def since(self, moment: datetime | None) -> ContainerLog:
        """Only what was logged from then on; all of it for None."""
        if moment is None:
            return self
        return ContainerLog(
            tuple(e for e in self.entries if e.timestamp >= moment),
            tuple(t for t in self.tellings if t.entry.timestamp >= moment),
            {m: tuple(e for e in lines if e.timestamp >= moment) for m, lines in self.milestones.items()},
        )

    def last(self, milestone: Milestone) -> datetime | None:
        """When the milestone was reached last; None where no line says so."""
        lines = self.milestones.get(milestone, ())
        return lines[-1].timestamp if lines else None


def understood(entries: Iterable[LogEntry]) -> ContainerLog:
    """The log with what its lines tell; they must be in time order."""
    lines = tuple(entries)
    reached = {m: tuple(e for e in lines if is_milestone(e, m)) for m in LOOKED_FOR}
    return ContainerLog(lines, tellings(lines), reached)
