"""What `status` found, as tables for people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, tzinfo

from kcfix.cli.money import amount
from kcfix.core.judging.capture import capture_unproven
from kcfix.core.offsets import GroupLag
from kcfix.core.repair.remedy import Remedy
from kcfix.core.status.findings import (
    Finding,
    all_well,
    container_health,
    container_words,
    findings,
    group_health,
    missing_topics,
    shown_groups,
    worker_health,
)
from kcfix.core.status.system import Health, Observed, Unpurchased, WorkerFacts, worst
from kcfix.core.times import format_duration, format_time
from kcfix.core.workers import NO_DOCKER, Container
from kcfix.render.view import Cell, Column, Section, Table, Text, Tone, Value

TONES = {Health.BAD: Tone.BAD, Health.UNKNOWN: Tone.WARN, Health.CAUTION: Tone.WARN, Health.GOOD: Tone.GOOD}
ROOMY = 132
"""Columns of a terminal from which on the proof of a verdict stands beside it, rather than in a thin strip."""
SHOWN = 12
"""Payments in the table on a terminal, so that all fits on one screen."""


def sections(
    observed: Observed, zone: tzinfo | None, *, shown: int | None = SHOWN, reasons: bool = True, kcfix: str = "kcfix"
) -> tuple[Section, ...]:
    """The parts of the screen: what is not well, then each part in full, the worst part first.

    `shown`: so many payments at most, None for all. `reasons`: whether there is room for the proof of each verdict.
    `kcfix`: how the operator calls it.
    """
    found = findings(observed)
    ranked: list[tuple[Health, Section]] = [
        (_payments_health(observed), _payments(observed, zone, shown, reasons=reasons, kcfix=kcfix)),
        (_workers_health(observed), _workers(observed, zone)),
        (_groups_health(observed), _groups(observed)),
        (_systems_health(found), _systems(observed)),
    ]
    ranked.sort(key=lambda pair: pair[0].rank)
    return (_headline(observed, found, zone), *(section for _, section in ranked))


def _headline(observed: Observed, found: tuple[Finding, ...], zone: tzinfo | None) -> Section:
    at = format_time(observed.taken_at, zone)
    if not found:
        return Text((Cell(f"all well at {at}", Tone.GOOD),))
    title = f"{'well, with a caution' if all_well(observed) else 'NOT WELL'} at {at}"
    rows = tuple((Cell(f.health, TONES[f.health]), f.subject, f.text) for f in found)
    return Table((Column("HEALTH"), Column("ABOUT"), Column("WHAT", wrap=True)), rows, title=title)


def _payments_health(observed: Observed) -> Health:
    if observed.payments.value is None:
        return Health.UNKNOWN
    return Health.BAD if observed.payments.value.unpurchased else Health.GOOD


def _payments(observed: Observed, zone: tzinfo | None, shown: int | None, *, reasons: bool, kcfix: str) -> Section:
    title = "payments of the last 24 hours without a purchase, oldest first"
    payments = observed.payments.value
    if payments is None:
        why = observed.payments.error if observed.database.error is None else "the database did not answer"
        return Text((Cell(f"UNKNOWN: {why}", Tone.WARN),), title)
    rows = payments.unpurchased if shown is None else payments.unpurchased[:shown]
    left = len(payments.unpurchased) - len(rows)
    notes = []
    if left:
        notes.append(f"and {left} more; all ids: {kcfix} status -q")
    if payments.unpurchased:
        notes.append(f"together: {_money_text(money(payments.unpurchased))}")
    if payments.acknowledged:
        notes.append(f"{len(payments.acknowledged)} acknowledged, apart: {_money_text(money(payments.acknowledged))}")
    if payments.unproven:
        notes.append(f"{payments.unproven} with unproven capture: look at the provider's dashboard before repairing")
    if payments.in_flight:
        notes.append(f"{payments.in_flight} younger than a minute, not judged yet")
    if any(u.remedy is Remedy.PERSON for u in payments.unpurchased):
        names = sorted({str(u.kind) for u in payments.unpurchased if u.remedy is Remedy.PERSON})
        notes.append(f"a person decides about {', '.join(names)}: repair says what it needs to know")
    columns: tuple[Column, ...] = (
        Column("PAYMENT"),
        Column("AGE", right=True),
        Column("VERDICT"),
        Column("AMOUNT", right=True, priority=1),
        Column("PAID", priority=3),
    )
    if payments.unproven:
        columns += (Column("CAPTURE", priority=4),)
    if reasons:
        columns += (Column("WHY", priority=2, wrap=True),)
    table = tuple(
        (
            u.payment.id,
            format_duration(observed.taken_at - u.payment.paid_at),
            Cell(str(u.kind or "-"), Tone.WARN if u.remedy is Remedy.PERSON else Tone.BAD),
            amount(u.payment.amount_minor, u.payment.currency),
            format_time(u.payment.paid_at, zone),
            *(("unproven" if capture_unproven(u.payment) else None,) if payments.unproven else ()),
            *((u.verdict.reason if u.verdict else None,) if reasons else ()),
        )
        for u in rows
    )
    return Table(columns, table, title, tuple(notes))


def money(payments: tuple[Unpurchased, ...]) -> Mapping[str, int]:
    """Amounts in minor units by currency, never summed across currencies."""
    sums: dict[str, int] = defaultdict(int)
    for u in payments:
        sums[u.payment.currency] += u.payment.amount_minor
    return dict(sorted(sums.items()))


def _money_text(sums: Mapping[str, int]) -> str:
    return ", ".join(amount(minor, currency) for currency, minor in sums.items())


def _workers_health(observed: Observed) -> Health:
    healths = [worker_health(w) for w in observed.workers]
    return worst(iter([*healths, *(container_health(c) for c in observed.docker.value or ())]))


def _workers(observed: Observed, zone: tzinfo | None) -> Section:
    columns = (
        Column("WORKER"),
        Column("WORK"),
        Column("CONTAINER"),
        Column("FOR", right=True),
        Column("HOLDS", priority=1),
        Column("RESTARTS", priority=2),
        Column("SINCE", priority=3),
        Column("NAME", priority=4),
    )
    rows: list[tuple[Health, tuple[Value, ...]]] = []
    for worker in observed.workers:
        health = worker_health(worker)
        word = Cell(worker.work.state, TONES[health])
        if not worker.containers:
            what = Cell("UNKNOWN", Tone.WARN) if worker.containers is None else Cell("MISSING", TONES[health])
            rows.append((health, (worker.stage.worker, word, what, None, _holds(worker), None, None, None)))
        for container in worker.containers or ():
            cells = _container_cells(container, observed.taken_at, zone)
            row = (worker.stage.worker, word, *cells[:2], _holds(worker, container), *cells[2:])
            rows.append((health, row))
    for container in observed.docker.value or ():
        cells = _container_cells(container, observed.taken_at, zone)
        row = (container.service or container.name, None, *cells[:2], None, *cells[2:])
        rows.append((container_health(container), row))
    rows.sort(key=lambda pair: pair[0].rank)
    return Table(columns, tuple(row for _, row in rows), "workers, and the broker's containers")


def _container_cells(container: Container, now: datetime, zone: tzinfo | None) -> tuple[Value, ...]:
    since = since_of(container)
    return (
        Cell(container_words(container), Tone.PLAIN if container.running else Tone.BAD),
        format_duration(now - since) if since else None,
        f"{container.restart_count}, {container.restart_policy}",
        format_time(since, zone),
        container.place,
    )


def since_of(container: Container) -> datetime | None:
    """Since when it is in its state."""
    return container.started_at if container.running else container.finished_at or container.started_at


def _holds(worker: WorkerFacts, container: Container | None = None) -> str | None:
    """Partitions that the worker's corroborated members hold, of all that its group reads."""
    if worker.lag is None or worker.containers is None or (container is not None and not container.running):
        return None
    members = worker.work.members
    if container is not None:
        here = [m for m in members if m.host in container.networks.values()]
        members = tuple(here) or (members if len(worker.containers or ()) == 1 else ())
    held = sorted({tp for m in members for tp in m.assignment})
    total = len(worker.lag.partitions)
    topics = {tp.topic for tp in held}
    if len(topics) == 1:
        return f"{','.join(str(tp.partition) for tp in held)} of {total}"
    return f"{len(held)} of {total}"


