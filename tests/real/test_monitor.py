"""`kcfix monitor` as a process on a drill, scraped by a real Prometheus: alerts fire by a break, resolve by a mend."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kcfix.drill.buy import buy
from kcfix.drill.engine import connected
from kcfix.drill.faults import break_, mend
from kcfix.drill.state import KAFKA, POSTGRES, Drill
from tests.real.conftest import eventually

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "monitoring"
SECONDS = 1
"""Between two looks, and two scrapes."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def fetched(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@contextmanager
def process(*argv: str, folder: Path, environ: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A program in the background, ended with the block; what it says goes to a file there."""
    with (folder / f"{Path(argv[0]).name}-{len(list(folder.iterdir()))}.log").open("w+") as log:
        started = subprocess.Popen(
            argv, cwd=folder, env={**os.environ, **(environ or {})}, stdout=log, stderr=subprocess.STDOUT, text=True
        )
        try:
            yield started
        finally:
            if started.poll() is None:
                started.send_signal(signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    started.wait(15)
                if started.poll() is None:
                    started.kill()
                    started.wait()
            log.seek(0)
            print(log.read()[-3000:], file=sys.stderr)


@dataclass(frozen=True, slots=True)
class Watch:
    """A monitor and the Prometheus that scrapes it."""

    monitor: str
    prometheus: str
    process: subprocess.Popen[str]

    def firing(self) -> set[str]:
        """Names of the alerts that fire."""
        answer: dict[str, Any] = json.loads(fetched(f"{self.prometheus}/api/v1/alerts")[1])
        return {a["labels"]["alertname"] for a in answer["data"]["alerts"] if a["state"] == "firing"}

    def until_resolved(self, alerts: set[str], *, seconds: float) -> None:
        """Return once none of these fires; where one still does, fail with what the monitor sees."""
        deadline = time.monotonic() + seconds
        while still := self.firing() & alerts:
            if time.monotonic() > deadline:
                pytest.fail(f"{still} fire after {seconds} s; {self.worker()}\n{fetched(f'{self.monitor}/metrics')[1]}")
            time.sleep(0.2)

    def metric(self, line: str) -> float | None:
        """The number behind this beginning of a line of /metrics."""
        found = re.search(rf"^{re.escape(line)} (\S+)$", fetched(f"{self.monitor}/metrics")[1], re.MULTILINE)
        return float(found[1]) if found else None

    def worker(self) -> tuple[int, str]:
        """Its health check."""
        return fetched(f"{self.monitor}/healthz/purchase-worker")


def quick(rules: str) -> str:
    """The rules as they are, with a clock of seconds in place of minutes."""
    text = re.sub(r"for: \d+[mh]", f"for: {SECONDS}s", rules)
    text = text.replace("kcfix_look_interval_seconds + 60", "kcfix_look_interval_seconds + 30")
    text = re.sub(r"(oldest_waiting_seconds\{[^}]*\}\)) > 300", r"\1 > 4", text)
    return re.sub(r"(staleness_seconds\)) > 180", r"\1 > 4", text)


@pytest.fixture
def watch(whole: Drill, tmp_path: Path) -> Iterator[Watch]:
    assert shutil.which("prometheus"), "scripts/setup all installs it"
    port, own = free_port(), free_port()
    folder = tmp_path / "prometheus"
    folder.mkdir()
    (folder / "kcfix.rules.yml").write_text(quick((FOLDER / "kcfix.rules.yml").read_text(encoding="utf-8")))
    config = (FOLDER / "prometheus.yml").read_text(encoding="utf-8")
    config = re.sub(r"_interval: 30s", f"_interval: {SECONDS}s", config).replace("127.0.0.1:9787", f"127.0.0.1:{port}")
    (folder / "prometheus.yml").write_text(config)
    context = ("-C", f"drill:{whole.name}")
    words = ("monitor", "--listen", str(port), "--interval", f"{SECONDS}s")
    serve = ("prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data")
    with (
        process(
            *(sys.executable, "-m", "kcfix", *context, *words), folder=tmp_path, environ={"KCFIX_OVERDUE": "2s"}
        ) as monitor,
        process(*serve, f"--web.listen-address=127.0.0.1:{own}", folder=folder),
    ):
        made = Watch(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{own}", monitor)
        eventually(lambda: _answers(f"{made.monitor}/healthz") and _answers(f"{made.prometheus}/-/ready"), seconds=60)
        yield made


def _answers(url: str) -> bool:
    try:
        return fetched(url)[0] == 200
    except OSError:
        return False


def _unpurchased(drill: Drill, payments: list[str]) -> int:
    with psycopg.connect(drill.dsn) as connection:
        row = connection.execute(
            """SELECT count(*) FROM payments AS p WHERE id = ANY(%s) AND NOT EXISTS (
                   SELECT 1 FROM student_course_purchases AS c WHERE c.student_id = p.student_id)""",
            [payments],
        ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.timeout(600)
def test_alerts_fire_by_a_break_and_resolve_by_a_mend(whole: Drill, watch: Watch) -> None:
    before = buy(whole, 3, partition=0)
    eventually(lambda: _unpurchased(whole, before) == 0, seconds=60)
    eventually(lambda: watch.worker()[0] == 200, seconds=60)
    eventually(lambda: watch.metric('kcfix_worker_working{worker="purchase-worker"}') == 1)
    eventually(lambda: not watch.firing() - {"UnprotectedPartition"}, seconds=90)

    break_(whole, "worker-stopped")
    buy(whole, 2, partition=0)
    wanted = {"PaymentsWaitTooLong", "WorkerNotWorking", "WorkerStoppedCommitting"}
    eventually(lambda: wanted <= watch.firing(), seconds=90)
    code, words = watch.worker()
    assert code == 503
    assert "EXITED" in words.upper()
    eventually(lambda: watch.metric('kcfix_payments_waiting{verdict="PENDING"}') == 2)

    mend(whole)
    watch.until_resolved(wanted, seconds=240)  # a busy machine may take several rebalances until all is handled
    assert eventually(lambda: watch.worker()[0] == 200, seconds=60)
    assert watch.metric("kcfix_payments_without_purchase") == 0


@pytest.mark.parametrize(
    ("service", "system", "gone"),
    [(KAFKA, "kafka", "kcfix_log_end_offset{"), (POSTGRES, "database", "kcfix_payments_waiting{")],
)
def test_a_server_that_hangs_is_said_and_a_scrape_does_not_wait_for_it(
    whole: Drill, watch: Watch, service: str, system: str, gone: str
) -> None:
    eventually(lambda: watch.metric(f'kcfix_up{{system="{system}"}}') == 1, seconds=60)
    with connected() as engine:
        engine.container(whole, service).pause()  # it accepts connections and answers nothing
        try:
            eventually(lambda: "KcfixCannotSee" in watch.firing(), seconds=90)
            began = time.monotonic()
            status, text = fetched(f"{watch.monitor}/metrics")
            assert (status, time.monotonic() - began < 5) == (200, True)
            assert gone not in text
            assert watch.metric(f'kcfix_up{{system="{system}"}}') == 0
            assert service == POSTGRES or watch.worker()[0] == 503
            assert fetched(f"{watch.monitor}/healthz")[0] == 200
        finally:
            engine.container(whole, service).unpause()
    watch.until_resolved({"KcfixCannotSee"}, seconds=120)
    assert gone in fetched(f"{watch.monitor}/metrics")[1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_at_once(whole: Drill, tmp_path: Path, number: signal.Signals, code: int) -> None:
    port = free_port()
    words = ("-C", f"drill:{whole.name}", "monitor", "--listen", str(port))
    with process(sys.executable, "-m", "kcfix", *words, folder=tmp_path) as monitor:
        eventually(lambda: _answers(f"http://127.0.0.1:{port}/healthz"), seconds=60)
        monitor.send_signal(number)
        assert monitor.wait(5) == code


@pytest.mark.parametrize("words", [("check", "rules", "kcfix.rules.yml"), ("test", "rules", "kcfix.rules.test.yml")])
def test_promtool_finds_nothing_wrong_with_the_rules(words: tuple[str, ...]) -> None:
    assert shutil.which("promtool"), "scripts/setup all installs it"
    ran = subprocess.run(["promtool", *words], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_promtool_finds_nothing_wrong_with_the_configuration() -> None:
    ran = subprocess.run(
        ["promtool", "check", "config", "prometheus.yml"], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_promtool_finds_nothing_wrong_with_what_is_served(whole: Drill, watch: Watch) -> None:
    eventually(lambda: watch.metric("kcfix_looks_total"), seconds=60)
    text = fetched(f"{watch.monitor}/metrics")[1]
    ran = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    own = [line for line in (ran.stdout + ran.stderr).splitlines() if line.startswith("kcfix_")]
    assert own == []
