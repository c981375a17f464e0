"""Sending messages: acknowledged by all replicas, without doubles by retries, with an honest fate for each.

Every batch carries a producer id and a sequence number, so a broker that gets it twice writes it once: that is what
makes it safe to send again after an answer that never came.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kcfix.adapters.kafka_address import Deadline
from kcfix.adapters.kafka_errors import (
    CLUSTER_AUTHORIZATION_FAILED,
    COORDINATOR_MOVING,
    DUPLICATE_SEQUENCE_NUMBER,
    INVALID_RECORD,
    LEADER_MOVING,
    MESSAGE_TOO_LARGE,
    RECORD_LIST_TOO_LARGE,
    REQUEST_TIMED_OUT,
    LinkError,
    error_name,
)
from kcfix.adapters.kafka_link import Link
from kcfix.adapters.kafka_pack import pack
from kcfix.adapters.kafka_protocol import InitProducerIdRequest, ProduceRequest
from kcfix.adapters.kafka_rights import Rights
from kcfix.core.events import Message, murmur2_partition
from kcfix.core.offsets import TopicPartition
from kcfix.core.ports.kafka import SendResult, SendState
from kcfix.core.rights import Right

BATCH_BYTES = 256 * 1024
_ALL_REPLICAS = -1
_NOT_ENOUGH_REPLICAS = 19
_NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20
_AGAIN = LEADER_MOVING | {REQUEST_TIMED_OUT, _NOT_ENOUGH_REPLICAS, _NOT_ENOUGH_REPLICAS_AFTER_APPEND}
_MAYBE_WRITTEN = frozenset({REQUEST_TIMED_OUT, _NOT_ENOUGH_REPLICAS_AFTER_APPEND})
_ONE_BY_ONE = frozenset({MESSAGE_TOO_LARGE, RECORD_LIST_TOO_LARGE, INVALID_RECORD})


@dataclass(slots=True)
class _Lane:
    """The messages for one partition, sent batch after batch, one under way at a time."""

    where: TopicPartition
    waiting: list[int]
    """Indexes of the messages, in order."""
    sequence: int = 0
    batch: list[int] = field(default_factory=list)
    packed: bytes = b""
    alone: set[int] = field(default_factory=set)
    """Messages that are to travel in a batch of their own, since one of theirs was refused."""
    maybe_written: bool = False
    last_error: str = ""


def send(link: Link, messages: Sequence[Message]) -> tuple[SendResult, ...]:
    """Send all; see KafkaPort.send.

    Raises:
        Unreachable, AccessDenied: before anything was sent.
    """
    if not messages:
        return ()
    deadline = link.deadline()
    with link.lock:
        metadata = link.metadata(deadline, fresh=True)
        results: dict[int, SendResult] = {}
        lanes: dict[TopicPartition, _Lane] = {}
        for index, message in enumerate(messages):
            topic = metadata.topics.get(message.topic)
            if topic is None or not topic.partitions:
                code = metadata.topic_errors.get(message.topic)
                error = error_name(code) if code else "no such topic"
                results[index] = SendResult(SendState.REJECTED, error=f"{message.topic}: {error}")
                continue
            partition = message.partition
            if partition is None:
                partition = murmur2_partition(message.key or b"", len(topic.partitions))
            where = TopicPartition(message.topic, partition)
            if not metadata.has(where):
                results[index] = SendResult(SendState.REJECTED, partition, error=f"{where}: no such partition")
                continue
            lanes.setdefault(where, _Lane(where, [])).waiting.append(index)
        if lanes:
            producer = _producer_id(link, deadline)
            _send_lanes(link, messages, list(lanes.values()), producer, results, deadline)
    return tuple(results[index] for index in range(len(messages)))


def _producer_id(link: Link, deadline: Deadline) -> tuple[int, int]:
    """An id under which brokers recognize a repeated batch; (-1, -1) where this user may not have one."""
    request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000, max_version=4)
    while True:
        answer = link.ask_any(request, deadline, "asking Kafka for a producer id")
        if not answer.error_code:
            return answer.producer_id, answer.producer_epoch
        if answer.error_code == CLUSTER_AUTHORIZATION_FAILED:
            return -1, -1
        if answer.error_code not in COORDINATOR_MOVING or not deadline.pause():
            raise link.rights.error("asking Kafka for a producer id (nothing was sent)", answer.error_code)


def _send_lanes(
    link: Link,
    messages: Sequence[Message],
    lanes: list[_Lane],
    producer: tuple[int, int],
    results: dict[int, SendResult],
    deadline: Deadline,
) -> None:
    idempotent = producer[0] >= 0
    while lanes:
        for lane in lanes:
            if not lane.batch:
                _fill(lane, messages, producer)
        moving = _round(link, lanes, results, deadline, idempotent=idempotent)
        lanes = [lane for lane in lanes if lane.batch or lane.waiting]
        if moving and lanes:
            if deadline.pause():
                link.forget()
            else:
                for lane in lanes:
                    _give_up(lane, results, f"no acknowledgement within {deadline.seconds:g} s")
                return


def _fill(lane: _Lane, messages: Sequence[Message], producer: tuple[int, int]) -> None:
    """Pack the next batch."""
    size = 0
    for index in lane.waiting:
        message = messages[index]
        headers = sum(len(n) + len(v or b"") + 10 for n, v in message.headers)
        size += len(message.key or b"") + len(message.value) + headers + 30
        if lane.batch and (size > BATCH_BYTES or index in lane.alone or lane.batch[0] in lane.alone):
            break
        lane.batch.append(index)
    del lane.waiting[: len(lane.batch)]
    now = time.time_ns() // 1_000_000
    sequence = lane.sequence if producer[0] >= 0 else -1
    lane.packed = pack([messages[index] for index in lane.batch], now, producer, sequence)
    lane.maybe_written = False


def _round(
    link: Link, lanes: list[_Lane], results: dict[int, SendResult], deadline: Deadline, *, idempotent: bool
) -> bool:
    """Send the batch of every lane once. True if one of them has to be sent again."""
    metadata = link.metadata(deadline)
    by_leader: dict[int, list[_Lane]] = defaultdict(list)
    again = False
    for lane in lanes:
        leader = metadata.leader(lane.where)
        if leader is None:
            lane.last_error = "the partition has no leader"
            again = True
        else:
            by_leader[leader].append(lane)
    asks = {leader: [_request(part, deadline)] for leader, part in by_leader.items()}
    for leader, answer in link.ask_each(asks, deadline, again=False).items():
        if isinstance(answer, LinkError):
            for lane in by_leader[leader]:
                lane.last_error = str(answer)
                lane.maybe_written = lane.maybe_written or answer.sent
                if lane.maybe_written and not idempotent:
                    _give_up(lane, results, str(answer))
            again = True
            continue
        told = {TopicPartition(t.name, p.index): p for t in answer[0].responses for p in t.partition_responses}
        for lane in by_leader[leader]:
            again = _take(lane, told.get(lane.where), results, link.rights, idempotent=idempotent) or again
    return again


def _take(lane: _Lane, told: Any, results: dict[int, SendResult], rights: Rights, *, idempotent: bool) -> bool:
    """Note what the leader said of this lane's batch. True if it has to be sent again."""
    code = told.error_code if told is not None else REQUEST_TIMED_OUT
    partition = lane.where.partition
    if code in (0, DUPLICATE_SEQUENCE_NUMBER):
        first = told.base_offset if not code and told.base_offset >= 0 else None
        for place, index in enumerate(lane.batch):
            offset = None if first is None else first + place
            results[index] = SendResult(SendState.ACKNOWLEDGED, partition, offset)
        lane.sequence += len(lane.batch)
        lane.batch = []
        return False
    wanted = Right("Write", "topic", lane.where.topic), Right("IdempotentWrite", "cluster", "")
    error = rights.words(code, *wanted)
    if told is not None and told.error_message:
        error = f"{error}: {told.error_message}"
    lane.last_error = error
    if code in _AGAIN:
        lane.maybe_written = lane.maybe_written or code in _MAYBE_WRITTEN
        if lane.maybe_written and not idempotent:
            _give_up(lane, results, error)
        return True
    if lane.maybe_written:
        _give_up(lane, results, error)
    elif code in _ONE_BY_ONE and len(lane.batch) > 1:
        lane.alone.update(lane.batch)
        lane.waiting[:0] = lane.batch
        lane.batch = []
    else:
        for index in lane.batch:
            results[index] = SendResult(SendState.REJECTED, partition, error=error)
        lane.batch = []
    return False


def _give_up(lane: _Lane, results: dict[int, SendResult], why: str) -> None:
    """Settle a lane for good: what is under way is unknown if it may have arrived, what waits behind it never left."""
    told = why if lane.last_error in ("", why) else f"{why} ({lane.last_error})"
    state = SendState.UNKNOWN if lane.maybe_written else SendState.REJECTED
    for index in lane.batch:
        results[index] = SendResult(state, lane.where.partition, error=told)
    for index in lane.waiting:
        results[index] = SendResult(SendState.REJECTED, lane.where.partition, error=f"not sent: {told}")
    lane.batch, lane.waiting = [], []


def _request(lanes: list[_Lane], deadline: Deadline) -> Any:
    kind = ProduceRequest.TopicProduceData
    topics: dict[str, list[Any]] = defaultdict(list)
    for lane in lanes:
        topics[lane.where.topic].append(kind.PartitionProduceData(index=lane.where.partition, records=lane.packed))
    return ProduceRequest(
        transactional_id=None,
        acks=_ALL_REPLICAS,
        timeout_ms=max(100, int(deadline.left() * 1000)),
        topic_data=[kind(name=name, partition_data=parts) for name, parts in topics.items()],
        max_version=9,
    )
