"""The record that a partition stands on, and whether the worker was seen to fail on it (POISON, BLOCKED)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kcfix.core.doctor.troubles import OF_KAFKA, trouble_of
from kcfix.core.events import DeadLetter, Record, parse_event, undecodable
from kcfix.core.judging.snapshot import Head
from kcfix.core.logs.entry import Level, LogEntry
from kcfix.core.logs.milestones import Milestone, is_milestone
from kcfix.core.logs.parse import error_of, offset_of
from kcfix.core.offsets import TopicPartition

FAILURE_PHRASES = ("Message processing failed", "Error when calling eachMessage", "Message sent to DLQ")
"""Lines that name the partition and offset on which the handler failed (docs/system.md 4.2)."""
GAVE_UP = "[RetryPolicy] Operation failed after all retries"
"""The line before the dead letter is written; it names the error and no place."""


def head_needles(offsets: Iterable[int]) -> list[bytes]:
    """What a dead letter of a record at one of these offsets must contain."""
    return [f'"originalOffset":"{offset}"'.encode() for offset in offsets]


def failures_at(
    letters: Iterable[DeadLetter], entries: Iterable[LogEntry]
) -> dict[tuple[TopicPartition, int], list[str]]:
    """What was seen to fail at each place: dead letters as given, then log lines as given."""
    failures: dict[tuple[TopicPartition, int], list[str]] = {}
    for letter in letters:
        if letter.original_topic and letter.original_partition is not None and letter.original_offset is not None:
            tp = TopicPartition(letter.original_topic, letter.original_partition)
            failures.setdefault((tp, letter.original_offset), []).append(f"dead letter: {letter.reason}")
    first: dict[str, str] = {}
    for entry in entries:
        error = error_of(entry)
        if is_milestone(entry, Milestone.RECEIVED):
            first.pop(entry.container, None)
        elif error and GAVE_UP in entry.message:
            first.setdefault(entry.container, error)
        elif entry.level is Level.ERROR and any(phrase in entry.message for phrase in FAILURE_PHRASES):
            place = offset_of(entry)
            if place is not None:
                said = error or entry.message
                # Where the dead letter can't be written either, that failure hides the one before it.
                hidden = trouble_of(said) in OF_KAFKA
                failures.setdefault(place, []).append(first.get(entry.container, said) if hidden else said)
    return failures


def find_heads(
    standing: Mapping[TopicPartition, Record], letters: Iterable[DeadLetter], entries: Iterable[LogEntry]
) -> dict[TopicPartition, Head]:
    """The head of each partition that stands on a record, with what it was seen to fail with at this very offset."""
    failures = failures_at(letters, entries)
    return {tp: _head(tp, record, failures.get((tp, record.offset), ())) for tp, record in standing.items()}


def _head(partition: TopicPartition, record: Record, failures: Iterable[str]) -> Head:
    event = parse_event(record)
    seen = tuple(failures)
    if event is None and record.value is not None and not seen:
        # Nobody needs to have seen it: the consumer dies on it, without a dead letter (docs/system.md 6, mode 4).
        seen = (undecodable(record.value),)
    return Head(
        partition=partition,
        offset=record.offset,
        payment_id=event.payment_id if event else None,
        failures=seen,
    )
