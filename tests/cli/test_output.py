"""What leaves the door: formats, colour, streams, and output that can not be written."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kcfix import errors
from kcfix.cli.context import problem
from kcfix.main import main
from kcfix.render.style import Format
from kcfix.render.view import Column, Table, View
from kcfix.services import Services
from tests.cli.probe import a_view, raiser
from tests.conftest import Run, Terminal

MADE_UP = "made-up-word"


def test_the_document_has_the_envelope(run: Run, command: Any) -> None:
    command(lambda services: a_view(summary={"total": 1}, warnings=("careful",), exit_code=1))
    ran = run("trial", "--json")
    assert ran.code == 1
    assert ran.document == {
        "schema": "kcfix.trial/v1",
        "generated_at": "2026-01-15T12:00:00.000Z",
        "context": None,
        "ok": False,
        "data": [{"id": "a", "lag_records": 1}, {"id": "b", "lag_records": None}],
        "summary": {"total": 1},
        "warnings": ["careful"],
        "errors": [],
    }
    assert ran.err == "kcfix: warning: careful\n"


def test_values_are_turned_as_the_decisions_say(run: Run, command: Any) -> None:
    india = datetime(2026, 1, 15, 17, 30, tzinfo=UTC).astimezone()
    row = {
        "at": india,
        "age_seconds": timedelta(minutes=1),
        "format": Format.CSV,
        "gone": float("nan"),
        "ids": {"b", "a"},
    }
    command(lambda services: a_view(data=[row]))
    assert run("trial", "--json").document["data"] == [
        {"at": "2026-01-15T17:30:00.000Z", "age_seconds": 60.0, "format": "csv", "gone": None, "ids": ["a", "b"]}
    ]


def test_in_csv_unknown_is_empty_and_the_rest_is_as_in_json(run: Run, command: Any) -> None:
    row = {"id": "a", "lag": 7, "stale": True, "age": 1.5, "gone": None, "ids": ["b"]}
    command(lambda services: a_view(data=[row]))
    assert run("trial", "-o", "csv").out == 'id,lag,stale,age,gone,ids\na,7,true,1.5,,"[""b""]"\n'


def test_in_csv_a_column_stands_for_every_name_that_any_row_has(run: Run, command: Any) -> None:
    command(lambda services: a_view(data=[{"a": 1}, {"b": 2, "a": 3}, {"c": False}]))
    assert run("trial", "-o", "csv").out == "a,b,c\n1,,\n3,2,\n,,false\n"


def test_without_a_terminal_output_is_plain_and_on_one_a_table(run: Run, command: Any) -> None:
    command(lambda services: a_view())
    assert run("trial").out == "ID  LAG\na     1\nb     -\n"
    assert "\x1b[" in run("trial", tty=True).out


@pytest.mark.parametrize(
    ("argv", "environ", "tty", "coloured"),
    [
        ((), {}, True, True),
        ((), {}, False, False),
        (("--no-color",), {}, True, False),
        (("--color", "never"), {}, True, False),
        (("--color", "always", "-o", "table"), {}, False, True),
        ((), {"NO_COLOR": "1"}, True, False),
        ((), {"NO_COLOR": ""}, True, True),
        (("--color", "always"), {"NO_COLOR": "1"}, True, True),
        (("-o", "table"), {"FORCE_COLOR": "1"}, False, True),
        ((), {"FORCE_COLOR": "0"}, True, False),
        ((), {"TERM": "dumb"}, True, False),
        (("-o", "plain"), {}, True, False),
        (("-o", "json"), {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_colour_follows_flags_then_environment_then_the_terminal(
    run: Run, command: Any, argv: tuple[str, ...], environ: dict[str, str], tty: bool, coloured: bool
) -> None:
    command(lambda services: a_view())
    assert ("\x1b[" in run("trial", *argv, environ=environ, tty=tty).out) is coloured


def test_quiet_prints_the_ids_and_nothing_else(run: Run, command: Any) -> None:
    command(lambda services: a_view(next=("kcfix status",)))
    assert run("trial", "-q").out == "a\nb\n"
    command(lambda services: a_view(ids=("x",)))
    assert run("-q", "trial").out == "x\n"


def test_problems_beside_a_view_are_said_and_in_the_document(run: Run, command: Any) -> None:
    failed = problem(errors.Unreachable("kafka: no answer", system="kafka", hint="look"))
    command(lambda services: a_view(errors=(failed,), exit_code=1))
    ran = run("trial")
    assert (ran.code, ran.err) == (1, "kcfix: kafka: no answer\n  hint: look\n")
    assert run("trial", "--json").document["errors"][0]["kind"] == "unreachable"


@pytest.mark.parametrize("format_", list(Format))
def test_no_secret_leaves_by_any_format(run: Run, command: Any, format_: Format) -> None:
    dsn = f"postgresql://u:{MADE_UP}@db/kc"
    table = Table((Column("ID"),), ((f"see {dsn}",),), notes=(f"plain {MADE_UP}",))
    command(
        lambda services: (
            (services.settings and None)
            or a_view(
                sections=(table,), data=[{"id": dsn, "note": MADE_UP}], summary={"x": dsn}, warnings=(dsn,), next=(dsn,)
            )
        )
    )
    ran = run("trial", "-o", format_, environ={"KCFIX_DSN": dsn})
    assert ran.code == 0
    assert MADE_UP not in ran.out + ran.err
    assert "***" in ran.out


class ClosedPipe(Terminal):
    """A pipe whose reader has left."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


