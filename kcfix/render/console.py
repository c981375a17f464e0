"""A view on a terminal: coloured by rich, fitted to the width, ids whole.

Too narrow a terminal first loses the columns that matter least, then wraps those that may be wrapped; what is left
runs over the edge rather than being cut.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text as RichText

from kcfix.clean import clean
from kcfix.render.formats import cell_text
from kcfix.render.style import Style
from kcfix.render.view import Cell, Column, Line, Table, Text, Tone, Value, View
from kcfix.render.wrapping import wrapped

GAP = 2
SMALLEST_WRAPPED = 20
"""A wrapped column is not squeezed below this."""
LONGEST_WORD = 40
"""Nor below its longest word, where there is room for that: ids have 36 letters. Longer words are broken."""

COLOURS: dict[Tone, str] = {
    Tone.PLAIN: "",
    Tone.GOOD: "green",
    Tone.WARN: "yellow",
    Tone.BAD: "bold red",
    Tone.DIM: "dim",
    Tone.STRONG: "bold",
}


def _console(style: Style, out: TextIO, width: int) -> Console:
    return Console(
        file=out,
        width=width,
        force_terminal=style.color,
        color_system="standard" if style.color else None,
        no_color=not style.color,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )


def rich_text(line: Line, style: Style) -> RichText:
    """The line with its tones; nothing in it is taken for markup."""
    text = RichText()
    for part in line if isinstance(line, tuple) else (line,):
        if isinstance(part, Cell):
            text.append(style.scrub(clean(part.text)), COLOURS[part.tone])
        else:
            text.append(style.scrub(clean(part)))
    return text


def coloured(line: Line, style: Style) -> str:
    """The line as text with colour codes."""
    buffer = io.StringIO()
    _console(style, buffer, 10_000).print(rich_text(line, style), soft_wrap=True, end="")
    return buffer.getvalue()


def write_view(view: View, style: Style, out: TextIO) -> None:
    """Write every section, then the next commands."""
    console = _console(style, out, style.width or 10_000)
    for number, section in enumerate(view.sections):
        if number and (section.title or isinstance(section, Table)):
            out.write("\n")
        if section.title:
            console.print(RichText(clean(section.title), "bold"), soft_wrap=True)
        if isinstance(section, Text):
            for line in section.lines:
                _line(console, line, style, wrap=section.wrap)
            continue
        if section.rows:
            _write_table(section, style, out)
        else:
            console.print(RichText(section.empty, "dim"), soft_wrap=True)
        for note in section.notes:
            _line(console, note, style, wrap=True)
    if view.next:
        out.write("\n")
        console.print(RichText("next:", "dim"))
        for command in view.next:
            console.print(RichText(f"  {style.scrub(clean(command))}", "bold"), soft_wrap=True)


def _line(console: Console, line: Line, style: Style, *, wrap: bool) -> None:
    """Write a line; with `wrap` broken between words where the terminal is too narrow for it."""
    text = rich_text(line, style)
    for part in wrapped(text, style.width) if wrap and style.width else (text,):
        console.print(part, soft_wrap=True)


def _write_table(table: Table, style: Style, out: TextIO) -> None:
    texts = [[cell_text(value, style) for value in row] for row in table.rows]
    kept, widths = fit(table.columns, texts, style.width)
    rich_table = RichTable(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_edge=False, header_style="bold")
    for index in kept:
        column = table.columns[index]
        rich_table.add_column(
            column.name,
            justify="right" if column.right else "left",
            width=widths[index],
            no_wrap=not column.wrap,
            overflow="fold",
        )
    for row, cells in zip(table.rows, texts, strict=True):
        rich_table.add_row(*(RichText(cells[i], _colour(row[i])) for i in kept))
    # As wide as it has to be: rich would cut what does not fit.
    total = sum(widths[i] for i in kept) + GAP * len(kept)
    buffer = io.StringIO()
    _console(style, buffer, total).print(rich_table)
    out.writelines(line.rstrip() + "\n" for line in buffer.getvalue().splitlines())


def _colour(value: Value) -> str:
    return COLOURS[value.tone] if isinstance(value, Cell) else ""


def fit(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Which columns are shown, and how wide each of all columns is, so that a row fits into `width` where it can."""
    natural = [max(cell_len(c.name), *(cell_len(row[i]) for row in rows)) for i, c in enumerate(columns)]
    squeezed = [
        min(n, max(SMALLEST_WRAPPED, cell_len(c.name))) if c.wrap else n for n, c in zip(natural, columns, strict=True)
    ]
    whole = [
        max(s, *(_longest_word(row[i]) for row in rows)) if c.wrap else s
        for i, (s, c) in enumerate(zip(squeezed, columns, strict=True))
    ]
    kept = list(range(len(columns)))
    if width is None:
        return tuple(kept), tuple(natural)

    def needed(sizes: Sequence[int]) -> int:
        return sum(sizes[i] for i in kept) + GAP * (len(kept) - 1)

    while needed(whole) > width and any(columns[i].priority for i in kept):
        # Of equals the rightmost goes first.
        kept.remove(max(kept, key=lambda i: (columns[i].priority, i)))
    least = whole if needed(whole) <= width else squeezed
    widths = list(natural)
    excess = needed(widths) - width
    for i in sorted((i for i in kept if columns[i].wrap), key=lambda i: -widths[i]):
        cut = min(max(excess, 0), widths[i] - least[i])
        widths[i] -= cut
        excess -= cut
    return tuple(kept), tuple(widths)


def _longest_word(text: str) -> int:
    return max((n for word in text.split() if (n := cell_len(word)) <= LONGEST_WORD), default=0)
