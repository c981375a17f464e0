"""Faults behind the purchase: it is made, and no trainer is allocated or no sessions appear."""

from __future__ import annotations

from kcfix.drill.buy import buy
from kcfix.drill.faults.containers import ALLOCATION, SESSION
from kcfix.drill.faults.fault import Area, Fault
from kcfix.drill.faults.site import FLOW, Site, State, group_of

SYSTEM_ADMIN = "00000000-0000-0000-0000-000000000001"
OTHER_ADMIN = "00000000-0000-0000-0000-000000000002"


def dismiss_trainers(site: Site) -> State:
    """No trainer is active: each try of allocation-worker leaves a pending row without one."""
    site.run("UPDATE trainers SET status = 'inactive' WHERE status = 'active'")
    return _failing_allocation(site)


def bring_trainers_back(site: Site, state: State) -> None:
    """The trainers are active, the surplus rows closed, the purchase announced once more."""
    site.run("UPDATE trainers SET status = 'active' WHERE status = 'inactive'")
    _allocate_again(site, state)


def delete_admin(site: Site) -> State:
    """The system's own admin was deleted: approvals violate the foreign key, and pending rows pile up."""
    _replace_admin(site, SYSTEM_ADMIN, OTHER_ADMIN)
    return _failing_allocation(site)


def bring_admin_back(site: Site, state: State) -> None:
    """The admin is there again."""
    _replace_admin(site, OTHER_ADMIN, SYSTEM_ADMIN)
    _allocate_again(site, state)


def _replace_admin(site: Site, old: str, new: str) -> None:
    with site.database() as connection:
        connection.execute(
            "INSERT INTO admin_users (id, email) VALUES (%s, 'admin@drill.example') ON CONFLICT DO NOTHING", (new,)
        )
        connection.execute("UPDATE trainer_allocations SET allocated_by = %s WHERE allocated_by = %s", (new, old))
        connection.execute("DELETE FROM admin_users WHERE id = %s", (old,))


def _failing_allocation(site: Site) -> State:
    state: State = {"payments": buy(site.drill, 1)}
    site.remember(state)
    site.wait_rows(
        """SELECT 1 FROM trainer_allocations AS t JOIN payments USING (student_id)
           WHERE t.status = 'pending' AND t.trainer_id IS NULL""",
        state["payments"],
    )
    return state


def _allocate_again(site: Site, state: State) -> None:
    payments = state.get("payments", [])
    with site.database() as connection:
        connection.execute(
            """UPDATE trainer_allocations AS t SET status = 'cancelled', updated_at = now() FROM payments AS p
               WHERE p.student_id = t.student_id AND t.status = 'pending' AND p.id = ANY(%s::uuid[])""",
            (payments,),
        )
    site.stop_worker(ALLOCATION, grace_seconds=2)  # in the middle of half a minute of tries
    site.start_worker(ALLOCATION)
    site.announce_again(payments)


def forget_place(site: Site) -> State:
    """A student's profile has no place: the trainer is allocated, and no session is planned at the chosen time."""
    state: State = {"payments": buy(site.drill, 1, gps=False)}
    site.remember(state)
    site.wait_rows(
        """SELECT 1 FROM trainer_allocations AS t JOIN payments USING (student_id) WHERE t.status = 'approved'""",
        state["payments"],
    )
    return state


def enter_place(site: Site, state: State) -> None:
    """The place is entered, and the sessions are made as admin-service makes them."""
    payments = state.get("payments", [])
    with site.database() as connection:
        connection.execute(
            """UPDATE student_profiles AS f SET latitude = 12.9716, longitude = 77.5946 FROM payments AS p
               WHERE p.student_id = f.student_id AND p.id = ANY(%s::uuid[])""",
            (payments,),
        )
        connection.execute(
            """INSERT INTO tutoring_sessions
                 (allocation_id, student_id, trainer_id, course_id, scheduled_date, scheduled_time, metadata)
               SELECT t.id, t.student_id, t.trainer_id, t.course_id, (t.metadata->>'startDate')::date + n - 1,
                      t.metadata->>'timeSlot', jsonb_build_object('autoCreated', true, 'sessionNumber', n)
               FROM trainer_allocations AS t JOIN payments AS p USING (student_id),
                    generate_series(1, (t.metadata->>'sessionCount')::int) AS n
               WHERE t.status = 'approved' AND p.id = ANY(%s::uuid[]) ON CONFLICT DO NOTHING""",
            (payments,),
        )


def drop_slot_constraint(site: Site) -> State:
    """unique_session_slot is missing: session-worker's insert finds nothing to conflict with, and fails."""
    site.run("ALTER TABLE tutoring_sessions DROP CONSTRAINT unique_session_slot")
    state: State = {"payments": buy(site.drill, 1)}
    site.remember(state)
    site.wait_said(SESSION, "no unique or exclusion constraint matching the ON CONFLICT specification")
    return state


def add_slot_constraint(site: Site, _state: State) -> None:
    """The constraint is there again, and session-worker is restarted."""
    site.run(
        "ALTER TABLE tutoring_sessions DROP CONSTRAINT IF EXISTS unique_session_slot",
        """ALTER TABLE tutoring_sessions
           ADD CONSTRAINT unique_session_slot UNIQUE (allocation_id, scheduled_date, scheduled_time)""",
    )
    site.stop_worker(SESSION)
    site.protect(group_of(SESSION), FLOW.trainer_allocated)
    site.start_worker(SESSION)


FAULTS = (
    Fault(
        "no-trainers",
        Area.DOWNSTREAM,
        ("39", "9"),
        "no trainer is active: a purchase gets none, and each try leaves a pending row",
        "pending allocations without a trainer, several for one student; allocation-worker drops out of its group",
        dismiss_trainers,
        bring_trainers_back,
    ),
    Fault(
        "system-admin-missing",
        Area.DOWNSTREAM,
        ("41",),
        "the admin in whose name trainers are allocated was deleted: every approval fails",
        "pending allocations with a foreign key violation in their notes",
        delete_admin,
        bring_admin_back,
    ),
    Fault(
        "student-without-place",
        Area.DOWNSTREAM,
        ("42",),
        "a student's profile has no coordinates: no session is planned at the time that was chosen",
        "allocation approved, log: STUDENT GPS ISSUE, no sessions but the session-worker's own at 4:00 PM",
        forget_place,
        enter_place,
    ),
    Fault(
        "session-slot-constraint-missing",
        Area.DOWNSTREAM,
        ("46",),
        "unique_session_slot is missing: session-worker fails on every allocation",
        "session-worker's log and dead letters of trainer-allocated: ON CONFLICT (42P10)",
        drop_slot_constraint,
        add_slot_constraint,
    ),
)
