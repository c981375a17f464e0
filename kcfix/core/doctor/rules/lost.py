"""Rules about offsets that are gone, and messages that were deleted before they were read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from kcfix.core.doctor.diagnosis import Confidence, Evidence, EvidenceKind, Found, Need, Severity
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import Rule, because, same, shared
from kcfix.core.doctor.rules.groups import LOOKED, on_partition, partition_of
from kcfix.core.doctor.rules.proof import (
    group_line,
    lag_line,
    log_line,
    of_state,
    partition_thing,
    required,
    things_of,
)
from kcfix.core.events import murmur2_partition
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.logs.entry import LogEntry
from kcfix.core.logs.milestones import Milestone, is_milestone
from kcfix.core.logs.parse import offset_of
from kcfix.core.missing import Finding as PaymentFinding
from kcfix.core.offsets import LagState, PartitionLag, TopicPartition
from kcfix.core.status.system import WorkerFacts

RESET = "Offset out of range, resetting to default offset"
"""kafkajs writes this where the committed offset lay outside the log; it commits the log end, and no lag is left."""
UNFOUND = (VerdictKind.NEVER_SENT, VerdictKind.NEVER_EMITTED, VerdictKind.EXPIRED, VerdictKind.SKIPPED)


def _names(lags: Iterable[PartitionLag]) -> str:
    return ", ".join(str(p.partition) for p in lags)


def offsets_gone(examination: Examination) -> Iterator[Found]:
    """A partition has no committed offset although the worker has handled messages there: the offsets were lost.

    Kafka deletes the offsets of a group that was empty for seven days (`offsets.retention.minutes`), a topic that is
    deleted and made anew takes them along, and somebody can delete the group. From then on it is as if nothing had ever
    been committed: the next plain start skips what waits.
    """
    for worker in required(examination):
        lags = examination.lags(worker.stage)
        gone = of_state(lags, LagState.UNCOMMITTED)
        if _has_worked(examination, worker) and lags and len(gone) == len(lags):
            yield _all_gone(examination, worker, gone)
            continue
        entries = examination.earlier_entries(worker.containers or ())
        handled = {
            place[0]: (place[1], e)
            for e in entries
            if is_milestone(e, Milestone.HANDLED) and (place := offset_of(e)) is not None
        }
        for lag in gone:
            if lag.partition not in handled:
                continue
            offset, line = handled[lag.partition]
            if (examination.at - line.timestamp).total_seconds() < 30:
                continue
            shorter = lag.log_end_offset is not None and offset >= lag.log_end_offset
            hurt = on_partition(examination, lag.partition) if worker.stage.name == "purchase" else ()
            yield Found(
                symptom=f"{worker.stage.group} has lost its committed offset on {lag.partition}",
                cause=(
                    f"the topic was deleted and made anew: offset {offset} was handled, and the log ends before it"
                    if shorter
                    else "the offsets expired while the group was empty, or somebody deleted them"
                ),
                evidence=(lag_line(lag), log_line(line)),
                action=(f"kcfix restart {worker.stage.worker}",),
                about=(*things_of(worker), partition_thing(lag.partition)),
                confidence=Confidence.PROVEN if shorter else Confidence.LIKELY,
                severity=Severity.ERROR if hurt or lag.skipped_by_latest else Severity.CAUTION,
                payments=hurt,
            )


def _has_worked(examination: Examination, worker: WorkerFacts) -> bool:
    """Whether purchases were made of payments of the last day, so that the purchase group must have committed once."""
    looked = examination.payments.value
    if worker.stage.name != "purchase" or looked is None or looked.in_flight is None:
        return False
    return looked.payments > len(looked.found) + looked.in_flight


def _all_gone(examination: Examination, worker: WorkerFacts, gone: tuple[PartitionLag, ...]) -> Found:
    hurt = tuple(f for p in gone for f in on_partition(examination, p.partition))
    count = sum(p.skipped_by_latest or 0 for p in gone)
    return Found(
        symptom=f"{worker.stage.group} has lost all its committed offsets; {count} records lie in its topic",
        cause="they expired while the group was empty, or somebody deleted them: purchases were made within a day",
        evidence=(
            *((group_line(worker.lag),) if worker.lag is not None else ()),
            *(lag_line(p) for p in gone),
        ),
        action=(f"kcfix restart {worker.stage.worker}", "kcfix missing"),
        about=(*things_of(worker), *(partition_thing(p.partition) for p in gone)),
        confidence=Confidence.LIKELY,
        severity=Severity.ERROR if hurt else Severity.CAUTION,
        payments=hurt,
    )


def deleted_unread(examination: Examination) -> Iterator[Found]:
    """The committed offset lies before the log's start: messages were deleted before the group read them.

    Retention (seven days) or a deletion of records took them. A start in this state begins at the end of the log, so it
    skips what is still there as well. The payments are in the database: `kcfix missing --since` finds all of them, and
    `kcfix repair` makes their purchases from there.
    """
    for worker in required(examination):
        lost = of_state(examination.lags(worker.stage), LagState.LOST)
        if lost:
            count = sum(p.lost_records or 0 for p in lost)
            symptom = f"{count} records of {_names(lost)} were deleted before they were read"
            yield _deleted(examination, worker, lost, symptom, ())
        yield from _reset_to_the_end(examination, worker, {p.partition for p in lost})


def _reset_to_the_end(
    examination: Examination, worker: WorkerFacts, known: Collection[TopicPartition]
) -> Iterator[Found]:
    """The same after the worker was started in that state: the offsets are well again, and the messages are gone.

    What was paid after that start is another story.
    """
    lines = [e for e in examination.entries(worker.containers or ()) if RESET in e.message]
    places = {tp: e for e in lines if (tp := _partition_named(e)) is not None and tp not in known}
    lags = tuple(p for p in examination.lags(worker.stage) if p.partition in places)
    hurt = [
        f
        for f in _unfound(examination)
        if (tp := _expected_on(f, examination)) in places and f.payment.paid_at <= places[tp].timestamp
    ]
    if lags and (hurt or worker.stage.name != "purchase"):
        symptom = f"{worker.stage.worker} found its offset outside the log on {_names(lags)}, and went to the end"
        severity = None if hurt else Severity.CAUTION
        told = {p.partition: places[p.partition] for p in lags[:3]}
        evidence = tuple(
            Evidence(EvidenceKind.LOG, f"{line.container}: {RESET} ({tp})", line.timestamp) for tp, line in told.items()
        )
        yield replace(_deleted(examination, worker, lags, symptom, evidence), payments=tuple(hurt), severity=severity)


def _partition_named(entry: LogEntry) -> TopicPartition | None:
    topic, partition = entry.fields.get("topic"), entry.fields.get("partition")
    return TopicPartition(topic, partition) if isinstance(topic, str) and isinstance(partition, int) else None


def _unfound(examination: Examination) -> Iterator[PaymentFinding]:
    looked = examination.payments.value
    return (f for f in (looked.found if looked is not None else ()) if f.verdict.kind in UNFOUND)


def _expected_on(finding: PaymentFinding, examination: Examination) -> TopicPartition | None:
    """Where the payment's message lies, or lay if it was sent."""
    kafka, topic = examination.observed.kafka.value, examination.flow.purchase_confirmed
    count = len(kafka.topics[topic].partitions) if kafka is not None and topic in kafka.topics else 0
    lies = partition_of(finding)
    if lies is not None or not count:
        return lies
    return TopicPartition(topic, murmur2_partition(finding.payment.id.encode(), count))


