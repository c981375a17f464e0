"""The one door: options, errors and exit codes that all commands share."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest

from kcfix import __version__, errors
from kcfix.cli import app
from kcfix.core.offsets import LogOffsets, TopicPartition
from kcfix.core.rights import Missing, Right, unnoted
from kcfix.errors import KcfixError
from kcfix.main import Terminated, main
from kcfix.services import Services
from tests.cli.probe import a_view, raiser
from tests.conftest import Run, Terminal
from tests.fakes_docker import FakeDocker
from tests.fakes_kafka import FakeKafka

MADE_UP = "made-up-word"


KINDS: list[type[KcfixError]] = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, KcfixError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_error_has_one_line_a_hint_and_its_code(run: Run, command: Any, kind: type[KcfixError]) -> None:
    command(raiser(kind("it went\nwrong", hint="kcfix status")))
    ran = run("trial")
    assert (ran.code, ran.out, ran.err) == (kind.code, "", "kcfix: it went wrong\n  hint: kcfix status\n")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_error_is_one_json_document(run: Run, command: Any, kind: type[KcfixError]) -> None:
    command(raiser(kind("it went wrong", hint="kcfix status")))
    ran = run("trial", "-o", "json")
    document = ran.document
    assert ran.code == kind.code
    assert (document["schema"], document["ok"], document["data"]) == ("kcfix.trial/v1", False, [])
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
    before = run("-o", "json", "--project", "one", "--utc", "trial").document
    after = run("trial", "-o", "json", "--project", "one", "--utc").document
    assert before["summary"] == after["summary"] == {"project": "one", "utc": True}
    assert run("-o", "csv", "--project", "one", "trial", "--json", "--project", "two").document["summary"] == {
        "project": "two",
        "utc": False,
    }


def test_a_bug_is_one_line_and_70_without_a_traceback(run: Run, command: Any) -> None:
    command(raiser(ValueError(f"postgresql://u:{MADE_UP}@db/kc\n[/boom]")))
    ran = run("trial")
    assert (ran.code, ran.out) == (70, "")
    assert ran.err.startswith("kcfix: a bug in kcfix: ValueError: postgresql://u:***@db/kc [/boom]\n  hint: ")
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(("argv", "environ"), [(("-vv",), {}), ((), {"KCFIX_DEBUG": "1"})])
def test_the_traceback_of_a_bug_comes_on_request_and_without_secrets(
    run: Run, command: Any, argv: tuple[str, ...], environ: dict[str, str]
) -> None:
    command(raiser(ValueError(f"postgresql://u:{MADE_UP}@db/kc")))
    ran = run("trial", *argv, environ=environ)
    assert ran.code == 70
    assert "Traceback" in ran.err
    assert MADE_UP not in ran.err


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (Terminated(), 143)])
def test_interruption_and_termination_have_their_codes(run: Run, command: Any, error: BaseException, code: int) -> None:
    command(raiser(error))
    ran = run("trial")
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (code, "", 1)
    assert [e["code"] for e in run("trial", "--json").document["errors"]] == [code]


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
    assert main(["trial"]) == 143
    assert closed == [True]
    assert signal.getsignal(signal.SIGTERM) is before


def test_asking_without_a_terminal_is_refused(run: Run, command: Any) -> None:
    command(lambda services: int(services.ask("Go ahead?")))
    ran = run("trial")
    assert ran.code == 5
    assert "--yes" in ran.err


@pytest.mark.parametrize(("answer", "said"), [("y\n", 1), ("YES\n", 1), ("n\n", 0), ("\n", 0), ("", 0)])
def test_only_yes_is_yes(run: Run, command: Any, answer: str, said: int) -> None:
    command(lambda services: int(services.ask("Go ahead?")))
    ran = run("trial", stdin=answer, tty=True)
    assert ran.code == said
    assert ran.err.startswith("Go ahead? [y/N] ")
    assert ran.out == ""


class Unreadable(FakeKafka):
    """A broker that refuses this user a right on the way, and answers all the same."""

    note: Missing = staticmethod(unnoted)

    def log_offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, LogOffsets]:
        self.note(Right("Read", "topic", "t"), "kafka-acls … --topic t")
        return super().log_offsets(partitions)


@pytest.mark.parametrize("argv", [("topics",), ("topics", "-o", "json"), ("lag", "--watch")])
def test_a_missing_right_is_a_warning_with_the_line_that_gives_it(tmp_path: Path, argv: tuple[str, ...]) -> None:
    out, err = Terminal(), Terminal()

    def once(_: float) -> None:
        raise KeyboardInterrupt

    kafka = Unreadable()
    services = Services(
        environ={"HOME": str(tmp_path)},
        folder=tmp_path,
        stdin=Terminal(),
        stdout=out,
        stderr=err,
        sleep=once,
        kafka=kafka,
        docker=FakeDocker(),
    )
    kafka.note = services.missing_rights.note
    main(argv, services)
    line = "warning: missing right: Read on topic t; this gives it: kafka-acls … --topic t"
    assert err.getvalue().count(line) == 1
