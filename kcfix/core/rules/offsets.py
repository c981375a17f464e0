"""Rules about committed offsets: gone, never there, before or beyond the log; and a partition with all the work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kcfix.core.diagnosis import Confidence, Found, Need, Severity
from kcfix.core.examination import Examination
from kcfix.core.logparse import offset_of
from kcfix.core.milestones import Milestone, is_milestone
from kcfix.core.offsets import LagState, PartitionLag
from kcfix.core.rule import Rule, because, same, shared
from kcfix.core.rules.groups import LOOKED, on_partition
from kcfix.core.rules.proof import (
    behind,
    catch_up,
    deadline,
    lag_line,
    log_line,
    of_state,
    partition_thing,
    required,
    things_of,
)
from kcfix.core.verdict import VerdictKind


def _names(lags: Iterable[PartitionLag]) -> str:
    return ", ".join(str(p.partition) for p in lags)


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


def offsets_gone(examination: Examination) -> Iterator[Found]:
    """A partition has no committed offset although the worker has handled messages there: the offsets were lost.

    Kafka deletes the offsets of a group that was empty for seven days (`offsets.retention.minutes`), a topic that is
    deleted and made anew takes them along, and somebody can delete the group. From then on it is as if nothing had ever
    been committed: the next plain start skips what waits.
    """
    for worker in required(examination):
        entries = examination.earlier_entries(worker.containers or ())
        handled = {
            place[0]: (place[1], e)
            for e in entries
            if is_milestone(e, Milestone.HANDLED) and (place := offset_of(e)) is not None
        }
        for lag in of_state(examination.lags(worker.stage), LagState.UNCOMMITTED):
            if lag.partition not in handled:
                continue
            offset, line = handled[lag.partition]
            if (examination.at - line.timestamp).total_seconds() < 30:
                continue
            shorter = lag.log_end_offset is not None and offset >= lag.log_end_offset
            hurt = on_partition(examination, lag.partition) if worker.stage.name == "purchase" else ()
            yield Found(
                symptom=f"{worker.stage.group} has lost its committed offset on {lag.partition}",
                cause=(
                    f"the topic was deleted and made anew: offset {offset} was handled, and the log ends before it"
                    if shorter
                    else "the offsets expired while the group was empty, or somebody deleted them"
                ),
                evidence=(lag_line(lag), log_line(line)),
                action=(f"kcfix restart {worker.stage.worker}",),
                about=(*things_of(worker), partition_thing(lag.partition)),
                confidence=Confidence.PROVEN if shorter else Confidence.LIKELY,
                severity=Severity.ERROR if hurt or lag.skipped_by_latest else Severity.CAUTION,
                payments=hurt,
            )


def deleted_unread(examination: Examination) -> Iterator[Found]:
    """The committed offset lies before the log's start: messages were deleted before the group read them.

    Retention (seven days) or a deletion of records took them. A start in this state begins at the end of the log, so it
    skips what is still there as well. The payments are in the database: `kcfix missing --since` finds all of them, and
    `kcfix repair` makes their purchases from there.
    """
    for worker in required(examination):
        lost = of_state(examination.lags(worker.stage), LagState.LOST)
        if not lost:
            continue
        count = sum(p.lost_records or 0 for p in lost)
        yield Found(
            symptom=f"{count} records of {_names(lost)} were deleted before they were read",
            cause="retention, or somebody who deleted records, was faster than the worker",
            evidence=tuple(lag_line(p) for p in lost),
            action=(
                "kcfix missing --since 8d",
                "kcfix missing --since 8d -q | kcfix repair -",
                f"kcfix restart {worker.stage.worker}",
            ),
            about=(*things_of(worker), *(partition_thing(p.partition) for p in lost)),
        )


def ahead_of_log(examination: Examination) -> Iterator[Found]:
    """The committed offset lies beyond the log's end: the log is not the one that it was committed on.

    The topic was deleted and made anew, the broker lost its disk, or another cluster answers. kafkajs then starts at
    the end of the log.
    """
    for worker in required(examination):
        ahead = of_state(examination.lags(worker.stage), LagState.AHEAD)
        if ahead:
            yield Found(
                symptom=f"{worker.stage.group} is committed beyond the end of {_names(ahead)}",
                cause="the topic was made anew, the log was truncated, or this is another cluster",
                evidence=tuple(lag_line(p) for p in ahead),
                action=("kcfix missing --since 8d", f"kcfix restart {worker.stage.worker}"),
                about=(*things_of(worker), *(partition_thing(p.partition) for p in ahead)),
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
        (*because(same("partition"), "G002", "G006"), *because(same("worker"), "G007", "W001", "W002", "W005", "W007")),
        ("1", "6"),
    ),
    Rule("G004", Severity.ERROR, "Messages were deleted before they were read", deleted_unread, LOOKED, modes=("7",)),
    Rule("G005", Severity.ERROR, "An offset lies beyond the end of the log", ahead_of_log, LOOKED, modes=("12",)),
    Rule(
        "G006",
        Severity.CAUTION,
        "Committed offsets are gone",
        offsets_gone,
        LOOKED | {Need.LOGS},
        because(shared, "K004"),
        modes=("7", "12"),
    ),
    Rule("G012", Severity.CAUTION, "One partition has nearly all the work", hot_partition, LOOKED),
)
