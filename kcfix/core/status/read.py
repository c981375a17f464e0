"""Reads what `status` shows, through the ports. Nothing here changes anything or decides anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kcfix.core.acknowledgement import Acknowledgement
from kcfix.core.judging.gather import Sources, payment_snapshots
from kcfix.core.judging.judge import judge
from kcfix.core.judging.matching import match_facts
from kcfix.core.logs.entry import LogEntry
from kcfix.core.offsets import GroupLag, TopicPartition, group_lag
from kcfix.core.payments import PaymentFacts, PaymentId
from kcfix.core.ports.database import DatabasePort
from kcfix.core.ports.kafka import KafkaPort
from kcfix.core.status.system import DatabaseFacts, KafkaFacts, PaymentsFacts, Unpurchased, WorkerFacts
from kcfix.core.workers import Container
from kcfix.core.working.worker import Look, work
from kcfix.flow import Flow, Stage

MAX_CANDIDATES = 10_000
"""Payments that are read at most; more than that in a day is another kind of night."""
MAX_JUDGED = 100
"""Payments whose story is looked into; the others are listed without a verdict. `repair` looks into any."""


def read_kafka(kafka: KafkaPort, flow: Flow) -> KafkaFacts:
    """The cluster, its topics and the flow's groups; committed offsets before the log ends."""
    ids = [stage.group for stage in flow.stages]
    topics = kafka.topics()
    committed = kafka.committed(ids)
    groups = kafka.groups(ids)
    wanted = {t for stage in flow.stages for t in stage.topics}
    partitions = {TopicPartition(t, p.partition) for t in wanted if t in topics for p in topics[t].partitions}
    partitions |= {tp for offsets in committed.values() for tp in offsets}
    logs = kafka.log_offsets(sorted(partitions))
    partitions_of = {name: [p.partition for p in topic.partitions] for name, topic in topics.items()}
    lags = tuple(
        group_lag(groups[stage.group], committed.get(stage.group, {}), logs, partitions_of, stage.topics)
        for stage in flow.stages
    )
    return KafkaFacts(kafka.cluster(), topics, lags)


def read_database(database: DatabasePort) -> DatabaseFacts:
    """Which database answers and what it holds."""
    return DatabaseFacts(database.identity(), database.payments_identity(), database.schema(), database.behind())


@dataclass(frozen=True, slots=True)
class WithoutPurchase:
    """Overdue succeeded payments that no purchase belongs to, before their story is looked into."""

    since: datetime
    overdue: tuple[PaymentFacts, ...]
    """Oldest first."""
    in_flight: int
    cut: bool


def read_without_purchase(
    database: DatabasePort, since: datetime, now: datetime, overdue: timedelta
) -> WithoutPurchase:
    """The succeeded payments since then that have no purchase of their own, oldest first.

    Raises:
        Refused: a table that is needed is missing.
    """
    ids = database.candidates(since, now + timedelta(minutes=5), limit=MAX_CANDIDATES)
    facts = database.facts(ids) if ids else {}
    lacking = [f for f in (facts[i] for i in ids if i in facts) if lacks_purchase(f)]
    # A time far in the future is a wrong clock, and no youth.
    old = [f for f in lacking if f.payment is not None and abs(now - f.payment.paid_at) >= overdue]
    old.sort(key=lambda f: (f.payment.paid_at, f.payment.id) if f.payment else (now, ""))
    return WithoutPurchase(since, tuple(old), len(lacking) - len(old), len(ids) >= MAX_CANDIDATES)


def lacks_purchase(facts: PaymentFacts) -> bool:
    """Whether the payment succeeded and no purchase, active or not, belongs to it."""
    payment = facts.payment
    return payment is not None and payment.succeeded and match_facts(facts).purchase_of(payment.id) is None


def judged(found: WithoutPurchase, sources: Sources, overdue: timedelta, *, limit: int = MAX_JUDGED) -> PaymentsFacts:
    """The same payments with the verdict that `repair` would give, for the oldest `limit` of them."""
    payments = [f.payment for f in found.overdue if f.payment is not None]
    ids: Sequence[PaymentId] = [p.id for p in payments[:limit]]
    snapshots = payment_snapshots(ids, sources).by_payment if ids else {}
    verdicts = {i: judge(snapshot, overdue=overdue) for i, snapshot in snapshots.items()}
    rows = tuple(Unpurchased(payment, verdicts.get(payment.id)) for payment in payments)
    return PaymentsFacts(found.since, rows, found.in_flight, found.cut)


def without_acknowledged(found: PaymentsFacts, words: Mapping[PaymentId, Acknowledgement]) -> PaymentsFacts:
    """The same without the payments that a person has judged as what they are; these are counted apart."""

    def judged_so(u: Unpurchased) -> bool:
        word = words.get(u.payment.id)
        return word is not None and word.verdict is u.kind

    apart = tuple(u for u in found.unpurchased if judged_so(u))
    left = tuple(u for u in found.unpurchased if not judged_so(u))
    return replace(found, unpurchased=left, acknowledged=apart)


@dataclass(frozen=True, slots=True)
class Glance:
    """What Docker and Kafka said at one moment. None: no answer."""

    at: datetime
    containers: Mapping[str, tuple[Container, ...] | None] | None
    """By worker (Compose service name); None for one of which none was seen while a Docker host is silent."""
    groups: dict[str, GroupLag] | None

    def look(self, stage: Stage) -> Look:
        """The part that concerns one worker."""
        lag = None if self.groups is None else self.groups.get(stage.group)
        return Look(
            at=self.at,
            containers=None if self.containers is None else self.containers.get(stage.worker, ()),
            group=lag.group if lag else None,
            lags=lag.partitions if lag else None,
        )


def worker_facts(
    flow: Flow, glances: Sequence[Glance], entries: dict[str, Sequence[LogEntry] | None], now: datetime
) -> tuple[WorkerFacts, ...]:
    """One row a stage, from one glance or from the first and last of a sample; optional ones only if there is a trace.

    `entries` are the lines of each worker's containers, by worker, in time order.
    """
    last = glances[-1]
    rows = []
    for stage in flow.stages:
        looks = [glance.look(stage) for glance in glances]
        look = looks[-1]
        if not stage.required and not look.containers and not (look.group and look.group.members):
            continue
        lag = None if last.groups is None else last.groups.get(stage.group)
        rows.append(WorkerFacts(stage, look.containers, lag, work(stage, looks, entries.get(stage.worker), now)))
    return tuple(rows)
