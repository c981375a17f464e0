"""What `kcfix monitor` costs: requests to the brokers and memory over many looks at a real system, without a pause.

A process of its own looks as the monitor does, writes the metrics as for a scrape after every look, and tells its
memory and its count of requests on the way. While it goes on, some payments come and some wait.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from kcfix.drill.buy import buy
from kcfix.drill.state import Drill

LOOKS = 10_000
FEW = 50
SETTLED_SECONDS = 30.0
"""Until a payment of a drill has gone through all its workers."""
STEPS = (10, 100, 500, 1_000, 2_000, 4_000, 6_000, 8_000, 10_000)
"""Looks after which memory and requests are told."""


@dataclass(frozen=True, slots=True)
class Cost:
    """After so many looks."""

    looks: int
    requests: int
    memory_kb: int
    seconds: float


def costs(drill: Drill, looks: int = LOOKS) -> list[Cost]:
    """First the cost of a few looks at a drill on which nothing waits; then of so many with two payments unsent."""
    buy(drill, 3)
    time.sleep(SETTLED_SECONDS)
    quiet = _looked(drill, FEW)
    buy(drill, 2, unsent=True)
    return [quiet[-1], *_looked(drill, looks)]


def _looked(drill: Drill, looks: int) -> list[Cost]:
    argv = (sys.executable, __file__, f"drill:{drill.name}", str(looks))
    ran = subprocess.run(argv, capture_output=True, text=True, check=True)
    return [Cost(**json.loads(line)) for line in ran.stdout.splitlines()]


def report(measured: Sequence[Cost]) -> str:
    """The section of docs/benchmarks.md; the first of the costs is that of the looks while nothing waits."""
    quiet, *found = measured
    rows = "\n".join(
        f"| {c.looks:,} | {c.requests:,} | {c.requests / c.looks:.1f} | {c.memory_kb / 1024:.0f} MiB |"
        f" {1000 * c.seconds / c.looks:.0f} ms |"
        for c in found
    )
    return f"""## kcfix monitor

{found[-1].looks:,} looks at a drill, one after the other without a pause, each followed by a scrape. Two
payments wait whose message was never sent, so that each look also searches the log. While nothing waits a look is
{quiet.requests / quiet.looks:.1f} requests. At the default of one look a minute 1,440 looks are a day.

| looks | requests to the broker | a look | memory | time of a look |
|---:|---:|---:|---:|---:|
{rows}
"""


def main(context: str, looks: int) -> int:
    """Look, and print a line of JSON at each step."""
    from kcfix import __version__
    from kcfix.cli.monitor import measured
    from kcfix.cli.observer import look, observer_of
    from kcfix.cli.observing import deadline
    from kcfix.core.watching.monitor import Monitor
    from kcfix.services import Services

    services = Services()
    services.given = {"context": context}
    monitor = Monitor(__version__, services.settings.interval, timedelta(seconds=deadline(services)))
    write = services.metrics_writer(lambda: measured(monitor, services))
    observer = observer_of(services)
    began = services.monotonic()
    for number in range(1, looks + 1):
        monitor.add(look(observer, services), services.kafka_requests)
        write("")
        if number in STEPS or number == looks:
            told = {
                "looks": number,
                "requests": services.kafka_requests,
                "memory_kb": _memory_kb(),
                "seconds": services.monotonic() - began,
            }
            print(json.dumps(told), flush=True)
    services.close()
    return 0


def _memory_kb() -> int:
    """What this process holds now."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], int(sys.argv[2])))
