"""Dead letters, and what a replay did about them, as rows for programs (docs/decisions.md 6)."""

from __future__ import annotations

from collections.abc import Mapping

from kcfix.cli.dlq_reading import Looked, Window
from kcfix.core.dlq.letter import DlqState, Original
from kcfix.core.dlq.parking import ParkEntry
from kcfix.core.dlq.plan import DlqPlan, DlqStep
from kcfix.core.dlq.read import stage_of
from kcfix.core.dlq.result import DlqResult
from kcfix.core.dlq.store import Cause, Counts
from kcfix.flow import Flow


def states(counts: Mapping[DlqState, int]) -> dict[str, int]:
    """Every state with its number, 0 where there is none."""
    return {state.value: counts.get(state, 0) for state in DlqState}


def cause_row(cause: Cause, flow: Flow) -> dict[str, object]:
    """One cause."""
    stage = stage_of(flow, cause.topic)
    return {
        "cause": cause.code,
        "topic": cause.topic,
        "worker": stage.worker if stage else None,
        "messages": cause.messages,
        "unsettled": cause.owed,
        "letters": cause.letters,
        "states": states(cause.states),
        "first_at": cause.first_at,
        "last_at": cause.last_at,
        "example": str(cause.example.place),
        "example_payment_id": cause.example.payment_id,
        "reason": cause.example.reason,
    }


def message_row(original: Original, flow: Flow) -> dict[str, object]:
    """One message with all its letters."""
    stage = stage_of(flow, original.place.topic)
    return {
        "message": str(original.place),
        "topic": original.place.topic,
        "partition": original.place.partition,
        "offset": original.place.offset,
        "worker": stage.worker if stage else None,
        "payment_id": original.payment_id,
        "event_id": original.event_id,
        "state": original.state,
        "why": original.judged.why if original.judged else "not looked at",
        "unsettled": original.judged.owed if original.judged else True,
        "letters": original.letters,
        "first_at": original.first_at,
        "last_at": original.last_at,
        "cause": original.cause,
        "reason": original.reason,
        "letter": str(original.letter),
    }


def summary(found: Looked, span: Window, counts: Counts) -> dict[str, object]:
    """The sums, and what they are of."""
    return {
        "letters": counts.letters,
        "messages": counts.messages,
        "unsettled": counts.owed,
        "states": states(counts.states),
        "no_dead_letters": found.mailbox.unreadable,
        "since": span.since,
        "until": span.until,
        "unread_partitions": [str(tp) for tp in sorted(found.mailbox.failed)],
    }


def step_row(step: DlqStep, result: DlqResult | None) -> dict[str, object]:
    """One message of a replay, and what became of it."""
    original = step.original
    event = step.source.event if step.source else None
    return {
        "message": step.name,
        "payment_id": original.payment_id if original else None,
        "event_id": event.event_id if event else original.event_id if original else None,
        "cause": original.cause if original else None,
        "state": original.state if original else None,
        "action": step.action,
        "why": step.why,
        "notes": step.notes,
        "target": str(step.target) if step.target else None,
        "replays": step.replays,
        "from_log": step.source.from_log if step.source else None,
        "outcome": result.outcome if result else None,
        "outcome_text": result.text if result else None,
        "changed": result.changed if result else False,
    }


def replay_summary(
    plan: DlqPlan, results: Mapping[str, DlqResult], *, applied: bool, run_id: str | None
) -> dict[str, object]:
    """The sums of a replay."""
    actions: dict[str, int] = {}
    outcomes: dict[str, int] = {}
    for step in plan.steps:
        actions[step.action] = actions.get(step.action, 0) + 1
    for result in results.values():
        outcomes[result.outcome] = outcomes.get(result.outcome, 0) + 1
    return {
        "applied": applied,
        "run_id": run_id,
        "messages": len(plan.steps),
        "actions": actions,
        "outcomes": outcomes,
        "left": {state.value: count for state, count in plan.left.items() if count},
        "unlisted": plan.unlisted,
        "beyond_max": plan.beyond,
    }


def park_row(entry: ParkEntry) -> dict[str, object]:
    """One line of the file of parked messages."""
    return {
        "message": str(entry.place),
        "payment_id": entry.payment_id,
        "event_id": entry.event_id,
        "cause": entry.cause,
        "parked": entry.parked,
        "reason": entry.reason,
        "who": entry.who,
        "at": entry.at,
        "context": entry.context,
        "cluster_id": entry.cluster_id,
    }
