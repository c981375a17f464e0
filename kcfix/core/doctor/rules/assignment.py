"""Rules about who holds which partition: joins without end, partitions that nobody holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kcfix.core.doctor.diagnosis import Confidence, Found, Need, Severity
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import Rule, because, same
from kcfix.core.doctor.rules.members import JOINS, LOOKED
from kcfix.core.doctor.rules.proof import (
    behind,
    group_line,
    log_line,
    partition_thing,
    required,
    things_of,
)
from kcfix.core.logs.milestones import Milestone, is_milestone
from kcfix.core.offsets import GroupState
from kcfix.core.working.signs import SETTLED


def rebalancing(examination: Examination) -> Iterator[Found]:
    """A group is in the middle of a rebalance, or has joined again and again lately.

    A handler that takes longer than the session time-out (30 s without a heartbeat: the allocation-worker's tries take
    as long) is thrown out of its group, joins anew and is given the same message again. One look at a rebalance proves
    nothing; many joins in the log do.
    """
    for worker in required(examination):
        group = worker.lag.group if worker.lag is not None else None
        joins = [
            e
            for e in examination.entries([c for c in worker.containers or () if c.running])
            if is_milestone(e, Milestone.JOINED) and examination.at - e.timestamp <= timedelta(minutes=5)
        ]
        dropped = [
            e
            for e in examination.entries([c for c in worker.containers or () if c.running])
            if "not aware of this member" in e.message and examination.at - e.timestamp <= timedelta(minutes=5)
        ]
        often = len(joins) >= JOINS or len(dropped) >= 2
        if group is None or not (group.is_rebalancing or often):
            continue
        yield Found(
            symptom=f"{group.group_id} " + ("joins again and again" if often else "is rebalancing at this moment"),
            cause=(
                "a handler outlasts the session time-out and is thrown out of the group"
                if dropped
                else "its consumer restarts itself again and again"
                if often
                else "a member has just joined or left; one look can't tell more"
            ),
            evidence=(
                *((group_line(worker.lag),) if worker.lag is not None else ()),
                *(log_line(e) for e in (*joins[-2:], *dropped[-2:])),
            ),
            action=("kcfix doctor --sample 60s", f"kcfix logs {worker.stage.worker} --errors"),
            about=things_of(worker),
            confidence=Confidence.LIKELY if often else Confidence.UNPROVEN,
            severity=Severity.ERROR if often and behind(examination, worker.stage) else Severity.CAUTION,
        )


def unheld(examination: Examination) -> Iterator[Found]:
    """The group is Stable, and nobody holds some of its partitions.

    Partitions that were added are noticed by kafkajs only after minutes; a member with another subscription makes the
    assignment leave partitions out. What arrives there waits, or is skipped where nothing is committed.
    """
    for worker in required(examination):
        group = worker.lag.group if worker.lag is not None else None
        if group is None or group.state is not GroupState.STABLE or not group.members_known or not group.members:
            continue
        held = {tp for m in group.members for tp in m.assignment}
        free = [p for p in examination.lags(worker.stage) if p.partition not in held]
        young = any(
            c.started_at is not None and examination.at - c.started_at < SETTLED for c in worker.containers or ()
        )
        if not free or young:
            continue
        names = ", ".join(str(p.partition) for p in free)
        yield Found(
            symptom=f"nobody in {group.group_id} holds {names}",
            cause="the members were given other partitions only: partitions were added, or a member reads other topics",
            evidence=(group_line(worker.lag),) if worker.lag is not None else (),
            action=(f"kcfix lag --group {group.group_id}", f"kcfix restart {worker.stage.worker}"),
            about=(*things_of(worker), *(partition_thing(p.partition) for p in free)),
            confidence=Confidence.LIKELY,
            severity=Severity.ERROR if any(p.lag_records or p.skipped_by_latest for p in free) else Severity.CAUTION,
        )


RULES = (
    Rule(
        "G010",
        Severity.CAUTION,
        "A group rebalances",
        rebalancing,
        LOOKED | {Need.LOGS},
        because(same("worker"), "G001", "G002", "W013", "W003", "P018", "K004", "K001"),
        ("9", "17"),
    ),
    Rule(
        "G011",
        Severity.CAUTION,
        "Nobody holds a partition",
        unheld,
        LOOKED,
        because(same("worker"), "G007", "G009", "G010"),
    ),
)
