"""Faults of single messages: never sent, or such that the worker fails on them and on all behind them."""

from __future__ import annotations

import json
import uuid

from kcfix.core.events import build_message
from kcfix.drill import groups, wire
from kcfix.drill.buy import buy
from kcfix.drill.faults.fault import Area, Fault
from kcfix.drill.faults.site import GROUP, TOPIC, Site, State
from kcfix.flow import PURCHASE_CONFIRMED

POISON_TIER = 12
"""A tier that the table's CHECK refuses."""
POISON_PARTITION = 0


def send_nowhere(site: Site) -> State:
    """payment-service writes a payment's event down and finds no broker to send it to."""
    return {"payments": buy(site.drill, 1, unsent=True)}


def emit_nothing(site: Site) -> State:
    """payment-service dies between the payment's update and its event."""
    return {"payments": buy(site.drill, 1, unemitted=True)}


def send_at_last(site: Site, state: State) -> None:
    """The event is sent, where no one has settled the payment meanwhile."""
    site.send_again(site.without_purchase(state.get("payments", [])))


def poison_protected(site: Site) -> State:
    """A payment that can't become a purchase, on a partition with a committed offset: the worker loops on it."""
    state = _protected(site)
    state["poison"] = buy(site.drill, 1, tier=POISON_TIER, partition=POISON_PARTITION)
    return _one_behind(site, state)


def poison_unprotected(site: Site) -> State:
    """The same on a partition that has no committed offset: after a crash it is skipped with all behind it."""
    site.stop_worker()
    groups.forget(site.drill, GROUP, TOPIC, [POISON_PARTITION])
    state: State = {"payments": [], "poison": [], "partition": POISON_PARTITION, "offset": _end(site)}
    site.start_worker()
    state["poison"] = buy(site.drill, 1, tier=POISON_TIER, partition=POISON_PARTITION)
    return _one_behind(site, state)


def sell_unknown_course(site: Site) -> State:
    """A payment for a course that is not in the table, as after a course was deleted or paid for elsewhere."""
    state = _protected(site)
    state["poison"] = buy(site.drill, 1, course=str(uuid.uuid4()), partition=POISON_PARTITION)
    return _one_behind(site, state)


def send_by_hand(site: Site) -> State:
    """Someone sends a payment's event by a script that forgets `_metadata`; the mark then fails, and all rolls back."""
    state = _protected(site)
    [payment] = buy(site.drill, 1, unsent=True, partition=POISON_PARTITION)
    state["payments"].append(payment)
    site.remember(state)
    with site.database() as connection:
        row = connection.execute(
            "SELECT payload FROM processed_events WHERE correlation_id = %s AND event_type = %s",
            (payment, PURCHASE_CONFIRMED),
        ).fetchone()
    assert row is not None  # noqa: S101 - buy has just written it
    wire.send_raw(site.drill, TOPIC, POISON_PARTITION, json.dumps(row[0]).encode(), key=payment.encode())
    return _one_behind(site, state)


def send_nothing(site: Site) -> State:
    """An empty message, as a console producer sends for an empty line: kafkajs gives up and the process lives on."""
    state = _protected(site)
    wire.send_raw(site.drill, TOPIC, POISON_PARTITION, b"")
    _one_behind(site, state)
    site.wait(lambda: groups.standing(site.drill, GROUP).state == "Empty", "the consumer lives")
    return state


