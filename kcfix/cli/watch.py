"""`kcfix watch`: a screen that goes on, of workers, lag, payments and errors, and of what changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import typer

from kcfix.cli.context import services_of
from kcfix.cli.observer import look, observer_of
from kcfix.cli.watch_rows import watch_row
from kcfix.cli.watch_view import parting, sections, watch_line
from kcfix.core.times import parse_duration
from kcfix.core.watching.history import History
from kcfix.core.watching.observation import Observation
from kcfix.core.watching.watched import Watched
from kcfix.errors import UsageError
from kcfix.render.style import Format
from kcfix.services import Services

EVERY = timedelta(seconds=5)
SHORTEST = timedelta(seconds=1)
"""A look is some nine requests of the brokers, and two of the database."""
PATIENT = timedelta(seconds=4)
"""A system that has not answered by then is silent at this look, unless a setting allows it longer."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `kcfix watch` was asked."""

    every: timedelta = EVERY


def command(
    ctx: typer.Context,
    every: Annotated[
        str | None, typer.Option("--every", metavar="TIME", help="Time between two looks.", show_default="5s")
    ] = None,
) -> int:
    """Nothing is changed. Ctrl-C ends it, gives the terminal back, and leaves what changed below the prompt.

    Each worker has its lag with a line of how that went, how fast records arrive and are committed (a second, over the
    last looks), and when it will have caught up at that pace. A system that does not answer is unknown since a time,
    and is asked again at each look. Payments are those of the last 24 hours, as `kcfix missing` judges them.

    Through a pipe it writes a line for each look, with -o jsonl an object, with -q the number of payments without a
    purchase (- where that is unknown).

    Exit code: 130 when it is interrupted.

    Examples:
        kcfix watch
        kcfix watch --every 2s
        kcfix watch -o jsonl --every 30s
    """
    services = services_of(ctx)
    pause = parse_duration(every) if every else EVERY
    if pause < SHORTEST:
        raise UsageError(f"--every must be at least {SHORTEST.total_seconds():g}s")
    return run(Options(pause), services)


def run(options: Options, services: Services) -> int:
    """Look until interrupted."""
    services.hurry(PATIENT)
    style = services.style()
    dumb = services.environ.get("TERM") == "dumb"
    if services.stdout.isatty() and style.format is Format.TABLE and not services.quiet and not dumb:
        return _on_screen(options, services)
    return _as_stream(options, services)


def _on_screen(options: Options, services: Services) -> int:
    looks = _Looks(services)
    screen = services.screen()
    try:
        with screen:
            while True:
                seen = looks.next()
                screen.draw(
                    sections(
                        seen,
                        looks.history,
                        looks.watched,
                        services.zone,
                        every=options.every,
                        width=screen.width,
                        height=screen.height,
                        blocks=screen.blocks,
                        context=services.settings.context if services.settings.named else None,
                    )
                )
                looks.wait(options.every)
    finally:
        for line in parting(looks.watched, looks.history, services.zone):
            services.stdout.write(services.redact(line) + "\n")
        services.stdout.flush()


def _as_stream(options: Options, services: Services) -> int:
    looks = _Looks(services)
    with services.stream("watch") as out:
        while True:
            seen = looks.next()
            if services.quiet and out.is_text:
                payments = seen.payments.value
                out.write("-" if payments is None else str(payments.without_purchase))
            else:
                row = watch_row(seen, looks.history, looks.watched, looks.changes)
                out.write(watch_line(seen, looks.history, looks.watched, services.zone), row)
            looks.wait(options.every)


class _Looks:
    """One look after the other, and what they come to."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._observer = observer_of(services)
        self.history = History()
        self.watched = Watched()
        self.changes: list[str] = []

    def next(self) -> Observation:
        """Look, and take it in."""
        self._began = self._services.monotonic()
        seen = look(self._observer, self._services)
        self.history.add(seen)
        self.changes = [change.text for change in self.watched.add(seen)]
        return seen

    def wait(self, every: timedelta) -> None:
        """Until the next look is due: a look that took long does not make the pause longer."""
        took = self._services.monotonic() - self._began
        self._services.sleep(max(0.2, every.total_seconds() - took))
