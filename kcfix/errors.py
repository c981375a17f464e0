"""What can go wrong, each kind with the exit code that the shell sees (docs/errors.md is made from this file).

The class says what the failure means for the world; the message says what was being tried; the hint is what to do next.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import ClassVar

_WEIGHTS = (0, 1, 3, 5, 4, 6)
"""Exit codes from the lightest to the heaviest (docs/decisions.md 5): no answer outweighs a refusal."""


def worst_code(codes: Iterable[int]) -> int:
    """The exit code of several things done in one run: the one that weighs most; 0 where there is none.

    >>> worst_code([1, 5, 4, 3])
    4
    """
    return max(codes, key=_WEIGHTS.index, default=0)


class Obstacle(enum.StrEnum):
    """What stood between kcfix and an answer, where that is known."""

    NOT_SET = "not_set"
    """No address is known."""
    ABSENT = "absent"
    """There is nothing of that kind on this host."""
    NAME = "name_not_resolved"
    REFUSED = "refused"
    NO_ROUTE = "no_route"
    TIMEOUT = "timeout"
    CLOSED = "closed"
    TLS = "tls"
    AUTHENTICATION = "authentication"
    RIGHT = "missing_right"
    ADVERTISED = "wrong_advertised_address"
    PROTOCOL = "other_protocol"
    """What answered is something else than was expected there."""
    NOT_READY = "not_ready"
    """It is starting or stopping, or has no connection to give."""
    NO_DATABASE = "no_such_database"
    NOT_GIVEN = "password_not_given"
    """The file or command of a password gave none."""


class KcfixError(Exception):
    """A failure that kcfix understands and can put in one line.

    `code` is the exit code, `kind` the stable name in JSON, `hint` a next step (often a command to paste) or None.
    """

    code: ClassVar[int] = 70
    kind: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(KcfixError):
    """The command line or the configuration can't be understood. Nothing was asked and nothing was changed."""

    code = 2
    kind = "usage"


class NotFound(KcfixError):
    """What was named does not exist in the system that was asked. Nothing was changed."""

    code = 3
    kind = "not_found"


class Unreachable(KcfixError):
    """A system did not answer, or not in time. Nothing was changed; what it holds is unknown."""

    code = 4
    kind = "unreachable"

    def __init__(
        self, message: str, *, system: str = "", hint: str | None = None, obstacle: Obstacle | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.system = system
        self.obstacle = obstacle


class AccessDenied(Unreachable):
    """A system answered and refused the user that kcfix came as. Nothing was changed; what it holds is unknown."""

    kind = "access_denied"


class Refused(KcfixError):
    """kcfix would not do it because it is unsafe, or because the world changed since it looked. Nothing was changed."""

    code = 5
    kind = "refused"


class Conflict(Refused):
    """A precondition that is checked inside the change no longer held. This change was not made."""

    kind = "conflict"


class PartlyApplied(KcfixError):
    """Something was changed, or may have been, and not all is settled.

    The message says which; running the command again finds out and finishes.
    """

    code = 6
    kind = "partly_applied"


class OutcomeUnknown(PartlyApplied):
    """A change was sent and no answer came in time: it may or may not have been made. A time-out is not a failure."""

    kind = "outcome_unknown"


class Bug(KcfixError):
    """A defect in kcfix itself."""

    code = 70
    kind = "bug"


INTERRUPTED = 130
TERMINATED = 143
NOT_WELL = 1
OK = 0
