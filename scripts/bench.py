"""Measure kcfix against its rivals: the same question, on the same broker, in the same run, one after the other.

Pairs alternate (kcfix, rival, kcfix, rival …), the first pair is thrown away, and medians are compared, so that a busy
machine slows both. Results and machine go to docs/benchmarks.md; `--no-write` only prints them.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from contest import KCFIX, Contest, Outcome, run
from contest_missing import missing_contests
from contest_topics import ABOUT as TOPICS
from contest_topics import topic_contests
from contest_write import write_contests

from kcfix.adapters.kafka import Kafka, open_kafka
from kcfix.core.events import Message
from kcfix.core.lag import read_lag
from kcfix.core.offsets import TopicPartition
from kcfix.drill.cache import broker_jars
from kcfix.drill.down import down
from kcfix.drill.engine import connected
from kcfix.drill.state import DEFAULT_KAFKA, KAFKA, Drill, Options
from kcfix.drill.up import up
from kcfix.flow import Flow

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
FLOW = Flow()
GROUPS = 1000


def main() -> int:
    """Run all contests; 0 if every target was met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-write", action="store_true", help="print the results only")
    parser.add_argument("--pairs", type=int, default=9, help="pairs for each contest (9)")
    parser.add_argument("--only", default="", help="only contests whose question has this text; nothing is written")
    options = parser.parse_args()
    with drilled() as drill, TemporaryDirectory() as folder:
        java = rival_java(drill, Path(folder))
        hosts = Path(folder) / "hosts"
        outcomes = []
        for contest in all_contests(drill, java, hosts, options.pairs, options.only):
            outcomes.append(run(contest))
            print(row(outcomes[-1]), file=sys.stderr)  # an hour's work, should a later contest break
        requests = [] if options.only else count_requests(drill)
    text = report(outcomes, requests)
    print(text)
    if not options.no_write and not options.only:
        RESULTS.write_text(text, encoding="utf-8")
    return 0 if all(o.met for o in outcomes) else 1


@contextmanager
def drilled() -> Iterator[Drill]:
    """A drill of its own."""
    name = f"bench-{os.getpid()}"
    try:
        yield up(Options(name=name), lambda text: print(text, file=sys.stderr))
    finally:
        down(name)


def rival_java(drill: Drill, folder: Path) -> tuple[str, ...]:
    """Java as Kafka's own scripts start it, on this host, told by a hosts file where the broker's name leads."""
    with connected() as engine:
        found = engine.container(drill, KAFKA)
        (network,) = found.attrs["NetworkSettings"]["Networks"].values()
    hosts = folder / "hosts"
    hosts.write_text(f"{network['IPAddress']} kafka\n127.0.0.1 localhost\n127.0.0.1 {platform.node()}\n")
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"
    return (
        *("java", "-Xmx256M", "-server", "-XX:+UseG1GC", quiet, f"-Djdk.net.hosts.file={hosts}"),
        *("-cp", f"{broker_jars(DEFAULT_KAFKA, print)}/*"),
    )


def port(drill: Drill) -> Kafka:
    opened = open_kafka(drill.brokers, address_map=drill.address_map, timeout=30.0)
    if not isinstance(opened, Kafka):
        raise TypeError("the adapter does not count its requests")
    return opened


def fill(drill: Drill) -> None:
    """Some purchases, and many groups with commits on two of a topic's three partitions."""
    subprocess.run([*KCFIX, "-C", f"drill:{drill.name}", "drill", "buy", "20"], check=True, capture_output=True)
    topic = FLOW.course_access_granted
    with closing(port(drill)) as kafka:
        kafka.send([Message(topic, b"k", b"{}", (), partition) for partition in (0, 1, 2) for _ in range(5)])
        for number in range(GROUPS):
            if number % 100 == 0:
                print(f"making groups: {number} of {GROUPS}", file=sys.stderr)
            offsets = {TopicPartition(topic, 0): 1, TopicPartition(topic, 1): 3}
            kafka.commit(f"bench-group-{number:04d}", offsets)


