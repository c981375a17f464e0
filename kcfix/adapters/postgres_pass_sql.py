"""The statements of the pass over all payments, for the schema that is there.

`sole` are payments of which nothing else can be meant, `fine` are purchases behind which nothing is missing; a payment
is surely settled where the two meet. One statement joins them where they are in one database, kcfix where they are not.
"""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from kcfix.adapters.postgres_candidates import payment_parts
from kcfix.adapters.postgres_link import Cursor
from kcfix.adapters.postgres_schema import Schema, quoted, statement

_MEET = sql.SQL(
    "fine.student = p.student AND fine.course = p.course AND p.sole AND fine.tier = p.tier"
    " AND fine.created_at >= p.paid_at - interval '5 seconds'"
)
_ALL = sql.SQL("TRUE")


def totals(s: Schema) -> sql.Composed:
    """By currency: how many payments the window has and their money, and how many succeeded at all."""
    return sql.SQL(
        "SELECT {currency}, count(*) FILTER (WHERE {window}), sum({amount}) FILTER (WHERE {window}), count(*)"
        " FROM {payments} AS p WHERE {p_status} = 'succeeded' GROUP BY 1 ORDER BY 1"
    ).format(
        currency=s.text("payments", "currency", "p"),
        amount=s.column("payments", "amount_cents", "p"),
        window=_window(s),
        **_of_payments(s),
    )


def paid(s: Schema) -> sql.Composed:
    """Id and student of the payments of the window, oldest first."""
    return sql.SQL(
        "SELECT lower({p_id}::text), {p_student} FROM {payments} AS p"
        " WHERE {p_status} = 'succeeded' AND {window} ORDER BY {p_paid_at}, {p_id}"
    ).format(p_student=s.id("payments", "student_id", "p"), window=_window(s), **_of_payments(s))


def whole(s: Schema, *, everything: bool) -> sql.Composed:
    """Each payment of the window, oldest first, with its purchase; unless `everything`, those without only."""
    return sql.SQL(
        "SELECT lower(p.id::text), fine.id FROM ({sole}) AS p LEFT JOIN ({fine}) AS fine ON {meet}"
        " WHERE p.paid_at >= %(since)s AND p.paid_at < %(until)s {rest} ORDER BY p.paid_at, p.id"
    ).format(
        sole=_sole(s, _ALL, as_text=_mixed(s)),
        fine=_fine(s, _ALL, _ALL, _ALL, as_text=_mixed(s), which=everything),
        meet=_MEET,
        rest=sql.SQL("" if everything else "AND fine.id IS NULL"),
    )


def page(s: Schema, *, sessions_indexed: bool) -> sql.Composed:
    """Those of some payments (ids, students) that have their purchase, with it."""
    return sql.SQL(
        "SELECT lower(p.id::text), fine.id FROM ({sole}) AS p JOIN ({fine}) AS fine ON {meet} WHERE {among}"
    ).format(
        sole=_sole(s, _of_students(s, "payments", "p"), as_text=_mixed(s)),
        fine=_fine_of_students(s, sessions_indexed=sessions_indexed, as_text=_mixed(s)),
        meet=_MEET,
        among=_is_any(s, "payments", "id", "p", "ids", at=sql.SQL("p.id")),
    )


def sole_of_page(s: Schema) -> sql.Composed:
    """The sole ones of some payments (ids, students): id, student, course, tier, time."""
    return sql.SQL(
        "SELECT lower(p.id::text), p.student, p.course, p.tier, p.paid_at FROM ({}) AS p WHERE p.sole AND {}"
    ).format(
        _sole(s, _of_students(s, "payments", "p"), as_text=True),
        _is_any(s, "payments", "id", "p", "ids", at=sql.SQL("p.id")),
    )


def fine_of_page(s: Schema, *, sessions_indexed: bool) -> sql.Composed:
    """The fine purchases of some students: student, course, tier, time, id."""
    return sql.SQL("SELECT f.student, f.course, f.tier, f.created_at, f.id FROM ({}) AS f").format(
        _fine_of_students(s, sessions_indexed=sessions_indexed, as_text=True)
    )


def leads_index(cursor: Cursor, s: Schema, columns: Iterable[tuple[str, str]]) -> bool:
    """Whether each of these (table, column) leads an index, so that some rows are found without reading all."""
    for table, column in columns:
        rows = cursor.execute(statement("leading").encode(), {"written": quoted(s.written(table))}).fetchall()
        if s.flow.column(table, column) not in {name for (name,) in rows}:
            return False
    return True


def _sole(s: Schema, scope: sql.Composable, *, as_text: bool) -> sql.Composed:
    student = s.id if as_text else s.column
    return sql.SQL(statement("sole")).format(
        p_student=student("payments", "student_id", "p"), p_tier=_plain_tier(s), p_scope=scope, **_of_payments(s)
    )


