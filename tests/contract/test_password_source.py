"""Passwords from files and commands: the first line, without a word of it in any error."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kcfix.adapters.password_source import password_in_file, password_of_command
from kcfix.core.redact import redact
from kcfix.errors import Unreachable

WORD = "made-up-word"


def of_command(*words: str, timeout: float = 20) -> str:
    return password_of_command(
        words, environ=os.environ, timeout=timeout, setting="password_command", system="database"
    )


def in_file(path: Path) -> str:
    return password_in_file(path, setting="password_file", system="database")


@pytest.mark.parametrize("data", [f"{WORD}\n", WORD, f"{WORD}\r\nuser: x\n", f"{WORD}\n\n"])
def test_it_is_the_first_line(tmp_path: Path, data: str) -> None:
    (tmp_path / "p").write_bytes(data.encode())
    assert in_file(tmp_path / "p") == WORD
    assert of_command("/bin/sh", "-c", 'printf %s "$0"', data) == WORD


def test_blanks_belong_to_it(tmp_path: Path) -> None:
    (tmp_path / "p").write_text(" pässword \n")
    assert in_file(tmp_path / "p") == " pässword "


@pytest.mark.parametrize("data", [b"", b"\nmade-up-word\n", b"made\0up\n", b"\xff\xfe\n"])
def test_no_password_is_an_error_that_quotes_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "p").write_bytes(data)
    with pytest.raises(Unreachable) as caught:
        in_file(tmp_path / "p")
    assert "password_file" in caught.value.message
    assert "made" not in caught.value.message
    assert caught.value.system == "database"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"can't read .*none .password_file.: No such file"):
        in_file(tmp_path / "none")


def test_a_command_that_fails_is_told_with_its_last_words_and_without_its_output() -> None:
    with pytest.raises(Unreachable) as caught:
        of_command("/bin/sh", "-c", f"echo {WORD}; echo 'gpg: no key' >&2; exit 3")
    assert caught.value.message == "/bin/sh (password_command) ended with 3: gpg: no key"


def test_a_command_that_is_not_there_is_told() -> None:
    with pytest.raises(Unreachable, match=r"nowhere-at-all .password_command. can't be started: No such file"):
        of_command("nowhere-at-all")


def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    with pytest.raises(Unreachable, match="did not end within 2 s"):
        of_command("/bin/sh", "-c", f"sleep 600 & echo $! > {mark}; wait", timeout=2)
    child = int(mark.read_text())
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or "\nState:\tZ" in Path(f"/proc/{child}/status").read_text():
            return
        time.sleep(0.05)
    pytest.fail("what the command started still runs")


def test_nothing_is_read_from_the_terminal() -> None:
    assert of_command("/bin/sh", "-c", f"cat; echo {WORD}") == WORD


def test_masking_leaves_the_words_whole(tmp_path: Path) -> None:
    with pytest.raises(Unreachable) as command:
        of_command("nowhere-at-all")
    with pytest.raises(Unreachable) as file:
        in_file(tmp_path / "none")
    for caught in (command, file):
        assert redact(caught.value.message) == caught.value.message
