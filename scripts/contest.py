"""One question put to kcfix and to a rival in turn, and what came of it."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
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
    target: float | None
    """Times as fast as the rival that kcfix has to be; below 1: so much slower it may be. None: to compare only."""
    pairs: int
    shows: str
    rival_shows: str
    """What the answers must contain, to be answers."""


@dataclass(frozen=True, slots=True)
class Outcome:
    contest: Contest
    ours: float
    theirs: float
    mebibytes: float
    """The most memory that kcfix had in any run."""

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours

    @property
    def shown_ratio(self) -> str:
        return f"{self.ratio:.1f}" if self.ratio >= 1 else f"{self.ratio:.2f}"

    @property
    def met(self) -> bool:
        return self.contest.target is None or self.ratio >= self.contest.target


def run(contest: Contest) -> Outcome:
    """Alternating pairs; the one before the first is for warmth, and counts only where there is no other."""
    ours: list[float] = []
    theirs: list[float] = []
    mebibytes = 0.0
    for number in range(contest.pairs + 1):
        print(f"{contest.question}: pair {number} of {contest.pairs}", file=sys.stderr)
        mine, memory = measured(contest.ours, contest.shows)
        mebibytes = max(mebibytes, memory)
        *first, last = contest.theirs
        other = sum(measured(argv)[0] for argv in first) + measured(last, contest.rival_shows)[0]
        if number or not contest.pairs:
            ours.append(mine)
            theirs.append(other)
    return Outcome(contest, statistics.median(ours), statistics.median(theirs), mebibytes)


def measured(argv: Argv, shows: str = "") -> tuple[float, float]:
    """Wall time and greatest memory (MiB) of a command whose output goes to a file. It must have answered."""
    with tempfile.TemporaryFile() as out:
        started = time.perf_counter()
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        took = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        told = out.read().decode(errors="replace")
    # `kcfix status` says 1 for "not well". Kafka's commands say 0 for everything, so it is their output that counts.
    if process.returncode not in (0, 1) or shows not in told:
        raise SystemExit(f"{' '.join(argv)} failed ({process.returncode}): {told.strip()[-500:]}")
    return took, used.ru_maxrss / 1024
