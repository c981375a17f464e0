"""Try kcfix with every release in reach, each in a run of its own, and write down what came of it.

What was seen goes to docs/compatibility.json, and from there to docs/compatibility.md. `--only TEXT` plays those whose
name has the text: Kafka, PostgreSQL 16, Docker, Python 3.13. What can't be had here is said, and keeps its older row.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.real.versions import KAFKAS, POSTGRES  # noqa: E402 - of this checkout

SEEN = ROOT / "docs" / "compatibility.json"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
SECONDS = 1800
"""No run takes longer."""
_PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
_REAL = ("-m", "real")


@dataclass(frozen=True, slots=True)
class Trial:
    """One release, and the tests that are run with it."""

    system: str
    version: str
    what: str
    tests: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    python: str = sys.executable

    @property
    def name(self) -> str:
        return f"{self.system} {self.version}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a trial."""

    system: str
    version: str
    what: str
    passed: int
    failed: int
    seen: str
    """The day, UTC."""


def trials() -> Iterator[Trial]:
    """All but those with another Python."""
    kafka = "contract of the Kafka port, lag of all groups, topics, groups of the newer protocol where there are any"
    for release in KAFKAS:
        tests = (*_REAL, "tests/real/test_versions_kafka.py")
        yield Trial("Kafka", str(release), kafka, tests, {"KCFIX_VERSION": str(release)})
    three = "three brokers, one of them down, leaders that move while kcfix reads"
    yield Trial("Kafka", "3.5.2 KRaft", three, (*_REAL, "tests/real/test_three_brokers.py"))
    for name in POSTGRES:
        tests = (*_REAL, "tests/real/test_versions_postgres.py")
        yield Trial("PostgreSQL", name, "contract of the database port", tests, {"KCFIX_VERSION": name})
    standby = "a hot standby, one that lags, one that is cut off"
    yield Trial("PostgreSQL", _postgres(), standby, (*_REAL, "tests/real/test_standby.py"))
    engine = ("tests/contract/test_docker_engine.py",)
    pinned = {"KCFIX_TEST_DOCKER_API": "1.41"}
    yield Trial("Docker Engine", _engine(), "contract of the Docker port", (*_REAL, *engine))
    hosts = ("tests/real/test_docker_hosts.py", "tests/real/test_docker_swarm.py")
    second = {"KCFIX_SECOND_ENGINE": "1"}
    yield Trial("Docker Engine", _engine(), "TLS, several hosts, a swarm of one node, none", (*_REAL, *hosts), second)
    yield Trial("Docker Engine", "API 1.41", "contract of the Docker port, held to this API", (*_REAL, *engine), pinned)


def _postgres() -> str:
    """The major version of this host's own server."""
    from tests.real.postgres_server import programs

    found = programs()
    return found.parts[4].partition(".")[0] if found else "(none here)"


def _engine() -> str:
    asked = subprocess.run(
        ["docker", "version", "-f", "{{.Server.Version}}"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip().partition("+")[0] or "(none here)"


def pythons() -> Iterator[tuple[str, str]]:
    """Each version of Python that is found here, with its program."""
    for version in PYTHONS:
        found = _program(version)
        if found is None:
            print(f"Python {version}: none here", file=sys.stderr)
        else:
            yield version, found


def _program(version: str) -> str | None:
    beside = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"), key=_release)
    for program in (shutil.which(f"python{version}"), *map(str, reversed(beside))):
        if program is not None:
            asked = subprocess.run(
                [program, "-c", "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"],
                capture_output=True,
                text=True,
                check=False,
            )
            if asked.stdout.strip() == version:
                return program
    return None


def _release(path: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", path.parts[-3]))


def with_python(version: str, program: str, folder: Path) -> Trial:
    """The unit suite in an environment of that Python, resolved anew: the lock is of the oldest one."""
    made = folder / version
    subprocess.run([program, "-m", "venv", str(made)], check=True)
    python = str(made / "bin" / "python")
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    # Types and style are looked at once, with the locked environment.
    left_out = ("mypy", "ruff", "types-")
    needs = [n for n in _development() if not n.startswith(left_out)]
    subprocess.run([*pip, str(ROOT), *needs], check=True)
    tests = ("--ignore", "tests/real", "-m", "not real", "-n", "2", "--dist", "worksteal")
    return Trial("Python", version, "unit suite", tests, {"PYTHONPATH": str(ROOT)}, python)


def _development() -> list[str]:
    import tomllib

    needs: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    return needs


def play(trial: Trial) -> Seen | None:
    """What came of it; None where not one test was run."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.xml"
        print(f"== {trial.name}: {trial.what}", file=sys.stderr, flush=True)
        subprocess.run(
            [trial.python, *_PYTEST, *trial.tests, f"--junitxml={told}"],
            cwd=ROOT,
            env={**os.environ, **trial.environment},
            timeout=SECONDS,
            check=False,
        )
        if not told.exists():
            return None
        suites = list(ET.parse(told).getroot().iter("testsuite"))  # noqa: S314 - written just now
    count = {key: sum(int(s.get(key, 0)) for s in suites) for key in ("tests", "failures", "errors", "skipped")}
    failed = count["failures"] + count["errors"]
    passed = count["tests"] - failed - count["skipped"]
    if not passed + failed:
        return None
    return Seen(trial.system, trial.version, trial.what, passed, failed, f"{datetime.now(UTC):%Y-%m-%d}")


def keep(seen: Seen) -> None:
    """Write down what was seen, in the place of what was seen of the same before, and make the page of it.

    At once: the next trial's tests look whether the pages are fresh.
    """
    rows = json.loads(SEEN.read_text(encoding="utf-8")) if SEEN.exists() else []
    new = asdict(seen)
    key = ("system", "version", "what")
    rows = sorted([r for r in rows if any(r[k] != new[k] for k in key)] + [new], key=lambda r: [r[k] for k in key])
    SEEN.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    subprocess.run([sys.executable, "scripts/generate_docs.py"], cwd=ROOT, check=True)


def main() -> int:
    """Play the trials; 0 if none failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="only trials whose name has this text")
    wanted = parser.parse_args().only
    wrong = []
    with tempfile.TemporaryDirectory(prefix="kcfix-pythons-") as folder:
        chosen = [trial for trial in trials() if wanted in trial.name]
        chosen += [
            with_python(version, program, Path(folder))
            for version, program in pythons()
            if wanted in f"Python {version}"
        ]
        for trial in chosen:
            seen = play(trial)
            if seen is None:
                wrong.append(f"{trial.name}: not one test was run")
                continue
            keep(seen)
            if seen.failed:
                wrong.append(f"{trial.name}: {seen.failed} tests failed")
    for text in wrong:
        print(text, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
