"""Shapes of the documents of `watch` and `probe`."""

from __future__ import annotations

from collections.abc import Mapping

from kcfix.cli.shapes import Document, MapOf, Maybe
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.offsets import GroupState
from kcfix.core.story.stages import StageName, StageState
from kcfix.core.watching.observation import System
from kcfix.core.working.worker import WorkState

_WORKER: Mapping[str, object] = {
    "worker": "string",
    "state": WorkState,
    "containers": "integer?",
    "restart_count": "integer?",
    "group": "string",
    "group_state": Maybe(GroupState),
    "lag_records": "integer?",
    "unknown_partitions": "integer?",
    "unprotected_partitions": "integer?",
    "arrived_per_second": "number?",
    "committed_per_second": "number?",
    "catch_up_seconds": "number?",
    "falls_behind": "boolean?",
    "new_error_lines": "integer?",
}
_LOOK: Mapping[str, object] = {
    "generated_at": "time",
    "look": "integer",
    "began_at": "time?",
    "took_seconds": "number",
    "silent": [{"system": System, "since": "time", "error": "string"}],
    "workers": [_WORKER],
    "payments": Maybe(
        {
            "without_purchase": "integer",
            "not_well": "integer",
            "in_flight": "integer",
            "amounts_minor": MapOf("integer"),
            "oldest_age_seconds": "number?",
        }
    ),
    "dead_letters_end_offset": "integer?",
    "changes": ["string"],
}
WATCH: Mapping[str, Document] = {
    "watch": Document(
        "A stream: one object for each look. What a silent system would have told is null.", _LOOK, {}, _LOOK
    ),
    "probe": Document(
        "A row for each stage of the payment that was followed; none in a dry run, or where no payment came.",
        {"stage": StageName, "state": StageState, "at": "time?", "after_seconds": "number?", "proof": "string"},
        {
            "mode": "string",
            "payment_id": "string?",
            "came_through": "boolean?",
            "verdict": Maybe(VerdictKind),
            "through_seconds": "number?",
            "run_id": "string?",
            "left_behind": ["string"],
            "earlier_probes": [{"payment_id": "string", "paid_at": "time", "verdict": VerdictKind}],
        },
    ),
}
