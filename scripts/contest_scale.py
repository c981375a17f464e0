"""The contests over many payments."""

from __future__ import annotations

import sys

import psycopg
from contest import KCFIX, Contest

from kcfix.drill.state import Drill

PAYMENTS = 200_000
LONELY = 5000
"""Of so many payments one has no purchase."""

# Paid one after the other in the 60 days that ended 20 days ago, so that no other contest sees them.
_FILL = f"""
INSERT INTO courses (id, title) SELECT md5('course ' || n)::uuid, 'made up' FROM generate_series(0, 49) AS n;
INSERT INTO payments (id, student_id, amount_cents, status, provider, provider_payment_id, metadata, confirmed_at)
SELECT md5('payment ' || n)::uuid, md5('student ' || n % {PAYMENTS * 9 // 10})::uuid, 360000, 'succeeded', 'razorpay',
       'pay_' || n, jsonb_build_object('courseId', md5('course ' || n / 7 % 50)::uuid, 'purchaseTier', 20),
       now() - interval '80 days' + n * (interval '60 days' / {PAYMENTS})
FROM generate_series(1, {PAYMENTS}) AS n;
INSERT INTO student_course_purchases (id, student_id, course_id, purchase_tier, metadata, created_at)
SELECT overlay(md5('purchase ' || id) PLACING '4' FROM 13)::uuid, student_id, (metadata->>'courseId')::uuid, 20,
       metadata, confirmed_at + interval '2 s'
FROM payments WHERE provider_payment_id LIKE 'pay\\_%%' AND confirmed_at < now() - interval '20 days'
  AND substr(provider_payment_id, 5)::int %% {LONELY} <> 0;
INSERT INTO trainer_allocations (id, student_id, trainer_id, course_id, requested_by, requested_at, status)
SELECT md5('allocation ' || id)::uuid, student_id, md5('trainer')::uuid, course_id, md5('admin')::uuid,
       created_at + interval '1 s', 'approved'
FROM student_course_purchases WHERE created_at < now() - interval '20 days';
INSERT INTO tutoring_sessions (allocation_id, student_id, trainer_id, scheduled_date, scheduled_time)
SELECT a.id, a.student_id, a.trainer_id, current_date + n, '4:00 PM'
FROM trainer_allocations AS a, generate_series(1, 3) AS n WHERE a.requested_at < now() - interval '20 days';
""".replace("%%", "%")  # noqa: S608 - made-up ids

_ANTI_JOIN = """SELECT count(*), sum(p.amount_cents) FROM payments p
WHERE p.status = 'succeeded' AND p.confirmed_at >= now() - interval '90 days'
  AND p.confirmed_at < now() - interval '10 days'
  AND NOT EXISTS (SELECT FROM student_course_purchases u
                  WHERE u.student_id = p.student_id AND u.course_id::text = p.metadata->>'courseId')"""


def fill_payments(drill: Drill) -> None:
    """Payments with all that follows them, but for a few without purchase."""
    print(f"making {PAYMENTS} payments", file=sys.stderr)
    with psycopg.connect(drill.dsn, autocommit=True) as connection:
        connection.execute(_FILL.encode())
        connection.execute("VACUUM ANALYZE")


def payment_contest(drill: Drill, pairs: int) -> Contest:
    """How many payments have no purchase, and how much money is that."""
    return Contest(
        f"kcfix missing --summary ({PAYMENTS:,} payments)",
        (*KCFIX, "-C", f"drill:{drill.name}", "missing", "--since", "90d", "--until", "10d", "--summary"),
        [("psql", drill.dsn, "-c", _ANTI_JOIN)],
        "psql: the plain anti-join",
        0.77,
        pairs,
        f"{PAYMENTS // LONELY} payments are not well",
        f" {PAYMENTS // LONELY} |",
    )
