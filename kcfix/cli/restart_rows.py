"""A restart as JSON rows: `kcfix.restart/v1`."""

from __future__ import annotations

from kcfix.core.logs.milestones import Seen, reached
from kcfix.core.move.pin import Pin
from kcfix.core.move.settlement import Settlement
from kcfix.core.restart.report import Report


def datum(report: Report) -> dict[str, object]:
    """One worker as a JSON row."""
    plan, proof = report.plan, report.proof
    pins = report.pins or plan.pins
    return {
        "worker": report.worker,
        "group": plan.stage.group,
        "way": plan.way,
        "outcome": report.outcome,
        "reason": report.text or (plan.refusal.reason if plan.refusal else None),
        "refused": plan.refusal is not None,
        "loss": plan.loss,
        "notes": plan.notes,
        "containers": [{"name": c.name, "state": c.state, "started_at": c.started_at} for c in plan.containers],
        "group_state": plan.view.group.state if plan.view else None,
        "partitions": [_pin_datum(pin) for pin in pins],
        "steps": tuple(report.steps),
        "stopped": report.stopped,
        "proven": proof.proven if proof else None,
        "work": proof.work.state if proof else None,
        "work_reasons": proof.work.reasons if proof else (),
        "took_seconds": proof.took if proof else None,
        "errors": [e.message for e in proof.errors] if proof and not proof.proven else [],
        "milestones": [
            {"milestone": s.rule.milestone, "count": s.count, "last_at": s.last} for s in milestones(report)
        ],
        "skipped": None if report.lost is None else [_message_datum(s) for s in report.lost],
        "up_command": plan.up_line,
        "exit_code": report.code,
    }


def _pin_datum(pin: Pin) -> dict[str, object]:
    return {
        "topic": pin.partition.topic,
        "partition": pin.partition.partition,
        "committed_offset": pin.committed_offset,
        "log_start_offset": pin.log_start_offset,
        "log_end_offset": pin.log_end_offset,
        "pin_offset": None if pin.refused else pin.offset,
        "unsettled_records": pin.waiting_count if pin.checked else None,
        "unsettled": [_message_datum(s) for s in pin.waiting],
        "blocking": [_message_datum(s) for s in pin.stops],
        "passed": [_message_datum(s) for s in pin.passed],
    }


def _message_datum(s: Settlement) -> dict[str, object]:
    return {
        "topic": s.partition.topic,
        "partition": s.partition.partition,
        "offset": s.offset,
        "payment_id": s.payment_id,
        "reason": s.reason,
        "written_at": s.written_at,
    }


def milestones(report: Report) -> tuple[Seen, ...]:
    """What its containers were seen to reach since their start; nothing that was not seen."""
    proof = report.proof
    if proof is None:
        return ()
    found: list[Seen] = []
    for name in sorted({e.container for e in proof.entries}):
        seen = reached((e for e in proof.entries if e.container == name), report.plan.stage)
        found += [s for s in seen.worker if s.count]
    return tuple(found)
