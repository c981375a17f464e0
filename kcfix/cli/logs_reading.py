"""The logs that a run of `kcfix logs` reads: what is there, what comes, and what could not be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial

from kcfix.clean import clean
from kcfix.cli.context import problem
from kcfix.core.logs.entry import LogEntry
from kcfix.core.logs.merge import Failed, Folded, finished, followed, merged
from kcfix.core.logs.query import Filter, Source
from kcfix.core.logs.source import follow, read
from kcfix.errors import OK, KcfixError
from kcfix.render.view import View
from kcfix.services import Services

FIRST_READ = 500
"""Lines that are read at first; more where so many of them repeat that too few are left to be shown."""
LAST_READ = 100_000


def tell(services: Services, text: str) -> None:
    """Say something beside the output."""
    services.stderr.write(f"kcfix: {services.redact(clean(text))}\n")
    services.stderr.flush()


class Reading:
    """The logs of the chosen containers; one that can't be read is kept as an error and the others go on."""

    def __init__(
        self, services: Services, chosen: tuple[Source, ...], selection: Filter, lines: int | None, *, fold: bool
    ) -> None:
        self.services = services
        self.chosen = chosen
        self.labels = {source.container.name: source.label for source in chosen}
        self.width = max(len(source.label) for source in chosen)
        self.errors: list[KcfixError] = []
        self._filter = selection
        self._lines = lines
        self._fold = fold
        self._newest: dict[str, tuple[datetime, int]] = {}
        """By container: time of the newest line that was read, and how many lines had that very time."""

    def entries(self) -> Iterator[tuple[Source, Iterator[LogEntry]]]:
        """Each container with its newest lines, whatever they say."""
        for source in self.chosen:
            yield source, self._read(source, self._lines)

    def lines(self) -> Iterator[Folded]:
        """What is there now, merged."""
        return merged([self._finished(source) for source in self.chosen])

    def _finished(self, source: Source) -> Iterable[Folded]:
        wanted = self._lines
        if wanted is None or self._filter.selects or not self._fold:
            # What a line says decides, or each line counts: no more need be read than that.
            tail = None if wanted is None or self._filter.selects else max(wanted, 1)
            entries = (e for e in self._read(source, tail) if self._filter.wants(e))
            return finished(entries, wanted, fold=self._fold)
        tail = max(FIRST_READ, wanted)
        while True:
            everything = list(self._read(source, tail))
            lines = list(finished(everything, wanted))
            if len(lines) >= wanted or len(everything) < tail or tail >= LAST_READ:
                return lines
            tail *= 8

    def _read(self, source: Source, tail: int | None) -> Iterator[LogEntry]:
        name = source.container.name
        self._newest.pop(name, None)
        try:
            for entry in read(
                self.services.docker, source.container, since=self._filter.since, until=self._filter.until, tail=tail
            ):
                time, count = self._newest.get(name, (entry.timestamp, 0))
                if entry.timestamp >= time:
                    self._newest[name] = entry.timestamp, count + 1 if entry.timestamp == time else 1
                yield entry
        except KcfixError as error:
            self.errors.append(error)

    def coming(self) -> Iterator[LogEntry | None]:
        """What comes from now on, merged; None at every pause."""
        start = self.services.docker.now()
        feeds: list[Callable[[], Iterator[LogEntry]]] = []
        for source in self.chosen:
            since, seen = self._newest.get(source.container.name, (self._filter.since or start, 0))
            feeds.append(
                partial(
                    follow, self.services.docker, source.container, since=since, seen=seen, sleep=self.services.sleep
                )
            )
        for item in followed(feeds, self.services.monotonic):
            if isinstance(item, Failed):
                self.errors.append(item.error)
                tell(self.services, item.error.message)
            elif item is None or self._filter.wants(item):
                yield item

    def tell_errors(self) -> None:
        """Say what could not be read. Raises the error where nothing could."""
        if self.errors and len(self.errors) >= len(self.chosen):
            raise self.errors[0]
        for error in self.errors:
            tell(self.services, error.message)

    def finish(self, view: View, warnings: list[str]) -> View:
        """The view with what could not be read. Raises the error where nothing could."""
        if self.errors and len(self.errors) >= len(self.chosen):
            raise self.errors[0]
        return replace(
            view,
            warnings=(*view.warnings, *warnings),
            errors=tuple(problem(error) for error in self.errors),
            exit_code=max((error.code for error in self.errors), default=OK),
        )