def _fine(
    s: Schema,
    u_scope: sql.Composable,
    a_scope: sql.Composable,
    t_scope: sql.Composable,
    *,
    as_text: bool,
    which: bool = True,
) -> sql.Composed:
    """`which`: name the purchase; where it is enough that there is one, rows are smaller and sorted faster."""
    student = s.id if as_text else s.column
    # UUIDs are grouped and joined at half the cost of their text.
    uuids = {s.type(table, "course_id") for table in ("purchases", "allocations")} == {"uuid"}
    course = s.column if uuids else s.id

    def first(table: str, alias: str, *columns: str) -> sql.Composable:
        return sql.SQL("coalesce({})").format(sql.SQL(", ").join(s.time(table, c, alias) for c in columns))

    return sql.SQL(statement("fine")).format(
        purchases=s.table("purchases"),
        u_id=s.id("purchases", "id", "u"),
        u_one=sql.SQL("min({})").format(s.id("purchases", "id", "u")) if which else _ALL,
        b_course=sql.SQL("b.course::text" if uuids else "b.course"),
        u_student=student("purchases", "student_id", "u"),
        u_course=course("purchases", "course_id", "u"),
        u_created_at=first("purchases", "u", "created_at", "purchase_date"),
        u_tier=s.column("purchases", "purchase_tier", "u") + sql.SQL("::text"),
        u_active=s.column("purchases", "is_active", "u"),
        u_scope=u_scope,
        allocations=s.table("allocations"),
        a_id=_linked(s, "allocations", "id", "a"),
        a_student=student("allocations", "student_id", "a"),
        a_course=course("allocations", "course_id", "a"),
        a_status=s.column("allocations", "status", "a") + sql.SQL("::text"),
        a_requested_at=first("allocations", "a", "requested_at", "created_at"),
        a_scope=a_scope,
        sessions=s.table("sessions"),
        t_allocation=_linked(s, "sessions", "allocation_id", "t"),
        t_scope=t_scope,
    )


def _fine_of_students(s: Schema, *, sessions_indexed: bool, as_text: bool) -> sql.Composed:
    a_scope = _of_students(s, "allocations", "a")
    # An array leads to the index without a nested loop. Without an index it would be compared one by one: then all
    # sessions are read, once.
    t_scope = sql.SQL("{t} = ANY (ARRAY(SELECT {a} FROM {allocations} AS a WHERE {scope}))").format(
        t=_linked(s, "sessions", "allocation_id", "t"),
        a=_linked(s, "allocations", "id", "a"),
        allocations=s.table("allocations"),
        scope=a_scope,
    )
    return _fine(s, _of_students(s, "purchases", "u"), a_scope, t_scope if sessions_indexed else _ALL, as_text=as_text)


def _mixed(s: Schema) -> bool:
    """Whether the student's columns can't be compared as they are."""
    return len({s.type(table, "student_id") for table in ("payments", "purchases", "allocations")}) > 1


def _linked(s: Schema, table: str, column: str, alias: str) -> sql.Composable:
    """An allocation's id, there or at its sessions: as it is where both can be compared, so that an index serves."""
    same = s.type("sessions", "allocation_id") == s.type("allocations", "id")
    return s.column(table, column, alias) if same else s.id(table, column, alias)


def _window(s: Schema) -> sql.Composed:
    return sql.SQL("({p_paid_at} >= %(since)s AND {p_paid_at} < %(until)s)").format(**_of_payments(s))


def _of_payments(s: Schema) -> dict[str, sql.Composable]:
    return {name: part for name, part in payment_parts(s).items() if not name.startswith("o_")}


def _plain_tier(s: Schema) -> sql.Composable:
    """The tier that metadata states as a plain number, as text; NULL where it takes more to tell."""
    if s.type("payments", "metadata") not in ("jsonb", "json"):
        return sql.SQL("NULL::text")
    metadata = s.column("payments", "metadata", "p")
    return sql.SQL("substring(coalesce({}->>'purchaseTier', {}->>'sessionCount') FROM '^[1-9][0-9]{{0,8}}$')").format(
        metadata, metadata
    )


def _of_students(s: Schema, table: str, alias: str) -> sql.Composable:
    return _is_any(s, table, "student_id", alias, "students")


def _is_any(
    s: Schema, table: str, column: str, alias: str, values: str, *, at: sql.Composable | None = None
) -> sql.Composable:
    """Whether a column is one of the values (a parameter's name), by its own type, so that its index serves.

    `at` is where it stands, if it is no longer in its table.
    """
    if s.type(table, column) == "uuid":
        return sql.SQL("{} = ANY (%({})s::uuid[])").format(at or s.column(table, column, alias), sql.SQL(values))
    text = sql.SQL("lower({}::text)").format(at) if at else s.id(table, column, alias)
    return sql.SQL("{} = ANY (%({})s::text[])").format(text, sql.SQL(values))
