"""An engine behind ssh: a program that plays ssh forwards the socket, or says what ssh says when it can't."""

from __future__ import annotations

import os
import stat
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kcfix.adapters.docker import open_docker
from kcfix.errors import AccessDenied, Unreachable, UsageError
from tests.contract.test_docker_socket import Engine, engine, reply

__all__ = ["engine"]
Play = Callable[[str], None]
_FORWARD = """
words = sys.argv[1:]
near, _, far = words[words.index("-L") + 1].partition(":")
assert words[-1] == "cat", words
open(os.environ["TOLD"], "w").write("\\n".join(words))
listener = socket.socket(socket.AF_UNIX)
listener.bind(near)
listener.listen(20)
def pass_on(a, b):
    try:
        while piece := a.recv(65536):
            b.sendall(piece)
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass
def serve():
    while True:
        one, _ = listener.accept()
        other = socket.socket(socket.AF_UNIX)
        other.connect(os.environ["ENGINE"])
        for pair in ((one, other), (other, one)):
            threading.Thread(target=pass_on, args=pair, daemon=True).start()
threading.Thread(target=serve, daemon=True).start()
sys.stdin.read()
os.remove(os.environ["TOLD"])
"""


@pytest.fixture
def plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Let `ssh` on the path be a program of so many lines."""

    def make(lines: str) -> None:
        program = tmp_path / "bin" / "ssh"
        program.parent.mkdir()
        head = f"#!{sys.executable} -I\nimport os, socket, sys, threading, time\n"
        program.write_text(head + textwrap.dedent(lines))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        monkeypatch.setenv("TOLD", str(tmp_path / "told"))

    return make


def test_an_engine_behind_ssh_is_asked_and_let_go_of(
    engine: Engine, plays: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plays(_FORWARD)
    monkeypatch.setenv("ENGINE", engine.url.removeprefix("unix://"))
    engine.answers["/containers/json"] = reply([])
    docker = open_docker("ssh://op@docker.example.com:2222", 5)
    assert docker.containers() == ()
    assert "GET /containers/json" in engine.asked
    words = (tmp_path / "told").read_text().splitlines()
    assert words[-4:] == ["-p", "2222", "op@docker.example.com", "cat"]
    assert "BatchMode=yes" in words
    assert words[words.index("-L") + 1].endswith("/docker.sock:/var/run/docker.sock")
    docker.close()
    deadline = time.monotonic() + 5
    while Path(words[words.index("-L") + 1].partition(":")[0]).exists():
        assert time.monotonic() < deadline, "the socket is still there"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("op@docker.example.com: Permission denied (publickey).", AccessDenied),
        ("Host key verification failed.", AccessDenied),
        ("ssh: Could not resolve hostname docker.example.com: Name or service not known", Unreachable),
        ("ssh: connect to host docker.example.com port 22: Connection refused", Unreachable),
    ],
)
def test_what_ssh_says_is_told(plays: Play, said: str, kind: type[Unreachable]) -> None:
    plays(f"sys.stderr.write({said!r} + chr(10)); sys.exit(255)")
    with pytest.raises(kind) as caught:
        open_docker("ssh://op@docker.example.com", 5)
    assert type(caught.value) is kind
    assert f"ssh://op@docker.example.com can't be reached by ssh: {said}" in caught.value.message
    assert caught.value.hint == "try it by itself: ssh op@docker.example.com"


def test_an_ssh_that_hangs_is_left_at_the_deadline(plays: Play) -> None:
    plays("time.sleep(60)")
    started = time.monotonic()
    with pytest.raises(Unreachable, match=r"did not come through within 0.5 s"):
        open_docker("ssh://docker.example.com", 0.5)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("host", ["ssh://", "ssh://-oProxyCommand=id", "ssh://op:word@host", "ssh://host:port"])
def test_a_host_that_is_none_is_a_matter_of_usage(host: str) -> None:
    with pytest.raises(UsageError, match="can't use the Docker host"):
        open_docker(host, 5)
