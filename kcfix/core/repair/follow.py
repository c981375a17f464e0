"""Follows what a repair did to its end: an approved allocation and its sessions, which other workers make.

The cache can't be seen. That the cache group has read past the announcement is evidence, and no proof: it swallows
every error (docs/system.md 2.4).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from kcfix.core.judging.gather import read_facts
from kcfix.core.offsets import Committed, TopicPartition
from kcfix.core.payments import PaymentFacts, PaymentId
from kcfix.core.ports.database import DatabasePort
from kcfix.core.ports.kafka import KafkaPort
from kcfix.core.repair.result import Outcome, Result
from kcfix.errors import Unreachable
from kcfix.flow import Flow

POLL = timedelta(milliseconds=500)


@dataclass(frozen=True, slots=True)
class Followed:
    """How far the flow went on for one payment that was settled."""

    allocation_id: str | None
    """Approved or active; None: none was seen in time."""
    sessions: int
    cache_passed: bool | None
    """Whether the cache group has read past the announcement; None where that is not known."""
    silent: str | None = None
    """What did not answer, so that nothing more is known of allocation and sessions."""

    @property
    def arrived(self) -> bool:
        """Whether the customer has a trainer and sessions."""
        return self.allocation_id is not None and self.sessions > 0

    @property
    def text(self) -> str:
        """In a few words."""
        if self.silent is not None:
            return f"not followed: {self.silent}"
        parts = [
            "no approved allocation yet" if self.allocation_id is None else f"allocation {self.allocation_id}",
            *([] if self.allocation_id is None else [f"{self.sessions or 'no'} sessions"]),
        ]
        cache = {True: "has read past it (no proof of a cleared cache)", False: "has still to read it"}
        if self.cache_passed is not None:
            parts.append(f"the cache group {cache[self.cache_passed]}")
        return "followed: " + ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Following:
    """Where to look, and for how long."""

    flow: Flow
    database: Callable[[], DatabasePort]
    kafka: Callable[[], KafkaPort]
    wait: timedelta
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    progress: Callable[[str], None]


def follow(results: Mapping[PaymentId, Result], where: Following) -> dict[PaymentId, Followed]:
    """How far the flow went for each payment that this run changed and settled, once all arrived or time is up.

    Never raises Unreachable: what did not answer is in the result.
    """
    wanted = [i for i, r in results.items() if r.outcome is Outcome.SETTLED and r.changed]
    if not wanted:
        return {}
    found = _watch(wanted, where)
    passed = _cache_passed({i: results[i].announced_at for i in wanted}, where)
    return {i: Followed(f.allocation_id, f.sessions, passed.get(i), f.silent) for i, f in found.items()}


def _watch(wanted: list[PaymentId], where: Following) -> dict[PaymentId, Followed]:
    found: dict[PaymentId, Followed] = {}
    deadline = where.monotonic() + where.wait.total_seconds()
    while True:
        waiting = [i for i in wanted if i not in found or not found[i].arrived]
        looked = where.monotonic()
        try:
            facts = read_facts(where.database(), waiting)
        except Unreachable as error:
            return {**found, **{i: Followed(None, 0, None, error.message) for i in waiting}}
        found |= {i: _arrival(facts[i]) for i in waiting}
        left = sum(not f.arrived for f in found.values())
        if not left or where.monotonic() >= deadline:
            return found
        where.progress(f"following the flow ({left} to go)")
        # A look at many takes long: half of the time at most is spent on looking.
        where.sleep(max(POLL.total_seconds(), where.monotonic() - looked))


def _arrival(facts: PaymentFacts) -> Followed:
    allocated = [a for a in facts.allocations if a.allocated]
    if not allocated:
        return Followed(None, 0, None)
    best = max(allocated, key=lambda a: (a.sessions, a.requested_at))
    return Followed(best.id, best.sessions, None)


def _cache_passed(
    announced: Mapping[PaymentId, tuple[TopicPartition, int] | None], where: Following
) -> dict[PaymentId, bool]:
    """By payment; left out where its announcement was not kcfix's own, or no committed offset tells."""
    places = {i: place for i, place in announced.items() if place is not None}
    if not places:
        return {}
    try:
        committed = where.kafka().committed([where.flow.cache_group]).get(where.flow.cache_group, {})
    except Unreachable:
        return {}
    offsets = {i: (committed.get(tp, Committed(None)).offset, offset) for i, (tp, offset) in places.items()}
    return {i: read > offset for i, (read, offset) in offsets.items() if read is not None}
