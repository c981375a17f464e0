"""Which right a broker's refusal is about, and how it is told: with the line that gives it."""

from __future__ import annotations

from kcfix.adapters.kafka_errors import (
    CLUSTER_AUTHORIZATION_FAILED,
    DENIED,
    GROUP_AUTHORIZATION_FAILED,
    TOPIC_AUTHORIZATION_FAILED,
    error_name,
)
from kcfix.adapters.kafka_security import Security
from kcfix.core.rights import Missing, Right, acl, principal
from kcfix.errors import AccessDenied, KcfixError, Obstacle, Unreachable

_KINDS = {
    TOPIC_AUTHORIZATION_FAILED: "topic",
    GROUP_AUTHORIZATION_FAILED: "group",
    CLUSTER_AUTHORIZATION_FAILED: "cluster",
}


class Rights:
    """What this client was refused for want of a right."""

    def __init__(self, security: Security, server: str, missing: Missing) -> None:
        self._principal = principal(security.user, security.certificate)
        self._server = server
        self._missing = missing

    def words(self, code: int, *wanted: Right) -> str:
        """An error code in words. Where it is about a right, the one of `wanted` that is of its kind is noted."""
        found = _about(code, wanted)
        if found is None:
            return error_name(code)
        self._missing(found, self._line(found))
        return f"no right to {found} ({error_name(code)})"

    def error(self, doing: str, code: int, *wanted: Right) -> KcfixError:
        """The error for a whole request that a broker answered with an error code."""
        if code not in DENIED:
            return Unreachable(f"{doing}: the broker answered {error_name(code)}", system="kafka")
        found = _about(code, wanted)
        hint = None if found is None else self._line(found)
        told = f"{doing}: {self.words(code, *wanted)}"
        return AccessDenied(told, system="kafka", hint=hint, obstacle=Obstacle.RIGHT)

    def _line(self, right: Right) -> str:
        return acl(right, self._principal, self._server)


def _about(code: int, wanted: tuple[Right, ...]) -> Right | None:
    return next((right for right in wanted if right.kind == _KINDS.get(code)), None)


def describe_topic(name: str) -> Right:
    return Right("Describe", "topic", name)


def describe_group(name: str) -> Right:
    return Right("Describe", "group", name)


def read_topic(name: str) -> Right:
    return Right("Read", "topic", name)
