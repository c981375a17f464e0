"""The one door to kafka-python: its wire protocol, record batches, codecs, error names and SASL mechanisms.

Only these parts are used. Connections, retries and deadlines are kcfix's own (kafka_net.py), because the library's
client leaks sockets after a failed start, hides which of name, port or login was wrong, reads 4 KiB at a time, and
its admin calls fail on Kafka 3.5 or 4.4 in different places.

Each part is loaded when it is first asked for: all of the library would cost as much as the rest of a `kcfix lag`.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

_HOMES: Mapping[str, str] = {
    "ApiVersionsRequest": "protocol.metadata.api_versions",
    "ConsumerProtocolAssignment": "protocol.consumer.metadata",
    "ConsumerProtocolSubscription": "protocol.consumer.metadata",
    "DefaultRecordBatchBuilder": "record.default_records",
    "DescribeConfigsRequest": "protocol.admin.configs",
    "DescribeGroupsRequest": "protocol.admin.groups",
    "FetchRequest": "protocol.consumer.fetch",
    "FindCoordinatorRequest": "protocol.metadata.find_coordinator",
    "InitProducerIdRequest": "protocol.producer.transaction",
    "KafkaConfigurationError": "errors",
    "ListGroupsRequest": "protocol.admin.groups",
    "ListOffsetsRequest": "protocol.consumer.offsets",
    "MemoryRecords": "record.memory_records",
    "MetadataRequest": "protocol.metadata.metadata",
    "OffsetCommitRequest": "protocol.consumer.group",
    "OffsetFetchRequest": "protocol.consumer.group",
    "ProduceRequest": "protocol.producer.produce",
    "SaslAuthenticateRequest": "protocol.sasl",
    "SaslHandshakeRequest": "protocol.sasl",
    "codec": "",
    "for_code": "errors",
    "get_sasl_mechanism": "net.sasl",
}


def __getattr__(name: str) -> Any:
    """A part of the library."""
    if name not in _HOMES:
        raise AttributeError(name)
    home = f"kafka.{_HOMES[name]}" if _HOMES[name] else f"kafka.{name}"
    with warnings.catch_warnings():
        # On Python 3.11 loading the protocol emits dozens of DeprecationWarnings, which must not end a strict process.
        warnings.simplefilter("ignore", DeprecationWarning)
        module = import_module(home)
    part = getattr(module, name) if _HOMES[name] else module
    globals()[name] = part
    return part


# The library's own front page says this too, so that its warnings do not land on standard error.
logging.getLogger("kafka").addHandler(logging.NullHandler())


class _Package(ModuleType):
    """A package of the library whose own `__init__` waits until something is asked for that only it can give."""

    def __getattr__(self, name: str) -> Any:
        spec = self.__spec__
        if name.startswith("__") or spec is None or spec.loader is None:
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        with warnings.catch_warnings():
            # As above; and cut short by a warning it would stay half-loaded for everyone after.
            warnings.simplefilter("ignore", DeprecationWarning)
            spec.loader.exec_module(self)
        return getattr(self, name)


def _put_off(name: str) -> None:
    """Let a package be entered without running its `__init__`, which would load its every part."""
    if name in sys.modules:
        return
    spec = find_spec(name)
    if spec is None:
        return
    module = module_from_spec(spec)
    module.__class__ = _Package
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)


for _name in (
    "kafka",
    "kafka.protocol.metadata",
    "kafka.protocol.consumer",
    "kafka.protocol.admin",
    "kafka.protocol.producer",
):
    _put_off(_name)
