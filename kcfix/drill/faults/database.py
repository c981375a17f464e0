"""Faults inside the database: indexes, tables, columns, and who may do what with them."""

from __future__ import annotations

import contextlib
from importlib import resources

import psycopg

from kcfix.drill.buy import buy
from kcfix.drill.faults.containers import ALLOCATION
from kcfix.drill.faults.fault import Area, Fault
from kcfix.drill.faults.site import WORKER, Site, State
from kcfix.drill.state import DATABASE, DATABASE_USER

INDEX = "unique_active_purchase"
MAKE_INDEX = f"CREATE UNIQUE INDEX {INDEX} ON student_course_purchases (student_id, course_id) WHERE is_active = true"
WRITABLE = "-c default_transaction_read_only=off"


def drop_index(site: Site) -> State:
    """The index goes, as where migration 002 was run in one transaction."""
    site.run(f"DROP INDEX IF EXISTS {INDEX}")
    return {}


def make_index(site: Site, _state: State) -> None:
    """Of two active purchases the newer one is deactivated, then the index is made, where the drill has one."""
    site.run(
        """UPDATE student_course_purchases AS s SET is_active = false
           WHERE is_active AND EXISTS (
             SELECT 1 FROM student_course_purchases AS o WHERE o.student_id = s.student_id
               AND o.course_id = s.course_id AND o.is_active AND (o.created_at, o.id) < (s.created_at, s.id))""",
        f"DROP INDEX IF EXISTS {INDEX}",
    )
    if site.drill.unique_index:
        site.run(MAKE_INDEX)


def double_purchase(site: Site) -> State:
    """Without the index, a repair script that takes no lock makes a second active purchase."""
    drop_index(site)
    state: State = {"payments": buy(site.drill, 1)}
    site.remember(state)
    site.wait_purchased(state["payments"])
    with site.database() as connection:
        connection.execute(
            """INSERT INTO student_course_purchases (student_id, course_id, purchase_tier, metadata)
               SELECT s.student_id, s.course_id, s.purchase_tier, s.metadata
               FROM student_course_purchases AS s JOIN payments AS p USING (student_id)
               WHERE p.id = ANY(%s::uuid[])""",
            (state["payments"],),
        )
    return state


def spoil_index(site: Site) -> State:
    """Made CONCURRENTLY over duplicates, the index failed and was left invalid. The duplicates are gone since."""
    state = double_purchase(site)
    with contextlib.suppress(psycopg.errors.UniqueViolation), psycopg.connect(site.drill.dsn, autocommit=True) as held:
        held.execute(MAKE_INDEX.replace("INDEX", "INDEX CONCURRENTLY", 1).encode())
    site.run(
        """DELETE FROM student_course_purchases AS s USING student_course_purchases AS o
           WHERE o.student_id = s.student_id AND o.course_id = s.course_id AND s.is_active AND o.is_active
             AND (o.created_at, o.id) < (s.created_at, s.id)"""
    )
    return state


def set_read_only(site: Site) -> State:
    """The database takes no writes, as after a fail-over to a replica; three payments wait for the worker."""
    state = _waiting(site)
    with site.database() as connection:
        connection.execute(f"ALTER DATABASE {DATABASE} SET default_transaction_read_only = on".encode())
        site.drop_sessions(connection)
    site.start_worker()
    return state


def set_writable(site: Site, state: State) -> None:
    """The database takes writes again, in new sessions."""
    with site.database(WRITABLE) as connection:
        connection.execute(f"ALTER DATABASE {DATABASE} RESET default_transaction_read_only".encode())
        site.drop_sessions(connection)
    site.recover(state.get("payments", []))


def revoke_password(site: Site) -> State:
    """The user's password is changed, as after a leak, and nobody has told the workers or the operator."""
    state = _waiting(site)
    with site.database() as connection:
        connection.execute(f"ALTER ROLE {DATABASE_USER} PASSWORD 'a-new-password'".encode())
        site.drop_sessions(connection)
    site.start_worker()
    return state


def give_password_back(site: Site, state: State) -> None:
    """The password is what everybody has."""
    site.as_superuser(f"ALTER ROLE {DATABASE_USER} PASSWORD '{site.drill.password}'")
    site.recover(state.get("payments", []))


def lose_events_table(site: Site) -> State:
    """processed_events is gone: payment-service fails before it sends, and purchase-worker at its mark."""
    state = _waiting(site)
    site.run("ALTER TABLE processed_events RENAME TO processed_events_backup")
    state["payments"] += buy(site.drill, 1, unemitted=True)
    site.remember(state)
    site.start_worker()
    return state


def bring_events_table_back(site: Site, state: State) -> None:
    """The table gets its name back; what was not sent is."""
    site.run("ALTER TABLE IF EXISTS processed_events_backup RENAME TO processed_events")
    site.recover(state.get("payments", []))


