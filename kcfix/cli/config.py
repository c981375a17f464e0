"""`kcfix config`: the settings in force, whether they lead to systems that answer, and a first file of them."""

from __future__ import annotations

from typing import Annotated

import typer

from kcfix.cli.context import services_of
from kcfix.render.view import View

app = typer.Typer()


@app.callback()
def config() -> None:
    """Flags go before KCFIX_ variables, these before files, these before what the containers tell.

    Examples:
        kcfix config check
        kcfix -C drill config show
    """


@app.command()
def check(ctx: typer.Context) -> View:
    """Try Docker, Kafka and PostgreSQL, and say what is wrong in words. Changes nothing, and shows no secret.

    It tries names, ports, TLS, logins, the address that each broker advertises, and the rights that reading needs, and
    says what it found: releases, identities, and where each setting came from.

    Exit codes: 0 all answer, perhaps with cautions; 1 something answers and is not what it should be; 2 a setting
    can't be understood; 4 a system does not answer or refuses.

    Examples:
        kcfix config check
        kcfix -C drill config check -o json
    """
    from kcfix.cli.config_check import check_systems

    return check_systems(services_of(ctx))


@app.command()
def init(
    ctx: typer.Context,
    file: Annotated[
        str | None,
        typer.Option("--file", metavar="FILE", help="Write this file (./kcfix.toml by itself); - only prints."),
    ] = None,
    user: Annotated[
        bool, typer.Option("--user", help="Write the user's own file, kcfix/config.toml in ~/.config.")
    ] = False,
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Write it as the context of this name.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    password_file: Annotated[
        str | None,
        typer.Option("--password-file", metavar="FILE", help="Let the settings take the database's password from it."),
    ] = None,
    password_command: Annotated[
        str | None,
        typer.Option("--password-command", metavar="COMMAND", help="Let them take it from what this prints."),
    ] = None,
) -> View | int:
    """Write a commented settings file from what was found: project, brokers, address map, database. No password.

    What was found is written as settings, all else as comments. The file is readable by its owner only, and one that
    is there is not touched without --overwrite.

    Examples:
        kcfix config init
        kcfix config init --user --as prod --password-command "pass show kcfix/prod"
        kcfix config init --file -
    """
    from kcfix.cli.config_init import Options, write_first_file

    options = Options(file, user, name, overwrite, password_file, password_command)
    return write_first_file(options, services_of(ctx))


@app.command()
def show(ctx: typer.Context) -> View:
    """Show each setting, its value and where it came from. Secrets are masked.

    Examples:
        kcfix config show
        kcfix -C drill config show -o json
    """
    from kcfix.cli.config_show import show_settings

    return show_settings(services_of(ctx))
