"""The one door: options, formats, errors and exit codes that all commands share.

A few commands that do nothing but fail or show are put into the table of commands for these tests.
"""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
import typer

from kcfix import __version__, errors
from kcfix.cli import app
from kcfix.cli.context import problem, services_of
from kcfix.cli.documents import DOCUMENTS
from kcfix.cli.shapes import Document
from kcfix.errors import KcfixError
from kcfix.main import Terminated, main
from kcfix.render.style import Format
from kcfix.render.view import Column, Table, View
from kcfix.services import Services
from tests.conftest import Run, Terminal

MADE_UP = "made-up-word"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Services], Any]], None]:
    """Let the command `probe` do what a test wants."""

    def put(act: Callable[[Services], Any]) -> None:
        def probe(ctx: typer.Context) -> Any:
            """Nothing but a probe."""
            return act(services_of(ctx))

        module = types.ModuleType("kcfix.cli.probe")
        module.command = probe  # type: ignore[attr-defined]
        module.__spec__ = types.SimpleNamespace(name="kcfix.cli.probe")  # type: ignore[assignment]
        monkeypatch.setitem(sys.modules, "kcfix.cli.probe", module)
        monkeypatch.setitem(cast("dict[str, Document]", DOCUMENTS), "probe", PROBE)
        monkeypatch.setattr(app, "COMMANDS", (*app.COMMANDS, app.Entry("probe", "Look", "Probe the door.")))

    return put


def a_view(**changes: Any) -> View:
    table = Table((Column("ID"), Column("LAG", right=True)), (("a", 1), ("b", None)))
    fields: dict[str, Any] = {
        "schema": "probe",
        "sections": (table,),
        "data": [{"id": "a", "lag_records": 1}, {"id": "b", "lag_records": None}],
        **changes,
    }
    return View(**fields)


PROBE = Document("A probe.", None, {"project~": None, "utc~": None, "total~": "integer", "x~": "string"})


def raiser(error: BaseException) -> Callable[[Services], Any]:
    def act(services: Services) -> Any:
        raise error

    return act


KINDS: list[type[KcfixError]] = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, KcfixError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_error_has_one_line_a_hint_and_its_code(run: Run, command: Any, kind: type[KcfixError]) -> None:
    command(raiser(kind("it went\nwrong", hint="kcfix status")))
    ran = run("probe")
    assert (ran.code, ran.out, ran.err) == (kind.code, "", "kcfix: it went wrong\n  hint: kcfix status\n")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_error_is_one_json_document(run: Run, command: Any, kind: type[KcfixError]) -> None:
    command(raiser(kind("it went wrong", hint="kcfix status")))
    ran = run("probe", "-o", "json")
    document = ran.document
    assert ran.code == kind.code
    assert (document["schema"], document["ok"], document["data"]) == ("kcfix.probe/v1", False, [])
    assert document["errors"] == [
        {"code": kind.code, "kind": kind.kind, "message": "it went wrong", "hint": "kcfix status"}
    ]
    assert set(document) == {
        "schema",
        "generated_at",
        "context",
        "ok",
        "data",
        "summary",
        "warnings",
        "errors",
    }


def test_exit_codes_are_those_of_the_decisions() -> None:
    codes = {kind.__name__: kind.code for kind in KINDS}
    assert codes == {
        "KcfixError": 70,
        "UsageError": 2,
        "NotFound": 3,
        "Unreachable": 4,
        "AccessDenied": 4,
        "Refused": 5,
        "Conflict": 5,
        "PartlyApplied": 6,
        "OutcomeUnknown": 6,
        "Bug": 70,
    }


@pytest.mark.parametrize(
    "argv",
    [
        ("nonsense",),
        ("history", "--nonsense"),
        ("history", "-n", "many"),
        ("history", "-o", "yaml"),
        ("history", "a", "b"),
        ("config",),
        ("--timeout", "soon", "config", "show"),
        ("-C",),
    ],
)
def test_wrong_usage_is_2_with_one_line_and_a_hint(run: Run, argv: tuple[str, ...]) -> None:
    ran = run(*argv)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("kcfix: ")
    assert len(ran.err.splitlines()) <= 2


