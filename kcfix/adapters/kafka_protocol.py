"""The one door to kafka-python: its wire protocol, record batches, codecs, error names and SASL mechanisms.

Only these parts are used. Connections, retries and deadlines are kcfix's own (kafka_net.py), because the library's
client leaks sockets after a failed start, hides which of name, port or login was wrong, reads 4 KiB at a time, and
its admin calls fail on Kafka 3.5 or 4.4 in different places.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any


class _FrontPage(ModuleType):
    """The library's package, whose own `__init__` runs when something of it is asked for that is not there yet.

    It loads the library's consumer, producer and admin client, which costs a third of the time of a whole `kcfix lag`.
    """

    def __getattr__(self, name: str) -> Any:
        spec = self.__spec__
        if name.startswith("__") or spec is None or spec.loader is None:
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        spec.loader.exec_module(self)
        return getattr(self, name)


if "kafka" not in sys.modules and (_spec := importlib.util.find_spec("kafka")) is not None:
    _module = importlib.util.module_from_spec(_spec)
    _module.__class__ = _FrontPage
    sys.modules["kafka"] = _module

with warnings.catch_warnings():
    # On Python 3.11 importing these emits dozens of DeprecationWarnings, which must not end a strict process.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka.codec import has_lz4, has_snappy, has_zstd, lz4_decode, snappy_decode, zstd_decode
    from kafka.errors import KafkaConfigurationError, for_code
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


def sasl_mechanism(name: str) -> Callable[..., Any]:
    """The library's maker of a SASL mechanism. Raises KeyError if it has none of that name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from kafka.net.sasl import get_sasl_mechanism
    found: Callable[..., Any] = get_sasl_mechanism(name)
    return found


CODECS: dict[str, Callable[[bytes], bytes]] = {
    name: decode
    for name, there, decode in (
        ("snappy", has_snappy(), snappy_decode),
        ("lz4", has_lz4(), lz4_decode),
        ("zstd", has_zstd(), zstd_decode),
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
    "sasl_mechanism",
]
