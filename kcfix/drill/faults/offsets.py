"""Faults of offsets and of the log: what the group has committed does not fit what lies there, or who reads it."""

from __future__ import annotations

from contextlib import closing

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from kcfix.drill import groups, wire
from kcfix.drill.buy import buy
from kcfix.drill.faults.fault import Area, Fault
from kcfix.drill.faults.site import GROUP, TOPIC, Site, State
from kcfix.drill.network import kafka_settings
from kcfix.drill.state import STRANGERS

DEBUG_CONSUMER = STRANGERS[0]
MANY = 6000
"""Payments that keep the worker busy for well over a minute."""


def lose_offsets(site: Site) -> State:
    """The group's offsets are gone, payments come in while the worker is down, and its start skips them all."""
    state = expire_offsets(site)
    site.start_worker()
    return state


def expire_offsets(site: Site) -> State:
    """The same with the worker still down: it has been for longer than the broker keeps the offsets of nobody."""
    site.stop_worker()
    groups.forget(site.drill, GROUP, TOPIC)
    state: State = {"payments": site.pay_each()}
    site.remember(state)
    return state


def reset_to_latest(site: Site) -> State:
    """Someone resets the group to the log end, as the old notes recommend, while three payments wait."""
    site.stop_worker()
    state: State = {"payments": site.pay_each()}
    site.remember(state)
    groups.commit(site.drill, GROUP, TOPIC, {p: end for p, (_, end) in wire.ends(site.drill, TOPIC).items()})
    site.start_worker()
    return state


def truncate_log(site: Site) -> State:
    """Retention reaches what waits for a stopped worker: the committed offsets point before the log's start."""
    site.stop_protected()
    state: State = {"payments": site.pay_each()}
    site.remember(state)
    ends = {TopicPartition(TOPIC, p): end for p, (_, end) in wire.ends(site.drill, TOPIC).items()}
    with closing(KafkaAdminClient(**kafka_settings(site.drill))) as admin:
        admin.delete_records(ends)
    site.start_worker()
    return state


def send_skipped(site: Site, state: State) -> None:
    """What was skipped and is still unsettled is sent again under the eyes of the worker, which then commits.

    The offsets are not moved back to it: what else has come behind it since, poison perhaps, would be read again.
    """
    site.start_worker()
    site.send_again(site.without_purchase(state.get("payments", [])))


def heap_up(site: Site) -> State:
    """A bulk import gives all its payments keys that fall on one partition."""
    return {"payments": buy(site.drill, MANY, partition=1)}


def give_back(site: Site, state: State) -> None:
    """The money of those that still wait goes back and the offset goes behind them; the rest is waited for."""
    site.stop_worker()
    waiting = site.without_purchase(state.get("payments", []))
    with site.database() as connection:
        connection.execute(
            "UPDATE payments SET status = 'refunded', updated_at = now() WHERE id = ANY(%s::uuid[])", (waiting,)
        )
    if waiting:
        groups.commit(site.drill, GROUP, TOPIC, {1: wire.ends(site.drill, TOPIC)[1][1]})
    site.start_worker()


def let_stranger_in(site: Site) -> State:
    """Someone's debugging script joins purchase-worker's group and swallows what is on its partitions."""
    site.protect_running()
    site.start_stranger(
        DEBUG_CONSUMER, "consumer", {"KAFKA_BROKERS": ",".join(site.drill.brokers), "GROUP": GROUP, "TOPIC": TOPIC}
    )

    def both() -> bool:
        found = groups.standing(site.drill, GROUP)
        return found.state == "Stable" and DEBUG_CONSUMER in found.clients and len(found.clients) > 1

    site.wait(both, "the stranger has not joined", 40)
    return {"payments": site.pay_each()}


def put_stranger_out(site: Site, state: State) -> None:
    """The script is ended and its member with it; what it has swallowed is sent again."""
    site.engine.remove(site.drill, DEBUG_CONSUMER)
    groups.dismiss(site.drill, GROUP, DEBUG_CONSUMER)
    site.recover(state.get("payments", []))


FAULTS = (
    Fault(
        "offsets-never-committed",
        Area.OFFSETS,
        ("1",),
        "no committed offset: the worker was started at the log end and skipped three payments",
        "group Stable, offsets and lag `-`, no error, no purchase",
        lose_offsets,
        send_skipped,
    ),
    Fault(
        "offsets-expired",
        Area.OFFSETS,
        ("7", "1"),
        "the worker was down for longer than its offsets are kept: its next start will skip what waits",
        "container exited, group gone or Empty, no offsets, three messages that no lag shows",
        expire_offsets,
        send_skipped,
    ),
    Fault(
        "offsets-reset-to-latest",
        Area.OFFSETS,
        ("1",),
        "someone reset the group to the log end while three payments waited",
        "no lag, no error, no dead letter, and three payments behind the offsets without a purchase",
        reset_to_latest,
        send_skipped,
    ),
    Fault(
        "log-truncated",
        Area.OFFSETS,
        ("7",),
        "retention removed three messages before the worker read them",
        "offsets before the log's start, or `-` after kafkajs has met that; the messages are nowhere",
        truncate_log,
        send_skipped,
    ),
    Fault(
        "hot-partition",
        Area.OFFSETS,
        (),
        f"a bulk import put {MANY} payments onto one partition",
        "lag on partition 1 only, going down steadily; the others idle",
        heap_up,
        give_back,
    ),
    Fault(
        "stray-consumer",
        Area.OFFSETS,
        ("1",),
        "a debugging script is a member of purchase-worker's group and swallows what its partitions bring",
        "a member with an unknown client id; no lag, and no purchase for a part of the payments",
        let_stranger_in,
        put_stranger_out,
    ),
)
