"""What to look for in a worker's log, by the lines that really exist (docs/system.md 4.2).

A milestone says what a line *proves*, which is often less than its words: "Started consuming" is logged whether the
join succeeded or not, and "Purchase created successfully in transaction" comes before a possible rollback, so neither
is in the table.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from kcfix.core.logs.entry import Dialect, Level, LogEntry
from kcfix.core.logs.parse import payment_of
from kcfix.core.payments import PaymentId
from kcfix.flow import Stage


class Milestone(enum.StrEnum):
    """A step of a worker's life or of one payment's way through it."""

    STARTING = "STARTING"
    INITIALIZED = "INITIALIZED"
    JOINED = "JOINED"
    RECEIVED = "RECEIVED"
    HANDLED = "HANDLED"
    COMMITTED = "COMMITTED"
    """The purchase is committed to the database."""
    ANNOUNCED = "ANNOUNCED"
    """PURCHASE_CREATED was sent."""
    ALLOCATED = "ALLOCATED"
    ALLOCATION_ANNOUNCED = "ALLOCATION_ANNOUNCED"
    SESSIONS_MADE = "SESSIONS_MADE"
    CACHE_CLEARED = "CACHE_CLEARED"
    RETRIED = "RETRIED"
    DEAD_LETTERED = "DEAD_LETTERED"
    CONNECTION_ERROR = "CONNECTION_ERROR"
    CRASHED = "CRASHED"
    RESTARTING = "RESTARTING"
    DEAD = "DEAD"
    """A crash without a restart after it. No line of its own proves it: see `unanswered_crash`."""
    FATAL = "FATAL"


@dataclass(frozen=True, slots=True)
class MilestoneRule:
    """A row of the table: an entry that matches proves the milestone."""

    milestone: Milestone
    title: str
    """As shown to the operator."""
    phrases: tuple[str, ...]
    """Any of them inside the message. Substrings, because winston doubles messages (docs/system.md 4.1)."""
    dialect: Dialect | None = None
    """Only lines of this writer; None for any."""
    also: Callable[[LogEntry], bool] = lambda _: True
    per_payment: bool = False
    """Whether it is about one payment, or about the worker as a whole."""
    stages: tuple[str, ...] = ()
    """Stages (`Stage.name`) whose workers write it; empty for all."""

    def matches(self, entry: LogEntry) -> bool:
        """Whether the entry proves the milestone."""
        if self.dialect is not None and entry.dialect is not self.dialect:
            return False
        return any(phrase in entry.message for phrase in self.phrases) and self.also(entry)


def _is_trouble(entry: LogEntry) -> bool:
    return entry.level in (Level.ERROR, Level.WARN, Level.UNKNOWN)


RULES: tuple[MilestoneRule, ...] = (
    MilestoneRule(Milestone.STARTING, "starting", ("🚀 Starting", "Worker] Starting")),
    MilestoneRule(Milestone.INITIALIZED, "initialized", ("Worker] Initialized",), Dialect.APPLICATION),
    MilestoneRule(Milestone.JOINED, "joined the group", ("Consumer has joined the group",), Dialect.KAFKAJS),
    MilestoneRule(Milestone.RECEIVED, "received", ("[KafkaConsumer] Processing message",), per_payment=True),
    # These two say it themselves as well, and with the ids of the event rather than those of its headers.
    MilestoneRule(
        Milestone.RECEIVED, "received", ("📨 Received",), per_payment=True, stages=("purchase", "allocation")
    ),
    MilestoneRule(
        Milestone.COMMITTED,
        "purchase committed",
        ("Transaction committed successfully", "✅ Purchase created and event marked as processed"),
        per_payment=True,
        stages=("purchase",),
    ),
    MilestoneRule(
        Milestone.ANNOUNCED,
        "PURCHASE_CREATED sent",
        ("PURCHASE_CREATED event emitted to Kafka",),
        per_payment=True,
        stages=("purchase",),
    ),
    MilestoneRule(
        Milestone.ALLOCATED,
        "trainer allocated",
        ("Trainer allocated successfully",),
        per_payment=True,
        stages=("allocation",),
    ),
    MilestoneRule(
        Milestone.ALLOCATION_ANNOUNCED,
        "TRAINER_ALLOCATED sent",
        ("TRAINER_ALLOCATED event emitted to Kafka",),
        per_payment=True,
        stages=("allocation",),
    ),
    MilestoneRule(
        Milestone.SESSIONS_MADE,
        "sessions created",
        ("Sessions created successfully",),
        per_payment=True,
        stages=("session",),
    ),
    MilestoneRule(
        Milestone.CACHE_CLEARED,
        "cache cleared",
        ("Cache invalidation completed",),
        per_payment=True,
        stages=("cache",),
    ),
    MilestoneRule(Milestone.HANDLED, "handled", ("[KafkaConsumer] Message processed successfully",), per_payment=True),
    MilestoneRule(Milestone.RETRIED, "retried", ("[RetryPolicy] Operation failed, retrying",), per_payment=True),
    MilestoneRule(
        Milestone.DEAD_LETTERED,
        "given up, dead letter",
        ("[DeadLetterPublisher] Message sent to DLQ",),
        per_payment=True,
    ),
    MilestoneRule(
        Milestone.CONNECTION_ERROR,
        "connection error",
        (
            "Connection error:",
            "Failed to connect",
            "connection error",
            "Connection timeout",
            "ECONNREFUSED",
            "ENOTFOUND",
            "Redis connection failed",
        ),
        also=_is_trouble,
    ),
    MilestoneRule(Milestone.CRASHED, "crashed", ("[Consumer] Crash:",), Dialect.KAFKAJS),
    MilestoneRule(Milestone.RESTARTING, "restarting itself", ("[Consumer] Restarting the consumer",), Dialect.KAFKAJS),
    MilestoneRule(Milestone.FATAL, "fatal error", ("Fatal error",), Dialect.APPLICATION),
)
"""The table, in the order in which the milestones are shown."""

_OF = {milestone: tuple(rule for rule in RULES if rule.milestone is milestone) for milestone in Milestone}


def rules_of(stage: Stage | None) -> tuple[MilestoneRule, ...]:
    """One rule for each milestone that this stage's worker can reach, in the order of the table; None: any worker."""
    chosen: dict[Milestone, MilestoneRule] = {}
    for rule in RULES:
        if not rule.stages or (stage is not None and stage.name in rule.stages):
            chosen[rule.milestone] = rule
        elif stage is None:
            chosen.setdefault(rule.milestone, rule)
    return tuple(chosen.values())


