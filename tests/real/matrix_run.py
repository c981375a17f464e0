"""Playing the cells of the fault matrix, several at a time, and judging each by rule."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from kcfix.adapters.kafka import open_kafka
from kcfix.core.offsets import TopicPartition
from kcfix.drill.engine import Engine
from kcfix.drill.state import Drill
from tests.real.matrix_commands import Change, Command
from tests.real.matrix_faults import SECONDS, WRONG, Fault, Site, System
from tests.real.matrix_zygote import Zygote

LIMIT = 40.0
"""Seconds after which a run has missed its deadline: several systems are asked one after the other, with a `timeout` of
3 s for each answer, and the machine may be busy. What knows no deadline takes minutes: a byte comes every 0.3 s."""
NAMES = {
    System.KAFKA: re.compile(r"kafka|broker|group|topic", re.IGNORECASE),
    System.DATABASE: re.compile(r"database|postgres", re.IGNORECASE),
    System.DOCKER: re.compile(r"docker", re.IGNORECASE),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What one run left behind."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def errors(self) -> list[str]:
        """The lines of errors."""
        return [line for line in self.err.splitlines() if line.startswith("kcfix: ") and "kcfix: warning" not in line]


@dataclass(slots=True)
class Stage:
    """Where runs take place: the drill, and what the words of a command stand for."""

    drill: Drill
    engine: Engine
    folder: Path
    given: dict[str, str] = field(default_factory=dict)
    state: Path | None = None
    """Folder with kcfix's own files, for runs that have none of their own."""
    ends: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Start and end of each partition of purchase-confirmed, before anything was changed."""
    zygote: Zygote | None = None
    """None: every run starts Python anew, as an operator's does."""
    _broker: str = ""

    def broker(self, service: str) -> str:
        """Address of the broker's container."""
        if not self._broker:
            attrs = self.engine.container(self.drill, service).attrs
            self._broker = str(attrs["NetworkSettings"]["Networks"][self.drill.network]["IPAddress"])
        return self._broker

    def run(
        self,
        words: str,
        folder: Path,
        *,
        system: System | None = None,
        fault: Fault | None = None,
        given: Mapping[str, str] | None = None,
        own_state: bool = False,
    ) -> Seen:
        """Run kcfix in that folder, made where it is not there, while the system suffers the fault."""
        folder.mkdir(parents=True, exist_ok=True)
        state = folder / "state" if own_state or self.state is None else self.state
        with Site(self.drill, self.broker, folder, state).settings(system, fault) as settings:
            (folder / "kcfix.toml").write_text(settings)
            argv = shlex.split(words.format(**{**self.given, "folder": str(folder), **(given or {})}))
            environ = {**os.environ, "HOME": str(folder)}
            began = time.monotonic()
            run = self.zygote.run if self.zygote else _process
            code, out, err = run(argv, folder, environ, LIMIT)
            return Seen(code, out, err, time.monotonic() - began)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must be nowhere."""
        return (self.drill.password, WRONG, "kcfix_reader-pass", "kcfix_nobody-pass", "kcfix_full-pass")


def _process(argv: Sequence[str], folder: Path, environ: Mapping[str, str], limit: float) -> tuple[int, str, str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "kcfix", *argv],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    return process.returncode, out.decode(errors="replace"), err.decode(errors="replace")


def always(seen: Seen, stage: Stage, folder: Path) -> list[str]:
    """What is wrong with a run whatever it was about."""
    wrong = []
    if seen.seconds >= LIMIT:
        wrong.append(f"not done within {LIMIT:g} s")
    elif seen.code not in range(7):
        wrong.append(f"exit code {seen.code}")
    if "Traceback" in seen.err or "bug in kcfix" in seen.err:
        wrong.append("a bug")
    journal = "".join(p.read_text(errors="replace") for p in (folder / "state").rglob("*.jsonl"))
    if any(secret in text for secret in stage.secrets for text in (seen.out, seen.err, journal)):
        wrong.append("a secret")
    return wrong


def judged(command: Command, system: System | None, fault: Fault | None, seen: Seen) -> list[str]:
    """What is wrong with a run that changes nothing, by rule."""
    wrong = []
    expected = command.expected(system, fault)
    if seen.code != expected:
        wrong.append(f"exit code {seen.code}, not {expected}")
    if len(seen.errors) > command.lines or len(set(seen.errors)) < len(seen.errors):
        wrong.append(f"{len(seen.errors)} lines of errors")
    if system is not None and command.hit(system, fault) and not NAMES[system].search(seen.err + seen.out):
        wrong.append("the system is not named")
    if seen.code > 1 and not seen.errors:
        wrong.append("no line says why")
    return wrong


def standing(stage: Stage) -> dict[str, Any]:
    """What reading must leave as it is: rows, log ends, committed offsets, containers."""
    with psycopg.connect(stage.drill.dsn, autocommit=True) as database:
        tables = database.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        ).fetchall()
        whole = "SELECT count(*), md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {} AS t"
        rows = {name: database.execute(sql.SQL(whole).format(sql.Identifier(name))).fetchone() for (name,) in tables}
    kafka = open_kafka(stage.drill.brokers, address_map=stage.drill.address_map)
    try:
        topics = kafka.topics()
        ends = kafka.log_offsets([TopicPartition(t, p.partition) for t in topics for p in topics[t].partitions])
        committed = kafka.committed(list(kafka.groups(None)))
    finally:
        kafka.close()
    return {
        "rows": rows,
        "ends": {where: log.log_end_offset for where, log in ends.items() if not where.topic.startswith("__")},
        "committed": committed,
        "containers": {
            str(c.name): (c.status, c.attrs["State"]["StartedAt"]) for c in stage.engine.containers(stage.drill.name)
        },
    }


__all__ = ["LIMIT", "SECONDS", "Change", "Seen", "Stage", "always", "judged", "standing"]