def _groups_health(observed: Observed) -> Health:
    if observed.kafka.value is None:
        return Health.UNKNOWN
    return worst(group_health(lag) for lag in shown_groups(observed))


def _groups(observed: Observed) -> Section:
    title = "consumer groups"
    if observed.kafka.value is None:
        return Text((Cell("UNKNOWN: Kafka did not answer", Tone.WARN),), title)
    columns = (
        Column("GROUP"),
        Column("STATE"),
        Column("MEMBERS", right=True),
        Column("LAG", right=True),
        Column("UNPROTECTED"),
    )
    lags = sorted(shown_groups(observed), key=lambda lag: group_health(lag).rank)
    rows = tuple(
        (
            lag.group.group_id,
            Cell(lag.group.state, TONES[group_health(lag)]),
            len(lag.group.members) if lag.group.members_known else None,
            lag_text(lag),
            _unprotected(lag),
        )
        for lag in lags
    )
    notes = ("unprotected: no usable committed offset; a plain restart skips what waits there",)
    risky = any(p.unprotected for lag in lags for p in lag.partitions)
    return Table(columns, rows, title, notes if risky else ())


def lag_text(lag: GroupLag) -> str:
    """The whole lag; `5 + 1 unknown` where that of some partitions is not a number."""
    if not lag.partitions:
        return "-"
    if not lag.unknown_partitions:
        return str(lag.known_lag_records)
    return f"{lag.known_lag_records} + {lag.unknown_partitions} unknown"


