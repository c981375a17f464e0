"""The bridge between Typer and the work: services of this run, and from an error to a row of the document."""

from __future__ import annotations

import typer

from kcfix.cli.options import given
from kcfix.errors import KcfixError
from kcfix.render.view import Problem
from kcfix.services import Services


def services_of(ctx: typer.Context) -> Services:
    """The services of this run, told what was given of the shared options."""
    run = ctx.find_root().obj
    services = run.services(given(ctx))
    if not isinstance(services, Services):
        raise TypeError("the command line was started without services")
    return services


def problem(error: KcfixError) -> Problem:
    """The error as a row of the JSON document."""
    return Problem(error.code, error.kind, error.message, error.hint)
