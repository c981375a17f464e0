"""Faults of topics: one is missing, or is made otherwise than the workers and payment-service expect."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from kcfix.core.events import murmur2_partition
from kcfix.drill import broker, wire
from kcfix.drill.buy import buy, succeed
from kcfix.drill.checkout import PARTITIONS, payment, payment_id
from kcfix.drill.faults.containers import ALLOCATION, CACHE
from kcfix.drill.faults.fault import Area, Fault
from kcfix.drill.faults.site import COURSE, FLOW, TOPIC, WORKER, Site, State, group_of
from kcfix.drill.network import kafka_settings


def delete_topic(site: Site) -> State:
    """Someone deletes purchase-confirmed, the group's offsets go with it, and the worker is started again."""
    site.stop_worker()
    _delete(site, TOPIC)
    state: State = {"payments": buy(site.drill, 1, unsent=True)}
    site.remember(state)
    site.start_worker(join=False)
    site.wait_crashed(times=1)
    return state


def make_topic(site: Site, state: State) -> None:
    """The topic is made again; what could not be sent is sent."""
    broker.make_topics(site.drill)
    site.stop_protected()
    site.start_worker()
    site.send_again(site.without_purchase(state.get("payments", [])))


def delete_announcements(site: Site) -> State:
    """purchase-created is gone: the purchase is made, and its announcement hangs."""
    _delete(site, FLOW.purchase_created)
    state: State = {"payments": buy(site.drill, 1)}
    site.remember(state)
    site.wait_purchased(state["payments"])
    return state


def make_announcements(site: Site, state: State) -> None:
    """The topic is made again, its readers find it, and what was not announced is."""
    broker.make_topics(site.drill)
    site.stop_worker(grace_seconds=2)
    for worker in (ALLOCATION, CACHE):
        site.stop_worker(worker, grace_seconds=3)
        site.protect(group_of(worker), FLOW.purchase_created)
    for worker in (ALLOCATION, CACHE, WORKER):
        site.start_worker(worker)
    site.send_again(site.without_purchase(state.get("payments", [])))
    site.announce_again(state.get("payments", []))


def delete_dead_letters(site: Site) -> State:
    """The dead letters' topic was never made, as when kafka-init fails quietly."""
    _delete(site, FLOW.dead_letters)
    return {}


def make_dead_letters(site: Site, _state: State) -> None:
    """The topic is made."""
    broker.make_topics(site.drill)


def _delete(site: Site, topic: str) -> None:
    with closing(KafkaAdminClient(**kafka_settings(site.drill))) as admin:
        admin.delete_topics([topic])
        site.wait(lambda: topic not in admin.list_topics(), f"{topic} is still there")


def add_partition(site: Site) -> State:
    """A fourth partition is added under a running worker, which does not look for one for minutes."""
    with closing(KafkaAdminClient(**kafka_settings(site.drill))) as admin:
        admin.create_partitions({TOPIC: PARTITIONS + 1})
    made = payment(student_id=payment_id(None), course_id=COURSE, tier=20, now=datetime.now(UTC))
    while murmur2_partition(made.id.encode(), PARTITIONS + 1) != PARTITIONS:
        made = replace(made, id=payment_id(None))
    with psycopg.connect(site.drill.dsn) as connection:
        succeed(connection, [made])
    state: State = {"payments": [made.id]}
    site.remember(state)
    deadline = time.monotonic() + 20
    while wire.send(site.drill, [made.message()])[0].partition != PARTITIONS and time.monotonic() < deadline:
        time.sleep(0.5)  # until the broker tells clients of the new partition
    return state


def drop_partition(site: Site, state: State) -> None:
    """The topic is made anew with three partitions, for none can be taken away."""
    site.stop_worker()
    _delete(site, TOPIC)
    make_topic(site, state)


def _configured(name: str, config: Mapping[str, str], modes: tuple[str, ...], what: str, seen: str) -> Fault:
    """A fault that is a setting of purchase-confirmed."""

    def make(site: Site) -> State:
        """The topic's setting is changed; one payment's message meets it."""
        _configure(site, config, "SET")
        return {"payments": buy(site.drill, 1, unsent="min.insync.replicas" in config)}

    def undo(site: Site, state: State) -> None:
        """The setting goes; what was refused is sent."""
        _configure(site, config, "DELETE")
        site.send_again(site.without_purchase(state.get("payments", [])))

    return Fault(name, Area.TOPICS, modes, what, seen, make, undo)


def _configure(site: Site, config: Mapping[str, str], how: str) -> None:
    wanted = ConfigResource(ConfigResourceType.TOPIC, TOPIC, configs={k: (how, v) for k, v in config.items()})
    with closing(KafkaAdminClient(**kafka_settings(site.drill))) as admin:
        admin.alter_configs([wanted])


FAULTS = (
    Fault(
        "topic-missing",
        Area.TOPICS,
        ("12",),
        "purchase-confirmed was deleted, and the group's offsets with it; purchase-worker ends at each start",
        "the topic is not listed; container restarting (1), its log: does not host this topic-partition",
        delete_topic,
        make_topic,
    ),
    Fault(
        "announcement-topic-missing",
        Area.TOPICS,
        ("12",),
        "purchase-created is missing: purchases are made, and their announcement hangs for a minute and more",
        "the topic is not listed; a purchase without a trainer; the group turns Empty",
        delete_announcements,
        make_announcements,
    ),
    Fault(
        "dead-letter-topic-missing",
        Area.TOPICS,
        ("13",),
        "dead-letter-queue is missing: what fails leaves no copy",
        "the topic is not listed; nothing else until a message fails",
        delete_dead_letters,
        make_dead_letters,
    ),
    Fault(
        "partition-added",
        Area.TOPICS,
        ("13",),
        "purchase-confirmed has a fourth partition, which nobody reads yet",
        "four partitions, the last without an owner and without an offset; a payment on it without a purchase",
        add_partition,
        drop_partition,
    ),
    _configured(
        "message-too-large",
        {"max.message.bytes": "200"},
        ("18",),
        "purchase-confirmed takes no message of more than 200 bytes: payment-service's are refused",
        "recorded and not in the log; the topic's max.message.bytes",
    ),
    _configured(
        "min-insync-replicas-too-high",
        {"min.insync.replicas": "2"},
        ("18", "16"),
        "purchase-confirmed wants two replicas in sync and has one: payment-service's messages are refused",
        "recorded and not in the log; the topic's min.insync.replicas above its replicas",
    ),
    _configured(
        "retention-too-short",
        {"retention.ms": "300000"},
        ("7",),
        "purchase-confirmed keeps messages for five minutes only",
        "nothing yet; after a stop of five minutes messages are gone",
    ),
)
