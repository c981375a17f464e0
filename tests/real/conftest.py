"""Fixtures of the tests against real servers: drills of the suite's own, and kcfix as a process of its own.

While writing tests, `KCFIX_TEST_DRILL=NAME pytest tests/real/…` uses a drill that is up already and leaves it up.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # kafka-python warns while it is imported
    import kafka
    import kafka.admin

from kcfix.drill.down import down
from kcfix.drill.engine import Engine, connected
from kcfix.drill.faults import mend
from kcfix.drill.state import DEFAULT_KAFKA, Drill, Options, load
from kcfix.drill.up import up
from tests.real.lab import lab, seen

NEWEST_KAFKA = "4.4.0"
T = TypeVar("T")
_shared = os.environ.get("KCFIX_TEST_DRILL", "")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Whatever lies in this folder needs real servers."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.real)


@dataclass(frozen=True, slots=True)
class Ran:
    """What one run of kcfix left behind."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str
    seconds: float

    @property
    def document(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of the JSON document."""
        rows: list[dict[str, Any]] = self.document["data"]
        return rows

    @property
    def lines(self) -> list[str]:
        """Standard output by lines."""
        return self.out.splitlines()


@dataclass(frozen=True, slots=True)
class Kcfix:
    """kcfix as a process: `kcfix("lag", "--all", "-o", "json").rows`, on the drill unless `context` is None."""

    folder: Path
    context: str | None = None
    environ: dict[str, str] = field(default_factory=dict)

    def __call__(
        self, *argv: str, stdin: str | bytes = "", timeout: float = 120, environ: dict[str, str] | None = None
    ) -> Ran:
        """Run and wait; the exit code is not looked at. Bytes that are no UTF-8 show as replacement characters."""
        words = (*(("-C", self.context) if self.context else ()), *argv)
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "kcfix", *words],
            cwd=self.folder,
            env={**os.environ, **self.environ, **(environ or {})},
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        return Ran(
            words,
            done.returncode,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
            time.monotonic() - started,
        )


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path | None]:
    """State (drills, journal) in a folder of the suite's own, unless a drill that is there is to be used."""
    if _shared:
        yield None
        return
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield folder


def _drill(name: str, **options: Any) -> Iterator[Drill]:
    try:
        yield up(Options(name=name, **options), lambda text: print(f"[{name}] {text}", file=sys.stderr))
    finally:
        down(name)


@pytest.fixture(scope="session")
def drill(own_state: Path | None) -> Iterator[Drill]:
    """The suite's drill with the default broker; leave it as whole as it was found (`whole` sees to it)."""
    if _shared:
        yield load(_shared)
    else:
        yield from _drill(f"test-{os.getpid()}")


@pytest.fixture(scope="session")
def newest_drill(own_state: Path | None) -> Iterator[Drill]:
    """A second drill with the newest broker."""
    yield from _drill(f"newest-{os.getpid()}", kafka=NEWEST_KAFKA)


@pytest.fixture(scope="session", params=[DEFAULT_KAFKA, NEWEST_KAFKA])
def any_drill(request: pytest.FixtureRequest) -> Drill:
    """A drill with each of the two brokers that kcfix must get along with, one after the other."""
    made: Drill = request.getfixturevalue("drill" if request.param == DEFAULT_KAFKA else "newest_drill")
    return made


@pytest.fixture
def whole(drill: Drill) -> Iterator[Drill]:
    """The suite's drill; whatever the test breaks by `drill break` is mended after it."""
    yield drill
    mend(drill)


@pytest.fixture
def kcfix(drill: Drill, tmp_path: Path) -> Kcfix:
    """Kcfix as a process, on the suite's drill."""
    return Kcfix(tmp_path, f"drill:{drill.name}")


@pytest.fixture
def kcfix_anywhere(own_state: Path | None, tmp_path: Path) -> Kcfix:
    """Kcfix as a process, without a context and without a drill."""
    return Kcfix(tmp_path)


@pytest.fixture
def engine() -> Iterator[Engine]:
    """The Docker Engine."""
    with connected() as opened:
        yield opened


@pytest.fixture
def database(drill: Drill) -> Iterator[psycopg.Connection]:
    """A connection to the drill's database that commits each statement."""
    with psycopg.connect(drill.dsn, autocommit=True) as connection:
        yield connection


AFTER_A_BROKER_RESTART = 100
"""Seconds that a worker may take to work again once its broker is back: a back-off of up to 30 s, then the session of
30 s in which its old membership stands in its way (docs/system.md), and room for a busy machine."""


def eventually(look: Callable[[], T], *, seconds: float = 30, every: float = 0.2) -> T:
    """The first truthy thing that `look` returns; fails when there was none in time."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            pytest.fail(f"not seen within {seconds} s; last look: {seen!r}")
        time.sleep(every)


__all__ = ["AFTER_A_BROKER_RESTART", "Kcfix", "Ran", "eventually", "kafka", "lab", "seen"]
