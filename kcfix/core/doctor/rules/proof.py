"""Pieces of evidence, deadlines and rates that rules share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from kcfix.core.doctor.diagnosis import Deadline, Evidence, EvidenceKind, Thing
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.troubles import OF_KAFKA, Telling, Trouble, words_of
from kcfix.core.logs.entry import LogEntry
from kcfix.core.logs.milestones import Milestone
from kcfix.core.logs.parse import offset_of
from kcfix.core.offsets import GroupLag, LagState, PartitionLag, TopicPartition
from kcfix.core.restart.plan import up_line
from kcfix.core.status.findings import container_words
from kcfix.core.status.system import WorkerFacts
from kcfix.core.times import format_duration, format_time
from kcfix.core.workers import Container, ContainerState
from kcfix.core.working.signs import Sign
from kcfix.flow import Stage

LONGEST = 300
"""Characters of a log line that are quoted."""
LATELY = timedelta(minutes=2)
"""An error line younger than this tells of now."""


def counted(number: int, one: str) -> str:
    """The number with the word, which gets an `s` where it is not one.

    >>> counted(1, "payment"), counted(2, "payment")
    ('1 payment', '2 payments')
    """
    return f"{number} {one}" if number == 1 else f"{number} {one}s"


def worker_thing(worker: WorkerFacts) -> Thing:
    """The worker, as findings about it name it."""
    return Thing("worker", worker.stage.worker)


def things_of(worker: WorkerFacts) -> tuple[Thing, ...]:
    """The worker, its containers and its group."""
    boxes = tuple(Thing("container", c.name) for c in worker.containers or ())
    return (worker_thing(worker), *boxes, Thing("group", worker.stage.group))


def partition_thing(partition: TopicPartition) -> Thing:
    """The partition, as findings about it name it."""
    return Thing("partition", str(partition))


def trouble_thing(trouble: Trouble) -> Thing:
    """The kind of failure, by which findings are linked."""
    return Thing("trouble", trouble.value)


def required(examination: Examination) -> Iterator[WorkerFacts]:
    """The workers without which a purchase is not made and served."""
    return (w for w in examination.workers if w.stage.required)


def sign(worker: WorkerFacts, name: str) -> Sign:
    """One of the signs by which the worker is seen to work."""
    return next(s for s in worker.work.signs if s.name == name)


def psql(statement: str) -> str:
    """How a statement is put to the database by hand; it may hold no double quote."""
    return f'psql "$POSTGRES_URL" -c "{statement}"'


def anew_after(worker: WorkerFacts, after: str) -> tuple[str, ...]:
    """How the worker's container is made anew once something was set right; nothing where there is no Compose label."""
    line = up_line(worker.stage.worker, worker.containers or ())
    return (f"{line}   # after {after}",) if line is not None else ()


def container_line(container: Container, at: datetime) -> Evidence:
    """State, since when, restarts and policy."""
    since = container.started_at if container.running else container.finished_at or container.started_at
    words = f"{container.name}: {container_words(container)}"
    if since is not None:
        words += f" for {format_duration(at - since)}"
    if container.restart_count:
        words += f", restarted {container.restart_count}x by Docker"
    return Evidence(EvidenceKind.CONTAINER, f"{words}, restart policy {container.restart_policy}", since)


def log_line(entry: LogEntry) -> Evidence:
    """What the container logged, shortened."""
    words = words_of(entry)
    place = offset_of(entry)
    where = f" ({place[0]} offset {place[1]})" if place is not None else ""
    return Evidence(EvidenceKind.LOG, f"{entry.container}: {words[:LONGEST]}{where}", entry.timestamp)


def event_lines(examination: Examination, container: Container, *, newest: int = 3) -> tuple[Evidence, ...]:
    """The last things that the engine remembers of the container."""
    told = []
    for event in examination.events_of(container)[-newest:]:
        words = event.action
        if event.exit_code is not None:
            words += f", exit code {event.exit_code}"
        if event.signal is not None:
            words += f", signal {event.signal}"
        told.append(Evidence(EvidenceKind.CONTAINER, f"Docker: {container.name} {words}", event.at))
    return tuple(told)


def group_line(lag: GroupLag) -> Evidence:
    """State, members and lag of a group."""
    members = f"{len(lag.group.members)} members" if lag.group.members_known else "members unknown"
    unknown = f" + {lag.unknown_partitions} unknown" if lag.unknown_partitions else ""
    text = f"group {lag.group.group_id}: {lag.group.state}, {members}, lag {lag.known_lag_records}{unknown}"
    return Evidence(EvidenceKind.GROUP, text)


def lag_line(lag: PartitionLag) -> Evidence:
    """A partition's offsets."""
    committed = "none" if lag.committed_offset is None else str(lag.committed_offset)
    text = f"{lag.partition}: committed {committed}, log {lag.log_start_offset} to {lag.log_end_offset}"
    return Evidence(EvidenceKind.OFFSETS, text)


