"""Carries out an undo: journalled before each effect, guarded inside it, read back after it.

Killed at any point, the next undo of the same run finds what is gone or back already and does the rest.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kcfix.core.journal import Recorder
from kcfix.core.move.committing import OffsetCommit, changed_since, commit_offsets
from kcfix.core.payments import PaymentId
from kcfix.core.ports.database import DatabasePort, DeleteRecheck, DeleteResult, DeleteState
from kcfix.core.ports.kafka import KafkaPort
from kcfix.core.undo.step import UndoAction, UndoStep
from kcfix.errors import KcfixError, OutcomeUnknown, Unreachable


class UndoOutcome(enum.StrEnum):
    """What became of one step."""

    UNDONE = "UNDONE"
    REFUSED = "REFUSED"
    """The world changed after the plan was made; it is as it was."""
    FAILED = "FAILED"
    """It is as it was: a system said no, or did not answer before the change."""
    UNSEEN = "UNSEEN"
    """It may have been undone: nobody answered, or it reads back otherwise."""
    LEFT = "LEFT"
    """Nothing was tried: the run ended before it."""


@dataclass(frozen=True, slots=True)
class UndoResult:
    """What became of one step, in words."""

    step_id: str
    outcome: UndoOutcome
    text: str
    changed: bool = False
    """Whether this run changed something about it, or may have."""


@dataclass
class Undoing:
    """One run of undo."""

    database: Callable[[], DatabasePort]
    kafka: Callable[[], KafkaPort]
    journal: Recorder
    recheck: DeleteRecheck
    """Asked under the worker's lock; it has to look for an announcement once more."""
    results: dict[str, UndoResult] = field(default_factory=dict)
    """By the id of the step that is undone; changed as it goes, so that it can be shown on every way out."""
    done: Callable[[int], None] = lambda count: None
    """Told how many more steps are through."""

    def do(self, steps: Sequence[UndoStep]) -> bool:
        """Undo these steps in order; whether none was left in doubt. The first in doubt stops the run.

        Raises:
            Refused: the journal can't be written; the step that was next is as it was.
        """
        for step in steps:
            match step.action:
                case UndoAction.DELETE_PURCHASE:
                    self._delete(step)
                case UndoAction.COMMIT_OFFSET:
                    self._commit(step)
                case UndoAction.NOTHING | UndoAction.CANNOT | UndoAction.UNKNOWN:
                    continue
            self.done(1)
            if self.results[step.step_id].outcome is UndoOutcome.UNSEEN:
                return False
        return True

    def _note(self, step: UndoStep, outcome: UndoOutcome, text: str, *, changed: bool = False) -> None:
        self.results[step.step_id] = UndoResult(step.step_id, outcome, text, changed)

    def _delete(self, step: UndoStep) -> None:
        order = step.order
        assert order is not None  # noqa: S101  a DELETE_PURCHASE step has an order
        id = self.journal.intend(
            {"step": "delete", "undoes": step.step_id, "payment_id": order.payment_id, "purchase_id": order.purchase.id}
        )
        self._note(
            step, UndoOutcome.UNSEEN, "the deletion was begun; whether it was committed is unknown", changed=True
        )
        try:
            (result,) = self.database().delete([order], self.recheck)
        except OutcomeUnknown as error:
            result = DeleteResult(order.payment_id, DeleteState.UNKNOWN, error.message)
        except KcfixError as error:
            result = DeleteResult(order.payment_id, DeleteState.FAILED, error.message)
        there: bool | None = None
        if result.state in (DeleteState.DELETED, DeleteState.UNKNOWN, DeleteState.GONE):
            there = self._is_there(order.payment_id, order.purchase.id)
        self.journal.done(id, {"state": result.state, "reason": result.reason, "read_back": there})
        match result.state:
            case DeleteState.REFUSED:
                self._note(step, UndoOutcome.REFUSED, result.reason or "the world changed")
            case DeleteState.FAILED:
                self._note(step, UndoOutcome.FAILED, result.reason or "rolled back")
            case DeleteState.DELETED | DeleteState.GONE | DeleteState.UNKNOWN:
                self._note(step, *_read_back(result, there), changed=result.state is not DeleteState.GONE)

    def _is_there(self, payment: PaymentId, purchase: str) -> bool | None:
        """Whether the purchase is in the table; None where nobody answered."""
        try:
            facts = self.database().facts([payment])[payment]
        except Unreachable:
            return None
        return any(p.id == purchase for p in facts.purchases)

    def _commit(self, step: UndoStep) -> None:
        where, group, before = step.partition, step.group, step.committed_offset_before
        assert where is not None  # noqa: S101  a COMMIT_OFFSET step names them
        assert group is not None  # noqa: S101
        assert before is not None  # noqa: S101
        commit = OffsetCommit(where, step.committed_offset, before)
        try:
            why_not = self._moved(group, commit)
        except KcfixError as error:
            self._note(step, UndoOutcome.FAILED, error.message)
            return
        if why_not is not None:
            self._note(step, UndoOutcome.REFUSED, why_not)
            return
        lines: list[str] = []
        self._note(
            step, UndoOutcome.UNSEEN, f"the commit of {where} was begun; whether it stands is unknown", changed=True
        )
        why = commit_offsets(self.kafka(), group, [commit], self.journal, lines)
        if why is None:
            self._note(step, UndoOutcome.UNDONE, f"{where} is committed at {before} again", changed=True)
        else:
            self._note(step, UndoOutcome.UNSEEN if lines else UndoOutcome.FAILED, why, changed=bool(lines))

    def _moved(self, group: str, commit: OffsetCommit) -> str | None:
        """Why the offset must not be put back any more; the broker itself refuses a commit to a group with members."""
        where = commit.partition
        log = self.kafka().log_offsets([where]).get(where)
        start = log.log_start_offset if log else None
        if start is None:
            raise Unreachable(f"the log of {where}: {(log.error if log else None) or 'no answer'}", system="kafka")
        if commit.offset < start:
            return f"{commit.offset} is no longer in the log"
        return changed_since(self.kafka(), group, commit)


def _read_back(result: DeleteResult, there: bool | None) -> tuple[UndoOutcome, str]:
    if there is None:
        text = "deleted; nobody answered when it was read back" if result.state is DeleteState.DELETED else None
        return UndoOutcome.UNSEEN, text or result.reason or "not read back"
    if not there:
        return UndoOutcome.UNDONE, "the purchase is gone"
    if result.state is DeleteState.UNKNOWN:
        return UndoOutcome.UNSEEN, "the commit was not answered and the purchase is there; look again"
    if result.state is DeleteState.DELETED:
        return UndoOutcome.UNSEEN, "deleted, and there again when it was read back: somebody made it since"
    return UndoOutcome.REFUSED, "it was gone, and is there again: somebody made it since"
