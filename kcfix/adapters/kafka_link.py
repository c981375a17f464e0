"""The cluster as a whole: who its brokers are, which of them leads a partition, and asking many of them at once."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kcfix.adapters.kafka_address import Address, AddressMap, Deadline, parse_addresses
from kcfix.adapters.kafka_errors import DENIED, LinkError, Trouble, refused_by_broker, unreachable
from kcfix.adapters.kafka_net import Connection, connect
from kcfix.adapters.kafka_protocol import MetadataRequest
from kcfix.core.offsets import TopicPartition
from kcfix.core.ports import Broker, PartitionInfo, Topic
from kcfix.errors import UsageError

NO_NODE = -1


@dataclass(frozen=True, slots=True)
class Metadata:
    """The cluster as one broker described it."""

    cluster_id: str | None
    controller_id: int | None
    brokers: Mapping[int, Broker]
    topics: Mapping[str, Topic]
    topic_errors: Mapping[str, int]

    def leader(self, partition: TopicPartition) -> int | None:
        """Broker id of the leader; None if there is none, or no such partition."""
        topic = self.topics.get(partition.topic)
        if topic is None:
            return None
        return next((p.leader for p in topic.partitions if p.partition == partition.partition), None)

    def has(self, partition: TopicPartition) -> bool:
        topic = self.topics.get(partition.topic)
        return topic is not None and any(p.partition == partition.partition for p in topic.partitions)


class Link:
    """Connections to the brokers of one cluster, made when they are first needed. Used by one thread at a time."""

    def __init__(
        self,
        brokers: Sequence[str],
        address_map: Mapping[str, str],
        timeout: float,
        client_id: str,
        security: Mapping[str, Any],
    ) -> None:
        self._bootstrap = parse_addresses(brokers)
        if not self._bootstrap:
            raise UsageError("no Kafka broker is known", hint="--brokers HOST:PORT")
        self._map = AddressMap(address_map)
        self._timeout = timeout
        self._client_id = client_id
        self._security = dict(security)
        self._connections: dict[Address, Connection] = {}
        self._open_addresses: dict[Address, Address] = {}
        self._metadata: Metadata | None = None
        self._closed_requests = 0
        self.lock = threading.RLock()

    @property
    def place(self) -> str:
        """The addresses that were given, to be named in messages."""
        return ", ".join(map(str, self._bootstrap))

    @property
    def requests(self) -> int:
        """How many requests were sent so far, on all connections."""
        return self._closed_requests + sum(c.requests for c in self._connections.values())

    def deadline(self) -> Deadline:
        """A fresh deadline for one call of the port."""
        return Deadline(self._timeout)

    def close(self) -> None:
        with self.lock:
            for address in list(self._connections):
                self._drop(address)

    # metadata

    def metadata(self, deadline: Deadline, *, fresh: bool = False) -> Metadata:
        """The cluster; as read before, unless `fresh`.

        Raises:
            Unreachable: no broker answered. AccessDenied: none let us in.
        """
        with self.lock:
            if self._metadata is None or fresh:
                # None means all topics; never let a question make a topic.
                request = MetadataRequest(topics=None, allow_auto_topic_creation=False, max_version=12)
                self._metadata = _metadata(self.ask_any(request, deadline, "asking Kafka for its topics"))
            return self._metadata

    def topic_errors(self, names: Collection[str], deadline: Deadline) -> dict[str, int]:
        """Error codes of topics asked by name, where an unreadable topic says so; 0 for one that is there."""
        if not names:
            return {}
        wanted = [MetadataRequest.MetadataRequestTopic(name=name) for name in names]
        request = MetadataRequest(topics=wanted, allow_auto_topic_creation=False, max_version=9)
        answer = self.ask_any(request, deadline, f"asking Kafka for the topic {', '.join(names)}")
        codes = {t.name: int(t.error_code) for t in answer.topics}
        return {name: codes.get(name, 0) for name in names}

    def refuse_if_hidden(self, missing: Collection[str], deadline: Deadline) -> None:
        """Return if none of these topics, which the list of all lacks, is only hidden from this user.

        Raises:
            AccessDenied: one is; it may well exist.
        """
        codes = self.topic_errors(missing, deadline)
        hidden = [name for name, code in codes.items() if code in DENIED]
        if hidden:
            doing = f"asking Kafka for the topic{'s' if hidden[1:] else ''} {', '.join(hidden)}"
            raise refused_by_broker(doing, codes[hidden[0]])

    def forget(self) -> None:
        """Read the metadata again next time: an answer showed that a leader moved."""
        self._metadata = None

    # asking

    def ask_any(self, request: Any, deadline: Deadline, doing: str) -> Any:
        """The answer of whichever broker answers first: open connections, then the addresses given, then all known.

        Raises:
            Unreachable: none did.
        """
        with self.lock:
            failures: list[LinkError] = []
            for address, share in self._tries(deadline):
                for last in (False, True):
                    was_open = self._map.lead(address) in self._connections
                    try:
                        return self._open(address, share).ask(request, share)
                    except LinkError as error:
                        self._drop(self._map.lead(address))
                        if last or not was_open or error.trouble is not Trouble.CLOSED:
                            failures.append(error)
                            break
            raise unreachable(f"{doing} ({self.place})", failures)

    def _tries(self, deadline: Deadline) -> Iterator[tuple[Address, Deadline]]:
        """Addresses to be tried, each with its share of the time; no place twice."""
        known = [Address(b.host, b.port) for b in self._metadata.brokers.values()] if self._metadata else []
        addresses = list(dict.fromkeys([*self._open_addresses.values(), *self._bootstrap, *known]))
        tried: set[Address] = set()
        for number, address in enumerate(addresses):
            target = self._map.lead(address)
            if target not in tried:
                tried.add(target)
                yield address, deadline.part(len(addresses) - number)

    def ask_each(
        self, asks: Mapping[int, Sequence[Any]], deadline: Deadline, *, again: bool = True
    ) -> dict[int, list[Any] | LinkError]:
        """Answers by broker id, to several requests each, all under way at the same time.

        With `again`, a connection that the broker had closed while it was idle is made anew once.
        """
        with self.lock:
            results: dict[int, list[Any] | LinkError] = {}
            under_way: list[tuple[int, Connection, bool]] = []
            for number, (node, requests) in enumerate(asks.items()):
                was_open = self._is_open(node)
                try:
                    connection = self._node(node, deadline.part(len(asks) - number))
                    for request in requests:
                        connection.send(request, deadline)
                    under_way.append((node, connection, was_open))
                except LinkError as error:
                    results[node] = self._failed(node, error, was_open and again, requests, deadline)
            for node, connection, was_open in under_way:
                try:
                    results[node] = [connection.receive(deadline) for _ in asks[node]]
                except LinkError as error:
                    results[node] = self._failed(node, error, was_open and again, asks[node], deadline)
            return results

    def _failed(
        self, node: int, error: LinkError, again: bool, requests: Sequence[Any], deadline: Deadline
    ) -> list[Any] | LinkError:
        address = self._address(node)
        if address is not None:
            self._drop(self._map.lead(address))
        if again and error.trouble is Trouble.CLOSED:
            return self.ask_each({node: requests}, deadline, again=False)[node]
        return error

    # connections

    def connection(self, node: int, deadline: Deadline) -> Connection:
        """The connection to a broker, made if it is not open.

        Raises:
            LinkError: it can't be reached at the address that it advertises.
        """
        with self.lock:
            return self._node(node, deadline)

    def drop(self, node: int) -> None:
        """Close the connection to a broker: what is still under way on it is of no use any more."""
        address = self._address(node)
        if address is not None:
            self._drop(self._map.lead(address))

    def _address(self, node: int) -> Address | None:
        broker = self._metadata.brokers.get(node) if self._metadata else None
        return Address(broker.host, broker.port) if broker else None

    def _is_open(self, node: int) -> bool:
        address = self._address(node)
        return address is not None and self._map.lead(address) in self._connections

    def _node(self, node: int, deadline: Deadline) -> Connection:
        address = self._address(node)
        if address is None:
            raise LinkError(Trouble.NO_ROUTE, f"broker {node}", "the cluster does not list it (is it down?)")
        try:
            return self._open(address, deadline)
        except LinkError as error:
            raise LinkError(
                error.trouble, f"broker {node} advertises {error.place}", error.detail, sent=error.sent
            ) from error

    def _open(self, address: Address, deadline: Deadline) -> Connection:
        target = self._map.lead(address)
        found = self._connections.get(target)
        if found is not None and not found.closed:
            return found
        self._drop(target)
        made = connect(address, self._map, self._security, self._client_id, deadline)
        self._connections[target] = made
        self._open_addresses[target] = address
        return made

    def _drop(self, target: Address) -> None:
        self._open_addresses.pop(target, None)
        connection = self._connections.pop(target, None)
        if connection is not None:
            self._closed_requests += connection.requests
            connection.close()


def _metadata(answer: Any) -> Metadata:
    topics = {}
    for t in answer.topics:
        if t.error_code in (0, 5):
            partitions = sorted(
                (
                    PartitionInfo(
                        partition=p.partition_index,
                        leader=None if p.leader_id == NO_NODE else p.leader_id,
                        replicas=tuple(p.replica_nodes),
                        isr=tuple(sorted(p.isr_nodes)),
                    )
                    for p in t.partitions
                ),
                key=lambda p: p.partition,
            )
            topics[t.name] = Topic(t.name, tuple(partitions), bool(t.is_internal))
    return Metadata(
        cluster_id=answer.cluster_id or None,
        controller_id=None if answer.controller_id == NO_NODE else answer.controller_id,
        brokers={
            b.node_id: Broker(b.node_id, b.host, b.port, b.rack)
            for b in sorted(answer.brokers, key=lambda b: b.node_id)
        },
        topics=dict(sorted(topics.items())),
        topic_errors={t.name: t.error_code for t in answer.topics if t.error_code},
    )
