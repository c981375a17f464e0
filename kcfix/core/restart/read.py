"""Reads what a restart is decided on, through the ports; nothing here changes anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from kcfix.core.judging.snapshot import Reading
from kcfix.core.logs.entry import LogEntry
from kcfix.core.logs.parse import parse
from kcfix.core.move.pin import read_pins
from kcfix.core.offsets import NOTHING_COMMITTED, TopicPartition, partition_lag
from kcfix.core.ports.database import DatabasePort
from kcfix.core.ports.docker import DockerPort
from kcfix.core.ports.kafka import KafkaPort
from kcfix.core.restart.plan import GroupView, Situation
from kcfix.core.workers import Container
from kcfix.core.working.worker import Look
from kcfix.errors import KcfixError, Refused, Unreachable
from kcfix.flow import Stage

LOG_LINES = 2000
"""Of each container, the newest, since its start."""


def group_view(kafka: KafkaPort, stage: Stage) -> GroupView:
    """The worker's group on every partition that it reads: commits first, then log ends, so that no lag is negative.

    Raises:
        Unreachable: Kafka did not answer.
    """
    topics = kafka.topics()
    group = kafka.groups([stage.group])[stage.group]
    committed = kafka.committed([stage.group]).get(stage.group, {})
    partitions = [TopicPartition(t, p.partition) for t in stage.topics if t in topics for p in topics[t].partitions]
    logs = kafka.log_offsets(partitions)
    lags = tuple(partition_lag(tp, committed.get(tp, NOTHING_COMMITTED), logs.get(tp)) for tp in sorted(partitions))
    return GroupView(group, lags, tuple(t for t in stage.topics if t not in topics))


def situation(
    stage: Stage,
    containers: Reading[tuple[Container, ...]],
    siblings: Iterable[Container],
    kafka: Callable[[], KafkaPort],
    database: Callable[[], DatabasePort],
) -> Situation:
    """All that the plan for one worker rests on. A system that does not answer is a value in it."""
    try:
        view = group_view(kafka(), stage)
    except Unreachable as error:
        return Situation(stage, containers, Reading.unknown(error.message), siblings=tuple(siblings))
    try:
        pins = Reading(read_pins(stage, view.lags, kafka(), database))
    except (Unreachable, Refused) as error:
        pins = Reading.unknown(error.message)
    return Situation(stage, containers, Reading(view), pins, tuple(siblings))


def look(
    stage: Stage, ids: Sequence[str] | None, docker: DockerPort | None, kafka: Callable[[], KafkaPort], now: datetime
) -> Look:
    """The worker's surroundings at this moment. A system that does not answer is None in it."""
    containers: tuple[Container, ...] | None = None
    if docker is not None and ids is not None:
        try:
            containers = tuple(docker.inspect(i) for i in ids)
        except KcfixError:
            containers = None
    try:
        view = group_view(kafka(), stage)
    except Unreachable:
        return Look(now, containers, None, None)
    return Look(now, containers, view.group, view.lags)


def entries_since_start(docker: DockerPort, containers: Iterable[Container]) -> tuple[LogEntry, ...] | None:
    """What these containers logged since they were started, merged in time order; None where that can't be read."""
    try:
        found = [
            parse(line)
            for c in containers
            if c.started_at is not None
            for line in docker.logs(c.id, since=c.started_at, tail=LOG_LINES)
        ]
    except KcfixError:
        return None
    return tuple(sorted(found, key=lambda e: e.timestamp))
