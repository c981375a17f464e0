"""One function and one row for each format: a `View` written to a stream.

To add a format: a function here, a row in WRITERS, a name in `kcfix.render.style.Format`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import TextIO

from kcfix import jsonable
from kcfix.clean import clean
from kcfix.render.style import Format, Style
from kcfix.render.view import Cell, Line, Problem, Table, Text, Value, View


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the JSON document says besides the view."""

    generated_at: datetime
    context: str | None
    """None where the settings could not be read."""


Writer = Callable[[View, Envelope, Style, TextIO], None]


def cell_text(value: Value, style: Style) -> str:
    """A cell's text, on one line, without secrets; None is `-`, and so is an empty text."""
    if value is None:
        return "-"
    if isinstance(value, int | float):
        return str(value)
    return style.scrub(clean(value.text if isinstance(value, Cell) else value)) or "-"


def line_text(line: Line, style: Style) -> str:
    """A line without its tones and without secrets. Leading spaces stay."""
    parts = line if isinstance(line, tuple) else (line,)
    return style.scrub("".join(clean(part.text if isinstance(part, Cell) else part) for part in parts))


def document(view: View, envelope: Envelope, style: Style) -> Mapping[str, object]:
    """The JSON document (docs/decisions.md 6)."""
    return {
        "schema": f"kcfix.{view.schema}/v{view.version}",
        "generated_at": jsonable.plain(envelope.generated_at),
        "context": envelope.context,
        "ok": view.exit_code == 0 and not view.errors,
        "data": [jsonable.plain(row, style.scrub) for row in view.data],
        "summary": jsonable.plain(view.summary or {}, style.scrub),
        "warnings": [style.scrub(clean(warning)) for warning in view.warnings],
        "errors": [_problem(problem, style) for problem in view.errors],
    }


def _problem(problem: Problem, style: Style) -> Mapping[str, object]:
    return {
        "code": problem.code,
        "kind": problem.kind,
        "message": style.scrub(clean(problem.message)),
        "hint": style.scrub(clean(problem.hint)) if problem.hint else None,
    }


def write_json(view: View, envelope: Envelope, style: Style, out: TextIO) -> None:
    """One document, indented on two columns."""
    out.write(jsonable.dumps(document(view, envelope, style), indent=2) + "\n")


def write_jsonl(view: View, envelope: Envelope, style: Style, out: TextIO) -> None:
    """One object a line: the rows of `data`, then one line for each error."""
    for row in view.data:
        out.write(jsonable.dumps(jsonable.plain(row, style.scrub)) + "\n")
    for problem in view.errors:
        out.write(jsonable.dumps({"error": _problem(problem, style)}) + "\n")


def write_csv(view: View, envelope: Envelope, style: Style, out: TextIO) -> None:
    """The rows of `data` under their JSON names; unknown is empty, what is nested is JSON."""
    import csv

    names: dict[str, None] = {}
    for row in view.data:
        if row.keys() != names.keys():
            names.update(dict.fromkeys(row))
    writer = csv.writer(out, lineterminator="\n")
    if names:
        writer.writerow([clean(name) for name in names])
    scrub = style.scrub
    for row in view.data:
        writer.writerow([_csv_cell(row.get(name), scrub) for name in names])


def _csv_cell(value: object, scrub: Callable[[str], str]) -> str:
    kind = type(value)
    # Most cells are one of these, and there may be half a million of them.
    if value is None:
        return ""
    if kind is int:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    shown = jsonable.plain(value, scrub)
    if isinstance(shown, str):
        return clean(shown)
    return "" if shown is None else jsonable.dumps(shown)


def write_plain(view: View, envelope: Envelope, style: Style, out: TextIO) -> None:
    """One record a line, columns lined up, nothing cut, no colour, no boxes: to be piped."""
    for number, section in enumerate(view.sections):
        if number and (section.title or isinstance(section, Table)):
            out.write("\n")
        if section.title:
            out.write(f"{clean(section.title)}\n")
        if isinstance(section, Text):
            out.writelines(f"{line_text(line, style)}\n" for line in section.lines)
            continue
        if section.rows:
            heads = [column.name for column in section.columns]
            _aligned(out, [heads, *([cell_text(v, style) for v in row] for row in section.rows)], section)
        else:
            out.write(f"{section.empty}\n")
        out.writelines(f"{line_text(note, style)}\n" for note in section.notes)
    _next(view, style, out)