def all_contests(drill: Drill, java: tuple[str, ...], hosts: Path, pairs: int, only: str) -> Iterator[Contest]:
    """Each is given when all before it are over: the large ones fill the system, which would slow the small ones."""
    first = [c for c in contests(drill, java, pairs) if only in c.question]
    if first:
        fill(drill)
        yield from first
    yield from topic_contests(drill, java, hosts, max(3, pairs // 2), only)
    if only in "kcfix missing --summary":
        yield from missing_contests(drill)
    yield from write_contests(drill, java, pairs if pairs < 3 else max(3, pairs // 3), only)


def contests(drill: Drill, java: tuple[str, ...], pairs: int) -> tuple[Contest, ...]:
    kcfix = (*KCFIX, "-C", f"drill:{drill.name}")
    bootstrap = ("--bootstrap-server", "kafka:9092")
    describe = (*java, "kafka.admin.ConsumerGroupCommand", *bootstrap, "--describe")
    group = ("--group", FLOW.purchase_group)
    worker = f"{drill.project}-{FLOW.purchase_worker}"
    document = (
        ("/bin/sh", "-c", "docker ps | grep purchase-worker"),
        ("docker", "logs", worker, "--tail", "50"),
        (*java, "kafka.admin.TopicCommand", *bootstrap, "--list"),
        (*describe, *group),
    )
    return (
        Contest(
            "kcfix --help",
            (*KCFIX, "--help"),
            [(sys.executable, "-c", "import typer")],
            "import typer",
            0.5,
            pairs,
            "Look",
            "",
        ),
        Contest(
            "kcfix lag --group G",
            (*kcfix, "lag", *group),
            [(*describe, *group)],
            "kafka-consumer-groups --describe --group G",
            3,
            pairs,
            FLOW.purchase_confirmed,
            FLOW.purchase_confirmed,
        ),
        Contest(
            f"kcfix lag --all ({GROUPS:,} groups and more)",
            (*kcfix, "lag", "--all"),
            [(*describe, "--all-groups")],
            "kafka-consumer-groups --describe --all-groups",
            5,
            max(3, pairs // 2),
            f"bench-group-{GROUPS - 1:04d}",
            f"bench-group-{GROUPS - 1:04d}",
        ),
        Contest(
            "kcfix status",
            (*kcfix, "status"),
            document,
            "the four commands of the old document, one after the other",
            2,
            pairs,
            FLOW.purchase_worker,
            FLOW.purchase_confirmed,
        ),
    )


def count_requests(drill: Drill) -> list[tuple[int, int]]:
    """How many requests `lag` sends for so many groups, connections included."""
    counted = []
    names = [f"bench-group-{number:04d}" for number in range(GROUPS)]
    for count in (1, 10, 100, GROUPS):
        with closing(port(drill)) as kafka:
            read_lag(kafka, FLOW, datetime.now(UTC), named=names[:count], ages=False)
            counted.append((count, kafka.requests))
    return counted


def row(outcome: Outcome) -> str:
    """One line of the table."""
    o = outcome
    return (
        f"| `{o.contest.question}` | {o.contest.rival} | {o.ours:.2f} s | {o.theirs:.2f} s | {o.shown_ratio} |"
        f" {_wanted(o)} | {o.mebibytes:.0f} MiB |"
    )


def report(outcomes: Sequence[Outcome], requests: Sequence[tuple[int, int]]) -> str:
    """The results as Markdown."""
    rows = "\n".join(map(row, outcomes))
    counts = "\n".join(f"| {groups:,} | {count} |" for groups, count in requests)
    return f"""# Benchmarks

`make bench` makes these figures: kcfix and its rival in turn, on the same drill, medians of wall-clock time. Never part
of the tests. "Ratio" is how many times as fast kcfix is (0.5: half as fast); "wanted" is the least that it must be.

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

Kafka's own commands run with the broker's jars on this host's Java, without the shell script around them and without
`docker exec`: that is to their advantage.

| kcfix | rival | kcfix takes | rival takes | ratio | wanted | memory of kcfix |
|---|---|---:|---:|---:|---|---:|
{rows}

Requests that `kcfix lag` sends to a cluster of one broker, connecting included:

| groups | requests |
|---:|---:|
{counts}

{machine()}
"""


def _wanted(outcome: Outcome) -> str:
    target, most = outcome.contest.target, outcome.contest.most
    wanted = [] if target is None else [f"{target:g}"]
    if most is not None:
        wanted.append(f"under {most:g} s")
    return f"{', '.join(wanted)}: {'yes' if outcome.met else '**no**'}" if wanted else ""


def machine() -> str:
    """What this was measured on."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")),
        platform.processor(),
    )
    memory = next((int(line.split()[1]) for line in _lines(Path("/proc/meminfo")) if line.startswith("MemTotal")), 0)
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr.splitlines()
    facts = (
        ("measured", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        ("processor", f"{cpu}, {os.cpu_count()} cores, {memory / 1024 / 1024:.0f} GiB"),
        ("load average", " ".join(f"{load:.1f}" for load in os.getloadavg())),
        ("kernel", f"{platform.system()} {platform.release()}"),
        ("Python", platform.python_version()),
        ("Java", java[0] if java else "none"),
        ("Kafka", DEFAULT_KAFKA),
        ("libraries", ", ".join(f"{n} {version(n)}" for n in ("typer", "rich", "kafka-python", "docker", "psycopg"))),
    )
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in facts)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    raise SystemExit(main())
