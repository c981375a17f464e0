"""Faults of payments and purchases in the tables: what was paid and what was given do not agree."""

from __future__ import annotations

import uuid
from contextlib import closing
from datetime import UTC, datetime, timedelta

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from kcfix.drill import groups, wire
from kcfix.drill.buy import buy
from kcfix.drill.faults.fault import Area, Fault
from kcfix.drill.faults.messages import send_at_last
from kcfix.drill.faults.site import COURSE, GROUP, TOPIC, Site, State
from kcfix.drill.network import kafka_settings

AHEAD = timedelta(hours=2)


def forget_course(site: Site) -> State:
    """The payment's metadata names no course: payment-service warns and sends nothing."""
    return {"payments": buy(site.drill, 1, no_course=True)}


def choose_course(site: Site, state: State) -> None:
    """A person chooses the course, and the event is sent."""
    with site.database() as connection:
        connection.execute(
            """UPDATE payments SET metadata = metadata || jsonb_build_object('courseId', %s::text)
               WHERE id = ANY(%s::uuid[]) AND NOT metadata ? 'courseId'""",
            (COURSE, state.get("payments", [])),
        )
    send_at_last(site, state)


def read_wrong_tier(site: Site) -> State:
    """Ten sessions were paid, and the metadata came as a text: the worker takes thirty."""
    state: State = {"payments": buy(site.drill, 1, tier=10, metadata_as_string=True)}
    site.remember(state)
    site.wait_rows("SELECT 1 FROM student_course_purchases JOIN payments USING (student_id)", state["payments"])
    return state


def set_tier(site: Site, state: State) -> None:
    """A person sets what was paid, in a payment that can be read."""
    with site.database() as connection:
        connection.execute(
            """UPDATE student_course_purchases AS s SET purchase_tier = 10 FROM payments AS p
               WHERE p.student_id = s.student_id AND p.id = ANY(%s::uuid[])""",
            (state.get("payments", []),),
        )
        connection.execute(
            """UPDATE payments SET metadata = (metadata #>> '{}')::jsonb
               WHERE id = ANY(%s::uuid[]) AND jsonb_typeof(metadata) = 'string'""",
            (state.get("payments", []),),
        )


def charge_twice(site: Site) -> State:
    """A student pays twice for one course; the worker swallows the second payment."""
    return _pay_twice(site, upgrade=False)


def pay_for_upgrade(site: Site) -> State:
    """A student pays for an upgrade; the worker knows none and swallows it."""
    return _pay_twice(site, upgrade=True)


def _pay_twice(site: Site, *, upgrade: bool) -> State:
    student = str(uuid.uuid4())
    state: State = {"payments": buy(site.drill, 1, student=student, course=COURSE, tier=10)}
    site.remember(state)
    site.wait_purchased(state["payments"])
    state["second"] = buy(site.drill, 1, student=student, course=COURSE, tier=10, upgrade=upgrade)
    return state


def refund(site: Site, state: State) -> None:
    """The money of the second payment goes back."""
    with site.database() as connection:
        connection.execute(
            "UPDATE payments SET status = 'refunded', updated_at = now() WHERE id = ANY(%s::uuid[])",
            (state.get("second", []),),
        )


def never_confirm(site: Site) -> State:
    """The provider never calls back and the student never returns: the payment stays in processing."""
    payments = buy(site.drill, 1, unemitted=True)
    with site.database() as connection:
        connection.execute(
            """UPDATE payments SET status = 'processing', confirmed_at = NULL, payment_method = NULL,
                 provider_payment_id = 'order_' || left(replace(id::text, '-', ''), 14),
                 created_at = now() - interval '2 hours', updated_at = now() - interval '2 hours',
                 expires_at = now() - interval '90 minutes'
               WHERE id = ANY(%s::uuid[])""",
            (payments,),
        )
    return {"stuck": payments}


def cancel(site: Site, state: State) -> None:
    """The payment is cancelled."""
    with site.database() as connection:
        connection.execute(
            "UPDATE payments SET status = 'cancelled', updated_at = now() WHERE id = ANY(%s::uuid[])",
            (state.get("stuck", []),),
        )


