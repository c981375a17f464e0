"""Reads the stories of some payments: their snapshots first, then what came after, from all systems at once.

A system that does not answer becomes a value that says so. Nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast

from kcfix.core.events import DeadLetter, Record, parse_dead_letter
from kcfix.core.journal import RunRecord
from kcfix.core.judging.aftermath import Aftermath
from kcfix.core.judging.gather import LONGEST_SECONDS, Sources, payment_snapshots
from kcfix.core.judging.hops import Positions, as_judged, by_payment, grouped, make_hop, read_positions, search_later
from kcfix.core.judging.judge import judge
from kcfix.core.judging.snapshot import PaymentSnapshot, Reading, Snapshots
from kcfix.core.offsets import GroupState, TopicPartition
from kcfix.core.payments import PaymentId
from kcfix.core.ports.docker import DockerPort
from kcfix.core.ports.kafka import SearchResult
from kcfix.core.story.log import Wanted, read_lines
from kcfix.core.story.looked import looked_database, looked_later, looked_message, looked_scan
from kcfix.core.story.marks import marks_of, places_of, steps_about
from kcfix.core.story.payment_story import Looked, Marks, OwnStep, Retention, Story, StoryLine
from kcfix.core.workers import Container
from kcfix.errors import KcfixError, Unreachable
from kcfix.flow import Flow
from kcfix.parallel import run_readings

Place = tuple[str, int, int]
LineReading = tuple[Mapping[PaymentId, tuple[StoryLine, ...]], Looked]


@dataclass(frozen=True, slots=True)
class StorySources:
    """Where to read. Each is called when it is needed and may raise Unreachable."""

    payments: Sources
    docker: Callable[[], DockerPort]
    containers: Callable[[], Mapping[str, tuple[Container, ...]]]
    """By service: the workers' and payment-service's."""
    runs: Callable[[Collection[str]], tuple[RunRecord, ...]]
    """Of the journal: earlier runs of kcfix, with their steps about these payments."""
    scanned: SearchResult | None = None
    """What a search of the whole topic found; None: there was none."""

    @property
    def flow(self) -> Flow:
        """The names of the system."""
        return self.payments.flow


@dataclass(frozen=True, slots=True)
class _Around:
    """What all stories of one run share."""

    containers: Reading[Mapping[str, tuple[Container, ...]]]
    runs: Reading[tuple[RunRecord, ...]]


def read_stories(ids: Collection[PaymentId], sources: StorySources, *, overdue: timedelta) -> tuple[Story, ...]:
    """The story of each payment, in the order given, each id once. Never raises Unreachable."""
    wanted = tuple(dict.fromkeys(ids))
    first: dict[str, Callable[[], object]] = {
        "payments": lambda: payment_snapshots(wanted, sources.payments, scanned=sources.scanned),
        "docker": sources.containers,
        "journal": lambda: sources.runs(frozenset(wanted)),
    }
    read = run_readings(first, LONGEST_SECONDS)
    snapshots = read["payments"]
    if isinstance(snapshots, KcfixError):
        raise snapshots
    around = _Around(_reading(read["docker"]), _reading(read["journal"]))
    seen = cast("Snapshots", snapshots).by_payment
    steps = {i: steps_about(i, around.runs.value or ()) for i in wanted}
    marks = {i: marks_of(seen[i], steps[i]) for i in wanted}
    read = run_readings(_later(seen, marks, around, sources), LONGEST_SECONDS)
    kafka = read["kafka"]
    positions, found = kafka if isinstance(kafka, tuple) else (_reading(kafka), _reading(kafka))
    scanned = sources.scanned.records if sources.scanned else ()
    later = _Later(
        positions=positions,
        found=found,
        scanned=frozenset(_place(r) for r in scanned),
        records=by_payment((*(found.value.records if found.value else ()), *scanned), marks.values()),
        aftermath=_reading(read["database"]),
        logs=tuple(part for name, part in read.items() if name.startswith("log of ")),
        retention=_retention(sources.flow, positions.value, around),
    )
    return tuple(_story(seen[i], marks[i], steps[i], around, later, sources, overdue) for i in wanted)


def _reading(read: object) -> Reading[Any]:
    return Reading.unknown(read.message) if isinstance(read, KcfixError) else Reading(read)


def _later(
    snapshots: Mapping[PaymentId, PaymentSnapshot],
    marks: Mapping[PaymentId, Marks],
    around: _Around,
    sources: StorySources,
) -> dict[str, Callable[[], object]]:
    def hops() -> tuple[Reading[Positions], Reading[SearchResult]]:
        # A cluster that has just not answered is not waited for a second time.
        silent = next((s.workers.group.error for s in snapshots.values()), None)
        if silent is not None:
            raise Unreachable(silent, system="kafka")
        kafka = sources.payments.kafka()
        positions = read_positions(kafka, sources.flow)
        try:
            return Reading(positions), Reading(search_later(kafka, sources.flow, positions, marks.values()))
        except KcfixError as error:
            return Reading(positions), Reading.unknown(error.message)

    def aftermath() -> Aftermath:
        silent = next((s.facts.error for s in snapshots.values() if s.facts.error is not None), None)
        if silent is not None:
            raise Unreachable(silent, system="database")
        purchases = [m.purchase_id for m in marks.values() if m.purchase_id]
        allocations = [a for m in marks.values() for a in m.allocation_ids]
        every = [i for m in marks.values() for i in m.ids]
        return sources.payments.database().aftermath(purchases=purchases, allocations=allocations, correlations=every)

    wanted = {i: Wanted(marks[i], places_of(s)) for i, s in snapshots.items()}
    tasks: dict[str, Callable[[], object]] = {"kafka": hops, "database": aftermath}
    for worker, boxes in (around.containers.value or {}).items():
        for box in boxes:
            tasks[f"log of {box.name}"] = _log_task(sources, worker, box, wanted)
    return tasks


def _log_task(
    sources: StorySources, worker: str, box: Container, wanted: Mapping[PaymentId, Wanted]
) -> Callable[[], object]:
    def read() -> LineReading:
        try:
            return read_lines(sources.docker(), worker, box, wanted)
        except KcfixError as error:
            return {}, Looked("docker", box.name, None, error=error.message)

    return read


@dataclass(frozen=True, slots=True)
class _Later:
    """What was read of all payments after their snapshots."""

    positions: Reading[Positions]
    found: Reading[SearchResult]
    records: Mapping[PaymentId, Sequence[Record]]
    """Those that name a payment, of the usual search and of the scan."""
    scanned: frozenset[Place]
    """Where the scan found records."""
    aftermath: Reading[Aftermath]
    logs: tuple[object, ...]
    """A LineReading or an error for each container."""
    retention: Retention


def _story(
    snapshot: PaymentSnapshot,
    marks: Marks,
    steps: tuple[OwnStep, ...],
    around: _Around,
    later: _Later,
    sources: StorySources,
    overdue: timedelta,
) -> Story:
    flow = sources.flow
    records = _records(snapshot, later.records.get(snapshot.payment_id, ()), flow)
    letters = _letters(snapshot, records, flow)
    positions, evidence = later.positions.value, snapshot.evidence.value
    if positions is not None and evidence is not None:
        positions = as_judged(positions, evidence.lag, flow.purchase_group)
    hops = [
        make_hop(
            r,
            flow,
            positions,
            around.containers.value,
            scanned=_place(r) in later.scanned and not _usual(r, snapshot),
        )
        for r in records
        if r.topic != flow.dead_letters
    ]
    lines, looked_logs = _lines(snapshot.payment_id, around, later.logs)
    searched = (
        looked_message(snapshot, flow, later.positions),
        *looked_later(marks, flow, later.positions, later.found, records, len(letters)),
        *looked_scan(sources.scanned, records, flow),
    )
    return Story(
        snapshot=snapshot,
        verdict=judge(snapshot, overdue=overdue),
        marks=marks,
        aftermath=_of_payment(later.aftermath, marks),
        hops=tuple(hops),
        letters=grouped(letters),
        lines=lines,
        steps=steps,
        looked=(
            looked_database(snapshot, later.aftermath),
            *searched,
            *looked_logs,
            Looked(
                "journal",
                "the journal",
                None if around.runs.error else len(steps),
                error=around.runs.error,
                silent=around.runs.value is None,
            ),
        ),
        retention=later.retention,
    )


def _records(snapshot: PaymentSnapshot, found: Iterable[Record], flow: Flow) -> list[Record]:
    """Its records, each once, in the order of the flow's topics and of time."""
    evidence = snapshot.evidence.value
    mine = {_place(r): r for r in found}
    mine |= {_place(m.record): m.record for m in (evidence.messages if evidence else ())}
    order = {topic: n for n, topic in enumerate(flow.topics)}
    placed = sorted(mine.values(), key=_place)
    dated = sorted(placed, key=lambda r: (r.timestamp is None, r.timestamp))
    return sorted(dated, key=lambda r: order.get(r.topic, len(order)))


