"""The page of benchmarks, made from the newest result of each contest."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from contest import Outcome
from contest_monitor import Cost
from contest_monitor import report as monitor_report
from contest_topics import ABOUT as TOPICS

from kcfix.drill.state import DEFAULT_KAFKA

DOCS = Path(__file__).resolve().parent.parent / "docs"


class Page:
    """docs/benchmarks.md and the results behind it, docs/benchmarks.json; on more brokers files of their own."""

    def __init__(self, brokers: int) -> None:
        self.brokers = brokers
        self._file = DOCS / ("benchmarks.json" if brokers == 1 else f"benchmarks-{brokers}-brokers.json")
        known = json.loads(self._file.read_text(encoding="utf-8")) if self._file.exists() else {}
        self._rows: dict[str, str] = known.get("rows", {})
        self.requests: Sequence[tuple[int, int]] = [(groups, count) for groups, count in known.get("requests", [])]
        """Groups, and how many requests `lag` sent for them."""
        self.watched: Sequence[Cost] = [Cost(**cost) for cost in known.get("watched", [])]

    def add(self, outcome: Outcome) -> str:
        """Take in a result; its line of the table."""
        o = outcome
        line = (
            f"| `{o.contest.question}` | {o.contest.rival} | {o.ours:.2f} s | {o.theirs:.2f} s | {o.shown_ratio} |"
            f" {_wanted(o)} | {o.mebibytes:.0f} MiB | {datetime.now(UTC):%Y-%m-%d %H:%M} | {os.getloadavg()[0]:.1f} |"
        )
        self._rows[f"{o.contest.question}, {o.contest.rival}"] = line
        return line

    def write(self) -> None:
        """Write both files."""
        known = {"rows": self._rows, "requests": self.requests, "watched": [asdict(cost) for cost in self.watched]}
        self._file.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        self._file.with_suffix(".md").write_text(self.text(), encoding="utf-8")

    def text(self) -> str:
        """The page."""
        rows = "\n".join(self._rows.values())
        sections = [self._counts()] if self.requests else []
        sections += [monitor_report(self.watched)] if self.watched else []
        more = "".join(f"{section}\n" for section in sections)
        title, command = ("", "make bench") if self.brokers == 1 else _on_more(self.brokers)
        return f"""# Benchmarks{title}

`{command}` makes these figures: kcfix and its rival in turn, on the same drill, medians of
wall-clock time. Never part of the tests. "Ratio" is how many times as fast kcfix is (0.5: half as fast); "wanted" is
the least that it must be.

`missing` has three rivals. The first is its own SQL, put by psql: what kcfix adds is its start, the look at each
suspect and at Kafka. The second is nearly the same question as somebody who knows the tables writes it by hand:
payments without a purchase that has a trainer and sessions behind it; it does not see a second payment that another
one's purchase hides, nor tiers and completed courses. The third finds only payments without any purchase. Both are
there to compare.

{TOPICS}

Of `repair` only the writing is timed, on both sides: from the first lock to the last commit, from the first send to the
last acknowledgement. kcfix says itself how long that took (`change_seconds`); its canary, its journal and all that it
checks between two transactions or sends are in it, its plan before and its proof after are not. The rivals write the
same rows or as many messages of the same kind, and check nothing.

"Load" is how many processes wanted the machine in the last minute of the contest, its own included. Kafka's own
commands run with the broker's jars on this host's Java, without the shell script around them and without `docker exec`:
that is to their advantage.

| kcfix | rival | kcfix takes | rival takes | ratio | wanted | memory of kcfix | measured (UTC) | load |
|---|---|---:|---:|---:|---|---:|---|---:|
{rows}

{more}{machine()}
"""

    def _counts(self) -> str:
        counts = "\n".join(f"| {groups:,} | {count} |" for groups, count in self.requests)
        brokers = "one broker" if self.brokers == 1 else f"{self.brokers} brokers"
        return f"""Requests that `kcfix lag` sends to a cluster of {brokers},
connecting included:

| groups | requests |
|---:|---:|
{counts}
"""


def _on_more(brokers: int) -> tuple[str, str]:
    """How the page of so many brokers calls itself, and the command that makes it."""
    return f" on {brokers} brokers, every partition on each of them", f"scripts/bench.py --brokers {brokers}"


def _wanted(outcome: Outcome) -> str:
    target, most = outcome.contest.target, outcome.contest.most
    wanted = [] if target is None else [f"{target:g}"]
    if most is not None:
        wanted.append(f"under {most:g} s")
    return f"{', '.join(wanted)}: {'yes' if outcome.met else '**no**'}" if wanted else ""


def machine() -> str:
    """What this was measured on, the last time."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")),
        platform.processor(),
    )
    memory = next((int(line.split()[1]) for line in _lines(Path("/proc/meminfo")) if line.startswith("MemTotal")), 0)
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr.splitlines()
    facts = (
        ("processor", f"{cpu}, {os.cpu_count()} cores, {memory / 1024 / 1024:.0f} GiB"),
        ("kernel", f"{platform.system()} {platform.release()}"),
        ("Python", platform.python_version()),
        ("Java", java[0] if java else "none"),
        ("Kafka", DEFAULT_KAFKA),
        ("libraries", ", ".join(f"{n} {version(n)}" for n in ("typer", "rich", "kafka-python", "docker", "psycopg"))),
    )
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in facts)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
