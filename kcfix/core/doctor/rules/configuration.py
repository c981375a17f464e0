"""Rules about what containers are configured with, against the system that runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from datetime import timedelta

from kcfix.core.doctor.diagnosis import Confidence, Evidence, EvidenceKind, Found, Need, Severity, Thing
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import Rule, because, same
from kcfix.core.doctor.rules.proof import log_line, required, trouble_thing
from kcfix.core.doctor.troubles import Trouble
from kcfix.core.restart.plan import up_line
from kcfix.core.setup.discovery import BROKER_VARIABLES, DSN_VARIABLES, service_of
from kcfix.core.setup.dsn import database_address
from kcfix.core.workers import Container

SKEW = timedelta(seconds=30)

"""Clocks further apart than this make times and time-outs wrong."""


SOME_SKEW = timedelta(seconds=5)


STAMP = re.compile(r'"timestamp":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})Z"')


def _things(examination: Examination, container: Container) -> tuple[Thing, ...]:
    """The container and the worker whose it is."""
    service = service_of(examination.flow, container) or container.name
    stage = examination.flow.stage_of_worker(service)
    group = (Thing("group", stage.group),) if stage is not None else ()
    return (Thing("worker", service), Thing("container", container.name), *group)


def _users(examination: Examination) -> tuple[Container, ...]:
    """The containers that talk to Kafka and the database: required workers and payment-service."""
    workers = [c for w in required(examination) for c in w.containers or ()]
    found = examination.discovery.value
    return (*workers, *(found.producers if found else ()))


def made_anew(examination: Examination, container: Container) -> tuple[str, ...]:
    """How the container is made anew with the settings as they then are."""
    service = service_of(examination.flow, container)
    line = up_line(service, [container]) if service else None
    return (line,) if line else ()


def brokers_unset(examination: Examination) -> Iterator[Found]:
    """A container has neither KAFKA_BROKERS nor KAFKA_BROKER: it looks for Kafka on its own localhost.

    The document's fourth family. A worker ends with `Fatal error` after half a minute, again and again; payment-service
    goes on: payments succeed, and their events never leave (ECONNREFUSED). After the variable is set, `up -d` is
    needed: `docker compose restart` does not read the environment again.
    """
    for container in _users(examination):
        if any(container.environment.get(name) for name in BROKER_VARIABLES):
            continue
        yield Found(
            symptom=f"{container.name} does not know where Kafka is",
            cause="KAFKA_BROKERS is not set in its environment, so that it tries localhost:9092",
            evidence=(Evidence(EvidenceKind.SETTING, f"{container.name}: no KAFKA_BROKERS, no KAFKA_BROKER"),),
            action=(compose_line(container, "KAFKA_BROKERS", "kafka:9092"), *made_anew(examination, container)),
            about=(*_things(examination, container), trouble_thing(Trouble.KAFKA_SILENT)),
            since=container.created_at,
        )


def compose_line(container: Container, name: str, value: str) -> str:
    """How a variable is set in the Compose file; the value is quoted, for braces mean something there."""
    service = container.service or container.name
    return f'services: {{ {service}: {{ environment: {{ {name}: "{value}" }} }} }}   # in the Compose file'


def database_unset(examination: Examination) -> Iterator[Found]:
    """A container has none of POSTGRES_URL, POSTGRES_URI, DATABASE_URL: it looks for a database on its own localhost.

    A worker starts all the same (it logs "index not found", which is false) and fails on every message.
    """
    for container in _users(examination):
        if any(container.environment.get(name) for name in DSN_VARIABLES):
            continue
        yield Found(
            symptom=f"{container.name} does not know where the database is",
            cause="none of POSTGRES_URL, POSTGRES_URI, DATABASE_URL is set in its environment: it tries localhost:5432",
            evidence=(Evidence(EvidenceKind.SETTING, f"{container.name}: no POSTGRES_URL"),),
            action=(compose_line(container, "POSTGRES_URL", "${POSTGRES_URL}"), *made_anew(examination, container)),
            about=(*_things(examination, container), trouble_thing(Trouble.DATABASE_SILENT)),
            since=container.created_at,
        )


def brokers_elsewhere(examination: Examination) -> Iterator[Found]:
    """A container is configured with other brokers than kcfix and the rest of the system.

    A typing error in the name (ENOTFOUND), the address of another cluster, or of a listener that asks for a login.
    """
    yield from _elsewhere(examination, "kafka", "KAFKA_BROKERS", Trouble.KAFKA_SILENT)


def database_elsewhere(examination: Examination) -> Iterator[Found]:
    """A container is configured with another database than kcfix and the rest of the system.

    The worker works, commits its offsets and makes purchases where nobody looks: no lag, no error, and no purchase in
    the database that the app reads. Scripts default to localhost and do the same.
    """
    yield from _elsewhere(examination, "database", "POSTGRES_URL", Trouble.DATABASE_SILENT)


def _elsewhere(examination: Examination, system: str, variable: str, trouble: Trouble) -> Iterator[Found]:
    boxes = {c.name: c for c in _users(examination)}
    apart = {a.container: a for a in examination.host.apart if a.system == system and a.container in boxes}
    told = {c.name for c in boxes.values() if any(c.environment.get(v) for v in _VARIABLES[system])}
    agreeing = sorted(told - set(apart))
    mine = ", ".join(examination.host.brokers) if system == "kafka" else str(examination.host.database)
    if system in examination.host.discovered and len(apart) > len(agreeing):
        # kcfix has its own address from the odd one out.
        usual = Counter(a.theirs for a in apart.values()).most_common(1)[0][0]
        for name in agreeing:
            yield _odd(examination, boxes[name], mine, usual, variable, trouble, misled=Thing("system", system))
        return
    if apart and not agreeing and _is_down(examination, system):
        return  # a container that does not run has no published port: whether the two addresses are one is unknown
    if apart and not agreeing:
        yield Found(
            symptom=f"all containers talk to {next(iter(apart.values())).theirs}, and kcfix to {mine}",
            cause="kcfix itself looks at another system",
            evidence=tuple(Evidence(EvidenceKind.SETTING, a.words) for a in apart.values()),
            action=("kcfix config show",),
            about=(Thing("system", system),),
            severity=Severity.CAUTION,
        )
        return
    usual = _address_of(examination, system, agreeing) or mine
    for name, one in apart.items():
        yield _odd(examination, boxes[name], one.theirs, usual, variable, trouble)


def _address_of(examination: Examination, system: str, names: Collection[str]) -> str | None:
    """What these containers are configured with, as one of them says it."""
    found = examination.discovery.value
    for one in found.configured if found is not None else ():
        if one.container in names:
            address = database_address(one.dsn) if system == "database" and one.dsn else None
            told = ", ".join(one.brokers or ()) if system == "kafka" else str(address or "")
            if told:
                return told
    return None


def _is_down(examination: Examination, system: str) -> bool:
    """Whether a container of the system is known and does not run."""
    found, box = examination.discovery.value, examination.database_container
    if system == "database":
        return box is not None and not box.running
    return any(not c.running for c in (found.infrastructure.get(examination.flow.kafka_service, ()) if found else ()))


_VARIABLES = {"kafka": BROKER_VARIABLES, "database": DSN_VARIABLES}


def _odd(
    examination: Examination,
    box: Container,
    theirs: str,
    usual: str,
    variable: str,
    trouble: Trouble,
    *,
    misled: Thing | None = None,
) -> Found:
    """One container with another address than the rest. `misled`: kcfix had its own from it."""
    return Found(
        symptom=f"{box.name} talks to {theirs}",
        cause=f"its {variable} is another one than that of the rest of the system ({usual})",
        evidence=(Evidence(EvidenceKind.SETTING, f"{box.name}: {variable} names {theirs}"),),
        action=("kcfix config show", *made_anew(examination, box)),
        about=(*_things(examination, box), trouble_thing(trouble), *((misled,) if misled is not None else ())),
    )


def event_bus_down(examination: Examination) -> Iterator[Found]:
    """payment-service logs that it could not send an event.

    The payment succeeds and its purchase never comes: payment-service calls that "non-critical". Its log says why: most
    often ECONNREFUSED, because it has no KAFKA_BROKERS.
    """
    found = examination.discovery.value
    for box in found.producers if found is not None else ():
        lines = [
            e
            for e in examination.entries([box])
            if "Failed to emit" in e.message and examination.at - e.timestamp <= timedelta(hours=24)
        ]
        if lines:
            yield Found(
                symptom=f"{box.name} could not send {len(lines)} events",
                cause="it did not reach Kafka, or could not write the event down, at that time",
                evidence=tuple(log_line(e) for e in lines[-3:]),
                action=("kcfix missing", "kcfix missing -q | kcfix repair -"),
                about=_things(examination, box),
                since=lines[0].timestamp,
                confidence=Confidence.LIKELY,
            )


DOCKER = frozenset({Need.DOCKER})


RULES = (
    Rule("C001", Severity.ERROR, "KAFKA_BROKERS is not set", brokers_unset, DOCKER, modes=("11",)),
    Rule("C002", Severity.ERROR, "POSTGRES_URL is not set", database_unset, DOCKER, modes=("54",)),
    Rule(
        "C003",
        Severity.ERROR,
        "A container has other brokers",
        brokers_elsewhere,
        DOCKER,
        because(same("worker"), "K003"),
        ("11", "15"),
    ),
    Rule("C004", Severity.ERROR, "A container has another database", database_elsewhere, DOCKER, modes=("54",)),
    Rule(
        "C012",
        Severity.CAUTION,
        "Events that payment-service could not send",
        event_bus_down,
        frozenset({Need.LOGS}),
        modes=("11", "18"),
    ),
)
