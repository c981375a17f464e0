"""A log line for people, and the same for programs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo

from kcfix.core.logs.entry import Dialect, Level, LogEntry
from kcfix.core.logs.merge import Folded
from kcfix.core.logs.parse import error_of, offset_of, payment_of
from kcfix.core.times import format_time
from kcfix.render.view import Cell, Line, Tone

_KEPT = frozenset(
    (
        *("topic", "partition", "offset", "originalTopic", "originalPartition", "originalOffset", "topics"),
        *("correlationId", "eventId", "eventType", "paymentId", "purchaseId", "allocationId"),
        *("studentId", "courseId", "trainerId", "purchaseTier", "sessionCount", "existedBefore"),
        *("operation", "workerName", "service", "attempt", "attempts", "maxAttempts", "delayMs", "duration", "signal"),
        *("errorCode", "code", "error", "failureReason", "broker", "retryCount", "retryTime"),
        *("groupId", "memberId", "memberAssignment", "clientId"),
    )
)
"""Fields that are given to programs: ids and what went wrong. Others may hold what is known of a student."""
_SHOWN = (("payment", "paymentId"), ("purchase", "purchaseId"), ("allocation", "allocationId"))
_WAITS = (("attempt", "attempt"), ("retry", "retryCount"), ("wait_ms", "retryTime"), ("wait_ms", "delayMs"))
_LONGEST = 300
"""Characters that are shown of an error's text."""
_TONES = {Level.ERROR: Tone.BAD, Level.WARN: Tone.WARN, Level.DEBUG: Tone.DIM}


def text_line(
    line: Folded, label: str, *, width: int, zone: tzinfo | None, exact: bool = False, bare: bool = False
) -> Line:
    """The line for people: time, worker, level, message, key fields.

    `exact`: Docker's own time, to the microsecond. `bare`: the message alone.
    """
    entry = line.entry
    message = entry.message or ("(empty line)" if not bare else "")
    if bare:
        return message
    tone = _TONES.get(entry.level, Tone.PLAIN)
    parts: list[str | Cell] = [
        Cell(_exact(entry.timestamp, zone) if exact else format_time(entry.timestamp, zone), Tone.DIM),
        " ",
        Cell(label.ljust(width), Tone.STRONG),
        " ",
        Cell(_level(entry).ljust(5), tone),
        " ",
        Cell(message, tone),
    ]
    details = _details(entry)
    if details:
        parts.append(Cell("  " + details, Tone.DIM))
    repeated = _repeated(line, zone)
    if repeated:
        parts.append(Cell("  " + repeated, Tone.STRONG))
    return tuple(parts)


def raw_line(entry: LogEntry, zone: tzinfo | None, *, exact: bool) -> Line:
    """The line as the container wrote it; `exact` puts Docker's time in front."""
    return f"{_exact(entry.timestamp, zone)} {entry.raw}" if exact else entry.raw


def row(line: Folded, label: str, *, raw: bool = False) -> Mapping[str, object]:
    """The line for programs."""
    entry = line.entry
    record = offset_of(entry)
    return {
        "timestamp": entry.timestamp,
        "container": entry.container,
        "worker": label,
        "stream": entry.stream,
        "dialect": entry.dialect,
        "level": entry.level,
        "message": entry.message,
        "payment_id": payment_of(entry),
        "topic": record[0].topic if record else None,
        "partition": record[0].partition if record else None,
        "offset": record[1] if record else None,
        "error": error_of(entry),
        "fields": {name: value for name, value in sorted(entry.fields.items()) if name in _KEPT},
        "count": line.count,
        "until": line.until,
        **({"raw": entry.raw} if raw else {}),
    }


def _level(entry: LogEntry) -> str:
    return "-" if entry.level is Level.UNKNOWN else entry.level.upper()


def _exact(moment: datetime, zone: tzinfo | None) -> str:
    return moment.astimezone(zone).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _details(entry: LogEntry) -> str:
    found = []
    record = offset_of(entry)
    if record is not None:
        found.append(f"{record[0]}@{record[1]}")
    event = entry.fields.get("eventType")
    if isinstance(event, str) and event not in (*entry.message.split(), "unknown"):
        found.append(f"event={event}")
    ids = [(name, entry.fields.get(key)) for name, key in _SHOWN]
    if not any(isinstance(value, str) for _, value in ids[:1]):
        ids.insert(0, ("correlation", entry.fields.get("correlationId")))
    found += [f"{name}={value}" for name, value in ids if isinstance(value, str) and value]
    assigned = _assignment(entry.fields.get("memberAssignment"))
    if assigned:
        found.append(f"assigned={assigned}")
    waits = [(name, entry.fields.get(key)) for name, key in _WAITS]
    found += [f"{name}={value}" for name, value in waits if isinstance(value, int | float)]
    error = error_of(entry)
    # kafkajs repeats in `stack` what its message says.
    told = entry.dialect is Dialect.KAFKAJS and "error" not in entry.fields
    if error is not None and error not in entry.message and not told:
        found.append(f"error: {error if len(error) <= _LONGEST else error[:_LONGEST] + '…'}")
    return " ".join(found)


def _assignment(value: object) -> str:
    if not isinstance(value, dict):
        return ""
    return ",".join(
        f"{topic}{list(where) if isinstance(where, list) else ''}".replace(" ", "") for topic, where in value.items()
    )


def _repeated(line: Folded, zone: tzinfo | None) -> str:
    if line.count == 1 and not line.again:
        return ""
    until = f" until {format_time(line.until, zone)}" if line.until and not line.again else ""
    return f"(x{line.count}{' more' if line.again else ''}{until})"
