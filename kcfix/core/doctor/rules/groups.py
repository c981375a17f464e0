"""Rules about committed offsets: messages on which a group stands, and places that a start would skip."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from kcfix.core.doctor.diagnosis import Evidence, EvidenceKind, Found, Need, Severity
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import Rule, because, same_trouble_told
from kcfix.core.doctor.rules.consuming import skip_line
from kcfix.core.doctor.rules.pace import catch_up
from kcfix.core.doctor.rules.proof import deadline, lag_line, partition_thing, required, sign, things_of, trouble_thing
from kcfix.core.doctor.troubles import OF_DATABASE, OF_KAFKA, trouble_of
from kcfix.core.events import DeadLetter
from kcfix.core.judging.snapshot import Head
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.missing import Finding as PaymentFinding
from kcfix.core.offsets import LagState, TopicPartition
from kcfix.core.status.system import WorkerFacts
from kcfix.core.working.signs import Sure

OUTSIDE = OF_DATABASE | OF_KAFKA

"""Failures that are not the message's own."""


UNDONE = (VerdictKind.SKIPPED, VerdictKind.DEAD_LETTERED, VerdictKind.AT_RISK, VerdictKind.POISON, VerdictKind.BLOCKED)


def partition_of(finding: PaymentFinding) -> TopicPartition | None:
    """Where the payment's message lies; None where it has none."""
    message = finding.verdict.message
    return None if message is None else TopicPartition(message.record.topic, message.record.partition)


def place_of(finding: PaymentFinding) -> tuple[TopicPartition, int] | None:
    """The same with the offset."""
    message = finding.verdict.message
    return (
        None
        if message is None
        else (TopicPartition(message.record.topic, message.record.partition), message.record.offset)
    )


def on_partition(examination: Examination, partition: TopicPartition) -> tuple[PaymentFinding, ...]:
    """The payments without a purchase whose message lies on the partition, oldest first."""
    looked = examination.payments.value
    found = looked.found if looked is not None else ()
    return tuple(f for f in found if partition_of(f) == partition and f.verdict.kind in UNDONE)


def poison(examination: Examination) -> Iterator[Found]:
    """A group stands on a message that its worker fails on, again and again.

    kafkajs tries it six times, crashes, restarts after about ten seconds, joins, and begins again at the same offset:
    cycles of about 40 s, six dead letters each. Everything behind it on that partition waits, a third of all payments.
    In the gaps messages for partitions without a committed offset are lost.

    The cause is in the message: a tier that is none of 10, 20, 30, a course that does not exist, no `_metadata`, a
    value that is no JSON. Settle its payment by hand or by `kcfix repair`, then move the group past it: that message
    can't be handled as it is.
    """
    broker = examination.broker.value
    for worker in required(examination):
        if broker is None or sign(worker, "alive").sure is Sure.NO:
            continue  # a consumer that died on it has a rule of its own
        for (group, tp), head in sorted(broker.heads.items()):
            if group != worker.stage.group or not head.failing or trouble_of(head.failures[-1]) in OUTSIDE:
                continue
            yield _poison(examination, worker, tp, head)


def _poison(examination: Examination, worker: WorkerFacts, tp: TopicPartition, head: Head) -> Found:
    broker = examination.broker.value
    lag = next((p for p in examination.lags(worker.stage) if p.partition == tp), None)
    waits = lag.lag_records if lag is not None else None
    copies = [d for d in (broker.letters if broker else ()) if _is_of(d, tp, head.offset)]
    whose = f"payment {head.payment_id}" if head.payment_id else "a message that names no payment"
    trouble = trouble_of(head.failures[-1])
    written = broker.written_at.get((worker.stage.group, tp)) if broker else None
    return Found(
        symptom=f"{worker.stage.group} stands still on {tp} at offset {head.offset}; {waits or 'some'} wait there",
        cause=f"{worker.stage.worker} fails on that message ({whose}): {_bare(head.failures[-1])[:250]}",
        evidence=(
            *((lag_line(lag),) if lag is not None else ()),
            Evidence(EvidenceKind.BROKER, f"{len(copies)} dead letters of this offset"),
            *(Evidence(EvidenceKind.LOG, text[:300]) for text in dict.fromkeys(head.failures[-2:])),
        ),
        action=(
            *((f"kcfix repair {head.payment_id}",) if head.payment_id else ()),
            *skip_line(worker, tp),
            f"kcfix restart {worker.stage.worker}",
        ),
        about=(*things_of(worker), partition_thing(tp), *((trouble_thing(trouble),) if trouble else ())),
        since=written,
        payments=on_partition(examination, tp) if worker.stage.name == "purchase" else (),
        deadline=deadline(examination, worker.stage),
        catch_up=catch_up(examination, worker),
    )


