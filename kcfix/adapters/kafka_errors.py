"""What can go wrong between kcfix and a broker, and how it is told to the operator."""

from __future__ import annotations

import enum
import re

from kcfix.adapters.kafka_protocol import for_code
from kcfix.errors import AccessDenied, Obstacle, Unreachable

OFFSET_OUT_OF_RANGE = 1
UNKNOWN_TOPIC_OR_PARTITION = 3
REQUEST_TIMED_OUT = 7
MESSAGE_TOO_LARGE = 10
COORDINATOR_LOADING = 14
COORDINATOR_NOT_AVAILABLE = 15
NOT_COORDINATOR = 16
RECORD_LIST_TOO_LARGE = 18
ILLEGAL_GENERATION = 22
UNKNOWN_MEMBER_ID = 25
REBALANCE_IN_PROGRESS = 27
TOPIC_AUTHORIZATION_FAILED = 29
GROUP_AUTHORIZATION_FAILED = 30
CLUSTER_AUTHORIZATION_FAILED = 31
UNSUPPORTED_VERSION = 35
DUPLICATE_SEQUENCE_NUMBER = 46
NON_EMPTY_GROUP = 68
GROUP_ID_NOT_FOUND = 69
FENCED_MEMBER_EPOCH = 110
STALE_MEMBER_EPOCH = 113
INVALID_RECORD = 87

DENIED = frozenset({TOPIC_AUTHORIZATION_FAILED, GROUP_AUTHORIZATION_FAILED, CLUSTER_AUTHORIZATION_FAILED})
COORDINATOR_MOVING = frozenset({COORDINATOR_LOADING, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR})
"""Nothing was done and a little later it may be: a broker in its first seconds answers with these."""
LEADER_MOVING = frozenset({5, 6, 9, 13, 56, 72, 74, 75, 76, 78, 79})
"""Leader not available, not the leader, replica or listener missing, epoch or offset not yet known: ask again."""
GROUP_HAS_MEMBERS = frozenset(
    {
        ILLEGAL_GENERATION,
        UNKNOWN_MEMBER_ID,
        REBALANCE_IN_PROGRESS,
        NON_EMPTY_GROUP,
        FENCED_MEMBER_EPOCH,
        STALE_MEMBER_EPOCH,
    }
)


def error_name(code: int) -> str:
    """The protocol's own name of an error code, as other tools print it.

    >>> error_name(3)
    'UNKNOWN_TOPIC_OR_PARTITION'
    """
    known = for_code(code)
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", known.__name__.removesuffix("Error"))
    return str(getattr(known, "message", None) or words.upper())


class Trouble(enum.Enum):
    """What stood between kcfix and an answer."""

    NAME = "the name can't be resolved"
    REFUSED = "nothing listens there (connection refused)"
    NO_ROUTE = "there is no way to that address"
    CONNECT_TIMEOUT = "no connection in time"
    ANSWER_TIMEOUT = "connected, but no answer in time"
    CLOSED = "the connection was closed"
    LOGIN = "the login was refused"
    TLS = "TLS failed"
    UNTRUSTED = "the broker's certificate is not trusted"
    OTHER_NAME = "the broker's certificate is for another name"
    CERTIFICATE = "the client certificate was refused"
    PROTOCOL = "the answer is not Kafka's"


class LinkError(Exception):
    """A broker could not be asked, or did not answer. Never leaves the adapter.

    `sent` is False only where no byte of the request can have reached the broker.
    """

    def __init__(self, trouble: Trouble, place: str, detail: str = "", *, sent: bool = False) -> None:
        self.trouble = trouble
        self.place = place
        self.detail = detail or trouble.value
        super().__init__(f"{place}: {self.detail}")
        self.sent = sent


_HINTS = {
    Trouble.NAME: "give the address that is reachable from here: --address-map NAME:PORT=HOST:PORT",
    Trouble.CLOSED: "does the listener want TLS or a login? see security_protocol in the settings",
    Trouble.PROTOCOL: "is that port a Kafka listener, and one without TLS? see security_protocol in the settings",
    Trouble.UNTRUSTED: "name the file of the authority: ssl_cafile in the settings",
    Trouble.OTHER_NAME: "use a name that the certificate is for; ssl_check_hostname = false would take any",
    Trouble.CERTIFICATE: "ssl_certfile and ssl_keyfile in the settings name the client certificate and its key",
    Trouble.LOGIN: "check sasl_mechanism, user and password in the settings",
}


OBSTACLES = {
    Trouble.NAME: Obstacle.NAME,
    Trouble.REFUSED: Obstacle.REFUSED,
    Trouble.NO_ROUTE: Obstacle.NO_ROUTE,
    Trouble.CONNECT_TIMEOUT: Obstacle.TIMEOUT,
    Trouble.ANSWER_TIMEOUT: Obstacle.TIMEOUT,
    Trouble.CLOSED: Obstacle.CLOSED,
    Trouble.LOGIN: Obstacle.AUTHENTICATION,
    Trouble.TLS: Obstacle.TLS,
    Trouble.UNTRUSTED: Obstacle.TLS,
    Trouble.OTHER_NAME: Obstacle.TLS,
    Trouble.CERTIFICATE: Obstacle.TLS,
    Trouble.PROTOCOL: Obstacle.PROTOCOL,
}

_REFUSALS = (Trouble.LOGIN, Trouble.CERTIFICATE)


def unreachable(doing: str, failures: list[LinkError]) -> Unreachable:
    """The error for a cluster, or the brokers of it that were needed, which gave no answer."""
    told = "; ".join(dict.fromkeys(str(f) for f in failures)) or "no broker was given"
    hint = next((_HINTS[f.trouble] for f in failures if f.trouble in _HINTS), None)
    kind = AccessDenied if failures and all(f.trouble in _REFUSALS for f in failures) else Unreachable
    obstacle = OBSTACLES[failures[0].trouble] if failures else None
    return kind(f"{doing}: {told}", system="kafka", hint=hint, obstacle=obstacle)
