"""Consumer groups of the drill's broker: who is in them, what they have committed, and changing that."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, MemberToRemove
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    KafkaError,
    NotCoordinatorError,
)
from kafka.structs import OffsetAndMetadata

from kcfix.drill.network import kafka_settings
from kcfix.drill.state import Drill
from kcfix.errors import Refused, Unreachable

PATIENCE_SECONDS = 10
LOOK_EVERY_SECONDS = 0.2
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Standing:
    """A group as the broker describes it now."""

    state: str
    """`Stable`, `Empty`, `PreparingRebalance`, …; `Dead` also where there is no such group."""
    clients: tuple[str, ...]
    """Client ids of its members, sorted. A member may be a ghost whose process is gone."""


@contextmanager
def _admin(drill: Drill, doing: str) -> Iterator[KafkaAdminClient]:
    try:
        with closing(KafkaAdminClient(**kafka_settings(drill))) as admin:
            yield admin
    except (KafkaError, OSError) as error:
        raise Unreachable(f"{doing}: {error}", system="kafka") from error


def _patient(ask: Callable[[], T]) -> T:
    """The answer, asked for again while the broker is still choosing the group's coordinator."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except (CoordinatorNotAvailableError, CoordinatorLoadInProgressError, NotCoordinatorError):
            if time.monotonic() > deadline:
                raise
            time.sleep(LOOK_EVERY_SECONDS)


def standing(drill: Drill, group: str) -> Standing:
    """How the group stands.

    Raises:
        Unreachable: the broker did not answer.
    """
    with _admin(drill, f"describing group {group}") as admin:
        return _standing(admin, group)


def committed(drill: Drill, group: str, topic: str) -> dict[int, int]:
    """Committed offset of each partition of the topic that has one.

    Raises:
        Unreachable: the broker did not answer.
    """
    with _admin(drill, f"reading the offsets of {group}") as admin:
        return _committed(admin, group, topic)


def commit(drill: Drill, group: str, topic: str, offsets: Mapping[int, int]) -> None:
    """Commits an offset for each partition given; the group must be empty.

    Raises:
        Refused: the broker would not, for the group has members. Nothing was changed.
        Unreachable: the broker did not answer in time.
    """
    wanted = {TopicPartition(topic, p): OffsetAndMetadata(offset, "", -1) for p, offset in offsets.items()}
    with _admin(drill, f"committing offsets of {group}") as admin:
        _accepted(_patient(lambda: admin.alter_group_offsets(group, wanted)), group)


def forget(drill: Drill, group: str, topic: str, partitions: Iterable[int] = range(3)) -> None:
    """Deletes the committed offsets of these partitions, as a week without members does; the group must be empty.

    Raises:
        Refused: the broker would not, for the group has members. Nothing was changed.
        Unreachable: the broker did not answer in time.
    """
    with _admin(drill, f"deleting offsets of {group}") as admin:
        there = _committed(admin, group, topic)
        gone = [TopicPartition(topic, p) for p in partitions if p in there]
        if gone:
            _accepted(_patient(lambda: admin.delete_group_offsets(group, gone)), group)


def dissolve(drill: Drill, group: str) -> None:
    """Deletes the group with all its offsets, where it is there and has no member; a group with members stays.

    Raises:
        Unreachable: the broker did not answer.
    """
    with _admin(drill, f"deleting group {group}") as admin:
        _patient(lambda: admin.delete_groups([group]))


def dismiss(drill: Drill, group: str, clients: str, *, seconds: float = 10) -> None:
    """Removes the members whose client id begins so, and returns once they are gone.

    For processes that have ended: their ghosts would stay until their sessions end. A live one would join again.

    Raises:
        Unreachable: they are still there after that time, or the broker did not answer.
    """

    def gone(admin: KafkaAdminClient) -> bool:
        found: dict[str, Any] = _patient(lambda: admin.describe_groups([group]))[group]
        ghosts = [m["member_id"] for m in found["members"] if str(m["client_id"]).startswith(clients)]
        if ghosts:
            _patient(lambda: admin.remove_group_members(group, [MemberToRemove(member_id=m) for m in ghosts]))
        return not ghosts

    _until(drill, group, seconds, gone, f"group {group} still has members of {clients}")