def _place(record: Record) -> Place:
    return record.topic, record.partition, record.offset


def _usual(record: Record, snapshot: PaymentSnapshot) -> bool:
    """Whether the usual search leads to it as well: by its key, and by where it lies."""
    evidence = snapshot.evidence.value
    where = TopicPartition(record.topic, record.partition)
    read = evidence.searched if evidence else ()
    near = any(r.partition == where and r.start <= record.offset < r.end for r in read)
    return near and record.key == snapshot.payment_id.encode()


def _letters(snapshot: PaymentSnapshot, records: Iterable[Record], flow: Flow) -> tuple[DeadLetter, ...]:
    """Its dead letters, each once, wherever they were found."""
    evidence = snapshot.evidence.value
    found = [d for r in records if r.topic == flow.dead_letters and (d := parse_dead_letter(r)) is not None]
    every = [*(evidence.dead_letters if evidence else ()), *found]
    return tuple({(d.record.partition, d.record.offset): d for d in every}.values())


def _lines(
    payment_id: PaymentId, around: _Around, logs: Iterable[object]
) -> tuple[tuple[StoryLine, ...], tuple[Looked, ...]]:
    """Its lines of all containers in the order of time, and how far each log was read."""
    lines: list[StoryLine] = []
    looked: list[Looked] = []
    for part in logs:
        if isinstance(part, KcfixError):
            looked.append(Looked("docker", "logs", None, error=part.message, silent=True))
            continue
        read, how = cast("LineReading", part)
        own = read.get(payment_id, ())
        lines += own
        looked.append(replace(how, found=None if how.found is None else sum(not line.around for line in own)))
    if not looked:
        silent = around.containers.error is not None
        error = around.containers.error or "no container of the flow is here"
        looked.append(Looked("docker", "logs", None, error=error, silent=silent))
    return tuple(sorted(lines, key=lambda line: line.entry.timestamp)), tuple(looked)


