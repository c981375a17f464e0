"""What a replay of dead letters would send, and why it leaves the rest alone (docs/decisions.md 8)."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from kcfix.core.dlq.judge import Judge
from kcfix.core.dlq.letter import DlqState, Judged, Original
from kcfix.core.dlq.message import Source, sources
from kcfix.core.dlq.read import Backlog, stage_of
from kcfix.core.dlq.store import LetterStore
from kcfix.core.dlq.subject import own_subjects, rival, subjects
from kcfix.core.events import Event, Message
from kcfix.core.move.settlement import is_checked
from kcfix.core.offsets import TopicPartition
from kcfix.core.ports.kafka import KafkaPort
from kcfix.errors import Unreachable
from kcfix.flow import Flow, Stage

PAGE = 100
LISTED = 200
"""Messages that are left alone and named; beyond that they are only counted."""
MAX_REPLAYS = 3


class DlqAction(enum.StrEnum):
    """What a replay does about a message."""

    SEND = "SEND"
    NOTHING = "NOTHING"
    """It is settled."""
    WAIT = "WAIT"
    """It, or a copy, waits for its worker."""
    REFUSE = "REFUSE"
    """Left alone; `why` says why."""
    UNKNOWN = "UNKNOWN"
    """Left alone: a system did not answer."""
    NOT_FOUND = "NOT_FOUND"
    """No dead letter is about what was named."""


@dataclass(frozen=True, slots=True)
class DlqStep:
    """One message of a plan."""

    name: str
    """Its place, or the word that was given where there is none."""
    action: DlqAction
    why: str
    original: Original | None = None
    stage: Stage | None = None
    source: Source | None = None
    """None unless it is to be sent."""
    target: TopicPartition | None = None
    replays: int = 0
    """How many replays led to this message."""
    notes: tuple[str, ...] = ()

    @property
    def message(self) -> Message | None:
        """What is sent; None unless it is to be sent."""
        if self.source is None or self.target is None:
            return None
        return self.source.message(self.target.partition, self.replays + 1)


@dataclass(frozen=True, slots=True)
class DlqPlan:
    """A whole plan."""

    steps: tuple[DlqStep, ...]
    left: Mapping[DlqState, int] = field(default_factory=dict)
    """Of a selection by cause or time, the messages that are not among the steps, by how they stand."""
    unlisted: int = 0
    """Messages that are refused and not among the steps, for there are too many."""
    beyond: int = 0
    """Messages that --max leaves for another run."""

    @property
    def sending(self) -> tuple[DlqStep, ...]:
        """What is to be sent, in order."""
        return tuple(step for step in self.steps if step.action is DlqAction.SEND)


@dataclass
class Planner:
    """Plans, page by page. What is taken for one message stands against the next: one of a kind in a run."""

    flow: Flow
    kafka: Callable[[], KafkaPort]
    store: LetterStore
    judge: Judge
    max_replays: int = MAX_REPLAYS
    _taken: dict[str, str] = field(default_factory=dict)

    @property
    def backlog(self) -> Backlog:
        """Where the workers are."""
        return self.judge.backlog

    def selection(self, candidates: Iterable[Original], limit: int, left: Mapping[DlqState, int]) -> DlqPlan:
        """The plan for all unsettled messages of a selection, in their order, at most `limit` to be sent."""
        waiting = iter(candidates)
        steps: list[DlqStep] = []
        sending = unlisted = 0
        while sending < limit and (page := tuple(islice(waiting, PAGE))):
            for number, step in enumerate(self.page(page)):
                if step.action is DlqAction.SEND:
                    if sending == limit:
                        return DlqPlan(tuple(steps), left, unlisted, len(page) - number + sum(1 for _ in waiting))
                    sending += 1
                elif len(steps) - sending >= LISTED:
                    unlisted += 1
                    continue
                steps.append(step)
        return DlqPlan(tuple(steps), left, unlisted, sum(1 for _ in waiting))

    def named(self, originals: Sequence[Original], missing: Iterable[DlqStep], limit: int) -> DlqPlan:
        """The plan for messages that were named, whatever their state."""
        steps = [*self.page(originals, named=True), *missing]
        sending = [s for s in steps if s.action is DlqAction.SEND]
        over = {s.name for s in sending[limit:]}
        return DlqPlan(tuple(s for s in steps if s.name not in over), beyond=len(over))

    def page(self, originals: Sequence[Original], *, named: bool = False) -> Iterator[DlqStep]:
        """A step for each."""
        sendable = [o for o in originals if self._left_alone(o, named=named) is None]
        try:
            found = sources(self.kafka(), sendable)
        except Unreachable as error:
            for original in originals:
                yield self._left_alone(original, named=named) or _step(original, DlqAction.UNKNOWN, error.message)
            return
        for original in originals:
            yield self._left_alone(original, named=named) or self._sent(original, found.get(original.id))

    def _left_alone(self, original: Original, *, named: bool) -> DlqStep | None:
        """The step for a message that its state alone keeps from being sent; None where it may be."""
        judged = original.judged or Judged(DlqState.UNKNOWN, "not looked at", owed=True)
        match judged.state:
            case DlqState.SETTLED:
                return _step(original, DlqAction.NOTHING, f"settled since: {judged.why}")
            case DlqState.WAITING:
                return _step(original, DlqAction.WAIT, judged.why)
            case DlqState.UNSETTLED:
                return None
            case DlqState.WOULD_FAIL:
                return _step(original, DlqAction.REFUSE, f"the worker would fail again: {judged.why}")
            case DlqState.WOULD_HARM:
                return _step(original, DlqAction.REFUSE, f"it would do harm: {judged.why}")
            case DlqState.SECOND_PAYMENT:
                return _step(original, DlqAction.REFUSE, f"a person decides: {judged.why}")
            case DlqState.PARKED:
                return _step(original, DlqAction.REFUSE, f"{judged.why}; `kcfix dlq park --unpark` takes that back")
            case DlqState.UNKNOWN:
                stage = stage_of(self.flow, original.place.topic)
                if stage is None or original.outline is None:
                    return _step(original, DlqAction.REFUSE, judged.why)
                if is_checked(stage):
                    return _step(original, DlqAction.UNKNOWN, judged.why)
                return None if named else _step(original, DlqAction.REFUSE, f"{judged.why}: only by its name")

    def _sent(self, original: Original, source: Source | None) -> DlqStep:
        stage = stage_of(self.flow, original.place.topic)
        if stage is None or source is None:
            return _step(original, DlqAction.REFUSE, "its message is neither in its topic nor in its dead letter")
        copies = self.store.same_event(original)
        newest = copies[-1]
        if newest.id != original.id:
            return _step(original, DlqAction.NOTHING, f"an older place of the same event: {newest.place} stands for it")
        replays = max(source.replays, len({c.place for c in copies}) - 1)
        if replays >= self.max_replays:
            why = f"it was replayed {times(replays)} and is here again: see `kcfix dlq show {original.place}`; park it"
            return _step(original, DlqAction.REFUSE, f"{why}, or say --max-replays {replays + 1}")
        view = self.backlog.views.get(stage.name)
        count = sum(lag.partition.topic == original.place.topic for lag in view.lags) if view is not None else 0
        if not count:
            return _step(original, DlqAction.REFUSE, f"topic {original.place.topic} does not exist")
        target = TopicPartition(source.record.topic, source.partition(count))
        if (why_not := self.unprotected(stage, target)) is not None:
            return _step(original, DlqAction.REFUSE, why_not)
        if (why_not := self.rivalled(stage, source.event, original)) is not None:
            return _step(original, DlqAction.REFUSE, why_not)
        about = own_subjects(stage, source.event)
        if (other := next((self._taken[s] for s in about if s in self._taken), None)) is not None:
            return _step(original, DlqAction.NOTHING, f"{other} is about the same and stands for it")
        self._taken |= dict.fromkeys(subjects(stage, source.event), str(original.place))
        return DlqStep(
            str(original.place),
            DlqAction.SEND,
            original.judged.why if original.judged else "",
            original,
            stage,
            source,
            target,
            replays,
            self._notes(stage, source, target, replays),
        )

    def unprotected(self, stage: Stage, target: TopicPartition) -> str | None:
        """Why a message on this partition might be skipped; None where the worker will read it."""
        lag = self.backlog.lag(stage, target)
        if lag is None or lag.unprotected is None:
            return f"whether {target} is protected is not known: {lag.error if lag else 'no such partition'}"
        if lag.unprotected:
            return (
                f"{stage.group} has no usable committed offset on {target}, and a start would skip the message: "
                f"`kcfix restart {stage.worker}` commits one, as does `kcfix offsets pin --group {stage.group}`"
            )
        return None

    def rivalled(self, stage: Stage, event: Event, original: Original) -> str | None:
        """Why another message of the same student and course goes first; None where there is none."""
        pair = rival(stage, event)
        if pair is None:
            return None
        other = self.backlog.still_waiting(stage, self.store.waiting(original.place.topic, [pair])).get(pair)
        if other is not None:
            return f"another payment of its student and course waits at {other}; look again when that is settled"
        first = self._taken.get(pair, str(original.place))
        if first != str(original.place):
            return f"{first} of the same student and course goes first: one of them in a run"
        return None

    def _notes(self, stage: Stage, source: Source, target: TopicPartition, replays: int) -> tuple[str, ...]:
        notes = []
        if not source.from_log:
            notes.append("the original is gone from its topic: the message is made of the dead letter")
        if replays:
            notes.append(f"replayed {times(replays)} before")
        if not is_checked(stage):
            notes.append("whether it was handled before can't be checked: it may be done twice")
        view = self.backlog.views.get(stage.name)
        if view is not None and view.group.members_known and view.group.owner(target) is None:
            notes.append(f"no member of {stage.group} reads {target} now: the message waits there")
        return tuple(notes)


def times(count: int) -> str:
    """The number in words.

    >>> times(1), times(3)
    ('once', '3 times')
    """
    return "once" if count == 1 else f"{count} times"


def _step(original: Original, action: DlqAction, why: str) -> DlqStep:
    return DlqStep(str(original.place), action, why, original)


def not_found(word: str, why: str, *, unread: bool = False) -> DlqStep:
    """The step of a word that names no dead letter, or none in what could be read."""
    return DlqStep(word, DlqAction.UNKNOWN if unread else DlqAction.NOT_FOUND, why)
