"""A screen of its own on a terminal, drawn anew at each look, and given back as it was."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TextIO

from rich.text import Text as RichText

from kcfix.render.console import write_view
from kcfix.render.style import Style, terminal_width
from kcfix.render.view import Section, View

ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J"
"""The alternate screen, without a cursor: what was there before stays beneath it."""
LEAVE = "\x1b[?25h\x1b[?1049l"
HOME, REST_OF_LINE, REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
LINES = 24
"""Of a terminal that does not say how many it has."""


class Screen:
    """Draws sections from the top of the terminal; used in a `with`, which gives the terminal back on every way out."""

    def __init__(self, out: TextIO, style: Style, environ: Mapping[str, str]) -> None:
        self._out = out
        self._style = style
        self._environ = environ

    @property
    def width(self) -> int:
        """Columns of the terminal as it is now."""
        return terminal_width(self._environ)

    @property
    def height(self) -> int:
        """Lines of the terminal as it is now."""
        lines = self._environ.get("LINES", "")
        if lines.isascii() and lines.isdigit() and int(lines) > 0:
            return int(lines)
        try:
            return os.get_terminal_size(1).lines or LINES
        except OSError:
            return LINES

    @property
    def blocks(self) -> bool:
        """Whether the terminal's encoding has the signs of a sparkline."""
        return "utf" in (getattr(self._out, "encoding", None) or "utf-8").lower()

    def draw(self, sections: Sequence[Section]) -> None:
        """Show the sections in place of what was shown; what does not fit is cut off, and said to be."""
        width, height = self.width, self.height
        buffer = io.StringIO()
        write_view(View("", tuple(sections), ()), replace(self._style, width=width), buffer)
        lines = buffer.getvalue().splitlines()
        if len(lines) > height:
            left = len(lines) - height + 1
            lines = [*lines[: height - 1], f"… and {left} more lines: make the terminal taller"]
        shown = (f"{_cut(line, width)}{REST_OF_LINE}" for line in lines)
        self._write(HOME + "\r\n".join(shown) + REST_OF_SCREEN)

    def _write(self, text: str) -> None:
        encoding = getattr(self._out, "encoding", None) or "utf-8"
        self._out.write(text.encode(encoding, "replace").decode(encoding, "replace"))
        self._out.flush()

    def __enter__(self) -> Screen:
        self._write(ENTER)
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._write(LEAVE)


def _cut(line: str, width: int) -> str:
    """The line, no wider than the terminal: a longer one would push all below it down."""
    text = RichText.from_ansi(line)
    if text.cell_len <= width:
        return line
    text.truncate(width, overflow="ellipsis")
    return _ansi(text)


def _ansi(text: RichText) -> str:
    from rich.console import Console

    buffer = io.StringIO()
    styled = bool(text.spans)
    console = Console(
        file=buffer,
        width=10_000,
        force_terminal=styled,
        color_system="standard" if styled else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )
    console.print(text, soft_wrap=True, end="")
    return buffer.getvalue()
