"""The cluster as a whole: who its brokers are, which of them leads a partition, and asking many of them at once."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from kcfix.adapters.kafka_address import Address, AddressMap, Deadline, parse_addresses
from kcfix.adapters.kafka_errors import TOPIC_AUTHORIZATION_FAILED, LinkError, Trouble, unreachable
from kcfix.adapters.kafka_metadata import Metadata, metadata_of
from kcfix.adapters.kafka_net import Connection, connect
from kcfix.adapters.kafka_protocol import MetadataRequest
from kcfix.adapters.kafka_rights import Rights, describe_topic
from kcfix.adapters.kafka_security import Security
from kcfix.adapters.kafka_under_way import Line, UnderWay
from kcfix.core.rights import Missing, unnoted
from kcfix.errors import UsageError


class Link:
    """Connections to the brokers of one cluster, made when they are first needed. Used by one thread at a time."""

    def __init__(
        self,
        brokers: Sequence[str],
        address_map: Mapping[str, str],
        timeout: float,
        client_id: str,
        security: Mapping[str, Any],
        expected: Collection[str] = (),
        expected_groups: Collection[str] = (),
        missing: Missing = unnoted,
    ) -> None:
        self._bootstrap = parse_addresses(brokers)
        if not self._bootstrap:
            raise UsageError("no Kafka broker is known", hint="--brokers HOST:PORT")
        self._map = AddressMap(address_map)
        self._timeout = timeout
        self._client_id = client_id
        self._options = dict(security)
        self._expected = tuple(expected)
        self.expected_groups = tuple(expected_groups)
        """Groups of which it is to be said if they are hidden, where others are just not listed."""
        self._missing = missing
        self._connections: dict[Address, Connection] = {}
        self._open_addresses: dict[Address, Address] = {}
        self._metadata: Metadata | None = None
        self._closed_requests = 0
        self.lock = threading.RLock()

    @cached_property
    def security(self) -> Security:
        """How to come to the brokers.

        Raises:
            UsageError: the settings of it do not fit together. Nothing was asked.
        """
        return Security(self._options)

    @cached_property
    def rights(self) -> Rights:
        """How a refusal is told."""
        return Rights(self.security, str(self._bootstrap[0]), self._missing)

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
                found = metadata_of(self.ask_any(request, deadline, "asking Kafka for its topics"))
                self._refuse_hidden(found, deadline)
                self._metadata = found
            return self._metadata

    def _refuse_hidden(self, found: Metadata, deadline: Deadline) -> None:
        """A topic without the right to see it is just not listed, nor what a group committed on it: as if it were gone.

        Raises:
            AccessDenied: one of those that were expected is hidden.
        """
        gone = [name for name in self._expected if name not in found.topics]
        hidden = [name for name in gone if self.topic_error(name, deadline) == TOPIC_AUTHORIZATION_FAILED]
        errors = [
            self.rights.error("asking Kafka for its topics", TOPIC_AUTHORIZATION_FAILED, describe_topic(name))
            for name in hidden
        ]
        if errors:
            raise errors[0]

    def topic_error(self, name: str, deadline: Deadline) -> int:
        """Error code for one topic asked by name, where an unreadable topic says so; 0 if it is there."""
        wanted = MetadataRequest.MetadataRequestTopic(name=name)
        request = MetadataRequest(topics=[wanted], allow_auto_topic_creation=False, max_version=9)
        answer = self.ask_any(request, deadline, f"asking Kafka for the topic {name}")
        return next((int(t.error_code) for t in answer.topics if t.name == name), 0)

    def versions(self, deadline: Deadline) -> Mapping[int, tuple[int, int]]:
        """Oldest and newest version of each request, by its number, that a broker which answers knows.

        Raises:
            Unreachable: no broker answered.
        """
        self.metadata(deadline)
        return next((c.versions for c in self._connections.values() if not c.closed), {})

    def lead(self, address: Address) -> Address:
        """Where an address is connected to."""
        return self._map.lead(address)

    def forget(self) -> None:
        """Read the metadata again next time: an answer showed that a leader moved."""
        self._metadata = None

    def replaced(self, error: LinkError, patience: Deadline) -> bool:
        """Whether to ask once more, for another broker may do by now what one did that went away.

        Only one that closed or refuses can have gone; the others learn of it within a moment where it left in order.
        """
        alone = self._metadata is None or len(self._metadata.brokers) < 2
        return not alone and not patience.passed and error.trouble in (Trouble.CLOSED, Trouble.REFUSED)

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
            return self.receive_each(self.send_each(asks, deadline), deadline, again=again)

    def send_each(self, asks: Mapping[int, Sequence[Any]], deadline: Deadline) -> UnderWay:
        """Send the requests; `receive_each` takes their answers, and others may be asked meanwhile."""
        with self.lock:
            lines: dict[int, Line] = {}
            for number, (node, requests) in enumerate(asks.items()):
                was_open = self._is_open(node)
                try:
                    connection = self._node(node, deadline.part(len(asks) - number))
                    numbers = [connection.send(request, deadline) for request in requests]
                    lines[node] = Line(was_open, connection, numbers)
                except LinkError as error:
                    lines[node] = Line(was_open, error=error)
            return UnderWay(asks, lines)

    def receive_each(
        self, under_way: UnderWay, deadline: Deadline, *, again: bool = True
    ) -> dict[int, list[Any] | LinkError]:
        """Answers by broker id to what was sent before; `again` as in `ask_each`."""
        with self.lock:
            results: dict[int, list[Any] | LinkError] = {}
            for node, line in under_way.lines.items():
                try:
                    results[node] = line.answers(deadline)
                except LinkError as error:
                    results[node] = self._failed(node, error, line.was_open and again, under_way.asks[node], deadline)
            return results

    def forget_each(self, under_way: UnderWay) -> None:
        """Nobody will take these answers."""
        with self.lock:
            for line in under_way.lines.values():
                line.forget()

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
        made = connect(address, self._map, self.security, self._client_id, deadline)
        self._connections[target] = made
        self._open_addresses[target] = address
        return made

    def _drop(self, target: Address) -> None:
        self._open_addresses.pop(target, None)
        connection = self._connections.pop(target, None)
        if connection is not None:
            self._closed_requests += connection.requests
            connection.close()