@pytest.mark.parametrize(
    "argv",
    [
        ("nonsense", "-o", "json"),
        ("--json", "history", "--nonsense"),
        ("history", "-ojson", "-n", "many"),
        ("history", "--output=json", "a", "b"),
    ],
)
def test_wrong_usage_is_a_document_too_where_json_was_asked_for(run: Run, argv: tuple[str, ...]) -> None:
    ran = run(*argv)
    assert ran.code == 2
    assert [(e["code"], e["kind"]) for e in ran.document["errors"]] == [(2, "usage")]


def test_no_arguments_is_a_question_and_help_the_answer(run: Run) -> None:
    ran = run()
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == run("--help").out == run("-h").out
    for panel in app.PANELS:
        assert f"{panel}:" in ran.out


@pytest.mark.parametrize("entry", app.available(), ids=lambda e: e.name)
def test_each_command_has_its_summary_and_an_example_in_its_help(run: Run, entry: app.Entry) -> None:
    ran = run(entry.name, "--help", environ={"COLUMNS": "80"})
    assert ran.code == 0
    words = " ".join(ran.out.split())
    assert entry.summary in words
    assert "Examples:" in ran.out
    assert any(line.strip().startswith("kcfix ") and entry.name in line for line in ran.out.splitlines())
    assert entry.summary in " ".join(run("--help").out.split())


def test_version_is_printed(run: Run) -> None:
    assert (run("--version").code, run("--version").out) == (0, f"kcfix {__version__}\n")


def test_shared_options_count_before_and_after_the_command_and_the_later_one_wins(run: Run, command: Any) -> None:
    command(lambda services: a_view(summary={"project": services.settings.project, "utc": services.settings.utc}))
    before = run("-o", "json", "--project", "one", "--utc", "probe").document
    after = run("probe", "-o", "json", "--project", "one", "--utc").document
    assert before["summary"] == after["summary"] == {"project": "one", "utc": True}
    assert run("-o", "csv", "--project", "one", "probe", "--json", "--project", "two").document["summary"] == {
        "project": "two",
        "utc": False,
    }


def test_the_document_has_the_envelope(run: Run, command: Any) -> None:
    command(lambda services: a_view(summary={"total": 1}, warnings=("careful",), exit_code=1))
    ran = run("probe", "--json")
    assert ran.code == 1
    assert ran.document == {
        "schema": "kcfix.probe/v1",
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
    assert run("probe", "--json").document["data"] == [
        {"at": "2026-01-15T17:30:00.000Z", "age_seconds": 60.0, "format": "csv", "gone": None, "ids": ["a", "b"]}
    ]


def test_without_a_terminal_output_is_plain_and_on_one_a_table(run: Run, command: Any) -> None:
    command(lambda services: a_view())
    assert run("probe").out == "ID  LAG\na     1\nb     -\n"
    assert "\x1b[" in run("probe", tty=True).out


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
    assert ("\x1b[" in run("probe", *argv, environ=environ, tty=tty).out) is coloured


def test_quiet_prints_the_ids_and_nothing_else(run: Run, command: Any) -> None:
    command(lambda services: a_view(next=("kcfix status",)))
    assert run("probe", "-q").out == "a\nb\n"
    command(lambda services: a_view(ids=("x",)))
    assert run("-q", "probe").out == "x\n"


def test_problems_beside_a_view_are_said_and_in_the_document(run: Run, command: Any) -> None:
    failed = problem(errors.Unreachable("kafka: no answer", system="kafka", hint="look"))
    command(lambda services: a_view(errors=(failed,), exit_code=1))
    ran = run("probe")
    assert (ran.code, ran.err) == (1, "kcfix: kafka: no answer\n  hint: look\n")
    assert run("probe", "--json").document["errors"][0]["kind"] == "unreachable"


def test_a_bug_is_one_line_and_70_without_a_traceback(run: Run, command: Any) -> None:
    command(raiser(ValueError(f"postgresql://u:{MADE_UP}@db/kc\n[/boom]")))
    ran = run("probe")
    assert (ran.code, ran.out) == (70, "")
    assert ran.err.startswith("kcfix: a bug in kcfix: ValueError: postgresql://u:***@db/kc [/boom]\n  hint: ")
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(("argv", "environ"), [(("-vv",), {}), ((), {"KCFIX_DEBUG": "1"})])
def test_the_traceback_of_a_bug_comes_on_request_and_without_secrets(
    run: Run, command: Any, argv: tuple[str, ...], environ: dict[str, str]
) -> None:
    command(raiser(ValueError(f"postgresql://u:{MADE_UP}@db/kc")))
    ran = run("probe", *argv, environ=environ)
    assert ran.code == 70
    assert "Traceback" in ran.err
    assert MADE_UP not in ran.err


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (Terminated(), 143)])
def test_interruption_and_termination_have_their_codes(run: Run, command: Any, error: BaseException, code: int) -> None:
    command(raiser(error))
    ran = run("probe")
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (code, "", 1)
    assert [e["code"] for e in run("probe", "--json").document["errors"]] == [code]


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
    ran = run("probe", "-o", format_, "--dsn", dsn)
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
    assert (main(["probe"], services), err.getvalue()) == (code, "")


