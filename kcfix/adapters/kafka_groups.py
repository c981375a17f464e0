"""Consumer groups and who is in them, in requests that grow with the brokers, not with the groups."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from kcfix.adapters.kafka_address import MOVE_SECONDS, Deadline
from kcfix.adapters.kafka_errors import (
    COORDINATOR_MOVING,
    DENIED,
    GROUP_ID_NOT_FOUND,
    UNKNOWN_TOPIC_OR_PARTITION,
    LinkError,
    unreachable,
)
from kcfix.adapters.kafka_link import Link
from kcfix.adapters.kafka_protocol import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    DescribeGroupsRequest,
    FindCoordinatorRequest,
    ListGroupsRequest,
)
from kcfix.adapters.kafka_rights import Rights, describe_group
from kcfix.core.offsets import Group, GroupState, Member, TopicPartition
from kcfix.core.rights import Right
from kcfix.errors import Unreachable

PATIENCE_SECONDS = 3.0
"""How long a coordinator may take to come up or to move; a broker that has just started needs about one second."""

OFFSETS_TOPIC = "__consumer_offsets"

_STATES = {
    "Stable": GroupState.STABLE,
    "Empty": GroupState.EMPTY,
    "PreparingRebalance": GroupState.PREPARING_REBALANCE,
    "CompletingRebalance": GroupState.COMPLETING_REBALANCE,
    "Assigning": GroupState.ASSIGNING,
    "Reconciling": GroupState.RECONCILING,
    "NotReady": GroupState.RECONCILING,
    "Dead": GroupState.DEAD,
}


@dataclass(frozen=True, slots=True)
class _Listed:
    state: str
    """Empty where the broker is too old to say (before 2.6)."""
    type: str
    protocol_type: str
    node: int


def any_group_can_exist(link: Link, deadline: Deadline) -> bool:
    """Whether the topic of the groups is there. Looking for a coordinator would make it, and reading must not."""
    if OFFSETS_TOPIC in link.metadata(deadline).topics:
        return True
    # Hidden from a list, an unreadable topic says so when it is asked by name. It may also have come meanwhile.
    return link.topic_error(OFFSETS_TOPIC, deadline) != UNKNOWN_TOPIC_OR_PARTITION


def find_coordinators(link: Link, groups: Collection[str], deadline: Deadline) -> tuple[dict[str, int], dict[str, int]]:
    """Coordinator's broker id by group, and the error code of those that have none."""
    found: dict[str, int] = {}
    failed: dict[str, int] = {}
    open_ = list(groups)
    batched = True
    patience = Deadline(deadline.left(PATIENCE_SECONDS))
    while open_:
        answers = []
        if batched:
            request = FindCoordinatorRequest(key_type=0, coordinator_keys=open_, min_version=4)
            try:
                answers = list(link.ask_any(request, deadline, "asking Kafka for group coordinators").coordinators)
            except Unreachable:
                if deadline.passed or not _too_old(link, deadline):
                    raise
                batched = False
        if not batched:
            for group in open_:
                request = FindCoordinatorRequest(key=group, key_type=0, max_version=3)
                answer = link.ask_any(request, deadline, f"asking Kafka for the coordinator of {group}")
                answer.key = group
                answers.append(answer)
        failed = {}
        for answer in answers:
            if answer.error_code:
                failed[answer.key] = answer.error_code
            else:
                found[answer.key] = answer.node_id
        open_ = [g for g, code in failed.items() if code in COORDINATOR_MOVING]
        if open_ and not patience.pause():
            break
    return found, failed


def _too_old(link: Link, deadline: Deadline) -> bool:
    """Whether the brokers are from before 3.0, which look up one coordinator at a time."""
    nodes = link.metadata(deadline).brokers
    for node in nodes:
        try:
            return not link.connection(node, deadline).supports(FindCoordinatorRequest, 4)
        except LinkError:
            continue
    return False


# groups


def read_groups(link: Link, ids: Collection[str] | None) -> dict[str, Group]:
    """Groups by id; see KafkaPort.groups."""
    deadline = link.deadline()
    with link.lock:
        if not any_group_can_exist(link, deadline):
            return {g: Group(g, GroupState.NOT_FOUND) for g in sorted(ids or ())}
        if ids is not None:
            return _read_named(link, sorted(set(ids)), deadline)
        listed = _list_everywhere(link, deadline)
        by_node: dict[int, list[str]] = defaultdict(list)
        for group, entry in listed.items():
            by_node[entry.node].append(group)
        found = _describe(link, by_node, listed, deadline) | _hidden(link, listed, deadline)
        return dict(sorted(found.items()))


def _hidden(link: Link, listed: Mapping[str, _Listed], deadline: Deadline) -> dict[str, Group]:
    """The expected groups that a list leaves out because this user may not describe them."""
    unlisted = [g for g in link.expected_groups if g not in listed]
    _, failed = find_coordinators(link, unlisted, deadline)
    return {group: _denied(link.rights, group, code) for group, code in failed.items() if code in DENIED}


def _denied(rights: Rights, group: str, code: int, node: int | None = None) -> Group:
    error = rights.words(code, describe_group(group))
    return Group(group, GroupState.UNKNOWN, coordinator=node, error=error, members_known=False)


