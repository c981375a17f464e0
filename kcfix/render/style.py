"""How to write: the format, whether in colour, how wide. Decided once per run from flags and terminal."""

from __future__ import annotations

import enum
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