def send_broken_json(site: Site) -> State:
    """A message cut short, as a size limit of a script's own leaves it: it ends the consumer too."""
    state = _protected(site)
    [payment] = buy(site.drill, 1, unsent=True, partition=POISON_PARTITION)
    state["payments"].append(payment)
    whole = build_message(
        TOPIC, {"type": PURCHASE_CONFIRMED}, event_id=payment, correlation_id=payment, source="script", timestamp_ms=0
    ).value
    wire.send_raw(site.drill, TOPIC, POISON_PARTITION, whole[: len(whole) // 2], key=payment.encode())
    site.remember(state)
    site.wait(lambda: groups.standing(site.drill, GROUP).state == "Empty", "the consumer lives")
    return state


def _protected(site: Site) -> State:
    """A good payment first, whose purchase leaves a committed offset."""
    first = buy(site.drill, 1, partition=POISON_PARTITION)
    state: State = {"payments": first, "poison": [], "partition": POISON_PARTITION, "offset": _end(site)}
    site.remember(state)
    groups.wait_committed(site.drill, GROUP, TOPIC, POISON_PARTITION, state["offset"])
    return state


def _end(site: Site) -> int:
    return wire.ends(site.drill, TOPIC)[POISON_PARTITION][1]


def _one_behind(site: Site, state: State) -> State:
    """A good payment behind the poison."""
    site.remember(state)
    state["payments"] += buy(site.drill, 1, partition=POISON_PARTITION)
    return state


def pass_poison(site: Site, state: State) -> None:
    """The money goes back, the offset goes behind the poison, and what was skipped behind it is sent again."""
    with site.database() as connection:
        connection.execute(
            "UPDATE payments SET status = 'refunded', updated_at = now() WHERE id = ANY(%s::uuid[])",
            (site.without_purchase(state.get("poison", [])),),
        )
    if "offset" in state:
        site.stop_worker()
        partition, behind = int(state["partition"]), int(state["offset"]) + 1
        behind = min(behind, _end(site))
        if groups.committed(site.drill, GROUP, TOPIC).get(partition, 0) < behind:
            groups.commit(site.drill, GROUP, TOPIC, {partition: behind})
    site.start_worker()
    groups.wait_committed(site.drill, GROUP, TOPIC, POISON_PARTITION, _end(site))
    site.send_again(site.without_purchase(state.get("payments", [])))


FAULTS = (
    Fault(
        "message-never-sent",
        Area.MESSAGES,
        ("18", "11"),
        "payment-service wrote a payment's event down and found no broker",
        "succeeded, a row in processed_events, no message",
        send_nowhere,
        send_at_last,
    ),
    Fault(
        "payment-never-emitted",
        Area.MESSAGES,
        ("19",),
        "payment-service died between a payment's update and its event",
        "succeeded, no row in processed_events, no message",
        emit_nothing,
        send_at_last,
    ),
    Fault(
        "poison-message",
        Area.MESSAGES,
        ("3", "32"),
        "a payment with tier 12 heads a partition with a committed offset: an endless loop",
        "the offset stands, lag on partition 0 only, dead letters of one offset again and again: violates check",
        poison_protected,
        pass_poison,
    ),
    Fault(
        "poison-message-unprotected",
        Area.MESSAGES,
        ("2", "32"),
        "a payment with tier 12 on a partition without a committed offset: skipped, and all behind it",
        "no offset on partition 0, dead letters of one offset, and a payment behind it without a purchase",
        poison_unprotected,
        pass_poison,
    ),
    Fault(
        "poison-unknown-course",
        Area.MESSAGES,
        ("33", "3"),
        "a payment for a course that is not in the table heads a partition: an endless loop",
        "as poison-message, with: violates foreign key constraint",
        sell_unknown_course,
        pass_poison,
    ),
    Fault(
        "poison-without-metadata",
        Area.MESSAGES,
        ("17b", "3"),
        "a message sent by hand has no `_metadata`: its mark fails and the purchase is rolled back, again and again",
        "dead letters with ids `unknown`: invalid input syntax for type uuid",
        send_by_hand,
        pass_poison,
    ),
    Fault(
        "consumer-dead",
        Area.MESSAGES,
        ("4",),
        "an empty message has ended the consumer in purchase-worker's live process",
        "container running, a Crash line without `Restarting`, group Empty, lag grows, no dead letter",
        send_nothing,
        pass_poison,
    ),
    Fault(
        "message-cut-short",
        Area.MESSAGES,
        ("4",),
        "half a message, sent by a script, has ended the consumer in purchase-worker's live process",
        "as consumer-dead, with: Unterminated string in JSON",
        send_broken_json,
        pass_poison,
    ),
)
