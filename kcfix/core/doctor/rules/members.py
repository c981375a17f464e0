"""Rules about who is in a group: strangers, wrong groups and topics, joins without end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from kcfix.core.doctor.diagnosis import Confidence, Evidence, EvidenceKind, Found, Need, Severity, Thing
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import Rule, because, same
from kcfix.core.doctor.rules.proof import (
    deadline,
    group_line,
    log_line,
    partition_thing,
    required,
    things_of,
    trouble_thing,
)
from kcfix.core.doctor.troubles import Trouble, trouble_of, words_of
from kcfix.core.logs.entry import LogEntry
from kcfix.core.logs.milestones import Milestone, is_milestone
from kcfix.core.offsets import Member
from kcfix.core.status.findings import missing_topics
from kcfix.core.status.system import WorkerFacts
from kcfix.core.working.corroborate import client_started_at

JOINS = 4

"""Joins within five minutes from which on a group is said to rebalance without end."""


def _strangers(examination: Examination, worker: WorkerFacts) -> tuple[Member, ...]:
    """Members that are none of the worker's: by their name, or by what they read."""
    group = worker.lag.group if worker.lag is not None else None
    vouched = {m.member_id for m in worker.work.members}
    names = {worker.stage.worker, *(c.environment.get("SERVICE_NAME") or "" for c in worker.containers or ())}
    found = []
    for member in group.members if group is not None else ():
        if member.member_id in vouched and not _reads_other(member, worker):
            continue
        started = client_started_at(member.client_id)
        own = started is not None and any(member.client_id.startswith(f"{name}-") for name in names if name)
        if not own or _reads_other(member, worker):
            found.append(member)
    return tuple(found)


def _reads_other(member: Member, worker: WorkerFacts) -> bool:
    return bool(member.subscription) and not set(worker.stage.topics) <= set(member.subscription)


def shared_since(examination: Examination, worker: WorkerFacts) -> datetime | None:
    """When somebody else came into the group: the worker's join that left it a part, after one that gave it all.

    None: that was not seen.
    """
    count, whole, since = len(examination.lags(worker.stage)), False, None
    for entry in examination.entries([c for c in worker.containers or () if c.running]):
        given = entry.fields.get("memberAssignment")
        if not is_milestone(entry, Milestone.JOINED) or not isinstance(given, dict):
            continue
        held = sum(len(given.get(t) or ()) for t in worker.stage.topics)
        if held >= count:
            whole, since = True, None
        elif whole and since is None:
            since = entry.timestamp
    return since


def _who_has(address: str) -> str:
    """How the container with this address is found, if it is one."""
    names = "{{.Name}}{{range .NetworkSettings.Networks}} {{.IPAddress}}{{end}}"
    return f"docker ps -q | xargs docker inspect -f '{names}' | grep -w {address.lstrip('/')}   # the one to be stopped"


def stranger(examination: Examination) -> Iterator[Found]:
    """A consumer that is none of the worker's is a member of its group.

    A debugging script, a console consumer with `--group`, another service with the same group id: it gets some of the
    partitions, and swallows what they bring, or, where it reads other topics, makes kafkajs leave partitions to nobody.
    The group is Stable, there is no lag, and a part of the payments gets no purchase. End that program; Kafka shows its
    address.
    """
    for worker in required(examination):
        foreign = [
            m for m in _strangers(examination, worker) if m.member_id not in {x.member_id for x in worker.work.members}
        ]
        if not foreign or worker.lag is None:
            continue
        held = sorted({tp for m in foreign for tp in m.assignment})
        names = ", ".join(f"{m.client_id} at {m.host or 'an unknown address'}" for m in foreign[:3])
        holds = f"and holds {', '.join(map(str, held))}" if held else "and holds nothing now"
        reads = sorted({t for m in foreign for t in m.subscription} - set(worker.stage.topics))
        yield Found(
            symptom=f"a stranger is in {worker.stage.group} {holds}",
            cause=f"another program uses the group's id: {names}" + (f"; it reads {', '.join(reads)}" if reads else ""),
            evidence=(
                group_line(worker.lag),
                *(
                    Evidence(
                        EvidenceKind.GROUP,
                        f"member {m.client_id}, host {m.host}, reads {', '.join(m.subscription) or '?'}, "
                        f"holds {', '.join(map(str, m.assignment)) or 'nothing'}",
                    )
                    for m in worker.lag.group.members
                ),
            ),
            action=(
                *(_who_has(m.host) for m in foreign[:1] if m.host),
                f"kcfix lag --group {worker.stage.group}",
                "kcfix missing -q | kcfix repair -",
            ),
            about=(
                *things_of(worker),
                *(partition_thing(tp) for tp in held),
                *(Thing("member", m.client_id) for m in foreign),
            ),
            since=shared_since(examination, worker),
            deadline=deadline(examination, worker.stage),
        )


