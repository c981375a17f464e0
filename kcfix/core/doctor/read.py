"""Reads what the doctor looks at beyond `status`, through the ports. Nothing here changes or decides anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import closing, suppress
from datetime import datetime, timedelta

from kcfix.core.acknowledgement import Acknowledgement
from kcfix.core.doctor.examination import BrokerFacts, EngineFacts, PaymentsLooked, skew
from kcfix.core.doctor.heads import find_heads
from kcfix.core.events import DeadLetter, Record, parse_dead_letter
from kcfix.core.judging.gather import Sources
from kcfix.core.judging.snapshot import Head
from kcfix.core.judging.windows import offsets_at
from kcfix.core.logs.container_log import ContainerLog, understood
from kcfix.core.logs.entry import LogEntry
from kcfix.core.logs.parse import parse_all
from kcfix.core.missing import AHEAD, Finding, Span, Tally, findings
from kcfix.core.offsets import PartitionLag, TopicPartition
from kcfix.core.payments import PaymentId
from kcfix.core.ports.database import DatabasePort
from kcfix.core.ports.docker import DockerPort
from kcfix.core.ports.kafka import KafkaPort, OffsetRange, TopicConfig
from kcfix.core.setup.dsn import database_user
from kcfix.core.status.system import DAY, KafkaFacts
from kcfix.core.workers import Container
from kcfix.errors import AccessDenied, KcfixError, NotFound
from kcfix.flow import Flow, Stage

NEWEST_LETTERS = 300
"""Dead letters read of each partition, at most."""
RECENT = timedelta(minutes=10)
MOST_PAYMENTS = 2000
"""Findings about payments that are read; of more the count is given as "at least"."""
NEWEST_LINES = 1200
"""Of each container: enough for the last starts of a busy worker, and little enough for one look."""
REMEMBERED = timedelta(hours=24)
"""How far back the engine is asked for what happened to containers."""


def read_logs(docker: DockerPort, containers: Iterable[Container]) -> dict[str, ContainerLog]:
    """The newest lines of each container by name, earlier lives included. One that is gone meanwhile is left out."""
    found = {}
    for container in containers:
        with suppress(NotFound):
            found[container.name] = understood(parse_all(docker.logs(container.id, tail=NEWEST_LINES)))
    return found


def read_engine(docker: DockerPort, containers: Iterable[Container], now: Callable[[], datetime]) -> EngineFacts:
    """The engine's clock, what happened to containers, and which images their names stand for now."""
    before, clock, after = now(), docker.now(), now()
    events = docker.events(clock - REMEMBERED)
    return EngineFacts(skew(clock, before, after), events, docker.image_ids({c.image for c in containers}))


def read_broker(
    kafka: KafkaPort, flow: Flow, facts: KafkaFacts, entries: Mapping[str, Iterable[LogEntry]], now: datetime
) -> BrokerFacts:
    """Settings, other groups, dead letters, and the records that partitions stand on.

    `entries` are each worker's lines, by worker. What a right is missing for is left out and named in `denied`.
    """
    denied: list[str] = []

    names = [t for t in flow.topics if t in facts.topics]
    configs = _configs(kafka, names, denied)
    settings = _settings(kafka, denied)
    groups = kafka.groups(None)
    committed = kafka.committed([g for g, found in groups.items() if found.error is None])
    read_topics = {
        g: frozenset(
            {t for m in found.members for t in (*m.subscription, *(tp.topic for tp in m.assignment))}
            | {tp.topic for tp in committed.get(g, {})}
        )
        for g, found in groups.items()
    }
    letters, letters_error = _letters(kafka, flow, facts, now)
    heads, written_at = _heads(kafka, flow, facts, letters, entries)
    recent, newest = _recent(kafka, facts, now)
    return BrokerFacts(
        configs=configs,
        settings=settings,
        groups=groups,
        read_topics=read_topics,
        heads=heads,
        written_at=written_at,
        letters=letters,
        letters_error=letters_error,
        recent=recent,
        newest=newest,
        denied=tuple(denied),
    )


def _configs(kafka: KafkaPort, names: Collection[str], denied: list[str]) -> Mapping[str, TopicConfig]:
    try:
        return kafka.topic_configs(names)
    except AccessDenied as error:
        denied.append(error.message)
        return {}


def _settings(kafka: KafkaPort, denied: list[str]) -> Mapping[str, str]:
    try:
        return kafka.broker_config()
    except AccessDenied as error:
        denied.append(error.message)
        return {}


