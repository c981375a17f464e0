"""Advice: settings that would prevent the next incident, or make it smaller. Never an alarm by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kcfix.core.doctor.diagnosis import Evidence, EvidenceKind, Found, Need, Severity, Thing
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import Rule, because, same
from kcfix.core.doctor.rules.kafka import kafka_tool
from kcfix.core.doctor.rules.proof import deadline, lag_line, offset_retention, required, things_of
from kcfix.core.offsets import GroupState
from kcfix.core.restart.plan import up_line
from kcfix.core.times import format_duration

SOON = timedelta(days=2)
"""A deadline nearer than this is said even where all else is well."""


def restart_policy(examination: Examination) -> Iterator[Found]:
    """A worker's container has a restart policy under which a crash is final.

    `unless-stopped` starts it again after a crash and after a restart of the host, and leaves it alone once somebody
    stops it on purpose.
    """
    boxes = [c for w in required(examination) for c in w.containers or () if c.restart_policy in ("no", "")]
    if boxes:
        names = sorted({c.service or c.name for c in boxes})
        yield Found(
            symptom=f"{', '.join(names)}: nothing starts {'it' if len(names) == 1 else 'them'} again after a crash",
            cause="the restart policy is `no`",
            evidence=tuple(
                Evidence(EvidenceKind.SETTING, f"{c.name}: restart policy {c.restart_policy}") for c in boxes
            ),
            action=(
                *(f"services: {{ {name}: {{ restart: unless-stopped }} }}   # in the Compose file" for name in names),
                *(f"docker update --restart unless-stopped {c.name}" for c in boxes),
            ),
            about=tuple(Thing("service", name) for name in names),
        )


HEALTH = (
    "x-joined: &joined { test: [CMD-SHELL, \"cat /proc/net/tcp /proc/net/tcp6 | grep -q ':2384 01'\"], "
    "interval: 30s, timeout: 5s, retries: 3, start_period: 60s }   # in the Compose file"
)
"""An open connection to port 9092 (hexadecimal 2384): a worker has no port of its own that could be asked."""


def health_check(examination: Examination) -> Iterator[Found]:
    """Workers have no health check.

    The workers have no port to ask; what can be seen from inside is an open connection to Kafka. Not even that shows a
    dead consumer in a live process (its producers stay connected). What does is `kcfix doctor -q --only workers,groups`
    or `kcfix lag --max-lag` from a timer: they look at the group.
    """
    without = sorted(
        {c.service or c.name for w in required(examination) for c in w.containers or () if not c.health_check}
    )
    if without:
        yield Found(
            symptom=f"no health check: {', '.join(without)}",
            cause="the Compose file gives them none",
            action=(
                HEALTH,
                f"services: {{ {', '.join(f'{name}: {{ healthcheck: *joined }}' for name in without)} }}",
                "*/2 * * * * kcfix doctor -q --only W,G || notify   # in a crontab: sees a dead consumer as well",
            ),
            about=tuple(Thing("service", name) for name in without),
        )


def letters_unread(examination: Examination) -> Iterator[Found]:
    """Nobody reads the dead letters.

    The dead-letter topic has no consumer in the whole system, and keeps its messages for seven days: what ends there is
    lost without a word. A timer that runs `kcfix missing` finds the payments among them.
    """
    broker, kafka = examination.broker.value, examination.observed.kafka.value
    topic = examination.flow.dead_letters
    if broker is None or kafka is None or topic not in kafka.topics:
        return
    readers = sorted(g for g, topics in broker.read_topics.items() if topic in topics)
    if not readers:
        yield Found(
            symptom=f"no group reads {topic}",
            cause="the system has no consumer for it",
            evidence=(Evidence(EvidenceKind.BROKER, f"{len(broker.letters)} dead letters in the last 24 hours"),),
            action=("*/10 * * * * kcfix missing -q | grep -q . && notify   # in a crontab",),
            about=(Thing("topic", topic),),
        )


def retention_near(examination: Examination) -> Iterator[Found]:
    """What waits, or the offsets that protect it, will be deleted within two days.

    Messages are kept for seven days, the offsets of an empty group as well (counted from when it became empty). After
    that Kafka can't help, and `kcfix repair` makes the purchases from the database.
    """
    for worker in required(examination):
        end = deadline(examination, worker.stage)
        if end is None or end.at - examination.at > SOON:
            continue
        left = end.at - examination.at
        yield Found(
            symptom=f"{worker.stage.group} has {format_duration(left)} left"
            if left > timedelta(0)
            else f"{worker.stage.group}: the time is over",
            cause=end.reason,
            evidence=tuple(lag_line(p) for p in examination.lags(worker.stage) if p.lag_records),
            action=(f"kcfix restart {worker.stage.worker}", "kcfix missing --since 8d"),
            about=things_of(worker),
            deadline=end,
            severity=Severity.ERROR if left < timedelta(hours=6) else None,
        )


def offsets_short(examination: Examination) -> Iterator[Found]:
    """The offsets of an empty group are kept for a shorter time than the messages.

    Then a worker that is down for long loses its place while its messages are still there, and its start skips them.
    """
    kept, broker = offset_retention(examination), examination.broker.value
    config = broker.configs.get(examination.flow.purchase_confirmed) if broker else None
    if kept is None or config is None or config.retention is None or kept >= config.retention:
        return
    yield Found(
        symptom=f"offsets are kept for {format_duration(kept)}, messages for {format_duration(config.retention)}",
        cause="offsets.retention.minutes is shorter than the topic's retention",
        evidence=(Evidence(EvidenceKind.SETTING, f"offsets.retention.minutes {int(kept.total_seconds() // 60)}"),),
        action=(f"KAFKA_OFFSETS_RETENTION_MINUTES={int(config.retention.total_seconds() // 60)}   # of the broker",),
        about=(Thing("system", "kafka"),),
    )


def too_many_instances(examination: Examination) -> Iterator[Found]:
    """A worker has more running containers than its topics have partitions: the rest have nothing to do."""
    for worker in required(examination):
        running = [c for c in worker.containers or () if c.running]
        count = len({lag.partition for lag in examination.lags(worker.stage)})
        if count and len(running) > count:
            yield Found(
                symptom=f"{len(running)} instances of {worker.stage.worker} share {count} partitions",
                cause="a partition is read by one member only",
                action=(f"docker compose up -d --scale {worker.stage.worker}={count}",),
                about=things_of(worker),
            )


def one_replica(examination: Examination) -> Iterator[Found]:
    """Everything lies on one broker, with one replica: a lost disk loses all events and offsets.

    Then only the database knows what was paid: `kcfix missing` and `repair` work from there.
    """
    kafka = examination.observed.kafka.value
    if kafka is None or len(kafka.cluster.brokers) != 1:
        return
    alone = [
        t
        for t in examination.flow.topics
        if t in kafka.topics and all(len(p.replicas) <= 1 for p in kafka.topics[t].partitions)
    ]
    if alone:
        yield Found(
            symptom="one broker holds the only copy of every message",
            cause=f"replication factor 1 of {len(alone)} topics",
            action=(
                "KAFKA_DEFAULT_REPLICATION_FACTOR=3 KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=3   # of three brokers",
                f"{kafka_tool(examination, 'kafka-reassign-partitions')} --reassignment-json-file FILE --execute   "
                "# once they are there, for the topics of today",
                "kcfix topics   # shows the replicas",
            ),
            about=(Thing("system", "kafka"),),
        )


def changed_since(examination: Examination) -> Iterator[Found]:
    """The Compose file, its env file, or the image is newer than a container that was made from it.

    The container still has the old settings: `docker compose restart` does not read them again, `up -d` does.
    """
    engine = examination.engine.value
    for worker in required(examination):
        for box in worker.containers or ():
            reasons = []
            if box.created_at is not None:
                listed = box.labels.get("com.docker.compose.project.config_files", "").split(",")
                folder = box.labels.get("com.docker.compose.project.working_dir")
                mine = {
                    *listed,
                    *(
                        (f"{folder}/.env", f"{folder}/.env.{box.environment.get('NODE_ENV', 'production')}")
                        if folder
                        else ()
                    ),
                }
                reasons += [
                    f"{path} was written {format_duration(at - box.created_at)} after the container was made"
                    for path, at in sorted(examination.host.files.items())
                    if path in mine and at > box.created_at + timedelta(seconds=5)
                ]
            now = engine.images.get(box.image) if engine is not None else None
            if now is not None and box.image_id is not None and now != box.image_id:
                reasons.append(f"the image {box.image} was built or pulled anew since")
            if reasons:
                up = up_line(worker.stage.worker, [box])
                yield Found(
                    symptom=f"{box.name} was made from older settings",
                    cause="; ".join(reasons),
                    action=(up,) if up else (),
                    about=things_of(worker),
                )


def unresolved_listener(examination: Examination) -> Iterator[Found]:
    """A broker advertises a name that this host can't resolve.

    kcfix finds its way by Docker's published ports; the Kafka tools on this host do not, and stop after the first
    answer. Run them inside the container, or map the name.
    """
    for name in examination.host.unresolved:
        yield Found(
            symptom=f"this host can't resolve `{name}`, which a broker advertises",
            cause="the name belongs to the containers' network",
            evidence=(Evidence(EvidenceKind.BROKER, f"advertised: {name}"),),
            action=(
                f"echo '127.0.0.1 {name}' | sudo tee -a /etc/hosts",
                f"{kafka_tool(examination, 'kafka-topics')} --list",
            ),
            about=(Thing("system", "kafka"),),
        )


def stale_commits(examination: Examination) -> Iterator[Found]:
    """A group of the flow has commits on a topic that it does not read any more."""
    kafka = examination.observed.kafka.value
    for lag in kafka.groups if kafka else ():
        if lag.stale and lag.group.state is not GroupState.NOT_FOUND:
            topics = sorted({p.partition.topic for p in lag.stale})
            yield Found(
                symptom=f"{lag.group.group_id} has offsets on {', '.join(topics)}, which nobody in it reads",
                cause="the topic was given up, or its name was changed",
                action=tuple(
                    f"{kafka_tool(examination, 'kafka-consumer-groups')} --group {lag.group.group_id} "
                    f"--delete-offsets --topic {t}"
                    for t in topics
                ),
                about=(Thing("group", lag.group.group_id),),
            )


DOCKER = frozenset({Need.DOCKER})
RULES = (
    Rule("C007", Severity.ADVICE, "A crash of a worker is final", restart_policy, DOCKER),
    Rule("C008", Severity.ADVICE, "Workers have no health check", health_check, DOCKER),
    Rule(
        "C009",
        Severity.ADVICE,
        "A listener's name can't be resolved here",
        unresolved_listener,
        frozenset({Need.KAFKA}),
        modes=("15",),
    ),
    Rule("C014", Severity.ADVICE, "Settings are newer than a container", changed_since, DOCKER),
    Rule(
        "C015",
        Severity.ADVICE,
        "More instances than partitions",
        too_many_instances,
        frozenset({Need.DOCKER, Need.KAFKA}),
    ),
    Rule(
        "G013",
        Severity.CAUTION,
        "Something will be deleted soon",
        retention_near,
        frozenset({Need.BROKER}),
        because(
            same("worker"),
            *("W001", "W002", "W005", "K003", "K013", "C001", "C002", "C003", "C004", "C005", "C013", "D003"),
            *("G008", "G009", "G001", "W006", "W004", "W007", "W003", "W013", "W009", "W008"),
        ),
        ("7",),
    ),
    Rule(
        "G014",
        Severity.ADVICE,
        "Offsets are kept for less long than messages",
        offsets_short,
        frozenset({Need.BROKER}),
        modes=("7",),
    ),
    Rule("G015", Severity.ADVICE, "Nobody reads the dead letters", letters_unread, frozenset({Need.BROKER})),
    Rule("G016", Severity.ADVICE, "Offsets on a topic that nobody reads", stale_commits, frozenset({Need.KAFKA})),
    Rule("K012", Severity.ADVICE, "One copy of every message", one_replica, frozenset({Need.KAFKA}), modes=("16",)),
)
