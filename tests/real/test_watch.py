"""`kcfix watch` in a real terminal, narrow and wide: servers are killed and come back, and Ctrl-C leaves it clean."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kcfix.drill.buy import buy
from kcfix.drill.engine import Engine
from kcfix.drill.faults import break_, mend
from kcfix.drill.state import KAFKA, POSTGRES, Drill
from tests.real.conftest import AFTER_A_BROKER_RESTART, Kcfix, eventually


class Terminal:
    """A terminal that a person might sit at: tmux with a shell in it."""

    def __init__(self, folder: Path, columns: int, lines: int = 40) -> None:
        self.socket = str(folder / "tmux")
        self.columns = columns
        inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "TMUX")}
        environ = {**inherited, "PS1": "$ ", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
        size = ("-x", str(columns), "-y", str(lines))
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, "bash --norc --noprofile", environ=environ)

    def _tmux(self, *words: str, environ: dict[str, str] | None = None) -> str:
        return subprocess.run(
            ["tmux", "-S", self.socket, *words], env=environ, capture_output=True, text=True, check=True, timeout=20
        ).stdout

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-l", text)
        self._tmux("send-keys", "Enter")

    def press(self, key: str) -> None:
        self._tmux("send-keys", key)

    def resize(self, columns: int, lines: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(lines))

    @property
    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    @property
    def all(self) -> str:
        """With what was scrolled away."""
        return self._tmux("capture-pane", "-p", "-S", "-500")

    def says(self, name: str) -> str:
        """What tmux knows of the terminal, e.g. `alternate_on` or `cursor_flag`."""
        return self._tmux("display-message", "-p", f"#{{{name}}}").strip()

    def close(self) -> None:
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True, check=False, timeout=20)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[[int], Terminal]]:
    """Opens terminals of so many columns."""
    opened: list[Terminal] = []

    def open_one(columns: int) -> Terminal:
        opened.append(Terminal(tmp_path, columns))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def started(terminal: Terminal, kcfix: Kcfix) -> None:
    words = [sys.executable, "-m", "kcfix", "-C", str(kcfix.context), "watch", "--every", "1s"]
    root = Path(__file__).resolve().parents[2]
    terminal.type(f"cd {shlex.quote(str(kcfix.folder))}; export PYTHONPATH={shlex.quote(str(root))}; clear")
    terminal.type(shlex.join(words))
    eventually(lambda: "look 3 since" in terminal.screen, seconds=60)


@pytest.mark.parametrize("columns", [80, 200])
def test_a_server_is_killed_and_comes_back_and_ctrl_c_leaves_the_terminal_clean(
    terminal: Callable[[int], Terminal], kcfix: Kcfix, whole: Drill, engine: Engine, columns: int
) -> None:
    at = terminal(columns)
    started(at, kcfix)
    assert (at.says("alternate_on"), at.says("cursor_flag")) == ("1", "0")
    assert re.search(r"^purchase +(WORKING|IDLE|UNPROVEN)", at.screen, re.MULTILINE), at.screen
    assert max(map(len, at.screen.splitlines())) <= columns

    engine.kill(whole, POSTGRES)
    eventually(lambda: "database UNKNOWN since" in at.screen, seconds=30)
    assert "payments without a purchase: UNKNOWN" in at.screen
    engine.start(whole, POSTGRES)
    eventually(lambda: "database answers again, after" in at.screen, seconds=60)
    eventually(lambda: "payments without a purchase: " in at.screen and "UNKNOWN since" not in at.screen, seconds=60)

    engine.kill(whole, KAFKA)
    eventually(lambda: "kafka UNKNOWN since" in at.screen, seconds=30)
    engine.start(whole, KAFKA)
    eventually(lambda: "UNKNOWN since" not in at.screen, seconds=AFTER_A_BROKER_RESTART)

    at.press("C-c")
    eventually(lambda: "watched for" in at.screen, seconds=15)
    assert (at.says("alternate_on"), at.says("cursor_flag")) == ("0", "1")
    assert "database answers again, after" in at.all
    assert "kafka answers again, after" in at.all
    at.type("echo code $?; stty -a | grep -c -- ' echo '")
    eventually(lambda: re.search(r"^code 130\n1$", at.screen, re.MULTILINE), seconds=10)


def test_a_term_signal_leaves_the_terminal_clean_as_well(
    terminal: Callable[[int], Terminal], kcfix: Kcfix, whole: Drill
) -> None:
    at = terminal(80)
    started(at, kcfix)
    shell = int(at.says("pane_pid"))
    children = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGTERM)
    eventually(lambda: at.says("alternate_on") == "0", seconds=15)
    assert at.says("cursor_flag") == "1"
    assert "watched for" in at.screen


def test_a_shell_that_it_is_suspended_to_has_its_own_screen_and_a_cursor(
    terminal: Callable[[int], Terminal], kcfix: Kcfix, whole: Drill
) -> None:
    at = terminal(80)
    started(at, kcfix)
    at.press("C-z")
    eventually(lambda: "Stopped" in at.screen, seconds=10)
    assert (at.says("alternate_on"), at.says("cursor_flag")) == ("0", "1")
    at.type("fg")
    eventually(lambda: at.says("alternate_on") == "1" and re.search(r"look \d+ since", at.screen), seconds=10)
    at.press("C-c")
    eventually(lambda: "watched for" in at.screen, seconds=15)


def test_a_terminal_that_changes_its_size_is_drawn_anew(
    terminal: Callable[[int], Terminal], kcfix: Kcfix, whole: Drill
) -> None:
    at = terminal(200)
    started(at, kcfix)
    at.resize(80, 24)
    eventually(lambda: re.search(r"^purchase +", at.screen, re.MULTILINE), seconds=10)
    assert max(map(len, at.screen.splitlines())) <= 80
    assert len(at.screen.splitlines()) <= 24


def test_what_breaks_while_it_is_watched_is_shown(
    terminal: Callable[[int], Terminal], kcfix: Kcfix, whole: Drill
) -> None:
    at = terminal(80)
    started(at, kcfix)
    # A worker that has handled nothing yet is UNPROVEN; and the test before may have killed the broker: then the group
    # is stable again only after the old session has ended.
    buy(whole, 3)
    settled = re.compile(r"^purchase +(WORKING|IDLE) ", re.MULTILINE)
    eventually(lambda: settled.search(at.screen), seconds=AFTER_A_BROKER_RESTART)
    break_(whole, "worker-stopped")
    eventually(lambda: re.search(r"^purchase +NOT_WORKING", at.screen, re.MULTILINE), seconds=60)
    eventually(lambda: "group purchase-creation-workers: STABLE -> EMPTY" in at.screen, seconds=30)
    mend(whole)
    eventually(lambda: "group purchase-creation-workers: EMPTY -> STABLE" in at.screen, seconds=90)


def test_through_a_pipe_it_streams_one_object_a_look(kcfix: Kcfix, whole: Drill) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "kcfix", "-C", str(kcfix.context), "watch", "--every", "1s", "-o", "jsonl"],
        cwd=kcfix.folder,
        env={**os.environ, **kcfix.environ},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    rows = [json.loads(process.stdout.readline()) for _ in range(3)]
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    process.stdout.close()
    assert [row["look"] for row in rows] == [1, 2, 3]
    assert all(row["silent"] == [] for row in rows)
    assert {w["worker"] for w in rows[0]["workers"]} >= {"purchase-worker", "allocation-worker", "session-worker"}
