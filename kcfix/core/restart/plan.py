"""What a restart of a worker would do, as a value: which way, what would be pinned where, or why not at all.

Everything is decided here from what was read (docs/decisions.md 4); `apply` does it and reads again on the way.
"""

from __future__ import annotations

import enum
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from kcfix.core.judging.snapshot import Reading
from kcfix.core.move.pin import Pin, beyond_stops, unchecked, unprotected, unreadable
from kcfix.core.move.settlement import is_checked
from kcfix.core.offsets import Group, PartitionLag
from kcfix.core.payments import PaymentId
from kcfix.core.workers import Container, ContainerState
from kcfix.core.working.worker import corroborating
from kcfix.flow import Stage

NAMED = 5
"""Payments that a sentence names before it only counts."""
MOVABLE = (ContainerState.RUNNING, ContainerState.RESTARTING, ContainerState.EXITED, ContainerState.CREATED)
"""States that a stop or a start leads out of."""


class Way(enum.StrEnum):
    """How a worker is brought back."""

    RESTART = "RESTART"
    """One call of the engine: every partition is protected, or the loss is accepted and nothing can be pinned."""
    START = "START"
    """The same for a worker that is stopped."""
    PIN = "PIN"
    """Stop what runs, wait until the group is empty, commit, start."""
    MISSING = "MISSING"
    """There is no container: kcfix can pin, and print the line that makes one."""
    ELSEWHERE = "ELSEWHERE"
    """Docker does not answer: kcfix can pin once the group is empty, and cannot start anything."""


@dataclass(frozen=True, slots=True)
class GroupView:
    """A worker's group and every partition that it reads, read once."""

    group: Group
    lags: tuple[PartitionLag, ...]
    """Sorted; committed offsets were read before the log ends."""
    missing_topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class No:
    """Why it is not done, and what to do instead."""

    reason: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done about one worker."""

    stage: Stage
    way: Way
    containers: tuple[Container, ...]
    """All of the service, running or not, sorted by name."""
    view: GroupView | None
    """None: Kafka did not answer."""
    pins: tuple[Pin, ...] = ()
    """As of now; they are read again once the group is empty."""
    refusal: No | None = None
    """Set: nothing is done about this worker."""
    loss: tuple[str, ...] = ()
    """What is skipped for good if it is done (only with --accept-skip), in so many words."""
    notes: tuple[str, ...] = ()
    accept_skip: bool = False
    up_line: str | None = None
    """The command that makes the container anew, from its own labels or a sibling's; None if none tells."""

    @property
    def changes(self) -> bool:
        """Whether there is anything that kcfix would do."""
        if self.refusal is not None:
            return False
        if self.way in (Way.MISSING, Way.ELSEWHERE):
            return any(pin.needed for pin in self.pins)
        return True

    @property
    def stopping(self) -> tuple[Container, ...]:
        """The containers that have to be stopped first."""
        return tuple(c for c in self.containers if c.state in (ContainerState.RUNNING, ContainerState.RESTARTING))


@dataclass(frozen=True, slots=True)
class Situation:
    """All that was read about one worker, before anything is concluded."""

    stage: Stage
    containers: Reading[tuple[Container, ...]]
    view: Reading[GroupView]
    pins: Reading[tuple[Pin, ...]] = field(default_factory=lambda: Reading(()))
    """Of the unprotected partitions; an error where the payments can't be checked."""
    siblings: tuple[Container, ...] = ()
    """Containers of the same Compose project, which tell how one is made."""


