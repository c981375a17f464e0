"""A command for tests that does whatever a test wants, put into the table of commands beside the real ones."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any, cast

import pytest
import typer

from kcfix.cli import app
from kcfix.cli.context import services_of
from kcfix.cli.documents import DOCUMENTS
from kcfix.cli.shapes import Document
from kcfix.render.view import Column, Table, View
from kcfix.services import Services


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Services], Any]], None]:
    """Let the command `trial` do what a test wants."""

    def put(act: Callable[[Services], Any]) -> None:
        def trial(ctx: typer.Context) -> Any:
            """Nothing but a probe."""
            return act(services_of(ctx))

        module = types.ModuleType("kcfix.cli.trial")
        module.command = trial  # type: ignore[attr-defined]
        module.__spec__ = types.SimpleNamespace(name="kcfix.cli.trial")  # type: ignore[assignment]
        monkeypatch.setitem(sys.modules, "kcfix.cli.trial", module)
        monkeypatch.setitem(cast("dict[str, Document]", DOCUMENTS), "trial", PROBE)
        monkeypatch.setattr(app, "COMMANDS", (*app.COMMANDS, app.Entry("trial", "Look", "Probe the door.")))

    return put


def a_view(**changes: Any) -> View:
    table = Table((Column("ID"), Column("LAG", right=True)), (("a", 1), ("b", None)))
    fields: dict[str, Any] = {
        "schema": "trial",
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
