"""Messages into and out of the drill's broker, as clients other than kcfix would send and see them."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from kcfix.core.events import Message, Record
from kcfix.drill.network import kafka_answers, kafka_settings
from kcfix.drill.state import Drill
from kcfix.errors import Unreachable

SEND_TIMEOUT_SECONDS = 10
NOWHERE = ("127.0.0.1", 1)
"""An address that refuses, as `localhost:9092` does inside a container that was given no broker (mode 11)."""

logging.getLogger("kafka").addHandler(logging.NullHandler())  # else its warnings about a dead broker go to stderr


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one message: where it lies, or that it was not acknowledged."""

    partition: int | None
    offset: int | None
    """Both None: no acknowledgement came."""


class Sender:
    """One producer for many sends, made at the first one that has anything to send.

    A broker that can't be reached is no exception: payment-service goes on without it too, and each message is then
    unacknowledged. The next send tries again.
    """

    def __init__(self, drill: Drill, *, nowhere: bool = False) -> None:
        self._drill = drill
        self._nowhere = nowhere
        self._producer: KafkaProducer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._producer is not None:
            self._producer.close(timeout=SEND_TIMEOUT_SECONDS)

    def send(self, messages: Sequence[Message], *, at: datetime | None = None) -> list[Sent]:
        """Sends the messages in order and waits for the broker; the outcomes are in the same order.

        `at` becomes the records' timestamp, None: now.
        """
        if not messages:
            return []
        if not self._reaches():
            return [Sent(None, None)] * len(messages)
        if self._producer is None:
            limits = {"bootstrap_timeout_ms": 5_000, "max_block_ms": SEND_TIMEOUT_SECONDS * 1000}
            try:
                self._producer = KafkaProducer(**kafka_settings(self._drill), **limits, acks="all")
            except (KafkaError, OSError):
                return [Sent(None, None)] * len(messages)
        stamp = None if at is None else int(at.timestamp() * 1000)
        futures = []
        for message in messages:
            try:
                futures.append(
                    self._producer.send(
                        message.topic,
                        key=message.key,
                        value=message.value,
                        headers=list(message.headers),
                        partition=message.partition,
                        timestamp_ms=stamp,
                    )
                )
            except (KafkaError, OSError):
                break  # one full wait for a dead broker is enough
        outcomes = [self._outcome(future) for future in futures]
        return outcomes + [Sent(None, None)] * (len(messages) - len(outcomes))

    def _reaches(self) -> bool:
        """Whether a broker is there. Not asked through kafka-python: its failed bootstrap leaves sockets open."""
        if not self._nowhere:
            return any(kafka_answers(port) for port in self._drill.kafka_ports.values())
        try:
            socket.create_connection(NOWHERE, timeout=1).close()
        except OSError:
            return False
        return True

    @staticmethod
    def _outcome(future: Any) -> Sent:
        try:
            meta = future.get(timeout=SEND_TIMEOUT_SECONDS)
        except (KafkaError, OSError):
            return Sent(None, None)
        return Sent(meta.partition, meta.offset)


def send(drill: Drill, messages: Sequence[Message], *, at: datetime | None = None) -> list[Sent]:
    """One send of a `Sender` of its own."""
    with Sender(drill) as sender:
        return sender.send(messages, at=at)


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


def records(drill: Drill, topic: str) -> list[Record]:
    """Everything that the topic holds now, by partition and offset.

    Raises:
        Unreachable: the broker did not give it all in time.
    """
    found: list[Record] = []
    deadline = time.monotonic() + SEND_TIMEOUT_SECONDS
    with closing(KafkaConsumer(**kafka_settings(drill), enable_auto_commit=False)) as consumer:
        partitions = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic) or ())]
        stops = consumer.end_offsets(partitions)
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        while any(consumer.position(tp) < stops[tp] for tp in partitions):
            if time.monotonic() > deadline:
                raise Unreachable(f"reading {topic}: not done in time", system="kafka")
            for batch in consumer.poll(timeout_ms=500).values():
                found += [
                    Record(
                        topic=r.topic,
                        partition=r.partition,
                        offset=r.offset,
                        timestamp=datetime.fromtimestamp(r.timestamp / 1000, UTC),
                        key=r.key,
                        value=r.value,
                        headers=tuple(r.headers),
                    )
                    for r in batch
                ]
    return sorted(found, key=lambda r: (r.partition, r.offset))
