"""What `status` found, as rows for programs (docs/decisions.md 6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from kcfix.cli.payment_columns import payment_columns
from kcfix.cli.status_view import money, since_of
from kcfix.core.offsets import GroupLag
from kcfix.core.repair.remedy import Remedy
from kcfix.core.status.findings import (
    all_well,
    container_health,
    findings,
    group_health,
    missing_topics,
    shown_groups,
    worker_health,
)
from kcfix.core.status.system import Observed, Unpurchased, WorkerFacts
from kcfix.core.workers import Container


def rows(observed: Observed) -> Iterator[Mapping[str, object]]:
    """The JSON rows: `section` says what a row is about."""
    for f in findings(observed):
        yield {"section": "finding", "health": f.health, "subject": f.subject, "message": f.text}
    for u in observed.payments.value.unpurchased if observed.payments.value else ():
        yield _payment_row(u, observed.taken_at)
    for worker in observed.workers:
        yield _worker_row(worker, observed.taken_at)
    for container in observed.docker.value or ():
        health = container_health(container)
        yield {"section": "container", "health": health, **_container_row(container, observed.taken_at)}
    for lag in shown_groups(observed):
        yield _group_row(lag)
    yield from _system_rows(observed)


def _payment_row(u: Unpurchased, now: datetime) -> Mapping[str, object]:
    return {
        "section": "payment",
        "payment_id": u.payment.id,
        "verdict": u.kind,
        "reason": u.verdict.reason if u.verdict else None,
        "also": list(u.verdict.also) if u.verdict else [],
        "detail": u.verdict.detail if u.verdict else None,
        "person_decides": None if u.kind is None else u.remedy is Remedy.PERSON,
        "age_seconds": (now - u.payment.paid_at).total_seconds(),
        **payment_columns(u.payment),
    }


def _container_row(container: Container, now: datetime) -> Mapping[str, object]:
    since = since_of(container)
    return {
        "container": container.name,
        "service": container.service,
        "project": container.project,
        "host": container.host or None,
        "state": container.state,
        "container_health": container.health,
        "since": since,
        "since_seconds": (now - since).total_seconds() if since else None,
        "restart_count": container.restart_count,
        "restart_policy": container.restart_policy,
        "exit_code": container.exit_code,
        "oom_killed": container.oom_killed,
    }


def _worker_row(worker: WorkerFacts, now: datetime) -> Mapping[str, object]:
    known = worker.containers is not None
    return {
        "section": "worker",
        "health": worker_health(worker),
        "worker": worker.stage.worker,
        "group": worker.stage.group,
        "work": worker.work.state,
        "reasons": list(worker.work.reasons),
        "signs": [{"name": s.name, "sure": s.sure, "message": s.text} for s in worker.work.signs],
        "missing": not worker.containers if known else None,
        "containers": [_container_row(c, now) for c in worker.containers or ()] if known else None,
        "members": [
            {"client_id": m.client_id, "host": m.host, "partitions": [str(tp) for tp in m.assignment]}
            for m in worker.work.members
        ],
        "partitions": sorted(str(tp) for tp in worker.work.held),
    }


def _group_row(lag: GroupLag) -> Mapping[str, object]:
    return {
        "section": "group",
        "health": group_health(lag),
        "group": lag.group.group_id,
        "state": lag.group.state,
        "members": len(lag.group.members) if lag.group.members_known else None,
        "lag_records": lag.total_lag_records,
        "known_lag_records": lag.known_lag_records,
        "unknown_partitions": lag.unknown_partitions,
        "unprotected_partitions": [str(p.partition) for p in lag.partitions if p.unprotected],
        "skipped_by_latest_records": lag.skipped_by_latest,
    }


def _system_rows(observed: Observed) -> Iterator[Mapping[str, object]]:
    kafka, database = observed.kafka.value, observed.database.value
    yield {
        "section": "kafka",
        "answers": kafka is not None,
        "error": observed.kafka.error,
        "cluster_id": kafka.cluster.cluster_id if kafka else None,
        "brokers": [f"{b.host}:{b.port}" for b in kafka.cluster.brokers] if kafka else None,
        "missing_topics": list(missing_topics(observed)) if kafka else None,
    }
    yield {
        "section": "database",
        "answers": database is not None,
        "error": observed.database.error,
        "database": database.identity.label if database else None,
        "payments_database": database.payments_identity.label if database else None,
        "user": database.identity.user if database else None,
        "server_version": database.identity.server_version if database else None,
        "read_only": database.identity.read_only if database else None,
        "standby": database.identity.standby if database else None,
        "behind_as_of": database.behind.as_of if database and database.behind else None,
        "unique_active_purchase": database.schema.unique_active_purchase if database else None,
        "missing_tables": _missing_tables(observed),
    }
    yield {
        "section": "docker",
        "answers": observed.docker.error is None,
        "error": observed.docker.error,
        "silent_hosts": list(observed.silent_hosts),
    }


def _missing_tables(observed: Observed) -> list[str] | None:
    database = observed.database.value
    wanted = {"payments", "purchases", "events", "allocations", "sessions", "courses"}
    return sorted(wanted - database.schema.tables) if database else None


def summary(observed: Observed) -> Mapping[str, object]:
    """Figures of the whole; null where the system did not answer."""
    payments = observed.payments.value
    states = [w.work.state for w in observed.workers]
    return {
        "well": all_well(observed),
        "payments_without_purchase": len(payments.unpurchased) if payments else None,
        "payments_cut": payments.cut if payments else None,
        "payments_acknowledged": len(payments.acknowledged) if payments else None,
        "acknowledged_amounts_minor": money(payments.acknowledged) if payments else None,
        "payments_in_flight": payments.in_flight if payments else None,
        "payments_capture_unproven": payments.unproven if payments else None,
        "amounts_minor": money(payments.unpurchased) if payments else None,
        "since": payments.since if payments else None,
        "workers": {str(state): states.count(state) for state in sorted(set(states))},
        "silent": [
            name
            for name, reading in (
                ("kafka", observed.kafka),
                ("database", observed.database),
                ("docker", observed.docker),
            )
            if reading.error is not None
        ],
    }
