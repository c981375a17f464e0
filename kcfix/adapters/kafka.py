"""Kafka for the core: the whole of KafkaPort over one link to the cluster.

Nothing here joins a group or makes a topic, not even the topic of the groups itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from kcfix import __version__
from kcfix.adapters import kafka_committed, kafka_configs, kafka_groups, kafka_log, kafka_offsets
from kcfix.adapters.kafka_address import Deadline
from kcfix.adapters.kafka_link import Link
from kcfix.core.events import Message, Record
from kcfix.core.offsets import Committed, Group, LogOffsets, RecordTime, TopicPartition
from kcfix.core.ports import Cluster, KafkaPort, OffsetRange, SearchResult, SendResult, Topic, TopicConfig

TIMEOUT_SECONDS = 10.0
SEARCH_SECONDS = 60.0


class Kafka:
    """A cluster, reached over connections that are made when they are first needed."""

    def __init__(self, link: Link, search_seconds: float) -> None:
        self._link = link
        self._search_seconds = search_seconds

    @property
    def requests(self) -> int:
        """How many requests were sent so far: what it costs the brokers."""
        return self._link.requests

    def cluster(self) -> Cluster:
        metadata = self._link.metadata(self._link.deadline(), fresh=True)
        return Cluster(metadata.cluster_id, metadata.controller_id, tuple(metadata.brokers.values()))

    def topics(self, needed: Collection[str] = ()) -> Mapping[str, Topic]:
        deadline = self._link.deadline()
        found = self._link.metadata(deadline, fresh=True).topics
        self._link.refuse_if_hidden([name for name in sorted(set(needed)) if name not in found], deadline)
        return found

    def topic_configs(self, names: Collection[str]) -> Mapping[str, TopicConfig]:
        return kafka_configs.read_topic_configs(self._link, names)

    def broker_config(self) -> Mapping[str, str]:
        return kafka_configs.read_broker_config(self._link)

    def groups(self, ids: Collection[str] | None = None) -> Mapping[str, Group]:
        return kafka_groups.read_groups(self._link, ids)

    def committed(self, ids: Collection[str]) -> Mapping[str, Mapping[TopicPartition, Committed]]:
        return kafka_committed.read_committed(self._link, ids)

    def log_offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, LogOffsets]:
        return kafka_offsets.read_log_offsets(self._link, partitions)

    def offsets_for_time(self, times: Mapping[TopicPartition, datetime]) -> Mapping[TopicPartition, int | None]:
        return kafka_offsets.read_offsets_for_time(self._link, times)

    def record_times(self, offsets: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, RecordTime | None]:
        return kafka_log.read_record_times(self._link, offsets)

    def records(self, ranges: Iterable[OffsetRange]) -> Iterator[Record]:
        return kafka_log.read_records(self._link, ranges)

    def search(
        self, ranges: Iterable[OffsetRange], needles: Collection[bytes], *, anywhere: bool = False
    ) -> SearchResult:
        return kafka_log.search(self._link, ranges, needles, Deadline(self._search_seconds), anywhere=anywhere)

    def send(self, messages: Sequence[Message]) -> tuple[SendResult, ...]:
        from kcfix.adapters import kafka_send  # only a run that changes something needs it

        return kafka_send.send(self._link, messages)

    def commit(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        from kcfix.adapters import kafka_commit

        kafka_commit.commit(self._link, group, offsets)

    def close(self) -> None:
        self._link.close()


def open_kafka(
    brokers: Sequence[str],
    *,
    address_map: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT_SECONDS,
    search_timeout: float = SEARCH_SECONDS,
    client_id: str = f"kcfix/{__version__}",
    security: Mapping[str, Any] | None = None,
) -> KafkaPort:
    """Kafka at these addresses (`host:port`). Nothing is asked yet: the first call connects.

    `address_map` leads advertised addresses to reachable ones. It is asked by `get("name:port")` for those that are
    needed; None means that an address is reachable as it is. `timeout` is the deadline of each call in seconds,
    `search_timeout` that of a search of the log. `security` has kafka-python's names: security_protocol, ssl_cafile,
    ssl_certfile, ssl_keyfile, ssl_password, ssl_check_hostname, sasl_mechanism, sasl_plain_username,
    sasl_plain_password.

    Raises:
        UsageError: no address, or one that is none.
    """
    return Kafka(
        Link(brokers, {} if address_map is None else address_map, timeout, client_id, security or {}), search_timeout
    )
