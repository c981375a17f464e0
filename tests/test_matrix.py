"""The fault matrix has every command, and its page says what it says by its rules."""

from __future__ import annotations

from typing import Any

from kcfix.cli.app import root
from tests.real.matrix_cells import WANTED, changing_cells, reading_cells
from tests.real.matrix_commands import READING, Change
from tests.real.matrix_faults import FAULTS, System
from tests.real.matrix_page import PAGE, page

NOT_PLAYED = {"drill", "monitor", "watch", "restart", "dlq park", "completion"}
"""A drill is a rehearsal. `restart` is played as a dry run; tests/real/test_restart.py breaks what it changes. Parking
writes a file of kcfix's own and reads what `dlq show` reads. `monitor` does not end: tests/real/test_monitor.py lets
its servers hang and come back. `watch` never ends either, and goes by the readings of `lag` and `missing`: servers are
killed under it in tests/real/test_watch.py. `completion` prints a script and asks nobody; what the script asks is
played in tests/real/test_completion.py. `probe` is played as a dry run; tests/real/test_probe.py kills it."""


def leaves(command: Any, words: str = "") -> list[str]:
    """The commands of the command line that have no subcommands."""
    if not hasattr(command, "list_commands"):
        return [words.strip()]
    below = {name: command.get_command(None, name) for name in command.list_commands(None)}
    return [leaf for name, c in below.items() for leaf in leaves(c, f"{words} {name}")]


def test_every_command_is_a_row() -> None:
    played = [c.words for c in READING] + [c.words for c in Change]
    commands = [leaf for leaf in leaves(root()) if leaf.split()[0] not in NOT_PLAYED and leaf not in NOT_PLAYED]
    assert len(commands) > 20
    missing = [name for name in commands if not any(f"{words} ".startswith(f"{name} ") for words in played)]
    assert missing == []


def test_the_suites_part_has_every_fault_of_every_system() -> None:
    assert not WANTED
    seen = {(system, fault.name) for _, system, fault in reading_cells() if system and fault}
    wanted = {(s, f.name) for s in System for f in FAULTS if f.fits(s)}
    assert wanted <= seen
    assert {change for change, _, _ in changing_cells()} >= set(Change) - {Change.LETTER}


def test_the_page_has_a_row_for_every_command_and_tells_what_went_wrong() -> None:
    row = {"command": "lag", "system": "Kafka", "fault": "hangs", "code": 4, "seconds": 3.0, "wrong": ["late"]}
    text = page([row])
    assert text.count("| `lag` |") == len(System)
    assert " 4 ! |" in text
    assert "1 of them wrong" in text


def test_the_page_in_the_documents_is_of_these_commands_and_has_nothing_wrong() -> None:
    text = PAGE.read_text()
    for name in (*(c.name for c in READING), *(c.shown for c in Change)):
        assert f"| `{name}` |" in text
    assert all(f"| {fault.name} | {fault.what} |" in text for fault in FAULTS)
    assert " ! |" not in text
