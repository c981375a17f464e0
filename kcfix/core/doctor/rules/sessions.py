"""Rules about who uses the database: locks, connections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from kcfix.core.doctor.diagnosis import Confidence, Found, Need, Severity, Thing
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import Rule
from kcfix.core.doctor.rules.database import DATABASE, FULL, NEARLY_FULL, WAITING, fact, told_of
from kcfix.core.doctor.rules.proof import counted, log_line, psql, trouble_thing
from kcfix.core.doctor.troubles import Trouble
from kcfix.core.ports.health import OpenTransaction
from kcfix.core.times import format_duration

IDLE = timedelta(seconds=30)
"""A session that does nothing for so long in an open transaction is forgotten, or a person's."""


def locked(examination: Examination) -> Iterator[Found]:
    """Sessions wait for a lock that another session holds on one of the flow's tables.

    An ALTER TABLE, a LOCK TABLE, a CREATE INDEX without CONCURRENTLY, a migration left open in a console: writers wait
    behind it, workers block in the middle of a message until the statement time-out (30 s), and payments can't be read.
    End the session that blocks, once it is known what it is: `pg_terminate_backend`.
    """
    health = examination.health.value
    if health is None:
        return
    holders = {t.pid: t for t in health.transactions if t.locks}
    waits = [w for w in health.waits if w.waits is None or w.waits >= WAITING or w.blocker in holders]
    strong = [t for t in holders.values() if (t.open_for is None or t.open_for >= WAITING)]
    if not waits and not strong:
        yield from _suspected(examination, health.transactions)
        return
    blockers = {w.blocker for w in waits if w.blocker is not None} | {t.pid for t in strong}
    chief = next((t for t in health.transactions if t.pid in blockers), None)
    tables = sorted({t for h in holders.values() for t in h.locks} | {w.table for w in waits if w.table})
    who = "a session"
    if chief is not None:
        who = f"session {chief.pid} ({chief.application or 'no name'}, {chief.state or 'state hidden'}"
        who += f", open for {format_duration(chief.open_for)})" if chief.open_for is not None else ")"
    yield Found(
        symptom=f"{counted(len(waits), 'session')} waiting for a lock on {', '.join(tables) or 'rows of the flow'}",
        cause=f"{who} holds it",
        evidence=(
            *(
                fact(
                    f"session {w.pid} ({w.application or 'no name'}) waits for {w.mode} on {w.table or 'a row'}"
                    + (f" since {format_duration(w.waits)}" if w.waits is not None else "")
                    + (f", blocked by session {w.blocker}" if w.blocker is not None else "")
                )
                for w in waits[:5]
            ),
            *(
                fact(
                    f"session {t.pid} ({t.application or 'no name'}, {t.state or 'state hidden'}) holds "
                    f"{', '.join(t.locks)}"
                )
                for t in strong[:3]
            ),
        ),
        action=tuple(psql(f"SELECT pg_terminate_backend({pid})") for pid in sorted(blockers)[:3]),
        about=(
            DATABASE,
            *(Thing("table", t) for t in tables),
            trouble_thing(Trouble.DATABASE_SLOW),
            trouble_thing(Trouble.DATABASE_SILENT),
        ),
        confidence=Confidence.PROVEN if waits else Confidence.LIKELY,
        severity=None if waits else Severity.CAUTION,
        since=examination.at - chief.open_for if chief is not None and chief.open_for is not None else None,
        heals="when that session ends its transaction",
    )


def _suspected(examination: Examination, transactions: Sequence[OpenTransaction]) -> Iterator[Found]:
    """Nobody waits at this moment, but statements have run into their time-out while a session idled."""
    lines = told_of(examination, Trouble.DATABASE_SLOW)
    idle = [t for t in transactions if t.idle_for is not None and t.idle_for >= IDLE]
    if not lines or not idle:
        return
    chief = max(idle, key=lambda t: t.idle_for or IDLE)
    yield Found(
        symptom="statements run into their time-out while a session idles in its transaction",
        cause=f"session {chief.pid} ({chief.application or 'no name'}, {chief.state}, open for "
        f"{format_duration(chief.open_for)}) most likely holds a lock that they wait for between two tries",
        evidence=tuple(log_line(t.entry) for t in lines[-2:]),
        action=(psql(f"SELECT pg_terminate_backend({chief.pid})"),),
        about=(DATABASE, trouble_thing(Trouble.DATABASE_SLOW)),
        confidence=Confidence.LIKELY,
        since=examination.at - chief.open_for if chief.open_for is not None else None,
        heals="when that session ends its transaction",
    )


def connections_full(examination: Examination) -> Iterator[Found]:
    """The server has no connection left, or nearly none.

    payment-service makes a pool of its own for each confirmed payment and never closes it: a rush of payments uses all
    connections up (53300), and then fails at writing its event down. Idle ones are closed after 30 s.
    """
    health = examination.health.value
    error = examination.observed.database.error
    full = error is not None and bool(FULL.search(error))
    lines = told_of(examination, Trouble.DATABASE_FULL)
    found = examination.discovery.value
    used = health.connections / max(1, health.max_connections) if health is not None else 0.0
    limited = [
        r
        for r in (health.roles.values() if health is not None else ())
        if r.connection_limit is not None and r.connections >= r.connection_limit
    ]
    if not (full or lines or limited or used >= NEARLY_FULL):
        return
    words = (
        f"{health.connections} of {health.max_connections} connections are in use" if health is not None else str(error)
    )
    causes = [f"the user {r.name} may have {r.connection_limit} connections and has {r.connections}" for r in limited]
    yield Found(
        symptom=words,
        cause="; ".join(causes) or "somebody holds them: most often the services' pools, payment-service's above all",
        evidence=tuple(log_line(t.entry) for t in lines[-2:]),
        action=(
            psql("SELECT application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2 ORDER BY 3 DESC"),
            *(f"docker restart {c.name}   # drops its pools" for c in (found.producers if found is not None else ())),
        ),
        about=(DATABASE, trouble_thing(Trouble.DATABASE_FULL)),
        severity=None if full or lines or limited or used >= 1 else Severity.CAUTION,
    )


RULES = (
    Rule(
        "D005",
        Severity.ERROR,
        "A lock holds up the flow's tables",
        locked,
        frozenset({Need.HEALTH}),
        modes=("29", "55"),
    ),
    Rule("D007", Severity.ERROR, "The database has no connection left", connections_full, frozenset(), modes=("24",)),
)
