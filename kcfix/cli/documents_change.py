"""Shapes of the documents of the commands that change something, of their journal, and of the drill."""

from __future__ import annotations

from collections.abc import Mapping

from kcfix.cli.payment_columns import MAYBE_PAYMENT
from kcfix.cli.shapes import Document, MapOf, Maybe
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.logs.milestones import Milestone
from kcfix.core.offsets import GroupState
from kcfix.core.repair.plan import Action
from kcfix.core.repair.result import Outcome as RepairOutcome
from kcfix.core.restart.plan import Way
from kcfix.core.restart.report import Outcome as RestartOutcome
from kcfix.core.undo.apply import UndoOutcome
from kcfix.core.undo.step import UndoAction
from kcfix.core.workers import ContainerState
from kcfix.core.working.worker import WorkState

_MESSAGE: Mapping[str, object] = {
    "topic": "string",
    "partition": "integer",
    "offset": "integer",
    "payment_id": "string?",
    "reason": "string?",
    "written_at": "time?",
}
_RUN: Mapping[str, object] = {
    "run": "string",
    "started_at": "time?",
    "ended_at": "time?",
    "finished": "boolean",
    "who": "string",
    "command": "string",
    "context": "string",
    "argv": ["string"],
    "reason": "string?",
    "exit_code": "integer?",
    "steps": "integer",
    "summary": "object",
}

CHANGE: Mapping[str, Document] = {
    "repair": Document(
        "A row for each payment that was named.",
        {
            "payment_id": "string",
            "verdict": VerdictKind,
            "detail": "string?",
            "reason": "string",
            "also": ["string"],
            "action": Action,
            "why": "string",
            "notes": ["string"],
            "outcome": Maybe(RepairOutcome),
            "outcome_text": "string?",
            "changed": "boolean",
            "purchase_id": "string?",
            "event_id": "string?",
            "topic": "string?",
            "partition": "integer?",
            "offset": "integer?",
            "allocation_id": "string?",
            "sessions": "integer?",
            "cache_group_passed": "boolean?",
            **MAYBE_PAYMENT,
        },
        {
            "applied": "boolean",
            "run_id": "string?",
            "payments": "integer",
            "verdicts": MapOf("integer"),
            "actions": MapOf("integer"),
            "outcomes": MapOf("integer"),
            "amount_minor_to_settle": MapOf("integer"),
            "change_seconds~": MapOf("number"),
        },
    ),
    "restart": Document(
        "A row for each worker.",
        {
            "worker": "string",
            "group": "string",
            "way": Way,
            "outcome": RestartOutcome,
            "reason": "string?",
            "refused": "boolean",
            "loss": ["string"],
            "notes": ["string"],
            "containers": [{"name": "string", "state": ContainerState, "started_at": "time?"}],
            "group_state": Maybe(GroupState),
            "partitions": [
                {
                    "topic": "string",
                    "partition": "integer",
                    "committed_offset": "integer?",
                    "log_start_offset": "integer?",
                    "log_end_offset": "integer?",
                    "pin_offset": "integer?",
                    "unsettled_records": "integer?",
                    "unsettled": [_MESSAGE],
                    "blocking": [_MESSAGE],
                    "passed": [_MESSAGE],
                }
            ],
            "steps": ["string"],
            "stopped": ["string"],
            "proven": "boolean?",
            "work": Maybe(WorkState),
            "work_reasons": ["string"],
            "took_seconds": "number?",
            "errors": ["string"],
            "milestones": [{"milestone": Milestone, "count": "integer", "last_at": "time?"}],
            "skipped": Maybe([_MESSAGE]),
            "up_command": "string?",
            "exit_code": "integer",
        },
        {"applied": "boolean", "workers": "integer", "run_id~": "string"},
    ),
    "undo": Document(
        "A row for each step of the run that is to be undone, the newest first.",
        {
            "step": "string",
            "kind": "string",
            "action": UndoAction,
            "why": "string",
            "notes": ["string"],
            "outcome": Maybe(UndoOutcome),
            "outcome_text": "string?",
            "changed": "boolean",
            "payment_id": "string?",
            "purchase_id": "string?",
            "group": "string?",
            "topic": "string?",
            "partition": "integer?",
            "committed_offset": "integer?",
            "committed_offset_before": "integer?",
        },
        {
            "applied": "boolean",
            "run_id": "string?",
            "undone_run": "string",
            "undone_run_finished": "boolean",
            "steps": "integer",
            "actions": MapOf("integer"),
            "outcomes": MapOf("integer"),
            "sent_messages": "integer",
        },
    ),
    "history": Document(
        "A row for each run; a single run has its steps in `step_list`.",
        {
            **_RUN,
            "step_list~": [
                {"step": "string", "at": "time?", "what": "object", "done_at": "time?", "result": Maybe("object")}
            ],
        },
        {"runs~": "integer", "unfinished~": "integer"},
    ),
    "drill-status": Document(
        "One row: the drill.",
        {
            "name": "string",
            "project": "string",
            "network": "string",
            "kafka_version": "string",
            "processed_events": "string",
            "unique_index": "boolean",
            "brokers": ["string"],
            "address_map": MapOf("string"),
            "dsn": "string",
            "data_folder": "string",
            "context_file": "string",
            "faults": ["string"],
            "containers": [
                {
                    "service": "string",
                    "container": "string",
                    "state": "string",
                    "exit_code": "integer?",
                    "restart_count": "integer",
                    "port": "integer?",
                }
            ],
            "ports": MapOf("integer"),
        },
        {},
    ),
    "drill-down": Document(
        "A row for each thing that was removed.",
        {"removed": "string"},
        {"name": "string", "removed_count": "integer"},
    ),
    "drill-buy": Document("A row for each payment.", {"payment_id": "string"}, {"payments_count": "integer"}),
    "drill-break": Document(
        "A row for each fault that was made.",
        {"fault": "string", "since": "string", "payment_ids": ["string"], "poison_payment_ids": ["string"]},
        {},
    ),
    "drill-mend": Document("A row for each fault that was undone.", {"fault": "string"}, {}),
    "drill-faults": Document(
        "A row for each fault that can be made.",
        {
            "fault": "string",
            "area": "string",
            "modes": ["string"],
            "what": "string",
            "seen": "string",
            "broken": "boolean",
            "since": "string?",
        },
        {},
    ),
    "drill-pairs": Document(
        "A row for each pair of faults that occur together.", {"faults": ["string"], "why": "string"}, {}
    ),
}