def waiting(examination: Examination, stage: Stage) -> tuple[PartitionLag, ...]:
    """Partitions on which something waits for the stage's group, or lies unprotected."""
    return tuple(p for p in examination.lags(stage) if p.lag_records or p.skipped_by_latest)


def backlog(examination: Examination, stage: Stage) -> tuple[Evidence, ...]:
    """Offsets of the partitions on which something waits."""
    return tuple(lag_line(p) for p in waiting(examination, stage))


def behind(examination: Examination, stage: Stage) -> int:
    """Records that wait for the stage's group, as far as that is known."""
    return sum(p.lag_records or 0 for p in examination.lags(stage))


def waits_since(examination: Examination, stage: Stage) -> datetime | None:
    """When the oldest record that waits for the group was written; None where none waits, or it is not known."""
    broker = examination.broker.value
    if broker is None:
        return None
    return min((at for (group, _), at in broker.written_at.items() if group == stage.group), default=None)


def deadline(examination: Examination, stage: Stage) -> Deadline | None:
    """The earliest end of what the stage's backlog rests on; None where nothing waits, or it is not known."""
    broker = examination.broker.value
    if broker is None:
        return None
    ends = [*_message_ends(examination, stage), *_offset_ends(examination, stage)]
    return min(ends, key=lambda d: d.at, default=None)


def _message_ends(examination: Examination, stage: Stage) -> Iterator[Deadline]:
    broker = examination.broker.value
    for (group, tp), at in broker.written_at.items() if broker else ():
        config = broker.configs.get(tp.topic) if broker else None
        if group == stage.group and config is not None and config.retention is not None:
            yield Deadline(at + config.retention, f"then {tp.topic} may delete the oldest record that waits on {tp}")


def _offset_ends(examination: Examination, stage: Stage) -> Iterator[Deadline]:
    since, kept = empty_since(examination, stage), offset_retention(examination)
    committed = any(p.committed_offset is not None for p in examination.lags(stage))
    if since is not None and kept is not None and committed:
        yield Deadline(since + kept, f"then the offsets of {stage.group} may expire, if nobody joins")


def offset_retention(examination: Examination) -> timedelta | None:
    """How long Kafka keeps the offsets of an empty group; None where that is not known."""
    broker = examination.broker.value
    minutes = broker.settings.get("offsets.retention.minutes", "") if broker else ""
    return timedelta(minutes=int(minutes)) if minutes.isdigit() else None


def empty_since(examination: Examination, stage: Stage) -> datetime | None:
    """Since when the group is empty: since its last container ended. None where it is not empty, or not known."""
    worker = examination.worker(stage)
    if worker is None or worker.lag is None or worker.lag.group.members or not worker.containers:
        return None
    ends = [c.finished_at for c in worker.containers if not c.running]
    known = [end for end in ends if end is not None]
    return max(known) if known and len(known) == len(worker.containers) else None


def told(examination: Examination, worker: WorkerFacts, *, all_lives: bool = False) -> tuple[Telling, ...]:
    """The worker's lines that tell of a trouble, since its start or in all of its lives, in time order."""
    found = [t for c in worker.containers or () for t in examination.log(c, all_lives=all_lives).tellings]
    return tuple(sorted(found, key=_when))


def _when(telling: Telling) -> datetime:
    return telling.entry.timestamp


def lately(examination: Examination, worker: WorkerFacts, troubles: frozenset[Trouble]) -> tuple[Telling, ...]:
    """Lines of these troubles that tell of now: young, of a life that counts, with no sign of recovery after them.

    A handled message is one; so is a join, where the trouble was with Kafka. Of a container that runs steadily only the
    lines since its start count.
    """
    found: list[Telling] = []
    for box in worker.containers or ():
        young = box.started_at is not None and examination.at - box.started_at < LATELY
        steady = box.running and not (box.restart_count and young)
        log = examination.log(box, all_lives=not steady)
        handled, joined = log.last(Milestone.HANDLED), log.last(Milestone.JOINED)
        for telling in log.tellings:
            at = _when(telling)
            over = handled is not None and handled >= at
            over = over or (telling.trouble in OF_KAFKA and joined is not None and joined >= at)
            if telling.trouble in troubles and examination.at - at <= LATELY and not over:
                found.append(telling)
    return tuple(sorted(found, key=_when))


def lives(container: Container) -> bool:
    """Whether its process exists, or is about to be started again."""
    return container.state in (ContainerState.RUNNING, ContainerState.PAUSED, ContainerState.RESTARTING)


def usual(items: Iterable[str]) -> Mapping[str, int]:
    """How often each occurs, the most frequent first."""
    return dict(Counter(items).most_common())


def of_state(lags: Iterable[PartitionLag], *states: LagState) -> tuple[PartitionLag, ...]:
    """Those in one of these states."""
    return tuple(p for p in lags if p.state in states)


def when(moment: datetime | None) -> str:
    """A moment in UTC, for sentences."""
    from datetime import UTC

    return format_time(moment, UTC) if moment is not None else "an unknown time"
