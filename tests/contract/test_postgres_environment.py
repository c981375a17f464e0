"""libpq's own variables: a stray one leads neither a named context nor a DSN with a host elsewhere. In processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import kcfix


@pytest.fixture
def listeners() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two servers on the same port of two loopback addresses: the one that is meant, and a stray one."""
    with socket.socket() as meant, socket.socket() as stray:
        meant.bind(("127.0.0.1", 0))
        stray.bind(("127.0.0.2", meant.getsockname()[1]))
        for server in (meant, stray):
            server.listen()
            server.settimeout(0.2)
        yield meant, stray


def called(server: socket.socket) -> bool:
    """Whether somebody has come."""
    try:
        connection, _ = server.accept()
    except TimeoutError:
        return False
    connection.close()
    return True


def ask(folder: Path, *argv: str, dsn: str, **variables: str) -> None:
    """Run kcfix on a database that answers nothing, with these variables about."""
    (folder / "kcfix.toml").write_text(f'dsn = "{dsn}"\n[contexts.prod]\ndsn = "{dsn}"\n')
    subprocess.run(
        [sys.executable, "-m", "kcfix", *argv, "missing", "--timeout", "2s", "--brokers", "127.0.0.1:1"],
        cwd=folder,
        env={
            "HOME": str(folder),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(kcfix.__file__).parents[1]),
            "KCFIX_DOCKER_HOST": f"unix://{folder}/none.sock",
            **variables,
        },
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("argv", [(), ("-C", "prod")])
def test_pghostaddr_leads_no_dsn_away_from_its_host(
    tmp_path: Path, listeners: tuple[socket.socket, socket.socket], argv: tuple[str, ...]
) -> None:
    meant, stray = listeners
    dsn = f"postgresql://u@127.0.0.1:{meant.getsockname()[1]}/kc?sslmode=disable"
    ask(tmp_path, *argv, dsn=dsn, PGHOSTADDR="127.0.0.2")
    assert (called(meant), called(stray)) == (True, False)


@pytest.mark.parametrize(("argv", "comes"), [((), True), (("-C", "prod"), False)])
def test_pghost_fills_in_for_the_default_context_only(
    tmp_path: Path, listeners: tuple[socket.socket, socket.socket], argv: tuple[str, ...], comes: bool
) -> None:
    _, stray = listeners
    ask(tmp_path, *argv, dsn=f"postgresql://:{stray.getsockname()[1]}/kc", PGHOST="127.0.0.2")
    assert called(stray) is comes
