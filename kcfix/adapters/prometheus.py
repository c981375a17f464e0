"""Metrics in Prometheus's own formats, by its client library, which only `monitor` needs (`kcfix[monitor]`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from kcfix.core.watching.metrics_kinds import Family, Kind, Write
from kcfix.errors import UsageError

if TYPE_CHECKING:
    from prometheus_client.core import Metric


def writer(families: Callable[[], Iterable[Family]]) -> Write:
    """Writes what `families` gives at that moment, and the memory, time and open files of this process.

    Raises:
        UsageError: the library is not installed. Nothing was asked.
    """
    try:
        from prometheus_client import CollectorRegistry, ProcessCollector
        from prometheus_client.exposition import choose_encoder
    except ImportError as error:
        raise UsageError(
            "monitor needs the library prometheus-client, which is not installed here",
            hint="install it with kcfix: pipx install 'kcfix[monitor]', or pip install prometheus-client",
        ) from error

    class Collector:
        """What the library asks at each scrape."""

        def collect(self) -> Iterator[Metric]:
            return (metric_of(family) for family in families() if family.points)

        def describe(self) -> Iterable[Metric]:
            return ()

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    ProcessCollector(registry=registry)

    def write(accept: str) -> tuple[bytes, str]:
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type

    return write


def metric_of(family: Family) -> Metric:
    """One metric as the library knows it."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    kind = CounterMetricFamily if family.kind is Kind.COUNTER else GaugeMetricFamily
    metric: Metric = kind(family.name, family.help, labels=family.labels)
    for labels, value in family.points:
        metric.add_metric(labels, value)  # type: ignore[attr-defined]
    return metric