@pytest.mark.parametrize(("view", "code"), [(a_view(exit_code=1), 0), (a_view(exit_code=6, changed=True), 6)])
def test_a_closed_pipe_is_quiet_and_0_unless_something_was_changed(command: Any, view: View, code: int) -> None:
    command(lambda services: view)
    err = io.StringIO()
    services = Services(environ={"HOME": "/nonexistent"}, stdout=ClosedPipe(), stderr=err)
    assert (main(["trial"], services), err.getvalue()) == (code, "")


def test_a_pipe_to_some_system_that_broke_is_not_a_closed_output(run: Run, command: Any) -> None:
    command(raiser(BrokenPipeError(errno.EPIPE, "Broken pipe")))
    ran = run("trial")
    assert ran.code == 70
    assert "BrokenPipeError" in ran.err


class FullDisk(Terminal):
    """A file on a disk without room."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("view", "code"), [(a_view(), 4), (a_view(changed=True), 0), (a_view(exit_code=6, changed=True), 6)]
)
def test_output_that_can_not_be_written_is_said(command: Any, view: View, code: int) -> None:
    command(lambda services: view)
    err = io.StringIO()
    services = Services(environ={"HOME": "/nonexistent"}, stdout=FullDisk(), stderr=err)
    assert main(["trial"], services) == code
    assert err.getvalue() == "kcfix: can't write to standard output: No space left on device\n"


@pytest.mark.parametrize(
    ("shell", "code"),
    [
        ("{kcfix} config show --brokers a:1 --dsn postgresql://h/d >&-", 0),
        ("{kcfix} config show --brokers a:1 --dsn postgresql://h/d <&- 2>&-", 0),
        ("{kcfix} nonsense >&- 2>&-", 2),
        ("{kcfix} config show --brokers a:1 --dsn postgresql://h/d > /dev/full", 4),
        ("LC_ALL=C PYTHONUTF8=0 PYTHONIOENCODING=ascii {kcfix} config show --brokers a:1 --dsn x://h/d --project é", 0),
    ],
)
def test_odd_streams_give_no_traceback(shell: str, code: int) -> None:
    line = shell.format(kcfix=f"{sys.executable} -m kcfix")
    ran = subprocess.run(["bash", "-c", line], capture_output=True)
    assert ran.returncode == code
    assert b"Traceback" not in ran.stderr
    assert b"Exception ignored" not in ran.stderr


def test_a_real_closed_pipe_leaves_no_complaint_behind() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "kcfix", "config", "show", "--brokers", "a:1", "--dsn", "postgresql://h/d"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), error) == (0, b"")


def test_jsonl_and_csv_have_the_json_names(run: Run, command: Any) -> None:
    command(lambda services: a_view())
    assert [json.loads(line) for line in run("trial", "-o", "jsonl").lines] == [
        {"id": "a", "lag_records": 1},
        {"id": "b", "lag_records": None},
    ]
    assert run("trial", "-o", "csv").out == "id,lag_records\na,1\nb,\n"


def test_markdown_is_a_table_without_changed_numbers(run: Run, command: Any) -> None:
    table = Table((Column("ID"), Column("N", right=True)), (("1e5|x", 3),), notes=("one <b>note</b>",))
    command(lambda services: a_view(sections=(table,)))
    out = run("trial", "-o", "markdown").out
    assert "| 1e5\\|x |" in out
    assert "one &lt;b>note" in out


def test_a_stream_is_text_or_one_object_a_line(run: Run, command: Any) -> None:
    def act(services: Services) -> int:
        with services.stream("trial") as out:
            out.write("for people only")
            out.write("a line \x1b[31mred", {"n": 1})
        return 0

    command(act)
    assert run("trial").out == "for people only\na line red\n"
    assert run("trial", "-o", "json").out == '{"schema": "kcfix.trial/v1", "n": 1}\n'


def test_a_stream_that_fails_ends_with_a_line_and_not_with_a_document(run: Run, command: Any) -> None:
    def act(services: Services) -> int:
        with services.stream("trial") as out:
            out.write("a line", {"n": 1})
        raise errors.Unreachable("kafka: gone")

    command(act)
    ran = run("trial", "-o", "json")
    assert ran.code == 4
    assert [json.loads(line) for line in ran.lines] == [
        {"schema": "kcfix.trial/v1", "n": 1},
        {"error": {"code": 4, "kind": "unreachable", "message": "kafka: gone", "hint": None}},
    ]
