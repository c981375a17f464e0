"""Each broker asked at the address that it advertises, and which release the brokers speak as."""

from __future__ import annotations

from collections.abc import Mapping

from kcfix.adapters.kafka_address import Address
from kcfix.adapters.kafka_errors import OBSTACLES, LinkError, Trouble, unreachable
from kcfix.adapters.kafka_link import Link
from kcfix.adapters.kafka_protocol import MetadataRequest
from kcfix.core.ports.kafka import Reach
from kcfix.errors import AccessDenied, Obstacle, Unreachable

_NOT_THERE = (Trouble.NAME, Trouble.REFUSED, Trouble.NO_ROUTE, Trouble.CONNECT_TIMEOUT)
"""What a wrong address looks like; the rest is said by somebody who is there."""

_FETCH, _PRODUCE, _LIST_OFFSETS, _ADD_PARTITIONS, _LOG_DIRS = 1, 0, 2, 24, 35
_RELEASES = (
    ("4.3 or newer", _LOG_DIRS, 5),
    ("4.2", _LIST_OFFSETS, 11),
    ("4.1", _PRODUCE, 13),
    ("4.0", _LIST_OFFSETS, 10),
    ("3.9", _FETCH, 17),
    ("3.8", _PRODUCE, 11),
    ("3.7", _FETCH, 16),
    ("3.6", _ADD_PARTITIONS, 4),
    ("3.5", _FETCH, 15),
    ("3.1 to 3.4", _FETCH, 13),
    ("2.8 or 3.0", _PRODUCE, 9),
)
"""Release, and the request in whose newest version it can be told from older ones. No request asks for the release."""


def read_reach(link: Link) -> tuple[Reach, ...]:
    """Every broker at its advertised address; see KafkaPort.reach."""
    with link.lock:
        deadline = link.deadline()
        metadata = link.metadata(deadline, fresh=True)
        request = MetadataRequest(topics=[], allow_auto_topic_creation=False, max_version=9)
        answers = link.ask_each({node: [request] for node in metadata.brokers}, deadline)
        found = []
        for node, broker in metadata.brokers.items():
            answer, error = answers[node], None
            if isinstance(answer, LinkError):
                error = _unreachable(answer)
            elif (answer[0].cluster_id or None) != metadata.cluster_id:
                told = (
                    f"broker {node} advertises {broker.host}:{broker.port}, where a broker of another cluster answers"
                )
                error = Unreachable(told, system="kafka", hint=_HINT, obstacle=Obstacle.ADVERTISED)
            found.append(Reach(broker, str(link.lead(Address(broker.host, broker.port))), error))
        return tuple(found)


_HINT = (
    "give the address that is reachable from here: --address-map NAME:PORT=HOST:PORT, or address_map in the settings"
)


def _unreachable(error: LinkError) -> Unreachable:
    if error.trouble in _NOT_THERE:
        return Unreachable(str(error), system="kafka", hint=_HINT, obstacle=Obstacle.ADVERTISED)
    told = unreachable("asking each broker", [error])
    kind = AccessDenied if isinstance(told, AccessDenied) else Unreachable
    return kind(str(error), system="kafka", hint=told.hint, obstacle=OBSTACLES[error.trouble])


def read_release(link: Link) -> str | None:
    """The release that the brokers speak as; see KafkaPort.release."""
    with link.lock:
        versions = link.versions(link.deadline())
    return release_of(versions)


def release_of(versions: Mapping[int, tuple[int, int]]) -> str | None:
    """The release by the newest version of each request that it knows; None for one that is older than all of them.

    >>> release_of({1: (0, 15), 0: (0, 9)}), release_of({1: (4, 17), 2: (1, 10)}), release_of({})
    ('3.5', '4.0', None)
    """
    return next((name for name, key, version in _RELEASES if versions.get(key, (0, -1))[1] >= version), None)