def _bare(failure: str) -> str:
    return failure.removeprefix("dead letter: ")


def _is_of(letter: DeadLetter, tp: TopicPartition, offset: int) -> bool:
    place = letter.original_topic, letter.original_partition, letter.original_offset
    return place == (tp.topic, tp.partition, offset)


def poison_skipped(examination: Examination) -> Iterator[Found]:
    """A message on which the worker failed, on a partition without a committed offset.

    After six tries kafkajs crashes and starts again at the end of the log: the message and everything behind it on that
    partition is skipped, with dead letters as the only trace. `kcfix repair` settles the payments; commit offsets with
    `kcfix restart`, so that the next failure does not skip again.
    """
    broker = examination.broker.value
    looked = examination.payments.value
    lost = {f.payment.id: f for f in looked.found if f.verdict.kind in UNDONE} if looked is not None else {}
    bad = {f.payment.id for f in looked.found} if looked is not None else set()
    for worker in required(examination):
        open_ = {p.partition: p for p in examination.lags(worker.stage) if p.state is LagState.UNCOMMITTED}
        letters: dict[TopicPartition, list[DeadLetter]] = defaultdict(list)
        for letter in broker.letters if broker else ():
            if letter.original_topic is None or letter.original_partition is None:
                continue
            tp = TopicPartition(letter.original_topic, letter.original_partition)
            owed = letter.payment_id is None or looked is None or letter.payment_id in bad
            if tp in open_ and owed and trouble_of(letter.reason) not in OUTSIDE:
                letters[tp].append(letter)
        for tp, copies in sorted(letters.items()):
            offsets = sorted({c.original_offset for c in copies if c.original_offset is not None})
            ids = list(dict.fromkeys(c.payment_id for c in copies if c.payment_id is not None))
            behind_it = tuple(f for f in on_partition(examination, tp) if f.payment.id in lost)
            trouble = trouble_of(copies[-1].reason)
            yield Found(
                symptom=f"{worker.stage.worker} failed on {tp} at {', '.join(map(str, offsets))} and went past it",
                cause=f"no committed offset protects {tp}; the message fails with: {copies[-1].reason[:250]}",
                evidence=(
                    lag_line(open_[tp]),
                    Evidence(
                        EvidenceKind.BROKER,
                        f"{len(copies)} dead letters of it, the last one: {copies[-1].reason[:200]}",
                        copies[-1].record.timestamp,
                    ),
                ),
                action=(
                    " ".join(["kcfix repair", *dict.fromkeys([*ids, *(f.payment.id for f in behind_it)])][:21]),
                    f"kcfix restart {worker.stage.worker}",
                ),
                about=(*things_of(worker), partition_thing(tp), *((trouble_thing(trouble),) if trouble else ())),
                since=copies[0].record.timestamp,
                payments=behind_it,
            )


LOOKED = frozenset({Need.KAFKA, Need.BROKER})


RULES = (
    Rule(
        "G001",
        Severity.ERROR,
        "A group stands on a message that its worker fails on",
        poison,
        LOOKED,
        because(same_trouble_told, "P018", "P021"),
        modes=("3", "32", "33", "17b", "48"),
    ),
    Rule(
        "G002",
        Severity.ERROR,
        "A message failed on an unprotected partition and was skipped",
        poison_skipped,
        LOOKED,
        modes=("2", "32", "33"),
    ),
)
