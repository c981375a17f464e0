"""Shapes of the documents of `kcfix dlq`."""

from __future__ import annotations

from collections.abc import Mapping

from kcfix.cli.shapes import Document, MapOf, Maybe
from kcfix.core.dlq.letter import DlqState
from kcfix.core.dlq.plan import DlqAction
from kcfix.core.dlq.result import DlqOutcome

_STATES: Mapping[str, object] = {state.value: "integer" for state in DlqState}
_SUMMARY: Mapping[str, object] = {
    "letters": "integer",
    "messages": "integer",
    "unsettled": "integer",
    "states": _STATES,
    "no_dead_letters": "integer",
    "since": "time?",
    "until": "time?",
    "unread_partitions": ["string"],
}
_MESSAGE: Mapping[str, object] = {
    "message": "string",
    "topic": "string",
    "partition": "integer",
    "offset": "integer",
    "worker": "string?",
    "payment_id": "string?",
    "event_id": "string?",
    "state": DlqState,
    "why": "string",
    "unsettled": "boolean",
    "letters": "integer",
    "first_at": "time?",
    "last_at": "time?",
    "cause": "string",
    "reason": "string",
    "letter": "string",
}

DLQ: Mapping[str, Document] = {
    "dlq": Document(
        "A row for each cause of dead letters, those with most that is unsettled first.",
        {
            "cause": "string",
            "topic": "string",
            "worker": "string?",
            "messages": "integer",
            "unsettled": "integer",
            "letters": "integer",
            "states": _STATES,
            "first_at": "time?",
            "last_at": "time?",
            "example": "string",
            "example_payment_id": "string?",
            "reason": "string",
        },
        _SUMMARY,
    ),
    "dlq-messages": Document(
        "A row for each message that dead letters are copies of, the newest first.",
        _MESSAGE,
        _SUMMARY,
        stream=(_MESSAGE, {"summary": _SUMMARY}),
    ),
    "dlq-show": Document(
        "A row for each message, with its letters, the event's ids and what is left of the original.",
        {
            **_MESSAGE,
            "in_topic": "boolean?",
            "key": "string?",
            "replays": "integer?",
            "event": Maybe(MapOf("string?")),
            "headers": MapOf("string?"),
            "causes": MapOf("integer"),
            "letter_list": [
                {"letter": "string", "at": "time?", "attempts": "integer?", "cause": "string", "reason": "string"}
            ],
            "advice": "string",
        },
        {"messages": "integer", "unsettled": "integer"},
    ),
    "dlq-replay": Document(
        "A row for each message that was looked at.",
        {
            "message": "string",
            "payment_id": "string?",
            "event_id": "string?",
            "cause": "string?",
            "state": Maybe(DlqState),
            "action": DlqAction,
            "why": "string",
            "notes": ["string"],
            "target": "string?",
            "replays": "integer",
            "from_log": "boolean?",
            "outcome": Maybe(DlqOutcome),
            "outcome_text": "string?",
            "changed": "boolean",
        },
        {
            "applied": "boolean",
            "run_id": "string?",
            "messages": "integer",
            "actions": MapOf("integer"),
            "outcomes": MapOf("integer"),
            "left": MapOf("integer"),
            "unlisted": "integer",
            "beyond_max": "integer",
        },
    ),
    "dlq-park": Document(
        "A row for each message that was parked, or is no longer.",
        {
            "message": "string",
            "payment_id": "string?",
            "event_id": "string?",
            "cause": "string",
            "parked": "boolean",
            "reason": "string",
            "who": "string",
            "at": "time",
            "context": "string",
            "cluster_id": "string?",
        },
        {"file": "string"},
    ),
}
