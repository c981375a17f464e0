"""Whether payments still stand as they were read, asked in one statement of the server and not by reading them again.

It answers only what is simple, which nearly all is: a payment that is the sole succeeded one of its student and course,
of which no purchase was there. What it does not call unchanged is to be read again; that may be unchanged as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from kcfix.adapters.postgres_facts import Place
from kcfix.adapters.postgres_schema import Schema
from kcfix.core.payments import PaymentFacts, PaymentId

# A payment's row is the one that was read if the transaction that wrote it is the same. Another succeeded payment of
# the student may be for the same course unless its metadata is an object that does not hold that course's id. The cast
# keeps the planner from looking up purchases by course: a course has thousands of them, a student a few.
_STANDS = """{payments} AS p
WHERE {p_id} = o.payment AND p.xmin = o.version AND {p_status} = 'succeeded'{course_is_known}
  AND NOT EXISTS (SELECT FROM {purchases} AS u WHERE {u_student} = o.student AND {u_course}::text = o.course::text)
  AND NOT EXISTS (SELECT FROM {payments} AS s WHERE {s_student} = o.student AND {s_status} = 'succeeded'
                  AND {s_id} <> o.payment{same_course})"""
_KNOWN = " AND EXISTS (SELECT FROM {courses} AS c WHERE {c_id} = o.course)"
_SAME = " AND (jsonb_typeof({s}) IS DISTINCT FROM 'object' OR strpos(lower({s}->>'courseId'), o.course::text) > 0)"
_UUIDS = {"payments": ("id", "student_id"), "purchases": ("id", "student_id", "course_id")}

_STANDING = """SELECT {id}
FROM unnest(string_to_array(%(payments)s, ',')::uuid[], string_to_array(%(purchases)s, ',')::uuid[])
     AS o (payment, purchase), {payments} AS p, {purchases} AS u
WHERE {p_id} = o.payment AND {p_status} = 'succeeded'
  AND {u_id} = o.purchase AND {u_student} = {p_student} AND {u_active}
  AND NOT EXISTS (SELECT FROM {purchases} AS v WHERE {v_student} = {u_student} AND {v_course}::text = {u_course}::text
                  AND {v_active} AND {v_id} <> {u_id})"""


def can_tell(schema: Schema) -> bool:
    """Whether it can be asked of this database: both tables there, payments plain and readable, ids of type uuid."""
    if not schema.has("payments") or not schema.has("purchases") or "payments" not in schema.versioned:
        return False
    known = not schema.readable("courses", "id") or schema.type("courses", "id") == "uuid"
    return known and all(schema.type(table, name) == "uuid" for table, names in _UUIDS.items() for name in names)


def is_simple(facts: PaymentFacts) -> bool:
    """Whether it can be asked of these facts."""
    payment = facts.payment
    return (
        payment is not None
        and payment.version is not None
        and payment.succeeded
        and not facts.purchases
        and len(facts.siblings) == 1
        and facts.siblings[0].id == payment.id
    )


def stands(s: Schema) -> sql.Composed:
    """The FROM item and the condition of what stands; beside it there is `o (payment, version, student, course)`."""
    known = s.readable("courses", "id")
    metadata = s.column("payments", "metadata", "s") if s.type("payments", "metadata") == "jsonb" else None
    return sql.SQL(_STANDS).format(
        payments=s.table("payments"),
        purchases=s.table("purchases"),
        p_id=s.column("payments", "id", "p"),
        p_status=s.column("payments", "status", "p"),
        u_student=s.column("purchases", "student_id", "u"),
        u_course=s.column("purchases", "course_id", "u"),
        s_id=s.column("payments", "id", "s"),
        s_student=s.column("payments", "student_id", "s"),
        s_status=s.column("payments", "status", "s"),
        course_is_known=sql.SQL(_KNOWN).format(courses=s.table("courses"), c_id=s.column("courses", "id", "c"))
        if known
        else sql.SQL(""),
        same_course=sql.SQL(_SAME).format(s=metadata) if metadata is not None else sql.SQL(""),
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """A payment with the course that it counts for."""

    facts: PaymentFacts
    course_id: str


def parameters(asked: Iterable[Asked]) -> dict[str, str]:
    """The columns of `o`, each as one text for `string_to_array`: thousands of values cost a client far more."""
    payments = [(a.facts.payment, a.course_id) for a in asked]
    return {
        "payments": ",".join(p.id for p, _ in payments if p),
        "versions": ",".join(p.version or "" for p, _ in payments if p),
        "students": ",".join(p.student_id for p, _ in payments if p),
        "courses": ",".join(course for _, course in payments),
    }


def unchanged(at: Place, facts: Sequence[PaymentFacts]) -> frozenset[PaymentId]:
    """See `DatabasePort.unchanged`."""
    asked = [Asked(f, f.payment.course_id) for f in facts if is_simple(f) and f.payment and f.payment.course_id]
    if not asked or not can_tell(at.schema):
        return frozenset()
    query = sql.SQL(
        "SELECT {id} FROM unnest(string_to_array(%(payments)s, ',')::uuid[], string_to_array(%(versions)s, ',')::xid[],"
        " string_to_array(%(students)s, ',')::uuid[], string_to_array(%(courses)s, ',')::uuid[])"
        " AS o (payment, version, student, course), {stands}"
    ).format(id=at.schema.id("payments", "id", "p"), stands=stands(at.schema))
    rows = at.cursor.execute(query, parameters(asked)).fetchall()
    return frozenset(PaymentId(row[0]) for row in rows)


def standing(at: Place, purchases: Mapping[PaymentId, str]) -> frozenset[PaymentId]:
    """See `DatabasePort.standing`."""
    s = at.schema
    if not can_tell(s):
        return frozenset()
    query = sql.SQL(_STANDING).format(
        id=s.id("payments", "id", "p"),
        payments=s.table("payments"),
        purchases=s.table("purchases"),
        p_id=s.column("payments", "id", "p"),
        p_status=s.column("payments", "status", "p"),
        p_student=s.column("payments", "student_id", "p"),
        u_id=s.column("purchases", "id", "u"),
        u_student=s.column("purchases", "student_id", "u"),
        u_course=s.column("purchases", "course_id", "u"),
        u_active=s.column("purchases", "is_active", "u"),
        v_id=s.column("purchases", "id", "v"),
        v_student=s.column("purchases", "student_id", "v"),
        v_course=s.column("purchases", "course_id", "v"),
        v_active=s.column("purchases", "is_active", "v"),
    )
    values = {"payments": ",".join(purchases), "purchases": ",".join(purchases.values())}
    return frozenset(PaymentId(row[0]) for row in at.cursor.execute(query, values).fetchall())
