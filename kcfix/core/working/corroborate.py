"""Which members of a group are the processes of which containers (docs/decisions.md 1, "corroborated member").

A group may keep a dead member for its session time-out: a ghost. kafkajs client ids end in the time at which the client
started, so a member whose client started before its container did is what is left of an earlier life.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from kcfix.core.offsets import Member
from kcfix.core.workers import Container
from kcfix.flow import Stage

STAMP_DELAY = timedelta(milliseconds=500)
"""How much later than the process itself Docker may stamp the start of its container (measured: 37 ms on a busy host).
A process that lived for less before it was restarted has hardly joined a group."""

_STARTED_MS = re.compile(r"(?P<service>.*)-(?P<ms>\d{13})", re.ASCII)


def client_started_at(client_id: str) -> datetime | None:
    """When a kafkajs client started, by the milliseconds that its id ends in; None where it has no such end.

    >>> client_started_at("purchase-worker-1795433992661").isoformat()
    '2026-11-23T11:39:52.661000+00:00'
    >>> client_started_at("sarama") is None
    True
    """
    match = _STARTED_MS.fullmatch(client_id)
    return datetime.fromtimestamp(int(match["ms"]) / 1000, UTC) if match else None


def corroborating(member: Member, containers: Sequence[Container], stage: Stage) -> Container | None:
    """The running container whose process this member can be; None where it may be a ghost or a stranger.

    The client id must be the worker's and name a start after the container's. Where the member's address is that of
    one of the containers, only that one counts.
    """
    match = _STARTED_MS.fullmatch(member.client_id)
    started = client_started_at(member.client_id)
    if match is None or started is None:
        return None
    running = [c for c in containers if c.running and c.started_at is not None]
    here = [c for c in running if member.host and member.host in c.networks.values()]
    fitting = [
        c
        for c in here or running
        if c.started_at is not None
        and c.started_at <= started + STAMP_DELAY
        and match["service"] in (stage.worker, c.environment.get("SERVICE_NAME"))
    ]
    return max(fitting, key=lambda c: (c.started_at, c.name), default=None)


def vouched(
    members: Sequence[Member], containers: Sequence[Container], stage: Stage
) -> tuple[tuple[Member, Container], ...]:
    """The members that running containers vouch for, each container for one: a worker has one consumer in its group.

    A container goes to the member with its address, else to the one that started soonest after it.
    """
    claims = []
    for member in members:
        container = corroborating(member, containers, stage)
        started = client_started_at(member.client_id)
        if container is not None and container.started_at is not None and started is not None:
            elsewhere = member.host not in container.networks.values()
            claims.append((elsewhere, abs(started - container.started_at), member.member_id, member, container))
    taken: dict[str, tuple[Member, Container]] = {}
    for _, _, _, member, container in sorted(claims, key=lambda claim: claim[:3]):
        taken.setdefault(container.id, (member, container))
    return tuple(sorted(taken.values(), key=lambda pair: pair[0].member_id))
