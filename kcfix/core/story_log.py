"""Lines of the workers' logs that are about some payments, with those around their warnings and errors.

The lines are looked at one by one and only what matters is kept or even understood: memory does not grow with the log.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kcfix.core.logentry import Level, LogEntry
from kcfix.core.logparse import offset_of, parse_all
from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import PaymentId
from kcfix.core.ports import DockerPort
from kcfix.core.story import Looked, Marks, StoryLine
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


def read_lines(
    docker: DockerPort, worker: str, container: Container, wanted: Mapping[PaymentId, Wanted]
) -> tuple[Mapping[PaymentId, tuple[StoryLine, ...]], Looked]:
    """The lines of one container about each payment, in Docker's order, and how far it was read."""
    known = [w.marks.paid_at for w in wanted.values() if w.marks.paid_at is not None]
    since = min(known) - BEFORE_PAID if known and len(known) == len(wanted) else None
    kept = {i: _Kept() for i in wanted}
    lines, first_at = 0, None
    error = None
    before: deque[list[RawLine]] = deque(maxlen=AROUND)
    try:
        for group in _entries(docker.logs(container.id, since=since, tail=NEWEST)):
            lines += len(group)
            first_at = first_at or group[0].timestamp
            _look(worker, group, before, wanted, kept)
            before.append(group)
    except KcfixError as failure:
        error = failure.message
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


def _look(
    worker: str,
    group: list[RawLine],
    before: Iterable[list[RawLine]],
    wanted: Mapping[PaymentId, Wanted],
    kept: Mapping[PaymentId, _Kept],
) -> None:
    text = "\n".join(line.text for line in group).lower()
    for i, one in wanted.items():
        mine = kept[i]
        entry = _about(group, text, one)
        if entry is None:
            if mine.after:
                mine.after -= 1
                _keep_around(worker, group, mine)
            continue
        trouble = entry.level in (Level.ERROR, Level.WARN)
        if trouble and not mine.after:
            for earlier in before:
                if not mine.has(earlier[0]):
                    _keep_around(worker, earlier, mine)
        mine.keep(StoryLine(worker, entry))
        mine.after = AROUND if trouble else 0


def _keep_around(worker: str, group: list[RawLine], mine: _Kept) -> None:
    for entry in parse_all(group):
        mine.keep(StoryLine(worker, entry, around=True))


def _about(group: list[RawLine], text: str, wanted: Wanted) -> LogEntry | None:
    """The entry, if it is about the payment: it names one of its ids, or one of its records."""
    named = any(i in text for i in wanted.marks.ids)
    offsets = {offset for _, offset in wanted.places}
    placed = bool(offsets) and any(int(m) in offsets for m in _OFFSET.findall(text) if len(m) < 20)
    if not named and not placed:
        return None
    entry = next(iter(parse_all(group)))
    return entry if named or offset_of(entry) in wanted.places else None
