"""What servers say that are up and won't: answers in their place, for a proxy to give (see fault_proxy)."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

from kcfix.adapters.kafka_protocol import OffsetCommitRequest, ProduceRequest
from tests.real.fault_proxy import Answers

STORAGE_ERROR = 56
"""Of a broker whose disk is full: it takes no more records."""
NOT_COORDINATOR = 16
"""What a commit is answered with where the disk under the committed offsets is full."""
_PRODUCE, _COMMIT = 0, 8


def kafka(codes: Mapping[int, int]) -> Answers:
    """A broker that answers these kinds of request (by API key) with these error codes, and does nothing."""

    def answer(data: bytes) -> bytes | None:
        if len(data) < 12:
            return None
        _, key, version, correlation = struct.unpack_from(">ihhi", data)
        if key not in codes:
            return None
        made = (_produced if key == _PRODUCE else _committed)(data[4:], version, codes[key])
        made.with_header(correlation_id=correlation)
        encoded: bytes = made.encode(version=version, header=True, framed=True)
        return encoded

    return answer


DISK_FULL_BROKER = kafka({_PRODUCE: STORAGE_ERROR, _COMMIT: NOT_COORDINATOR})


def docker(status: int, message: str, *, also_reading: bool = False) -> Answers:
    """An engine, or what guards its socket, that answers so to whatever is no mere reading."""
    body = json.dumps({"message": message}).encode()
    head = f"HTTP/1.1 {status} No\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"

    def answer(data: bytes) -> bytes | None:
        reads = data.startswith((b"GET ", b"HEAD "))
        return None if reads and not also_reading else head.encode() + body

    return answer


DENYING_ENGINE = docker(403, "authorization denied by plugin: no rights", also_reading=True)
READ_ONLY_ENGINE = docker(403, "authorization denied by plugin: read only")
DISK_FULL_ENGINE = docker(500, "write /var/lib/docker/containers/x: no space left on device")


def _produced(request: bytes, version: int, code: int) -> Any:
    from kafka.protocol.producer.produce import ProduceResponse

    asked = ProduceRequest.decode(request, version=version, header=True)
    topic = ProduceResponse.TopicProduceResponse
    part = topic.PartitionProduceResponse
    return ProduceResponse(
        responses=[
            topic(
                name=t.name,
                partition_responses=[
                    part(index=p.index, error_code=code, base_offset=-1, log_append_time_ms=-1, log_start_offset=-1)
                    for p in t.partition_data
                ],
            )
            for t in asked.topic_data
        ],
        throttle_time_ms=0,
    )


def _committed(request: bytes, version: int, code: int) -> Any:
    from kafka.protocol.consumer.group import OffsetCommitResponse

    asked = OffsetCommitRequest.decode(request, version=version, header=True)
    topic = OffsetCommitResponse.OffsetCommitResponseTopic
    part = topic.OffsetCommitResponsePartition
    return OffsetCommitResponse(
        throttle_time_ms=0,
        topics=[
            topic(
                name=t.name, partitions=[part(partition_index=p.partition_index, error_code=code) for p in t.partitions]
            )
            for t in asked.topics
        ],
    )
