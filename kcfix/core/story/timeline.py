"""All that is known of one payment's life, merged into one ordered list of moments with the gaps between them.

A time that nobody recorded is listed apart, never guessed. Each moment names its source, for every source has a clock
of its own: rows the database's, records their producer's, log lines Docker's, steps of kcfix this host's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from kcfix.core.logs.entry import Level
from kcfix.core.logs.milestones import rules_of
from kcfix.core.logs.parse import error_of
from kcfix.core.payments import EventRow
from kcfix.core.story.payment_story import Hop, Letters, OwnStep, Story, StoryLine
from kcfix.flow import Flow

EMITTER = "PURCHASE_CONFIRMED"
ALWAYS_LOGGED = "RECOVERY: Event marked as processed but purchase missing"
"""A warning that purchase-worker logs on its normal path as well, so it tells nothing (docs/system.md 2.7)."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened, at a time that somebody recorded."""

    at: datetime
    source: str
    """Where it is recorded: payments, processed_events, a topic with partition and offset, a container, kcfix, now."""
    text: str
    sure: bool = True
    """False: a hint only, such as a row that proves no send."""
    until: datetime | None = None
    """Of several alike: when the last one was."""
    count: int = 1


@dataclass(frozen=True, slots=True)
class Undated:
    """Something that is known to have happened, at a time that nobody recorded."""

    source: str
    text: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The moments in the order of time, `now` last."""

    moments: tuple[Moment, ...]
    undated: tuple[Undated, ...] = ()

    @property
    def gaps(self) -> tuple[timedelta | None, ...]:
        """From the moment before to each; None for the first."""
        times = [moment.at for moment in self.moments]
        return (None, *(later - earlier for earlier, later in pairwise(times)))[: len(times)]


def timeline(story: Story, flow: Flow) -> Timeline:
    """The story in the order of time; of equal times in the order in which the flow makes them."""
    dated: list[Moment] = []
    undated: list[Undated] = []
    for found in (*_rows(story, flow), *_records(story, flow), *_lines(story, flow), *_own(story)):
        if isinstance(found, Undated):
            undated.append(found)
        else:
            dated.append(found)
    dated.sort(key=lambda m: m.at)
    now = story.snapshot.taken_at
    place = next((n for n, m in enumerate(dated) if m.at > now), len(dated))
    dated.insert(place, Moment(now, "now", "read"))
    return Timeline(tuple(dated), tuple(undated))


def _at(at: datetime | None, source: str, text: str, *, sure: bool = True) -> Moment | Undated:
    return Undated(source, text) if at is None else Moment(at, source, text, sure)


def _rows(story: Story, flow: Flow) -> Iterator[Moment | Undated]:
    tables, payment, after = flow.tables, story.payment, story.aftermath.value
    if payment is not None:
        yield Moment(payment.created_at, tables.payments, "payment created")
        if payment.succeeded or payment.confirmed_at is not None:
            yield _at(payment.confirmed_at, tables.payments, f"payment confirmed, status {payment.status}")
    events = after.events if after else (story.facts.events if story.facts else ())
    for row in events:
        yield _row(row, tables.events, flow)
    purchase = story.purchase
    if purchase is not None:
        state = "" if purchase.is_active else ", no longer active"
        yield Moment(purchase.created_at, tables.purchases, f"purchase {purchase.id} made, tier {purchase.tier}{state}")
        updated = after.updated_at.get(purchase.id) if after else None
        if updated is not None and updated > purchase.created_at:
            yield Moment(updated, tables.purchases, "purchase last changed")
    for allocation in story.allocations:
        what = f"allocation {allocation.id}"
        yield Moment(allocation.requested_at, tables.allocations, f"{what} requested, now {allocation.status}")
        allocated = after.allocated_at.get(allocation.id) if after else None
        if allocation.allocated and after is not None:
            yield _at(allocated, tables.allocations, f"{what} allocated")
        made = after.sessions_made.get(allocation.id) if after else None
        if made is not None:
            yield _at(made.first, tables.sessions, f"first of {allocation.sessions} sessions made")


def _row(row: EventRow, table: str, flow: Flow) -> Moment:
    by = f"row {row.event_type} by {row.source or 'nobody named'}"
    confirmed = row.event_type == EMITTER and row.source == flow.payment_service
    proves = "row only, proves no send" if confirmed else "row only, a hint"
    return Moment(row.processed_at, table, f"{by} ({proves})", sure=False)


def _records(story: Story, flow: Flow) -> Iterator[Moment | Undated]:
    for hop in story.hops:
        record = hop.record
        yield _at(record.timestamp, f"{record.topic}-{record.partition}", f"offset {record.offset}: {described(hop)}")
    for letters in story.letters:
        text = f"dead letter: {letters.reason}"
        place = _original(letters)
        if letters.copies > 1:
            text = f"{letters.copies} dead letters, the newest: {letters.reason}"
        source = flow.dead_letters
        if letters.first_at is None:
            yield Undated(source, text + place)
        else:
            until = letters.last_at if letters.copies > 1 else None
            yield Moment(letters.first_at, source, text + place, until=until, count=letters.copies)


def _original(letters: Letters) -> str:
    if letters.topic is None or letters.partition is None or letters.offset is None:
        return ""
    return f" (of {letters.topic}-{letters.partition} offset {letters.offset})"


def described(hop: Hop) -> str:
    """Type and sender of a record, e.g. `PURCHASE_CREATED by purchase-worker`."""
    event = hop.event
    if event is None:
        return "no event in its value"
    return f"{event.type or 'no type'} by {event.source or 'nobody named'}"


def _lines(story: Story, flow: Flow) -> Iterator[Moment]:
    """Milestones and errors, those alike made one."""
    found: dict[tuple[str, str], list[StoryLine]] = {}
    for line in story.lines:
        text = None if line.around else _meaning(line, flow)
        if text is not None:
            found.setdefault((line.entry.container, text), []).append(line)
    for (container, text), lines in found.items():
        if len(lines) == 1:
            yield Moment(lines[0].entry.timestamp, container, text)
            continue
        first, last = lines[0].entry.timestamp, lines[-1].entry.timestamp
        yield Moment(first, container, f"{text}, {len(lines)} times", until=last, count=len(lines))


def _meaning(line: StoryLine, flow: Flow) -> str | None:
    """The milestone that a line proves, or its error; None for lines that say nothing of weight."""
    entry = line.entry
    if ALWAYS_LOGGED in entry.message:
        return None
    stage = flow.stage_of_worker(line.worker)
    rule = next((r for r in rules_of(stage) if r.matches(entry)), None)
    if rule is not None:
        why = error_of(entry) if entry.level in (Level.ERROR, Level.WARN) else None
        return f"{rule.title}: {why}" if why else rule.title
    if entry.level in (Level.ERROR, Level.WARN):
        return f"{'error' if entry.level is Level.ERROR else 'warning'}: {error_of(entry) or entry.message}"
    return entry.message if stage is None else None


def _own(story: Story) -> Iterable[Moment | Undated]:
    return [_at(step.at, "kcfix", _step(step)) for step in story.steps]


def _step(step: OwnStep) -> str:
    kind = str(step.what.get("step", "step"))
    if step.result is None:
        became = "what became of it is not recorded"
    else:
        became = str(step.result.get("outcome") or step.result.get("state") or "recorded as done")
    return f"{kind}, run {step.run_id}: {became}"
