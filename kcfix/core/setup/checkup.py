"""What `config check` finds out: each system tried through the ports that all commands stand on. Changes nothing."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kcfix.core.judging import standby
from kcfix.core.offsets import GroupState, TopicPartition
from kcfix.core.payments import PaymentId
from kcfix.core.ports.database import DatabasePort, IndexState
from kcfix.core.ports.docker import DockerPort
from kcfix.core.ports.kafka import KafkaPort, OffsetRange
from kcfix.core.setup.discovery import Discovery
from kcfix.core.workers import NO_DOCKER
from kcfix.errors import NOT_WELL, OK, KcfixError, Obstacle, Unreachable, UsageError, worst_code
from kcfix.flow import Flow

NOBODY = PaymentId("00000000-0000-0000-0000-000000000000")
"""A payment that no database has: asking for it reads every table that a repair would."""
NEEDLE = b"\0kcfix config check"
"""What no record holds: looking for it shows whether a record may be read."""


class Status(enum.StrEnum):
    """How one thing is."""

    OK = "OK"
    CAUTION = "CAUTION"
    """Something that is looked at can't be had, or a change would be refused; all the rest works."""
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried, and what came of it."""

    system: str
    """settings, docker, kafka or database."""
    what: str
    status: Status
    text: str
    obstacle: Obstacle | None = None
    hint: str | None = None
    code: int = OK
    """The exit code that it stands for."""
    kind: str = "not_well"
    """Of the error, where it FAILED by one."""


def code_of(checks: Sequence[Check]) -> int:
    """The exit code of all: 2 where a setting can't be understood, else the one that weighs most."""
    codes = [check.code for check in checks]
    return UsageError.code if UsageError.code in codes else worst_code(codes)


def failed(system: str, what: str, error: KcfixError) -> Check:
    """The check that ended with this error."""
    obstacle = error.obstacle if isinstance(error, Unreachable) else None
    return Check(system, what, Status.FAILED, error.message, obstacle, error.hint, error.code, error.kind)


def tried(system: str, steps: Iterator[Check]) -> tuple[Check, ...]:
    """The checks one after the other, until one raises: what comes after it could only say the same."""
    found: list[Check] = []
    try:
        found += steps
    except Stopped as stop:
        found.append(failed(system, stop.what, stop.error))
    return tuple(found)


class Stopped(Exception):
    """A check failed on which all later ones of its system rest."""

    def __init__(self, what: str, error: KcfixError) -> None:
        super().__init__(what)
        self.what = what
        self.error = error


def _needed(what: str, ask: Callable[[], object]) -> None:
    try:
        ask()
    except KcfixError as error:
        raise Stopped(what, error) from error


# Docker


def docker_checks(docker: Callable[[], DockerPort], discovery: Callable[[], Discovery], *, needed: bool) -> list[Check]:
    """The engine and the system's containers. Where it is not `needed`, a host without Docker is a caution."""
    what = "engine"
    try:
        engine = docker().engine()
        found = [Check("docker", what, Status.OK, f"Docker {engine.version} on {engine.name} at {engine.address}")]
        what = "containers"
        seen = discovery()
    except KcfixError as error:
        check = failed("docker", what, error)
        if check.obstacle is Obstacle.ABSENT and not needed:
            text = check.text
            if not text.startswith(NO_DOCKER):
                text += ": containers, logs and restarts can't be had; the rest works without them"
            check = Check("docker", what, Status.CAUTION, text, check.obstacle, check.hint)
        return [*found, check] if what == "containers" else [check]
    return [*found, _containers(seen)]


def _containers(seen: Discovery) -> Check:
    if seen.ambiguous:
        named = ", ".join(name or "(none)" for name in seen.alike)
        text = f"several Compose projects look alike: {named}; nothing is discovered, and no change is made"
        return Check("docker", "containers", Status.FAILED, text, hint="choose one with --project", code=NOT_WELL)
    workers = [name for name, boxes in seen.workers.items() if boxes]
    if seen.silent:
        text = f"{'; '.join(seen.silent)}; on the others {', '.join(workers) or 'no worker'}"
        return Check("docker", "containers", Status.FAILED, text, code=Unreachable.code)
    if not workers:
        text = "no container of a worker is on this engine"
        return Check("docker", "containers", Status.CAUTION, text, hint="--docker-host names another engine")
    project = ", ".join(name for name in seen.projects if name) or "no Compose project"
    text = f"{len(workers)} workers of {project}: {', '.join(workers)}"
    if seen.disagreements:
        return Check("docker", "containers", Status.CAUTION, f"{text}; {'; '.join(seen.disagreements)}")
    return Check("docker", "containers", Status.OK, text)


# Kafka


def kafka_checks(kafka: Callable[[], KafkaPort], flow: Flow, brokers: str) -> Iterator[Check]:
    """The cluster, the way to each of its brokers, the topics and groups of the flow, and the right to read them."""
    _needed("cluster", lambda: kafka().cluster())
    cluster, release = kafka().cluster(), kafka().release()
    told = f"cluster {cluster.cluster_id or '(unnamed)'} at {brokers}: {len(cluster.brokers)} broker"
    told += f"{'s' if len(cluster.brokers) != 1 else ''}, Kafka {release or 'of an unknown release'}"
    yield Check("kafka", "cluster", Status.OK, told)
    try:
        reached = kafka().reach()
    except KcfixError as error:
        yield failed("kafka", "brokers", error)
        return
    for one in reached:
        if one.error is not None:
            yield failed("kafka", "brokers", one.error)
            continue
        advertised = f"{one.broker.host}:{one.broker.port}"
        way = "" if one.at == advertised else f", reached at {one.at}"
        yield Check("kafka", "brokers", Status.OK, f"broker {one.broker.id} advertises {advertised}{way}")
    for check in (_topics, _groups, _records):
        try:
            yield check(kafka(), flow)
        except KcfixError as error:
            yield failed("kafka", check.__name__.lstrip("_"), error)


