"""Output that never ends, line by line: text for people, one JSON object a line for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from kcfix import jsonable
from kcfix.render.formats import line_text
from kcfix.render.style import Format, Style
from kcfix.render.view import Line


class Stream:
    """Writes each line at once, so that a pipe sees it when it happens. Usable in a `with`."""

    def __init__(self, schema: str, style: Style, out: TextIO, *, version: int = 1) -> None:
        self._schema = f"kcfix.{schema}/v{version}"
        self._style = style
        self._out = out

    @property
    def is_text(self) -> bool:
        """Whether people read it: then headings and empty lines are welcome."""
        return self._style.format not in (Format.JSON, Format.JSONL)

    @property
    def style(self) -> Style:
        """The style that it writes in."""
        return self._style

    def write(self, line: Line, row: Mapping[str, object] | None = None) -> None:
        """Write one record: `line` to people, `row` to programs. A None row is for people only."""
        if self.is_text:
            self._out.write(self._line(line) + "\n")
        elif row is not None:
            record = {"schema": self._schema, **row}
            self._out.write(jsonable.dumps(jsonable.plain(record, self._style.scrub)) + "\n")
        else:
            return
        self._out.flush()

    def _line(self, line: Line) -> str:
        if not self._style.color:
            return line_text(line, self._style)
        from kcfix.render.console import coloured

        return coloured(line, self._style)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exc: object) -> None:
        self._out.flush()