def _list_everywhere(link: Link, deadline: Deadline) -> dict[str, _Listed]:
    """The groups of every broker. One that does not answer keeps its groups from us, and a part is not the whole."""
    patience = Deadline(deadline.left(MOVE_SECONDS))
    fresh = False
    while True:
        nodes = link.metadata(deadline, fresh=fresh).brokers
        answers = link.ask_each({node: [ListGroupsRequest()] for node in nodes}, deadline)
        listed: dict[str, _Listed] = {}
        failures: list[LinkError] = []
        for node, answer in answers.items():
            if isinstance(answer, LinkError):
                failures.append(answer)
            else:
                listed |= _listed(answer[0], node, link.rights)
        if not failures:
            return listed
        # A broker that has left is no longer among them once the others know it.
        fresh = all(link.replaced(error, patience) for error in failures)
        if not fresh or not deadline.pause():
            raise unreachable("listing the groups of every broker", failures)


def _listed(answer: Any, node: int, rights: Rights) -> dict[str, _Listed]:
    if answer.error_code in DENIED:
        raise rights.error("listing the groups", answer.error_code, Right("Describe", "cluster", ""))
    return {
        g.group_id: _Listed(g.group_state or "", (g.group_type or "").lower(), g.protocol_type or "", node)
        for g in answer.groups
    }


def _read_named(link: Link, ids: list[str], deadline: Deadline) -> dict[str, Group]:
    coordinators, failed = find_coordinators(link, ids, deadline)
    by_node: dict[int, list[str]] = defaultdict(list)
    for group, node in coordinators.items():
        by_node[node].append(group)
    groups = _describe(link, by_node, None, deadline)
    for group, code in failed.items():
        groups[group] = _denied(link.rights, group, code)
    if groups and all(g.error for g in groups.values()):
        doing = "describing the groups"
        if failed and all(code in DENIED for code in failed.values()):
            group, code = next(iter(failed.items()))
            raise link.rights.error(doing, code, describe_group(group))
        told = "; ".join(dict.fromkeys(str(g.error) for g in groups.values()))
        raise Unreachable(f"{doing}: {told}", system="kafka")
    return {g: groups[g] for g in ids}


def _describe(
    link: Link, by_node: Mapping[int, list[str]], listed: Mapping[str, _Listed] | None, deadline: Deadline
) -> dict[str, Group]:
    """Describe groups at their coordinators, which list them too: that tells a missing group from an unreadable one."""
    groups: dict[str, Group] = {}
    todo = {node: list(ids) for node, ids in by_node.items()}
    patience = Deadline(deadline.left(MOVE_SECONDS))
    while todo:
        asks = {
            node: [DescribeGroupsRequest(groups=ids), *([] if listed is not None else [ListGroupsRequest()])]
            for node, ids in todo.items()
        }
        moving: list[str] = []
        for node, answer in link.ask_each(asks, deadline).items():
            if isinstance(answer, LinkError):
                for group in todo[node]:
                    groups[group] = Group(
                        group, GroupState.UNKNOWN, coordinator=node, error=str(answer), members_known=False
                    )
                if link.replaced(answer, patience):
                    moving += todo[node]
                continue
            known = listed if listed is not None else _listed(answer[1], node, link.rights)
            for described in answer[0].groups:
                groups[described.group_id] = _group(described, known.get(described.group_id), node, link.rights)
                if described.error_code in COORDINATOR_MOVING:
                    moving.append(described.group_id)
        if not moving or not deadline.pause():
            break
        coordinators, _ = find_coordinators(link, moving, deadline)
        todo = defaultdict(list)
        for group, node in coordinators.items():
            todo[node].append(group)
    return groups


def _group(described: Any, listed: _Listed | None, node: int, rights: Rights) -> Group:
    state = _STATES.get(described.group_state, GroupState.UNKNOWN)
    code = described.error_code
    absent = code == GROUP_ID_NOT_FOUND or (not code and state is GroupState.DEAD)
    if code and not absent:
        return _denied(rights, described.group_id, code, node)
    if absent and listed is None:
        return Group(described.group_id, GroupState.NOT_FOUND, coordinator=node)
    if absent and listed is not None and (listed.type not in ("", "classic") or listed.state not in ("", "Dead")):
        # The classic DescribeGroups does not know a group of the newer protocols, which is not to say that it is dead.
        return Group(
            described.group_id,
            _STATES.get(listed.state, GroupState.UNKNOWN),
            protocol_type=listed.protocol_type,
            group_type=listed.type,
            coordinator=node,
            members_known=listed.state == "Empty",
        )
    members = tuple(sorted((_member(m, described.protocol_type) for m in described.members), key=_order))
    return Group(
        described.group_id,
        state,
        members,
        protocol_type=described.protocol_type or "",
        group_type=listed.type if listed else "",
        coordinator=node,
    )


def _order(member: Member) -> tuple[tuple[TopicPartition, ...], str]:
    return (member.assignment[:1], member.member_id)


def _member(member: Any, protocol_type: str) -> Member:
    assignment: tuple[TopicPartition, ...] = ()
    subscription: tuple[str, ...] = ()
    if protocol_type == "consumer":
        assigned = _decoded(ConsumerProtocolAssignment, member.member_assignment)
        if assigned is not None:
            assignment = tuple(
                sorted(TopicPartition(t.topic, p) for t in assigned.assigned_partitions for p in t.partitions)
            )
        subscribed = _decoded(ConsumerProtocolSubscription, member.member_metadata)
        if subscribed is not None:
            subscription = tuple(sorted(subscribed.topics))
    return Member(member.member_id, member.client_id, member.client_host.removeprefix("/"), assignment, subscription)


def _decoded(kind: Any, data: bytes | memoryview | None) -> Any | None:
    """What a client wrote into its membership, by whatever version it wrote; None where that can't be read."""
    raw = bytes(data or b"")
    if len(raw) < 2:
        return None
    try:
        version = min(struct.unpack_from(">h", raw)[0], kind.max_version)
        return kind.decode(raw, version=max(0, version))
    except (ValueError, IndexError, struct.error, TypeError, KeyError):
        return None
