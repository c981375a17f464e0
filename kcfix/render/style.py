"""How to write: the format, whether in colour, how wide. Decided once per run from flags and terminal."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass


class Format(enum.StrEnum):
    """The formats of `-o`. Written by hand, for Typer needs it; a test holds it against the table of writers."""

    TABLE = "table"
    PLAIN = "plain"
    JSON = "json"
    JSONL = "jsonl"
    MARKDOWN = "markdown"
    CSV = "csv"

    @property
    def of_data(self) -> bool:
        """Whether it shows a view's data and none of its sections."""
        return self in (Format.JSON, Format.JSONL, Format.CSV)


class When(enum.StrEnum):
    """When to use colour."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Style:
    """The choices for one run."""

    format: Format
    color: bool = False
    width: int | None = None
    """Columns of the terminal; None: no limit."""
    quiet: bool = False
    scrub: Callable[[str], str] = str
    """Takes secrets out of every text that is written."""


def wants_color(when: When, environ: Mapping[str, str], *, tty: bool) -> bool:
    """Whether to colour.

    `--color always|never` wins; then NO_COLOR, FORCE_COLOR (set and not empty), TERM=dumb; then whether stdout is a
    terminal.
    """
    if when is not When.AUTO:
        return when is When.ALWAYS
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return environ["FORCE_COLOR"] != "0"
    return tty and environ.get("TERM") != "dumb"


def is_text(chosen: Format) -> bool:
    """Whether the format is for people, who also want titles, notes and the next command."""
    return chosen in (Format.TABLE, Format.PLAIN, Format.MARKDOWN)


def style_of(
    given: Mapping[str, object], environ: Mapping[str, str], *, tty: bool, scrub: Callable[[str], str] = str
) -> Style:
    """The style from what was given of the shared options (`json`, `output`, `color`, `no_color`, `quiet`)."""
    usual = Format.TABLE if tty else Format.PLAIN
    chosen = Format.JSON if given.get("json") else Format(str(given.get("output") or usual))
    when = When.NEVER if given.get("no_color") else When(str(given.get("color") or When.AUTO))
    return Style(
        format=chosen,
        color=wants_color(when, environ, tty=tty),
        width=terminal_width(environ) if tty else None,
        quiet=bool(given.get("quiet")),
        scrub=scrub,
    )


def terminal_width(environ: Mapping[str, str], descriptor: int = 1) -> int:
    """Columns of the terminal behind a file descriptor: COLUMNS, else what the terminal says, else 80."""
    columns = environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(descriptor).columns or 80
    except OSError:
        return 80
