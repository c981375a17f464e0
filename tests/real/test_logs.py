"""`kcfix logs` on the drill's workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from queue import Empty, Queue
from typing import Any

import pytest

from kcfix.drill.buy import buy
from kcfix.drill.engine import Engine
from kcfix.drill.state import Drill
from tests.real.conftest import Kcfix, eventually

WORKERS = {"purchase-worker", "allocation-worker", "session-worker", "cache-worker"}


def moments(rows: list[dict[str, Any]]) -> list[datetime]:
    return [datetime.fromisoformat(row["timestamp"]) for row in rows]


def test_the_way_of_a_payment_through_all_workers_in_the_order_of_time(drill: Drill, kcfix: Kcfix) -> None:
    (payment,) = buy(drill, 1)

    def arrived() -> list[dict[str, Any]]:
        rows = kcfix("logs", "--payment", payment, "-n", "all", "-o", "json").rows
        return rows if {row["worker"] for row in rows} >= WORKERS else []

    rows = eventually(arrived)
    assert moments(rows) == sorted(moments(rows))
    committed = [row for row in rows if row["message"] == "Transaction committed successfully"]
    fallback = [row for row in rows if row["message"] == "Purchase created successfully using fallback method"]
    assert committed or fallback
    assert {row["payment_id"] for row in committed + fallback} == {payment}
    assert any(row["topic"] == "purchase-confirmed" and row["offset"] is not None for row in rows)


def test_milestones_of_a_worker_and_a_payment(drill: Drill, kcfix: Kcfix) -> None:
    (payment,) = buy(drill, 1)

    def handled() -> dict[str, int]:
        ran = kcfix("logs", "purchase", "--milestones", "--payment", payment, "-o", "json")
        counts = {row["milestone"]: row["count"] for row in ran.rows if row["payment_id"] is None}
        return counts if counts["HANDLED"] else {}

    counts = eventually(handled)
    assert {name: counts[name] for name in ("RECEIVED", "COMMITTED", "ANNOUNCED", "HANDLED")} == {
        "RECEIVED": 1,
        "COMMITTED": 1,
        "ANNOUNCED": 1,
        "HANDLED": 1,
    }
    assert counts["INITIALIZED"] >= 1
    assert counts["JOINED"] >= 1
    text = kcfix("logs", "purchase", "--milestones", "--payment", payment)
    assert text.code == 0
    assert "purchase committed" in text.out


def test_the_newest_lines_of_every_worker_are_readable(drill: Drill, kcfix: Kcfix) -> None:
    ran = kcfix("logs", "-n", "3", "--utc")
    assert (ran.code, ran.err) == (0, "")
    assert {line.split()[2] for line in ran.lines} == WORKERS
    assert not any(line.rstrip().endswith("}") for line in ran.lines)


def test_an_unknown_worker_and_one_that_is_nearly_known(kcfix: Kcfix) -> None:
    ran = kcfix("logs", "purchase-worke")
    assert (ran.code, ran.out) == (3, "")
    assert "purchase-worker?" in ran.err


@contextmanager
def following(kcfix: Kcfix, *argv: str) -> Iterator[tuple[subprocess.Popen[str], Queue[str]]]:
    """Kcfix in the background, and its lines as they come."""
    process = subprocess.Popen(
        [sys.executable, "-m", "kcfix", "-C", str(kcfix.context), "logs", "-f", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=kcfix.folder,
        env={**os.environ, **kcfix.environ},
    )
    lines: Queue[str] = Queue()

    def pump() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)

    pumping = threading.Thread(target=pump, daemon=True)
    pumping.start()
    try:
        yield process, lines
    finally:
        process.kill()
        process.wait(10)
        pumping.join(10)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def wait_for(lines: Queue[str], text: str, seconds: float = 40) -> str:
    seen: list[str] = []
    while True:
        try:
            seen.append(lines.get(timeout=seconds))
        except Empty:
            pytest.fail(f"{text!r} did not come; came: {seen[-5:]}")
        if text in seen[-1]:
            return seen[-1]


def test_new_lines_are_followed_and_an_interrupt_ends_it_cleanly(drill: Drill, kcfix: Kcfix) -> None:
    with following(kcfix, "-n", "1", "-o", "json") as (process, lines):
        first = json.loads(lines.get(timeout=40))
        assert first["schema"] == "kcfix.logs/v1"
        (payment,) = buy(drill, 1)
        assert json.loads(wait_for(lines, payment))["worker"] in WORKERS
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.stderr is not None
        told = process.stderr.read()
        assert "Traceback" not in told
        assert told.count("\n") == 1


def test_following_goes_on_over_a_restart(drill: Drill, kcfix: Kcfix, engine: Engine) -> None:
    with following(kcfix, "cache-worker", "-n", "1") as (process, lines):
        lines.get(timeout=40)
        engine.stop(drill, "cache-worker")
        wait_for(lines, "Stopped")
        engine.start(drill, "cache-worker")
        wait_for(lines, "[CacheWorker] Initialized")
        wait_for(lines, "Consumer has joined the group", 60)
        assert process.poll() is None


def test_a_pipe_that_nobody_reads_any_more_is_left_quietly(drill: Drill, kcfix: Kcfix) -> None:
    command = f"{sys.executable} -m kcfix -C {kcfix.context} logs -n all; echo code=$? >&2"
    ran = subprocess.run(
        ["bash", "-c", f"({command}) | head -n 1"],
        capture_output=True,
        text=True,
        cwd=kcfix.folder,
        env={**os.environ, **kcfix.environ},
        timeout=60,
        check=False,
    )
    assert len(ran.stdout.splitlines()) == 1
    assert ran.stderr == "code=0\n"


def test_a_stopped_worker_still_has_its_log(drill: Drill, kcfix: Kcfix, engine: Engine) -> None:
    engine.stop(drill, "session-worker")
    try:
        ran = kcfix("logs", "session", "-n", "1", "-q")
    finally:
        engine.start(drill, "session-worker")
    assert (ran.code, ran.lines) == (0, ["[SessionWorker] Stopped"])
