"""Messages into and out of the drill's broker, as clients other than kcfix would send and see them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    KafkaError,
    NotCoordinatorError,
)

from kcfix.core.events import Message
from kcfix.drill.network import kafka_settings
from kcfix.drill.state import Drill
from kcfix.errors import Unreachable

SEND_TIMEOUT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one message: where it lies, or that it was not acknowledged."""

    partition: int | None
    offset: int | None
    """Both None: no acknowledgement came."""


def send(drill: Drill, messages: Sequence[Message], *, at: datetime | None = None) -> list[Sent]:
    """Sends the messages in order and waits for the broker; the outcomes are in the same order.

    `at` becomes the records' timestamp, None: now. A broker that can't be reached is no exception: payment-service
    goes on without it too, and each message is then unacknowledged.
    """
    if not messages:
        return []
    stamp = None if at is None else int(at.timestamp() * 1000)
    settings = kafka_settings(drill) | {"max_block_ms": SEND_TIMEOUT_SECONDS * 1000}
    try:
        producer = KafkaProducer(**settings, acks="all", request_timeout_ms=SEND_TIMEOUT_SECONDS * 1000)
    except (KafkaError, OSError):
        return [Sent(None, None)] * len(messages)
    with closing(producer):
        futures = []
        for message in messages:
            try:
                future = producer.send(
                    message.topic,
                    key=message.key,
                    value=message.value,
                    headers=list(message.headers),
                    partition=message.partition,
                    timestamp_ms=stamp,
                )
            except (KafkaError, OSError):
                future = None
            futures.append(future)
            if future is None:
                break  # one full wait for a dead broker is enough
        outcomes = []
        for future in futures:
            try:
                meta = None if future is None else future.get(timeout=SEND_TIMEOUT_SECONDS)
            except (KafkaError, OSError):
                meta = None
            outcomes.append(Sent(None, None) if meta is None else Sent(meta.partition, meta.offset))
    return outcomes + [Sent(None, None)] * (len(messages) - len(outcomes))


def send_raw(drill: Drill, topic: str, partition: int, value: bytes | None, *, key: bytes | None = None) -> int:
    """Puts one record of any content onto a partition; its offset.

    Raises:
        Unreachable: it was not acknowledged in time; it may lie there all the same.
    """
    try:
        with closing(KafkaProducer(**kafka_settings(drill), acks="all")) as producer:
            sent = producer.send(topic, value=value, key=key, partition=partition).get(timeout=SEND_TIMEOUT_SECONDS)
    except (KafkaError, OSError) as error:
        raise Unreachable(f"sending to {topic} partition {partition}: {error}", system="kafka") from error
    return int(sent.offset)


def ends(drill: Drill, topic: str) -> dict[int, tuple[int, int]]:
    """Start and end offset of each partition of the topic."""
    with closing(KafkaConsumer(**kafka_settings(drill))) as consumer:
        partitions = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic) or ())]
        starts, stops = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    return {tp.partition: (starts[tp], stops[tp]) for tp in partitions}


def committed(drill: Drill, group: str, topic: str) -> dict[int, int]:
    """Committed offset of each partition that has one."""
    with closing(KafkaAdminClient(**kafka_settings(drill))) as admin:
        found = patient(lambda: admin.list_group_offsets({group: None}))
    return {tp.partition: meta.offset for tp, meta in found[group].items() if tp.topic == topic and meta.offset >= 0}


def patient(ask: Callable[[], Any]) -> Any:
    """The answer, asked for again while the broker is still making its offsets topic or choosing a coordinator."""
    deadline = time.monotonic() + SEND_TIMEOUT_SECONDS
    while True:
        try:
            return ask()
        except (CoordinatorNotAvailableError, CoordinatorLoadInProgressError, NotCoordinatorError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
