"""Which causes the doctor may name for each fault of the drill, and what is right and what is a false alarm.

The table stands here and not in kcfix: the doctor must not know what a drill does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

OVERDUE_SECONDS = 65
"""Payments are judged a minute after they succeeded: a look that is to see them waits a little longer."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What must come first for one fault."""

    codes: tuple[str, ...]
    """Any of them names the cause; more than one where two names are as good."""
    wait_seconds: int = OVERDUE_SECONDS
    """Between the breaking and the look; longer only where the finding itself takes longer to become one."""


def _of(*codes: str, wait: int = OVERDUE_SECONDS) -> Expected:
    return Expected(codes, wait)


EXPECTED: Mapping[str, Expected] = {
    # containers
    "worker-stopped": _of("W001"),
    "worker-removed": _of("W002"),
    "worker-crash-looping": _of("C005"),
    "worker-killed": _of("W001"),
    "worker-paused": _of("W005"),
    "worker-oom-killed": _of("W004"),
    "worker-not-restarted": _of("W007", "W001"),
    "worker-off-network": _of("C013"),
    "allocation-worker-stopped": _of("W001"),
    "session-worker-stopped": _of("W001"),
    "cache-worker-stopped": _of("W001"),
    "cache-worker-crash-looping": _of("C005"),
    # servers
    "broker-down": _of("K001"),
    "broker-paused": _of("K001"),
    "broker-will-not-start": _of("K001"),
    "broker-name-lost": _of("K013"),
    "database-down": _of("D001"),
    "database-paused": _of("D001"),
    # configuration
    "brokers-unset": _of("C001"),
    "brokers-wrong-name": _of("C003"),
    "sasl-not-configured": _of("K003", "C003"),
    "sasl-password-wrong": _of("K003"),
    "postgres-url-unset": _of("C002"),
    "postgres-password-wrong": _of("D003"),
    "postgres-tls-wrong": _of("D013"),
    "postgres-wrong-database": _of("C004"),
    # program
    "wrong-group": _of("G008"),
    "wrong-topic": _of("G009"),
    "program-does-not-load": _of("W003"),
    "program-ahead-of-database": _of("D008"),
    "slow-consumer": _of("W014"),
    "commit-before-write": _of("P024", "P004"),
    "group-shared": _of("G008", "G007"),
    # offsets
    "offsets-never-committed": _of("G003", "G006"),
    "offsets-expired": _of("G006", "G003", "W001"),  # the worker is down as well, and that comes first
    "offsets-reset-to-latest": _of("P004"),
    "log-truncated": _of("G004"),
    "hot-partition": _of("G012"),
    "stray-consumer": _of("G007"),
    # topics
    "topic-missing": _of("K004"),
    "announcement-topic-missing": _of("K004"),
    "dead-letter-topic-missing": _of("K004"),
    "partition-added": _of("G011", "K009"),
    "message-too-large": _of("K014"),
    "min-insync-replicas-too-high": _of("K014"),
    "retention-too-short": _of("K011"),
    # messages
    "message-never-sent": _of("P007"),
    "payment-never-emitted": _of("P008"),
    "poison-message": _of("G001"),
    "poison-message-unprotected": _of("G002"),
    "poison-unknown-course": _of("G001"),
    "poison-without-metadata": _of("G001"),
    "consumer-dead": _of("W006"),
    "message-cut-short": _of("W006"),
    # payments
    "payment-without-course": _of("P010"),
    "wrong-tier": _of("P015"),
    "double-charge": _of("P013"),
    "upgrade-swallowed": _of("P013"),
    "payment-stuck": _of("P022"),
    "clock-skew": _of("C010"),
    "purchase-by-hand": _of("P016", wait=130),
    # database
    "index-dropped": _of("D009"),
    "index-invalid": _of("D009"),
    "duplicate-purchases": _of("D009", "P014"),
    "database-read-only": _of("D006"),
    "database-password-revoked": _of("D003"),
    "events-table-missing": _of("D008"),
    "events-table-old-shape": _of("D010"),
    "column-renamed": _of("D008"),
    "table-locked": _of("D005"),
    "purchase-locked": _of("D005"),
    "connections-exhausted": _of("D007"),
    # what follows a purchase
    "no-trainers": _of("P018"),
    "system-admin-missing": _of("P021"),
    "student-without-place": _of("P019"),
    "session-slot-constraint-missing": _of("D012"),
}


WHY_MISSED: Mapping[tuple[str, ...], str] = {
    ("message-never-sent", "broker-down"): (
        "while Kafka is silent nobody can tell whether the message was sent; the payment stands beneath K001 as P020, "
        "its story unknown"
    ),
    ("message-never-sent", "table-locked"): (
        "the table of purchases can't be read behind the lock, so that nobody can tell which payments lack theirs; the "
        "rules about payments are listed as not checked"
    ),
}
"""Of cases that are missed: why, where it is understood."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one run of the doctor said."""

    causes: tuple[str, ...]
    """Codes of the causes in their order, advice left out."""
    alarms: tuple[str, ...]
    """Those of them that are errors."""
    every: tuple[str, ...]
    """Codes of all findings, consequences and advice included."""
    exit_code: int
    seconds: float
    unchecked: int = 0
    errors: tuple[str, ...] = field(default_factory=tuple)

    @classmethod
    def of(cls, document: Mapping[str, object], exit_code: int, seconds: float) -> Seen:
        """From `kcfix doctor -o json`."""
        rows = document["data"]
        assert isinstance(rows, list)
        found = [r for r in rows if r["section"] == "finding"]
        roots = [r for r in found if r["explained_by"] is None]
        return cls(
            causes=tuple(r["code"] for r in roots if r["severity"] != "ADVICE"),
            alarms=tuple(r["code"] for r in roots if r["severity"] == "ERROR"),
            every=tuple(r["code"] for r in found),
            exit_code=exit_code,
            seconds=seconds,
            unchecked=sum(1 for r in rows if r["section"] == "unchecked"),
        )


def first_right(expected: Expected, causes: Sequence[str]) -> bool:
    """Whether the cause that stands first is the fault's."""
    return bool(causes) and causes[0] in expected.codes


def among_three(expected: Sequence[Expected], causes: Sequence[str]) -> bool:
    """Whether each fault's cause stands among the first three, each with a finding of its own."""
    left = list(causes[:3])
    # The fault with the fewest names first, so that another does not take its only one.
    for one in sorted(expected, key=lambda e: len(e.codes)):
        match = next((code for code in left if code in one.codes), None)
        if match is None:
            return False
        left.remove(match)
    return True
