"""Shapes of the documents of the commands that only look."""

from __future__ import annotations

from collections.abc import Mapping

from kcfix.cli.payment_columns import PAYMENT
from kcfix.cli.shapes import Const, Document, MapOf, Maybe
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.logs.entry import Dialect, Level
from kcfix.core.logs.milestones import Milestone
from kcfix.core.offsets import GroupState, LagState
from kcfix.core.ports.database import IndexState
from kcfix.core.repair.remedy import Remedy
from kcfix.core.status.system import Health
from kcfix.core.topics import TopicState
from kcfix.core.workers import ContainerState, Stream
from kcfix.core.working.signs import Sure
from kcfix.core.working.worker import WorkState
from kcfix.settings import Source

_OFFSETS: Mapping[str, object] = {
    "committed_offset": "integer?",
    "log_start_offset": "integer?",
    "log_end_offset": "integer?",
}
_GROUP: Mapping[str, object] = {
    "group": "string",
    "state": GroupState,
    "type": "string?",
    "members": "integer?",
    "lag_records": "integer?",
    "known_lag_records": "integer?",
    "partitions": "integer",
    "unknown_partitions": "integer",
    "unprotected_partitions": "integer",
    "skipped_by_latest_records": "integer?",
    "missing_topics": ["string"],
    "error": "string?",
}
_CONTAINER: Mapping[str, object] = {
    "container": "string",
    "service": "string?",
    "project": "string?",
    "state": ContainerState,
    "container_health": "string?",
    "since": "time?",
    "since_seconds": "number?",
    "restart_count": "integer",
    "host": "string?",
    "restart_policy": "string",
    "exit_code": "integer?",
    "oom_killed": "boolean",
}

WORD: Mapping[str, object] = {
    "payment_id": "string",
    "verdict": Maybe(VerdictKind),
    "reason": "string",
    "who": "string",
    "at": "time",
    "context": "string",
}
MISSING: Mapping[str, object] = {
    "payment_id": "string",
    "verdict": VerdictKind,
    "reason": "string",
    "detail": "string?",
    "also": ["string"],
    "remedy": Remedy,
    "age_seconds": "number",
    **PAYMENT,
    "acknowledged": "boolean",
    "acknowledgement": Maybe(WORD),
}
MISSING_SUMMARY: Mapping[str, object] = {
    "complete": "boolean",
    "since": "time",
    "until": "time",
    "payments": "integer?",
    "payments_amounts_minor": Maybe(MapOf("integer")),
    "findings": "integer",
    "amounts_minor": MapOf("integer"),
    "acknowledged": "integer",
    "acknowledged_amounts_minor": MapOf("integer"),
    "in_flight": "integer",
    "capture_unproven": "integer",
    "oldest_paid_at": "time?",
    "verdicts": [{"verdict": VerdictKind, "payments": "integer", "amounts_minor": MapOf("integer")}],
}

