"""What groups have committed, in requests that grow with the brokers, not with the groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from kcfix.adapters.kafka_address import MOVE_SECONDS, Deadline
from kcfix.adapters.kafka_errors import (
    COORDINATOR_MOVING,
    GROUP_ID_NOT_FOUND,
    LinkError,
    unreachable,
)
from kcfix.adapters.kafka_groups import any_group_can_exist, find_coordinators
from kcfix.adapters.kafka_link import Link
from kcfix.adapters.kafka_protocol import OffsetFetchRequest
from kcfix.adapters.kafka_rights import Rights, describe_group, describe_topic
from kcfix.core.offsets import Committed, TopicPartition
from kcfix.errors import Unreachable


def read_committed(link: Link, ids: Collection[str]) -> dict[str, dict[TopicPartition, Committed]]:
    """All that each group has committed; see KafkaPort.committed.

    Raises:
        Unreachable: the offsets of at least one of them could not be read (the message names it).
    """
    deadline = link.deadline()
    with link.lock:
        wanted = sorted(set(ids))
        if not wanted or not any_group_can_exist(link, deadline):
            return {g: {} for g in wanted}
        found: dict[str, dict[TopicPartition, Committed]] = {}
        todo = wanted
        patience = Deadline(deadline.left(MOVE_SECONDS))
        while True:
            coordinators, failed = find_coordinators(link, todo, deadline)
            for group, code in failed.items():
                raise link.rights.error(f"reading the committed offsets of {group}", code, describe_group(group))
            todo = _fetch_offsets(link, coordinators, found, deadline, patience)
            if not todo:
                return {g: found.get(g, {}) for g in wanted}
            if not deadline.pause():
                raise Unreachable(
                    f"reading the committed offsets of {todo[0]}: its coordinator was not ready within"
                    f" {deadline.seconds:g} s",
                    system="kafka",
                )


def _fetch_offsets(
    link: Link,
    coordinators: Mapping[str, int],
    found: dict[str, dict[TopicPartition, Committed]],
    deadline: Deadline,
    patience: Deadline,
) -> list[str]:
    """Read the offsets into `found`; the groups whose coordinator moves are returned."""
    by_node: dict[int, list[str]] = defaultdict(list)
    for group, node in coordinators.items():
        by_node[node].append(group)
    asks: dict[int, list[Any]] = {}
    moving: list[str] = []
    for node, groups in by_node.items():
        try:
            many = link.connection(node, deadline).supports(OffsetFetchRequest, 8)
        except LinkError as error:
            if link.replaced(error, patience):
                moving += groups
                continue
            raise unreachable(f"reading the committed offsets of {groups[0]}", [error]) from error
        asks[node] = _offset_requests(groups, many=many)
    for node, answers in link.ask_each(asks, deadline).items():
        groups = by_node[node]
        if isinstance(answers, LinkError):
            if link.replaced(answers, patience):
                moving += groups
                continue
            raise unreachable(f"reading the committed offsets of {groups[0]}", [answers])
        told = (
            [(g.group_id, g) for g in answers[0].groups]
            if answers[0].groups
            else list(zip(groups, answers, strict=False))
        )
        for group, answer in told:
            code = answer.error_code
            if code in COORDINATOR_MOVING:
                moving.append(group)
            elif code and code != GROUP_ID_NOT_FOUND:
                raise link.rights.error(f"reading the committed offsets of {group}", code, describe_group(group))
            else:
                found[group] = _committed(answer.topics or (), link.rights)
    return moving


def _offset_requests(groups: list[str], *, many: bool) -> list[Any]:
    if many:
        wanted = [OffsetFetchRequest.OffsetFetchRequestGroup(group_id=g, topics=None) for g in groups]
        return [OffsetFetchRequest(groups=wanted, require_stable=False, min_version=8, max_version=9)]
    return [OffsetFetchRequest(group_id=g, topics=None, max_version=7) for g in groups]


def _committed(topics: Iterable[Any], rights: Rights) -> dict[TopicPartition, Committed]:
    found: dict[TopicPartition, Committed] = {}
    for topic in topics:
        for p in topic.partitions:
            where = TopicPartition(topic.name, p.partition_index)
            if p.error_code:
                found[where] = Committed(None, rights.words(p.error_code, describe_topic(topic.name)))
            elif p.committed_offset >= 0:
                found[where] = Committed(p.committed_offset, metadata=p.metadata or "")
    return dict(sorted(found.items()))
