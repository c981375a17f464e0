"""The shell's completion, in real shells where they are installed: commands, options, names, and no complaint."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import kcfix
from kcfix.cli.app import root
from kcfix.cli.completing_shells import joined

Complete = Callable[..., list[str]]

ROOT = Path(kcfix.__file__).parents[1]
NAMED = {
    "GROUP": "complete_group",
    "TOPIC": "complete_topic",
    "T[:P,…]": "complete_topic",
    "T:P": "complete_topic",
    "WORKER": "complete_worker",
    "RUN": "complete_run",
    "[FAULT]": "complete_fault",
    "[FAULT]...": "complete_fault",
    "CODE": "complete_code",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a `kcfix` on its path, contexts and drills."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "kcfix"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m kcfix "$@"\n')
    script.chmod(0o755)
    (tmp_path / ".config" / "kcfix").mkdir(parents=True)
    (tmp_path / ".config" / "kcfix" / "config.toml").write_text(
        '[contexts.prod]\nbrokers = "127.0.0.1:1"\ndocker_host = "unix:///nowhere.sock"\n'
        '[contexts.preview]\n[contexts."$(touch broken)"]\n'
    )
    for name in ("drill", "night"):
        folder = tmp_path / ".local" / "state" / "kcfix" / "drill" / name
        folder.mkdir(parents=True)
        (folder / "context.toml").write_text('brokers = ["127.0.0.1:1"]\n')
    (tmp_path / "work").mkdir()
    return tmp_path


def environment(home: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "PATH": f"{home}/bin:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "TERM": "dumb",
        "LC_ALL": "C.UTF-8",
        "KCFIX_DOCKER_HOST": f"unix://{home}/none.sock",
    }


def shell(home: Path, *argv: str) -> str:
    """What the shell writes; it has no complaint."""
    ran = subprocess.run(
        argv, cwd=home / "work", env=environment(home), capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.stderr == ""
    return ran.stdout


@pytest.fixture
def bash(home: Path) -> Complete:
    """What bash would offer for these words, the last of which is being written."""
    if shutil.which("bash") is None:
        pytest.skip("no bash here")

    def complete(*words: str) -> list[str]:
        array = " ".join(shlex.quote(word) for word in words)
        code = (
            "source <(kcfix completion bash)\n"
            f"COMP_WORDS=({array}); COMP_CWORD={len(words) - 1}\n"
            '_kcfix_completion kcfix\nprintf "%s\\n" "${COMPREPLY[@]}"\n'
        )
        return shell(home, "bash", "--norc", "-c", code).splitlines()

    return complete


def test_bash_completes_commands_options_and_choices(bash: Complete) -> None:
    assert bash("kcfix", "conf") == ["config"]
    assert bash("kcfix", "lag", "--gr") == ["--group"]
    assert bash("kcfix", "lag", "-o", "js") == ["json", "jsonl"]
    assert bash("kcfix", "config", "") == ["check", "init", "show"]


def test_bash_completes_names_that_no_server_is_asked_for(bash: Complete) -> None:
    assert bash("kcfix", "-C", "pr") == ["preview", "prod"]
    assert bash("kcfix", "lag", "--context", "pro") == ["prod"]
    assert bash("kcfix", "explain", "W00")[:2] == ["W001", "W002"]
    assert bash("kcfix", "restart", "purch") == ["purchase-worker", "purchase"]
    assert bash("kcfix", "drill", "status", "--name", "") == ["drill", "night"]
    deadline = time.monotonic() + 60
    while "worker-stopped" not in bash("kcfix", "drill", "break", "worker-s"):
        # A busy machine took longer to look them up than the shell waits: they are there the next time.
        assert time.monotonic() < deadline
        time.sleep(1)


def test_what_bash_takes_apart_at_a_colon_is_put_together(bash: Complete) -> None:
    # bash itself makes three words of `drill:ni`, and replaces the last of them only.
    assert bash("kcfix", "-C", "drill", ":", "ni") == ["night"]
    assert bash("kcfix", "-C", "drill", ":") == ["night"]
    assert joined(["kcfix", "-C", "drill", ":", "night", "lag", ""]) == (["-C", "drill:night", "lag"], "")
    assert joined(["kcfix", "lag", "--brokers", "a", ":", "1", "-g", "'my gr"]) == (
        ["lag", "--brokers", "a:1", "-g"],
        "my gr",
    )


@pytest.mark.parametrize(
    "words",
    [
        ("lag", "-g", ""),
        ("-C", "prod", "lag", "-g", ""),
        ("-C", "no-such-context", "lag", "-g", ""),
        ("logs", "--brokers", "nonsense", "x"),
        ("-C", "prod", "undo", ""),
        ("lag", "--no-such-option", ""),
    ],
)
def test_where_nothing_answers_it_is_silent(bash: Complete, words: tuple[str, ...]) -> None:
    assert bash("kcfix", *words) in ([""], [])


def test_a_settings_file_that_can_not_be_read_is_no_reason_for_words(bash: Complete, home: Path) -> None:
    (home / "work" / "kcfix.toml").write_text("no [toml")
    assert bash("kcfix", "lag", "-g", "") in ([""], [])
    assert bash("kcfix", "-C", "") in ([""], [])


def test_a_server_that_accepts_and_hangs_is_left_alone_after_the_first_time(bash: Complete, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        words = ("kcfix", "lag", "--brokers", f"127.0.0.1:{server.getsockname()[1]}", "-g", "")
        assert bash(*words) in ([""], [])
        for file in (home / ".cache" / "kcfix" / "names").iterdir():
            assert file.stat().st_mode & 0o077 == 0
        calls = _calls(server)
        assert calls >= 1
        assert bash(*words) in ([""], [])
        assert _calls(server) == 0


def _calls(server: Any) -> int:
    count = 0
    while True:
        try:
            server.accept()[0].close()
        except TimeoutError:
            return count
        count += 1


def test_fish_completes_with_what_each_command_is_for(home: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("no fish here")

    def complete(line: str) -> list[str]:
        code = f"kcfix completion fish | source; complete -C {shlex.quote(line)}"
        return shell(home, "fish", "--no-config", "-c", code).splitlines()

    assert [line.partition("\t")[0] for line in complete("kcfix conf")] == ["config"]
    assert "\tShow how far" in complete("kcfix la")[0]
    assert complete("kcfix lag -C pr") == ["preview", "prod"]
    assert complete("kcfix -C drill:n") == ["drill:night"]
    assert complete("kcfix -C prod lag -g ") == []


@pytest.fixture
def zsh(home: Path) -> Iterator[Callable[..., str]]:
    """What zsh writes at its terminal when a line and TAB are typed, until these signs are seen."""
    if shutil.which("zsh") is None:
        pytest.skip("no zsh here")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(home / "work")
        os.execvpe("zsh", ["zsh", "-f"], {**environment(home), "PS1": "READY> ", "ZDOTDIR": str(home)})  # noqa: S606

    def read_until(*signs: str, seconds: float = 60) -> str:
        text, deadline = "", time.monotonic() + seconds
        while not all(sign in text for sign in signs) and time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.1)[0]:
                try:
                    text += os.read(terminal, 65536).decode(errors="replace")
                except OSError:
                    break
        return text

    def typed(line: str, *signs: str) -> str:
        os.write(terminal, line.encode() + b"\t")
        seen = read_until(*signs)
        os.write(terminal, b"\x15\n")
        read_until("READY>")
        return seen

    try:
        read_until("READY>")
        os.write(terminal, b"autoload -U compinit; compinit -u; source <(kcfix completion zsh); print LOA''DED\n")
        assert "LOADED" in read_until("LOADED")
        yield typed
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def test_zsh_completes_at_its_terminal(zsh: Callable[..., str], home: Path) -> None:
    for line, signs in (
        ("kcfix conf", ("kcfix config ",)),
        ("kcfix -C pr", ("preview", "prod")),
        ("kcfix -C drill:n", ("drill:night",)),
        ("kcfix lag --gr", ("--group",)),
    ):
        seen = zsh(line, *signs)
        assert all(sign in seen for sign in signs), seen
    assert not (home / "work" / "broken").exists()


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(run: Callable[..., Any], name: str) -> None:
    ran = run("completion", name)
    assert (ran.code, ran.err) == (0, "")
    assert "_KCFIX_COMPLETE=complete_" + name in ran.out


def test_another_shell_is_a_usage_error(run: Callable[..., Any]) -> None:
    assert run("completion", "tcsh").code == 2


def test_everything_that_takes_such_a_name_completes_it() -> None:
    missing = []

    def walk(command: Any, path: str) -> None:
        for param in command.params:
            wanted = NAMED.get(str(param.metavar)) or ("complete_context" if "-C" in param.opts else None)
            if wanted is not None and param._custom_shell_complete is None:
                missing.append(f"{path} {param.name}")
        names = command.list_commands(None) if hasattr(command, "list_commands") else ()
        for name in names:
            walk(command.get_command(None, name), f"{path} {name}")

    walk(root(), "kcfix")
    assert missing == []
