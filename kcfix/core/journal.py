"""The journal of changes: what each run was about to do and what became of it. Recovery never depends on it.

One JSON object a line: `begin`, then for each step `intend` (before its effect) and `done` (after it), then `end`.
A run without an `end` was cut short; a step without a `done` may or may not have had its effect.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from kcfix.core.times import SHOWN_YEARS
from kcfix.errors import NotFound


@dataclass(frozen=True, slots=True)
class JournalStep:
    """One step of a run."""

    id: str
    at: datetime | None
    what: Mapping[str, Any]
    """What was about to be done."""
    done_at: datetime | None = None
    result: Mapping[str, Any] | None = None
    """What became of it; None: not recorded."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run that changed something, or was about to."""

    id: str
    started_at: datetime | None
    who: str
    command: str
    context: str
    argv: tuple[str, ...]
    """The command line, without secrets."""
    reason: str | None
    steps: tuple[JournalStep, ...] = ()
    ended_at: datetime | None = None
    code: int | None = None
    """Its exit code; None where it did not come to its end."""
    summary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether it came to its end; if not it was killed, or is still running."""
        return self.ended_at is not None


class Recorder(Protocol):
    """Where the steps of a run are recorded."""

    def intend(self, step: Mapping[str, object]) -> str:
        """Record what is about to be done, on disk before it returns; gives the step's id.

        Raises:
            Refused: it could not be written, so the step must not be made.
        """

    def intend_all(self, steps: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
        """The same for several steps, with one wait for the disk; their ids, in order. None of them may be made before.

        Raises:
            Refused: not all could be written, so none of the steps must be made.
        """

    def done(self, step_id: str, result: Mapping[str, object]) -> None:
        """Record what became of it. Where that can't be written any more, `Run.problems` says so."""

    def done_all(self, results: Iterable[tuple[str, Mapping[str, object]]]) -> None:
        """The same for several steps, by their ids, with one wait for the disk."""


class Run(Recorder, Protocol):
    """The journal of a run that is under way."""

    @property
    def id(self) -> str:
        """Sorts by time."""

    def end(self, code: int, summary: Mapping[str, object] | None = None) -> None:
        """Record the exit code, and close. May be called again to no effect."""

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be recorded, to be shown as warnings."""


class Journal(Protocol):
    """The journal of this host and user."""

    def begin(self, *, command: str, context: str, argv: Sequence[str], reason: str | None = None) -> Run:
        """Start a run's record, on disk before it returns.

        Raises:
            Refused: the journal can't be written. Nothing was changed.
        """

    @property
    def problems(self) -> tuple[str, ...]:
        """What the runs of this process could not record, to be shown as warnings."""

    def runs(self, about: Collection[str] | None = None) -> tuple[RunRecord, ...]:
        """All runs on record, the newest first.

        With `about` (lower-case ids) of their steps only those about these payments; runs that have none may be left
        out. A journal has two lines for each payment that was ever repaired: to read the few that are asked about
        saves most of a second for each hundred thousand.

        Raises:
            Unreachable: the journal is there and can't be read.
        """


def find_run(runs: Sequence[RunRecord], wish: str) -> RunRecord:
    """The run with this id, or the only one whose id begins so.

    Raises:
        NotFound: there is none, or there are several.
    """
    found = [run for run in runs if run.id == wish] or [run for run in runs if run.id.startswith(wish)]
    if not found:
        raise NotFound(f"no run {wish!r} in the journal", hint="kcfix history")
    if len(found) > 1:
        raise NotFound(f"{len(found)} runs begin with {wish!r}", hint=f"the newest is {found[0].id}")
    return found[0]


_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


def _time(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
        return moment if moment.tzinfo and moment.astimezone(UTC).year in SHOWN_YEARS else None
    except (ValueError, OverflowError):
        return None


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def read_runs(lines: Iterable[str]) -> tuple[RunRecord, ...]:
    """The runs in the lines of a journal, the newest first. Lines that are torn or foreign are passed over.

    >>> read_runs(['{"kind": "begin", "run": "r1", "command": "repair"}', '{"kind": "inten'])[0].finished
    False
    """
    runs: dict[str, _Growing] = {}
    for line in lines:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(entry, dict) or not isinstance(entry.get("run"), str):
            continue
        run = entry["run"]
        if entry.get("kind") == "begin":
            runs[run] = _Growing(_begun(run, entry))
        elif run in runs:
            runs[run].add(entry)
    # Ids of runs that began within one second do not sort by time.
    whole = (run.whole() for run in runs.values())
    return tuple(sorted(whole, key=lambda r: (r.started_at or _BEFORE_ALL, r.id), reverse=True))


_INTEND, _DONE, _PAYMENT = '{"kind": "intend"', '{"kind": "done"', '"payment_id": "'
_STEP = re.compile(r'\{"kind": "[^"]*", "run": "([^"]*)", "at": [^,]*, "step": "([^"]*)"')


def lines_about(lines: Iterable[str], payments: Collection[str]) -> Iterator[str]:
    """Of a journal's lines those that `read_runs` needs to tell what was done about these payments (lower-case ids).

    A line that is written otherwise than kcfix writes one is given, whatever it holds.

    >>> step = '{{"kind": "intend", "run": "r1", "at": null, "step": "1", "what": {{"payment_id": "{}"}}}}'
    >>> len(list(lines_about([step.format("p1"), step.format("p2")], {"p1"})))
    1
    """
    wanted: set[tuple[str, ...]] = set()
    for line in lines:
        if line.startswith(_INTEND):
            at = line.find(_PAYMENT) + len(_PAYMENT)
            if at >= len(_PAYMENT) and line[at : line.find('"', at)].lower() not in payments:
                continue
            if step := _STEP.match(line):
                wanted.add(step.groups())
        elif line.startswith(_DONE):
            step = _STEP.match(line) if wanted else None
            if not wanted or (step is not None and step.groups() not in wanted):
                continue
        yield line


@dataclass(slots=True)
class _Growing:
    """A run while its lines are read: a run has tens of thousands of steps, so none is copied for another's sake."""

    record: RunRecord
    steps: list[JournalStep] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    """Where the step of that id is; of several the last."""

    def whole(self) -> RunRecord:
        return replace(self.record, steps=tuple(self.steps))

    def add(self, entry: Mapping[str, Any]) -> None:
        at, id = _time(entry.get("at")), str(entry.get("step"))
        match entry.get("kind"):
            case "intend":
                self.places[id] = len(self.steps)
                self.steps.append(JournalStep(id, at, _table(entry.get("what"))))
            case "done":
                if (place := self.places.get(id)) is not None:
                    self.steps[place] = replace(self.steps[place], done_at=at, result=_table(entry.get("result")))
            case "end":
                code = entry.get("code")
                self.record = replace(
                    self.record,
                    ended_at=at,
                    code=code if isinstance(code, int) else None,
                    summary=_table(entry.get("summary")),
                )
            case _:
                pass


def _begun(run: str, entry: Mapping[str, Any]) -> RunRecord:
    reason = entry.get("reason")
    argv = entry.get("argv")
    return RunRecord(
        id=run,
        started_at=_time(entry.get("at")),
        who=str(entry.get("who", "")),
        command=str(entry.get("command", "")),
        context=str(entry.get("context", "")),
        argv=tuple(str(word) for word in argv) if isinstance(argv, list) else (),
        reason=str(reason) if reason else None,
    )
