"""Rules about payments whose message still waits."""

from __future__ import annotations

from collections.abc import Iterator

from kcfix.core.doctor.diagnosis import Found, Severity
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import because, same
from kcfix.core.doctor.rules.groups import partition_of
from kcfix.core.doctor.rules.pace import catch_up, handles
from kcfix.core.doctor.rules.paid import count_of, made, of_kind, shown
from kcfix.core.doctor.rules.payments import BEFORE, payment_rule
from kcfix.core.doctor.rules.proof import deadline, partition_thing, things_of
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.times import format_duration
from kcfix.core.working.worker import WorkState


def pending(examination: Examination) -> Iterator[Found]:
    """Payments whose message waits, at or past the committed offset, for longer than a minute.

    The worker will read it: get the worker going, and they settle themselves. A repair is not needed, and an insert
    only where the worker is beyond help tonight. While the worker is seen to work, this is a backlog that goes down: a
    caution.
    """
    found = of_kind(examination, VerdictKind.PENDING)
    if not found:
        return
    stage = examination.flow.stages[0]
    worker = examination.worker(stage)
    works = worker is not None and (worker.work.state is WorkState.WORKING or handles(examination, worker))
    takes = catch_up(examination, worker) if worker is not None else None
    partitions = {tp for f in found if (tp := partition_of(f)) is not None}
    yield Found(
        symptom=f"{count_of(examination, found)} waiting for {stage.worker} to read the message",
        cause=f"{stage.worker} has a backlog" if works else f"{stage.worker} does not read it",
        evidence=shown(examination, found),
        action=(f"kcfix lag --group {stage.group}",) if works else (f"kcfix restart {stage.worker}",),
        about=(
            *(things_of(worker) if worker is not None else ()),
            *(partition_thing(tp) for tp in sorted(partitions)),
        ),
        severity=Severity.CAUTION if works else None,
        payments=found,
        deadline=deadline(examination, stage),
        catch_up=takes,
        heals=f"in about {format_duration(takes)}" if works and takes is not None else None,
    )


def blocked(examination: Examination) -> Iterator[Found]:
    """Payments whose message lies behind one that the worker fails on.

    They settle themselves once the group has gone past that message (G001). `kcfix repair --strategy insert` makes
    their purchases now; the worker may then announce them once more later.
    """
    yield from made(
        examination, VerdictKind.BLOCKED, "behind a message that fails", "the partition stands on another message"
    )


def at_risk(examination: Examination) -> Iterator[Found]:
    """Payments whose message waits on a partition without a committed offset, and no worker has started since.

    A plain start will skip them for good. `kcfix restart` commits the offset first, and loses none.
    """
    for found in made(
        examination,
        VerdictKind.AT_RISK,
        "waiting where a plain start of the worker skips the message",
        "no committed offset protects their partition",
    ):
        stage = examination.flow.stages[0]
        worker = examination.worker(stage)
        works = worker is not None and worker.work.may_replay
        action = found.action if works else (f"kcfix restart {stage.worker}",)
        yield Found(
            found.symptom,
            found.cause,
            found.evidence,
            action,
            found.about,
            payments=found.payments,
            deadline=deadline(examination, stage),
        )


RULES = (
    payment_rule("P001", Severity.ERROR, "Payments wait for the worker", pending, causes=BEFORE, modes=("6",)),
    payment_rule(
        "P002", Severity.ERROR, "Payments lie behind a message that fails", blocked, causes=BEFORE, modes=("3",)
    ),
    payment_rule(
        "P003",
        Severity.ERROR,
        "Payments that a plain start would skip",
        at_risk,
        causes=(*because(same("partition"), "G006"), *BEFORE, *because(same("partition"), "G003")),
        modes=("1", "6"),
    ),
)
