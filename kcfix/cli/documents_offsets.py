"""Shapes of the documents of `kcfix offsets`."""

from __future__ import annotations

from collections.abc import Mapping

from kcfix.cli.shapes import Document, MapOf, Maybe
from kcfix.core.move.apply import MoveOutcome
from kcfix.core.move.settlement import Effect
from kcfix.core.offsets import GroupState, LagState

_MESSAGE: Mapping[str, object] = {
    "topic": "string",
    "partition": "integer",
    "offset": "integer",
    "payment_id": "string?",
    "settled": "boolean",
    "effect": Effect,
    "reason": "string",
    "written_at": "time?",
}
_PASSAGE: Mapping[str, object] = {
    "start_offset": "integer",
    "end_offset": "integer",
    "records": "integer",
    "settled_records": "integer",
    "unsettled_records": "integer",
    "messages": [_MESSAGE],
}
_LOG: Mapping[str, object] = {
    "topic": "string",
    "partition": "integer",
    "committed_offset": "integer?",
    "log_start_offset": "integer?",
    "log_end_offset": "integer?",
}

OFFSETS: Mapping[str, Document] = {
    "offsets": Document(
        "A row for each partition, with the record that the group reads next there.",
        {
            "group": "string",
            **_LOG,
            "lag_records": "integer?",
            "state": LagState,
            "unprotected": "boolean?",
            "stuck": "boolean",
            "offset": "integer?",
            "written_at": "time?",
            "event_type": "string?",
            "payment_id": "string?",
            "effect": Maybe(Effect),
            "settled": "boolean?",
            "reason": "string?",
            "failures": ["string"],
            "passed": Maybe(
                {
                    "records": "integer",
                    "unsettled_records": "integer",
                    "messages": [{**_MESSAGE, "failures": ["string"]}],
                }
            ),
            "error": "string?",
        },
        {
            "groups": [{"group": "string", "state": GroupState, "worker": "string?"}],
            "stuck_partitions": "integer",
            "unsettled_unprotected_records": "integer",
        },
    ),
    "offsets-move": Document(
        "A row for each partition that was chosen: reset, pin, skip-one and import.",
        {
            "group": "string",
            **_LOG,
            "new_offset": "integer?",
            "how": "string",
            "unprotected": "boolean?",
            "read": Maybe(_PASSAGE),
            "skipped": Maybe(_PASSAGE),
            "outcome": Maybe(MoveOutcome),
            "outcome_text": "string?",
            "changed": "boolean",
        },
        {
            "applied": "boolean",
            "run_id": "string?",
            "group": "string",
            "group_state": GroupState,
            "worker": "string?",
            "checked": "boolean",
            "target": "string",
            "refusals": ["string"],
            "cut_short": ["string"],
            "outcomes": MapOf("integer"),
            "offsets_kept_seconds": "number?",
            "offsets_expire_at": "time?",
        },
    ),
    "offsets-export": Document(
        "A row for each partition that was written.",
        _LOG,
        {"group": "string", "cluster_id": "string?", "file": "string", "partitions": "integer"},
    ),
}
