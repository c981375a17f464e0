"""`kcfix config`: the settings in force, whether they lead to systems that answer, and a first file of them."""

from __future__ import annotations

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
def show(ctx: typer.Context) -> View:
    """Show each setting, its value and where it came from. Secrets are masked.

    Examples:
        kcfix config show
        kcfix -C drill config show -o json
    """
    from kcfix.cli.config_show import show_settings

    return show_settings(services_of(ctx))
