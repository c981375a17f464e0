"""Reads the stories of some payments: their snapshots first, then what came after, from all systems at once.

A system that does not answer becomes a value that says so. Nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from kcfix.core.aftermath import Aftermath
from kcfix.core.events import DeadLetter, parse_dead_letter
from kcfix.core.gather import LONGEST_SECONDS, Sources, payment_snapshots
from kcfix.core.hops import Positions, grouped, later_topics, make_hop, names, read_positions, search_later
from kcfix.core.journal import RunRecord
from kcfix.core.judge import judge
from kcfix.core.offsets import GroupState, TopicPartition
from kcfix.core.payments import PaymentFacts, PaymentId
from kcfix.core.ports import DockerPort, SearchResult
from kcfix.core.snapshot import PaymentSnapshot, Reading, Snapshots
from kcfix.core.story import (
    Hop,
    Looked,
    Marks,
    OwnStep,
    Retention,
    Story,
    StoryLine,
    allocations_of,
    purchase_of,
)
from kcfix.core.story_log import Wanted, read_lines
from kcfix.core.workers import Container
from kcfix.errors import KcfixError, Unreachable
from kcfix.flow import Flow
from kcfix.parallel import run_readings

LineReading = tuple[Mapping[PaymentId, tuple[StoryLine, ...]], Looked]


@dataclass(frozen=True, slots=True)
class StorySources:
    """Where to read. Each is called when it is needed and may raise Unreachable."""

    payments: Sources
    docker: Callable[[], DockerPort]
    containers: Callable[[], Mapping[str, tuple[Container, ...]]]
    """By service: the workers' and payment-service's."""
    runs: Callable[[], tuple[RunRecord, ...]]
    """Of the journal."""
    scanned: SearchResult | None = None
    """What a search of the whole topic found; None: there was none."""

    @property
    def flow(self) -> Flow:
        """The names of the system."""
        return self.payments.flow


@dataclass(frozen=True, slots=True)
class _Around:
    """What all stories of one run share."""

    positions: Reading[Positions]
    containers: Reading[Mapping[str, tuple[Container, ...]]]
    runs: Reading[tuple[RunRecord, ...]]


def read_stories(ids: Collection[PaymentId], sources: StorySources, *, overdue: timedelta) -> tuple[Story, ...]:
    """The story of each payment, in the order given, each id once. Never raises Unreachable."""
    wanted = tuple(dict.fromkeys(ids))
    first: dict[str, Callable[[], object]] = {
        "payments": lambda: payment_snapshots(wanted, sources.payments, scanned=sources.scanned),
        "kafka": lambda: read_positions(sources.payments.kafka(), sources.flow),
        "docker": sources.containers,
        "journal": sources.runs,
    }
    read = run_readings(first, LONGEST_SECONDS)
    snapshots = read["payments"]
    if isinstance(snapshots, KcfixError):
        raise snapshots
    around = _Around(_reading(read["kafka"]), _reading(read["docker"]), _reading(read["journal"]))
    by_payment = cast("Snapshots", snapshots).by_payment
    steps = {i: _steps(i, around.runs.value or ()) for i in wanted}
    marks = {i: _marks(by_payment[i], steps[i]) for i in wanted}
    later = run_readings(_later(by_payment, marks, around, sources), LONGEST_SECONDS)
    found: Reading[SearchResult] = _reading(later["kafka"])
    aftermath: Reading[Aftermath] = _reading(later["database"])
    logs = [part for name, part in later.items() if name.startswith("log of ")]
    retention = _retention(sources.flow, around)
    return tuple(
        _story(by_payment[i], marks[i], steps[i], found, aftermath, logs, around, retention, sources, overdue)
        for i in wanted
    )


def _reading(read: object) -> Reading[Any]:
    return Reading.unknown(read.message) if isinstance(read, KcfixError) else Reading(read)


def _later(
    snapshots: Mapping[PaymentId, PaymentSnapshot],
    marks: Mapping[PaymentId, Marks],
    around: _Around,
    sources: StorySources,
) -> dict[str, Callable[[], object]]:
    positions = around.positions

    def hops() -> SearchResult:
        if positions.value is None:
            raise Unreachable(positions.error or "no answer", system="kafka")
        return search_later(sources.payments.kafka(), sources.flow, positions.value, marks.values())

    def aftermath() -> Aftermath:
        silent = next((s.facts.error for s in snapshots.values() if s.facts.error is not None), None)
        if silent is not None:
            raise Unreachable(silent, system="database")
        purchases = [m.purchase_id for m in marks.values() if m.purchase_id]
        allocations = [a for m in marks.values() for a in m.allocation_ids]
        every = [i for m in marks.values() for i in m.ids]
        return sources.payments.database().aftermath(purchases=purchases, allocations=allocations, correlations=every)

    wanted = {i: Wanted(marks[i], _places(s)) for i, s in snapshots.items()}
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


def _places(snapshot: PaymentSnapshot) -> frozenset[tuple[TopicPartition, int]]:
    evidence = snapshot.evidence.value
    records = [m.record for m in evidence.messages] if evidence else []
    return frozenset((TopicPartition(r.topic, r.partition), r.offset) for r in records)


def _marks(snapshot: PaymentSnapshot, steps: Iterable[OwnStep]) -> Marks:
    facts = snapshot.facts.value
    payment = facts.payment if facts else None
    if facts is None or payment is None:
        return Marks(snapshot.payment_id, moments=tuple(sorted(s.at for s in steps if s.at is not None)))
    purchase = purchase_of(facts)
    allocations = allocations_of(facts)
    moments: list[datetime | None] = [payment.paid_at]
    moments += [e.processed_at for e in facts.events]
    moments += [s.at for s in steps]
    moments += [a.requested_at for a in allocations[:1]] + [a.requested_at for a in allocations if a.allocated]
    if purchase is not None:
        moments.append(purchase.created_at)
    evidence = snapshot.evidence.value
    if evidence is not None:
        moments += [m.record.timestamp for m in evidence.messages]
    return Marks(
        snapshot.payment_id,
        purchase.id if purchase else None,
        tuple(a.id for a in allocations),
        tuple(sorted({m for m in moments if m is not None})),
    )


def _steps(payment_id: PaymentId, runs: Iterable[RunRecord]) -> tuple[OwnStep, ...]:
    found = [
        OwnStep(run.id, run.who, step.at, step.what, step.result)
        for run in runs
        for step in run.steps
        if str(step.what.get("payment_id", "")).lower() == payment_id
    ]
    return tuple(sorted(found, key=lambda s: (s.at is None, s.at, s.run_id)))


def _story(
    snapshot: PaymentSnapshot,
    marks: Marks,
    steps: tuple[OwnStep, ...],
    found: Reading[SearchResult],
    aftermath: Reading[Aftermath],
    logs: Iterable[object],
    around: _Around,
    retention: Retention,
    sources: StorySources,
    overdue: timedelta,
) -> Story:
    flow, positions, containers = sources.flow, around.positions.value, around.containers.value or {}
    evidence = snapshot.evidence.value
    hops: list[Hop] = []
    letters: list[DeadLetter] = []
    if evidence is not None:
        seen_by_scan = {(r.topic, r.partition, r.offset) for r in (sources.scanned.records if sources.scanned else ())}
        for message in evidence.messages:
            at = (message.record.topic, message.record.partition, message.record.offset)
            hops.append(make_hop(message.record, flow, positions, containers, scanned=at in seen_by_scan))
        letters += evidence.dead_letters
    mine = [r for r in (found.value.records if found.value else ()) if names(r, marks)]
    letters += [d for r in mine if r.topic == flow.dead_letters and (d := parse_dead_letter(r)) is not None]
    order = {topic: n for n, topic in enumerate(flow.topics)}
    hops += [make_hop(r, flow, positions, containers) for r in mine if r.topic != flow.dead_letters]
    hops.sort(key=lambda h: (order.get(h.record.topic, 99), h.record.timestamp is None, h.record.timestamp))
    lines: list[StoryLine] = []
    looked_logs: list[Looked] = []
    for part in logs:
        if isinstance(part, KcfixError):
            looked_logs.append(Looked("docker", "logs", None, error=part.message))
            continue
        read, looked = cast("LineReading", part)
        own = read.get(snapshot.payment_id, ())
        lines += own
        count = None if looked.found is None else sum(1 for line in own if not line.around)
        looked_logs.append(Looked("docker", looked.what, count, error=looked.error, note=looked.note))
    return Story(
        snapshot=snapshot,
        verdict=judge(snapshot, overdue=overdue),
        marks=marks,
        aftermath=_of_payment(aftermath, snapshot.facts.value, marks),
        hops=tuple(hops),
        letters=grouped(letters),
        lines=tuple(sorted(lines, key=lambda line: line.entry.timestamp)),
        steps=steps,
        looked=(
            *_looked_database(snapshot, aftermath),
            *_looked_kafka(snapshot, marks, found, around, flow, mine_by_topic(mine), len(letters)),
            *(looked_logs or _looked_docker(around)),
            Looked("journal", "kcfix journal", None if around.runs.error else len(steps), error=around.runs.error),
        ),
        retention=retention,
    )


def mine_by_topic(records: Iterable[Any]) -> Mapping[str, int]:
    """How many records on each topic."""
    counts: dict[str, int] = {}
    for record in records:
        counts[record.topic] = counts.get(record.topic, 0) + 1
    return counts


def _of_payment(aftermath: Reading[Aftermath], facts: PaymentFacts | None, marks: Marks) -> Reading[Aftermath]:
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


def _looked_database(snapshot: PaymentSnapshot, aftermath: Reading[Aftermath]) -> tuple[Looked, ...]:
    facts = snapshot.facts
    if facts.value is None:
        return (Looked("database", "database", None, error=facts.error),)
    found = 0 if facts.value.payment is None else 1
    note = None
    if aftermath.value is not None and not aftermath.value.events_recorded:
        note = "there is no table of processed events"
    return (Looked("database", "database", found, error=aftermath.error, note=note),)


def _looked_kafka(
    snapshot: PaymentSnapshot,
    marks: Marks,
    found: Reading[SearchResult],
    around: _Around,
    flow: Flow,
    counts: Mapping[str, int],
    letters: int,
) -> tuple[Looked, ...]:
    evidence = snapshot.evidence
    if evidence.value is None:
        looked = [Looked("kafka", flow.purchase_confirmed, None, error=evidence.error)]
    else:
        e = evidence.value
        note = None if e.dead_letters_error is None else f"dead letters: {e.dead_letters_error}"
        looked = [
            Looked("kafka", flow.purchase_confirmed, len(e.messages), e.searched, error=e.incomplete_reason, note=note)
        ]
    if found.value is None:
        return (*looked, Looked("kafka", "the later topics", None, error=found.error))
    if not marks.moments:
        text = "not searched: no time of its life is known to look at"
        return (*looked, Looked("kafka", "the later topics", None, error=text))
    result, positions = found.value, around.positions.value
    for topic in later_topics(flow):
        if positions is not None and topic not in positions.topics:
            looked.append(Looked("kafka", topic, None, error="no such topic"))
            continue
        failed = {tp: why for tp, why in result.failed.items() if tp.topic == topic}
        error = "; ".join(f"{tp}: {why}" for tp, why in sorted(failed.items())) or None
        ranges = tuple(r for r in result.searched if r.partition.topic == topic)
        count = letters if topic == flow.dead_letters else counts.get(topic, 0)
        looked.append(Looked("kafka", topic, count, ranges, error=error))
    return tuple(looked)


def _looked_docker(around: _Around) -> tuple[Looked, ...]:
    error = around.containers.error or "no container of the flow is here"
    return (Looked("docker", "logs", None, error=error),)


def _retention(flow: Flow, around: _Around) -> Retention:
    positions = around.positions.value
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
        offsets=timedelta(minutes=int(minutes)) if minutes.isdigit() else None,
        group_empty_since=since,
    )
