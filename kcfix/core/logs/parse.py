r"""A raw log line, understood (docs/system.md 4.1). Never raises: what is no dialect that it knows stays TEXT.

>>> from datetime import UTC, datetime
>>> from kcfix.core.workers import RawLine, Stream
>>> at = datetime(2026, 1, 7, tzinfo=UTC)
>>> raw = '{"level":"info","message":"Processing it Processing it","service":"purchase-worker","offset":"7"}'
>>> parse(RawLine("w", at, Stream.STDOUT, raw)).message
'Processing it'
>>> parse(RawLine("w", at, Stream.STDERR, "plain \x1b[31mred\x1b[0m")).message
'plain red'
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from kcfix.clean import clean
from kcfix.core.logs.entry import Dialect, Level, LogEntry
from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import PaymentId, parse_uuid
from kcfix.core.workers import RawLine, Stream

_DEVELOPMENT = re.compile(
    r"\[[^\]]{1,40}\] \[(?P<service>[^\]]{0,80})\] (?P<level>[a-z]{1,10}): (?P<message>.*)", re.DOTALL
)
_META = "Meta:"
_LEVELS = {
    "error": Level.ERROR,
    "fatal": Level.ERROR,
    "warn": Level.WARN,
    "warning": Level.WARN,
    "info": Level.INFO,
    "http": Level.INFO,
    "verbose": Level.DEBUG,
    "debug": Level.DEBUG,
    "silly": Level.DEBUG,
    "nothing": Level.UNKNOWN,
}
_LONGEST_JSON = 1024 * 1024
_LINE_FIELDS = ("level", "message", "timestamp", "logger")
_PAYMENT_FIELDS = ("paymentId", "payment_id", "correlationId", "correlation_id")


def parse(line: RawLine) -> LogEntry:
    """The line with its dialect, level, message and fields."""
    text = line.text
    return _json(line, text) or _development(line, text) or _text(line, text)


def parse_all(lines: Iterable[RawLine]) -> Iterator[LogEntry]:
    """The lines of one container, understood. A `Meta:` line is put to the line that it belongs to."""
    open_entry: LogEntry | None = None
    for line in lines:
        entry = parse(line)
        if open_entry is not None:
            if entry.message == _META and entry.dialect is Dialect.APPLICATION:
                fields = {**entry.fields, **open_entry.fields}
                yield replace(open_entry, fields=fields, raw=f"{open_entry.raw}\n{entry.raw}")
                open_entry = None
                continue
            yield open_entry
            open_entry = None
        if entry.dialect is Dialect.APPLICATION and not line.text.lstrip().startswith("{"):
            open_entry = entry  # Winston's text for people: its fields come on the next line.
        else:
            yield entry
    if open_entry is not None:
        yield open_entry


def _entry(
    line: RawLine, dialect: Dialect, level: Level, message: str, fields: Mapping[str, object] | None = None
) -> LogEntry:
    return LogEntry(line.container, line.timestamp, line.stream, dialect, level, message, fields or {}, line.text)


def _json(line: RawLine, text: str) -> LogEntry | None:
    bare = text.strip()
    if not bare.startswith("{") or len(bare) > _LONGEST_JSON:
        return None
    try:
        # An integer of thousands of digits is a ValueError of its own, deep nesting a RecursionError.
        value = json.loads(bare)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("message"), str):
        return None
    message: str = value["message"]
    named = value.get("level")
    level = _LEVELS.get(named.lower(), Level.UNKNOWN) if isinstance(named, str) else Level.UNKNOWN
    fields = {key: content for key, content in value.items() if key not in _LINE_FIELDS}
    if value.get("logger") == "kafkajs" and isinstance(named, str) and named.isupper():
        return _entry(line, Dialect.KAFKAJS, level, clean(message), fields)
    return _entry(line, Dialect.APPLICATION, level, clean(undoubled(message)), fields)


def undoubled(message: str) -> str:
    """The message once, where winston has written it twice with a space between (docs/system.md 4.1).

    >>> undoubled("Sent Sent"), undoubled("a b a b"), undoubled("no no no")
    ('Sent', 'a b', 'no no no')
    """
    half, odd = divmod(len(message), 2)
    if odd and half and message[half] == " " and message[:half] == message[half + 1 :]:
        return message[:half]
    return message


def _development(line: RawLine, text: str) -> LogEntry | None:
    """Winston's text for people, and its `Meta:` line, whose fields are given under their own names."""
    bare = clean(text)
    if bare.startswith("Meta: {") and len(bare) <= _LONGEST_JSON:
        try:
            fields = json.loads(bare.removeprefix("Meta: "))
        except (ValueError, RecursionError):
            return None
        return _entry(line, Dialect.APPLICATION, Level.UNKNOWN, _META, fields) if isinstance(fields, dict) else None
    match = _DEVELOPMENT.fullmatch(bare)
    if match is None or match["level"] not in _LEVELS:
        return None
    return _entry(
        line, Dialect.APPLICATION, _LEVELS[match["level"]], undoubled(match["message"]), {"service": match["service"]}
    )


