"""What the core asks of Docker, Kafka and PostgreSQL.

Every call has a deadline that the adapter got from the settings. Every call may raise `Unreachable` (no answer, or
not in time: nothing is known) or `AccessDenied` (a right is missing). Only the calls under "changes" change anything.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from kcfix.core.events import Message, Record
from kcfix.core.offsets import Committed, Group, LogOffsets, RecordTime, TopicPartition
from kcfix.core.payments import Allocation, PaymentFacts, PaymentId
from kcfix.core.workers import Container, RawLine


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


class DockerPort(Protocol):
    """The Docker engine."""

    def containers(self) -> tuple[Container, ...]:
        """All containers, running or not, inspected, sorted by name. Those of drills are among them."""

    def inspect(self, container_id: str) -> Container:
        """One container as it is now. Raises NotFound."""

    def logs(
        self,
        container_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        tail: int | None = None,
        follow: bool = False,
    ) -> Iterator[RawLine]:
        """Lines in Docker's order. `follow` goes on until the container stops or the caller does."""

    def now(self) -> datetime:
        """The engine's clock (`docker info`'s SystemTime)."""

    # changes

    def stop(self, container_id: str, *, grace: timedelta) -> None:
        """SIGTERM, then SIGKILL after the grace. Raises OutcomeUnknown when the engine did not answer in time."""

    def start(self, container_id: str) -> None:
        """Start a stopped container. Raises Refused with the engine's reason, OutcomeUnknown without an answer."""

    def restart(self, container_id: str, *, grace: timedelta) -> None:
        """Stop and start in one call of the engine."""

    def close(self) -> None:
        """Close every connection."""


class IndexState(enum.StrEnum):
    """Whether the unique index on active purchases protects against doubles."""

    VALID = "VALID"
    INVALID = "INVALID"
    """Left by a failed CREATE INDEX CONCURRENTLY: it protects nothing."""
    MISSING = "MISSING"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class DatabaseIdentity:
    """The database that answered. Never holds a password."""

    host: str
    port: int
    name: str
    user: str
    server_version: str
    now: datetime
    """The server's clock."""
    read_only: bool
    """A standby, or a session that can't write."""
    system_identifier: str | None = None
    """pg_control_system(); None where the role may not ask."""

    @property
    def label(self) -> str:
        """host:port/name, to be shown."""
        return f"{self.host}:{self.port}/{self.name}"


@dataclass(frozen=True, slots=True)
class SchemaFacts:
    """What the live schema is: it can be any mix (docs/system.md 1.0)."""

    tables: frozenset[str]
    """Which of payments, purchases, events, allocations, sessions, courses (kcfix's names) are there."""
    unique_active_purchase: IndexState
    event_id_type: str | None = None
    """Type of processed_events.event_id: uuid or text; None if the table is missing."""
    correlation_id_type: str | None = None


class InsertState(enum.StrEnum):
    """Fate of one insert."""

    INSERTED = "INSERTED"
    EXISTS = "EXISTS"
    """kcfix's own purchase id was already there: an earlier run made it."""
    REFUSED = "REFUSED"
    """The re-check inside the transaction found the world changed; `reason` says how."""
    UNKNOWN = "UNKNOWN"
    """The commit was sent and not answered."""
    FAILED = "FAILED"
    """Rolled back: a lock time-out, or an error of the server; `reason` says which."""


@dataclass(frozen=True, slots=True)
class InsertOrder:
    """A purchase to be inserted, with the facts that it was planned on."""

    payment_id: PaymentId
    purchase_id: str
    student_id: str
    course_id: str
    tier: int
    metadata: Mapping[str, object]
    expiry_date: str | None
    """As the worker would write it: metadata.expiryDate or None."""
    lock_keys: tuple[int, ...]
    """The worker's advisory locks to be held, sorted."""
    planned_on: PaymentFacts


@dataclass(frozen=True, slots=True)
class InsertResult:
    """Fate of one order."""

    payment_id: PaymentId
    state: InsertState
    reason: str | None = None
    facts: PaymentFacts | None = None
    """As re-read inside the transaction; None where it never got there."""


Recheck = Callable[[InsertOrder, PaymentFacts], str | None]
"""Given the order and the facts re-read under the lock: None to go on, else the reason not to."""


StudentCourse = tuple[str, str]
"""Student id and course id, both lower case."""


class DatabasePort(Protocol):
    """PostgreSQL. All reads run in read-only transactions."""

    def identity(self) -> DatabaseIdentity:
        """The database that holds the purchases."""

    def payments_identity(self) -> DatabaseIdentity:
        """The database that holds the payments: mostly the same one."""

    def schema(self) -> SchemaFacts:
        """What tables and indexes there are."""

    def facts(
        self, ids: Collection[PaymentId], *, courses: Mapping[PaymentId, str] | None = None
    ) -> Mapping[PaymentId, PaymentFacts]:
        """Everything about these payments, each id present, in a fixed number of queries and one snapshot.

        A payment counts for the course that `courses` gives it (a person's `--course`), else for the course of the
        purchase that kcfix itself once made for it, else for the one that its metadata names.

        Raises:
            Unreachable: a table that is needed is missing (the message names it and the database), or no answer.
        """

    def candidates(self, since: datetime, until: datetime, *, limit: int) -> tuple[PaymentId, ...]:
        """Succeeded payments paid in [since, until) that may lack a purchase, oldest first, at most `limit`.

        A superset: whether one is missing is decided on its facts. Left out are only payments that are the sole
        succeeded one of their student and course and have a purchase made after them (5 s tolerance).
        """

    def allocations(self, pairs: Collection[StudentCourse]) -> Mapping[StudentCourse, tuple[Allocation, ...]]:
        """Allocations of each student and course (lower-case ids), oldest first; empty where there are none."""

    def sessions(self, allocation_ids: Collection[str]) -> Mapping[str, int]:
        """How many sessions each allocation has; 0 where it has none or does not exist."""

    # changes

    def insert(self, orders: Sequence[InsertOrder], recheck: Recheck) -> tuple[InsertResult, ...]:
        """Insert purchases, at most 200 and one per student and course, in one transaction at READ COMMITTED.

        First takes the advisory locks, in sorted order, each with lock_timeout; then re-reads the facts in later
        statements and asks `recheck`; then inserts what passed, and commits. One result per order, in order.
        """

    def close(self) -> None:
        """Close every connection."""
