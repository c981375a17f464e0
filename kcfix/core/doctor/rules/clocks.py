"""Rules about clocks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from kcfix.core.doctor.diagnosis import Evidence, EvidenceKind, Found, Severity, Thing
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import Rule
from kcfix.core.doctor.rules.configuration import SKEW, SOME_SKEW, STAMP
from kcfix.core.doctor.rules.proof import required, things_of
from kcfix.core.logs.entry import Dialect
from kcfix.core.times import format_duration
from kcfix.core.workers import Container


def clock_skew(examination: Examination) -> Iterator[Found]:
    """Clocks are apart: that of the database, of Docker, of a worker, or of who writes the messages.

    kcfix compares stamps of several systems: which payment is overdue, which member is younger than its container,
    which purchase belongs to which payment. Half a minute already makes such answers wrong; seconds are noted.
    """
    here = examination.at
    found: list[tuple[str, timedelta, tuple[Thing, ...]]] = []
    engine = examination.engine.value
    if engine is not None:
        found.append(("Docker's host", engine.skew, (Thing("system", "docker"),)))
    if examination.database_skew is not None:
        found.append(("the database", examination.database_skew, (Thing("system", "database"),)))
    for worker in required(examination):
        for box in worker.containers or ():
            skew = _worker_skew(examination, box)
            if skew is not None:
                found.append((box.name, skew, things_of(worker)))
    broker = examination.broker.value
    ahead = [at - here for at in (broker.newest.values() if broker else ()) if at > here + SKEW]
    if ahead:
        found.append(("whoever writes the messages", max(ahead), (Thing("system", "kafka"),)))
    looked = examination.payments.value
    late = [f.payment.paid_at - here for f in (looked.found if looked else ()) if f.payment.paid_at > here + SKEW]
    if late:
        found.append(("whoever confirms payments", max(late), (Thing("table", "payments"),)))
    wrong = [one for one in found if abs(one[1]) >= SOME_SKEW]
    if wrong:
        worst = max(wrong, key=lambda one: abs(one[1]))
        yield Found(
            symptom=f"the clock of {worst[0]} is {_by(worst[1])} this host's",
            cause="it is not synchronized",
            evidence=tuple(
                Evidence(EvidenceKind.SETTING, f"{name}: {_by(by)} that of this host") for name, by, _ in wrong
            ),
            action=(
                "timedatectl",
                "sudo chronyc makestep   # on the host whose clock is wrong",
            ),
            about=tuple(thing for _, _, things in wrong for thing in things),
            severity=Severity.ERROR if abs(worst[1]) >= SKEW else None,
        )


def _by(skew: timedelta) -> str:
    return f"{format_duration(abs(skew))} {'ahead of' if skew > timedelta(0) else 'behind'}"


def _worker_skew(examination: Examination, container: Container) -> timedelta | None:
    """How far the process's own clock is from Docker's, by the last line that kafkajs stamped."""
    for entry in reversed(examination.entries([container])):
        match = STAMP.search(entry.raw) if entry.dialect is Dialect.KAFKAJS else None
        if match is not None:
            return datetime.fromisoformat(match[1]).replace(tzinfo=UTC) - entry.timestamp
    return None


RULES = (Rule("C010", Severity.CAUTION, "Clocks are apart", clock_skew, frozenset(), modes=("56",)),)
