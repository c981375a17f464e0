"""One line of a worker's log, understood (docs/system.md 4)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kcfix.core.workers import Stream


class Dialect(enum.StrEnum):
    """Which of the writers in a container wrote the line."""

    APPLICATION = "application"
    """winston JSON."""
    KAFKAJS = "kafkajs"
    TEXT = "text"


class Level(enum.StrEnum):
    """Severity, the same for both dialects."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A line with its meaning. `message` is un-doubled and free of control characters."""

    container: str
    timestamp: datetime
    """Docker's clock, aware UTC."""
    stream: Stream
    dialect: Dialect
    level: Level
    message: str
    fields: Mapping[str, object] = field(default_factory=dict)
    """Further fields of the JSON line (topic, partition, offset, correlationId, error …)."""
    raw: str = ""
    """The line as it was, control characters and all."""
