"""What a person has said of a finding: that it is judged, and why. Kept as JSON lines in a file that can be shared.

A line counts only for the verdict that it was given for. Of several lines about a payment the last one counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.payments import PaymentId, parse_uuid
from kcfix.core.times import SHOWN_YEARS


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """One line of the file."""

    payment_id: PaymentId
    verdict: VerdictKind | None
    """What was acknowledged; None: an earlier acknowledgement is taken back."""
    reason: str
    who: str
    at: datetime
    context: str
    """The context of the run that wrote it."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What the file says."""

    by_payment: Mapping[PaymentId, Acknowledgement] = field(default_factory=dict)
    """Without those that were taken back."""
    problems: tuple[str, ...] = ()
    """Lines that were passed over, or why the file could not be read: then nothing counts as acknowledged."""


class AcknowledgementFile(Protocol):
    """Where acknowledgements are kept."""

    @property
    def where(self) -> str:
        """The file, to be shown."""

    @property
    def who(self) -> str:
        """Who writes."""

    def read(self) -> Acknowledged:
        """What the file says now; a file that is not there says nothing. Never raises: see `problems`."""

    def write(self, entries: Iterable[Acknowledgement]) -> None:
        """Append the entries, all or none, and have them on the disk.

        Raises:
            Refused: the file can't be written; nothing was acknowledged.
        """


def as_line(entry: Acknowledgement) -> str:
    """The entry as a line of the file, with its line end."""
    return (
        json.dumps(
            {
                "payment_id": entry.payment_id,
                "verdict": entry.verdict,
                "reason": entry.reason,
                "who": entry.who,
                "at": entry.at.isoformat(),
                "context": entry.context,
            }
        )
        + "\n"
    )


def read_lines(lines: Iterable[str]) -> Acknowledged:
    """What the lines say. Those that are torn or of another kind are passed over, and named by their number."""
    found: dict[PaymentId, Acknowledgement] = {}
    problems = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        entry = _entry(line)
        if entry is None:
            problems.append(f"line {number} is no acknowledgement and was passed over")
        elif entry.verdict is None:
            found.pop(entry.payment_id, None)
        else:
            found[entry.payment_id] = entry
    return Acknowledged(found, tuple(problems))


def _entry(line: str) -> Acknowledgement | None:
    try:
        fields = json.loads(line)
        id = parse_uuid(fields["payment_id"])
        verdict = None if fields["verdict"] is None else VerdictKind(fields["verdict"])
        at = datetime.fromisoformat(fields["at"])
        showable = at.tzinfo is not None and at.astimezone(UTC).year in SHOWN_YEARS
        texts = [fields[name] for name in ("reason", "who", "context")]
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None
    if id is None or not showable or not all(isinstance(text, str) for text in texts):
        return None
    return Acknowledgement(PaymentId(id), verdict, texts[0], texts[1], at, texts[2])