LOOK: Mapping[str, Document] = {
    "status": Document(
        "A row is about what its `section` says.",
        (
            {"section": Const("finding"), "health": Health, "subject": "string", "message": "string"},
            {
                "section": Const("payment"),
                "payment_id": "string",
                "verdict": Maybe(VerdictKind),
                "reason": "string?",
                "also": ["string"],
                "detail": "string?",
                "person_decides": "boolean?",
                "age_seconds": "number",
                **PAYMENT,
            },
            {
                "section": Const("worker"),
                "health": Health,
                "worker": "string",
                "group": "string",
                "work": WorkState,
                "reasons": ["string"],
                "signs": [{"name": "string", "sure": Sure, "message": "string"}],
                "missing": "boolean?",
                "containers": Maybe([_CONTAINER]),
                "members": Maybe([{"client_id": "string", "host": "string", "partitions": ["string"]}]),
                "partitions": ["string"],
            },
            {"section": Const("container"), "health": Health, **_CONTAINER},
            {
                "section": Const("group"),
                "health": Health,
                "group": "string",
                "state": GroupState,
                "members": "integer?",
                "lag_records": "integer?",
                "known_lag_records": "integer?",
                "unknown_partitions": "integer",
                "unprotected_partitions": ["string"],
                "skipped_by_latest_records": "integer?",
            },
            {
                "section": Const("kafka"),
                "answers": "boolean",
                "error": "string?",
                "cluster_id": "string?",
                "brokers": Maybe(["string"]),
                "missing_topics": Maybe(["string"]),
            },
            {
                "section": Const("database"),
                "answers": "boolean",
                "error": "string?",
                "database": "string?",
                "payments_database": "string?",
                "user": "string?",
                "server_version": "string?",
                "read_only": "boolean?",
                "standby": "boolean?",
                "behind_as_of": "time?",
                "unique_active_purchase": Maybe(IndexState),
                "missing_tables": Maybe(["string"]),
            },
            {"section": Const("docker"), "answers": "boolean", "error": "string?", "silent_hosts": ["string"]},
        ),
        {
            "well": "boolean",
            "payments_without_purchase": "integer?",
            "payments_cut": "boolean?",
            "payments_acknowledged": "integer?",
            "acknowledged_amounts_minor": Maybe(MapOf("integer")),
            "payments_in_flight": "integer?",
            "payments_capture_unproven": "integer?",
            "amounts_minor": Maybe(MapOf("integer")),
            "since": "time?",
            "workers": MapOf("integer"),
            "silent": ["string"],
        },
    ),
    "missing": Document(
        "A row for each payment that is overdue and not well, oldest first; none with --summary. A stream ends with the"
        " summary as its last line.",
        MISSING,
        MISSING_SUMMARY,
        (MISSING, {"summary": MISSING_SUMMARY}),
    ),
    "acknowledgements": Document(
        "A row for each acknowledgement that stands, or was just written; a null verdict takes one back.",
        WORD,
        {"file": "string"},
    ),
    "lag": Document(
        "A row for each partition. `lag_records` is null where the lag is not a number.",
        {
            "group": "string",
            "group_state": GroupState,
            "topic": "string",
            "partition": "integer",
            **_OFFSETS,
            "last_stable_offset": "integer?",
            "lag_records": "integer?",
            "lag_is_upper_bound": "boolean",
            "state": LagState,
            "unprotected": "boolean?",
            "retained_records": "integer?",
            "lost_records": "integer?",
            "skipped_by_latest_records": "integer?",
            "reread_by_earliest_records": "integer?",
            "held_back_by_transaction_records": "integer?",
            "age_seconds": "number?",
            "oldest_unread_at": "time?",
            "deleted_at": "time?",
            "member": "string?",
            "client_id": "string?",
            "host": "string?",
            "stale": "boolean",
            "error": "string?",
        },
        {"groups": [_GROUP], "max_lag_records": "integer?", "within_max_lag": "boolean?"},
        (
            {"generated_at": "time", **_GROUP, "lag_change_records": "integer?", "age_seconds": "number?"},
            {"generated_at": "time", "group": "string?", "error": "string"},
        ),
    ),
    "topics": Document(
        "A row for each topic.",
        {
            "topic": "string",
            "state": TopicState,
            "expected": "boolean",
            "internal": "boolean",
            "log_records": "integer?",
            "log_records_is_upper_bound": "boolean",
            "retention_seconds": "number?",
            "retention_unlimited": "boolean?",
            "retention_bytes": "integer?",
            "cleanup_policy": "string?",
            "newest_record_at": "time?",
            "newest_record_age_seconds": "number?",
            "groups": Maybe([{"group": "string", "state": GroupState, "members": "integer?"}]),
            "expected_groups": ["string"],
            "partitions": [
                {
                    "partition": "integer",
                    "leader": "integer?",
                    "replicas": ["integer"],
                    "in_sync_replicas": ["integer"],
                    "log_start_offset": "integer?",
                    "log_end_offset": "integer?",
                    "log_records": "integer?",
                    "newest_record_at": "time?",
                    "error": "string?",
                }
            ],
        },
        {"topics": "integer", "missing_topics": ["string"], "not_ok": ["string"]},
    ),
    "logs": Document(
        "A row for each line; the repetitions of a line are one row with their count.",
        {
            "timestamp": "time",
            "container": "string",
            "worker": "string",
            "stream": Stream,
            "dialect": Dialect,
            "level": Level,
            "message": "string",
            "payment_id": "string?",
            "topic": "string?",
            "partition": "integer?",
            "offset": "integer?",
            "error": "string?",
            "fields": "object",
            "count": "integer",
            "until": "time?",
            "raw~": "string",
        },
        {},
    ),
    "logs-milestones": Document(
        "A row for each worker (and payment) and milestone.",
        {
            "worker": "string",
            "container": "string",
            "payment_id": "string?",
            "milestone": Milestone,
            "count": "integer",
            "first_at": "time?",
            "last_at": "time?",
            "message": "string?",
            "lines_looked_at": "integer",
            "looked_since": "time?",
        },
        {"lines_looked_at": "integer", "dead_workers": ["string"]},
    ),
    "config": Document(
        "A row for each setting; secrets are masked.",
        {"name": "string", "value": None, "source": Source, "where": "string?"},
        {},
    ),
}