def plan_restart(situation: Situation, *, accept_skip: bool) -> Plan:
    """What to do about one worker.

    `accept_skip`: go on where messages would be skipped; `loss` then names them.
    """
    plan = _how_to_bring_back(situation)
    plan = replace(plan, accept_skip=accept_skip)
    if plan.refusal is not None:
        return plan
    view = situation.view.value
    if view is None:
        return _blind(plan, situation.view.error or "", accept_skip)
    if view.missing_topics:
        topics = ", ".join(view.missing_topics)
        plan = replace(plan, notes=(*plan.notes, f"topic {topics} does not exist: the worker can't join without it"))
    if doubtful := unreadable(view.lags):
        which = ", ".join(str(lag.partition) for lag in doubtful)
        return _blind(plan, f"the offsets of {which} are unknown: {doubtful[0].error}", accept_skip)
    bare = unprotected(view.lags)
    if not bare:
        return plan
    way = plan.way if plan.way in (Way.MISSING, Way.ELSEWHERE) else Way.PIN
    plan = replace(plan, way=way, notes=(*plan.notes, *_strangers(plan, view.group)))
    found = situation.pins.value
    if found is None:
        return _unchecked(plan, bare, situation.pins.error or "")
    return _pinned(replace(plan, pins=found))


def _how_to_bring_back(situation: Situation) -> Plan:
    stage, view, boxes = situation.stage, situation.view.value, situation.containers.value
    if boxes is None:
        error = situation.containers.error or ""
        why = error if error.startswith("Docker") else f"Docker: {error}"
        notes = (
            f"{why}; so kcfix can neither stop nor start {stage.worker}, nor see that it works: the lines for `docker` "
            "are to be run in the Compose folder where it runs",
        )
        return Plan(stage, Way.ELSEWHERE, (), view, notes=notes)
    boxes = tuple(sorted(boxes, key=lambda c: c.name))
    if not boxes:
        return Plan(stage, Way.MISSING, (), view, up_line=up_line(stage.worker, situation.siblings))
    stuck = [c for c in boxes if c.state not in MOVABLE]
    running = any(c.state in (ContainerState.RUNNING, ContainerState.RESTARTING) for c in boxes)
    plan = Plan(stage, Way.RESTART if running else Way.START, boxes, view, up_line=up_line(stage.worker, boxes))
    if not stuck:
        return plan
    names = " ".join(c.name for c in stuck)
    if all(c.state is ContainerState.PAUSED for c in stuck):
        reason = f"{names} is paused: somebody froze it, and a frozen worker can be neither stopped nor asked"
        return replace(plan, refusal=No(reason, f"docker unpause {names}"))
    return replace(plan, refusal=No(f"{names} is {stuck[0].state.lower()}: it can't be started again", "docker ps -a"))


def _strangers(plan: Plan, group: Group) -> tuple[str, ...]:
    """Members that none of the containers vouches for: a ghost goes within half a minute, a worker elsewhere stays."""
    odd = [m for m in group.members if corroborating(m, plan.containers, plan.stage) is None]
    if not odd or not plan.containers:
        return ()
    who = ", ".join(f"{m.client_id} at {m.host}" for m in odd)
    return (f"{who} is none of these containers: unless it is a ghost, the group can't become empty",)


LAST_RESORT = "get that system to answer first; --accept-skip restarts all the same and loses what waits unprotected"


def _blind(plan: Plan, why: str, accept_skip: bool) -> Plan:
    """Nothing may be concluded about the offsets."""
    worker = plan.stage.worker
    if not accept_skip or plan.way in (Way.MISSING, Way.ELSEWHERE):
        last = "" if plan.way in (Way.MISSING, Way.ELSEWHERE) else f"; {LAST_RESORT}"
        return replace(
            plan, refusal=No(f"whether a start of {worker} skips messages can't be told: {why}{last}", "kcfix status")
        )
    loss = (
        f"{why}: this is a plain restart that protects nothing",
        f"on every partition without a usable committed offset {worker} will begin at the log end: all that waits "
        "there, and all that arrives until it has joined, is skipped for good",
    )
    return replace(plan, loss=loss)


