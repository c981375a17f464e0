"""Measure kcfix against its rivals: the same question, on the same broker, in the same run, one after the other.

Pairs alternate (kcfix, rival, kcfix, rival …), the first pair is thrown away, and medians are compared, so that a busy
machine slows both. Each result goes to docs/benchmarks.json as it comes, in the place of the one before it, and
docs/benchmarks.md is made from that, so that the work can be cut into pieces (`--only`); `--no-write` only prints.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from bench_page import Page
from contest import KCFIX, Contest, run
from contest_completion import completion_contests
from contest_groups import group_contests
from contest_missing import missing_contests
from contest_monitor import costs
from contest_topics import topic_contests
from contest_write import write_contests

from kcfix.adapters.kafka import Kafka, open_kafka
from kcfix.core.events import Message
from kcfix.core.lag import read_lag
from kcfix.core.offsets import TopicPartition
from kcfix.drill.cache import broker_jars
from kcfix.drill.down import down
from kcfix.drill.engine import connected
from kcfix.drill.state import DEFAULT_KAFKA, Drill, Options
from kcfix.drill.up import up
from kcfix.flow import Flow

FLOW = Flow()
GROUPS = 1000
DOCTOR_SECONDS = 2.0
"""Longer no look of `kcfix doctor` may take."""


def main() -> int:
    """Run all contests; 0 if every target was met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-write", action="store_true", help="print the results only")
    parser.add_argument("--pairs", type=int, default=9, help="pairs for each contest (9)")
    parser.add_argument("--only", default="", help="only contests whose question has this text")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1, help="brokers of the drill (1)")
    options = parser.parse_args()
    with drilled(options.brokers) as drill, TemporaryDirectory() as folder:
        java = rival_java(drill, Path(folder))
        hosts = Path(folder) / "hosts"
        page = Page(options.brokers)
        met = True
        for contest in all_contests(drill, java, hosts, options.pairs, options.only):
            outcome = run(contest)
            met = met and outcome.met
            print(page.add(outcome), file=sys.stderr)
            if not options.no_write:
                page.write()  # an hour's work, should a later contest break
        if options.only in "kcfix lag":
            page.requests = count_requests(drill)
        if options.only in "kcfix monitor":
            page.watched = costs(drill)
    print(page.text())
    if not options.no_write:
        page.write()
    return 0 if met else 1


@contextmanager
def drilled(brokers: int = 1) -> Iterator[Drill]:
    """A drill of its own."""
    name = f"bench-{os.getpid()}"
    try:
        yield up(Options(name=name, brokers=brokers), lambda text: print(text, file=sys.stderr))
    finally:
        down(name)


def rival_java(drill: Drill, folder: Path) -> tuple[str, ...]:
    """Java as Kafka's own scripts start it, on this host, told by a hosts file where the broker's name leads."""
    ways = []
    with connected() as engine:
        for service in drill.kafka_ports:
            (network,) = engine.container(drill, service).attrs["NetworkSettings"]["Networks"].values()
            ways.append(f"{network['IPAddress']} {service}\n")
    hosts = folder / "hosts"
    hosts.write_text(f"{''.join(ways)}127.0.0.1 localhost\n127.0.0.1 {platform.node()}\n")
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
    yield from completion_contests(pairs, only)
    yield from topic_contests(drill, java, hosts, max(3, pairs // 2), only)
    yield from missing_contests(drill, only)
    yield from write_contests(drill, java, pairs if pairs < 3 else max(3, pairs // 3), only)
    yield from group_contests(drill, java, pairs, only)


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
        Contest(
            "kcfix doctor",
            (*kcfix, "doctor"),
            document,
            "the same four commands, which name no cause",
            None,
            pairs,
            "well (",
            FLOW.purchase_confirmed,
            most=DOCTOR_SECONDS,
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


if __name__ == "__main__":
    raise SystemExit(main())
