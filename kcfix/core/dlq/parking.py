"""What a person has said of a dead letter: that its message is to be left alone, and why. JSON lines in a shared file.

A line counts for that one message of that one cluster, and only while its cause is the one for which it was parked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from kcfix.core.dlq.letter import Original, Place
from kcfix.core.payments import PaymentId, parse_uuid

Key = tuple[Place, str]
"""Place of the original, and its event id (its payment, or nothing, where it has none)."""


@dataclass(frozen=True, slots=True)
class ParkEntry:
    """One line of the file."""

    place: Place
    event_id: str | None
    payment_id: PaymentId | None
    cause: str
    parked: bool
    """False: an earlier line is taken back."""
    reason: str
    who: str
    at: datetime
    context: str
    cluster_id: str | None

    @property
    def said(self) -> str:
        """In a few words, to be shown."""
        return f"parked by {self.who} at {self.at.isoformat(timespec='seconds')}: {self.reason}"

    @property
    def key(self) -> Key:
        """What it is about."""
        return self.place, self.event_id or self.payment_id or ""


@dataclass(frozen=True, slots=True)
class Parked:
    """What the file says of one cluster."""

    entries: Mapping[Key, ParkEntry] = field(default_factory=dict)
    """Without those that were taken back."""
    problems: tuple[str, ...] = ()
    """Lines that were passed over, or why the file could not be read: then nothing counts as parked."""

    def of(self, original: Original) -> ParkEntry | None:
        """What was said of this message, if it still counts."""
        entry = self.entries.get((original.place, original.event_id or original.payment_id or ""))
        return entry if entry is not None and entry.cause == original.cause else None


class ParkFile(Protocol):
    """Where it is kept."""

    @property
    def where(self) -> str:
        """The file, to be shown."""

    @property
    def who(self) -> str:
        """Who writes."""

    def read(self, cluster_id: str | None) -> Parked:
        """What the file says now of a cluster; a file that is not there says nothing. Never raises: see `problems`."""

    def write(self, entries: Iterable[ParkEntry]) -> None:
        """Append the entries, all or none, and have them on the disk.

        Raises:
            Refused: the file can't be written; nothing was parked.
        """


def as_line(entry: ParkEntry) -> str:
    """The entry as a line of the file, with its line end."""
    return (
        json.dumps(
            {
                "topic": entry.place.topic,
                "partition": entry.place.partition,
                "offset": entry.place.offset,
                "event_id": entry.event_id,
                "payment_id": entry.payment_id,
                "cause": entry.cause,
                "parked": entry.parked,
                "reason": entry.reason,
                "who": entry.who,
                "at": entry.at.isoformat(),
                "context": entry.context,
                "cluster_id": entry.cluster_id,
            }
        )
        + "\n"
    )


def read_lines(lines: Iterable[str], cluster_id: str | None) -> Parked:
    """What the lines say of this cluster. Those that are torn or of another kind are passed over, and named."""
    found: dict[Key, ParkEntry] = {}
    problems = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        entry = _entry(line)
        if entry is None:
            problems.append(f"line {number} is no parked message and was passed over")
        elif entry.cluster_id != cluster_id:
            continue
        elif entry.parked:
            found[entry.key] = entry
        else:
            found.pop(entry.key, None)
    return Parked(found, tuple(problems))


def _entry(line: str) -> ParkEntry | None:
    try:
        fields = json.loads(line)
        place = Place(fields["topic"], fields["partition"], fields["offset"])
        at = datetime.fromisoformat(fields["at"])
        texts = [fields[name] for name in ("cause", "reason", "who", "context")]
        maybe = [fields[name] for name in ("event_id", "cluster_id")]
        parked, payment = fields["parked"], parse_uuid(fields["payment_id"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in place[1:])
    if not whole or at.tzinfo is None or not isinstance(parked, bool):
        return None
    if not all(isinstance(t, str) for t in (place.topic, *texts)) or not all(isinstance(m, str | None) for m in maybe):
        return None
    cause, reason, who, context = texts
    owner = PaymentId(payment) if payment else None
    return ParkEntry(place, maybe[0], owner, cause, parked, reason, who, at, context, maybe[1])
