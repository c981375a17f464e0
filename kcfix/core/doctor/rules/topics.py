"""Rules about topics: missing, without a leader, or set so that messages are refused or soon deleted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kcfix.core.doctor.diagnosis import Confidence, Evidence, EvidenceKind, Found, Need, Severity, Thing
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import Rule, always, because
from kcfix.core.doctor.rules.kafka import KAFKA, brokers_of, kafka_tool
from kcfix.core.doctor.rules.proof import container_line, partition_thing, required, things_of, trouble_thing
from kcfix.core.doctor.troubles import Trouble
from kcfix.core.offsets import TopicPartition
from kcfix.core.status.findings import missing_topics

SMALL = 100_000
"""Bytes: a topic that takes only smaller messages will refuse some; the broker's own limit is a megabyte."""


def topics_missing(examination: Examination) -> Iterator[Found]:
    """A topic that the flow needs does not exist, and Kafka makes none by itself here.

    kafka-init makes them and ends well even where it failed (`|| true`). A worker whose own topic is missing ends at
    start with `Fatal error`; one that can't send to the next topic blocks for a minute, and goes on once the topic is
    there. A topic that is deleted and made again has lost its messages and the groups' committed offsets on it.
    """
    letters = examination.flow.dead_letters
    missing = missing_topics(examination.observed)
    working = tuple(t for t in missing if t != letters)
    if working:
        yield _missing(examination, working, f"missing topic{'s' if len(working) > 1 else ''}: {', '.join(working)}")
    if letters in missing:
        # Of its own: nothing waits for it, and no payment is missing because of it.
        yield _missing(examination, (letters,), f"missing topic: {letters}; what fails leaves no copy")


def _missing(examination: Examination, missing: tuple[str, ...], symptom: str) -> Found:
    flow = examination.flow
    sent_first = {flow.purchase_confirmed, flow.purchase_created, flow.course_access_granted}
    users = [
        w
        for w in examination.workers
        if set(w.stage.topics) & set(missing) or (w.stage.name == "purchase" and sent_first & set(missing))
    ]
    init = brokers_of(examination, flow.kafka_init_service)
    never = "they were never made, or were deleted" if len(missing) > 1 else "it was never made, or was deleted"
    return Found(
        symptom=symptom,
        cause=f"{never}; kafka-init ends with 0 even where it failed",
        evidence=tuple(container_line(c, examination.at) for c in init),
        action=tuple(
            f"{kafka_tool(examination, 'kafka-topics')} --create --topic {t} --partitions 3 --replication-factor 1"
            for t in missing
        ),
        about=(
            *(Thing("topic", t) for t in missing),
            *(thing for w in users for thing in things_of(w)),
            trouble_thing(Trouble.TOPIC_MISSING),
        ),
    )


def leaderless(examination: Examination) -> Iterator[Found]:
    """A partition of the flow has no leader: it can be neither read nor written.

    With one broker and one replica that means that the broker's disk, or a part of it, is gone or offline.
    """
    kafka = examination.observed.kafka.value
    for topic in kafka.topics.values() if kafka else ():
        without = [p.partition for p in topic.partitions if p.leader is None]
        if topic.name in examination.flow.topics and without:
            yield Found(
                symptom=f"{topic.name}: no leader for partition {', '.join(map(str, without))}",
                cause="the brokers that hold its replicas are down, or their disks are",
                action=(
                    f"kcfix topics {topic.name}",
                    *(f"docker logs --tail 50 {c.name}" for c in brokers_of(examination)),
                ),
                about=(Thing("topic", topic.name), *(partition_thing(TopicPartition(topic.name, n)) for n in without)),
            )


def under_replicated(examination: Examination) -> Iterator[Found]:
    """A replica of a partition is not in sync: one more failure, and messages may be lost."""
    kafka = examination.observed.kafka.value
    found = [
        f"{t.name}-{p.partition}"
        for t in (kafka.topics.values() if kafka else ())
        for p in t.partitions
        if t.name in examination.flow.topics and len(p.isr) < len(p.replicas)
    ]
    if found:
        yield Found(
            symptom=f"{len(found)} partitions are under-replicated: {', '.join(found[:6])}",
            cause="a broker is down, or can't keep up",
            action=("kcfix topics",),
            about=(KAFKA,),
        )


def open_transaction(examination: Examination) -> Iterator[Found]:
    """An open transaction holds readers back: the last stable offset stays behind the log end.

    kafkajs reads committed records only, so the workers see nothing beyond it until the transaction ends or times out.
    The workers' own producers use no transactions: look for another program that writes to the topic.
    """
    for worker in required(examination):
        for lag in examination.lags(worker.stage):
            stable, end = lag.last_stable_offset, lag.log_end_offset
            if stable is None or end is None or stable >= end or lag.committed_offset is None:
                continue
            if lag.committed_offset >= stable:
                yield Found(
                    symptom=f"{lag.partition}: {end - stable} records lie behind an open transaction",
                    cause=f"a producer has not ended its transaction; readers stop at {stable}, the log ends at {end}",
                    evidence=(Evidence(EvidenceKind.OFFSETS, f"{lag.partition}: last stable {stable}, log end {end}"),),
                    action=(f"kcfix lag --group {worker.stage.group}",),
                    about=(*things_of(worker), partition_thing(lag.partition)),
                    confidence=Confidence.UNPROVEN,
                    heals="when the transaction ends, or its time-out (mostly 1 to 15 minutes) has passed",
                )


