"""A cluster of one broker that is only a log of raw batches: what it answers is cut off as a broker's answers are."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from kcfix.adapters.kafka_address import Deadline
from kcfix.adapters.kafka_batches import UnreadableBatchError, walk
from kcfix.adapters.kafka_link import Link
from kcfix.adapters.kafka_metadata import Metadata
from kcfix.adapters.kafka_under_way import UnderWay
from kcfix.core.ports.kafka import Broker, PartitionInfo, Topic

NOT_LEADER, OUT_OF_RANGE = 6, 1


class LogLink(Link):
    """Holds a log for each partition of one topic; no answer has more than `most` bytes of it."""

    def __init__(self, topic: str, logs: Sequence[bytes], most: int = 1 << 20) -> None:
        super().__init__(["kafka:9092"], {}, 5.0, "test", {})
        self.topic = topic
        self.logs = list(logs)
        self.ends = [max((b.last_offset + 1 for b in walk(memoryview(raw))), default=0) for raw in logs]
        self.most = most
        self.starts = [0] * len(logs)
        self.errors: dict[int, list[int]] = {}
        """Error codes that the next fetches of a partition are answered with."""
        self.records: type[bytes] = bytes
        """What the bytes of an answer are."""
        self.under_way = 0
        self.metadata_read = 0
        self._known = False

    def metadata(self, deadline: Deadline, *, fresh: bool = False) -> Metadata:
        if fresh or not self._known:
            self.metadata_read += 1
            self._known = True
        partitions = tuple(PartitionInfo(n, 1, (1,), (1,)) for n in range(len(self.logs)))
        return Metadata("c", 1, {1: Broker(1, "kafka", 9092, None)}, {self.topic: Topic(self.topic, partitions)}, {})

    def forget(self) -> None:
        self._known = False

    def send_each(self, asks: Mapping[int, Sequence[Any]], deadline: Deadline) -> UnderWay:
        self.under_way += 1
        return UnderWay(asks, {})

    def forget_each(self, under_way: UnderWay) -> None:
        self.under_way -= 1

    def receive_each(self, under_way: UnderWay, deadline: Deadline, *, again: bool = True) -> dict[int, Any]:
        self.under_way -= 1
        return {node: [self._answer(request) for request in requests] for node, requests in under_way.asks.items()}

    def _answer(self, request: Any) -> Any:
        name = type(request).__name__
        if name.startswith("ListOffsets"):
            found = [
                SimpleNamespace(partition_index=p.partition_index, error_code=0, offset=self.starts[p.partition_index])
                for t in request.topics
                for p in t.partitions
            ]
            return SimpleNamespace(topics=[SimpleNamespace(name=self.topic, partitions=found)])
        assert name.startswith("Fetch"), name
        parts = [self._fetched(p, first=n == 0) for t in request.topics for n, p in enumerate(t.partitions)]
        return SimpleNamespace(error_code=0, responses=[SimpleNamespace(topic=self.topic, partitions=parts)])

    def _fetched(self, asked: Any, *, first: bool) -> Any:
        number, offset = asked.partition, asked.fetch_offset
        end = self.ends[number]
        code = self.errors.get(number, [])
        error = code.pop(0) if code else OUT_OF_RANGE if not self.starts[number] <= offset <= end else 0
        if error:
            return SimpleNamespace(partition_index=number, error_code=error, high_watermark=-1, records=b"")
        log = memoryview(self.logs[number])
        passed, most = 0, min(self.most, asked.partition_max_bytes)
        with contextlib.suppress(UnreadableBatchError):  # what is no batch in this log is given as it is
            for batch in walk(log):
                if batch.last_offset >= offset:
                    most = max(most, len(batch.data)) if first else most  # the first of an answer comes whole (KIP-74)
                    break
                passed += len(batch.data)
        data = bytes(log[passed : passed + most])
        return SimpleNamespace(partition_index=number, error_code=0, high_watermark=end, records=self.records(data))
