"""What the core asks of Kafka."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from kcfix.core.offsets import Committed, Group, LogOffsets, RecordTime, TopicPartition
from kcfix.errors import Unreachable

if TYPE_CHECKING:  # `lag` needs no events, and a shell that completes its options waits for all that is loaded
    from kcfix.core.events import Message, Record


@dataclass(frozen=True, slots=True)
class Broker:
    """One broker of the cluster, by the address that it advertises."""

    id: int
    host: str
    port: int
    rack: str | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """The Kafka cluster that answered."""

    cluster_id: str | None
    controller_id: int | None
    brokers: tuple[Broker, ...]


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether one broker of the cluster answers at the address that it advertises."""

    broker: Broker
    at: str
    """`host:port` that was really connected to: the advertised address, or where the address map leads."""
    error: Unreachable | None = None
    """Why it does not, or that a broker of another cluster answers there."""


@dataclass(frozen=True, slots=True)
class PartitionInfo:
    """Where one partition lives."""

    partition: int
    leader: int | None
    """Broker id; None: no leader, the partition can be neither read nor written."""
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    """In-sync replicas."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic with its partitions, sorted."""

    name: str
    partitions: tuple[PartitionInfo, ...]
    internal: bool = False


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """Settings of a topic that bear on what can be lost. None: not given."""

    retention: timedelta | None
    """None also for "for ever" (-1) when `retention_unlimited` is True."""
    retention_unlimited: bool
    cleanup_policy: str
    retention_bytes: int | None = None
    max_message_bytes: int | None = None
    min_insync_replicas: int | None = None


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """Offsets of one partition, `start` included, `end` not."""

    partition: TopicPartition
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search of the log found, and what it really looked at."""

    records: tuple[Record, ...]
    """Sorted by topic, partition, offset."""
    searched: tuple[OffsetRange, ...]
    """The ranges that were read to their end. A range cut short (deadline, error) is not among them."""
    failed: Mapping[TopicPartition, str] = field(default_factory=dict)
    """Partitions whose range was not read to the end, and why."""


class SendState(enum.StrEnum):
    """What is known of a message that was handed to the client."""

    ACKNOWLEDGED = "ACKNOWLEDGED"
    REJECTED = "REJECTED"
    """The broker said no, or it never left: it is not in the log."""
    UNKNOWN = "UNKNOWN"
    """No answer in time: it may be in the log."""


@dataclass(frozen=True, slots=True)
class SendResult:
    """Fate of one message, in the order in which they were given."""

    state: SendState
    partition: int | None = None
    offset: int | None = None
    error: str | None = None


class KafkaPort(Protocol):
    """Kafka, without ever joining a group or making a topic."""

    def cluster(self) -> Cluster:
        """The cluster and its brokers."""

    def reach(self) -> tuple[Reach, ...]:
        """Every broker of the cluster asked at the address that it advertises, by broker id."""

    def release(self) -> str | None:
        """The release that the brokers speak as, e.g. `3.5` or `4.0 or newer`; None where it can't be told."""

    def topics(self) -> Mapping[str, Topic]:
        """Every topic that this client may see, by name. A missing one does not exist (or is hidden)."""

    def topic_configs(self, names: Collection[str]) -> Mapping[str, TopicConfig]:
        """Settings of these topics; one that does not exist is left out."""

    def broker_config(self) -> Mapping[str, str]:
        """Settings of one broker, by name (`offsets.retention.minutes`, …). Secrets are left out."""

    def groups(self, ids: Collection[str] | None = None) -> Mapping[str, Group]:
        """Groups by id; None for all. Each id asked for is there, NOT_FOUND where there is no such group."""

    def committed(self, ids: Collection[str]) -> Mapping[str, Mapping[TopicPartition, Committed]]:
        """All that each group has committed. Partitions without a commit are left out; one in error is there."""

    def log_offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, LogOffsets]:
        """Log start, log end and last stable offset of each partition; one that failed carries its error."""

    def offsets_for_time(self, times: Mapping[TopicPartition, datetime]) -> Mapping[TopicPartition, int | None]:
        """First offset whose record is not older than the time (broker's time index); None if there is none."""

    def record_times(self, offsets: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, RecordTime | None]:
        """Time of the first record at or past each offset; None where there is none or it could not be read in time."""

    def records(self, ranges: Iterable[OffsetRange]) -> Iterator[Record]:
        """Every record of the ranges, partition by partition, in offset order, in constant memory."""

    def search(
        self, ranges: Iterable[OffsetRange], needles: Collection[bytes], *, anywhere: bool = False
    ) -> SearchResult:
        """Records of the ranges whose key is a needle, or (anywhere) whose key or value contains one."""

    # changes

    def send(self, messages: Sequence[Message]) -> tuple[SendResult, ...]:
        """Send all (acks=all, no duplicates by retries) and wait for the acknowledgements. One result per message."""

    def commit(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit for a group that has no member.

        Raises:
            Refused: the group has members; nothing was committed.
            OutcomeUnknown: no answer in time; read the offsets again.
        """

    def close(self) -> None:
        """Close every connection."""
