"""The contest over a large cluster: the lag of 5,000 groups on 1,000 topics.

Each group has commits on two topics of two partitions each, on one of which it has none: kcfix tells what waits there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing

from contest import KCFIX, Contest
from kafka.admin import KafkaAdminClient, NewTopic

from kcfix.adapters.kafka import open_kafka
from kcfix.core.events import Message
from kcfix.core.offsets import TopicPartition
from kcfix.drill.network import kafka_settings
from kcfix.drill.state import Drill

GROUPS, TOPICS = 5_000, 1_000
QUESTION = f"kcfix lag --all ({GROUPS:,} groups on {TOPICS:,} topics)"
_AT_ONCE = 100
"""Topics that are made by one request."""


def group_contests(drill: Drill, java: tuple[str, ...], pairs: int, only: str) -> Iterator[Contest]:
    """The contest, if its question has the text `only`. It fills the cluster, and leaves it full."""
    if only not in QUESTION:
        return
    _fill(drill)
    describe = (*java, "kafka.admin.ConsumerGroupCommand", "--bootstrap-server", "kafka:9092", "--describe")
    last = _group(GROUPS - 1)
    yield Contest(
        QUESTION,
        (*KCFIX, "-C", f"drill:{drill.name}", "lag", "--all", "-o", "csv"),
        # By itself it gives each of its requests 5 s, which is not enough here.
        [(*describe, "--all-groups", "--timeout", "60000")],
        "kafka-consumer-groups --describe --all-groups",
        5,
        min(pairs, 3),
        last,
        last,
    )


def _group(number: int) -> str:
    return f"many-group-{number:04d}"


def _topic(number: int) -> str:
    return f"many-topic-{number % TOPICS:04d}"


def _fill(drill: Drill) -> None:
    replicas = len(drill.kafka_ports)
    with closing(KafkaAdminClient(**kafka_settings(drill))) as admin:
        for first in range(0, TOPICS, _AT_ONCE):
            print(f"making topics: {first:,} of {TOPICS:,}", file=sys.stderr)
            names = [_topic(first + n) for n in range(_AT_ONCE)]
            admin.create_topics([NewTopic(name, num_partitions=2, replication_factor=replicas) for name in names])
    with closing(open_kafka(drill.brokers, address_map=drill.address_map, timeout=60.0)) as kafka:
        topics = [_topic(n) for n in range(TOPICS)]
        kafka.send([Message(name, b"k", b"{}", (), p) for name in topics for p in (0, 1) for _ in range(2)])
        for number in range(GROUPS):
            if number % 500 == 0:
                print(f"making groups: {number:,} of {GROUPS:,}", file=sys.stderr)
            one, other = _topic(number), _topic(number + 1)
            at = {TopicPartition(one, 0): 1, TopicPartition(other, 0): 1, TopicPartition(other, 1): 2}
            kafka.commit(_group(number), at)