def skew_clock(site: Site) -> State:
    """payment-service's clock is two hours ahead: its payments and messages come from the future."""
    return {"payments": buy(site.drill, 3, at=datetime.now(UTC) + AHEAD)}


def set_clock(site: Site, state: State) -> None:
    """The rows get the time at which they were written; the messages, when they are read, are deleted."""
    with site.database() as connection:
        connection.execute(
            """UPDATE payments SET created_at = created_at - %s, confirmed_at = confirmed_at - %s, updated_at = now()
               WHERE id = ANY(%s::uuid[]) AND confirmed_at > now()""",
            (AHEAD, AHEAD, state.get("payments", [])),
        )
    ends = {p: end for p, (_, end) in wire.ends(site.drill, TOPIC).items()}
    for partition in set(groups.committed(site.drill, GROUP, TOPIC)):
        groups.wait_committed(site.drill, GROUP, TOPIC, partition, ends[partition])
    site.send_again(site.without_purchase(state.get("payments", [])))
    with closing(KafkaAdminClient(**kafka_settings(site.drill))) as admin:
        admin.delete_records({TopicPartition(TOPIC, p): end for p, end in ends.items()})


def insert_by_hand(site: Site) -> State:
    """A payment was never emitted, and somebody has inserted its purchase by hand: nobody downstream hears of it."""
    state: State = {"payments": buy(site.drill, 1, unemitted=True)}
    with site.database() as connection:
        connection.execute(
            """INSERT INTO student_course_purchases (student_id, course_id, purchase_tier, metadata)
               SELECT student_id, (metadata->>'courseId')::uuid, 20, '{}' FROM payments WHERE id = ANY(%s::uuid[])""",
            (state["payments"],),
        )
    return state


def announce(site: Site, state: State) -> None:
    """The purchase gets the payment's metadata and is announced."""
    with site.database() as connection:
        connection.execute(
            """UPDATE student_course_purchases AS s SET metadata = p.metadata FROM payments AS p
               WHERE p.student_id = s.student_id AND p.id = ANY(%s::uuid[]) AND s.metadata = '{}'""",
            (state.get("payments", []),),
        )
    site.announce_again(state.get("payments", []))


FAULTS = (
    Fault(
        "payment-without-course",
        Area.PAYMENTS,
        ("22",),
        "a payment's metadata names no course: money taken, nothing sent",
        "succeeded, no courseId, no row, no message",
        forget_course,
        choose_course,
    ),
    Fault(
        "wrong-tier",
        Area.PAYMENTS,
        ("32",),
        "ten sessions were paid and thirty given, for the payment's metadata is a text",
        "a purchase of tier 30 for a payment of 10; nothing fails",
        read_wrong_tier,
        set_tier,
    ),
    Fault(
        "double-charge",
        Area.PAYMENTS,
        ("31",),
        "a student has paid twice for one course; the second payment gave nothing",
        "two succeeded payments, one purchase",
        charge_twice,
        refund,
    ),
    Fault(
        "upgrade-swallowed",
        Area.PAYMENTS,
        ("31",),
        "a student has paid for an upgrade, which the worker does not know: the tier stays",
        "a succeeded payment with `upgrade`, and a purchase of the old tier",
        pay_for_upgrade,
        refund,
    ),
    Fault(
        "payment-stuck",
        Area.PAYMENTS,
        ("26",),
        "a payment stays in processing long after it has expired; nothing sweeps it",
        "processing, expires_at in the past",
        never_confirm,
        cancel,
    ),
    Fault(
        "clock-skew",
        Area.PAYMENTS,
        ("56",),
        "payment-service's clock is two hours ahead of the database's and the broker's",
        "payments confirmed and messages written in the future",
        skew_clock,
        set_clock,
    ),
    Fault(
        "purchase-by-hand",
        Area.PAYMENTS,
        ("37", "34", "51", "19"),
        "a purchase was inserted by hand, without schedule and without an announcement",
        "an active purchase with metadata {}, no PURCHASE_CREATED, no trainer",
        insert_by_hand,
        announce,
    ),
)
