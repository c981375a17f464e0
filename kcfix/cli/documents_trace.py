"""Shape of the document of `kcfix trace`."""

from __future__ import annotations

from collections.abc import Mapping

from kcfix.cli.payment_columns import MAYBE_PAYMENT
from kcfix.cli.shapes import Document, MapOf, Maybe
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.logs.entry import Level
from kcfix.core.story.maker import Maker
from kcfix.core.story.payment_story import Reach
from kcfix.core.story.prognosis import Heals
from kcfix.core.story.stages import StageName, StageState

_ROW: Mapping[str, object] = {
    "payment_id": "string",
    "verdict": VerdictKind,
    "detail": "string?",
    "reason": "string",
    "also": ["string"],
    **MAYBE_PAYMENT,
    "purchase_id": "string?",
    "allocation_ids": ["string"],
    "topic": "string?",
    "partition": "integer?",
    "offset": "integer?",
    "committed_offset": "integer?",
    "log_start_offset": "integer?",
    "log_end_offset": "integer?",
    "waited_seconds": "number?",
    "still_waiting": "boolean?",
    "maker": Maybe({"maker": Maker, "sure": "boolean", "because": "string", "name": "string?"}),
    "prognosis": {
        "means": "string",
        "heals": Heals,
        "how": "string",
        "deadline": "time?",
        "deadline_reason": "string?",
        "commands": ["string"],
    },
    "stages": [{"stage": StageName, "state": StageState, "at": "time?", "proof": "string"}],
    "timeline": [
        {
            "at": "time",
            "gap_seconds": "number?",
            "source": "string",
            "text": "string",
            "sure": "boolean",
            "until": "time?",
            "count": "integer",
        }
    ],
    "undated": [{"source": "string", "text": "string"}],
    "records": [
        {
            "topic": "string",
            "partition": "integer",
            "offset": "integer",
            "timestamp": "time?",
            "key": "string?",
            "event_type": "string?",
            "event_id": "string?",
            "correlation_id": "string?",
            "source": "string?",
            "headers": MapOf("string?"),
            "scanned": "boolean",
            "groups": [
                {
                    "group": "string",
                    "worker": "string",
                    "committed_offset": "integer?",
                    "reach": Reach,
                    "member": "string?",
                    "container": "string?",
                    "unvouched": "boolean",
                }
            ],
        }
    ],
    "dead_letters": [
        {
            "topic": "string?",
            "partition": "integer?",
            "offset": "integer?",
            "copies": "integer",
            "first_at": "time?",
            "last_at": "time?",
            "failure_reason": "string",
        }
    ],
    "log_lines": [
        {
            "timestamp": "time",
            "worker": "string",
            "container": "string",
            "level": Level,
            "message": "string",
            "error": "string?",
            "around": "boolean",
        }
    ],
    "kcfix_steps": [{"run_id": "string", "who": "string", "at": "time?", "step": "string", "state": "string?"}],
    "searched": [
        {
            "system": "string",
            "what": "string",
            "found": "integer?",
            "ranges": [{"topic": "string", "partition": "integer", "start_offset": "integer", "end_offset": "integer"}],
            "error": "string?",
            "note": "string?",
        }
    ],
    "unknown": ["string"],
}

TRACE: Mapping[str, Document] = {
    "trace": Document(
        "A row for each payment, in the order given; what is not known is null, what is not there an empty list.",
        _ROW,
        {"payments": "integer", "verdicts": MapOf("integer"), "scanned_offsets": "integer?"},
    ),
}
