"""Many logs as one, in the order of Docker's clock, with what repeats folded.

What is folded, and why: a worker whose Redis is unreachable writes the same line every second and drowns all others
(docs/system.md 4.1). The same line in a row becomes one with a count. The same line *between* others is held back as
well, but only while it comes back within `QUIET`, and only if it is about no record and no payment: the story of a
message is never shortened. A folded line is shown again, with its count, at least once a minute.
"""

from __future__ import annotations

import heapq
import json
import queue
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from kcfix.core.logs.entry import LogEntry
from kcfix.core.logs.parse import offset_of, payment_of
from kcfix.errors import KcfixError

T = TypeVar("T")

QUIET = timedelta(seconds=15)
"""A line that was not seen for this long is news again."""
SUMMARY_EVERY = timedelta(seconds=60)
DISORDER = timedelta(seconds=1)
"""Docker stamps the two outputs of a container apart, so its lines may be out of order by a little; not by this."""
HOLD = 0.3
"""Seconds for which a followed line waits for earlier lines of other containers."""
_REMEMBERED = 1000
"""Different lines that are watched for repetition at a time, and lines that may wait to be ordered."""
_VOLATILE = frozenset({"retryCount", "retryTime", "duration", "attempt", "delayMs", "uptime", "pid"})


@dataclass(frozen=True, slots=True)
class Folded:
    """An entry as it is shown: once for `count` lines."""

    entry: LogEntry
    count: int = 1
    until: datetime | None = None
    """Time of the last of several; None for a single line."""
    again: bool = False
    """True: further lines like one that was shown before."""


def settled(
    items: Iterable[T], at: Callable[[T], datetime], disorder: timedelta = DISORDER, most: int = _REMEMBERED
) -> Iterator[T]:
    """The items of one container in the order of time; those of the same time keep their order. Lazy.

    An item may come late by `disorder`, and `most` wait at a time.
    """
    waiting: list[tuple[datetime, int, T]] = []
    for number, item in enumerate(items):
        newest_time = at(item)
        heapq.heappush(waiting, (newest_time, number, item))
        while waiting and (len(waiting) > most or newest_time - waiting[0][0] > disorder):
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]


def merged(sources: Sequence[Iterable[Folded]]) -> Iterator[Folded]:
    """The lines of finished logs as one, in the order of time. Lazy: it holds a few lines of each.

    Lines of the same time keep the order of the sources.
    """
    return heapq.merge(*sources, key=_shown_at)


def finished(entries: Iterable[LogEntry], count: int | None, *, fold: bool = True) -> Iterable[Folded]:
    """The lines of one finished log, in the order of time and folded; the last `count`, or all where it is None."""
    ordered = settled(entries, lambda e: e.timestamp)
    lines = settled(folded(ordered), _shown_at, QUIET + DISORDER, _REMEMBERED * 10) if fold else map(Folded, ordered)
    return lines if count is None else deque(lines, maxlen=max(0, count))


def _shown_at(line: Folded) -> datetime:
    return line.entry.timestamp


@dataclass(frozen=True, slots=True)
class Failed:
    """A log that broke off."""

    source: int
    error: KcfixError


def followed(
    sources: Sequence[Callable[[], Iterator[LogEntry]]], monotonic: Callable[[], float], hold: float = HOLD
) -> Iterator[LogEntry | Failed | None]:
    """The entries of logs that go on, as one; ends when all have ended.

    Each source is read in a thread of its own. A line waits `hold` seconds for earlier ones of other containers, so the
    order is Docker's unless a line was that late. None is given when nothing came for a while: a moment to show what is
    held back, and to notice Ctrl-C. A source that fails gives one `Failed` and ends; the others go on.
    """
    arrived: queue.Queue[tuple[int, LogEntry | KcfixError | None]] = queue.Queue(maxsize=_REMEMBERED * 4)
    for number, source in enumerate(sources):
        threading.Thread(target=_feed, args=(number, source, arrived), name=f"log-{number}", daemon=True).start()
    open_sources = len(sources)
    waiting: list[tuple[datetime, int, float, LogEntry]] = []
    count = 0
    while open_sources or waiting:
        try:
            number, item = arrived.get(timeout=hold)
        except queue.Empty:
            item = None
            idle = True
        else:
            idle = False
            if isinstance(item, LogEntry):
                count += 1
                heapq.heappush(waiting, (item.timestamp, count, monotonic(), item))
            else:
                open_sources -= 1
                if item is not None:
                    yield Failed(number, item)
        now = monotonic()
        while waiting and (not open_sources or len(waiting) > _REMEMBERED or now - waiting[0][2] >= hold):
            yield heapq.heappop(waiting)[3]
        if idle and not waiting:
            yield None


