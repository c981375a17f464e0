"""What has to hold before anything is changed: reason, typed name, and a context that no variable leads elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import kcfix
from kcfix.cli.guards import confirmed, may_change
from kcfix.errors import KcfixError, Refused
from kcfix.services import Services
from tests.conftest import Terminal

CLI = Path(kcfix.__file__).parent / "cli"
PROD = '[contexts.prod]\nprotected = true\nbrokers = "prod.example:9092"\n'


def services(
    folder: Path, text: str = "", *, tty: bool = True, environ: dict[str, str] | None = None, **given: Any
) -> Services:
    (folder / "kcfix.toml").write_text(PROD)
    made = Services(
        environ={"HOME": str(folder), **(environ or {})},
        folder=folder,
        stdin=Terminal(text, tty=tty),
        stderr=Terminal(tty=tty),
    )
    made.given = {"context": "prod", **given}
    return made


def said(services: Services) -> str:
    """What was written to standard error."""
    assert isinstance(services.stderr, Terminal)
    return services.stderr.getvalue()


def refusal(call: Any) -> KcfixError | None:
    try:
        call()
    except KcfixError as error:
        return error
    return None


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_protected_context_wants_a_reason(tmp_path: Path, reason: str) -> None:
    error = refusal(lambda: may_change(services(tmp_path), reason=reason, yes=True))
    assert isinstance(error, Refused)
    assert "--reason" in error.message


@pytest.mark.parametrize(("typed", "goes"), [("prod\n", True), ("stage\n", False), ("y\n", False), ("\n", False)])
def test_its_name_has_to_be_typed_also_with_yes(tmp_path: Path, typed: str, goes: bool) -> None:
    asked = services(tmp_path, typed)
    may_change(asked, reason="why", yes=True)
    error = refusal(lambda: confirmed(asked))
    assert (error is None) is goes
    assert "Type prod to go ahead" in said(asked)


def test_without_a_terminal_the_name_stands_on_the_command_line(tmp_path: Path) -> None:
    error = refusal(lambda: may_change(services(tmp_path, tty=False), reason="why", yes=True))
    assert error is not None
    assert (error.code, error.hint) == (5, "add --confirm prod")
    named = services(tmp_path, tty=False, confirm="prod")
    may_change(named, reason="why", yes=True)
    assert confirmed(named) is False


def test_another_name_is_refused(tmp_path: Path) -> None:
    error = refusal(lambda: may_change(services(tmp_path, confirm="stage"), reason="why", yes=True))
    assert error is not None
    assert "--confirm says stage, and the context is prod" in error.message


def test_where_nothing_is_protected_no_name_is_asked_for(tmp_path: Path) -> None:
    free = services(tmp_path)
    free.given = {}
    may_change(free, reason="", yes=False)
    assert confirmed(free) is False
    assert said(free) == ""


def test_a_context_that_a_variable_leads_elsewhere_is_not_changed(tmp_path: Path) -> None:
    stray = {"KCFIX_BROKERS": "stray.example:9092"}
    error = refusal(lambda: may_change(services(tmp_path, environ=stray), reason="why", yes=True))
    assert isinstance(error, Refused)
    assert "led elsewhere by KCFIX_BROKERS" in error.message
    meant = services(tmp_path, environ=stray, brokers="tunnel.example:9092", confirm="prod")
    may_change(meant, reason="why", yes=True)


def test_whatever_writes_a_run_into_the_journal_asks_for_the_name_before() -> None:
    changing = [path for path in CLI.glob("*.py") if "journal.begin(" in path.read_text(encoding="utf-8")]
    assert len(changing) >= 5
    for path in changing:
        text = path.read_text(encoding="utf-8")
        assert "confirmed(services)" in text.partition("journal.begin(")[0], path.name
