"""A payment's story as rows for programs (docs/decisions.md 6). No metadata and no log fields: they may name people."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kcfix.cli.payment_columns import payment_columns
from kcfix.cli.trace_told import Told
from kcfix.core.events import Record
from kcfix.core.judging.judge_log import latest_message
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.logs.parse import error_of
from kcfix.core.story.payment_story import Hop, Looked, OwnStep, StoryLine
from kcfix.core.story.prognosis import Heals

HEADERS = ("eventId", "correlationId", "eventType", "source", "version")
"""Headers of the event bus, the only ones that are shown (docs/system.md 2.2)."""


def story_row(told: Told, called: Callable[[str], str]) -> dict[str, object]:
    """One payment. `called` completes a command, so that it can be pasted."""
    story, verdict = told.story, told.story.verdict
    evidence = story.snapshot.evidence.value
    message = latest_message(evidence).record if evidence and latest_message(evidence) else None  # type: ignore[union-attr]
    lag = evidence.lag if evidence else None
    foretold = told.prognosis
    return {
        "payment_id": story.payment_id,
        "verdict": verdict.kind,
        "detail": verdict.detail,
        "reason": verdict.reason,
        "also": verdict.also,
        **payment_columns(story.payment),
        "purchase_id": story.purchase.id if story.purchase else None,
        "allocation_ids": [a.id for a in story.allocations],
        "topic": message.topic if message else None,
        "partition": message.partition if message else lag.partition.partition if lag else None,
        "offset": message.offset if message else None,
        "committed_offset": lag.committed_offset if lag else None,
        "log_start_offset": lag.log_start_offset if lag else None,
        "log_end_offset": lag.log_end_offset if lag else None,
        "waited_seconds": told.waited,
        "still_waiting": told.still_waiting,
        "maker": None
        if told.maker is None
        else {
            "maker": told.maker.maker,
            "sure": told.maker.sure,
            "because": told.maker.because,
            "name": told.maker.name,
        },
        "prognosis": {
            "means": foretold.means,
            "heals": foretold.heals,
            "how": foretold.how,
            "deadline": foretold.deadline,
            "deadline_reason": foretold.deadline_reason,
            "commands": [called(command) for command in foretold.commands],
        },
        "stages": [{"stage": s.name, "state": s.state, "at": s.at, "proof": s.proof} for s in told.stages],
        "timeline": _timeline(told),
        "undated": [{"source": u.source, "text": u.text} for u in told.timeline.undated],
        "records": [_record(hop) for hop in story.hops],
        "dead_letters": [
            {
                "topic": d.topic,
                "partition": d.partition,
                "offset": d.offset,
                "copies": d.copies,
                "first_at": d.first_at,
                "last_at": d.last_at,
                "failure_reason": d.reason,
            }
            for d in story.letters
        ],
        "log_lines": [_line(line) for line in story.lines],
        "kcfix_steps": [_step(step) for step in story.steps],
        "searched": [_looked(looked) for looked in story.looked],
        "unknown": told.unknown,
    }


def _timeline(told: Told) -> list[dict[str, object]]:
    return [
        {
            "at": m.at,
            "gap_seconds": gap,
            "source": m.source,
            "text": m.text,
            "sure": m.sure,
            "until": m.until,
            "count": m.count,
        }
        for m, gap in zip(told.timeline.moments, told.timeline.gaps, strict=True)
    ]


def headers_of(record: Record) -> dict[str, str | None]:
    """The event bus's own headers of a record, as text; those that it lacks are left out."""
    return {
        name: None if value is None else value.decode("utf-8", "replace")
        for name, value in record.headers
        if name in HEADERS
    }


def _record(hop: Hop) -> dict[str, object]:
    record, event = hop.record, hop.event
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": None if record.key is None else record.key.decode("utf-8", "replace"),
        "event_type": event.type if event else None,
        "event_id": event.event_id if event else None,
        "correlation_id": event.correlation_id if event else None,
        "source": event.source if event else None,
        "headers": headers_of(record),
        "scanned": hop.scanned,
        "groups": [
            {
                "group": r.group,
                "worker": r.worker,
                "committed_offset": r.committed_offset,
                "reach": r.reach,
                "member": r.member,
                "container": r.container,
                "unvouched": r.unvouched,
            }
            for r in hop.readers
        ],
    }


def _line(line: StoryLine) -> dict[str, object]:
    entry = line.entry
    return {
        "timestamp": entry.timestamp,
        "worker": line.worker,
        "container": entry.container,
        "level": entry.level,
        "message": entry.message,
        "error": error_of(entry),
        "around": line.around,
    }


def _step(step: OwnStep) -> dict[str, object]:
    result = step.result
    state = None if result is None else result.get("state")
    return {
        "run_id": step.run_id,
        "who": step.who,
        "at": step.at,
        "step": str(step.what.get("step", "")),
        "state": None if state is None else str(state),
    }


def _looked(looked: Looked) -> dict[str, object]:
    return {
        "system": looked.system,
        "what": looked.what,
        "found": looked.found,
        "ranges": [
            {
                "topic": r.partition.topic,
                "partition": r.partition.partition,
                "start_offset": r.start,
                "end_offset": r.end,
            }
            for r in looked.ranges
        ],
        "error": looked.error,
        "note": looked.note,
    }


def malformed_row(word: str) -> dict[str, object]:
    """The row of a word that can't be an id: it has every name that the others have."""
    nothing = (
        *("detail", "purchase_id", "topic", "partition", "offset"),
        *("committed_offset", "log_start_offset", "log_end_offset", "waited_seconds", "still_waiting", "maker"),
    )
    lists: Sequence[str] = (
        *("also", "allocation_ids", "stages", "timeline", "undated", "records", "dead_letters", "log_lines"),
        *("kcfix_steps", "searched", "unknown"),
    )
    return {
        "payment_id": word,
        "verdict": VerdictKind.NOT_FOUND,
        "reason": "no UUID",
        "prognosis": {
            "means": "unknown: no payment has such an id",
            "heals": Heals.UNKNOWN,
            "how": "check the id",
            "deadline": None,
            "deadline_reason": None,
            "commands": (),
        },
        **payment_columns(None),
        **dict.fromkeys(nothing),
        **dict.fromkeys(lists, ()),
    }
