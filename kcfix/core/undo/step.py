"""One step of an undo: what is done about one journalled step of a run, and why."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import PaymentId
from kcfix.core.ports.database import DeleteOrder


class UndoAction(enum.StrEnum):
    """What undo does about one step of the run."""

    DELETE_PURCHASE = "DELETE_PURCHASE"
    COMMIT_OFFSET = "COMMIT_OFFSET"
    NOTHING = "NOTHING"
    """It had no effect, or the effect is gone."""
    CANNOT = "CANNOT"
    """It had an effect that stays; `why` says why."""
    UNKNOWN = "UNKNOWN"
    """A system did not answer, or was not looked at far enough."""

    @property
    def changes(self) -> bool:
        """Whether something is changed."""
        return self in (UndoAction.DELETE_PURCHASE, UndoAction.COMMIT_OFFSET)


@dataclass(frozen=True, slots=True)
class UndoStep:
    """One step of the run and what undo does about it."""

    step_id: str
    kind: str
    """As journalled: insert, announce, replay, commit, stop, start and the like."""
    action: UndoAction
    why: str
    payment_id: PaymentId | None = None
    order: DeleteOrder | None = None
    """The deletion; None unless the action is DELETE_PURCHASE."""
    group: str | None = None
    partition: TopicPartition | None = None
    committed_offset: int | None = None
    """As the run committed it."""
    committed_offset_before: int | None = None
    """As it was before the run, and is to be again; None: nothing was committed."""
    purchase_id: str | None = None
    """The purchase that the step inserted or deleted; None for other steps."""
    notes: tuple[str, ...] = ()
    """What follows from undoing it."""