def wrong_group(examination: Examination) -> Iterator[Found]:
    """The worker's process has joined a group of another name than the one that is expected.

    Its own group is empty, or a stranger's. In the other group it starts without offsets, at the log end: what waited
    in its own is not read. Either the program was changed, or kcfix has another name: `names.purchase_group` and the
    like in kcfix.toml.
    """
    broker = examination.broker.value
    for worker in required(examination):
        named = _joined(examination, worker, "groupId")
        others = []
        for id, group in broker.groups.items() if broker else ():
            mine = [m for m in group.members if _is_of(m, worker)]
            if id != worker.stage.group and mine:
                others.append((id, mine[0]))
        wrong = [g for g in named if g != worker.stage.group]
        if worker.work.members or not (others or wrong):
            continue
        name = others[0][0] if others else wrong[-1]
        yield Found(
            symptom=f"{worker.stage.worker} has joined the group {name}, and not {worker.stage.group}",
            cause="the group's id in the worker's program or settings is another one",
            evidence=tuple(
                Evidence(EvidenceKind.GROUP, f"group {id}: member {m.client_id} at {m.host}") for id, m in others
            )
            or (Evidence(EvidenceKind.LOG, f"its log names the group {name}"),),
            action=(f"kcfix logs {worker.stage.worker}", f"kcfix lag --group {name}", "kcfix config show"),
            about=(*things_of(worker), *(Thing("member", m.client_id) for _, m in others)),
            deadline=deadline(examination, worker.stage),
        )


def _is_of(member: Member, worker: WorkerFacts) -> bool:
    """Whether a member of some group is a process of one of the worker's containers."""
    hosts = {a for c in worker.containers or () if c.running for a in c.networks.values() if a}
    named = member.client_id.startswith(f"{worker.stage.worker}-") and client_started_at(member.client_id) is not None
    return named and (not hosts or member.host in hosts)


def _joined(examination: Examination, worker: WorkerFacts, field: str) -> list[str]:
    """What the worker's own lines say that it joined or subscribed to, oldest first."""
    running = [c for c in worker.containers or () if c.running]
    found: list[str] = []
    for entry in examination.entries(running):
        if not is_milestone(entry, Milestone.JOINED) and "Connected and subscribed" not in entry.message:
            continue
        value = entry.fields.get(field)
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, list):
            found += [v for v in value if isinstance(v, str)]
    return found


def _subscribed(examination: Examination, worker: WorkerFacts) -> set[str]:
    """The topics that its last line about a subscription names, in whatever life; empty where there is none."""
    for entry in reversed(examination.earlier_entries(worker.containers or ())):
        topics = entry.fields.get("topics")
        if "Connected and subscribed" in entry.message and isinstance(topics, list):
            return {t for t in topics if isinstance(t, str)}
    return set()


def _refused_topic(examination: Examination, worker: WorkerFacts) -> LogEntry | None:
    """The fatal line that says that its topic is not there, where all topics of the flow are; None otherwise."""
    if worker.work.members or missing_topics(examination.observed):
        return None
    lines = [e for e in examination.earlier_entries(worker.containers or ()) if is_milestone(e, Milestone.FATAL)]
    last = lines[-1] if lines else None
    young = last is not None and examination.at - last.timestamp <= timedelta(minutes=2)
    return last if last is not None and young and trouble_of(words_of(last)) is Trouble.TOPIC_MISSING else None


def wrong_topic(examination: Examination) -> Iterator[Found]:
    """The worker is in its group, and does not read the topic that it should.

    Its subscription lacks the topic: a name changed in the program or the settings, or the topic did not exist when it
    subscribed. The group is Stable, and nobody holds the topic's partitions.
    """
    for worker in required(examination):
        mine = list(worker.work.members)
        if worker.lag is not None and not mine:
            mine = [m for m in worker.lag.group.members if _is_of(m, worker)]
        said = _subscribed(examination, worker)
        refused = _refused_topic(examination, worker)
        if refused is not None and not said:
            yield Found(
                symptom=f"{worker.stage.worker} asks for a topic that does not exist, though its own are there",
                cause=f"its program names another topic than {', '.join(worker.stage.topics)}; it ends at each start",
                evidence=(log_line(refused),),
                action=(f"kcfix logs {worker.stage.worker} --errors", "kcfix topics", "kcfix config show"),
                about=(*things_of(worker), trouble_thing(Trouble.TOPIC_MISSING)),
                confidence=Confidence.LIKELY,
                deadline=deadline(examination, worker.stage),
            )
            continue
        read = {t for m in mine for t in m.subscription} or said
        lacking = [t for t in worker.stage.topics if t not in read]
        if not read or not lacking:
            continue
        others = sorted(read - set(worker.stage.topics))
        yield Found(
            symptom=f"{worker.stage.worker} does not read {', '.join(lacking)}",
            cause=f"it subscribed to {', '.join(others) or 'nothing else'}"
            + ("" if others else ", the others of its topics left out"),
            evidence=(
                *(
                    Evidence(EvidenceKind.GROUP, f"member {m.client_id} at {m.host} reads {', '.join(m.subscription)}")
                    for m in mine
                ),
                *(
                    (Evidence(EvidenceKind.LOG, f"its log names {', '.join(sorted(said))}"),)
                    if said and not mine
                    else ()
                ),
            ),
            action=(f"kcfix logs {worker.stage.worker}", "kcfix topics", "kcfix config show"),
            about=(
                *things_of(worker),
                *(partition_thing(p.partition) for p in examination.lags(worker.stage) if p.partition.topic in lacking),
            ),
            deadline=deadline(examination, worker.stage),
        )


LOOKED = frozenset({Need.KAFKA})


RULES = (
    Rule(
        "G007",
        Severity.ERROR,
        "A stranger is in the group",
        stranger,
        LOOKED | {Need.DOCKER},
        because(same("member"), "G008"),
        ("1",),
    ),
    Rule("G008", Severity.ERROR, "A worker is in another group", wrong_group, LOOKED | {Need.BROKER, Need.DOCKER}),
    Rule(
        "G009",
        Severity.ERROR,
        "A worker does not read its topic",
        wrong_topic,
        LOOKED | {Need.DOCKER},
        because(same("worker"), "G008"),
    ),
)
