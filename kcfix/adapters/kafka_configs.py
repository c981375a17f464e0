"""Settings of topics and brokers by DescribeConfigs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from kcfix.adapters.kafka_errors import DENIED, LinkError, unreachable
from kcfix.adapters.kafka_link import Link
from kcfix.adapters.kafka_protocol import DescribeConfigsRequest
from kcfix.core.ports.kafka import TopicConfig
from kcfix.core.rights import Right
from kcfix.errors import Unreachable

_TOPIC = 2
_BROKER = 4
_TOPIC_KEYS = ["retention.ms", "retention.bytes", "cleanup.policy", "max.message.bytes", "min.insync.replicas"]


def read_topic_configs(link: Link, names: Collection[str]) -> dict[str, TopicConfig]:
    """Settings of these topics; see KafkaPort.topic_configs."""
    deadline = link.deadline()
    known = link.metadata(deadline).topics
    wanted = sorted(n for n in set(names) if n in known)
    if not wanted:
        return {}
    kind = DescribeConfigsRequest.DescribeConfigsResource
    resources = [kind(resource_type=_TOPIC, resource_name=n, configuration_keys=_TOPIC_KEYS) for n in wanted]
    doing = "asking Kafka for the settings of topics"
    answer = link.ask_any(DescribeConfigsRequest(resources=resources), deadline, doing)
    found = {}
    for result in answer.results:
        if result.error_code in DENIED:
            right = Right("DescribeConfigs", "topic", result.resource_name)
            raise link.rights.error(f"{doing} ({result.resource_name})", result.error_code, right)
        if not result.error_code:
            found[result.resource_name] = _topic_config({c.name: c.value for c in result.configs})
    return found


def _topic_config(values: Mapping[str, Any]) -> TopicConfig:
    milliseconds = _number(values.get("retention.ms"))
    size = _number(values.get("retention.bytes"))
    return TopicConfig(
        retention=_retention(milliseconds),
        retention_unlimited=milliseconds == -1,
        cleanup_policy=str(values.get("cleanup.policy") or "delete"),
        retention_bytes=size if size is not None and size >= 0 else None,
        max_message_bytes=_number(values.get("max.message.bytes")),
        min_insync_replicas=_number(values.get("min.insync.replicas")),
    )


def _retention(milliseconds: int | None) -> timedelta | None:
    if milliseconds is None or milliseconds < 0:
        return None
    try:
        return timedelta(milliseconds=milliseconds)
    except OverflowError:
        return timedelta.max


def _number(value: object) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None


def read_broker_config(link: Link) -> dict[str, str]:
    """Settings of one broker, without secrets; see KafkaPort.broker_config."""
    deadline = link.deadline()
    failures: list[LinkError] = []
    doing = "asking Kafka for the settings of a broker"
    kind = DescribeConfigsRequest.DescribeConfigsResource
    for node in link.metadata(deadline).brokers:
        resource = kind(resource_type=_BROKER, resource_name=str(node), configuration_keys=None)
        answer = link.ask_each({node: [DescribeConfigsRequest(resources=[resource])]}, deadline)[node]
        if isinstance(answer, LinkError):
            failures.append(answer)
            continue
        for result in answer[0].results:
            if result.error_code:
                raise link.rights.error(doing, result.error_code, Right("DescribeConfigs", "cluster", ""))
            return {c.name: c.value for c in result.configs if c.value is not None and not c.is_sensitive}
    if failures:
        raise unreachable(doing, failures)
    raise Unreachable(f"{doing}: the cluster lists no broker", system="kafka")
