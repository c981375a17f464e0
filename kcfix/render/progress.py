"""A bar that says how far a long run is, how fast it goes and how long it will take, for a person at a terminal."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from kcfix.clean import clean


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f}/s")


class Bar:
    """The bar, drawn from `with` on; it is taken away at the end."""

    def __init__(self, out: TextIO, total: int, *, color: bool) -> None:
        console = Console(file=out, force_terminal=True, no_color=not color, markup=False, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("", total=total)

    def say(self, text: str) -> None:
        """What is being done just now."""
        self._progress.update(self._task, description=clean(text))

    def advance(self, count: int) -> None:
        """So many more are through."""
        self._progress.advance(self._task, count)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()
