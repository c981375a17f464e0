"""`kcfix monitor` on fakes, asked over a real socket of the loopback while it looks."""

from __future__ import annotations

import io
import re
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from kcfix.core.rights import Right
from kcfix.errors import Unreachable
from kcfix.main import Terminated, main
from kcfix.services import Services
from tests.conftest import NOW, Run, Terminal
from tests.system import System


@dataclass(frozen=True, slots=True)
class Answer:
    """What a page said."""

    status: int
    body: str
    content_type: str


def fetch(url: str, method: str = "GET", accept: str = "text/plain") -> Answer:
    asked = urllib.request.Request(url, method=method, headers={"Accept": accept})  # noqa: S310
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310
            return Answer(answer.status, answer.read().decode(), answer.headers["Content-Type"])
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode(), error.headers["Content-Type"])


class Monitored:
    """A run of `monitor`: `between` is called after each look, with its number, in place of the pause."""

    def __init__(self, folder: Path, system: System, between: Callable[[Monitored, int], None]) -> None:
        self.system = system
        self.between = between
        self.now = NOW
        self.out, self.err = io.StringIO(), Terminal()
        self.looks = 0
        self.pauses: list[float] = []
        self.services = Services(
            environ={"HOME": str(folder)},
            folder=folder,
            stdin=Terminal(),
            stdout=self.out,
            stderr=self.err,
            now=lambda: self.now,
            sleep=self._pause,
            monotonic=lambda: self.now.timestamp(),
            kafka=system.kafka,
            docker=system.docker,
            database=system.database,
        )

    def _pause(self, seconds: float) -> None:
        self.looks += 1
        self.pauses.append(seconds)
        self.between(self, self.looks)
        self.now += timedelta(seconds=seconds)
        self.system.kafka.now = self.system.database.now = self.now

    def run(self, *words: str) -> int:
        return main(["monitor", "--listen", "0", *words], self.services)

    @property
    def url(self) -> str:
        found = re.search(r"serving (http://\S+)/metrics", self.err.getvalue())
        assert found, self.err.getvalue()
        return found[1]

    def metric(self, line: str) -> float | None:
        """The number behind this beginning of a line of /metrics."""
        text = fetch(f"{self.url}/metrics").body
        found = re.search(rf"^{re.escape(line)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else None


@pytest.fixture
def system() -> System:
    return System()


def stop() -> None:
    raise KeyboardInterrupt


def test_it_serves_what_it_saw_until_it_is_interrupted(tmp_path: Path, system: System) -> None:
    system.pay(1, sent=False)
    seen: list[Answer] = []

    def between(run: Monitored, look: int) -> None:
        seen.extend(fetch(run.url + path) for path in ("/metrics", "/healthz", "/healthz/purchase-worker", "/"))
        stop()

    run = Monitored(tmp_path, system, between)
    assert run.run() == 130
    metrics, healthz, worker, index = seen
    assert metrics.status == 200
    assert metrics.content_type.startswith("text/plain; version=")
    assert 'kcfix_payments_waiting{verdict="NEVER_SENT"} 1.0' in metrics.body
    assert "kcfix_look_age_seconds 0.0" in metrics.body
    assert "# TYPE kcfix_dead_letters_total counter" in metrics.body
    assert "process_resident_memory_bytes" in metrics.body
    assert (healthz.status, healthz.body) == (200, "looking; every system answers\n")
    assert worker.status == 200
    assert worker.body.startswith("purchase-worker: joined, idle, unproven")
    assert "/healthz/WORKER" in index.body
    with pytest.raises(urllib.error.URLError):
        fetch(f"{run.url}/metrics")


def test_sigterm_ends_it_as_well(tmp_path: Path, system: System) -> None:
    def between(run: Monitored, look: int) -> None:
        raise Terminated

    assert Monitored(tmp_path, system, between).run() == 143


def test_a_worker_that_does_not_work_is_503_and_an_unknown_one_404(tmp_path: Path, system: System) -> None:
    system.stop()
    seen: list[Answer] = []

    def between(run: Monitored, look: int) -> None:
        seen.extend(fetch(f"{run.url}/healthz/{name}") for name in ("purchase-worker", "purchase", "nobody", "%2e%2e"))
        seen.append(fetch(f"{run.url}/favicon.ico"))
        seen.append(fetch(f"{run.url}/healthz/purchase-worker", method="HEAD"))
        stop()

    Monitored(tmp_path, system, between).run()
    assert [answer.status for answer in seen] == [503, 503, 404, 404, 404, 503]
    assert "EXITED" in seen[0].body.upper()
    assert "allocation-worker" in seen[2].body
    assert seen[5].body == ""


def test_servers_come_and_go_and_it_is_said_once_each(tmp_path: Path, system: System) -> None:
    ups: list[float | None] = []

    def between(run: Monitored, look: int) -> None:
        ups.append(run.metric('kcfix_up{system="kafka"}'))
        system.kafka.down = Unreachable("kafka: no answer", system="kafka") if look in (1, 2) else None
        if look == 5:
            stop()

    run = Monitored(tmp_path, system, between)
    run.run()
    assert ups == [1, 0, 0, 1, 1]
    assert run.err.getvalue().count("kafka: no answer") == 1
    assert run.err.getvalue().count("kafka answers again") == 1


def test_the_age_of_the_look_is_that_at_the_scrape(tmp_path: Path, system: System) -> None:
    ages: list[float | None] = []

    def between(run: Monitored, look: int) -> None:
        run.now += timedelta(seconds=7)
        ages.append(run.metric("kcfix_look_age_seconds"))
        stop()

    Monitored(tmp_path, system, between).run()
    assert ages == [7]


def test_a_slow_system_is_asked_less_often(tmp_path: Path, system: System) -> None:
    def between(run: Monitored, look: int) -> None:
        if look == 2:
            stop()

    run = Monitored(tmp_path, system, between)
    asked = system.database.identity

    def slowly() -> object:
        run.now += timedelta(seconds=25 if run.looks else 40)
        return asked()

    system.database.identity = slowly  # type: ignore[assignment,method-assign]
    run.run("--interval", "60")
    assert run.pauses == [40, 35]


def test_openmetrics_is_given_to_whoever_asks_for_it(tmp_path: Path, system: System) -> None:
    seen: list[Answer] = []

    def between(run: Monitored, look: int) -> None:
        seen.append(fetch(f"{run.url}/metrics", accept="application/openmetrics-text; version=1.0.0"))
        stop()

    Monitored(tmp_path, system, between).run()
    assert seen[0].content_type.startswith("application/openmetrics-text")
    assert seen[0].body.endswith("# EOF\n")


def test_a_missing_right_is_said_once_with_the_line_that_gives_it(tmp_path: Path, system: System) -> None:
    def between(run: Monitored, look: int) -> None:
        if look == 1:
            run.services.missing_rights.note(Right("Read", "topic", "made-up"), "kafka-acls --add --topic made-up")
        if look == 3:
            assert run.err.getvalue().count("missing right: Read on topic made-up") == 1
            stop()

    assert Monitored(tmp_path, system, between).run() == 130


def test_nothing_is_changed_and_no_group_joined(tmp_path: Path, system: System) -> None:
    def between(run: Monitored, look: int) -> None:
        if look == 3:
            stop()

    Monitored(tmp_path, system, between).run()
    assert (system.kafka.sent, system.kafka.commits, system.docker.done) == ([], [], [])


def test_a_port_that_is_taken_is_one_line_with_what_to_do(run: Run, system: System) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = run("monitor", "--listen", str(port), **system.parts)
    assert ran.code == 2
    assert ran.err == (
        f"kcfix: can't listen at 127.0.0.1:{port}: something listens there already\n"
        "  hint: is a monitor running? or choose another port with --listen\n"
    )


def test_without_the_library_it_says_how_to_install_it(
    run: Run, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    ran = run("monitor", **system.parts)
    assert ran.code == 2
    assert ran.err == (
        "kcfix: monitor needs the library prometheus-client, which is not installed here\n"
        "  hint: install it with kcfix: pipx install 'kcfix[monitor]', or pip install prometheus-client\n"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--listen", "nowhere"), "neither a port nor of the form host:port"),
        (("--listen", ":9787"), "neither a port nor of the form host:port"),
        (("--listen", "1.2.3.4:70000"), "neither a port nor of the form host:port"),
        (("--listen", "::1:80"), "an IPv6 address stands in brackets"),
        (("--interval", "0"), "must be longer than zero"),
        (("--interval", "200ms"), "interval must be at least 1s"),
        (("--interval", "soon"), "interval"),
    ],
)
def test_what_can_not_be_understood_is_a_usage_error(
    run: Run, system: System, words: tuple[str, ...], told: str
) -> None:
    ran = run("monitor", *words, **system.parts)
    assert ran.code == 2
    assert told in ran.err


def test_the_settings_come_from_variables_too(tmp_path: Path, system: System) -> None:
    run = Monitored(tmp_path, system, lambda run, look: stop())
    run.services.environ = {**run.services.environ, "KCFIX_INTERVAL": "15s", "KCFIX_LISTEN": "1"}
    run.run()  # the flag goes before the variable
    assert run.pauses == [15]
    assert "looking every 15s" in run.err.getvalue()
