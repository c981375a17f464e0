"""From a view to text, in every format."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest

from kcfix.render.console import fit
from kcfix.render.formats import WRITERS, Envelope, write
from kcfix.render.style import Format, Style
from kcfix.render.view import Cell, Column, Problem, Table, Text, Tone, View
from tests.builders import uuid
from tests.conftest import NOW


def shown(view: View, format_: Format = Format.TABLE, *, width: int | None = 80, color: bool = False) -> str:
    out = io.StringIO()
    write(view, Envelope(NOW, "default"), Style(format_, color=color, width=width), out)
    return out.getvalue()


def a_view(*sections: Any, **changes: Any) -> View:
    return View(**{"schema": "test", "sections": sections, "data": [], **changes})


WIDE = Table(
    columns=(
        Column("PAYMENT_ID"),
        Column("STUDENT_ID", priority=1),
        Column("REASON", priority=3, wrap=True),
        Column("HOST", priority=2),
        Column("VERDICT"),
    ),
    rows=((uuid(1), uuid(2), "a reason in many words " * 4, "172.20.0.5", Cell("SKIPPED", Tone.BAD)),),
)


def test_every_format_has_a_writer() -> None:
    assert set(WRITERS) == set(Format)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 120, 200, None])
def test_an_id_is_never_cut_and_never_broken(width: int | None) -> None:
    out = shown(a_view(WIDE), width=width)
    assert any(uuid(1) in line for line in out.splitlines())
    assert "SKIPPED" in out
    assert "…" not in out


def test_a_narrow_terminal_loses_the_least_important_columns_first() -> None:
    assert "REASON" in shown(a_view(WIDE), width=150)
    at_100 = shown(a_view(WIDE), width=105)
    assert "REASON" not in at_100
    assert "HOST" in at_100
    at_80 = shown(a_view(WIDE), width=80)
    assert "HOST" not in at_80
    assert max(len(line) for line in at_80.splitlines()) <= 88


def test_a_column_that_may_wrap_is_wrapped_to_the_width() -> None:
    out = shown(a_view(WIDE), width=140)
    assert max(len(line) for line in out.splitlines()) <= 140
    assert out.count("reason") == 4


def test_fit_gives_the_natural_widths_where_there_is_room() -> None:
    assert fit((Column("A"), Column("B")), [["xx", "yyyy"]], 80) == ((0, 1), (2, 4))


@pytest.mark.parametrize("format_", [Format.TABLE, Format.PLAIN, Format.MARKDOWN])
@pytest.mark.parametrize("text", ["[error] it", "[/tmp/x]", "[bold]b[/bold]", ":warning:", "{x}", "%s"])
def test_text_of_the_outside_world_is_never_markup(format_: Format, text: str) -> None:
    view = a_view(Table((Column("A"),), ((text,),), title=text, notes=(text,)), Text((text, Cell(text, Tone.BAD))))
    assert shown(view, format_, color=format_ is Format.TABLE).count(text) == 5


@pytest.mark.parametrize("format_", list(Format))
def test_control_characters_never_reach_the_terminal(format_: Format) -> None:
    nasty = "a\x1b[31mb\x1b]0;title\x07c\rd\x08e\x9bf\u202eg\nh\x00"
    view = a_view(
        Table((Column("A"),), ((nasty,),), notes=(nasty,)),
        Text((nasty,)),
        data=[{"a": nasty}],
        warnings=(nasty,),
        errors=(Problem(4, "unreachable", nasty, nasty),),
        next=(nasty,),
    )
    out = shown(view, format_)
    assert not set(out) & {"\x1b", "\x07", "\r", "\x08", "\x9b", "\u202e", "\x00"} - (
        {"\x9b", "\u202e"} if format_ in (Format.JSON, Format.JSONL) else set()
    )


def test_json_keeps_text_whole() -> None:
    nasty = 'a\x1b[31mb "quoted" é \ud800'
    row = json.loads(shown(a_view(data=[{"raw": nasty}]), Format.JSON))["data"][0]
    assert row["raw"] == 'a\x1b[31mb "quoted" é ?'


def test_several_sections_stand_apart_with_their_titles() -> None:
    one = Table((Column("A"),), ((1,),), title="first")
    two = Table((Column("B"),), (), title="second", empty="nothing there")
    assert shown(a_view(one, two), Format.PLAIN) == "first\nA\n1\n\nsecond\nnothing there\n"
    assert shown(a_view(one, two)) == "first\nA\n1\n\nsecond\nnothing there\n"


def test_next_commands_come_last_and_are_not_wrapped() -> None:
    command = "docker compose -p kc -f /srv/kc/docker-compose.yml up -d --no-deps --force-recreate purchase-worker"
    view = a_view(Text(("done",)), next=(command,))
    for format_ in (Format.TABLE, Format.PLAIN):
        assert shown(view, format_, width=40).endswith(f"\nnext:\n  {command}\n")


def test_tones_colour_and_the_text_says_the_same_without() -> None:
    view = a_view(WIDE)
    assert "\x1b[" in shown(view, color=True)
    assert "\x1b[" not in shown(view)
    assert "SKIPPED" in shown(view)


def test_plain_lines_up_and_is_one_record_a_line() -> None:
    table = Table((Column("ID"), Column("LAG", right=True)), (("a", 5), ("long", None)))
    assert shown(a_view(table), Format.PLAIN) == "ID    LAG\na       5\nlong    -\n"


def test_a_line_is_broken_between_words_under_the_fact_that_it_tells() -> None:
    line = f"  is        its purchase {uuid(1)} is of another tier"
    text = Text(((Cell(line[:12], Tone.DIM), line[12:]),), wrap=True)
    lines = [f"  is        its purchase {uuid(1)}", "            is of another tier"]
    for color in (False, True):
        assert re.sub(r"\x1b\[\d*m", "", shown(a_view(text), width=62, color=color)).splitlines() == lines
    assert shown(a_view(text), width=200).splitlines() == [line]
    assert shown(a_view(text), Format.PLAIN, width=62).splitlines() == [line]
    assert shown(a_view(Text((line,))), width=62).splitlines() == [line]


@pytest.mark.parametrize("width", [1, 10, 30, 60])
def test_a_word_wider_than_the_terminal_is_left_whole(width: int) -> None:
    lines = shown(a_view(Text((f"{uuid(1)} and {uuid(2)}", "", "   "), wrap=True)), width=width).splitlines()
    assert [word for line in lines for word in line.split() if word != "and"] == [uuid(1), uuid(2)]


def test_an_id_in_a_wrapped_cell_stays_whole_where_there_is_room() -> None:
    table = Table(
        (Column("PAYMENT"), Column("PAID", priority=1), Column("WHY", wrap=True)),
        ((uuid(1), "2026-01-15 12:00:00Z", f"payment {uuid(2)} has the purchase {uuid(3)}"),),
    )
    for width in (80, 90, 100):
        out = shown(a_view(table), width=width)
        assert all(uuid(n) in out for n in (1, 2, 3))
        assert ("PAID" in out) == (width >= 100)
        assert max(len(line) for line in out.splitlines()) <= width
    assert max(len(line) for line in shown(a_view(table), width=62).splitlines()) <= 62
