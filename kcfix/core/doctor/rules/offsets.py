"""Rules about committed offsets: gone, never there, before or beyond the log; and a partition with all the work."""

from __future__ import annotations

from collections.abc import Iterator

from kcfix.core.doctor.diagnosis import Found, Severity
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import Rule, because, same
from kcfix.core.doctor.rules.groups import LOOKED, on_partition
from kcfix.core.doctor.rules.pace import catch_up
from kcfix.core.doctor.rules.proof import behind, deadline, lag_line, of_state, partition_thing, required, things_of
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.offsets import LagState


def unprotected(examination: Examination) -> Iterator[Found]:
    """Messages lie on a partition on which the group has no committed offset.

    The document's "stuck" consumer: Stable, offsets and lag shown as `-`. An idle worker never commits, and a start
    without a commit begins at the end of the log (`fromBeginning: false`): what lies there is skipped for good, and no
    lag shows it. Never "reset to latest", which the old notes recommend: it throws those payments away.

    An error where payments without a purchase lie there; else a caution: the next plain start skips what has not been
    handled. `kcfix restart` commits first.
    """
    for worker in required(examination):
        risky = [p for p in of_state(examination.lags(worker.stage), LagState.UNCOMMITTED) if p.skipped_by_latest]
        if not risky:
            continue
        hurt = tuple(f for p in risky for f in on_partition(examination, p.partition))
        hurt = hurt if worker.stage.name == "purchase" else ()
        names = ", ".join(str(p.partition) for p in risky)
        count = sum(p.skipped_by_latest or 0 for p in risky)
        skipped = [f for f in hurt if f.verdict.kind is not VerdictKind.AT_RISK]
        lost = "a start at the log end skipped them" if skipped else "the next plain start skips what waits there"
        yield Found(
            symptom=f"{worker.stage.group} has no committed offset on {names}, where {count} records lie",
            cause=f"nothing was ever committed there, or it is gone; {lost}",
            evidence=tuple(lag_line(p) for p in risky),
            action=(
                *((f"kcfix repair {' '.join(f.payment.id for f in skipped[:20])}",) if skipped else ()),
                f"kcfix restart {worker.stage.worker}",
            ),
            about=(*things_of(worker), *(partition_thing(p.partition) for p in risky)),
            severity=Severity.ERROR if hurt else Severity.CAUTION,
            payments=hurt,
        )


def hot_partition(examination: Examination) -> Iterator[Found]:
    """Nearly all that waits lies on one partition, while the others have nothing to do.

    Keys that all fall on one partition (a bulk import, one constant key) make one consumer do all the work. A backlog
    on one partition that goes down is passed by itself; more instances do not help.
    """
    for worker in required(examination):
        lags = [p for p in examination.lags(worker.stage) if p.lag_records is not None]
        total = behind(examination, worker.stage)
        broker = examination.broker.value
        if len(lags) < 3 or total < 20 or broker is None:
            continue
        top = max(lags, key=lambda p: p.lag_records or 0)
        written = {tp: n for tp, n in broker.recent.items() if tp.topic == top.partition.topic}
        share = written.get(top.partition, 0) / max(1, sum(written.values()))
        head = broker.heads.get((worker.stage.group, top.partition))
        if (top.lag_records or 0) < 0.8 * total or share < 0.8 or (head is not None and head.failing):
            continue
        yield Found(
            symptom=f"{top.lag_records} of {total} waiting records lie on {top.partition}",
            cause=f"{share:.0%} of what was written in the last ten minutes went to this one partition",
            evidence=tuple(lag_line(p) for p in lags),
            action=(f"kcfix lag --group {worker.stage.group} --watch 5s",),
            about=(*things_of(worker), partition_thing(top.partition)),
            catch_up=catch_up(examination, worker),
            deadline=deadline(examination, worker.stage),
            heals="as fast as one consumer handles it",
        )


RULES = (
    Rule(
        "G003",
        Severity.CAUTION,
        "Messages lie on a partition without a committed offset",
        unprotected,
        LOOKED,
        (*because(same("partition"), "G002", "G006", "G011"), *because(same("worker"), "G007")),
        ("1", "6"),
    ),
    Rule("G012", Severity.CAUTION, "One partition has nearly all the work", hot_partition, LOOKED),
)
