"""Is the worker *working*, and not merely up? (docs/decisions.md 1: "The worker is working", "Idle", "unproven").

One table of signs, each a function of what was seen; one rule that turns the signs into a state. `status` shows it,
`repair` replays only when it is WORKING or IDLE, `restart` takes it as the proof of a restart.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kcfix.core.logs.entry import LogEntry
from kcfix.core.offsets import Member, TopicPartition
from kcfix.core.working.corroborate import client_started_at, corroborating
from kcfix.core.working.signs import CONSUMED, IDLE, SIGNS, Look, Sign, Sure, evidence_of
from kcfix.flow import Stage

__all__ = ["Look", "Sign", "Sure", "Work", "WorkState", "client_started_at", "corroborating", "work"]


class WorkState(enum.StrEnum):
    """What may be said of a worker."""

    WORKING = "WORKING"
    """Every sign is there, and it was seen to consume."""
    IDLE = "IDLE"
    """Every sign but that one, because there was nothing to consume: "joined, idle, unproven". Enough for a replay."""
    UNPROVEN = "UNPROVEN"
    """Some sign is missing: it may work, it may not."""
    NOT_WORKING = "NOT_WORKING"
    UNKNOWN = "UNKNOWN"
    """Kafka or Docker, without which nothing can be said, did not answer."""


@dataclass(frozen=True, slots=True)
class Work:
    """Whether a worker works, and why it is said."""

    state: WorkState
    reasons: tuple[str, ...]
    """The signs that decided it, in words, the weightiest first. Never empty."""
    signs: tuple[Sign, ...]
    """All signs, in the order of the table."""
    members: tuple[Member, ...]
    """Corroborated members: their client id names a start that lies after that of a running container."""
    held: frozenset[TopicPartition]
    """Partitions that these members hold."""
    sample: timedelta | None
    """Between the first and the last look; None for a single one."""

    @property
    def may_replay(self) -> bool:
        """Whether a message that is sent to this worker may be expected to be handled (docs/decisions.md 3)."""
        return self.state in (WorkState.WORKING, WorkState.IDLE)

    def holds(self, partition: TopicPartition) -> bool:
        """Whether a corroborated member reads this partition."""
        return partition in self.held

    @property
    def summary(self) -> str:
        """The state in the operator's words, e.g. `joined, idle, unproven`."""
        match self.state:
            case WorkState.WORKING:
                return "working"
            case WorkState.IDLE:
                return "joined, idle, unproven"
            case WorkState.UNPROVEN:
                return "joined, unproven" if self.members else "unproven"
            case WorkState.NOT_WORKING:
                return "not working"
            case WorkState.UNKNOWN:
                return "unknown"


def work(stage: Stage, looks: Sequence[Look], entries: Sequence[LogEntry] | None, now: datetime) -> Work:
    """Whether the worker of a stage works, from one look or from the first and last look of a sample.

    `looks` are in time order, at least one. `entries` are lines of its containers since their StartedAt (or the newest
    of them), in time order; None where they could not be read. Lines of earlier lives are ignored.
    """
    evidence = evidence_of(stage, looks, entries, now)
    signs = tuple(sign(evidence) for sign in SIGNS)
    by_name = {sign.name: sign for sign in signs}
    required = [sign for sign in signs if sign.name not in (CONSUMED, IDLE)]
    denied = [s for s in signs if s.sure is Sure.NO]
    missing = [s for s in required if s.sure is not Sure.YES]
    consumed, idle = by_name[CONSUMED], by_name[IDLE]
    if denied:
        state, deciding = WorkState.NOT_WORKING, denied
    elif by_name["joined"].sure is Sure.UNKNOWN:
        state, deciding = WorkState.UNKNOWN, [s for s in required if s.sure is Sure.UNKNOWN]
    elif missing:
        state, deciding = WorkState.UNPROVEN, missing
    elif consumed.sure is Sure.YES:
        state, deciding = WorkState.WORKING, [consumed, by_name["member"]]
    elif idle.sure is Sure.YES:
        state, deciding = WorkState.IDLE, [by_name["member"], idle, consumed]
    else:
        state, deciding = WorkState.UNPROVEN, [consumed, idle]
    return Work(
        state=state,
        reasons=tuple(dict.fromkeys(s.text for s in deciding)),
        signs=signs,
        members=evidence.members,
        held=evidence.held,
        sample=evidence.span if len(looks) > 1 else None,
    )
