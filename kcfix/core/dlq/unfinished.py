"""What became of a replay that was cut short: the next one tells it, by the journal and by how its messages stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from kcfix.core.dlq.letter import DlqState, parse_place
from kcfix.core.dlq.store import LetterStore
from kcfix.core.journal import RunRecord

COMMAND = "dlq"
"""As the journal calls a replay of dead letters."""

_WORDS = {
    DlqState.SETTLED: "settled",
    DlqState.WAITING: "waiting for the worker",
    DlqState.UNSETTLED: "not settled, with no copy that waits",
}


def cut_short(runs: Iterable[RunRecord], context: str) -> RunRecord | None:
    """The newest replay of this context, if it did not come to its end and had begun a step; `runs` newest first."""
    newest = next((run for run in runs if run.command == COMMAND and run.context == context), None)
    return newest if newest is not None and not newest.finished and newest.steps else None


def what_became(run: RunRecord, store: LetterStore) -> str:
    """In a sentence: how the messages stand that the run had begun to send, and for how many that is not recorded."""
    found: Counter[str] = Counter()
    for step in run.steps:
        place = parse_place(str(step.what.get("original", "")))
        originals = store.at(place) if place is not None else ()
        # A topic made again may have another message at the same place: the newest counts.
        state = originals[-1].state if originals else None
        found[_WORDS.get(state, f"{state}") if state else "without a dead letter in what was read"] += 1
    unrecorded = sum(step.result is None for step in run.steps)
    text = ", ".join(f"{n} {words}" for words, n in found.most_common())
    doubt = f" Of {unrecorded} it is not recorded whether they were sent." if unrecorded else ""
    count = len(run.steps)
    return (
        f"run {run.id} was cut short, or still runs: it had begun to send {count} message{'s' if count != 1 else ''}; "
        f"now {text}.{doubt}"
    )
