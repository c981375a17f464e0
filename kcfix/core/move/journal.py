"""Moves that were cut short: what the journal says of them, so that the next run can say it and finish."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kcfix.core.journal import RunRecord
from kcfix.core.move.committing import offset_text
from kcfix.core.move.target import Target, TargetKind
from kcfix.core.offsets import PartitionLag, TopicPartition
from kcfix.core.undo.journal import MovedOffset, moved_offset

COMMAND = "offsets"
"""What the journal calls the runs of `kcfix offsets`."""


@dataclass(frozen=True, slots=True)
class CutShort:
    """A run of `kcfix offsets` on this group after which not everything stood as it was to."""

    run_id: str
    ended: bool
    """False: it was killed, or still runs."""
    target: str
    """As it was written; empty where the journal does not say."""
    moves: tuple[MovedOffset, ...]
    """What it had begun to commit, in order."""

    def text(self, lags: Iterable[PartitionLag]) -> str:
        """What it did, as far as can be seen now."""
        now = {lag.partition: lag.committed_offset for lag in lags}
        told = []
        for move in self.moves:
            if move.partition not in now:
                continue
            stands = now[move.partition]
            if stands == move.made:
                state = "stands"
            elif stands == move.before:
                state = "was not made"
            else:
                state = f"is {offset_text(stands)} now"
            told.append(f"{move.partition} at {move.made} (before: {offset_text(move.before)}) {state}")
        how = "ended before all was done" if self.ended else "was cut short, or still runs"
        return f"run {self.run_id} {how}; of what it began: {'; '.join(told) or 'nothing here'}"


def cut_short(runs: Sequence[RunRecord], group: str) -> tuple[CutShort, ...]:
    """The runs on this group that did not end well, since the last one that did; the newest first."""
    found = []
    for run in runs:
        if run.command != COMMAND:
            continue
        moves = tuple(m for step in run.steps if (m := moved_offset(step)) is not None and m.group == group)
        if run.code == 0 and (moves or run.summary.get("group") == group):
            break
        if not moves:
            continue
        target = next((str(step.what.get("to", "")) for step in run.steps if step.what.get("to")), "")
        found.append(CutShort(run.id, run.finished, target, moves))
    return tuple(found)


def shift_bases(
    halted: Iterable[CutShort], target: Target, committed: Mapping[TopicPartition, int | None]
) -> dict[TopicPartition, int]:
    """Where a shift begins on partitions that the same shift has moved already, before it was cut short."""
    if target.kind is not TargetKind.SHIFT:
        return {}
    found: dict[TopicPartition, int] = {}
    for run in halted:
        if run.target != target.text:
            break
        for move in run.moves:
            if move.before is not None and committed.get(move.partition) == move.made:
                found.setdefault(move.partition, move.before)
    return found
