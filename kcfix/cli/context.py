"""The bridge between Typer and the work: services of this run, and from an error to a row of the document."""

from __future__ import annotations

from collections.abc import Mapping

import typer

from kcfix.cli.options import given
from kcfix.core.redact import secrets_of
from kcfix.errors import KcfixError, UsageError
from kcfix.render.view import Problem
from kcfix.services import Services


def services_of(ctx: typer.Context) -> Services:
    """The services of this run, told what was given of the shared options."""
    run = ctx.find_root().obj
    shared = given(ctx)
    _no_password(shared)
    services = run.services(shared)
    if not isinstance(services, Services):
        raise TypeError("the command line was started without services")
    return services


def _no_password(shared: Mapping[str, object]) -> None:
    """Raises UsageError for a password in an option: everybody on the host sees it in the list of processes."""
    for name, flag in (("dsn", "--dsn"), ("docker_host", "--docker-host")):
        value = shared.get(name)
        if isinstance(value, str) and any(secrets_of(part) for part in value.split(",")):
            raise UsageError(
                f"{flag} holds a password, which everybody on this host can read in the list of processes",
                hint="leave it out, and give it by KCFIX_PASSWORD, password_file or password_command",
            )


def problem(error: KcfixError) -> Problem:
    """The error as a row of the JSON document."""
    return Problem(error.code, error.kind, error.message, error.hint)