def _deleted(
    examination: Examination,
    worker: WorkerFacts,
    lags: tuple[PartitionLag, ...],
    symptom: str,
    evidence: tuple[Evidence, ...],
) -> Found:
    return Found(
        symptom=symptom,
        cause="retention, or somebody who deleted records, was faster than the worker",
        evidence=(*evidence, *(lag_line(p) for p in lags)),
        action=(
            "kcfix missing --since 8d",
            "kcfix missing --since 8d -q | kcfix repair -",
            f"kcfix restart {worker.stage.worker}",
        ),
        about=(*things_of(worker), *(partition_thing(p.partition) for p in lags)),
    )


def ahead_of_log(examination: Examination) -> Iterator[Found]:
    """The committed offset lies beyond the log's end: the log is not the one that it was committed on.

    The topic was deleted and made anew, the broker lost its disk, or another cluster answers. kafkajs then starts at
    the end of the log.
    """
    for worker in required(examination):
        ahead = of_state(examination.lags(worker.stage), LagState.AHEAD)
        if ahead:
            yield Found(
                symptom=f"{worker.stage.group} is committed beyond the end of {_names(ahead)}",
                cause="the topic was made anew, the log was truncated, or this is another cluster",
                evidence=tuple(lag_line(p) for p in ahead),
                action=("kcfix missing --since 8d", f"kcfix restart {worker.stage.worker}"),
                about=(*things_of(worker), *(partition_thing(p.partition) for p in ahead)),
            )


RULES = (
    Rule("G004", Severity.ERROR, "Messages were deleted before they were read", deleted_unread, LOOKED, modes=("7",)),
    Rule("G005", Severity.ERROR, "An offset lies beyond the end of the log", ahead_of_log, LOOKED, modes=("12",)),
    Rule(
        "G006",
        Severity.CAUTION,
        "Committed offsets are gone",
        offsets_gone,
        LOOKED | {Need.LOGS},
        (*because(shared, "K004"), *because(same("partition"), "G004")),
        modes=("7", "12"),
    ),
)
