"""The options that every command takes, before or after the command's name; the later one counts.

They are added to each command by the loader, so that a command's function declares only its own.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from functools import cache
from typing import Annotated, Any

import typer

from kcfix.cli.completing import complete_context
from kcfix.render.style import Format, When

GIVEN = "kcfix.given"
"""Key under which the parser's context keeps what was given."""

SHARED = "Options of every command"
"""Heading of their section in the help."""


def _shared(
    context: Annotated[
        str | None,
        typer.Option(
            "-C",
            "--context",
            metavar="NAME",
            help="Use the settings of this context.",
            autocompletion=complete_context,
        ),
    ] = None,
    output: Annotated[
        Format | None,
        typer.Option("-o", "--output", help="Format; default: table on a terminal, plain through a pipe."),
    ] = None,
    json: Annotated[bool | None, typer.Option("--json", help="The same as -o json.")] = None,
    quiet: Annotated[bool | None, typer.Option("-q", "--quiet", help="Only ids or the bare value, one a line.")] = None,
    verbose: Annotated[
        int,
        typer.Option(
            "-v", "--verbose", count=True, show_default=False, help="Say more; -vv: also the traceback of a bug."
        ),
    ] = 0,
    color: Annotated[When | None, typer.Option("--color", help="When to colour.")] = None,
    no_color: Annotated[bool | None, typer.Option("--no-color", help="The same as --color never.")] = None,
    utc: Annotated[bool | None, typer.Option("--utc", help="Show times in UTC.")] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="TIME", help="How long a system may take to answer.")
    ] = None,
    brokers: Annotated[
        str | None, typer.Option("--brokers", metavar="HOST:PORT,...", help="Kafka's bootstrap servers.")
    ] = None,
    address_map: Annotated[
        list[str] | None,
        typer.Option(
            "--address-map", metavar="FROM=TO", help="Reach the address FROM (host:port) at TO; may be repeated."
        ),
    ] = None,
    dsn: Annotated[
        str | None,
        typer.Option("--dsn", metavar="URL", help="Database, without a password: that comes from KCFIX_PASSWORD."),
    ] = None,
    project: Annotated[
        str | None, typer.Option("--project", metavar="NAME", help="Compose project of the containers.")
    ] = None,
    docker_host: Annotated[
        str | None,
        typer.Option("--docker-host", metavar="URL", help="Docker Engine, e.g. unix:///var/run/docker.sock."),
    ] = None,
    confirm: Annotated[
        str | None,
        typer.Option(
            "--confirm", metavar="NAME", help="For a change in a protected context: its name, in place of typing it."
        ),
    ] = None,
) -> None: ...


def _print_version(wanted: bool | None) -> None:
    if wanted:
        from kcfix import __version__

        typer.echo(f"kcfix {__version__}")
        raise typer.Exit


def _version(
    version: Annotated[
        bool | None, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = None,
) -> None: ...


@cache
def _parameters(function: Any) -> tuple[Any, ...]:
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command()(function)
    return tuple(typer.main.get_command(app).params)


def _keep(ctx: Any, param: Any, value: Any) -> Any:
    if value in (None, (), [], 0, False):
        return value
    kept: MutableMapping[str, object] = ctx.find_root().meta.setdefault(GIVEN, {})
    kept[param.name] = value
    return value


def add_shared_options(command: Any, *, root: bool = False) -> None:
    """Let the command take the shared options; what is given is kept with the root of the command line."""
    functions = (_shared, _version) if root else (_shared,)
    taken = {opt for param in command.params for opt in param.opts}
    for function in functions:
        for param in _parameters(function):
            if taken & set(param.opts):
                raise RuntimeError(f"{command.name}: {param.opts} is an option of every command")
            if function is _shared:
                param.callback = _keep
            param.expose_value = False
            command.params.append(param)


def write_options(command: Any, ctx: Any, formatter: Any, commands: Callable[[Any, Any], None] | None = None) -> None:
    """Write the command's own options, then its subcommands by `commands`, then the options of every command."""
    shared = {id(param) for param in (*_parameters(_shared), *_parameters(_version))}
    own: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], SHARED: []}
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx)
        if record is None:
            continue
        argument = param.param_type_name == "argument"
        own["Arguments" if argument else SHARED if id(param) in shared else "Options"].append(record)
    for heading, records in own.items():
        if heading == SHARED and commands is not None:
            commands(ctx, formatter)
        if records:
            with formatter.section(heading):
                formatter.write_dl(records)


def given(ctx: Any) -> dict[str, object]:
    """What was given of the shared options, by parameter name."""
    return dict(ctx.find_root().meta.get(GIVEN, {}))