def _feed(
    number: int,
    source: Callable[[], Iterator[LogEntry]],
    arrived: queue.Queue[tuple[int, LogEntry | KcfixError | None]],
) -> None:
    try:
        for entry in source():
            arrived.put((number, entry))
    except KcfixError as error:
        arrived.put((number, error))
    else:
        arrived.put((number, None))


@dataclass(slots=True)
class _Run:
    """A line that comes back."""

    last: LogEntry
    first_held: datetime | None = None
    held: int = 0
    told: datetime | None = None


class Folder:
    """Folds a stream of entries, which must come in the order of time."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._pending: tuple[str, Folded] | None = None

    def feed(self, entry: LogEntry) -> Iterator[Folded]:
        """What is to be shown now that this entry has come."""
        key = _key(entry)
        if self._pending is not None and self._pending[0] == key:
            shown = self._pending[1]
            self._pending = key, Folded(shown.entry, shown.count + 1, entry.timestamp, shown.again)
            self._seen(key, entry)
            return
        yield from self._ended(entry.timestamp)
        run = self._runs.get(key)
        if run is not None and _may_hide(entry):
            run.held += 1
            run.first_held = run.first_held or entry.timestamp
            run.last = entry
            self._runs.move_to_end(key)
            if entry.timestamp - (run.told or run.first_held) >= SUMMARY_EVERY:
                yield from self._shown()
                yield from self._summary(run)
                run.told = entry.timestamp
            return
        yield from self._shown()
        self._pending = key, Folded(entry)
        self._seen(key, entry)

    def idle(self) -> Iterator[Folded]:
        """What is to be shown because nothing else comes: the line that waits for a repetition."""
        yield from self._shown()

    def end(self) -> Iterator[Folded]:
        """What is left at the end."""
        yield from self._shown()
        for run in self._runs.values():
            yield from self._summary(run)
        self._runs.clear()

    def _seen(self, key: str, entry: LogEntry) -> None:
        run = self._runs.get(key)
        if run is None:
            self._runs[key] = _Run(entry)
        else:
            run.last = entry
        self._runs.move_to_end(key)

    def _shown(self) -> Iterator[Folded]:
        if self._pending is not None:
            yield self._pending[1]
            self._pending = None

    def _ended(self, now: datetime) -> Iterator[Folded]:
        """Runs that have not come back for a while: what was held of them, once."""
        while self._runs:
            key, run = next(iter(self._runs.items()))
            if now - run.last.timestamp <= QUIET and len(self._runs) <= _REMEMBERED:
                return
            del self._runs[key]
            if run.held:
                yield from self._shown()
            yield from self._summary(run)

    @staticmethod
    def _summary(run: _Run) -> Iterator[Folded]:
        if run.held:
            first = run.first_held or run.last.timestamp
            yield Folded(run.last, run.held, run.last.timestamp if first != run.last.timestamp else None, again=True)
        run.held = 0
        run.first_held = None


def _may_hide(entry: LogEntry) -> bool:
    return payment_of(entry) is None and offset_of(entry) is None


def _key(entry: LogEntry) -> str:
    """The same for lines that differ in their clock and counters only."""
    fields = {k: v for k, v in entry.fields.items() if k not in _VOLATILE}
    try:
        return json.dumps([entry.container, entry.stream, entry.level, entry.message, fields], default=str)
    except RecursionError:
        return entry.raw


def folded(entries: Iterable[LogEntry | None]) -> Iterator[Folded]:
    """Entries in the order of time, folded. None among them is a pause: what waits is shown."""
    folder = Folder()
    for entry in entries:
        yield from folder.idle() if entry is None else folder.feed(entry)
    yield from folder.end()