_TEXT_LEVELS = re.compile(
    r"\b(?:(?P<error>ERROR|FATAL|Error:|[A-Z]\w+Error\b)|(?P<warn>WARN(?:ING)?|Warning:?|\w+Warning:))"
)


def _text(line: RawLine, text: str) -> LogEntry:
    message = clean(text).rstrip()
    match = _TEXT_LEVELS.search(message[:400])
    level = Level.UNKNOWN
    if match is not None:
        level = Level.ERROR if match["error"] else Level.WARN
    return _entry(line, Dialect.TEXT, level, message)


def offset_of(entry: LogEntry) -> tuple[TopicPartition, int] | None:
    """The record that the entry speaks of: its partition and offset; None where it names none whole.

    A line about a dead letter names the original record.
    """
    for prefix in ("", "original"):
        topic, partition, offset = (
            entry.fields.get(name if not prefix else prefix + name.capitalize())
            for name in ("topic", "partition", "offset")
        )
        where, at = _number(partition), _number(offset)
        if isinstance(topic, str) and topic and where is not None and at is not None:
            return TopicPartition(topic, where), at
    return None


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if value >= 0 else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    return None


def payment_of(entry: LogEntry) -> PaymentId | None:
    """The payment that the entry is about: its paymentId, else its correlation id where that is a UUID; else None.

    The correlation id of some lines is an allocation's (docs/system.md 2.3): nothing in the line tells these apart.
    """
    for name in _PAYMENT_FIELDS:
        found = parse_uuid(entry.fields.get(name))
        if found is not None:
            return PaymentId(found)
    return None


def mentions(entry: LogEntry, text: str) -> bool:
    """Whether the line contains the text anywhere, fields included, whatever the case of its letters."""
    wanted = text.lower()
    return wanted in entry.raw.lower() or wanted in entry.message.lower()


def error_of(entry: LogEntry) -> str | None:
    """What went wrong, in one line: error code and first line of the error's text; None where the entry has none."""
    code = entry.fields.get("errorCode") or entry.fields.get("code")
    text = _error_text(entry.fields)
    code = clean(code) if isinstance(code, str) else ""
    if not text:
        return code or None
    return text if not code or code in text else f"{code}: {text}"


def _error_text(fields: Mapping[str, object]) -> str:
    for name in ("error", "failureReason", "reason", "stack"):
        value = fields.get(name)
        if isinstance(value, dict):
            value = value.get("message")
        if isinstance(value, str) and value.strip():
            return clean(value.strip().splitlines()[0])
    return ""


def is_error(entry: LogEntry) -> bool:
    """Whether the entry tells of something that failed: by its level, or, where it has none, by its stream."""
    if entry.level is Level.UNKNOWN:
        return entry.stream is Stream.STDERR and entry.dialect is Dialect.TEXT and bool(entry.message)
    return entry.level is Level.ERROR
