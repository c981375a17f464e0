"""Does a group get on with a partition? Burrow's rules for a stalled or stopped consumer, and the rates behind them.

Burrow reads each commit; kcfix sees the committed offset once a look. So a consumer that commits the same offset again
and one that commits nothing look alike here: it is STALLED if a member holds the partition, STOPPED if none does.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

WINDOW = 10
"""Looks that are compared, as in Burrow."""
LEAST = 3
"""Fewer answers than this prove nothing about a partition on which records wait."""
LEAST_SPAN = timedelta(seconds=45)
"""Nor do answers that lie closer together: a restart of a worker takes up to 11 s, a rebalance longer."""


class Progress(enum.StrEnum):
    """How a group gets on with a partition."""

    OK = "OK"
    SLOW = "SLOW"
    """It commits, and falls behind no less at any look."""
    STALLED = "STALLED"
    """Records wait, a member holds the partition, and the commit does not move."""
    STOPPED = "STOPPED"
    """Records wait, the commit does not move, and no member holds the partition."""
    REWOUND = "REWOUND"
    """The committed offset went back: somebody moved it, or the topic was made anew."""
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Point:
    """A group on one partition at one look. Numbers are None where they are unknown or there is none."""

    at: datetime
    committed: int | None
    end: int | None
    lag: int | None
    held: bool | None
    """Whether a member holds the partition; None where the members can't be seen."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an evaluation rests on."""

    answers: int
    """Looks of the window in which the partition was read."""
    wanted: int = WINDOW
    span: timedelta = timedelta(0)
    """Between the first and the last of them."""

    @property
    def complete(self) -> float:
        """1.0 where every look of a whole window answered."""
        return min(1.0, self.answers / self.wanted)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How a group gets on with a partition, and why it is said."""

    progress: Progress
    reason: str
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Rates:
    """Records a second over the window. None: not known, because fewer than two looks answered or offsets went back."""

    arrived: float | None
    committed: float | None
    lag: int | None

    @property
    def catch_up(self) -> timedelta | None:
        """When nothing will wait any more at this pace; None where that is unknown, or never (see `falls_behind`)."""
        if self.lag == 0:
            return timedelta(0)
        if self.lag is None or self.arrived is None or self.committed is None or self.committed <= self.arrived:
            return None
        return timedelta(seconds=min(self.lag / (self.committed - self.arrived), 1e9))

    @property
    def falls_behind(self) -> bool | None:
        """Whether it never catches up at this pace; None where that is unknown."""
        if self.lag == 0:
            return False
        if self.lag is None or self.arrived is None or self.committed is None:
            return None
        return self.committed <= self.arrived


def evaluate(window: Sequence[Point | None], wanted: int = WINDOW) -> Evaluation:
    """How a group gets on with a partition, from the newest looks in time order; None is a look without an answer."""
    known = [point for point in window if point is not None]
    span = known[-1].at - known[0].at if known else timedelta(0)
    evidence = Evidence(len(known), wanted, span)

    def said(progress: Progress, reason: str) -> Evaluation:
        return Evaluation(progress, reason, evidence)

    if not known or window[-1] is None:
        return said(Progress.UNKNOWN, "the newest look had no answer")
    now = known[-1]
    if now.committed is None:
        return said(Progress.UNKNOWN, "nothing is committed, so there is no lag")
    if now.lag is None:
        return said(Progress.UNKNOWN, "its offsets are unknown, or its commit lies outside the log")
    if now.lag == 0:
        return said(Progress.OK, "nothing waits")
    if len(known) < LEAST or span < LEAST_SPAN:
        return said(Progress.UNKNOWN, f"{now.lag} wait; {len(known)} of {wanted} looks so far are too few to tell")
    commits = [(p.at, p.committed) for p in known if p.committed is not None]
    if any(later < earlier for (_, earlier), (_, later) in pairwise(commits)):
        return said(Progress.REWOUND, "its committed offset went back")
    if any(p.lag == 0 for p in known):
        return said(Progress.OK, f"nothing waited within {_seconds(span)}")
    moved = [at for (_, earlier), (at, later) in pairwise(commits) if later > earlier]
    if not moved:
        return said(_standing(now), f"{now.lag} wait, and no commit came within {_seconds(span)}{_holder(now)}")
    if now.at - moved[-1] > max(moved[-1] - known[0].at, LEAST_SPAN):
        return said(_standing(now), f"{now.lag} wait, and the last commit came {_seconds(now.at - moved[-1])} ago")
    lags = [p.lag for p in known if p.lag is not None]
    if all(later >= earlier for earlier, later in pairwise(lags)):
        return said(Progress.SLOW, f"it commits, and its lag grew from {lags[0]} to {lags[-1]}")
    return said(Progress.OK, "it commits")


def rates(window: Sequence[Point | None]) -> Rates:
    """The pace over the looks that answered."""
    known = [point for point in window if point is not None]
    lag = known[-1].lag if known and window[-1] is not None else None
    if len(known) < 2 or (seconds := (known[-1].at - known[0].at).total_seconds()) <= 0:
        return Rates(None, None, lag)
    first, last = known[0], known[-1]
    return Rates(_per_second(first.end, last.end, seconds), _per_second(first.committed, last.committed, seconds), lag)


def total(parts: Sequence[Rates]) -> Rates:
    """Of a whole group; a number is None unless it is known of every partition."""
    return Rates(_sum([p.arrived for p in parts]), _sum([p.committed for p in parts]), _count([p.lag for p in parts]))


def _standing(point: Point) -> Progress:
    return Progress.STOPPED if point.held is False else Progress.STALLED


def _holder(point: Point) -> str:
    return ": no member holds the partition" if point.held is False else ""


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.0f} s"


def _per_second(before: int | None, after: int | None, seconds: float) -> float | None:
    return None if before is None or after is None or after < before else (after - before) / seconds


def _sum(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) if known and len(known) == len(values) else None


def _count(values: Sequence[int | None]) -> int | None:
    known = [v for v in values if v is not None]
    return sum(known) if known and len(known) == len(values) else None
