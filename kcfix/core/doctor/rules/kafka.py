"""Rules about the broker: whether it answers, whom it lets in, and what topics it has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from kcfix.core.doctor.diagnosis import Confidence, Evidence, EvidenceKind, Found, Need, Severity, Thing
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import Rule, always, because, same
from kcfix.core.doctor.rules.proof import (
    anew_after,
    container_line,
    event_lines,
    lately,
    log_line,
    required,
    things_of,
    trouble_thing,
)
from kcfix.core.doctor.troubles import Trouble
from kcfix.core.logs.entry import LogEntry
from kcfix.core.logs.parse import is_error
from kcfix.core.status.system import WorkerFacts
from kcfix.core.workers import Container, ContainerState
from kcfix.core.working.worker import WorkState

KAFKA = Thing("system", "kafka")
_DENIED = re.compile(r"SASL|authenticat|not authorized|refused the user|log ?in", re.IGNORECASE)


def brokers_of(examination: Examination, service: str | None = None) -> Sequence[Container]:
    found = examination.discovery.value
    return () if found is None else found.infrastructure.get(service or examination.flow.kafka_service, ())


def kafka_tool(examination: Examination, tool: str) -> str:
    """How one of Kafka's own programs is called: inside the broker's container, where there is one."""
    boxes = brokers_of(examination)
    inside = f"docker exec {boxes[0].name} " if boxes else ""
    return f"{inside}{tool} --bootstrap-server localhost:9092"


def cut_off(examination: Examination) -> Iterator[Found]:
    """Kafka answers kcfix, and workers can't reach it.

    Their log names the address that they try: a name that nobody on their network has any more (ENOTFOUND: the broker's
    container was renamed, or came up on the network without its alias), or one on which nothing listens for them.
    """
    if examination.observed.kafka.value is None:
        return
    lines = {
        worker.stage.worker: (worker, found)
        for worker in required(examination)
        if (found := lately(examination, worker, frozenset({Trouble.KAFKA_SILENT})))
    }
    if not lines:
        return
    last = max((t for _, found in lines.values() for t in found), key=lambda t: t.entry.timestamp)
    wanted = sorted({broker for w, _ in lines.values() for broker in _configured(examination, w)})
    nameless = [address for address in wanted if not _is_on_network(examination, address.rpartition(":")[0])]
    cause = f"they try {', '.join(wanted) or 'an unknown address'}: {last.words[:200]}"
    if nameless and brokers_of(examination):
        cause = f"no container on their network is called {nameless[0].rpartition(':')[0]}"
    boxes = brokers_of(examination)
    network = next((n for w, _ in lines.values() for c in w.containers or () for n in c.networks), "NETWORK")
    yield Found(
        symptom=f"{', '.join(lines)} can't reach Kafka, which answers kcfix",
        cause=cause,
        evidence=(log_line(last.entry), *(container_line(c, examination.at) for c in boxes[:1])),
        action=(
            *(
                (
                    f"docker network disconnect {network} {boxes[0].name}",
                    f"docker network connect --alias {nameless[0].rpartition(':')[0]} {network} {boxes[0].name}",
                )
                if nameless and boxes
                else ()
            ),
            *(f"kcfix restart {name}" for name in lines),
        ),
        about=(
            *(thing for w, _ in lines.values() for thing in things_of(w)),
            trouble_thing(Trouble.KAFKA_SILENT),
        ),
        confidence=Confidence.PROVEN if nameless and boxes else Confidence.LIKELY,
        since=min(found[0].entry.timestamp for _, found in lines.values()),
    )


def _configured(examination: Examination, worker: WorkerFacts) -> tuple[str, ...]:
    found = examination.discovery.value
    names = {c.name for c in worker.containers or ()}
    every = [c.brokers or () for c in (found.configured if found is not None else ()) if c.container in names]
    return tuple(dict.fromkeys(broker for brokers in every for broker in brokers))


def _is_on_network(examination: Examination, host: str) -> bool:
    """Whether a running container answers to the name, or it is no mere name."""
    if "." in host or host in ("", "localhost"):
        return True
    return any(host in c.aliases for c in examination.containers if c.running and _has_alias(c, host))


def _has_alias(container: Container, host: str) -> bool:
    return host in container.aliases


def _down(container: Container) -> bool:
    return not container.running


def broker_down(examination: Examination) -> Iterator[Found]:
    """Kafka does not answer, and its container does not run.

    Stopped, killed, paused, crashing, or refused by ZooKeeper (`NodeExistsException`: its old registration has not
    expired yet; a second start half a minute later gets through). Payments succeed meanwhile, and their messages never
    leave: payment-service writes the event down and nothing sends it later. Workers stay alive and retry; about half a
    minute after the broker is back they work again.

    Never delete Kafka's volumes to get it started: that destroys every message and every offset.
    """
    error = examination.observed.kafka.error
    down = [c for c in brokers_of(examination) if _down(c)]
    if error is None or not down:
        return
    box = down[0]
    keeper = [c for c in brokers_of(examination, examination.flow.zookeeper_service) if _down(c)]
    lines = examination.log(box, all_lives=True).entries
    node_exists = _newest(lines, "NodeExists")
    words = {
        ContainerState.PAUSED: f"{box.name} is paused",
        ContainerState.RESTARTING: f"{box.name} crashes again and again",
        ContainerState.CREATED: f"{box.name} was made and never started",
    }.get(box.state, f"{box.name} is {box.state.value.lower()} (exit code {box.exit_code})")
    if keeper:
        words += f"; {keeper[0].name} is down as well"
    if node_exists is not None:
        words += "; ZooKeeper still holds its old registration"
    if box.oom_killed:
        words += "; it was killed for want of memory"
    failed = _last_error(lines) if box.exit_code not in (0, 137, 143, None) and node_exists is None else None
    yield Found(
        symptom="Kafka does not answer: no message is sent and none is read",
        cause=words,
        evidence=(
            *(container_line(c, examination.at) for c in (*down, *keeper)),
            *event_lines(examination, box),
            *(log_line(e) for e in (node_exists, failed) if e is not None),
            Evidence(EvidenceKind.BROKER, error),
        ),
        action=_start(keeper, box),
        about=(KAFKA, Thing("container", box.name), trouble_thing(Trouble.KAFKA_SILENT)),
        since=box.finished_at,
        heals="workers join by themselves, up to a minute and a half after the broker is back",
    )


def _last_error(lines: Sequence[LogEntry]) -> LogEntry | None:
    """The last line that speaks of an error, else the last one."""
    told = [e for e in lines if is_error(e) or re.search(r"ERROR|FATAL|Exception", e.message)]
    return next(iter([*reversed(told), *reversed(lines)]), None)


def _newest(lines: Sequence[LogEntry], phrase: str) -> LogEntry | None:
    return next((e for e in reversed(lines) if phrase in e.raw), None)


def _start(keeper: Sequence[Container], box: Container) -> tuple[str, ...]:
    first = tuple(f"docker start {c.name}" for c in keeper)
    if box.state is ContainerState.PAUSED:
        return (*first, f"docker unpause {box.name}")
    if box.state is ContainerState.RESTARTING:
        return (*first, f"docker logs --tail 50 {box.name}")
    return (*first, f"docker start {box.name}", "kcfix doctor")


def broker_silent(examination: Examination) -> Iterator[Found]:
    """Kafka does not answer, and no container of it is seen to be down.

    The container may run and the process hang, the address may be wrong, a firewall may be in between, or the broker
    advertises a name that leads nowhere from this host. The message says which of name, port, login or advertised
    address failed.
    """
    error = examination.observed.kafka.error
    if error is None or any(_down(c) for c in brokers_of(examination)) or _DENIED.search(error):
        return
    boxes = brokers_of(examination)
    yield Found(
        symptom="Kafka does not answer kcfix",
        cause=error,
        evidence=(
            *(container_line(c, examination.at) for c in boxes),
            Evidence(EvidenceKind.SETTING, f"brokers: {', '.join(examination.host.brokers) or 'none known'}"),
        ),
        action=(*(f"docker logs --tail 50 {c.name}" for c in boxes[:1]), "kcfix config show"),
        about=(KAFKA, trouble_thing(Trouble.KAFKA_SILENT)),
        confidence=Confidence.LIKELY,
    )


def kafka_login(examination: Examination) -> Iterator[Found]:
    """Kafka refuses a login: a wrong or missing SASL user or password, or a right that is missing.

    The workers of the known system speak no SASL at all (docs/system.md 3): on a managed broker they need both code
    and settings. A password that was changed at the broker has to be changed in the workers' environment, and the
    containers made anew (`up -d`; `restart` does not read the environment again).
    """
    error = examination.observed.kafka.error
    if error is not None and _DENIED.search(error):
        yield Found(
            symptom="Kafka does not let kcfix in",
            cause=error,
            action=("kcfix config show",),
            about=(KAFKA, trouble_thing(Trouble.KAFKA_LOGIN)),
        )
    for worker in required(examination):
        lines = lately(examination, worker, frozenset({Trouble.KAFKA_LOGIN}))
        if worker.work.state in (WorkState.WORKING, WorkState.IDLE) or not lines:
            continue
        yield Found(
            symptom=f"Kafka does not let {worker.stage.worker} in",
            cause=lines[-1].words[:300],
            evidence=(log_line(lines[-1].entry),),
            action=(
                f"kcfix logs {worker.stage.worker} --errors",
                *anew_after(worker, "its SASL user and password were set right"),
            ),
            about=(*things_of(worker), trouble_thing(Trouble.KAFKA_LOGIN)),
            since=lines[0].entry.timestamp,
        )


def init_failed(examination: Examination) -> Iterator[Found]:
    """kafka-init, which makes the topics, ended with a failure.

    It waits for the broker for five minutes and then gives up. Its `|| true` hides all other failures: so a success of
    it proves nothing, and what counts is which topics there are.
    """
    for box in brokers_of(examination, examination.flow.kafka_init_service):
        if box.state is ContainerState.EXITED and box.exit_code not in (0, None):
            yield Found(
                symptom=f"{box.name} ended with exit code {box.exit_code}",
                cause="it did not reach the broker in time, or was killed",
                evidence=(container_line(box, examination.at),),
                action=(f"docker logs --tail 50 {box.name}", f"docker start {box.name}"),
                about=(Thing("container", box.name),),
            )


def keeper_down(examination: Examination) -> Iterator[Found]:
    """ZooKeeper does not run while the broker still answers.

    The broker goes on for as long as nothing changes; a restart of it, a new topic or a new leader will fail.
    """
    if examination.observed.kafka.error is not None:
        return
    for box in brokers_of(examination, examination.flow.zookeeper_service):
        if _down(box):
            yield Found(
                symptom=f"{box.name} does not run, and the broker depends on it",
                cause="it was stopped, or crashed",
                evidence=(container_line(box, examination.at), *event_lines(examination, box)),
                action=(f"docker start {box.name}",),
                about=(Thing("container", box.name),),
                since=box.finished_at,
            )


ANY = frozenset[Need]()
DOCKER = frozenset({Need.DOCKER})
RULES = (
    Rule("K001", Severity.ERROR, "Kafka's container does not run", broker_down, DOCKER, modes=("11", "14", "17a")),
    Rule(
        "K002",
        Severity.ERROR,
        "Kafka does not answer",
        broker_silent,
        ANY,
        because(same("system"), "C003"),
        ("11", "15"),
    ),
    Rule("K003", Severity.ERROR, "Kafka refuses a login", kafka_login, ANY),
    Rule(
        "K008",
        Severity.CAUTION,
        "The topic set-up failed",
        init_failed,
        DOCKER,
        because(always, "K001", "K002"),
        ("13",),
    ),
    Rule("K010", Severity.ERROR, "ZooKeeper does not run", keeper_down, DOCKER, modes=("14",)),
    Rule(
        "K013",
        Severity.ERROR,
        "Workers can't reach Kafka, which answers",
        cut_off,
        frozenset({Need.KAFKA, Need.DOCKER, Need.LOGS}),
        because(same("worker"), "C001", "K003", "C003", "C013"),
        ("11", "15"),
    ),
)