def _unchecked(plan: Plan, bare: Sequence[PartitionLag], why: str) -> Plan:
    """The partitions are known and the messages can't be judged."""
    which = ", ".join(str(lag.partition) for lag in bare)
    if not plan.accept_skip:
        return replace(
            plan,
            refusal=No(
                f"{which} has no usable committed offset, and which messages there are settled can't be checked: {why}"
                f"; {LAST_RESORT}",
                "kcfix status",
            ),
        )
    count = sum(lag.retained_records or 0 for lag in bare)
    loss = (
        f"which messages are settled can't be checked: {why}",
        f"all {count} offsets on {which} are skipped for good, settled or not; later messages are not",
    )
    return replace(plan, pins=unchecked(bare), loss=loss)


def _pinned(plan: Plan) -> Plan:
    stopped = [pin for pin in plan.pins if pin.refused]
    notes = plan.notes
    if any(not is_checked(plan.stage) and pin.first for pin in plan.pins):
        notes = (*notes, f"whether {plan.stage.worker} handled a message can't be checked: it reads them all again")
    for pin in plan.pins:
        owed = [s for s in pin.passed if s.owed]
        if owed:
            notes = (*notes, f"{pin.partition}: passed, because the worker would fail on it: {_named(owed)}")
    plan = replace(plan, notes=notes)
    if not stopped:
        return plan
    if plan.accept_skip:
        moved = tuple(beyond_stops(pin) for pin in plan.pins)
        loss = tuple(
            f"{new.partition}: all up to offset {old.last_stop_offset} is skipped for good; of these something is owed "
            f"to {_named(s for s in new.passed if s.owed)}"
            for old, new in zip(plan.pins, moved, strict=True)
            if old.refused
        )
        return replace(plan, pins=moved, loss=loss)
    repairs = tuple(dict.fromkeys(i for pin in stopped for i in pin.repairs))
    where = "; ".join(
        f"{s.partition} offset {s.offset}" + (f" (payment {s.payment_id})" if s.payment_id else "") + f": {s.reason}"
        for pin in stopped
        for s in pin.stops[:NAMED]
    )
    reason = (
        f"behind unsettled messages lies one that {plan.stage.worker} must not read, or it would fail there again and "
        f"again: {where}"
    )
    if plan.stage.name != "purchase" or not repairs:
        hint = f"kcfix restart {plan.stage.worker} --accept-skip (skips what lies before it)"
    else:
        hint = f"kcfix repair {' '.join(repairs)} --apply, then kcfix restart {plan.stage.worker}"
    return replace(plan, refusal=No(reason, hint))


def _named(messages: Iterable[object]) -> str:
    """The payments of some messages, the first few by id, the others by number."""
    found = list(messages)
    words = []
    for s in found[:NAMED]:
        payment_id: PaymentId | None = getattr(s, "payment_id", None)
        words.append(str(payment_id) if payment_id else f"offset {getattr(s, 'offset', '?')}")
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return (", ".join(words) + more) or "none"


_FILES = "com.docker.compose.project.config_files"
_FOLDER = "com.docker.compose.project.working_dir"
_ENV_FILES = "com.docker.compose.project.environment_file"


def up_line(service: str, siblings: Iterable[Container]) -> str | None:
    """The complete `docker compose … up -d` line for a service, from the labels of a container of the same project.

    None where no sibling has a project label. What the labels do not hold is left out, as Compose then does without.
    """
    labelled = [c for c in siblings if c.project]
    if not labelled:
        return None
    told = max(labelled, key=lambda c: (_FILES in c.labels, _FOLDER in c.labels, c.name))
    words = ["docker", "compose", "-p", str(told.project)]
    for file in _listed(told.labels.get(_FILES)):
        words += ["-f", file]
    if folder := told.labels.get(_FOLDER):
        words += ["--project-directory", folder]
    for file in _listed(told.labels.get(_ENV_FILES)):
        words += ["--env-file", file]
    return shlex.join([*words, "up", "-d", service])


def _listed(label: str | None) -> list[str]:
    return [part.strip() for part in (label or "").split(",") if part.strip()]