def test_a_pipe_to_some_system_that_broke_is_not_a_closed_output(run: Run, command: Any) -> None:
    command(raiser(BrokenPipeError(errno.EPIPE, "Broken pipe")))
    ran = run("probe")
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
    assert main(["probe"], services) == code
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


def test_sigterm_becomes_an_exception_so_that_things_are_closed(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    def act(services: Services) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.sigtimedwait([signal.SIGUSR2], 5)
        finally:
            closed.append(True)

    command(act)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    before = signal.getsignal(signal.SIGTERM)
    assert main(["probe"]) == 143
    assert closed == [True]
    assert signal.getsignal(signal.SIGTERM) is before


def test_asking_without_a_terminal_is_refused(run: Run, command: Any) -> None:
    command(lambda services: int(services.ask("Go ahead?")))
    ran = run("probe")
    assert ran.code == 5
    assert "--yes" in ran.err


@pytest.mark.parametrize(("answer", "said"), [("y\n", 1), ("YES\n", 1), ("n\n", 0), ("\n", 0), ("", 0)])
def test_only_yes_is_yes(run: Run, command: Any, answer: str, said: int) -> None:
    command(lambda services: int(services.ask("Go ahead?")))
    ran = run("probe", stdin=answer, tty=True)
    assert ran.code == said
    assert ran.err.startswith("Go ahead? [y/N] ")
    assert ran.out == ""


def test_jsonl_and_csv_have_the_json_names(run: Run, command: Any) -> None:
    command(lambda services: a_view())
    assert [json.loads(line) for line in run("probe", "-o", "jsonl").lines] == [
        {"id": "a", "lag_records": 1},
        {"id": "b", "lag_records": None},
    ]
    assert run("probe", "-o", "csv").out == "id,lag_records\na,1\nb,\n"


def test_markdown_is_a_table_without_changed_numbers(run: Run, command: Any) -> None:
    table = Table((Column("ID"), Column("N", right=True)), (("1e5|x", 3),), notes=("one <b>note</b>",))
    command(lambda services: a_view(sections=(table,)))
    out = run("probe", "-o", "markdown").out
    assert "| 1e5\\|x |" in out
    assert "one &lt;b>note" in out


def test_a_stream_is_text_or_one_object_a_line(run: Run, command: Any) -> None:
    def act(services: Services) -> int:
        with services.stream("probe") as out:
            out.write("for people only")
            out.write("a line \x1b[31mred", {"n": 1})
        return 0

    command(act)
    assert run("probe").out == "for people only\na line red\n"
    assert run("probe", "-o", "json").out == '{"schema": "kcfix.probe/v1", "n": 1}\n'


def test_a_stream_that_fails_ends_with_a_line_and_not_with_a_document(run: Run, command: Any) -> None:
    def act(services: Services) -> int:
        with services.stream("probe") as out:
            out.write("a line", {"n": 1})
        raise errors.Unreachable("kafka: gone")

    command(act)
    ran = run("probe", "-o", "json")
    assert ran.code == 4
    assert [json.loads(line) for line in ran.lines] == [
        {"schema": "kcfix.probe/v1", "n": 1},
        {"error": {"code": 4, "kind": "unreachable", "message": "kafka: gone", "hint": None}},
    ]
