"""Shows a plan before it is carried out, on standard error, so that standard output stays the result alone."""

from __future__ import annotations

from kcfix.cli.invocation import view_as_called
from kcfix.core.redact import redact
from kcfix.render.formats import Envelope, write
from kcfix.render.style import Format, Style, terminal_width
from kcfix.render.view import View
from kcfix.services import Services

STDERR = 2
"""Its file descriptor: standard output may be a file, and as wide as it likes."""


def show_plan(services: Services, view: View) -> None:
    """Write the view to standard error as text, whatever the format of the result."""
    tty = services.stderr.isatty()
    style = Style(
        format=Format.TABLE if tty else Format.PLAIN,
        color=False,
        width=terminal_width(services.environ, STDERR) if tty else None,
        quiet=False,
        scrub=lambda text: redact(text, services.secrets),
    )
    write(view_as_called(view, services), Envelope(services.now(), services.settings.context), style, services.stderr)
    services.stderr.write("\n")
    services.stderr.flush()
