"""`kcfix config`: the settings in force, and where each came from."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from kcfix.cli.context import services_of
from kcfix.core.redact import redact_value
from kcfix.render.values import dumps, plain
from kcfix.render.view import Column, Table, View
from kcfix.services import Services
from kcfix.settings import SETTINGS

app = typer.Typer()


@dataclass(frozen=True, slots=True)
class ShowOptions:
    """What `kcfix config show` was asked."""

    names: tuple[str, ...] = ()
    """Only these settings; empty for all."""


@app.callback()
def config() -> None:
    """Flags go before KCFIX_ variables, these before files, these before what the containers tell.

    Examples:
        kcfix config show
        kcfix -C drill config show
    """


@app.command()
def show(ctx: typer.Context) -> View:
    """Show each setting, its value and where it came from. Secrets are masked.

    Examples:
        kcfix config show
        kcfix -C drill config show -o json
    """
    return show_settings(ShowOptions(), services_of(ctx))


def show_settings(options: ShowOptions, services: Services) -> View:
    """Every setting with its origin."""
    settings = services.settings
    rows = []
    data = []
    for setting in SETTINGS:
        value = plain(redact_value(setting.name, getattr(settings, setting.name)))
        origin = settings.origin(setting.name)
        rows.append((setting.name, value if isinstance(value, str) else dumps(value) if value else None, str(origin)))
        data.append({"name": setting.name, "value": value, "source": origin.source, "where": origin.where or None})
    columns = (Column("SETTING"), Column("VALUE", wrap=True), Column("FROM", wrap=True))
    return View(
        schema="config",
        sections=(Table(columns, tuple(rows)),),
        data=data,
        warnings=settings.warnings,
    )
