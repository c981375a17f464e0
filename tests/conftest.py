"""Fixtures of all unit tests: kcfix run in this process on fakes."""

from __future__ import annotations

import gc
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from kcfix.errors import Unreachable
from kcfix.main import main
from kcfix.services import Services
from tests.schemas import check_document

NOW = datetime(2026, 1, 15, 12, 0, 0, tzinfo=UTC)
"""The time at which every unit test takes place."""


# A slow machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

TOLD = "told"
"""The property under which a test records what is to be printed once all have run."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have counted, in whichever process they ran."""
    for report in (*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")):
        for name, text in report.user_properties:
            if name == TOLD:
                terminalreporter.write_line(str(text))


@pytest.fixture(scope="module", autouse=True)
def nothing_left_open() -> Iterator[None]:
    """What a file's tests forgot to close fails that file, and not whichever test the collector happens to run in."""
    yield
    gc.collect()


class Terminal(io.StringIO):
    """A stream that says whether it is a terminal."""

    def __init__(self, text: str = "", *, tty: bool = False) -> None:
        super().__init__(text)
        self.tty = tty

    def isatty(self) -> bool:
        """As it was told."""
        return self.tty


@dataclass(frozen=True, slots=True)
class Ran:
    """What one run of kcfix left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as one JSON document, held against its schema."""
        document = json.loads(self.out)
        check_document(document)
        return document

    @property
    def lines(self) -> list[str]:
        """Standard output by lines."""
        return self.out.splitlines()


class Absent:
    """A system that is not there: every call of its port fails as an adapter's would."""

    def __init__(self, system: str) -> None:
        self._system = system

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            raise Unreachable(f"{self._system}: nothing is there", system=self._system)

        return call


Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Call kcfix: `run("lag", "--all", kafka=FakeKafka(...), tty=True) -> Ran`.

    Environment, home and working folder are empty and private; the time is NOW; sleeping takes no time. A system for
    which no fake is given is not there: it can't be reached by accident.
    """

    def call(
        *argv: str,
        stdin: str | Terminal = "",
        tty: bool = False,
        environ: Mapping[str, str] | None = None,
        now: datetime = NOW,
        **systems: Any,
    ) -> Ran:
        home = tmp_path / "home"
        folder = tmp_path / "work"
        home.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)
        out, err = Terminal(tty=tty), Terminal(tty=tty)
        services = Services(
            environ={
                "HOME": str(home),
                "TERM": "xterm",
                **(environ or {}),
            },
            folder=folder,
            stdin=stdin if isinstance(stdin, Terminal) else Terminal(stdin, tty=tty),
            stdout=out,
            stderr=err,
            now=lambda: now,
            sleep=lambda seconds: None,
            resolves=lambda host: host != "kafka",
            **{"kafka": Absent("kafka"), "docker": Absent("docker"), "database": Absent("database"), **systems},
        )
        code = main(argv, services)
        return Ran(code, out.getvalue(), err.getvalue())

    return call