def partitions_differ(examination: Examination) -> Iterator[Found]:
    """Topics of the flow have different numbers of partitions, or not the three that kafka-init makes.

    More partitions than at first change on which one a key falls: kcfix then searches the others as well. Fewer than
    three cap the number of instances that can work.
    """
    kafka = examination.observed.kafka.value
    if kafka is None:
        return
    counts = {t: len(kafka.topics[t].partitions) for t in examination.flow.topics if t in kafka.topics}
    odd = {t: n for t, n in counts.items() if n != 3}
    if odd and len(set(counts.values())) > 1:
        yield Found(
            symptom=f"numbers of partitions differ: {', '.join(f'{t} has {n}' for t, n in sorted(odd.items()))}",
            cause="a topic was made by hand, or partitions were added",
            action=("kcfix topics",),
            about=tuple(Thing("topic", t) for t in sorted(odd)),
        )


def retention_short(examination: Examination) -> Iterator[Found]:
    """A topic of the flow keeps its messages for less than a day.

    What is not read within that time is deleted. The broker's own setting is 168 hours, with no setting of a topic.
    """
    broker = examination.broker.value
    for topic, config in broker.configs.items() if broker else ():
        if config.retention is not None and config.retention < timedelta(days=1):
            yield Found(
                symptom=f"{topic} keeps its messages for {config.retention.total_seconds() / 3600:.1f} hours only",
                cause="retention.ms was lowered",
                evidence=(
                    Evidence(
                        EvidenceKind.SETTING, f"{topic}: retention.ms {int(config.retention.total_seconds() * 1000)}"
                    ),
                ),
                action=(
                    f"{kafka_tool(examination, 'kafka-configs')} --alter --topic {topic} --delete-config retention.ms",
                ),
                about=(Thing("topic", topic),),
            )


def refuses_messages(examination: Examination) -> Iterator[Found]:
    """A topic is set so that it refuses the flow's messages.

    `min.insync.replicas` above the number of replicas refuses every message that is sent with acks=all, as the workers
    and payment-service do; a `max.message.bytes` below the size of an event refuses that event. payment-service has
    written the event down by then, and nothing sends it later.
    """
    broker, kafka = examination.broker.value, examination.observed.kafka.value
    for topic, config in broker.configs.items() if broker and kafka else ():
        found = kafka.topics.get(topic) if kafka else None
        least = min((len(p.isr) for p in found.partitions), default=0) if found is not None else 0
        wanted, size = config.min_insync_replicas, config.max_message_bytes
        if wanted is not None and found is not None and wanted > least:
            name, cause = "min.insync.replicas", f"it wants {wanted} replicas in sync, and a partition has {least}"
        elif size is not None and size < SMALL:
            name, cause = "max.message.bytes", f"it takes no message of more than {size} bytes"
        else:
            continue
        value = wanted if name == "min.insync.replicas" else size
        yield Found(
            symptom=f"{topic} refuses messages",
            cause=cause,
            evidence=(Evidence(EvidenceKind.SETTING, f"{topic}: {name} {value}"),),
            action=(
                f"{kafka_tool(examination, 'kafka-configs')} --alter --topic {topic} --delete-config {name}",
                "kcfix missing",
            ),
            about=(Thing("topic", topic),),
        )


KNOWN = frozenset({Need.KAFKA})
RULES = (
    Rule(
        "K004",
        Severity.ERROR,
        "Topics are missing",
        topics_missing,
        KNOWN,
        because(always, "K008"),
        ("12", "13"),
    ),
    Rule("K005", Severity.ERROR, "A partition has no leader", leaderless, KNOWN, modes=("16",)),
    Rule("K006", Severity.CAUTION, "Partitions are under-replicated", under_replicated, KNOWN),
    Rule("K007", Severity.CAUTION, "An open transaction holds readers back", open_transaction, KNOWN),
    Rule("K009", Severity.CAUTION, "Topics differ in partitions", partitions_differ, KNOWN, modes=("13",)),
    Rule(
        "K011",
        Severity.CAUTION,
        "A topic keeps its messages for less than a day",
        retention_short,
        frozenset({Need.BROKER}),
        modes=("7",),
    ),
    Rule(
        "K014",
        Severity.ERROR,
        "A topic refuses messages",
        refuses_messages,
        KNOWN | {Need.BROKER},
        modes=("18", "16"),
    ),
)
