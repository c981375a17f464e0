"""What `monitor` measures, by Prometheus's conventions: base units, `_seconds`, `_total`, one prefix.

What is unknown has no series: a 0 would be a lie. `kcfix_up` says of each system whether it answered, so that an absent
series can be told from a good one. A state is one series for each value that it may have, 1 for the one that it has.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.missing import FINE
from kcfix.core.status.findings import worker_health
from kcfix.core.status.system import Health, WorkerFacts
from kcfix.core.watching.history import History
from kcfix.core.watching.metrics_groups import group_families
from kcfix.core.watching.metrics_kinds import Family, Kind, Point, series
from kcfix.core.watching.observation import Observation, PaymentsSeen, System
from kcfix.core.working.worker import WorkState

FINDINGS = tuple(k for k in VerdictKind if k not in FINE and k is not VerdictKind.IN_FLIGHT)
"""The verdicts that a waiting payment may have: each has a series, 0 where no payment has it."""


class Seen(enum.StrEnum):
    """What `kcfix_up` is about: the systems, and two readings that may fail by themselves."""

    KAFKA = "kafka"
    DOCKER = "docker"
    DATABASE = "database"
    PAYMENTS = "payments"
    LOGS = "logs"


@dataclass(frozen=True, slots=True)
class Counters:
    """What has been counted since the monitor began."""

    looks: int
    failed_looks: int
    """Looks in which a system was silent."""
    kafka_requests: int
    error_lines: Mapping[str, int]
    """By worker; one is missing until its log was read twice."""


def families(history: History, counters: Counters, version: str, interval_seconds: float) -> tuple[Family, ...]:
    """Every metric as of the newest look; those of a history without a look are about the monitor alone."""
    seen = history.latest
    return (
        *_own(counters, version, interval_seconds),
        *((*_looks(seen), *_workers(seen, counters), *group_families(history, seen)) if seen is not None else ()),
        *(_payments(seen.payments.value) if seen is not None and seen.payments.value is not None else ()),
    )


def _own(counters: Counters, version: str, interval_seconds: float) -> Iterator[Family]:
    yield series(
        "kcfix_build_info", "The version of kcfix; always 1.", Kind.GAUGE, ("version",), [({"version": version}, 1)]
    )
    yield series(
        "kcfix_look_interval_seconds", "How often the systems are asked.", Kind.GAUGE, (), [({}, interval_seconds)]
    )
    yield series("kcfix_looks_total", "Looks since the monitor began.", Kind.COUNTER, (), [({}, counters.looks)])
    yield series(
        "kcfix_looks_failed_total",
        "Looks in which at least one system was silent.",
        Kind.COUNTER,
        (),
        [({}, counters.failed_looks)],
    )
    yield series(
        "kcfix_kafka_requests_total",
        "Requests that the monitor sent to the brokers.",
        Kind.COUNTER,
        (),
        [({}, counters.kafka_requests)],
    )


def look_age(seconds: float) -> Family:
    """How old the newest look is: the one figure that is made at the scrape."""
    return series("kcfix_look_age_seconds", "How old the newest look is.", Kind.GAUGE, (), [({}, seconds)])


def answered(seen: Observation) -> Mapping[Seen, bool]:
    """Whether each system, and each reading that may fail by itself, was answered."""
    return {
        Seen.KAFKA: System.KAFKA not in seen.silent,
        Seen.DOCKER: System.DOCKER not in seen.silent,
        Seen.DATABASE: System.DATABASE not in seen.silent,
        Seen.PAYMENTS: seen.payments.error is None,
        Seen.LOGS: all(log.error is None for log in seen.logs.values()) and System.DOCKER not in seen.silent,
    }


def _looks(seen: Observation) -> Iterator[Family]:
    yield series(
        "kcfix_up",
        "1 if the system answered at the newest look; 0: what depends on it is unknown and has no series.",
        Kind.GAUGE,
        ("system",),
        [({"system": str(system)}, int(up)) for system, up in answered(seen).items()],
    )
    yield series(
        "kcfix_look_duration_seconds",
        "How long the systems took at the newest look.",
        Kind.GAUGE,
        (),
        [({}, seen.took.total_seconds())],
    )


def _workers(seen: Observation, counters: Counters) -> Iterator[Family]:
    workers = seen.workers
    yield series(
        "kcfix_worker_state",
        "Whether a worker works (docs/decisions.md 1): 1 for the state that it is in.",
        Kind.GAUGE,
        ("worker", "state"),
        [
            ({"worker": w.stage.worker, "state": str(state)}, int(w.work.state is state))
            for w in workers
            for state in WorkState
        ],
    )
    yield series(
        "kcfix_worker_working",
        "1 for WORKING and IDLE, 0 for UNPROVEN and NOT_WORKING; absent where it is unknown.",
        Kind.GAUGE,
        ("worker",),
        [
            ({"worker": w.stage.worker}, int(w.work.may_replay))
            for w in workers
            if w.work.state is not WorkState.UNKNOWN
        ],
    )
    yield series(
        "kcfix_worker_health",
        "How well a worker is, as `kcfix status` says: 1 for what holds. One that is optional is never BAD.",
        Kind.GAUGE,
        ("worker", "health"),
        [({"worker": w.stage.worker, "health": str(h)}, int(worker_health(w) is h)) for w in workers for h in Health],
    )
    yield series(
        "kcfix_worker_containers_running",
        "Running containers of a worker.",
        Kind.GAUGE,
        ("worker",),
        [
            ({"worker": w.stage.worker}, sum(c.running for c in w.containers))
            for w in workers
            if w.containers is not None
        ],
    )
    yield series(
        "kcfix_worker_restarts_total",
        "Restarts by Docker since the container was made or last started by hand.",
        Kind.COUNTER,
        ("worker", "container"),
        list(_by_container(workers)),
    )
    yield series(
        "kcfix_worker_error_lines_total",
        "Error lines that a worker logged while the monitor looked.",
        Kind.COUNTER,
        ("worker",),
        [({"worker": worker}, count) for worker, count in sorted(counters.error_lines.items())],
    )


def _by_container(workers: Sequence[WorkerFacts]) -> Iterator[Point]:
    for worker in workers:
        for container in worker.containers or ():
            yield {"worker": worker.stage.worker, "container": container.name}, container.restart_count


def _payments(found: PaymentsSeen) -> Iterator[Family]:
    by_kind = {w.kind: w for w in found.waiting}
    yield series(
        "kcfix_payments_waiting",
        "Overdue succeeded payments of the window that are not well, by verdict; acknowledged ones are apart.",
        Kind.GAUGE,
        ("verdict",),
        [({"verdict": str(k)}, by_kind[k].count if k in by_kind else 0) for k in FINDINGS],
    )
    yield series(
        "kcfix_payments_oldest_waiting_seconds",
        "How long the oldest of them has waited, by the database's clock; 0 where none waits.",
        Kind.GAUGE,
        ("verdict",),
        [({"verdict": str(k)}, found.age(by_kind[k]).total_seconds() if k in by_kind else 0) for k in FINDINGS],
    )
    yield series(
        "kcfix_payments_waiting_minor_units",
        "Their money in the minor unit of its currency (paise, cents).",
        Kind.GAUGE,
        ("verdict", "currency"),
        [
            ({"verdict": str(w.kind), "currency": currency}, minor)
            for w in found.waiting
            for currency, minor in sorted(w.amounts_minor.items())
        ],
    )
    yield series(
        "kcfix_payments_without_purchase",
        "Those of them to which no purchase belongs.",
        Kind.GAUGE,
        (),
        [({}, found.without_purchase)],
    )
    yield series(
        "kcfix_payments_in_flight",
        "Payments without a purchase that are too young to be findings.",
        Kind.GAUGE,
        (),
        [({}, found.in_flight)],
    )
    yield series(
        "kcfix_payments_acknowledged",
        "Payments that are not well, and that a person has acknowledged.",
        Kind.GAUGE,
        (),
        [({}, found.acknowledged)],
    )
    yield series(
        "kcfix_payments_succeeded",
        "All payments of the window that succeeded.",
        Kind.GAUGE,
        (),
        [({}, found.succeeded)],
    )
    yield series(
        "kcfix_payments_window_seconds",
        "How far back payments are looked at.",
        Kind.GAUGE,
        (),
        [({}, (found.span.now - found.span.since).total_seconds())],
    )
