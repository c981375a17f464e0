"""The contests over all payments: how many of them lack what was paid for, and how much money is that."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain

import psycopg
from contest import KCFIX, Contest

from kcfix.adapters.postgres_address import parse_address
from kcfix.adapters.postgres_pass import BEGIN
from kcfix.adapters.postgres_pass_sql import totals, whole
from kcfix.adapters.postgres_schema import read_schema
from kcfix.drill.state import Drill
from kcfix.flow import Flow

MILLION = 1_000_000
LONELY = 5000
"""Of so many payments one has no purchase."""

_TABLES = ("payments", "student_course_purchases", "trainer_allocations", "tutoring_sessions")
# Indexes are made after the rows: that is a tenth of the time.
_EMPTY = """
TRUNCATE payments, student_course_purchases, trainer_allocations, tutoring_sessions CASCADE;
CREATE TABLE IF NOT EXISTS bench_definitions AS
SELECT 1 AS place, format('ALTER TABLE %%s DROP CONSTRAINT %%I', conrelid::regclass, conname) AS gone,
       format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', conrelid::regclass, conname, pg_get_constraintdef(oid)) AS back
FROM pg_constraint AS c WHERE contype IN ('p', 'u') AND conrelid::regclass::text = ANY (%(tables)s)
  AND NOT EXISTS (SELECT FROM pg_constraint AS f WHERE f.contype = 'f' AND f.conindid = c.conindid)
UNION ALL
SELECT 2, format('DROP INDEX %%s', indexrelid::regclass), pg_get_indexdef(indexrelid)
FROM pg_index i WHERE indrelid::regclass::text = ANY (%(tables)s)
  AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid);
"""
# One after the other in the 60 days that ended 20 days ago, so that no other contest sees them.
_ROWS = """
INSERT INTO courses (id, title) SELECT md5('course ' || n)::uuid, 'made up' FROM generate_series(0, 49) AS n
ON CONFLICT DO NOTHING;
INSERT INTO payments (id, student_id, amount_cents, status, provider, provider_payment_id, metadata, confirmed_at)
SELECT md5('payment ' || n)::uuid, md5('student ' || n %% (%(size)s * 9 / 10))::uuid, 360000, 'succeeded', 'razorpay',
       'pay_' || n, jsonb_build_object('courseId', md5('course ' || n / 7 %% 50)::uuid, 'purchaseTier', 20),
       now() - interval '80 days' + n * (interval '60 days' / %(size)s)
FROM generate_series(1, %(size)s) AS n;
INSERT INTO student_course_purchases (id, student_id, course_id, purchase_tier, metadata, created_at)
SELECT overlay(md5('purchase ' || id) PLACING '4' FROM 13)::uuid, student_id, (metadata->>'courseId')::uuid, 20,
       metadata, confirmed_at + interval '2 s'
FROM payments WHERE substr(provider_payment_id, 5)::int %% %(lonely)s <> 0;
INSERT INTO trainer_allocations (id, student_id, trainer_id, course_id, requested_by, requested_at, status)
SELECT md5('allocation ' || id)::uuid, student_id, md5('trainer')::uuid, course_id, md5('admin')::uuid,
       created_at + interval '1 s', 'approved'
