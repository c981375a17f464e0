"""The whole system at one moment, as it was read.

Pure: `kcfix.core.status.read` fills an `Observed`, `findings` judges it, `next` says what to do. A
system that did not answer is a `Reading` with an error, and makes a finding of its own; nothing is concluded from it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from kcfix.core.judging.capture import capture_unproven
from kcfix.core.judging.snapshot import Reading
from kcfix.core.judging.verdict import Verdict, VerdictKind
from kcfix.core.offsets import GroupLag
from kcfix.core.payments import Payment, PaymentId
from kcfix.core.ports.database import Behind, DatabaseIdentity, SchemaFacts
from kcfix.core.ports.kafka import Cluster, Topic
from kcfix.core.repair.remedy import REMEDIES, Remedy
from kcfix.core.workers import Container
from kcfix.core.working.worker import Work
from kcfix.flow import Flow, Stage


class Health(enum.StrEnum):
    """How well something is, the worst first."""

    BAD = "BAD"
    UNKNOWN = "UNKNOWN"
    CAUTION = "CAUTION"
    """Worth knowing and no alarm: `status` still ends with 0."""
    GOOD = "GOOD"

    @property
    def rank(self) -> int:
        """0 for the worst, to sort by."""
        return list(Health).index(self)


def worst(healths: Iterator[Health]) -> Health:
    """The worst of them; GOOD where there is none."""
    return min(healths, key=lambda h: h.rank, default=Health.GOOD)


@dataclass(frozen=True, slots=True)
class KafkaFacts:
    """What the cluster said. `groups` has one entry for each stage of the flow, in its order."""

    cluster: Cluster
    topics: Mapping[str, Topic]
    groups: tuple[GroupLag, ...]


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """Which databases answered, and what they hold."""

    identity: DatabaseIdentity
    payments_identity: DatabaseIdentity
    """The same as `identity` unless payments live elsewhere."""
    schema: SchemaFacts
    behind: Behind | None = None
    """A standby that lacks what came after: nothing is said of payments by what it lacks."""


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """One worker of the flow: its containers, its group and whether it works."""

    stage: Stage
    containers: tuple[Container, ...] | None
    """Empty: Docker knows none. None: Docker did not answer."""
    lag: GroupLag | None
    """None: Kafka did not answer."""
    work: Work


@dataclass(frozen=True, slots=True)
class Unpurchased:
    """A succeeded, overdue payment that no purchase belongs to."""

    payment: Payment
    verdict: Verdict | None
    """None: not looked into, because there are too many."""

    @property
    def kind(self) -> VerdictKind | None:
        """The verdict's kind, None if there is none."""
        return self.verdict.kind if self.verdict else None

    @property
    def remedy(self) -> Remedy | None:
        """What `repair` would do by itself, None if there is no verdict."""
        return REMEDIES[self.verdict.kind] if self.verdict else None


@dataclass(frozen=True, slots=True)
class PaymentsFacts:
    """The succeeded payments of a stretch of time that have no purchase."""

    since: datetime
    unpurchased: tuple[Unpurchased, ...]
    """Overdue ones, oldest first."""
    in_flight: int
    """Younger ones without a purchase: on their way, no finding."""
    cut: bool = False
    """Whether there may be more: only the oldest were read."""
    acknowledged: tuple[Unpurchased, ...] = ()
    """Apart from the unpurchased: those that a person has judged as what they are."""

    @property
    def unproven(self) -> int:
        """How many of the unpurchased show no sign of captured money; see `kcfix.core.judging.capture`."""
        return sum(capture_unproven(u.payment) is not None for u in self.unpurchased)

    @property
    def ids(self) -> tuple[PaymentId, ...]:
        """Of all overdue ones, oldest first."""
        return tuple(u.payment.id for u in self.unpurchased)


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that was read, and what did not answer."""

    flow: Flow
    taken_at: datetime
    docker: Reading[tuple[Container, ...]]
    """Containers of the broker (broker, ZooKeeper, topic set-up), sorted by name."""
    kafka: Reading[KafkaFacts]
    database: Reading[DatabaseFacts]
    payments: Reading[PaymentsFacts]
    workers: tuple[WorkerFacts, ...]
    """Stages of the flow in order; an optional one only if there is a trace of it."""
    silent_hosts: tuple[str, ...] = ()
    """Docker hosts that did not answer beside others that did, in words."""

    @property
    def could_say_nothing(self) -> bool:
        """Whether not one of the systems answered."""
        return not any(r.error is None for r in (self.docker, self.kafka, self.database))


DAY = timedelta(hours=24)
"""How far back status looks for payments without a purchase."""
