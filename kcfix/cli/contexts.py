"""`kcfix context`: the contexts by name, and which of them is in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import typer

from kcfix.cli.context import problem, services_of
from kcfix.core.redact import redact
from kcfix.core.setup.dsn import database_address
from kcfix.errors import OK, KcfixError
from kcfix.render.view import Cell, Column, Problem, Table, Tone, View
from kcfix.services import Services
from kcfix.settings import Settings, load
from kcfix.settings.files import default_choice, known_contexts

app = typer.Typer()


@app.callback()
def context() -> None:
    """A context is a system by name, chosen with -C. Variables such as KAFKA_BROKERS or PGHOST don't lead it elsewhere.

    Examples:
        kcfix context list
        kcfix -C drill status
    """


@app.command("list")
def list_(ctx: typer.Context) -> View:
    """List the contexts of the settings files and of drills, with the addresses that their files give. Asks no system.

    The one in force is marked with *. With -q: the names.

    Examples:
        kcfix context list
        kcfix context list -q
    """
    return list_contexts(services_of(ctx))


@dataclass(frozen=True, slots=True)
class Known:
    """A context as its files say it."""

    name: str
    in_force: bool
    settings: Settings | None
    error: Problem | None = None
    """Why it can't be used."""

    @property
    def where(self) -> str | None:
        """The file that it is written in; None for a default context that no file says anything of."""
        if self.settings is None:
            return None
        told = (origin.where for origin in self.settings.origins.values() if origin.source == "file")
        return next(iter(sorted(told)), None)

    @property
    def database(self) -> str | None:
        """host:port/name, never with a password."""
        dsn = self.settings.dsn if self.settings else None
        return None if dsn is None else str(database_address(dsn) or redact(dsn))

    @property
    def docker(self) -> str | None:
        """The Compose project and the engine, as far as they are given."""
        if self.settings is None:
            return None
        said = (self.settings.project, self.settings.docker_host or self.settings.docker_context)
        return " at ".join(word for word in said if word) or None


def list_contexts(services: Services) -> View:
    """Every context with what its files say. One that can't be understood is a row and an error."""
    chosen, why = _chosen(services)
    bare = {name: value for name, value in services.environ.items() if not name.startswith("KCFIX_")}
    known = [_known(name, chosen, bare, services) for name in known_contexts(services.environ, services.folder)]
    errors = tuple(one.error for one in known if one.error is not None)
    lost = () if any(one.in_force for one in known) else (f"the context in force is {chosen}, which is not there",)
    return View(
        schema="context-list",
        sections=(
            Table(
                columns=(
                    Column("CONTEXT"),
                    Column("BROKERS", wrap=True),
                    Column("DATABASE", wrap=True),
                    Column("DOCKER", wrap=True, priority=2),
                    Column("PROTECTED"),
                    Column("FROM", wrap=True, priority=1),
                ),
                rows=tuple(_cells(one) for one in known),
                notes=(f"* in force: {why}",),
            ),
        ),
        data=[
            {
                "name": one.name,
                "in_force": one.in_force,
                "brokers": list(one.settings.brokers) if one.settings else [],
                "database": one.database,
                "project": one.settings.project if one.settings else None,
                "docker_host": one.settings.docker_host and redact(one.settings.docker_host) if one.settings else None,
                "docker_context": one.settings.docker_context if one.settings else None,
                "protected": one.settings.protected if one.settings else None,
                "where": one.where,
            }
            for one in known
        ],
        summary={"in_force": chosen, "chosen_by": why},
        warnings=lost,
        errors=errors,
        ids=tuple(one.name for one in known),
        exit_code=max((error.code for error in errors), default=OK),
    )


def _cells(one: Known) -> tuple[Cell | str | None, ...]:
    name = Cell(f"{one.name} *", Tone.STRONG) if one.in_force else one.name
    if one.settings is None:
        return (name, Cell("can't be read", Tone.BAD), None, None, None, None)
    brokers = ", ".join(one.settings.brokers) or None
    protected = Cell("yes", Tone.WARN) if one.settings.protected else "no"
    return (name, brokers, one.database, one.docker, protected, one.where)


def _known(name: str, chosen: str, environ: Mapping[str, str], services: Services) -> Known:
    # The default context may take what generic variables say, a named one does not: so `load` has it.
    try:
        return Known(name, name == chosen, load({"context": name}, environ, services.folder))
    except KcfixError as error:
        return Known(name, name == chosen, None, problem(error))


def _chosen(services: Services) -> tuple[str, str]:
    """The context in force and what chose it."""
    if given := services.given.get("context"):
        return str(given), "-C"
    if variable := services.environ.get("KCFIX_CONTEXT"):
        return variable, "KCFIX_CONTEXT"
    named = default_choice(services.environ, services.folder)
    if named is not None:
        return named[0], f"default_context in {named[1]}"
    return "default", "no other was chosen"