def _unprotected(lag: GroupLag) -> str:
    risky = [p for p in lag.partitions if p.unprotected]
    if not risky:
        return "0" if not lag.unknown_partitions else "-"
    records = sum(p.skipped_by_latest or 0 for p in risky)
    return f"{len(risky)} of {len(lag.partitions)}, {records} records"


def _systems_health(found: tuple[Finding, ...]) -> Health:
    return worst(f.health for f in found if f.subject in ("Kafka", "database", "Docker"))


def _systems(observed: Observed) -> Section:
    rows = tuple(
        (name, Cell(state, tone), what)
        for name, state, tone, what in (_kafka(observed), _database(observed), _docker(observed))
    )
    return Table((Column("SYSTEM"), Column("STATE"), Column("WHAT", wrap=True)), rows, "systems")


SILENT = "no answer: see above"
SystemRow = tuple[str, str, Tone, str]


def _kafka(observed: Observed) -> SystemRow:
    kafka = observed.kafka.value
    if kafka is None:
        return "Kafka", "UNKNOWN", Tone.WARN, SILENT
    brokers = ", ".join(f"{b.host}:{b.port}" for b in kafka.cluster.brokers) or "none"
    missing = missing_topics(observed)
    expected = len(observed.flow.topics)
    topics = f"{expected - len(missing)} of {expected} topics"
    if missing:
        topics += f", missing: {', '.join(missing)}"
    many = "broker" if len(kafka.cluster.brokers) == 1 else "brokers"
    what = f"{len(kafka.cluster.brokers)} {many} ({brokers}), cluster {kafka.cluster.cluster_id or '-'}, {topics}"
    return "Kafka", "ANSWERS", Tone.BAD if missing else Tone.GOOD, what


def _database(observed: Observed) -> SystemRow:
    database = observed.database.value
    if database is None:
        return "database", "UNKNOWN", Tone.WARN, SILENT
    identity, payments = database.identity, database.payments_identity
    elsewhere = "" if payments.label == identity.label else f"; payments in {payments.label}"
    mode = ", standby" if identity.standby else ", read-only" if identity.read_only else ""
    index = f"unique_active_purchase {database.schema.unique_active_purchase}"
    what = f"{identity.label} as {identity.user}, PostgreSQL {identity.server_version}{mode}{elsewhere}; {index}"
    return "database", "ANSWERS", Tone.GOOD, what


def _docker(observed: Observed) -> SystemRow:
    if observed.docker.error is not None and observed.docker.error.startswith(NO_DOCKER):
        return "Docker", "NONE", Tone.WARN, "containers, logs and restarts are out of reach from here"
    if observed.docker.error is not None:
        return "Docker", "UNKNOWN", Tone.WARN, SILENT
    found = [c for w in observed.workers for c in w.containers or ()]
    every = [*found, *(observed.docker.value or ())]
    projects = sorted({c.project for c in every if c.project})
    of = f" of {', '.join(projects)}" if projects else ""
    return "Docker", "ANSWERS", Tone.GOOD, f"{len(every)} containers{of}"