FROM student_course_purchases;
INSERT INTO tutoring_sessions (allocation_id, student_id, trainer_id, scheduled_date, scheduled_time)
SELECT a.id, a.student_id, a.trainer_id, current_date + n, '4:00 PM'
FROM trainer_allocations AS a, generate_series(1, 3) AS n;
"""

_WINDOW = "p.confirmed_at >= now() - interval '90 days' AND p.confirmed_at < now() - interval '10 days'"
ANTI_JOIN = f"""SELECT count(*), sum(p.amount_cents) FROM payments p
WHERE p.status = 'succeeded' AND {_WINDOW}
  AND NOT EXISTS (SELECT FROM student_course_purchases u
                  WHERE u.student_id = p.student_id AND u.course_id::text = p.metadata->>'courseId')"""  # noqa: S608 - nothing from outside
"""No purchase of this student and course: what an operator would write first."""
BY_HAND = f"""SELECT count(*), sum(p.amount_cents) FROM payments p
WHERE p.status = 'succeeded' AND {_WINDOW}
  AND NOT EXISTS (SELECT FROM student_course_purchases u
                  JOIN trainer_allocations a ON a.student_id = u.student_id AND a.course_id = u.course_id
                  WHERE u.student_id = p.student_id AND u.course_id::text = p.metadata->>'courseId'
                    AND a.status IN ('approved', 'active')
                    AND EXISTS (SELECT FROM tutoring_sessions t WHERE t.allocation_id = a.id))"""  # noqa: S608 - nothing from outside
"""No purchase, or none with a trainer and sessions behind it."""


def missing_contests(drill: Drill, only: str) -> Iterator[Contest]:
    """Each size whose question has the text `only`, filled when its turn comes.

    The larger one is asked about once, for it takes minutes.
    """
    sizes = [size for size in (MILLION, 10 * MILLION) if only in _question(size)]
    if not sizes:
        return
    with psycopg.connect(drill.dsn, autocommit=True) as connection:
        # For both: the shared hashes of a parallel plan find no room in a container's 64 MB of shared memory, and psql
        # would fail where kcfix asks once more.
        connection.execute("ALTER ROLE CURRENT_USER SET max_parallel_workers_per_gather = 0")
    for size in sizes:
        fill_payments(drill, size)
        pairs = 3 if size == MILLION else 0
        yield _contest(drill, size, own_sql(drill), "psql: the same SQL", 0.77, f"({size // LONELY} rows)", pairs)
        if size == MILLION:
            found = f" {size // LONELY} |"
            yield _contest(drill, size, [BY_HAND], "psql: nearly the same question by hand", None, found, pairs)
            yield _contest(drill, size, [ANTI_JOIN], "psql: payments without any purchase", None, found, pairs)
    with psycopg.connect(drill.dsn, autocommit=True) as connection:
        connection.execute(
            "TRUNCATE payments, student_course_purchases, trainer_allocations, tutoring_sessions CASCADE"
        )
        connection.execute("DROP TABLE bench_definitions")
        connection.execute("ALTER ROLE CURRENT_USER RESET max_parallel_workers_per_gather")


def own_sql(drill: Drill) -> list[str]:
    """The statements that kcfix puts, for psql: what they cost where nothing is done with their rows but to count."""
    with psycopg.connect(drill.dsn) as connection, connection.cursor() as cursor:
        schema = read_schema(cursor, Flow(), parse_address(drill.dsn, timeout_seconds=5, application_name="bench"))
        window = {"since": datetime.now(UTC) - timedelta(days=90), "until": datetime.now(UTC) - timedelta(days=10)}
        client = psycopg.ClientCursor(connection)
        statements = [client.mogrify(query, window) for query in (totals(schema), whole(schema, everything=False))]
    begin = BEGIN.format(milliseconds=0, lock=0)
    return [begin, *statements, "COMMIT"]


def _question(size: int) -> str:
    return f"kcfix missing --summary ({size:,} payments)"


def _contest(
    drill: Drill, size: int, rival: Sequence[str], name: str, target: float | None, shows: str, pairs: int
) -> Contest:
    return Contest(
        _question(size),
        (*KCFIX, "-C", f"drill:{drill.name}", "missing", "--since", "90d", "--until", "10d", "--summary"),
        [("psql", drill.dsn, "-q", *chain.from_iterable(("-c", statement) for statement in rival))],
        name,
        target,
        pairs,
        f"{size // LONELY} payments are not well",
        shows,
    )


def fill_payments(drill: Drill, size: int) -> None:
    """Payments with all that follows them, but for a few without purchase."""
    print(f"making {size:,} payments", file=sys.stderr)
    with psycopg.connect(drill.dsn, autocommit=True) as connection:
        cursor = psycopg.ClientCursor(connection)
        cursor.execute(_EMPTY, {"tables": list(_TABLES)})
        definitions = connection.execute("SELECT gone, back FROM bench_definitions ORDER BY place").fetchall()
        cursor.execute("SET session_replication_role = replica; SET maintenance_work_mem = '512MB'")
        for gone, _ in definitions:
            connection.execute(gone)
        cursor.execute(_ROWS, {"size": size, "lonely": LONELY})
        for _, back in definitions:
            connection.execute(back)
        connection.execute("VACUUM (ANALYZE, PARALLEL 0)")  # a container has 64 MB of shared memory
