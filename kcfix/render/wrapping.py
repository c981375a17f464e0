"""Breaks a line of text between words, so that a terminal does not break it within one: ids stay whole."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.cells import cell_len
from rich.text import Text

_NAME = re.compile(r" *\S+(?: \S+)* {2,}")
"""What a line is about, with the gap behind it: `  heals     `."""


def wrapped(text: Text, width: int) -> Iterator[Text]:
    """The line in pieces of at most `width` columns, the later ones under the fact that the first begins with.

    A word that is wider than the terminal is left whole.
    """
    plain = text.plain
    if cell_len(plain) <= width:
        yield text
        return
    hang = _hang(plain, width)
    start, end = 0, 0
    for word in re.finditer(r"\S+", plain):
        room = width - (hang if start else 0)
        if end > start and cell_len(plain[start : word.end()]) > room and plain[start:end].strip():
            yield _piece(text, start, end, hang)
            start = word.start()
        end = word.end()
    yield _piece(text, start, end, hang)


def _piece(text: Text, start: int, end: int, hang: int) -> Text:
    piece = text[start:end]
    return Text(" " * hang) + piece if start else piece


def _hang(plain: str, width: int) -> int:
    """How far the later pieces are indented: to behind the name, but not beyond a third of the width."""
    name = _NAME.match(plain)
    leading = len(plain) - len(plain.lstrip())
    if name and name.end() < len(plain) and cell_len(name[0]) <= width // 3:
        return cell_len(name[0])
    return leading + 2
