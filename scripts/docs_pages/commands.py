"""docs/commands.md: what `--help` says, for every command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from docs_pages import NOTE

WIDTH = 90


def walk(command: Any, path: str) -> Iterator[tuple[str, str, bool]]:
    """Path, help and whether it has subcommands, for the command and all below it, without the shared options."""
    import typer

    from kcfix.cli.options import SHARED

    ctx = typer.Context(command, info_name=path, terminal_width=WIDTH, help_option_names=["-h", "--help"])
    text = command.get_help(ctx)
    names = list(command.list_commands(ctx)) if hasattr(command, "list_commands") else []
    own = text if path == "kcfix" else text.split(f"\n{SHARED}:")[0].rstrip()
    yield path, own, bool(names)
    for name in names:
        child = command.get_command(ctx, name) if hasattr(command, "get_command") else command.commands[name]
        yield from walk(child, f"{path} {name}")


def commands() -> str:
    """docs/commands.md."""
    from kcfix.cli.app import root

    parts = [
        NOTE,
        "# Commands\n",
        "What `--help` says, for every command. The options of every command stand once, under `kcfix`; they may be "
        "given before or after the command's name, and the later one counts. `kcfix` alone prints its help (exit 0).\n",
        EXIT_CODES,
    ]
    for path, text, _ in walk(root(), "kcfix"):
        parts.append(f"{'##' if path.count(' ') < 2 else '###'} {path}\n\n```text\n{text.strip()}\n```\n")
    return "\n".join(parts)


EXIT_CODES = """## Exit codes

They are in [errors.md](errors.md); which of them a command uses when is decided in [decisions.md](decisions.md), 5.
"""
