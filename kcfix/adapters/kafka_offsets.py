"""Offsets of the log by ListOffsets: start, end, last stable offset, and the first offset at or after a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from kcfix.adapters.kafka_address import MOVE_SECONDS, Deadline
from kcfix.adapters.kafka_errors import LEADER_MOVING, LinkError, Trouble, error_name, unreachable
from kcfix.adapters.kafka_link import Link
from kcfix.adapters.kafka_metadata import Metadata
from kcfix.adapters.kafka_protocol import ListOffsetsRequest
from kcfix.adapters.kafka_rights import describe_topic
from kcfix.core.offsets import LogOffsets, TopicPartition

LATEST = -1
EARLIEST = -2
UNCOMMITTED = 0
COMMITTED = 1

Query = tuple[int, Mapping[TopicPartition, int]]
"""An isolation level, and a timestamp (or LATEST, EARLIEST) for each partition."""
Answer = dict[TopicPartition, int | str]
"""An offset, -1 for none, or what went wrong."""


def read_log_offsets(link: Link, partitions: Collection[TopicPartition]) -> dict[TopicPartition, LogOffsets]:
    """Start, end and last stable offset of each partition; see KafkaPort.log_offsets."""
    wanted = sorted(set(partitions))
    # The end is asked before the last stable offset and after the start, so that start <= end also while records come.
    starts, ends, stable = list_offsets(
        link,
        [
            (UNCOMMITTED, dict.fromkeys(wanted, EARLIEST)),
            (UNCOMMITTED, dict.fromkeys(wanted, LATEST)),
            (COMMITTED, dict.fromkeys(wanted, LATEST)),
        ],
        link.deadline(),
    )
    found = {}
    for where in wanted:
        start, end, last = (answers.get(where, "no answer") for answers in (starts, ends, stable))
        error = next((a for a in (start, end) if isinstance(a, str)), None)
        lso = last if isinstance(last, int) and last >= 0 else None
        if lso is not None and isinstance(end, int):
            lso = min(lso, end)
        found[where] = LogOffsets(
            start if isinstance(start, int) else None, end if isinstance(end, int) else None, lso, error
        )
    return found


def read_offsets_for_time(link: Link, times: Mapping[TopicPartition, datetime]) -> dict[TopicPartition, int | None]:
    """First offset whose record is not older than the time; see KafkaPort.offsets_for_time."""
    asked = {where: int(time.timestamp() * 1000) for where, time in times.items()}
    (answers,) = list_offsets(link, [(UNCOMMITTED, asked)], link.deadline())
    found: dict[TopicPartition, int | None] = {}
    for where in sorted(asked):
        answer = answers.get(where, "no answer")
        if isinstance(answer, str):
            told = LinkError(Trouble.PROTOCOL, str(where), answer, sent=True)
            raise unreachable("asking Kafka for offsets by time", [told])
        found[where] = answer if answer >= 0 else None
    return found


def list_offsets(link: Link, queries: Sequence[Query], deadline: Deadline) -> list[Answer]:
    """One answer for each query, in order; all queries for one leader travel together. Never raises for one partition.

    Raises:
        Unreachable: no broker at all could be asked.
    """
    with link.lock:
        results: list[Answer] = [{} for _ in queries]
        metadata = link.metadata(deadline)
        if any(not metadata.has(where) for _, wanted in queries for where in wanted):
            metadata = link.metadata(deadline, fresh=True)
        todo = [dict(wanted) for _, wanted in queries]
        patience = Deadline(deadline.left(MOVE_SECONDS))
        while any(todo):
            again = _ask_leaders(
                link, metadata, [(q[0], t) for q, t in zip(queries, todo, strict=True)], results, deadline, patience
            )
            todo = [{where: t[where] for where in again if where in t} for t in todo]
            if not any(todo) or not deadline.pause():
                break
            metadata = link.metadata(deadline, fresh=True)
        return results


def _ask_leaders(
    link: Link,
    metadata: Metadata,
    queries: Sequence[Query],
    results: list[Answer],
    deadline: Deadline,
    patience: Deadline,
) -> set[TopicPartition]:
    """Fill the results; the partitions whose leader moved are returned, to be asked again."""
    again: set[TopicPartition] = set()
    asks: dict[int, list[Any]] = defaultdict(list)
    numbers: dict[int, list[int]] = defaultdict(list)
    asked: dict[int, set[TopicPartition]] = defaultdict(set)
    for number, (isolation, wanted) in enumerate(queries):
        by_leader: dict[int, dict[TopicPartition, int]] = defaultdict(dict)
        for where, timestamp in wanted.items():
            leader = metadata.leader(where)
            if leader is None:
                results[number][where] = why_no_leader(metadata, where)
                if metadata.has(where):
                    again.add(where)
            else:
                by_leader[leader][where] = timestamp
        for leader, part in by_leader.items():
            asks[leader].append(_request(isolation, part))
            numbers[leader].append(number)
            asked[leader] |= set(part)
    for leader, answers in link.ask_each(asks, deadline).items():
        if isinstance(answers, LinkError):
            for number in numbers[leader]:
                results[number] |= {w: str(answers) for w in queries[number][1] if w in asked[leader]}
            if link.replaced(answers, patience):
                again |= asked[leader]
            continue
        for number, answer in zip(numbers[leader], answers, strict=True):
            for topic in answer.topics:
                for p in topic.partitions:
                    where = TopicPartition(topic.name, p.partition_index)
                    told = link.rights.words(p.error_code, describe_topic(topic.name)) if p.error_code else p.offset
                    results[number][where] = told
                    if p.error_code in LEADER_MOVING:
                        again.add(where)
    return again


def why_no_leader(metadata: Metadata, where: TopicPartition) -> str:
    """Why nobody can be asked about a partition."""
    if metadata.has(where):
        return "the partition has no leader"
    code = metadata.topic_errors.get(where.topic)
    return error_name(code) if code else "no such topic and partition, or this user may not see it"


def _request(isolation: int, wanted: Mapping[TopicPartition, int]) -> Any:
    topic_type = ListOffsetsRequest.ListOffsetsTopic
    topics: dict[str, list[Any]] = defaultdict(list)
    for where, timestamp in wanted.items():
        topics[where.topic].append(
            topic_type.ListOffsetsPartition(
                partition_index=where.partition, current_leader_epoch=-1, timestamp=timestamp
            )
        )
    return ListOffsetsRequest(
        replica_id=-1,
        isolation_level=isolation,
        topics=[topic_type(name=name, partitions=parts) for name, parts in topics.items()],
        max_version=7,
    )
