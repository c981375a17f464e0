"""What an unparsed command line seems to ask for: its format and its command, for the error that says why it failed."""

from __future__ import annotations

from collections.abc import Sequence

from kcfix.render.style import Format

VARIABLE = "_KCFIX_COMPLETE"
"""Set by the shell's script when it wants to know how a line could go on."""


def format_in(argv: Sequence[str]) -> Format | None:
    """The format that the words ask for, as far as they can be understood."""
    found: Format | None = None
    for number, word in enumerate(argv):
        value = None
        if word == "--":
            break
        if word == "--json":
            value = "json"
        elif word in ("-o", "--output") and number + 1 < len(argv):
            value = argv[number + 1]
        elif word.startswith("--output="):
            value = word.partition("=")[2]
        elif word.startswith("-o") and not word.startswith("--"):
            value = word[2:].removeprefix("=")
        if value in list(Format):
            found = Format(value)
    return found


def command_in(argv: Sequence[str]) -> str:
    """The command that the words name; `kcfix` where there is none."""
    from kcfix.cli.app import COMMANDS

    names = {entry.name for entry in COMMANDS}
    return next((word for word in argv if word in names), "kcfix")
