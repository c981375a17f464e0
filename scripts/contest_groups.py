"""The contest over a large cluster: the lag of 5,000 groups on 1,000 topics.

Each group has commits on two topics of two partitions each, on one of which it has none: kcfix tells what waits there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing

from contest import KCFIX, Contest
from kafka import OffsetAndMetadata, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import NoError

from kcfix.adapters.kafka import open_kafka
from kcfix.core.events import Message
from kcfix.core.ports.kafka import SendState
from kcfix.drill.network import kafka_settings
from kcfix.drill.state import Drill

GROUPS, TOPICS = 5_000, 1_000
_CLUSTER = f"({GROUPS:,} groups on {TOPICS:,} topics)"
_QUESTIONS = {f"kcfix lag --all {_CLUSTER}": (), f"kcfix lag --all -o csv {_CLUSTER}": ("-o", "csv")}
"""What is asked, and the options for it."""
_AT_ONCE = 100
"""Topics that are made by one request."""


def group_contests(drill: Drill, java: tuple[str, ...], pairs: int, only: str) -> Iterator[Contest]:
    """The contests whose question has the text `only`. They fill the cluster, and leave it full."""
    asked = {question: options for question, options in _QUESTIONS.items() if only in question}
    if not asked:
        return
    _fill(drill)
    describe = (*java, "kafka.admin.ConsumerGroupCommand", "--bootstrap-server", "kafka:9092", "--describe")
    last = _group(GROUPS - 1)
    for question, options in asked.items():
        yield Contest(
            question,
            (*KCFIX, "-C", f"drill:{drill.name}", "lag", "--all", *options),
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
            topics = [NewTopic(name, num_partitions=2, replication_factor=replicas) for name in names]
            admin.create_topics(topics, wait_for_metadata=True)
        with closing(open_kafka(drill.brokers, address_map=drill.address_map, timeout=60.0)) as kafka:
            every = [(_topic(n), p) for n in range(TOPICS) for p in (0, 1)]
            sent = kafka.send([Message(topic, b"k", b"{}", (), p) for topic, p in every for _ in range(2)])
        if lost := next((result for result in sent if result.state is not SendState.ACKNOWLEDGED), None):
            raise SystemExit(f"not all records were taken: {lost}")
        for number in range(GROUPS):
            if number % 500 == 0:
                print(f"making groups: {number:,} of {GROUPS:,}", file=sys.stderr)
            one, other = _topic(number), _topic(number + 1)
            at = {TopicPartition(one, 0): 1, TopicPartition(other, 0): 1, TopicPartition(other, 1): 2}
            # Not by kcfix's own port, which makes sure before each commit that the group and its partitions are there.
            done = admin.alter_group_offsets(_group(number), {p: OffsetAndMetadata(o, "", -1) for p, o in at.items()})
            if wrong := {str(where): error for where, error in done.items() if error is not NoError}:
                raise SystemExit(f"the offsets of {_group(number)} were not taken: {wrong}")