def _topics(kafka: KafkaPort, flow: Flow) -> Check:
    there = kafka.topics()
    needed = {topic for stage in flow.stages if stage.required for topic in stage.topics}
    missing = [name for name in flow.topics if name not in there]
    if not missing:
        return Check("kafka", "topics", Status.OK, f"all {len(flow.topics)} topics of the flow are there")
    grave = any(name in needed for name in missing)
    return Check(
        "kafka",
        "topics",
        Status.FAILED if grave else Status.CAUTION,
        f"not there: {', '.join(missing)}",
        hint="is it the right cluster? other names go into `names` in the settings",
        code=NOT_WELL if grave else OK,
    )


def _groups(kafka: KafkaPort, flow: Flow) -> Check:
    ids = [stage.group for stage in flow.stages]
    kafka.committed(ids)
    groups = kafka.groups(ids)
    wrong = [f"{group.group_id}: {group.error}" for group in groups.values() if group.error]
    if wrong:
        return Check("kafka", "groups", Status.FAILED, "; ".join(wrong), code=Unreachable.code)
    required = [stage.group for stage in flow.stages if stage.required]
    missing = [name for name in required if groups[name].state is GroupState.NOT_FOUND]
    if missing:
        return Check("kafka", "groups", Status.CAUTION, f"never seen there: {', '.join(missing)}")
    states = ", ".join(f"{name} {groups[name].state}" for name in required)
    return Check("kafka", "groups", Status.OK, states)


def _records(kafka: KafkaPort, flow: Flow) -> Check:
    """Whether records may be read: the newest one of each topic that the workers read, as far as there is one."""
    topics = kafka.topics()
    names = [name for name in dict.fromkeys(t for s in flow.stages for t in s.topics) if name in topics]
    logs = kafka.log_offsets([TopicPartition(n, p.partition) for n in names for p in topics[n].partitions])
    bad = {str(where): log.error for where, log in logs.items() if log.error}
    ranges = [
        OffsetRange(where, log.log_end_offset - 1, log.log_end_offset)
        for where, log in logs.items()
        if log.log_end_offset and log.log_start_offset is not None and log.log_end_offset > log.log_start_offset
    ]
    found = kafka.search(ranges, [NEEDLE]) if ranges else None
    bad |= {str(where): why for where, why in (found.failed if found else {}).items()}
    if bad:
        told = "; ".join(f"{where}: {why}" for where, why in list(bad.items())[:3])
        more = f"; and {len(bad) - 3} more" if len(bad) > 3 else ""
        return Check("kafka", "records", Status.FAILED, f"can't be read: {told}{more}", code=Unreachable.code)
    if not ranges:
        return Check("kafka", "records", Status.OK, "the topics are empty: whether records may be read was not seen")
    return Check("kafka", "records", Status.OK, f"records of {len(names)} topics can be read")


# PostgreSQL


def database_checks(database: Callable[[], DatabasePort], flow: Flow, *, apart: bool) -> Iterator[Check]:
    """The database, its tables, and what its user may do. `apart`: the payments are in another one."""
    _needed("connection", lambda: database().identity())
    here = database().identity()
    told = f"PostgreSQL {here.server_version} at {here.label} as {here.user}"
    yield Check("database", "connection", Status.OK, told)
    if apart:
        _needed("payments", lambda: database().payments_identity())
        other = database().payments_identity()
        told = f"PostgreSQL {other.server_version} at {other.label} as {other.user}"
        yield Check("database", "payments", Status.OK, told)
    _needed("tables", lambda: database().schema())
    schema = database().schema()
    yield Check("database", "tables", Status.OK, f"there: {', '.join(sorted(schema.tables)) or 'none of the flow'}")
    try:
        database().facts([NOBODY])
    except KcfixError as error:
        yield failed("database", "reading", error)
        return
    yield Check("database", "reading", Status.OK, "every table that is there can be read")
    behind = database().behind()
    if behind is not None:
        told = f"{standby.told(behind, here.now)}; no payment is known to lack a purchase by it"
        yield Check("database", "standby", Status.CAUTION, told, hint="give the primary's address: --dsn")
    yield _writing(database(), flow, here.user, read_only=here.read_only)
    if schema.unique_active_purchase in (IndexState.MISSING, IndexState.INVALID):
        told = f"the unique index unique_active_purchase is {schema.unique_active_purchase}: see kcfix doctor"
        yield Check("database", "index", Status.CAUTION, told)


def _writing(database: DatabasePort, flow: Flow, user: str, *, read_only: bool) -> Check:
    if read_only:
        return Check("database", "writing", Status.CAUTION, "a standby or a read-only session: nothing can be repaired")
    try:
        role = database.health([user]).roles.get(user)
    except KcfixError as error:
        return Check("database", "writing", Status.CAUTION, f"not known: {error.message}", hint=error.hint)
    right = f"INSERT ON {flow.tables.purchases}"
    if role is not None and right in role.lacking:
        told = f"{user} may not insert purchases: repairs are by replay only"
        return Check("database", "writing", Status.CAUTION, told, Obstacle.RIGHT, f"GRANT {right} TO {user};")
    return Check("database", "writing", Status.OK, "purchases could be inserted")
