"""Carries out a replay of dead letters: a canary, then batches, at a rate, until one is not settled.

Before each batch the world is read again; each message is journalled before it is sent. Killed at any point, the next
run finds the copy where it waits, or what the worker made of it; it never needs the journal to be right.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from kcfix.core.dlq.judge import work_done
from kcfix.core.dlq.letter import DlqState, Original, Place
from kcfix.core.dlq.message import Source
from kcfix.core.dlq.parking import Parked
from kcfix.core.dlq.plan import DlqStep, Planner
from kcfix.core.dlq.read import Mailbox
from kcfix.core.dlq.result import DlqOutcome, DlqResult, Results
from kcfix.core.events import Event, Message
from kcfix.core.journal import Recorder
from kcfix.core.move.settlement import Known, is_checked
from kcfix.core.ports.kafka import KafkaPort, SendResult, SendState
from kcfix.errors import KcfixError, OutcomeUnknown, Refused, Unreachable
from kcfix.flow import Stage

BATCH = 100
"""Messages that are sent between two looks."""
POLL = timedelta(milliseconds=500)
"""Between two looks at what the worker did."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """A step of which all parts are there."""

    step: DlqStep
    original: Original
    stage: Stage
    source: Source
    message: Message

    @property
    def event(self) -> Event:
        return self.source.event

    @property
    def way(self) -> tuple[str, str]:
        """What a canary proves: that this worker gets past this cause."""
        return self.stage.name, self.original.cause


@dataclass
class Replaying:
    """One run."""

    kafka: Callable[[], KafkaPort]
    planner: Planner
    mailbox: Mailbox
    parked: Callable[[], Parked]
    journal: Recorder
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    wait: timedelta
    """How long to watch for the worker's work after a send."""
    results: Results
    rate: float | None = None
    """Messages a second, at most; None: as fast as they go."""
    progress: Callable[[str], None] = lambda text: None
    done: Callable[[int], None] = lambda count: None
    """Told how many more messages are through."""
    _proven: set[tuple[str, str]] = field(default_factory=set)

    def run(self, steps: Iterable[DlqStep]) -> None:
        """Do the steps, in their order within a batch; what is not reached keeps its result."""
        waiting = [_ready(step) for step in steps]
        started, through = self.monotonic(), 0
        while waiting:
            batch = self._next(waiting)
            taken = {r.step.name for r in batch}
            waiting = [r for r in waiting if r.step.name not in taken]
            self._batch(batch)
            through += len(batch)
            self.done(len(batch))
            stopper = next((r for r in batch if self.results[r.step.name].outcome.stops), None)
            if stopper is not None:
                text = f"not reached: the run stopped at {stopper.step.name}, which is not settled"
                self.results |= {r.step.name: DlqResult(DlqOutcome.LEFT, text, changed=False) for r in waiting}
                return
            self._proven |= {r.way for r in batch if self._sent_and_settled(r)}
            if waiting and self.rate is not None:
                ahead = through / self.rate - (self.monotonic() - started)
                if ahead > 0:
                    self.sleep(ahead)

    def _next(self, waiting: Sequence[_Ready]) -> list[_Ready]:
        first = waiting[0]
        if first.way not in self._proven:
            return [first]
        most = BATCH if self.rate is None else max(1, min(BATCH, int(self.rate)))
        return [r for r in waiting if r.way in self._proven and r.stage == first.stage][:most]

    def _sent_and_settled(self, ready: _Ready) -> bool:
        result = self.results[ready.step.name]
        return result.changed and result.outcome is DlqOutcome.SETTLED

    def _note(self, ready: _Ready, outcome: DlqOutcome, text: str, *, changed: bool) -> None:
        self.results[ready.step.name] = DlqResult(outcome, text, changed)

    # one batch, of one worker

    def _batch(self, batch: Sequence[_Ready]) -> None:
        self.progress("checking again")
        try:
            going = self._still_unsettled(batch)
        except (Unreachable, Refused) as error:
            for ready in batch:
                self._note(ready, DlqOutcome.FAILED, f"not sent: {error.message}", changed=False)
            return
        if going:
            self._watch(self._send(going))

    def _still_unsettled(self, batch: Sequence[_Ready]) -> list[_Ready]:
        """Those that are still to be sent, by what is read now; for the others the result says why not."""
        stage, judge = batch[0].stage, self.planner.judge
        events = [r.event for r in batch]
        judge.backlog.look([stage])
        waiting = judge.waiting(stage, batch[0].message.topic, events)
        known = judge.known(stage, events)
        parked = self.parked()
        going = []
        for ready in batch:
            now = judge.one(stage, ready.original, ready.event, known, waiting, parked, ready.source.record)
            if now.state is DlqState.SETTLED:
                self._note(ready, DlqOutcome.SETTLED, f"settled by somebody else meanwhile: {now.why}", changed=False)
            elif now.state is DlqState.WAITING:
                self._note(ready, DlqOutcome.WAITING, f"not sent: a copy {now.why}", changed=False)
            elif now.state is DlqState.UNSETTLED or (now.state is DlqState.UNKNOWN and not is_checked(stage)):
                why_not = self._why_not(ready)
                if why_not is None:
                    going.append(ready)
                else:
                    self._note(ready, DlqOutcome.CHANGED, f"not sent: {why_not}", changed=False)
            else:
                text = f"since the plan was made it became {now.state}: {now.why}"
                self._note(ready, DlqOutcome.CHANGED, text, changed=False)
        return going

    def _why_not(self, ready: _Ready) -> str | None:
        target = ready.step.target
        assert target is not None  # noqa: S101  a step that is sent has a target
        return self.planner.unprotected(ready.stage, target) or self.planner.rivalled(
            ready.stage, ready.event, ready.original
        )

    def _send(self, going: Sequence[_Ready]) -> list[tuple[_Ready, Place]]:
        """Send, and give those that the broker has, with where their copies lie."""
        self.progress("sending")
        ids = self.journal.intend_all([_intent(ready) for ready in going])
        for ready in going:
            self._note(ready, DlqOutcome.UNSEEN, "its send was begun; whether it arrived is unknown", changed=True)
        try:
            results = self.kafka().send([r.message for r in going])
        except OutcomeUnknown as error:
            results = tuple(SendResult(SendState.UNKNOWN, error=error.message) for _ in going)
        except KcfixError as error:
            results = tuple(SendResult(SendState.REJECTED, error=error.message) for _ in going)
        told = [{"state": r.state, "partition": r.partition, "offset": r.offset, "error": r.error} for r in results]
        self.journal.done_all(zip(ids, told, strict=True))
        copies = []
        for ready, sent in zip(going, results, strict=True):
            if sent.state is SendState.REJECTED:
                self._note(ready, DlqOutcome.FAILED, f"not sent: {sent.error}", changed=False)
            elif sent.partition is None or sent.offset is None:
                text = f"it may have been sent ({sent.error or 'its place is not known'}); the next run finds out"
                self._note(ready, DlqOutcome.UNSEEN, text, changed=True)
            else:
                copy = Place(ready.message.topic, sent.partition, sent.offset)
                self._note(ready, DlqOutcome.UNSEEN, f"sent ({copy}), not yet seen to be settled", changed=True)
                copies.append((ready, copy))
        return copies

    # watching

    def _watch(self, copies: list[tuple[_Ready, Place]]) -> None:
        """Wait until the worker has done its work, or the time is up. A time-out is not a failure."""
        deadline = self.monotonic() + self.wait.total_seconds()
        looks = max(1, math.ceil(self.wait / POLL))
        while copies:
            looks -= 1
            try:
                copies = self._unsettled(copies)
            except (Unreachable, Refused) as error:
                for ready, copy in copies:
                    self._note(ready, DlqOutcome.UNSEEN, f"sent ({copy}); then: {error.message}", changed=True)
                return
            if copies and (looks <= 0 or self.monotonic() >= deadline):
                self._late(copies)
                return
            if copies:
                self.progress(f"waiting for the worker ({len(copies)} to go)")
                self.sleep(POLL.total_seconds())

    def _unsettled(self, copies: Sequence[tuple[_Ready, Place]]) -> list[tuple[_Ready, Place]]:
        """Note those whose work is there now; gives the others."""
        stage, judge = copies[0][0].stage, self.planner.judge
        if not is_checked(stage):
            return self._unread(stage, copies)
        known = judge.known(stage, [ready.event for ready, _ in copies])
        left = []
        for ready, copy in copies:
            done = work_done(stage, ready.event, known)
            if done is None:
                left.append((ready, copy))
            elif (wrong := _doubled(ready, known)) is not None:
                self._note(ready, DlqOutcome.UNVERIFIED, f"sent ({copy}); {wrong}", changed=True)
            else:
                self._note(ready, DlqOutcome.SETTLED, f"sent ({copy}), and the worker made {done}", changed=True)
        return left

    def _unread(self, stage: Stage, copies: Sequence[tuple[_Ready, Place]]) -> list[tuple[_Ready, Place]]:
        """Nothing tells what this worker does, but it commits only what it has handled."""
        committed = self.kafka().committed([stage.group]).get(stage.group, {})
        left = []
        for ready, copy in copies:
            now = committed.get(copy.in_partition)
            if now is None or now.offset is None or now.offset <= copy.offset:
                left.append((ready, copy))
                continue
            text = f"sent ({copy}), and {stage.worker} handled it (committed {now.offset}); no table can show it"
            self._note(ready, DlqOutcome.SETTLED, text, changed=True)
        return left

    def _late(self, copies: Sequence[tuple[_Ready, Place]]) -> None:
        """The time is up: those that have a dead letter again failed, the others may yet be settled."""
        seconds = int(self.wait.total_seconds())
        with suppress(Unreachable):  # then it is only not known whether they failed again
            self.mailbox.read_on()
        for ready, copy in copies:
            again = next(iter(self.mailbox.store.at(copy)), None)
            if again is not None:
                text = f"sent ({copy}), and the worker failed on it again: {again.reason}; see `kcfix dlq show {copy}`"
                self._note(ready, DlqOutcome.FAILED_AGAIN, text, changed=True)
            else:
                text = f"sent ({copy}); not settled within {seconds} s; it may yet be, look again"
                self._note(ready, DlqOutcome.UNSEEN, text, changed=True)


