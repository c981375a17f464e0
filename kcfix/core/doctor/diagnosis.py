"""What the doctor says: findings with their proof, what they cost, and the way out.

A rule makes `Found` values; `diagnose` turns each into a `Finding` by its rule's row, links causes with their
consequences and sums up what a cause costs.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from kcfix.core.missing import Finding as PaymentFinding
from kcfix.core.payments import PaymentId


class Severity(enum.StrEnum):
    """How bad a finding is, the worst first."""

    ERROR = "ERROR"
    """Payments are not served, or will not be: `doctor` ends with 1."""
    CAUTION = "CAUTION"
    """Something may become wrong, or one look can't tell. No alarm without `--strict`."""
    ADVICE = "ADVICE"
    """A setting that would prevent or soften the next incident. No alarm without `--strict`."""

    @property
    def rank(self) -> int:
        """0 for the worst, to sort by."""
        return list(Severity).index(self)


class Confidence(enum.StrEnum):
    """How sure it is that the cause is the one that is named."""

    PROVEN = "PROVEN"
    """What was read leaves no other reading."""
    LIKELY = "LIKELY"
    """The usual cause of what was read; another one was not excluded."""
    UNPROVEN = "UNPROVEN"
    """One look can't tell; `--sample 60s`, or what the finding names, settles it."""

    @property
    def rank(self) -> int:
        """0 for the surest, to sort by."""
        return list(Confidence).index(self)


class Need(enum.StrEnum):
    """What a rule has to have read; without it the rule is not checked."""

    DOCKER = "DOCKER"
    LOGS = "LOGS"
    """The workers' logs."""
    KAFKA = "KAFKA"
    BROKER = "BROKER"
    """Settings, other groups, dead letters and the records that partitions stand on."""
    DATABASE = "DATABASE"
    HEALTH = "HEALTH"
    """The database's locks, connections, settings and rights."""
    PAYMENTS = "PAYMENTS"
    """The payments of the last 24 hours with their verdicts."""


class Thing(NamedTuple):
    """Something that a finding is about, by which it is linked with others."""

    kind: str
    """system, worker, container, group, topic, partition, table, or `trouble`: a kind of failure seen in logs."""
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class EvidenceKind(enum.StrEnum):
    """Where a piece of evidence comes from."""

    CONTAINER = "container"
    LOG = "log"
    OFFSETS = "offsets"
    GROUP = "group"
    BROKER = "broker"
    DATABASE = "database"
    PAYMENT = "payment"
    SETTING = "setting"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One fact that was read, as it was read."""

    kind: EvidenceKind
    text: str
    at: datetime | None = None
    """When it happened; None for a state as of now."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """Until when it can wait."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Impact:
    """What a finding costs, its consequences included. None: not known, or not a matter of payments."""

    payments: int | None = None
    at_least: bool = False
    """Whether there may be more payments than these: not all were read."""
    amounts_minor: Mapping[str, int] = field(default_factory=dict)
    """By currency, in its minor unit; never summed across."""
    payment_ids: tuple[PaymentId, ...] = ()
    """Oldest first, a hundred at most."""
    since: datetime | None = None
    deadline: Deadline | None = None
    catch_up: timedelta | None = None
    """How long the backlog takes at the rate that was measured, once the worker works."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one rule saw, before the row of the rule is put to it."""

    symptom: str
    cause: str
    evidence: tuple[Evidence, ...] = ()
    action: tuple[str, ...] = ()
    """Commands or lines of a Compose file to paste, the first one first. `kcfix` stands for how it was called."""
    about: tuple[Thing, ...] = ()
    confidence: Confidence = Confidence.PROVEN
    severity: Severity | None = None
    """Where it differs from the row's."""
    since: datetime | None = None
    payments: tuple[PaymentFinding, ...] = ()
    deadline: Deadline | None = None
    catch_up: timedelta | None = None
    heals: str | None = None
    """How it gets well by itself; None where it does not, or nobody knows."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be."""

    code: str
    title: str
    severity: Severity
    symptom: str
    cause: str
    confidence: Confidence
    impact: Impact
    evidence: tuple[Evidence, ...]
    action: tuple[str, ...]
    about: tuple[Thing, ...]
    explained_by: str | None = None
    """Code of the finding that causes this one; None for a cause of its own."""
    consequences: tuple[Finding, ...] = ()
    heals: str | None = None

    @property
    def family(self) -> str:
        """The letter of its code."""
        return self.code[:1]

    @property
    def subjects(self) -> tuple[str, ...]:
        """What it is about, in words; kinds of failure are no subject."""
        return tuple(thing.name for thing in self.about if thing.kind != "trouble")


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A rule that could not be asked, and why."""

    code: str
    title: str
    reason: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that one examination gave."""

    findings: tuple[Finding, ...]
    """Causes, the worst first, each with its consequences beneath it."""
    unchecked: tuple[Unchecked, ...]
    checked: tuple[str, ...]
    """Codes of the rules that were asked."""

    @property
    def every(self) -> tuple[Finding, ...]:
        """All findings, each cause before its consequences."""
        return tuple(_flat(self.findings))


def _flat(findings: Iterable[Finding]) -> Iterable[Finding]:
    for finding in findings:
        yield finding
        yield from _flat(finding.consequences)
