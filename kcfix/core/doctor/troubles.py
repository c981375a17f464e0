"""What a worker's error lines are about: one row for each kind of failure that has a cause outside the worker.

Only the text counts, and texts are those that kafkajs, node-postgres and PostgreSQL really write (docs/system.md 4.2,
9.2). The first row that fits wins, so the more telling one stands first.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass

from kcfix.core.logs.entry import Level, LogEntry
from kcfix.core.logs.parse import error_of, is_error


class Trouble(enum.StrEnum):
    """A kind of failure, named by what it points to."""

    KAFKA_LOGIN = "kafka-login"
    TOPIC_MISSING = "topic-missing"
    KAFKA_SILENT = "kafka-silent"
    REDIS_UNSET = "redis-unset"
    REDIS_SILENT = "redis-silent"
    DATABASE_LOGIN = "database-login"
    DATABASE_RIGHTS = "database-rights"
    DATABASE_FULL = "database-full"
    DATABASE_READ_ONLY = "database-read-only"
    DATABASE_TLS = "database-tls"
    DATABASE_SLOW = "database-slow"
    DATABASE_SCHEMA = "database-schema"
    NO_METADATA = "no-metadata"
    """A message without `_metadata`: the worker takes `unknown` for its ids (docs/system.md 6, mode 17b)."""
    EVENT_ID_TYPE = "event-id-type"
    INDEX_MISSING = "index-missing"
    DATABASE_SILENT = "database-silent"
    BAD_TIER = "bad-tier"
    UNKNOWN_COURSE = "unknown-course"
    MALFORMED = "malformed"
    NO_TRAINER = "no-trainer"
    APPROVAL_FAILED = "approval-failed"
    NO_COORDINATES = "no-coordinates"
    OUT_OF_MEMORY = "out-of-memory"
    PROGRAM = "program"


_TABLE: tuple[tuple[Trouble, tuple[str, ...]], ...] = (
    (
        Trouble.DATABASE_LOGIN,
        (
            r"password authentication failed",
            r"no pg_hba\.conf entry",
            r"role \".*\" (?:does not exist|is not permitted)",
            r"no password supplied",
            r"SASL: SCRAM",
            r"client password must be",
            r"28P01|28000",
        ),
    ),
    (
        Trouble.KAFKA_LOGIN,
        (r"SASL", r"(?:TOPIC|GROUP|CLUSTER)_AUTHORIZATION_FAILED", r"Not authorized to access"),
    ),
    (Trouble.TOPIC_MISSING, (r"does not host this topic-partition", r"UNKNOWN_TOPIC_OR_PARTITION")),
    (Trouble.REDIS_UNSET, (r"REDIS_URL",)),
    (Trouble.REDIS_SILENT, (r"Redis connection", r"redis.*(?:ENOTFOUND|ECONNREFUSED)")),
    (Trouble.DATABASE_RIGHTS, (r"permission denied for (?:table|relation|schema|sequence|database)",)),
    (Trouble.DATABASE_FULL, (r"too many (?:clients|connections)", r"remaining connection slots", r"53300")),
    (Trouble.DATABASE_READ_ONLY, (r"read-only transaction", r"in recovery", r"25006")),
    (
        Trouble.DATABASE_TLS,
        (r"does not support SSL", r"SSL/TLS required", r"self.signed certificate", r"no encryption", r"sslmode"),
    ),
    (
        Trouble.DATABASE_SLOW,
        (r"statement timeout", r"canceling statement", r"lock timeout", r"57014|55P03", r"Query read timeout"),
    ),
    (Trouble.NO_METADATA, (r"type uuid: \"?unknown",)),
    (Trouble.EVENT_ID_TYPE, (r"invalid input syntax for type uuid",)),
    (Trouble.INDEX_MISSING, (r"42P10", r"no unique or exclusion constraint matching")),
    (
        Trouble.DATABASE_SCHEMA,
        (
            r"(?:relation|column) \".*\" (?:of relation \".*\" )?does not exist",
            r"column [\w.]+ does not exist",
            r"42P01|42703",
        ),
    ),
    (Trouble.BAD_TIER, (r"purchase_tier_check",)),
    (Trouble.UNKNOWN_COURSE, (r"course_id_fkey",)),
    (Trouble.APPROVAL_FAILED, (r"allocated_by_fkey", r"admin_users")),
    (
        Trouble.NO_TRAINER,
        (r"without trainerId", r"no trainer available", r"no_available_trainers", r"no_eligible_trainers"),
    ),
    (Trouble.NO_COORDINATES, (r"STUDENT GPS ISSUE", r"GPS location is required", r"coordinates")),
    (
        Trouble.DATABASE_SILENT,
        (
            r"(?:ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ETIMEDOUT|EAI_AGAIN)[^\n]*:5432",
            r"terminating connection",
            r"Connection terminated",
            r"database system is (?:starting|shutting)",
            r"timeout exceeded when trying to connect",
            r"database \".*\" does not exist",
        ),
    ),
    (
        Trouble.KAFKA_SILENT,
        (
            r"Failed to connect to seed broker",
            r"Connection error: ",
            r"Connection timeout",
            r"KafkaJSConnection|KafkaJSBrokerNotFound",
            r"\[BrokerPool\]",
            r"kafka.*(?:ECONNREFUSED|ENOTFOUND|EHOSTUNREACH)",
            r"(?:ECONNREFUSED|ENOTFOUND)[^\n]*(?:kafka|:9092)",
        ),
    ),
    # Whatever else can't be reached: the workers have no third system by name and port.
    (Trouble.DATABASE_SILENT, (r"ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|EAI_AGAIN",)),
    (Trouble.OUT_OF_MEMORY, (r"heap out of memory", r"Allocation failed - JavaScript")),
    (
        Trouble.MALFORMED,
        (
            r"in JSON at position",
            r"Unexpected end of JSON",
            r"Unexpected token",
            r"is not valid JSON",
            r"SyntaxError",
        ),
    ),
    (
        Trouble.PROGRAM,
        (r"Cannot find module", r"(?:Type|Reference|Range|OverwriteModel)Error"),
    ),
)
_STACK = re.compile(r"\s+Require stack:.*|\s{2,}at \S.*", re.DOTALL)
_ROWS = tuple((trouble, re.compile("|".join(patterns), re.IGNORECASE)) for trouble, patterns in _TABLE)
OF_KAFKA = frozenset({Trouble.KAFKA_LOGIN, Trouble.TOPIC_MISSING, Trouble.KAFKA_SILENT})
OF_DATABASE = frozenset(t for t in Trouble if t.value.startswith("database")) | {
    Trouble.EVENT_ID_TYPE,
    Trouble.INDEX_MISSING,
}


@dataclass(frozen=True, slots=True)
class Telling:
    """A line that tells of a trouble."""

    trouble: Trouble
    entry: LogEntry
    words: str
    """What it says, in one line."""


def words_of(entry: LogEntry) -> str:
    """The error that the entry tells of, with its message, and without where in the program it came up."""
    error = error_of(entry)
    words = entry.message if not error or error in entry.message else f"{entry.message}: {error}"
    return _STACK.sub("", words) or words


def trouble_of(text: str) -> Trouble | None:
    """The kind of failure that the text tells of, None if it is none of the table's."""
    return next((trouble for trouble, pattern in _ROWS if pattern.search(text)), None)


def tellings(entries: Iterable[LogEntry]) -> tuple[Telling, ...]:
    """The error and warning lines that tell of a trouble, in the order given."""
    found = []
    for entry in entries:
        if not is_error(entry) and entry.level is not Level.WARN:
            continue
        words = words_of(entry)
        trouble = trouble_of(f"{words} {entry.fields.get('broker', '')}")
        if trouble is not None:
            found.append(Telling(trouble, entry, words))
    return tuple(found)
