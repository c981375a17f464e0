"""Where the things of one payment were looked for, how many were found, and what stood in the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from kcfix.core.events import Record
from kcfix.core.judging.aftermath import Aftermath
from kcfix.core.judging.hops import Positions, later_topics
from kcfix.core.judging.snapshot import PaymentSnapshot, Reading
from kcfix.core.ports.kafka import SearchResult
from kcfix.core.story.payment_story import SCANNED, Looked, Marks
from kcfix.flow import Flow

LATER = "the later topics"
NO_TIME = "not searched: no time of its life is known to look at"


def looked_database(snapshot: PaymentSnapshot, aftermath: Reading[Aftermath]) -> Looked:
    """The tables."""
    facts = snapshot.facts
    if facts.value is None:
        return Looked("database", "database", None, error=facts.error, silent=True)
    found = 0 if facts.value.payment is None else 1
    note = None
    if aftermath.value is not None and not aftermath.value.events_recorded:
        note = "there is no table of processed events"
    return Looked("database", "database", found, error=aftermath.error, note=note, silent=aftermath.value is None)


def looked_message(snapshot: PaymentSnapshot, flow: Flow, kafka: Reading[Positions]) -> Looked:
    """The topic of its PURCHASE_CONFIRMED."""
    topic, evidence = flow.purchase_confirmed, snapshot.evidence
    if evidence.value is not None:
        e = evidence.value
        letters = None if e.dead_letters_error is None else f"dead letters: {e.dead_letters_error}"
        return Looked("kafka", topic, len(e.messages), e.searched, error=e.incomplete_reason or letters)
    if snapshot.facts.value is not None and snapshot.facts.value.payment is not None:
        return Looked("kafka", topic, None, error=evidence.error, silent=kafka.value is None)
    silent = kafka.value is None
    return Looked("kafka", topic, None, error=kafka.error if silent else NO_TIME, silent=silent)


def looked_later(
    marks: Marks,
    flow: Flow,
    kafka: Reading[Positions],
    found: Reading[SearchResult],
    records: Iterable[Record],
    letters: int,
) -> tuple[Looked, ...]:
    """The later topics. `records` are those of this payment; `letters` counts its dead letters, wherever found."""
    if found.value is None or kafka.value is None:
        return (Looked("kafka", LATER, None, error=found.error, silent=True),)
    if not marks.moments:
        return (Looked("kafka", LATER, None, error=NO_TIME),)
    counts = Counter(record.topic for record in records)
    looked = []
    for topic in later_topics(flow):
        if topic not in kafka.value.topics:
            looked.append(Looked("kafka", topic, None, error="no such topic"))
            continue
        failed = {tp: why for tp, why in found.value.failed.items() if tp.topic == topic}
        error = "; ".join(f"{tp}: {why}" for tp, why in sorted(failed.items())) or None
        ranges = tuple(r for r in found.value.searched if r.partition.topic == topic)
        count = letters if topic == flow.dead_letters else counts[topic]
        looked.append(Looked("kafka", topic, count, ranges, error=error))
    return tuple(looked)


def looked_scan(scanned: SearchResult | None, records: Iterable[Record], flow: Flow) -> tuple[Looked, ...]:
    """How far a scan came, topic by topic; nothing where there was none."""
    if scanned is None:
        return ()
    there = {(r.topic, r.partition, r.offset) for r in scanned.records}
    counts = Counter(r.topic for r in records if (r.topic, r.partition, r.offset) in there)
    looked = []
    for topic in (flow.purchase_confirmed, flow.dead_letters):
        failed = {tp: why for tp, why in scanned.failed.items() if tp.topic == topic}
        error = "; ".join(f"{tp}: {why}" for tp, why in sorted(failed.items())) or None
        ranges = tuple(r for r in scanned.searched if r.partition.topic == topic)
        looked.append(Looked("kafka", topic, counts[topic], ranges, error=error, note=SCANNED))
    return tuple(looked)
