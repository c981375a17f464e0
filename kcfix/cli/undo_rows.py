"""What an undo planned and did, as rows for programs (docs/decisions.md 6)."""

from __future__ import annotations

from kcfix.core.undo.apply import UndoResult
from kcfix.core.undo.step import UndoStep


def undo_row(step: UndoStep, result: UndoResult | None) -> dict[str, object]:
    """One step of the run, what is planned about it, and what became of that."""
    return {
        "step": step.step_id,
        "kind": step.kind,
        "action": step.action,
        "why": step.why,
        "notes": step.notes,
        "outcome": result.outcome if result else None,
        "outcome_text": result.text if result else None,
        "changed": result.changed if result else False,
        "payment_id": step.payment_id,
        "purchase_id": step.purchase_id,
        "group": step.group,
        "topic": step.partition.topic if step.partition else None,
        "partition": step.partition.partition if step.partition else None,
        "committed_offset": step.committed_offset,
        "committed_offset_before": step.committed_offset_before,
    }


def about(step: UndoStep) -> str | None:
    """What a step is about: its payment, or its partition; None where it names neither."""
    return step.payment_id or (str(step.partition) if step.partition else None)
