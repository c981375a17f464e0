"""Kafka for the core: the whole of KafkaPort over one link to the cluster.

Nothing here joins a group or makes a topic, not even the topic of the groups itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from kcfix import __version__
from kcfix.adapters import (
    kafka_committed,
    kafka_configs,
    kafka_groups,
    kafka_log,
    kafka_offsets,
    kafka_reach,
    kafka_search,
)
from kcfix.adapters.kafka_address import Deadline
from kcfix.adapters.kafka_link import Link
from kcfix.core.events import Message, Record
from kcfix.core.offsets import Committed, Group, LogOffsets, RecordTime, TopicPartition
from kcfix.core.ports.kafka import Cluster, KafkaPort, OffsetRange, Reach, SearchResult, SendResult, Topic, TopicConfig
from kcfix.core.rights import Missing, unnoted

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

    def reach(self) -> tuple[Reach, ...]:
        return kafka_reach.read_reach(self._link)

    def release(self) -> str | None:
        return kafka_reach.read_release(self._link)

    def topics(self) -> Mapping[str, Topic]:
        return self._link.metadata(self._link.deadline(), fresh=True).topics

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
        return kafka_search.search(self._link, ranges, needles, Deadline(self._search_seconds), anywhere=anywhere)

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
    expected: Collection[str] = (),
    expected_groups: Collection[str] = (),
    missing: Missing = unnoted,
) -> KafkaPort:
    """Kafka at these addresses (`host:port`). Nothing is asked yet: the first call connects.

    `address_map` leads advertised addresses to reachable ones. It is asked by `get("name:port")` for those that are
    needed; None means that an address is reachable as it is. `timeout` is the deadline of each call in seconds,
    `search_timeout` that of a search of the log. `security`: see `core/setup/security.py`. Topics that are
    `expected` and can't be seen for want of a right are an AccessDenied, where others would pass for gone, and such
    `expected_groups` are in every list, with their error. `missing` is told of every right that was missing.

    Raises:
        UsageError: no address, or one that is none.
    """
    mapped = {} if address_map is None else address_map
    link = Link(brokers, mapped, timeout, client_id, security or {}, expected, expected_groups, missing)
    return Kafka(link, search_timeout)
