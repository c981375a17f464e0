"""The manual page, made from the parser: what `--help` says of every command, in the form that `man` wants."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

Row = tuple[str, str]


def man_page(*, version: str, date: str, exit_codes: Iterable[Row], variables: Iterable[Row]) -> str:
    """kcfix.1 in the man macros of roff."""
    import typer

    from kcfix.cli.app import root

    parser = root()
    ctx = typer.Context(parser, info_name="kcfix", help_option_names=["-h", "--help"])
    first, _, more = parser.help.partition("\n\n")
    lines = [
        '.\\" Made by scripts/generate_docs.py from the code: change the code, then run `make docs`.',
        f'.TH KCFIX 1 "{date}" "kcfix {version}" "User Commands"',
        ".SH NAME",
        f"kcfix \\- {_text(first[:1].lower() + first[1:].rstrip('.'))}",
        ".SH SYNOPSIS",
        ".B kcfix",
        r"[\fIOPTIONS\fR] \fICOMMAND\fR [\fIARGS\fR]...",
        ".SH DESCRIPTION",
        *_prose(more),
        ".SH COMMANDS",
        "Options of every command stand once, under OPTIONS; they may be given before or after the command's name.",
    ]
    for name in parser.list_commands(ctx):
        lines += _command(parser.get_command(ctx, name), f"kcfix {name}", ctx)
    lines += [".SH OPTIONS", *_records(parser, ctx)]
    lines += [".SH EXIT STATUS", *(line for code, text in exit_codes for line in _item(code, text))]
    lines += [".SH ENVIRONMENT", *(line for name, text in variables for line in _item(name, text))]
    lines += [".SH FILES"]
    for path, text in FILES:
        lines += _item(path, text)
    return "\n".join(lines) + "\n"


FILES = (
    ("./kcfix.toml", "Settings of the working folder."),
    ("~/.config/kcfix/config.toml", "The user's own settings; in $XDG_CONFIG_HOME where that is set."),
    (
        "~/.local/state/kcfix/",
        "Journal, acknowledgements, drills, …; in $XDG_STATE_HOME where that is set.",
    ),
    ("~/.cache/kcfix/names/", "Names for the shell's completion; in $XDG_CACHE_HOME where that is set."),
)


def _command(command: Any, path: str, parent: Any) -> Iterator[str]:
    """A command and all below it."""
    import typer

    from kcfix.cli.options import SHARED

    ctx = typer.Context(command, info_name=path, help_option_names=["-h", "--help"])
    usage = " ".join(word for word in command.collect_usage_pieces(ctx) if word != SHARED)
    yield f'.SS "{_quoted(path)}"'
    yield f".B {_text(path)}"
    yield f"\\fI{_text(usage)}\\fR"
    yield ".PP"
    yield from _prose(command.help)
    yield from _records(command, ctx, shared=False)
    for name in command.list_commands(ctx) if hasattr(command, "list_commands") else ():
        yield from _command(command.get_command(ctx, name), f"{path} {name}", ctx)


def _records(command: Any, ctx: Any, *, shared: bool = True) -> Iterator[str]:
    """Arguments and options, each with what it is for."""
    from kcfix.cli.options import _parameters, _shared

    common = {id(param) for param in _parameters(_shared)}
    for param in command.get_params(ctx):
        if not shared and (id(param) in common or "--help" in param.opts):
            continue
        record = param.get_help_record(ctx)
        if record is not None:
            yield from _item(*record)


def _item(term: str, text: str) -> Iterator[str]:
    yield ".TP"
    yield f".B {_text(term)}"
    yield _text(" ".join(text.split())) or "\\&"


def _prose(text: str) -> Iterator[str]:
    r"""Paragraphs; a block that keeps its lines begins with a `\b`, as the parser's own help has it."""
    for number, block in enumerate(re.split(r"\n\s*\n", text.strip())):
        if number:
            yield ".PP"
        if block.startswith("\b\n"):
            heading, *examples = block.removeprefix("\b\n").splitlines()
            yield _text(heading)
            yield ".RS 4"
            yield ".EX"
            yield from (_text(line.strip()) for line in examples)
            yield ".EE"
            yield ".RE"
        else:
            yield _text(" ".join(block.split()))


SIGNS = {"\\": "\\e", "-": "\\-", "`": "\\(ga", "'": "\\(aq", "~": "\\(ti", "^": "\\(ha", "…": "..."}
"""What roff would print as something else than can be pasted."""


def _text(text: str) -> str:
    """Text in which nothing is a request: backslashes, hyphens that are to be copied, and dots at the beginning."""
    escaped = "".join(SIGNS.get(sign, sign) for sign in text)
    return f"\\&{escaped}" if escaped.startswith(".") else escaped


def _quoted(text: str) -> str:
    return _text(text).replace('"', "\\(dq")
