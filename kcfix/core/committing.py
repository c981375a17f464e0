"""Commits offsets for an empty group: journalled before, read back after, one partition at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from kcfix.core.pin import Pin
from kcfix.core.ports import KafkaPort
from kcfix.errors import KcfixError, Refused, Unreachable


class Recorder(Protocol):
    """The journal of one run."""

    def intend(self, step: Mapping[str, object]) -> str:
        """Record what is about to be done, on disk before it returns; gives the step's id. Raises Refused."""

    def done(self, step_id: str, result: Mapping[str, object]) -> None:
        """Record what became of it."""


def commit_pins(kafka: KafkaPort, group: str, pins: Iterable[Pin], journal: Recorder, steps: list[str]) -> str | None:
    """Commit each pin that is needed; None when all stand, else why the first that does not stand failed.

    `steps` gets one line a partition, with the old offset, from the moment that it may have had an effect. A commit
    that was not answered counts as made if it reads back.

    Raises:
        Refused: the journal can't be written; this partition and the following ones are as they were.
    """
    for pin in pins:
        if not pin.needed:
            continue
        why = _commit(kafka, group, pin, journal, steps)
        if why is not None:
            return f"{pin.partition} could not be committed: {why}"
    return None


def _commit(kafka: KafkaPort, group: str, pin: Pin, journal: Recorder, steps: list[str]) -> str | None:
    old = offset_text(pin.committed_offset)
    step = journal.intend(
        {
            "step": "commit",
            "group": group,
            "topic": pin.partition.topic,
            "partition": pin.partition.partition,
            "committed_offset_before": pin.committed_offset,
            "committed_offset": pin.offset,
        }
    )
    steps.append(f"commit {pin.partition} at {pin.offset} (before: {old}): begun")
    failed: KcfixError | None = None
    try:
        kafka.commit(group, {pin.partition: pin.offset})
    except KcfixError as error:
        failed = error
    stands, otherwise = _stands(kafka, group, pin)
    journal.done(step, {"ok": stands, "error": failed.message if failed and not stands else otherwise})
    if stands:
        steps[-1] = f"committed {pin.partition} at {pin.offset} (before: {old})"
        return None
    why = failed.message if failed else otherwise or "it reads back otherwise"
    if isinstance(failed, Refused):
        steps.pop()
    else:
        steps[-1] = f"commit {pin.partition} at {pin.offset} (before: {old}): {why}"
    return why


def _stands(kafka: KafkaPort, group: str, pin: Pin) -> tuple[bool | None, str | None]:
    """Whether the offset reads back as committed, and if not how; None where that can't be told."""
    try:
        found = kafka.committed([group]).get(group, {}).get(pin.partition)
    except Unreachable as error:
        return None, error.message
    if found is not None and found.error is not None:
        return None, found.error
    offset = found.offset if found else None
    return offset == pin.offset, None if offset == pin.offset else f"it reads back as {offset_text(offset)}"


def offset_text(offset: int | None) -> str:
    """A committed offset in words."""
    return "nothing" if offset is None else str(offset)