def _aligned(out: TextIO, rows: Sequence[Sequence[str]], table: Table) -> None:
    """Write rows of text under each other, two blanks between the columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.columns))]
    for row in rows:
        cells = [
            text.rjust(width) if column.right else text.ljust(width)
            for text, width, column in zip(row, widths, table.columns, strict=True)
        ]
        out.write("  ".join(cells).rstrip() + "\n")


def _next(view: View, style: Style, out: TextIO) -> None:
    if view.next:
        out.write("\nnext:\n")
        out.writelines(f"  {style.scrub(clean(command))}\n" for command in view.next)


def write_markdown(view: View, envelope: Envelope, style: Style, out: TextIO) -> None:
    """Tables for a ticket or a wiki."""
    from tabulate import tabulate

    def escaped(text: str) -> str:
        return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")

    for number, section in enumerate(view.sections):
        before = view.sections[number - 1] if number else None
        after = view.sections[number + 1] if number + 1 < len(view.sections) else None
        joined = isinstance(before, Text) and isinstance(section, Text) and not section.title
        if number and not joined:
            out.write("\n")
        if section.title:
            out.write(f"## {escaped(clean(section.title))}\n\n")
        if isinstance(section, Text):
            out.write("" if joined else "```text\n")
            out.writelines(f"{line_text(line, style)}\n" for line in section.lines)
            # Text that goes on without a title is one block.
            out.write("" if isinstance(after, Text) and not after.title else "```\n")
            continue
        if section.rows:
            cells = [[escaped(cell_text(v, style)) for v in row] for row in section.rows]
            heads = [column.name for column in section.columns]
            aligns = ["right" if column.right else "left" for column in section.columns]
            # Without disable_numparse 1e5 would become 100000.
            text = tabulate(cells, headers=heads, tablefmt="github", colalign=aligns, disable_numparse=True)
            out.write(f"{text}\n")
        else:
            out.write(f"{section.empty}\n")
        out.writelines(f"\n{escaped(line_text(note, style))}\n" for note in section.notes)
    if view.next:
        out.write("\nNext:\n\n```sh\n" + "".join(f"{style.scrub(clean(command))}\n" for command in view.next) + "```\n")


def write_table(view: View, envelope: Envelope, style: Style, out: TextIO) -> None:
    """For a terminal: coloured, fitted to its width without cutting an id."""
    from kcfix.render.console import write_view

    write_view(view, style, out)


WRITERS: Mapping[Format, Writer] = {
    Format.TABLE: write_table,
    Format.PLAIN: write_plain,
    Format.JSON: write_json,
    Format.JSONL: write_jsonl,
    Format.MARKDOWN: write_markdown,
    Format.CSV: write_csv,
}


def write(view: View, envelope: Envelope, style: Style, out: TextIO) -> None:
    """Write the view in the format of the style; with `-q` only its ids, unless JSON, jsonl or CSV was asked for."""
    if style.quiet and style.format in (Format.TABLE, Format.PLAIN, Format.MARKDOWN):
        for identifier in quiet_ids(view, style):
            out.write(f"{clean(identifier)}\n")
        return
    # Names and states come again and again: of 5,000 groups this saves a quarter of the time.
    scrub = lru_cache(maxsize=1024)(style.scrub)
    WRITERS[style.format](view, envelope, replace(style, scrub=scrub), out)


def quiet_ids(view: View, style: Style) -> tuple[str, ...]:
    """What `-q` prints."""
    if view.ids is not None:
        return view.ids
    first = next((section for section in view.sections if isinstance(section, Table)), None)
    return tuple(cell_text(row[0], style) for row in first.rows) if first else ()
