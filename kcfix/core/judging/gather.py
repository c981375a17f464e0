"""Reads what is known of some payments, from all three systems, each at most once and none of them changed.

A system that does not answer becomes a value that says so, and the others are read all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kcfix.core.judging.announcements import announcements
from kcfix.core.judging.matching import match_facts
from kcfix.core.judging.messages import PurchaseOffsets, message_evidence, purchase_offsets
from kcfix.core.judging.snapshot import PaymentSnapshot, PurchaseWorkers, Reading, Snapshots
from kcfix.core.logs.entry import LogEntry
from kcfix.core.logs.milestones import Milestone, is_milestone
from kcfix.core.payments import PaymentFacts, PaymentId
from kcfix.core.ports.database import Behind, DatabasePort
from kcfix.core.ports.kafka import KafkaPort, SearchResult
from kcfix.core.workers import Container
from kcfix.core.working.worker import Look, client_started_at, work
from kcfix.errors import KcfixError, Unreachable
from kcfix.flow import Flow
from kcfix.parallel import run_readings


@dataclass(frozen=True, slots=True)
class WorkerContainers:
    """The containers of one worker and what they logged since they started."""

    containers: tuple[Container, ...]
    entries: tuple[LogEntry, ...]
    """Merged in time order; not more than the newest few thousand."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where to read. Each is called when it is needed and may raise Unreachable."""

    flow: Flow
    database: Callable[[], DatabasePort]
    kafka: Callable[[], KafkaPort]
    purchase_containers: Callable[[], WorkerContainers]
    now: Callable[[], datetime]


CHUNK = 2000
"""Payments whose facts are asked for at once."""
LONGEST_SECONDS = 120.0
"""For a reading that hangs where no adapter's own deadline holds; those are much shorter."""


def _answer(read: object) -> Reading[Any]:
    """The answer, or why there is none; any error but silence is raised."""
    if isinstance(read, Unreachable):
        return Reading.unknown(read.message)
    if isinstance(read, KcfixError):
        raise read
    return Reading(read)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all payments of one look share, read once: the purchase group, its offsets and its containers."""

    offsets: Reading[PurchaseOffsets]
    containers: Reading[WorkerContainers]
    workers: PurchaseWorkers
    behind: Behind | None = None
    """The database is a standby that lacks something; None also where it did not answer."""

    @property
    def entries(self) -> tuple[LogEntry, ...]:
        """What the purchase-worker's containers logged; empty where that could not be read."""
        return self.containers.value.entries if self.containers.value else ()


def payment_snapshots(
    ids: Collection[PaymentId],
    sources: Sources,
    *,
    courses: Mapping[PaymentId, str] | None = None,
    scanned: SearchResult | None = None,
) -> Snapshots:
    """A snapshot of each payment. Never raises Unreachable: what did not answer is in the snapshots.

    A payment counts for the course that `courses` gives it (a person's word), as in `DatabasePort.facts`. `scanned` is
    what a search beyond the usual places has found before (`kcfix.core.judging.scan`); it counts as evidence.

    Raises:
        Refused: the database lacks a table that is needed.
    """
    wanted = tuple(dict.fromkeys(ids))
    tasks: dict[str, Callable[[], object]] = {
        "database": lambda: read_facts(sources.database(), wanted, courses),
        **_surrounding_tasks(sources),
    }
    read = run_readings(tasks, LONGEST_SECONDS)
    around = _surroundings(read, sources)
    facts: Reading[Mapping[PaymentId, PaymentFacts]] = _answer(read["database"])
    facts = _after_the_offsets(facts, sources, courses)
    return snapshots_of(wanted, facts, around, sources, scanned=scanned)


def read_facts(
    database: DatabasePort, ids: Sequence[PaymentId], courses: Mapping[PaymentId, str] | None = None
) -> Mapping[PaymentId, PaymentFacts]:
    """The facts of however many payments, `CHUNK` at a time, so that each call keeps its deadline.

    Each chunk is a snapshot of its own: what belongs to one payment is always of one moment.
    """
    found: dict[PaymentId, PaymentFacts] = {}
    for first in range(0, len(ids), CHUNK):
        found |= database.facts(ids[first : first + CHUNK], courses=courses)
    return found


def read_surroundings(sources: Sources) -> Surroundings:
    """The offsets and the containers as they are now. What did not answer is a Reading that says so."""
    return _surroundings(run_readings(_surrounding_tasks(sources), LONGEST_SECONDS), sources)