def _of_payment(aftermath: Reading[Aftermath], marks: Marks) -> Reading[Aftermath]:
    """What concerns this payment of what was read for all."""
    every = aftermath.value
    if every is None:
        return aftermath
    ids = set(marks.ids)
    return Reading(
        Aftermath(
            {i: t for i, t in every.allocated_at.items() if i in ids},
            {i: m for i, m in every.sessions_made.items() if i in ids},
            {i: t for i, t in every.updated_at.items() if i in ids},
            tuple(e for e in every.events if e.correlation_id in ids),
            every.events_recorded,
        )
    )


def _retention(flow: Flow, positions: Positions | None, around: _Around) -> Retention:
    if positions is None:
        return Retention()
    config = positions.configs.get(flow.purchase_confirmed)
    minutes = positions.broker.get("offsets.retention.minutes", "")
    group = positions.groups.get(flow.purchase_group)
    empty = group is not None and group.state in (GroupState.EMPTY, GroupState.DEAD) and not group.members
    boxes = (around.containers.value or {}).get(flow.purchase_worker, ())
    ends = [box.finished_at for box in boxes]
    stopped = bool(boxes) and not any(box.running for box in boxes)
    since = max((e for e in ends if e is not None), default=None) if empty and stopped and all(ends) else None
    return Retention(
        message=config.retention if config is not None and not config.retention_unlimited else None,
        by_size=config is not None and config.retention_bytes is not None,
        offsets=timedelta(minutes=int(minutes)) if minutes.isdigit() else None,
        group_empty_since=since,
    )
