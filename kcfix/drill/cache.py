"""What is fetched once and kept for all drills: the broker's jars and the workers' Node modules."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kcfix.errors import NotFound, Unreachable

FETCH_TIMEOUT_SECONDS = 600
_DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>kcfix</groupId>
  <artifactId>drill-broker</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{version}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""


def cache_folder(environment: Mapping[str, str] | None = None) -> Path:
    """The user's cache folder of kcfix."""
    env = os.environ if environment is None else environment
    base = env.get("XDG_CACHE_HOME") or ""
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "kcfix"


def broker_jars(version: str, progress: Callable[[str], None]) -> Path:
    """The folder with the jars of Apache Kafka of that version, fetched with Maven where it is not there yet.

    Raises:
        NotFound: Maven is not installed.
        Unreachable: Maven could not fetch them.
    """

    def fetch(into: Path) -> None:
        progress(f"fetching Apache Kafka {version} (once)")
        (into / "pom.xml").write_text(_POM.format(version=version), encoding="utf-8")
        jars = into / "libs"
        _run(["mvn", "-B", "-q", "-f", str(into / "pom.xml"), _DEPENDENCY_PLUGIN, f"-DoutputDirectory={jars}"], into)
        if not list(jars.glob("kafka_2.13-*.jar")):
            raise Unreachable(f"Maven ended well but brought no broker of version {version}", system="maven")

    return once(cache_folder() / "kafka" / version, fetch) / "libs"


def artifact(group: str, name: str, version: str, progress: Callable[[str], None]) -> Path:
    """The jar of one artifact without what it depends on, fetched with Maven where it is not there yet.

    Raises:
        NotFound: Maven is not installed.
        Unreachable: Maven could not fetch it.
    """

    def fetch(into: Path) -> None:
        progress(f"fetching {name} {version} (once)")
        wanted = f"-Dartifact={group}:{name}:{version}:jar"
        _run(["mvn", "-B", "-q", _COPY, wanted, f"-DoutputDirectory={into}"], into)
        if not list(into.glob("*.jar")):
            raise Unreachable(f"Maven ended well but brought no {name} {version}", system="maven")

    (found,) = once(cache_folder() / "artifacts" / f"{name}-{version}", fetch).glob("*.jar")
    return found


def node_modules(program: Path, progress: Callable[[str], None]) -> Path:
    """The folder `node_modules` of the program's package-lock.json, fetched with npm where it is not there yet.

    Raises:
        NotFound: npm is not installed.
        Unreachable: npm could not fetch them.
    """
    lock = program / "package-lock.json"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]

    def fetch(into: Path) -> None:
        progress("fetching the workers' Node modules (once)")
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(program / name, into / name)
        _run(["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], into)

    return once(cache_folder() / "node" / digest, fetch) / "node_modules"


def once(target: Path, fetch: Callable[[Path], None]) -> Path:
    """Fill the target folder whole or not at all; only one process at a time does it."""
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.with_name(f".{target.name}.lock")):
        if target.is_dir():
            return target
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as name:
            into = Path(name) / "whole"
            into.mkdir()
            fetch(into)
            _readable(into)
            into.rename(target)
    return target


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(command: list[str], folder: Path) -> None:
    program = shutil.which(command[0])
    if program is None:
        raise NotFound(f"{command[0]} is not installed on this machine", hint="make setup")
    try:
        done = subprocess.run(
            [program, *command[1:]],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=FETCH_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"{command[0]} did not end within {FETCH_TIMEOUT_SECONDS} s", system=command[0]) from error
    if done.returncode:
        last = [line for line in done.stdout.splitlines() if line.strip()][-3:]
        raise Unreachable(f"{command[0]} failed: {' / '.join(last)}", system=command[0])


def _readable(folder: Path) -> None:
    """Let every user read what the containers' users must read, whatever the umask was."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
