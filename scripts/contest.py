"""One question put to kcfix and to a rival in turn, and what came of it."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

KCFIX = (sys.executable, "-m", "kcfix")

Argv = Sequence[str]


@dataclass(frozen=True, slots=True)
class Contest:
    """One question, put to kcfix and to a rival."""

    question: str
    ours: Argv
    theirs: Sequence[Argv]
    """Run one after the other; their times are added up."""
    rival: str
    target: float
    """Times as fast as the rival that kcfix has to be; below 1: so much slower it may be."""
    pairs: int
    shows: str
    rival_shows: str
    """What the answers must contain, to be answers."""
    most: float | None = None
    """Seconds that kcfix may take; None: only the ratio counts."""


@dataclass(frozen=True, slots=True)
class Outcome:
    contest: Contest
    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours

    @property
    def shown_ratio(self) -> str:
        return f"{self.ratio:.1f}" if self.ratio >= 1 else f"{self.ratio:.2f}"

    @property
    def met(self) -> bool:
        most = self.contest.most
        return self.ratio >= self.contest.target and (most is None or self.ours < most)

    @property
    def wanted(self) -> str:
        """The target, in words."""
        parts = [f"{self.contest.target:g}"] if self.contest.target else []
        return ", ".join(parts if self.contest.most is None else [*parts, f"under {self.contest.most:g} s"])


def run(contest: Contest) -> Outcome:
    """Alternating pairs, the first one for warmth."""
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(contest.pairs + 1):
        print(f"{contest.question}: pair {number} of {contest.pairs}", file=sys.stderr)
        mine = seconds(contest.ours, contest.shows)
        *first, last = contest.theirs
        other = sum(seconds(argv) for argv in first) + seconds(last, contest.rival_shows)
        if number:
            ours.append(mine)
            theirs.append(other)
    return Outcome(contest, statistics.median(ours), statistics.median(theirs))


def seconds(argv: Argv, shows: str = "") -> float:
    """Wall time of a command whose output goes through a pipe. It must have answered."""
    started = time.perf_counter()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)
    took = time.perf_counter() - started
    # `kcfix status` says 1 for "not well". Kafka's commands say 0 for everything, so it is their output that counts.
    if done.returncode not in (0, 1) or shows not in done.stdout + done.stderr:
        raise SystemExit(f"{' '.join(argv)} failed ({done.returncode}): {done.stderr.strip()[-500:]}")
    return took