def is_milestone(entry: LogEntry, milestone: Milestone) -> bool:
    """Whether the entry proves this milestone."""
    return any(rule.matches(entry) for rule in _OF[milestone])


def last(entries: Iterable[LogEntry], milestone: Milestone) -> LogEntry | None:
    """The newest entry that proves the milestone; None where no entry does. Entries may be in any order."""
    found = [e for e in entries if is_milestone(e, milestone)]
    return max(found, key=lambda e: e.timestamp, default=None)


def unanswered_crash(entries: Iterable[LogEntry]) -> LogEntry | None:
    """The `Crash:` line after which no `Restarting` line came: that consumer is dead in a live process.

    Entries are those of one container since its start, in order. The class of the error does not tell
    (docs/system.md 4.2); kafkajs writes the second line once it has left the group, so a very young crash may still be
    answered.
    """
    open_crash: LogEntry | None = None
    for entry in entries:
        open_crash = _crash_after(entry, open_crash)
    return open_crash


def _crash_after(entry: LogEntry, open_crash: LogEntry | None) -> LogEntry | None:
    """The crash that is unanswered once this entry was written."""
    if is_milestone(entry, Milestone.CRASHED):
        return entry
    # A process that starts anew, by whatever hand, has a new consumer.
    answers = (Milestone.RESTARTING, Milestone.STARTING, Milestone.JOINED)
    return None if any(is_milestone(entry, m) for m in answers) else open_crash


@dataclass(frozen=True, slots=True)
class Seen:
    """How often and when a milestone was seen. `count` 0: not in the lines that were looked at, which is no "no"."""

    rule: MilestoneRule
    count: int
    first: datetime | None
    last: datetime | None
    example: str | None
    """Message of the newest one."""


@dataclass(frozen=True, slots=True)
class Looked:
    """The lines in which milestones were looked for."""

    lines: int
    since: datetime | None
    """Time of the oldest; None where there was no line."""


@dataclass(frozen=True, slots=True)
class Reached:
    """Milestones of one container: of the worker as a whole, and of each payment that was seen, oldest first."""

    looked: Looked
    worker: tuple[Seen, ...]
    """A row for each milestone that its worker can reach, seen or not, in the order of the table."""
    payments: Mapping[PaymentId, tuple[Seen, ...]]
    dead: LogEntry | None
    """The crash after which its consumer did not come back; None where there is none."""


@dataclass(slots=True)
class _Count:
    count: int = 0
    first: LogEntry | None = None
    last: LogEntry | None = None

    def add(self, entry: LogEntry) -> None:
        self.count += 1
        self.first = self.first or entry
        self.last = entry

    def seen(self, rule: MilestoneRule) -> Seen:
        first, newest = self.first, self.last
        return Seen(
            rule,
            self.count,
            first.timestamp if first else None,
            newest.timestamp if newest else None,
            newest.message if newest else None,
        )


def reached(entries: Iterable[LogEntry], stage: Stage | None, payment: PaymentId | None = None) -> Reached:
    """What the lines of one container prove, in one pass; they must be in the order of time.

    `stage` None: a container that is no worker of the flow, so any rule may hold. With a `payment` only its lines count
    for the milestones that are about a payment.
    """
    rules = rules_of(stage)
    committed: set[PaymentId] = set()
    worker = {rule.milestone: _Count() for rule in rules}
    payments: dict[PaymentId, dict[Milestone, _Count]] = {}
    lines = 0
    since: datetime | None = None
    open_crash: LogEntry | None = None
    for entry in entries:
        lines += 1
        since = since or entry.timestamp
        open_crash = _crash_after(entry, open_crash)
        about = payment_of(entry)
        for rule in rules:
            if not rule.matches(entry):
                continue
            if rule.per_payment and payment is not None and about != payment:
                continue
            if about is not None:
                # Two lines tell of one commit; a payment can be committed again only after it was received again.
                if rule.milestone is Milestone.RECEIVED:
                    committed.discard(about)
                elif rule.milestone is Milestone.COMMITTED:
                    if about in committed:
                        continue
                    committed.add(about)
            worker[rule.milestone].add(entry)
            if rule.per_payment and about is not None:
                of_payment = payments.setdefault(about, {r.milestone: _Count() for r in rules if r.per_payment})
                of_payment[rule.milestone].add(entry)
    return Reached(
        Looked(lines, since),
        tuple(worker[rule.milestone].seen(rule) for rule in rules),
        {
            one: tuple(counts[rule.milestone].seen(rule) for rule in rules if rule.per_payment)
            for one, counts in payments.items()
        },
        open_crash,
    )
