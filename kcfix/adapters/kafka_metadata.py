"""The cluster as a broker describes it: brokers, topics, and who leads each partition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kcfix.core.offsets import TopicPartition
from kcfix.core.ports.kafka import Broker, PartitionInfo, Topic

NO_NODE = -1


@dataclass(frozen=True, slots=True)
class Metadata:
    """The cluster as one broker described it."""

    cluster_id: str | None
    controller_id: int | None
    brokers: Mapping[int, Broker]
    topics: Mapping[str, Topic]
    topic_errors: Mapping[str, int]

    def leader(self, partition: TopicPartition) -> int | None:
        """Broker id of the leader; None if there is none, or no such partition."""
        topic = self.topics.get(partition.topic)
        if topic is None:
            return None
        return next((p.leader for p in topic.partitions if p.partition == partition.partition), None)

    def has(self, partition: TopicPartition) -> bool:
        topic = self.topics.get(partition.topic)
        return topic is not None and any(p.partition == partition.partition for p in topic.partitions)


def metadata_of(answer: Any) -> Metadata:
    """What an answer to a Metadata request says."""
    topics = {}
    for t in answer.topics:
        if t.error_code in (0, 5):
            partitions = sorted(
                (
                    PartitionInfo(
                        partition=p.partition_index,
                        leader=None if p.leader_id == NO_NODE else p.leader_id,
                        replicas=tuple(p.replica_nodes),
                        isr=tuple(sorted(p.isr_nodes)),
                    )
                    for p in t.partitions
                ),
                key=lambda p: p.partition,
            )
            topics[t.name] = Topic(t.name, tuple(partitions), bool(t.is_internal))
    return Metadata(
        cluster_id=answer.cluster_id or None,
        controller_id=None if answer.controller_id == NO_NODE else answer.controller_id,
        brokers={
            b.node_id: Broker(b.node_id, b.host, b.port, b.rack)
            for b in sorted(answer.brokers, key=lambda b: b.node_id)
        },
        topics=dict(sorted(topics.items())),
        topic_errors={t.name: t.error_code for t in answer.topics if t.error_code},
    )