def wait_empty(drill: Drill, group: str, *, seconds: float = 45) -> None:
    """Returns once the group has no member.

    Raises:
        Unreachable: it still has one after that time, or the broker did not answer.
    """
    _until(drill, group, seconds, lambda a: not _standing(a, group).clients, f"group {group} still has members")


def wait_joined(drill: Drill, group: str, *, since: float = 0.0, seconds: float = 45) -> None:
    """Returns once the group is stable with a member whose client started at or after `since` (seconds of the epoch).

    Raises:
        Unreachable: there is none after that time, or the broker did not answer.
    """

    def joined(admin: KafkaAdminClient) -> bool:
        found = _standing(admin, group)
        return found.state == "Stable" and any(started_at(c) >= since for c in found.clients)

    _until(drill, group, seconds, joined, f"no member has joined group {group}")


def wait_settled(drill: Drill, names: Iterable[str], *, seconds: float = 90) -> None:
    """Returns once each of the groups is stable, or empty, with no client that is in it twice.

    After a broker's restart a worker comes back as a new member while its old one lingers until its session ends.

    Raises:
        Unreachable: one is not so after that time, or the broker did not answer.
    """

    def settled(admin: KafkaAdminClient, group: str) -> bool:
        found = _standing(admin, group)
        return found.state in ("Stable", "Empty", "Dead") and len(set(found.clients)) == len(found.clients)

    for group in names:
        _until(drill, group, seconds, partial(settled, group=group), f"group {group} does not come to rest")


def wait_committed(drill: Drill, group: str, topic: str, partition: int, offset: int, *, seconds: float = 20) -> None:
    """Returns once the group has committed at least that offset on the partition.

    Raises:
        Unreachable: it has not after that time, or the broker did not answer.
    """
    _until(
        drill,
        group,
        seconds,
        lambda admin: _committed(admin, group, topic).get(partition, -1) >= offset,
        f"group {group} has not committed {topic} partition {partition} up to {offset}",
    )


def started_at(client_id: str) -> float:
    """When a client of a worker was made, in seconds of the epoch, by its id (`<service>-<ms>`); 0 if it tells not.

    >>> started_at("purchase-worker-1795433992661")
    1795433992.661
    """
    tail = client_id.rpartition("-")[2]
    return int(tail) / 1000 if tail.isdigit() else 0.0


def _accepted(answers: Mapping[TopicPartition, Any], group: str) -> None:
    """The library answers with an error class for each partition instead of raising it."""
    for partition, error in answers.items():
        if error.errno:
            raise Refused(f"the offset of {group} on {partition.topic}-{partition.partition} stays: {error.__name__}")


def _until(drill: Drill, group: str, seconds: float, holds: Callable[[KafkaAdminClient], bool], otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    with _admin(drill, f"watching group {group}") as admin:
        while not holds(admin):
            if time.monotonic() > deadline:
                raise Unreachable(f"{otherwise} after {seconds:.0f} s", system="kafka")
            time.sleep(LOOK_EVERY_SECONDS)


def _standing(admin: KafkaAdminClient, group: str) -> Standing:
    found: dict[str, Any] = _patient(lambda: admin.describe_groups([group]))[group]
    return Standing(str(found["group_state"]), tuple(sorted(str(m["client_id"]) for m in found["members"])))


def _committed(admin: KafkaAdminClient, group: str, topic: str) -> dict[int, int]:
    found = _patient(lambda: admin.list_group_offsets({group: None}))[group]
    return {tp.partition: meta.offset for tp, meta in found.items() if tp.topic == topic and meta.offset >= 0}