def _surrounding_tasks(sources: Sources) -> dict[str, Callable[[], object]]:
    return {
        "kafka": lambda: purchase_offsets(sources.kafka(), sources.flow),
        "docker": sources.purchase_containers,
        "standby": lambda: sources.database().behind(),
    }


def _surroundings(read: Mapping[str, object], sources: Sources) -> Surroundings:
    offsets: Reading[PurchaseOffsets] = _answer(read["kafka"])
    containers: Reading[WorkerContainers] = _answer(read["docker"])
    behind: Reading[Behind] = _answer(read["standby"])
    workers = purchase_workers(sources.flow, offsets, containers, sources.now())
    return Surroundings(offsets, containers, workers, behind.value)


def snapshots_of(
    ids: Collection[PaymentId],
    facts: Reading[Mapping[PaymentId, PaymentFacts]],
    around: Surroundings,
    sources: Sources,
    *,
    scanned: SearchResult | None = None,
) -> Snapshots:
    """Snapshots of payments whose facts were read after the offsets of `around`: one search of the log for all."""
    by_id: Mapping[PaymentId, PaymentFacts] = facts.value or {}
    flow, offsets, now = sources.flow, around.offsets, sources.now()
    evidence = message_evidence(sources.kafka, flow, offsets, by_id, around.entries, now, scanned=scanned)
    announced = announcements(sources.kafka, flow, offsets, by_id, now)
    taken_at = sources.now()

    def facts_of(payment_id: PaymentId) -> Reading[PaymentFacts]:
        found = by_id.get(payment_id)
        return Reading(found) if found is not None else Reading.unknown(facts.error or "not read")

    return Snapshots(
        {
            i: PaymentSnapshot(
                payment_id=i,
                taken_at=taken_at,
                facts=facts_of(i),
                evidence=evidence.get(i, Reading.unknown("its message was not looked for")),
                announcement=announced.get(i),
                workers=around.workers,
                behind=around.behind,
            )
            for i in ids
        },
        around.workers,
        {} if offsets.value is None else offsets.value.lags,
    )


def _after_the_offsets(
    facts: Reading[Mapping[PaymentId, PaymentFacts]], sources: Sources, courses: Mapping[PaymentId, str] | None
) -> Reading[Mapping[PaymentId, PaymentFacts]]:
    """The facts, with those of payments without a purchase read once more.

    They were read beside the offsets. A worker that made a purchase and committed in between would leave a payment
    without purchase behind the committed offset: SKIPPED, though it is settled. A purchase is there before its commit.
    """
    lacking = [
        i
        for i, f in (facts.value or {}).items()
        if f.payment is not None and f.payment.succeeded and match_facts(f).purchase_of(i) is None
    ]
    if facts.value is None or not lacking:
        return facts
    try:
        return Reading({**facts.value, **read_facts(sources.database(), lacking, courses)})
    except Unreachable as error:
        return Reading.unknown(error.message)


def purchase_workers(
    flow: Flow, offsets: Reading[PurchaseOffsets], containers: Reading[WorkerContainers], now: datetime
) -> PurchaseWorkers:
    """What is known of the purchase group's consumers at one look."""
    read, seen = offsets.value, containers.value
    look = Look(
        at=now,
        containers=None if seen is None else seen.containers,
        group=None if read is None else read.group,
        lags=None if read is None else tuple(read.lags[tp] for tp in sorted(read.lags)),
    )
    entries = None if seen is None else seen.entries
    return PurchaseWorkers(
        group=Reading.unknown(offsets.error or "") if read is None else Reading(read.group),
        work=work(flow.stages[0], [look], entries, now),
        starts=_starts(offsets, seen),
        containers_known=bool(seen and seen.containers),
    )


def _starts(offsets: Reading[PurchaseOffsets], seen: WorkerContainers | None) -> tuple[datetime, ...]:
    starts: set[datetime] = set()
    if seen is not None:
        starts |= {c.started_at for c in seen.containers if c.started_at is not None}
        starts |= {e.timestamp for e in _joins(seen.entries)}
    if offsets.value is not None:
        ids = (client_started_at(m.client_id) for m in offsets.value.group.members)
        starts |= {s for s in ids if s is not None}
    return tuple(sorted(starts))


def _joins(entries: Iterable[LogEntry]) -> Iterable[LogEntry]:
    return (e for e in entries if is_milestone(e, Milestone.JOINED))