def age_events_table(site: Site) -> State:
    """processed_events has the shape of migration 001: an event id that is no uuid can't be marked."""
    site.run(
        "CREATE SCHEMA before",
        "ALTER TABLE processed_events SET SCHEMA before",
        (resources.files("kcfix.drill") / "sql" / "processed_events_a.sql").read_text(encoding="utf-8"),
        r"""INSERT INTO processed_events
            SELECT event_id::uuid, correlation_id, event_type, payload, source, version, processed_at, created_at
            FROM before.processed_events WHERE event_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'""",
    )
    site.stop_protected()
    site.start_worker()  # the first purchase of a process has an event id that is no uuid (mode 28)
    state: State = {"payments": buy(site.drill, 1)}
    site.remember(state)
    site.wait_said(ALLOCATION, "invalid input syntax for type uuid")
    return state


def renew_events_table(site: Site, state: State) -> None:
    """Migration 025: the rows go into the table whose event ids are texts."""
    with site.database() as connection:
        moved = connection.execute("SELECT to_regclass('before.processed_events')").fetchone()
        if moved is not None and moved[0] is not None:
            for statement in (
                """INSERT INTO before.processed_events
                   SELECT event_id::text, correlation_id, event_type, payload, source, version, processed_at, created_at
                   FROM public.processed_events ON CONFLICT DO NOTHING""",
                "DROP TABLE public.processed_events",
                "ALTER TABLE before.processed_events SET SCHEMA public",
            ):
                connection.execute(statement.encode())
        connection.execute("DROP SCHEMA IF EXISTS before")
    site.recover(state.get("payments", []))


def rename_column(site: Site) -> State:
    """A migration for a newer program has renamed a column: each payment is poison for this one."""
    state = _waiting(site)
    site.run("ALTER TABLE student_course_purchases RENAME COLUMN expiry_date TO expires_at")
    site.start_worker()
    site.wait_said(WORKER, "expiry_date")
    return state


def rename_column_back(site: Site, state: State) -> None:
    """The column gets its name back."""
    with site.database() as connection:
        there = connection.execute(
            """SELECT 1 FROM information_schema.columns
               WHERE table_name = 'student_course_purchases' AND column_name = 'expires_at'"""
        ).fetchone()
        if there:
            connection.execute("ALTER TABLE student_course_purchases RENAME COLUMN expires_at TO expiry_date")
    site.recover(state.get("payments", []))


def _waiting(site: Site) -> State:
    """The worker is stopped and a payment waits for it on each partition."""
    site.stop_protected()
    state: State = {"payments": site.pay_each()}
    site.remember(state)
    return state


FAULTS = (
    Fault(
        "index-dropped",
        Area.DATABASE,
        ("27", "30"),
        "unique_active_purchase is missing: nothing but a lock that scripts do not take keeps purchases single",
        "no such index; a warning of purchase-worker once a minute",
        drop_index,
        make_index,
    ),
    Fault(
        "index-invalid",
        Area.DATABASE,
        ("27", "30"),
        "unique_active_purchase is there and invalid: made CONCURRENTLY over duplicates, it failed",
        "pg_index.indisvalid is false; the worker's own check says verified",
        spoil_index,
        make_index,
    ),
    Fault(
        "duplicate-purchases",
        Area.DATABASE,
        ("30", "27"),
        "unique_active_purchase is missing and a repair script has made a second active purchase",
        "two active purchases of one student and course",
        double_purchase,
        make_index,
    ),
    Fault(
        "database-read-only",
        Area.DATABASE,
        ("53",),
        "the database takes no writes, as after a fail-over; three payments fail again and again",
        "joined, its log and the dead letters: in a read-only transaction (25006)",
        set_read_only,
        set_writable,
    ),
    Fault(
        "database-password-revoked",
        Area.DATABASE,
        ("53",),
        "the password of the workers' user was changed: neither they nor the operator get in",
        "all workers: password authentication failed (28P01)",
        revoke_password,
        give_password_back,
    ),
    Fault(
        "events-table-missing",
        Area.DATABASE,
        ("20", "3"),
        "processed_events is missing: payments are not emitted, and purchases are rolled back at their mark",
        "relation does not exist (42P01) in worker log and dead letters; a payment without row and message",
        lose_events_table,
        bring_events_table_back,
    ),
    Fault(
        "events-table-old-shape",
        Area.DATABASE,
        ("38",),
        "processed_events has uuid event ids (migration 025 is missing): marks fail after the trainer was allocated",
        "allocation-worker: invalid input syntax for type uuid, dead letters of purchase-created",
        age_events_table,
        renew_events_table,
    ),
    Fault(
        "column-renamed",
        Area.DATABASE,
        ("47", "3"),
        "a column of student_course_purchases was renamed under the running program: every payment is poison",
        "joined, in a loop of crashes; its log and the dead letters: column does not exist (42703)",
        rename_column,
        rename_column_back,
    ),
)
