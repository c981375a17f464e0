"""What `kcfix trace -v` adds: every record with its headers, the log lines in full, and where was searched."""

from __future__ import annotations

from datetime import tzinfo

from kcfix.cli.trace_rows import headers_of
from kcfix.cli.trace_told import Told
from kcfix.core.logs.entry import Level
from kcfix.core.logs.parse import error_of
from kcfix.core.story.payment_story import Looked, StoryLine
from kcfix.core.story.stages import placed
from kcfix.core.story.timeline import described
from kcfix.core.times import format_time
from kcfix.render.view import Cell, Column, Line, Section, Table, Text, Tone


def details(told: Told, zone: tzinfo | None) -> list[Section]:
    """The further sections of one story."""
    return [Text(_records(told, zone), title="records", wrap=True), Text(_lines(told), title="log lines"), _where(told)]


def _records(told: Told, zone: tzinfo | None) -> tuple[Line, ...]:
    lines: list[Line] = []
    for hop in told.story.hops:
        found = " (found by the scan)" if hop.scanned else ""
        lines.append(f"{format_time(hop.record.timestamp, zone)}  {placed(hop)}{found}")
        key = "no key" if hop.record.key is None else f"key {hop.record.key.decode('utf-8', 'replace')}"
        headers = " ".join(f"{name}={value}" for name, value in headers_of(hop.record).items())
        lines.append(f"  {described(hop)}, {key}")
        lines.append(f"  {headers or 'no headers of the event bus'}")
    return tuple(lines) or ("none",)


def _lines(told: Told) -> tuple[Line, ...]:
    return tuple(_line(line) for line in told.story.lines) or ("none",)


def _line(line: StoryLine) -> Line:
    entry = line.entry
    error = error_of(entry)
    why = f": {error}" if error and error not in entry.message else ""
    bad = Tone.BAD if entry.level is Level.ERROR else Tone.WARN if entry.level is Level.WARN else Tone.PLAIN
    text = Cell(f"{entry.message}{why}", Tone.DIM if line.around else bad)
    at = entry.timestamp.strftime("%Y-%m-%dT%H:%M:%S.") + f"{entry.timestamp.microsecond // 1000:03d}Z"
    return (f"{'  ' if line.around else '* '}{at} {entry.container} {entry.level.upper()} ", text)


def _where(told: Told) -> Table:
    return Table(
        (Column("SYSTEM"), Column("WHERE"), Column("FOUND", right=True), Column("READ", wrap=True)),
        tuple((k.system, k.what, k.found, _read(k)) for k in told.story.looked),
        title="searched",
    )


def _read(looked: Looked) -> str:
    ranges = ", ".join(f"{r.partition.partition}: {r.start} to {r.end}" for r in looked.ranges)
    parts = [f"offsets of partition {ranges}" if ranges else "", looked.note or "", looked.error or ""]
    return "; ".join(part for part in parts if part)
