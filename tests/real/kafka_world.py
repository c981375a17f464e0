"""A real broker, a drill's or one of the tests' own, as a world for the contract of KafkaPort; unusual producers."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, Protocol

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.structs import TopicPartition as LibraryPartition

from kcfix.adapters.kafka import Kafka, open_kafka
from kcfix.core.offsets import TopicPartition
from kcfix.drill.network import mapped_settings


class Brokers(Protocol):
    """Brokers that this host reaches through a map of addresses: a drill's, or a cluster of the tests' own."""

    @property
    def brokers(self) -> tuple[str, ...]: ...

    @property
    def address_map(self) -> Mapping[str, str]: ...

    @property
    def kafka_port(self) -> int: ...


class KafkaWorld:
    """Topics and groups of its own on these brokers, changed by kafka-python's clients."""

    def __init__(self, drill: Brokers) -> None:
        self.drill = drill
        self.settings: dict[str, Any] = mapped_settings(drill.address_map)
        self.kafka = self.open()
        self._run = uuid.uuid4().hex[:8]
        self._count = 0
        self._topics: list[str] = []

    def open(self, **options: Any) -> Kafka:
        """One more port to the same broker."""
        options = {"address_map": self.drill.address_map, "timeout": 10.0, **options}
        port = open_kafka(options.pop("brokers", self.drill.brokers), **options)
        assert isinstance(port, Kafka)
        return port

    def name(self, what: str) -> str:
        self._count += 1
        return f"{what}-{self._run}-{self._count}"

    def topic(self, partitions: int = 3, *, replicas: int = 1, configs: Mapping[str, str] | None = None) -> str:
        name = self.name("topic")
        self._topics.append(name)
        with closing(KafkaAdminClient(**self.settings)) as admin:
            admin.create_topics([NewTopic(name, partitions, replicas, topic_configs=dict(configs or {}))])
        deadline = time.monotonic() + 10
        while name not in self.kafka.topics() and time.monotonic() < deadline:
            time.sleep(0.05)
        return name

    def delete_before(self, partition: TopicPartition, offset: int) -> None:
        with closing(KafkaAdminClient(**self.settings)) as admin:
            admin.delete_records({LibraryPartition(*partition): offset})

    @contextmanager
    def joined(self, group: str, topic: str) -> Iterator[None]:
        ready, leave = threading.Event(), threading.Event()

        def consume() -> None:
            with closing(KafkaConsumer(group_id=group, enable_auto_commit=False, **self.settings)) as consumer:
                # Without the topic's partitions at hand it would join and take none.
                while consumer.partitions_for_topic(topic) is None and not leave.is_set():
                    time.sleep(0.05)
                consumer.subscribe([topic])
                while not leave.is_set():
                    consumer.poll(timeout_ms=100)
                    if consumer.assignment():
                        ready.set()

        thread = threading.Thread(target=consume)
        thread.start()
        try:
            assert ready.wait(30), "the member got no partition"
            yield
        finally:
            leave.set()
            thread.join(30)

    @contextmanager
    def producer(self, **options: Any) -> Iterator[KafkaProducer]:
        """A producer of the library, e.g. with compression_type or transactional_id."""
        with closing(KafkaProducer(**self.settings, **options)) as producer:
            yield producer

    def close(self) -> None:
        """Leave the broker as it was: other tests count its topics and groups."""
        groups = [g for g in self.kafka.groups() if self._run in g]
        with closing(KafkaAdminClient(**self.settings)) as admin:
            if groups:
                admin.delete_groups(groups)
            if self._topics:
                admin.delete_topics(self._topics)
        self.kafka.close()
