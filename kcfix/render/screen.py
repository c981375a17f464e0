"""A screen of its own on a terminal, drawn anew at each look, and given back as it was.

Also while it is suspended (Ctrl-Z): a shell would otherwise be left on a screen that is not its own, without a cursor.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import FrameType
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
        self._shown: Sequence[Section] = ()
        self._before: dict[signal.Signals, object] = {}

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
        self._shown = sections
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
        if threading.current_thread() is threading.main_thread():
            handlers = {signal.SIGTSTP: self._suspended, signal.SIGWINCH: self._resized}
            self._before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        self._write(ENTER)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        with contextlib.suppress(OSError, ValueError):
            self._write(LEAVE)

    def _suspended(self, number: int, frame: FrameType | None) -> None:
        """Give the terminal back, stop, and take it again when this process is told to go on."""
        _attempt(lambda: self._write(LEAVE))
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._suspended)
        _attempt(lambda: self._write(ENTER))
        _attempt(lambda: self.draw(self._shown))

    def _resized(self, number: int, frame: FrameType | None) -> None:
        _attempt(lambda: self.draw(self._shown))


def _attempt(write: Callable[[], None]) -> None:
    """A signal may come in the middle of a write, which can't be begun again there: the next look draws it all."""
    with contextlib.suppress(RuntimeError, OSError, ValueError):
        write()


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
