"""What a command wants to show, before anyone knows in which format.

A command makes a `View`; `kcfix.render.formats` writes it. People read the sections, programs read `data`: the JSON
rows are given explicitly and never derived from the cells.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class Tone(enum.StrEnum):
    """How a cell is coloured on a terminal. The text says the same without colour."""

    PLAIN = "plain"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    DIM = "dim"
    STRONG = "strong"


@dataclass(frozen=True, slots=True)
class Cell:
    """Text with a tone."""

    text: str
    tone: Tone = Tone.PLAIN


Value = Cell | str | int | float | None
"""A cell of a table. None is unknown or not applicable, shown as `-`."""

Line = str | Cell | tuple[str | Cell, ...]
"""A line of text, in one or several tones."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    """Header, upper case and without spaces."""
    right: bool = False
    """Aligned to the right: numbers."""
    priority: int = 0
    """On a narrow terminal columns are left out, the highest number first. 0: never left out."""
    wrap: bool = False
    """May be broken over several lines on a narrow terminal. Never for ids."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    title: str = ""
    notes: tuple[Line, ...] = ()
    """Lines below the table: totals, what a sign means."""
    empty: str = "none"
    """Shown in place of a table without rows."""


@dataclass(frozen=True, slots=True)
class Text:
    """Lines: log lines, a plan in words, one fact a line."""

    lines: tuple[Line, ...]
    title: str = ""
    wrap: bool = False
    """May be broken between words on a narrow terminal, under the fact that the line tells. Never for commands."""


Section = Table | Text


@dataclass(frozen=True, slots=True)
class Problem:
    """A failure as the JSON document shows it."""

    code: int
    kind: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class View:
    """All that one run shows on standard output, and its exit code."""

    schema: str
    """Name in the JSON envelope, without prefix and version: `lag` becomes `kcfix.lag/v1`."""
    sections: tuple[Section, ...]
    data: Sequence[Mapping[str, object]]
    """JSON rows: snake_case, units in the names, None for unknown; datetime, timedelta, enums and Path are turned."""
    summary: Mapping[str, object] | None = None
    warnings: tuple[str, ...] = ()
    """Said on standard error, and in the document."""
    errors: tuple[Problem, ...] = ()
    """Failures beside which there is still something to show, e.g. one system that did not answer."""
    next: tuple[str, ...] = ()
    """Sensible next commands, complete to be pasted. Shown last, to people only."""
    ids: tuple[str, ...] | None = None
    """What `-q` prints, one a line. None: the first cell of every row of the first table."""
    exit_code: int = 0
    changed: bool = False
    """Whether the run changed something: then a closed pipe does not hide the exit code."""
    version: int = 1
    """Of the schema."""
