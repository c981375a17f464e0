"""Moves of committed offsets, and where a group stands, as rows for programs (docs/decisions.md 6)."""

from __future__ import annotations

from kcfix.core.move.apply import MoveResult
from kcfix.core.move.passage import Passage, is_unsettled
from kcfix.core.move.plan import Move, MovePlan
from kcfix.core.move.settlement import Settlement
from kcfix.core.move.standing import Standing


def move_row(plan: MovePlan, move: Move, result: MoveResult | None) -> dict[str, object]:
    """One partition, what is planned about it, and what became of that."""
    return {
        "group": plan.group.group_id,
        "topic": move.partition.topic,
        "partition": move.partition.partition,
        "committed_offset": move.lag.committed_offset,
        "new_offset": move.place.offset if move.changes else None,
        "how": move.place.how,
        "log_start_offset": move.lag.log_start_offset,
        "log_end_offset": move.lag.log_end_offset,
        "unprotected": move.lag.unprotected,
        "read": _passage(move.reread),
        "skipped": _passage(move.skipped),
        "outcome": result.outcome if result else None,
        "outcome_text": result.text if result else None,
        "changed": result.changed if result else False,
    }


def _passage(passage: Passage | None) -> dict[str, object] | None:
    if passage is None:
        return None
    return {
        "start_offset": passage.range.start,
        "end_offset": passage.range.end,
        "records": passage.records,
        "settled_records": passage.settled_count,
        "unsettled_records": passage.unsettled_count,
        "messages": [message_row(s) for s in passage.listed],
    }


def message_row(s: Settlement) -> dict[str, object]:
    """One message, judged."""
    return {
        "topic": s.partition.topic,
        "partition": s.partition.partition,
        "offset": s.offset,
        "payment_id": s.payment_id,
        "settled": not is_unsettled(s),
        "effect": s.effect,
        "reason": s.reason,
        "written_at": s.written_at,
    }


def standing_row(group: str, standing: Standing) -> dict[str, object]:
    """One partition of a group, and the record on which it stands."""
    lag, record, message = standing.lag, standing.record, standing.message
    return {
        "group": group,
        "topic": lag.partition.topic,
        "partition": lag.partition.partition,
        "committed_offset": lag.committed_offset,
        "log_start_offset": lag.log_start_offset,
        "log_end_offset": lag.log_end_offset,
        "lag_records": lag.lag_records,
        "state": lag.state,
        "unprotected": lag.unprotected,
        "stuck": standing.stuck,
        "offset": record.offset if record else None,
        "written_at": record.timestamp if record else None,
        "event_type": standing.event_type,
        "payment_id": message.payment_id if message else None,
        "effect": message.effect if message else None,
        "settled": None if message is None else not is_unsettled(message),
        "reason": message.reason if message else None,
        "failures": list(standing.failures_of(record.offset)) if record else [],
        "passed": None
        if standing.passed is None
        else {
            "records": standing.passed.records,
            "unsettled_records": standing.passed.unsettled_count,
            "messages": [
                {**message_row(s), "failures": list(standing.failures_of(s.offset))} for s in standing.passed.unsettled
            ],
        },
        "error": standing.error,
    }