def _letters(
    kafka: KafkaPort, flow: Flow, facts: KafkaFacts, now: datetime
) -> tuple[tuple[DeadLetter, ...], str | None]:
    topic = facts.topics.get(flow.dead_letters)
    if topic is None:
        return (), f"topic {flow.dead_letters} does not exist"
    logs = kafka.log_offsets([TopicPartition(topic.name, p.partition) for p in topic.partitions])
    starts = offsets_at(kafka, logs, now - DAY)
    ranges = [
        OffsetRange(
            tp, max(start, logs[tp].log_start_offset or 0, (logs[tp].log_end_offset or 0) - NEWEST_LETTERS), end
        )
        for tp, start in starts.items()
        if (end := logs[tp].log_end_offset) is not None
    ]
    records = kafka.records([r for r in ranges if r.start < r.end])
    letters = [letter for record in records if (letter := parse_dead_letter(record)) is not None]
    letters.sort(key=lambda d: (d.record.timestamp is None, d.record.timestamp or now, d.record.offset))
    return tuple(letters), next((log.error for log in logs.values() if log.error), None)


def _heads(
    kafka: KafkaPort,
    flow: Flow,
    facts: KafkaFacts,
    letters: Iterable[DeadLetter],
    entries: Mapping[str, Iterable[LogEntry]],
) -> tuple[dict[tuple[str, TopicPartition], Head], dict[tuple[str, TopicPartition], datetime]]:
    heads: dict[tuple[str, TopicPartition], Head] = {}
    written: dict[tuple[str, TopicPartition], datetime] = {}
    letters = tuple(letters)
    for stage in flow.stages:
        standing = _standing(kafka, _lags(facts, stage))
        # cache-worker writes none (docs/system.md 2.1): what others gave up on is no failure of its own.
        mine = () if stage.name == "cache" else letters
        for tp, head in find_heads(standing, mine, entries.get(stage.worker, ())).items():
            heads[stage.group, tp] = head
            stamp = standing[tp].timestamp
            if stamp is not None:
                written[stage.group, tp] = stamp
    return heads, written


def _lags(facts: KafkaFacts, stage: Stage) -> tuple[PartitionLag, ...]:
    return next((g.partitions for g in facts.groups if g.group.group_id == stage.group), ())


def _standing(kafka: KafkaPort, lags: Iterable[PartitionLag]) -> dict[TopicPartition, Record]:
    """The record that each group reads next, where one waits."""
    found: dict[TopicPartition, Record] = {}
    for lag in lags:
        if lag.lag_records and not lag.unprotected and lag.committed_offset is not None:
            one = OffsetRange(lag.partition, lag.committed_offset, lag.committed_offset + 1)
            record = next(iter(kafka.records([one])), None)
            if record is not None:
                found[lag.partition] = record
    return found


def _recent(
    kafka: KafkaPort, facts: KafkaFacts, now: datetime
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, datetime]]:
    ends = {
        lag.partition: lag.log_end_offset
        for group in facts.groups
        for lag in group.partitions
        if lag.log_end_offset is not None and lag.log_end_offset > (lag.log_start_offset or 0)
    }
    if not ends:
        return {}, {}
    first = kafka.offsets_for_time(dict.fromkeys(ends, now - RECENT))
    recent = {tp: end - start for tp, end in ends.items() if (start := first.get(tp)) is not None}
    times = kafka.record_times({tp: end - 1 for tp, end in ends.items()})
    return recent, {tp: t.timestamp for tp, t in times.items() if t is not None and t.timestamp is not None}


def read_payments(
    database: DatabasePort,
    sources: Sources,
    now: datetime,
    overdue: timedelta,
    words: Mapping[PaymentId, Acknowledgement],
) -> PaymentsLooked:
    """The payments of the last 24 hours by the database's clock, as `missing` sees them, the oldest first.

    No more than `MOST_PAYMENTS` findings are given, and hardly more read: the cause shows in these, and a doctor who
    judges a hundred thousand before he speaks comes too late.
    """
    span, tally = Span(now - DAY, now + AHEAD, now, overdue), Tally()
    kept: list[Finding] = []
    cut = False
    with closing(findings(database, sources, span, tally, words, batch=MOST_PAYMENTS)) as every:
        for found in every:
            if found.acknowledged:
                continue
            if cut := len(kept) == MOST_PAYMENTS:
                break
            kept.append(found)
    return PaymentsLooked(span.since, tally.payments or 0, tuple(kept), None if cut else tally.in_flight, cut)


def users_of(dsns: Iterable[str | None]) -> tuple[str, ...]:
    """The users as whom these DSNs come, sorted."""
    return tuple(sorted({user for dsn in dsns if dsn and (user := database_user(dsn)) is not None}))


def by_worker(
    flow: Flow, workers: Mapping[str, Iterable[Container]], logs: Mapping[str, ContainerLog] | KcfixError
) -> dict[str, list[LogEntry]]:
    """Each worker's lines since the start of its containers, in time order."""
    found: dict[str, list[LogEntry]] = defaultdict(list)
    if isinstance(logs, KcfixError):
        return found
    for stage in flow.stages:
        for container in workers.get(stage.worker, ()):
            found[stage.worker] += logs.get(container.name, ContainerLog()).entries
        found[stage.worker].sort(key=lambda e: e.timestamp)
    return found
