"""Text from outside never reaches the terminal raw: in no format, in no place of a view, in no error."""

from __future__ import annotations

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from kcfix.clean import clean
from kcfix.errors import KcfixError, Refused, Unreachable
from kcfix.render.formats import Envelope, write
from kcfix.render.style import Format, Style
from kcfix.render.view import Cell, Column, Problem, Table, Text, View
from tests.conftest import NOW, Run
from tests.fakes_kafka import FakeKafka
from tests.fuzz.strange import UNSAFE, fuzzed, is_safe, texts, values

ESC = "\x1b"


@fuzzed(80)
@given(texts)
def test_what_is_clean_is_one_line_without_a_control_character(text: str) -> None:
    cleaned = clean(text)
    assert UNSAFE.search(cleaned) is None
    assert "\n" not in cleaned
    assert clean(cleaned) == cleaned


@fuzzed(40)
@given(st.sampled_from(list(Format)), st.lists(texts, min_size=8, max_size=8), values, st.booleans(), st.booleans())
def test_no_place_of_a_view_passes_anything_on(
    format_: Format, said: list[str], value: object, quiet: bool, narrow: bool
) -> None:
    table = Table(
        columns=(Column("A"), Column("B", wrap=True), Column("C", right=True)),
        rows=((said[0], Cell(said[1]), said[2]), (said[3], None, 5)),
        title=said[4],
        notes=(said[5],),
    )
    view = View(
        "test",
        (table, Text((said[6], said[7]), title=said[0])),
        [{"name": said[0], "value": value, said[1]: said[2]}],
        summary={"x": said[3], "y": value},
        warnings=(said[4],),
        errors=(Problem(4, "unreachable", said[5], said[6]),),
        next=(said[7],),
    )
    out = io.StringIO()
    write(view, Envelope(NOW, said[1]), Style(format_, color=False, width=40 if narrow else 200, quiet=quiet), out)
    text = out.getvalue()
    assert UNSAFE.search(text) is None, text
    if format_ is Format.JSON:
        json.loads(text)
    if format_ is Format.CSV:
        list(csv.reader(io.StringIO(text)))


@fuzzed(40)
@given(texts, texts, st.sampled_from([Unreachable, Refused, RuntimeError, ValueError]), st.booleans())
def test_no_error_passes_anything_on(run: Run, text: str, hint: str, kind: type[Exception], as_json: bool) -> None:
    class Broken(FakeKafka):
        def _asked(self, call: str) -> None:
            raise kind(text, hint=hint) if issubclass(kind, KcfixError) else kind(text)

    ran = run("lag", *(("-o", "json") if as_json else ()), kafka=Broken(now=NOW), tty=True)
    assert ran.code in (4, 5, 70)
    assert UNSAFE.search(ran.err) is None, ran.err
    assert UNSAFE.search(ran.out) is None, ran.out
    assert ran.err.startswith("kcfix: ")


IDS = texts | st.sampled_from(["00000000-0000-4000-8000-000000000001", "purchase-confirmed-0@1", "latest", "-5"])
LINES = (
    "trace {0}",
    "trace {0} --scan --since {1}",
    "repair {0} --tier 20 --course {1} --reason {2}",
    "repair --from-file {0}",
    "repair --apply-plan {0}",
    "missing --since {0} --until {1}",
    "missing --ack {0} --reason {1}",
    "lag --group {0}",
    "topics {0}",
    "logs {0} --grep {1}",
    "logs --payment {0} --since {1}",
    "offsets reset --group {0} --to {1} --topic {2}",
    "offsets import --group {0} {1}",
    "dlq show {0}",
    "dlq replay {0} --cause {1}",
    "dlq park {0} --reason {1}",
    "undo {0}",
    "history {0}",
    "explain {0}",
    "status --sample {0}",
    "restart {0} --dry-run --reason {1}",
    "config show --brokers {0} --address-map {1}",
    "topics --dsn {0} --project {1} -C {2}",
    "doctor --only {0} --skip {1}",
)


@fuzzed(40)
@given(st.sampled_from(LINES), IDS, IDS, IDS, st.sampled_from(["", "-o json", "-q"]))
def test_no_word_of_a_command_line_is_a_bug(run: Run, line: str, a: str, b: str, c: str, form: str) -> None:
    words = [word.format(a, b, c) if "{" in word else word for word in line.split()]
    ran = run(*words, *form.split(), "--color", "never", kafka=FakeKafka(now=NOW), tty=True)
    is_safe(ran)
