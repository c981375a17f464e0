"""Whether an offset that a run committed can be put back (docs/decisions.md 4), decided on what was read now."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from kcfix.core.judging.snapshot import Reading
from kcfix.core.move.committing import offset_text
from kcfix.core.move.settlement import Settlement
from kcfix.core.offsets import Committed, LogOffsets, TopicPartition
from kcfix.core.undo.journal import MovedOffset
from kcfix.core.undo.step import UndoAction


@dataclass(frozen=True, slots=True)
class Between:
    """The messages between the offset that the run committed and the one before it."""

    unsettled_count: int = 0
    """Messages that somebody still waits for, or of which that can't be checked."""
    stop: Settlement | None = None
    """The first message that the worker must not read; None if there is none."""
    unsettled: Settlement | None = None
    """The first unsettled one; None if there is none."""
    checked: bool = True
    """Whether the tables can tell which messages of the group are settled; if not, all count as unsettled."""


@dataclass(frozen=True, slots=True)
class GroupNow:
    """A consumer group whose offsets the run moved."""

    empty: bool
    """Whether it surely has no member."""
    running: tuple[str, ...] | None
    """Names of running containers of its worker; None where that is not known: the group is the only evidence."""
    committed: Mapping[TopicPartition, Committed]
    logs: Mapping[TopicPartition, LogOffsets]
    between: Mapping[TopicPartition, Reading[Between]] = field(default_factory=dict)
    """For each partition on which both offsets lie in the log."""


UNREAD = "it was not read"


def offset_back(moved: MovedOffset, reading: Reading[GroupNow]) -> tuple[UndoAction, str]:
    """What is done about an offset that the run committed, and why."""
    where, made, before = moved.partition, moved.made, moved.before
    if reading.value is None:
        return UndoAction.UNKNOWN, f"the group: {reading.error}"
    group = reading.value
    found = group.committed.get(where, Committed(None))
    if found.error is not None:
        return UndoAction.UNKNOWN, f"the committed offset: {found.error}"
    if found.offset == before:
        return UndoAction.NOTHING, "the committed offset is as it was before the run"
    if found.offset != made:
        return UndoAction.CANNOT, f"the committed offset is {offset_text(found.offset)} now; the run committed {made}"
    if before is None:
        why = "nothing was committed before the run: without an offset the next start would skip what waits"
        return UndoAction.CANNOT, why
    if not group.empty:
        return UndoAction.CANNOT, "the group has a member, or may have one, whose next commit would undo it; stop it"
    if group.running:
        return UndoAction.CANNOT, f"{', '.join(group.running)} is running; stop it first"
    log = group.logs.get(where)
    if log is None or log.error is not None or log.log_start_offset is None or log.log_end_offset is None:
        return UndoAction.UNKNOWN, f"the log: {(log.error if log else None) or UNREAD}"
    if not log.log_start_offset <= before <= log.log_end_offset:
        why = f"{before} is outside the log ({log.log_start_offset} to {log.log_end_offset}): it would protect nothing"
        return UndoAction.CANNOT, why
    between = group.between.get(where, Reading.unknown(UNREAD))
    if between.value is None:
        return UndoAction.UNKNOWN, f"the messages between {before} and {made}: {between.error}"
    return _forward(moved, before, between.value) if before > made else _backward(made, before, between.value)


def _backward(made: int, before: int, between: Between) -> tuple[UndoAction, str]:
    if between.stop is not None:
        why = f"the worker would read offset {between.stop.offset} again and must not: {between.stop.reason}"
        return UndoAction.CANNOT, why
    text = f"from {made} back to {before}: up to {made - before} messages are read again"
    return UndoAction.COMMIT_OFFSET, f"{text}, {between.unsettled_count} of them unsettled"


def _forward(moved: MovedOffset, before: int, between: Between) -> tuple[UndoAction, str]:
    owed = between.unsettled or between.stop
    if owed is None:
        return UndoAction.COMMIT_OFFSET, f"from {moved.made} on to {before}: the messages between are settled"
    why = f"moving on from {moved.made} to {before} would skip offset {owed.offset}: {owed.reason}"
    if not between.checked:
        topic, partition = moved.partition
        reset = shlex.join(("kcfix", "offsets", "reset", "--group", moved.group, "--topic", f"{topic}:{partition}"))
        why += f"; if it may be lost: {reset} --to {before} --accept-unchecked"
    return UndoAction.CANNOT, why
