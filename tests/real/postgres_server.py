"""A private PostgreSQL for tests: the host's own server programs, as a normal user, in a folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg

PASSWORD = "drill-pass-word"  # noqa: S105 - of a server that lives for one test run
SUPERUSER = "owner"
_FILES = ("tables.sql", "processed_events_{shape}.sql")


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    pid: int
    folder: Path

    def dsn(self, database: str = "postgres", *, user: str = SUPERUSER, password: str = PASSWORD) -> str:
        """How to reach a database of it over TCP."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """A connection of the superuser's, in autocommit."""
        return psycopg.connect(
            self.dsn(database), autocommit=True, connect_timeout=10, options="-c statement_timeout=20s"
        )

    def create(self, database: str, *, template: str | None = None) -> str:
        """Make a database and give its DSN."""
        with self.connect() as connection:
            copy = f' TEMPLATE "{template}"' if template else ""
            connection.execute(f'CREATE DATABASE "{database}"{copy}'.encode())
        return self.dsn(database)

    def drop(self, database: str) -> None:
        """Remove a database and whoever is connected to it."""
        with self.connect() as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)'.encode())

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Every process of the server is stopped meanwhile: it accepts, and never answers."""
        stopped = [self.pid, *_children(self.pid)]
        try:
            for pid in stopped:
                _signal(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in stopped:
                _signal(pid, signal.SIGCONT)


def programs() -> Path | None:
    """The folder of the newest server programs on this host."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[4].split(".")[0]))
    return found[-1].parent if found else None


def tables(shape: str) -> bytes:
    """The DDL of the drill, in one of the shapes of processed_events, without its rows."""
    folder = resources.files("kcfix.drill") / "sql"
    return b"\n".join((folder / name.format(shape=shape.lower())).read_bytes() for name in _FILES)


@contextmanager
def server(
    tls: Mapping[str, Path] | None = None, *, admits: Sequence[str] = (), binaries: Path | None = None
) -> Iterator[Server]:
    """A server with an empty cluster; it is stopped and its folder removed afterwards.

    `binaries` is the folder of its programs; None: this host's newest.

    `tls` are files by setting (ssl_cert_file, ssl_key_file, ssl_ca_file); `admits` are lines of pg_hba.conf that go
    before those which let everybody in who has a password.
    """
    binaries = binaries or programs()
    if binaries is None:
        raise FileNotFoundError("no PostgreSQL server programs on this machine (Debian: postgresql)")
    with _folder() as folder:
        user = _normal_user()
        (folder / "password").write_text(PASSWORD)
        if user is not None:
            os.chown(folder / "password", user.pw_uid, user.pw_gid)
        initdb = (str(binaries / "initdb"), "-D", str(folder / "data"), "-U", SUPERUSER, "-A", "scram-sha-256")
        _run((*initdb, f"--pwfile={folder / 'password'}", "--encoding=UTF8", "--locale=C", "--no-sync"), folder)
        hba = folder / "data" / "pg_hba.conf"
        hba.write_text("".join(f"{line}\n" for line in admits) + hba.read_text())
        encrypted = {name: handed_over(path, folder) for name, path in (tls or {}).items()}
        with _running(folder, binaries, {**({"ssl": "on"} if tls else {}), **encrypted}) as started:
            yield started


@contextmanager
def standby(primary: Server, **settings: str) -> Iterator[Server]:
    """A hot standby of that server, as pg_basebackup makes one, with these settings besides."""
    binaries = programs()
    if binaries is None:
        raise FileNotFoundError("no PostgreSQL server programs on this machine (Debian: postgresql)")
    with _folder() as folder:
        copy = (str(binaries / "pg_basebackup"), "-d", primary.dsn(), "-D", str(folder / "data"))
        _run((*copy, "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"), folder)
        with _running(folder, binaries, settings) as started:
            yield started


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="kcfix-postgres-"))
    user = _normal_user()
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(folder: Path, binaries: Path, settings: Mapping[str, object]) -> Iterator[Server]:
    """The server whose data lie in the folder; it is stopped afterwards."""
    port = _free_port()
    options: dict[str, object] = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": folder,
        "fsync": "off",
        "max_connections": 40,
        "shared_buffers": "32MB",
        **settings,
    }
    process = None
    try:
        process = subprocess.Popen(
            (
                # The server ends with the test run, however that ends.
                *(("setpriv", "--pdeathsig", "INT") if shutil.which("setpriv") else ()),
                str(binaries / "postgres"),
                "-D",
                str(folder / "data"),
                *(word for name, value in options.items() for word in ("-c", f"{name}={value}")),
            ),
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **as_normal_user(),
        )
        started = Server(port, process.pid, folder)
        _wait(started, process)
        yield started
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # the fast shutdown
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)
                process.wait(20)


def handed_over(path: Path, folder: Path) -> Path:
    """A copy of the file that belongs to the server's user alone, as it wants its key."""
    user = _normal_user()
    copy = folder / path.name
    shutil.copyfile(path, copy)
    copy.chmod(0o600)
    if user is not None:
        os.chown(copy, user.pw_uid, user.pw_gid)
    return copy


def as_normal_user() -> dict[str, Any]:
    """Arguments for Popen of a program that refuses to run as root."""
    user = _normal_user()
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _run(command: tuple[str, ...], folder: Path) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        **as_normal_user(),
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr}")


def _normal_user() -> pwd.struct_passwd | None:
    """The server refuses to run as root: a normal user then. None where this process is one already."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise LookupError("neither a user postgres nor a user nobody")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(started: Server, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            started.connect().close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # a process of the server's may have ended by itself
        os.kill(pid, number)


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]
