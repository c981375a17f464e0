"""The process: signals, and systems that accept a connection and never answer."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import kcfix
from tests.schemas import check_document


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that lets everyone connect and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        server.settimeout(30)
        yield server


def environment(home: Path) -> dict[str, str]:
    """That of the process: a home of its own, and this kcfix."""
    return {"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(kcfix.__file__).parents[1])}


@contextmanager
def start(tmp_path: Path, server: socket.socket, *argv: str) -> Iterator[subprocess.Popen[str]]:
    """Kcfix on the silent server, without Docker; killed at the end if it is still there."""
    port = server.getsockname()[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "kcfix", *argv, "-o", "json", "--brokers", f"127.0.0.1:{port}"),
            *("--docker-host", f"unix://{tmp_path}/none.sock"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**environment(tmp_path), "KCFIX_DSN": f"postgresql://u:made-up-word@127.0.0.1:{port}/kc"},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("command", "number", "code"), [("lag", signal.SIGINT, 130), ("status", signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_that_waits_for_a_silent_system(
    tmp_path: Path, silent: socket.socket, command: str, number: signal.Signals, code: int
) -> None:
    with start(tmp_path, silent, command, "--timeout", "60s") as process:
        connection, _ = silent.accept()
        time.sleep(0.2)
        assert process.poll() is None
        sent = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        connection.close()
    assert process.returncode == code
    assert time.monotonic() - sent < 10
    assert [e["code"] for e in json.loads(out)["errors"]] == [code]
    assert len(err.splitlines()) == 1


def test_a_system_that_accepts_and_never_answers_is_4_within_the_deadline(
    tmp_path: Path, silent: socket.socket
) -> None:
    commands = (("lag",), ("topics",), ("status",), ("repair", "00000000-0000-4000-8000-000000000001"))
    started = time.monotonic()
    with ExitStack() as stack:
        processes = [stack.enter_context(start(tmp_path, silent, *argv, "--timeout", "1s")) for argv in commands]
        for process in processes:
            out, err = process.communicate(timeout=60)
            assert process.returncode == 4
            document = json.loads(out)
            check_document(document)
            assert document["ok"] is False
            assert "Traceback" not in err
            assert "made-up-word" not in out + err
    assert time.monotonic() - started < 30


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("argv", [("--help",), ("--version",), ("repair", "--help"), ("config", "show")])
def test_a_full_standard_output_is_no_bug(tmp_path: Path, argv: tuple[str, ...], unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "kcfix", *argv],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**environment(tmp_path), "PYTHONUNBUFFERED": unbuffered},
            timeout=60,
            check=False,
        )
    assert done.returncode == 4
    assert done.stderr == "kcfix: can't write to standard output: No space left on device\n"


def test_a_drill_whose_folder_can_not_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    done = subprocess.run(
        [sys.executable, "-m", "kcfix", "drill", "up"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(tmp_path / "file"),
        timeout=60,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (5, False)
    assert "Not a directory" in done.stderr
