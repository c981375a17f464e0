"""Carries out moves of committed offsets: looked at once more before each, journalled, read back.

Killed at any point, the next run finds some partitions moved and moves the rest; what is committed stays.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kcfix.core.journal import Recorder
from kcfix.core.move.committing import changed_since, commit_offsets
from kcfix.core.move.plan import Move, in_the_way, move_text
from kcfix.core.offsets import TopicPartition
from kcfix.core.ports.kafka import KafkaPort
from kcfix.errors import KcfixError, Unreachable


class MoveOutcome(enum.StrEnum):
    """What became of one partition."""

    MOVED = "MOVED"
    REFUSED = "REFUSED"
    """The world changed after the plan was made; the offset is as it was."""
    FAILED = "FAILED"
    """The offset is as it was: Kafka said no, or did not answer before the commit."""
    UNSEEN = "UNSEEN"
    """It may have been committed: nobody answered, or it reads back otherwise."""
    LEFT = "LEFT"
    """Nothing was tried: the run ended before it."""


@dataclass(frozen=True, slots=True)
class MoveResult:
    """What became of one partition, in words."""

    outcome: MoveOutcome
    text: str
    changed: bool = False
    """Whether this run changed it, or may have."""


@dataclass
class Moving:
    """One run of `kcfix offsets`."""

    group: str
    target: str
    """As it was written, for the journal."""
    kafka: Callable[[], KafkaPort]
    running: Callable[[], tuple[str, ...] | None]
    """Containers of the group's worker that run; None where that can't be told."""
    journal: Recorder
    results: dict[TopicPartition, MoveResult] = field(default_factory=dict)
    """Changed as it goes, so that it can be shown on every way out."""

    def do(self, moves: Sequence[Move]) -> None:
        """Move these partitions in order; the first one that does not stand afterwards ends the run.

        Raises:
            Refused: the journal can't be written; the partition that was next is as it was.
        """
        for move in moves:
            self._move(move)
            if self.results[move.partition].outcome is not MoveOutcome.MOVED:
                return

    def _note(self, move: Move, outcome: MoveOutcome, text: str, *, changed: bool = False) -> None:
        self.results[move.partition] = MoveResult(outcome, text, changed)

    def _move(self, move: Move) -> None:
        try:
            why_not = self._why_not(move)
        except KcfixError as error:
            self._note(move, MoveOutcome.FAILED, error.message)
            return
        if why_not is not None:
            self._note(move, MoveOutcome.REFUSED, why_not)
            return
        lines: list[str] = []
        self._note(move, MoveOutcome.UNSEEN, "the commit was begun; whether it stands is unknown", changed=True)
        words = {"to": self.target}
        why = commit_offsets(self.kafka(), self.group, [move.commit], self.journal, lines, words=words)
        if why is None:
            self._note(move, MoveOutcome.MOVED, move_text(move), changed=True)
        else:
            self._note(move, MoveOutcome.UNSEEN if lines else MoveOutcome.FAILED, why, changed=bool(lines))

    def _why_not(self, move: Move) -> str | None:
        """Why it must not be made any more; None if it may. The broker itself refuses a commit to a group in use."""
        group = self.kafka().groups([self.group])[self.group]
        if blocked := in_the_way(group, self.running()):
            return blocked[0].reason
        log = self.kafka().log_offsets([move.partition]).get(move.partition)
        if log is None or log.log_start_offset is None or log.log_end_offset is None:
            raise Unreachable(f"{move.partition}: {(log.error if log else None) or 'no offsets'}", system="kafka")
        if not log.log_start_offset <= move.commit.offset <= log.log_end_offset:
            return f"the log is {log.log_start_offset} to {log.log_end_offset} now: {move.commit.offset} is outside"
        return changed_since(self.kafka(), self.group, move.commit)
