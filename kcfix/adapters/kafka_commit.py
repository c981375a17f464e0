"""Committing offsets for a group that nobody is in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from kcfix.adapters.kafka_address import Deadline
from kcfix.adapters.kafka_errors import (
    COORDINATOR_MOVING,
    COORDINATOR_NOT_AVAILABLE,
    GROUP_HAS_MEMBERS,
    REQUEST_TIMED_OUT,
    LinkError,
    unreachable,
)
from kcfix.adapters.kafka_groups import find_coordinators, read_groups
from kcfix.adapters.kafka_link import Link
from kcfix.adapters.kafka_protocol import OffsetCommitRequest
from kcfix.adapters.kafka_rights import Rights, describe_group, read_topic
from kcfix.core.offsets import GroupState, TopicPartition
from kcfix.core.rights import Right
from kcfix.errors import NotFound, OutcomeUnknown, PartlyApplied, Refused, Unreachable

_NOBODY = frozenset({GroupState.EMPTY, GroupState.DEAD, GroupState.NOT_FOUND})


def commit(link: Link, group: str, offsets: Mapping[TopicPartition, int]) -> None:
    """Commit for a group that has no member; see KafkaPort.commit.

    Raises:
        Refused: the group has members, or they can't be known. Nothing was committed.
        NotFound: a partition does not exist. Nothing was committed.
        Unreachable: the coordinator was not reached. Nothing was committed.
        PartlyApplied: some partitions were committed and some were not (both are named).
        OutcomeUnknown: no answer in time; read the offsets again.
    """
    if not offsets:
        return
    with link.lock:
        deadline = link.deadline()
        metadata = link.metadata(deadline, fresh=True)
        missing = sorted(str(where) for where in offsets if not metadata.has(where))
        if missing:
            raise NotFound(f"committing for {group}: no such partition: {', '.join(missing)}")
        _refuse_if_in_use(link, group)
        while True:
            coordinators, failed = find_coordinators(link, [group], deadline)
            if group not in coordinators:
                doing = f"committing for {group} (nothing was committed)"
                raise link.rights.error(doing, failed.get(group, COORDINATOR_NOT_AVAILABLE), describe_group(group))
            codes = _commit_at(link, coordinators[group], group, offsets, deadline)
            bad = {where: code for where, code in codes.items() if code}
            if not bad:
                return
            if set(bad.values()) <= COORDINATOR_MOVING and len(bad) == len(codes) and deadline.pause():
                continue
            raise _error(link.rights, group, codes, bad)


def _refuse_if_in_use(link: Link, group: str) -> None:
    found = read_groups(link, [group])[group]
    if found.error:
        raise Unreachable(f"committing for {group} (nothing was committed): {found.error}", system="kafka")
    if found.members or found.state not in _NOBODY:
        count = f"{len(found.members)} member(s)" if found.members_known else "members that this client can't see"
        raise Refused(
            f"the group {group} is {found.state} with {count}: offsets of a group in use can't be set from outside",
            hint="stop its worker first, and wait until the group is EMPTY",
        )


def _commit_at(
    link: Link, node: int, group: str, offsets: Mapping[TopicPartition, int], deadline: Deadline
) -> dict[TopicPartition, int]:
    (answer,) = link.ask_each({node: [_request(group, offsets)]}, deadline, again=False).values()
    if isinstance(answer, LinkError):
        if answer.sent:
            raise OutcomeUnknown(
                f"committing for {group}: {answer}; the offsets may or may not have been committed",
                hint=f"kcfix lag --group {group}",
            )
        raise unreachable(f"committing for {group} (nothing was committed)", [answer])
    return {
        TopicPartition(topic.name, p.partition_index): p.error_code
        for topic in answer[0].topics
        for p in topic.partitions
    }


def _error(
    rights: Rights, group: str, codes: Mapping[TopicPartition, int], bad: Mapping[TopicPartition, int]
) -> Exception:
    read_group = Right("Read", "group", group)
    told = ", ".join(
        f"{where} {rights.words(code, read_group, read_topic(where.topic))}" for where, code in sorted(bad.items())
    )
    if REQUEST_TIMED_OUT in bad.values():
        return OutcomeUnknown(f"committing for {group}: {told}", hint=f"kcfix lag --group {group}")
    if len(bad) < len(codes):
        done = ", ".join(str(where) for where in sorted(codes) if where not in bad)
        return PartlyApplied(f"committing for {group}: committed on {done}; not on: {told}")
    if GROUP_HAS_MEMBERS & set(bad.values()):
        return Refused(
            f"the group {group} got a member meanwhile ({told}); nothing was committed",
            hint="stop its worker first, and wait until the group is EMPTY",
        )
    where, code = next(iter(bad.items()))
    return rights.error(f"committing for {group} (nothing was committed)", code, read_group, read_topic(where.topic))


def _request(group: str, offsets: Mapping[TopicPartition, int]) -> Any:
    kind = OffsetCommitRequest.OffsetCommitRequestTopic
    topics: dict[str, list[Any]] = defaultdict(list)
    for where, offset in sorted(offsets.items()):
        topics[where.topic].append(
            kind.OffsetCommitRequestPartition(
                partition_index=where.partition,
                committed_offset=offset,
                committed_leader_epoch=-1,
                committed_metadata="kcfix",
            )
        )
    return OffsetCommitRequest(
        group_id=group,
        generation_id_or_member_epoch=-1,
        member_id="",
        group_instance_id=None,
        retention_time_ms=-1,
        topics=[kind(name=name, partitions=parts) for name, parts in topics.items()],
        max_version=9,
    )
