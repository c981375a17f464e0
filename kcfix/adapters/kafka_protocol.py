"""The one door to kafka-python: its wire protocol, record batches, codecs, error names and SASL mechanisms.

Only these parts are used. Connections, retries and deadlines are kcfix's own (kafka_net.py), because the library's
client leaks sockets after a failed start, hides which of name, port or login was wrong, reads 4 KiB at a time, and
its admin calls fail on Kafka 3.5 or 4.4 in different places.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

with warnings.catch_warnings():
    # On Python 3.11 the library's import alone emits dozens of them, which must not end a strict process.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka import codec as _codec
    from kafka.errors import KafkaConfigurationError, for_code
    from kafka.net.sasl import get_sasl_mechanism
    from kafka.protocol.admin.configs import DescribeConfigsRequest
    from kafka.protocol.admin.groups import DescribeGroupsRequest, ListGroupsRequest
    from kafka.protocol.consumer.fetch import FetchRequest
    from kafka.protocol.consumer.group import OffsetCommitRequest, OffsetFetchRequest
    from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment, ConsumerProtocolSubscription
    from kafka.protocol.consumer.offsets import ListOffsetsRequest
    from kafka.protocol.metadata import ApiVersionsRequest, FindCoordinatorRequest, MetadataRequest
    from kafka.protocol.producer.produce import ProduceRequest
    from kafka.protocol.producer.transaction import InitProducerIdRequest
    from kafka.protocol.sasl import SaslAuthenticateRequest, SaslHandshakeRequest
    from kafka.record.default_records import DefaultRecordBatchBuilder
    from kafka.record.memory_records import MemoryRecords

CODECS: dict[str, Callable[[bytes], bytes]] = {
    name: decode
    for name, there, decode in (
        ("snappy", _codec.has_snappy(), _codec.snappy_decode),
        ("lz4", _codec.has_lz4(), _codec.lz4_decode),
        ("zstd", _codec.has_zstd(), _codec.zstd_decode),
    )
    if there
}
"""Unpackers for compressed batches: those whose package happens to be installed. gzip is in the standard library."""

__all__ = [
    "CODECS",
    "ApiVersionsRequest",
    "ConsumerProtocolAssignment",
    "ConsumerProtocolSubscription",
    "DefaultRecordBatchBuilder",
    "DescribeConfigsRequest",
    "DescribeGroupsRequest",
    "FetchRequest",
    "FindCoordinatorRequest",
    "InitProducerIdRequest",
    "KafkaConfigurationError",
    "ListGroupsRequest",
    "ListOffsetsRequest",
    "MemoryRecords",
    "MetadataRequest",
    "OffsetCommitRequest",
    "OffsetFetchRequest",
    "ProduceRequest",
    "SaslAuthenticateRequest",
    "SaslHandshakeRequest",
    "for_code",
    "get_sasl_mechanism",
]
