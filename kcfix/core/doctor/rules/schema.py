"""Rules about the shape of the database: tables, columns, indexes, types, and transactions that stay open."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from kcfix.core.doctor.diagnosis import Confidence, Evidence, EvidenceKind, Found, Need, Severity, Thing
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import Rule, because, same_trouble_told
from kcfix.core.doctor.rules.database import DATABASE, LONG
from kcfix.core.doctor.rules.proof import (
    anew_after,
    counted,
    lately,
    log_line,
    psql,
    required,
    things_of,
    told,
    trouble_thing,
)
from kcfix.core.doctor.troubles import Telling, Trouble, trouble_of
from kcfix.core.ports.database import IndexState
from kcfix.core.status.system import WorkerFacts
from kcfix.core.times import format_duration

TABLES = ("payments", "purchases", "events", "allocations", "sessions")
_LACKING = re.compile(r'(?:relation|column) "[^"]+"(?: of relation "[^"]+")?|column [\w.]+(?= does not exist)')
_RELATION = re.compile(r'relation "([^"]+)"')
MAKE_INDEX = (
    "CREATE UNIQUE INDEX CONCURRENTLY unique_active_purchase ON student_course_purchases (student_id, course_id) "
    "WHERE is_active"
)


def tables_missing(examination: Examination) -> Iterator[Found]:
    """A table or a column that the flow needs is missing.

    Services make their tables at start, migrations are applied by hand, and there is no runner: so any mix is found.
    Without processed_events payment-service writes nothing down and sends nothing (42P01); a renamed or missing column
    (42703) makes every message of that worker a poison message.
    """
    facts, health = examination.observed.database.value, examination.health.value
    live = examination.flow.tables
    gone = [str(getattr(live, t)) for t in TABLES if facts is not None and t not in facts.schema.tables]
    columns = health.missing_columns if health is not None else ()
    lines = [t for w in required(examination) for t in lately(examination, w, frozenset({Trouble.DATABASE_SCHEMA}))]
    label = facts.identity.label if facts is not None else "the database"
    what = [*(f"table {t}" for t in gone), *(f"column {c}" for c in columns)]
    if not what:
        what = sorted({m[0] for t in lines if (m := _LACKING.search(t.words)) is not None})
    if not what:
        return
    yield Found(
        symptom=f"{label} lacks {', '.join(what)}",
        cause="a migration was not applied, or the program is ahead of it; else it was renamed or dropped, or this is "
        "another database",
        evidence=tuple(log_line(t.entry) for t in lines[-2:]),
        action=("kcfix config show", psql(f"\\d {_first_table(gone, columns, lines)}")),
        about=(DATABASE, *(Thing("table", t) for t in gone), trouble_thing(Trouble.DATABASE_SCHEMA)),
    )


def _first_table(gone: Sequence[str], columns: Sequence[str], lines: Sequence[Telling]) -> str:
    """The table to be looked at; empty, which lists all, where none is named."""
    told = next((m[1] for t in lines if (m := _RELATION.search(t.words)) is not None), "")
    return gone[0] if gone else columns[0].rpartition(".")[0] if columns else told


def index_missing(examination: Examination) -> Iterator[Found]:
    """`unique_active_purchase` is missing or invalid: nothing but a lock keeps purchases single.

    The worker and kcfix hold the same advisory lock; repair scripts and course-service take none, and can make a second
    active purchase at the same moment. Migration 002 fails at it (a syntax error), and CREATE UNIQUE INDEX CONCURRENTLY
    over doubles leaves an INVALID index behind, which protects nothing though the worker's own check calls it verified.
    First decide about the doubles (P014), then make it.

    That each purchase logs 42P10 and uses the fallback is so with the index as well (mode 28): it is no evidence.
    """
    facts = examination.observed.database.value
    index = facts.schema.unique_active_purchase if facts is not None else IndexState.UNKNOWN
    if facts is None or "purchases" not in facts.schema.tables or index not in (IndexState.MISSING, IndexState.INVALID):
        return
    drop = (psql("DROP INDEX CONCURRENTLY unique_active_purchase"),) if index is IndexState.INVALID else ()
    yield Found(
        symptom=f"unique_active_purchase is {index.value.lower()}",
        cause=(
            "a CREATE INDEX CONCURRENTLY failed, mostly over purchases that are double"
            if index is IndexState.INVALID
            else "migration 002 or 020 was not applied, failed, or the index was dropped"
        ),
        evidence=(Evidence(EvidenceKind.DATABASE, f"pg_index of {facts.identity.label}: {index}"),),
        action=(*drop, psql(MAKE_INDEX)),
        about=(Thing("table", "purchases"), DATABASE),
    )


def events_shape(examination: Examination) -> Iterator[Found]:
    """processed_events has uuid event ids (shapes A and B): migration 025 was not applied.

    The purchase-worker's fallback sends `purchase-created-<id>` as event id, which is no uuid: the allocation-worker
    fails at its mark (22P02) *after* the trainer was allocated, and tries again and again. An error where that is seen
    in its log or dead letters; else a caution.
    """
    facts = examination.observed.database.value
    if facts is None or facts.schema.event_id_type != "uuid":
        return
    seen: list[tuple[WorkerFacts, Telling]] = []
    for worker in required(examination):
        every = told(examination, worker, all_lives=True)
        seen += [
            (worker, t)
            for t in every
            if t.trouble is Trouble.EVENT_ID_TYPE and (examination.at - t.entry.timestamp).total_seconds() < 600
        ]
    letters = [
        d
        for d in (examination.broker.value.letters if examination.broker.value else ())
        if trouble_of(d.reason) is Trouble.EVENT_ID_TYPE
    ]
    workers = {w.stage.worker: w for w, _ in seen}
    yield Found(
        symptom="processed_events.event_id is a uuid"
        + (f", and {', '.join(sorted(workers)) or 'workers'} fail at it" if seen or letters else ""),
        cause="migration 025 was not applied: event ids that are no uuid can't be marked",
        evidence=(
            *(log_line(t.entry) for _, t in seen[-2:]),
            *(
                (Evidence(EvidenceKind.BROKER, f"{len(letters)} dead letters: {letters[-1].reason[:200]}"),)
                if letters
                else ()
            ),
        ),
        action=(psql("ALTER TABLE processed_events ALTER COLUMN event_id TYPE text"),),
        about=(
            DATABASE,
            *(thing for w in workers.values() for thing in things_of(w)),
            trouble_thing(Trouble.EVENT_ID_TYPE),
        ),
        severity=Severity.ERROR if seen or letters else None,
    )


def transactions_open(examination: Examination) -> Iterator[Found]:
    """A transaction has been open for more than five minutes, or sits aborted in a pooled connection.

    session-worker sends BEGIN and ROLLBACK through its pool, so that a connection can stay in an open or aborted
    transaction: later statements on it fail with 25P02. An old transaction also keeps VACUUM and CREATE INDEX
    CONCURRENTLY waiting.
    """
    health = examination.health.value
    old = [
        t
        for t in (health.transactions if health is not None else ())
        if (t.open_for is not None and t.open_for >= LONG) or (t.state or "").endswith("(aborted)")
    ]
    if old:
        yield Found(
            symptom=f"{counted(len(old), 'transaction')} open for long, at most for {format_duration(old[0].open_for)}",
            cause="a console or a pooled connection did not end its transaction",
            evidence=tuple(
                Evidence(
                    EvidenceKind.DATABASE,
                    f"session {t.pid} ({t.application or 'no name'}, user {t.user}): {t.state}, "
                    f"{format_duration(t.open_for)}",
                )
                for t in old[:5]
            ),
            action=tuple(psql(f"SELECT pg_terminate_backend({t.pid})") for t in old[:3]),
            about=(DATABASE,),
        )


def slot_index_missing(examination: Examination) -> Iterator[Found]:
    """`unique_session_slot`, or another index that the workers name in ON CONFLICT, is missing.

    session-worker then fails on every allocation with 42P10. An error where that is seen; else advice, for an older
    table works without some of them.
    """
    health = examination.health.value
    if health is None:
        return
    missing = [
        n for n in ("unique_session_slot", "idx_processed_events_idempotency") if not health.unique_indexes.get(n)
    ]
    hit = []
    for worker in required(examination):
        if worker.stage.name == "purchase":
            continue
        hit += [(worker, t) for t in told(examination, worker, all_lives=True) if t.trouble is Trouble.INDEX_MISSING]
    hit = [(w, t) for w, t in hit if (examination.at - t.entry.timestamp).total_seconds() < 600]
    if not missing and not health.invalid_indexes and not hit:
        return
    names = [*missing, *(f"{n} (invalid)" for n in health.invalid_indexes if n != "unique_active_purchase")]
    if not names and not hit:
        return
    yield Found(
        symptom=f"missing: {', '.join(names) or 'an index that ON CONFLICT names'}",
        cause="migration 002 was applied in part, or the index was dropped",
        evidence=tuple(log_line(t.entry) for _, t in hit[-2:]),
        action=(
            psql(
                "ALTER TABLE tutoring_sessions ADD CONSTRAINT unique_session_slot UNIQUE "
                "(allocation_id, scheduled_date, scheduled_time)"
            ),
        )
        if "unique_session_slot" in missing
        else (),
        about=(
            DATABASE,
            *(thing for w in {w.stage.worker: w for w, _ in hit}.values() for thing in things_of(w)),
            trouble_thing(Trouble.INDEX_MISSING),
        ),
        severity=Severity.ERROR if hit else None,
        confidence=Confidence.PROVEN,
    )


def tls_wrong(examination: Examination) -> Iterator[Found]:
    """A worker speaks TLS to a database that has none, or none to one that demands it.

    `POSTGRES_SSL=true` alone switches TLS on; the provider's default never applies, because the pool is always given an
    explicit value.
    """
    for worker in required(examination):
        lines = lately(examination, worker, frozenset({Trouble.DATABASE_TLS}))
        if lines:
            setting = {c.environment.get("POSTGRES_SSL", "unset") for c in worker.containers or ()}
            yield Found(
                symptom=f"{worker.stage.worker} and the database do not agree on TLS",
                cause=f"POSTGRES_SSL is {', '.join(sorted(setting))}; {lines[-1].words[:200]}",
                evidence=(log_line(lines[-1].entry),),
                action=anew_after(worker, "POSTGRES_SSL was set right"),
                about=(*things_of(worker), trouble_thing(Trouble.DATABASE_TLS)),
                since=lines[0].entry.timestamp,
            )


def statements_slow(examination: Examination) -> Iterator[Found]:
    """Statements of a worker are cut off by a time-out (30 s; 120 s for session-worker).

    A lock in the way (D005), a server that is overloaded, or a table without the index that a query needs.
    """
    for worker in required(examination):
        lines = lately(examination, worker, frozenset({Trouble.DATABASE_SLOW}))
        if lines:
            yield Found(
                symptom=f"statements of {worker.stage.worker} run into their time-out",
                cause=lines[-1].words[:250],
                evidence=(log_line(lines[-1].entry),),
                action=("kcfix doctor --only D005",),
                about=(*things_of(worker), trouble_thing(Trouble.DATABASE_SLOW)),
                confidence=Confidence.LIKELY,
                since=lines[0].entry.timestamp,
            )


HEALTHY = frozenset({Need.DATABASE, Need.HEALTH})
RULES = (
    Rule(
        "D008",
        Severity.ERROR,
        "A table or column is missing",
        tables_missing,
        frozenset({Need.DATABASE}),
        modes=("20", "47", "54"),
    ),
    Rule(
        "D009",
        Severity.CAUTION,
        "unique_active_purchase is missing or invalid",
        index_missing,
        frozenset({Need.DATABASE}),
        modes=("27",),
    ),
    Rule(
        "D010",
        Severity.CAUTION,
        "processed_events has uuid event ids",
        events_shape,
        frozenset({Need.DATABASE}),
        modes=("38",),
    ),
    Rule("D011", Severity.CAUTION, "Transactions stay open", transactions_open, HEALTHY, modes=("46",)),
    Rule(
        "D012", Severity.ADVICE, "An index that the workers name is missing", slot_index_missing, HEALTHY, modes=("46",)
    ),
    Rule(
        "D013",
        Severity.ERROR,
        "A worker and the database do not agree on TLS",
        tls_wrong,
        frozenset({Need.LOGS}),
        modes=("55",),
    ),
    Rule(
        "D014",
        Severity.CAUTION,
        "Statements run into their time-out",
        statements_slow,
        frozenset({Need.LOGS}),
        because(same_trouble_told, "D005"),
        modes=("55",),
    ),
)