def _ready(step: DlqStep) -> _Ready:
    assert step.original is not None  # noqa: S101  a step that is sent has all of these
    assert step.stage is not None  # noqa: S101
    assert step.source is not None  # noqa: S101
    assert step.message is not None  # noqa: S101
    return _Ready(step, step.original, step.stage, step.source, step.message)


def _doubled(ready: _Ready, known: Known) -> str | None:
    """What is wrong although the work is there: two active purchases of the student and course; None if nothing."""
    payment = ready.event.payment_id
    facts = known.facts.get(payment) if ready.stage.name == "purchase" and payment else None
    active = [p.id for p in facts.purchases if p.is_active] if facts else []
    return f"{len(active)} active purchases of its student and course: {', '.join(active)}" if len(active) > 1 else None


_JOURNALLED = frozenset({"eventId", "correlationId", "eventType", "source", "version", "kcfix-replays"})


def _intent(ready: _Ready) -> dict[str, object]:
    """What the journal says before the send."""
    message = ready.message
    return {
        "step": "replay",
        "payment_id": ready.original.payment_id,
        "original": str(ready.original.place),
        "cause": ready.original.cause,
        "topic": message.topic,
        "partition": message.partition,
        "headers": {n: (v or b"").decode(errors="replace") for n, v in message.headers if n in _JOURNALLED},
        "before": {"state": ready.original.state, "why": ready.step.why},
    }
