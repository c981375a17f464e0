"""Lines of the workers' logs that are about some payments, with those around their warnings and errors.

The lines are looked at one by one and only what matters is kept or even understood: memory does not grow with the log.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kcfix.core.judging.id_index import IdIndex
from kcfix.core.logs.entry import Level, LogEntry
from kcfix.core.logs.parse import offset_of, parse_all
from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import PaymentId
from kcfix.core.ports.docker import DockerPort
from kcfix.core.story.payment_story import Looked, Marks, StoryLine
from kcfix.core.workers import Container, RawLine
from kcfix.errors import KcfixError

NEWEST = 20_000
"""Lines looked at of each container."""
KEPT = 200
"""Lines kept of one payment and container: the first half of them, and the newest."""
AROUND = 3
BEFORE_PAID = timedelta(minutes=1)

Places = frozenset[tuple[TopicPartition, int]]
_OFFSET = re.compile(r'"(?:original)?offset":\s*"?(\d+)')


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a line must name to be about the payment."""

    marks: Marks
    places: Places = frozenset()
    """Its records: topic, partition and offset."""


@dataclass(slots=True)
class _Kept:
    """The first and the newest lines of one payment."""

    first: list[StoryLine] = field(default_factory=list)
    newest: deque[StoryLine] = field(default_factory=lambda: deque(maxlen=KEPT // 2))
    count: int = 0
    """Lines about the payment, those that were not kept among them."""
    after: int = 0
    """Lines that are still to be kept because they follow an error."""

    def keep(self, line: StoryLine) -> None:
        self.count += not line.around
        if len(self.first) < KEPT // 2:
            self.first.append(line)
        else:
            self.newest.append(line)

    def has(self, line: RawLine) -> bool:
        """Whether it is among the last that were kept."""
        last = [*self.first, *self.newest][-2 * AROUND :]
        return any((one.entry.timestamp, one.entry.raw) == (line.timestamp, line.text) for one in last)


class _Sorting:
    """Takes the lines of one container one after the other, and keeps those that are about a payment."""

    def __init__(self, worker: str, wanted: Mapping[PaymentId, Wanted]) -> None:
        self.kept = {i: _Kept() for i in wanted}
        self._worker = worker
        self._index = IdIndex(w.marks for w in wanted.values())
        self._at: dict[int, list[tuple[TopicPartition, PaymentId]]] = defaultdict(list)
        for i, one in wanted.items():
            for where, offset in one.places:
                self._at[offset].append((where, i))
        self._before: deque[list[RawLine]] = deque(maxlen=AROUND)
        self._followed: set[PaymentId] = set()
        """Payments of which an error has just gone by."""

    def take(self, group: list[RawLine]) -> None:
        """The next line, with its `Meta:` line."""
        text = "\n".join(line.text for line in group)
        owners = self._index.named_in(text)
        offsets = {n for m in _OFFSET.findall(text) if len(m) < 20 and (n := int(m)) in self._at} if self._at else ()
        entry = next(iter(parse_all(group))) if owners or offsets else None
        if entry is not None:
            place = offset_of(entry)
            owners |= {i for n in offsets for where, i in self._at[n] if place == (where, n)}
        for i in self._followed - owners:
            self._around(i, group)
            self.kept[i].after -= 1
        for i in owners:
            if entry is not None:
                self._keep(i, entry)
        self._followed = {i for i in self._followed | owners if self.kept[i].after}
        self._before.append(group)

    def _keep(self, i: PaymentId, entry: LogEntry) -> None:
        mine = self.kept[i]
        trouble = entry.level in (Level.ERROR, Level.WARN)
        if trouble and not mine.after:
            for earlier in self._before:
                if not mine.has(earlier[0]):
                    self._around(i, earlier)
        mine.keep(StoryLine(self._worker, entry))
        mine.after = AROUND if trouble else max(0, mine.after - 1)

    def _around(self, i: PaymentId, group: list[RawLine]) -> None:
        for entry in parse_all(group):
            self.kept[i].keep(StoryLine(self._worker, entry, around=True))


def read_lines(
    docker: DockerPort, worker: str, container: Container, wanted: Mapping[PaymentId, Wanted]
) -> tuple[Mapping[PaymentId, tuple[StoryLine, ...]], Looked]:
    """The lines of one container about each payment, in Docker's order, and how far it was read."""
    known = [w.marks.paid_at for w in wanted.values() if w.marks.paid_at is not None]
    since = min(known) - BEFORE_PAID if known and len(known) == len(wanted) else None
    sorting = _Sorting(worker, wanted)
    lines, first_at, error = 0, None, None
    try:
        for group in _entries(docker.logs(container.id, since=since, tail=NEWEST)):
            lines += len(group)
            first_at = first_at or group[0].timestamp
            sorting.take(group)
    except KcfixError as failure:
        error = failure.message
    kept = sorting.kept
    found = {i: (*k.first, *k.newest) for i, k in kept.items()}
    count = None if error is not None and not lines else sum(k.count for k in kept.values())
    cut = any(k.count > KEPT for k in kept.values())
    return found, Looked("docker", container.name, count, error=error, note=_note(lines, first_at, since, cut=cut))


def _note(lines: int, first_at: datetime | None, since: datetime | None, *, cut: bool) -> str | None:
    if lines >= NEWEST and first_at is not None:
        return f"only the newest {NEWEST} lines were looked at, from {first_at.isoformat(timespec='seconds')} on"
    if cut:
        return f"of very many lines the first {KEPT // 2} and the newest {KEPT // 2} are kept"
    if not lines:
        return "no lines" if since is None else f"no lines since {since.isoformat(timespec='seconds')}"
    return None


def _entries(lines: Iterable[RawLine]) -> Iterator[list[RawLine]]:
    """Each line, with the `Meta:` line that belongs to it (docs/system.md 4.1)."""
    group: list[RawLine] = []
    for line in lines:
        if group and line.text.lstrip().startswith("Meta: {") and len(group) == 1:
            group.append(line)
            continue
        if group:
            yield group
        group = [line]
    if group:
        yield group
