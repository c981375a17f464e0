"""Where a PostgreSQL is, as a DSN says it and as this host can reach it."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg import conninfo, pq

from kcfix.core.rights import Missing, unnoted
from kcfix.errors import UsageError

ELSEWHERE = "elsewhere"
"""Key of a parameter that is not libpq's: the name under which the host is reached, to be resolved on connecting."""
_NODE_SSLMODES = {"no-verify": "require"}
"""Values that node-postgres takes and libpq does not."""


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed DSN. Its password is in `parameters` only, which is never printed."""

    host: str
    """As the DSN names it, before any mapping; a folder for a Unix socket, empty for libpq's default."""
    port: int
    name: str
    user: str
    parameters: Mapping[str, str] = field(repr=False)
    """For libpq: mapped, with time-outs and the application name."""
    missing: Missing = unnoted
    """Told of every right that turns out to be missing there."""

    @property
    def label(self) -> str:
        """host:port/name, to be shown."""
        return f"{self.host or 'localhost'}:{self.port}/{self.name}"

    def redacted(self, text: str) -> str:
        """The text without this address's password, should it be in it."""
        password = self.parameters.get("password", "")
        return text.replace(password, "********") if len(password) > 2 else text


def parse_address(
    dsn: str,
    *,
    timeout_seconds: float,
    application_name: str,
    address_map: Mapping[str, str] | None = None,
    missing: Missing = unnoted,
) -> Address:
    """The address that a DSN (URL or key=value) names.

    Query parameters of other drivers (`?pgbouncer=true`, `?schema=public`) are ignored, as those drivers' URLs are what
    the services are configured with.

    Raises:
        UsageError: it is no DSN. The message does not quote it, for it may hold a password.
    """
    try:
        given = {k: str(v) for k, v in conninfo.conninfo_to_dict(_for_libpq(dsn)).items() if v not in (None, "")}
    except (psycopg.Error, ValueError):
        # `from None`: libpq's text quotes pieces of the DSN.
        raise UsageError(
            "the database address can't be read as a PostgreSQL URL",
            hint="postgresql://USER:PASSWORD@HOST:5432/DATABASE, with special characters of the password as %XX",
        ) from None
    parameters = {
        "keepalives_idle": "10",
        "keepalives_interval": "5",
        "keepalives_count": "3",
        "tcp_user_timeout": str(max(1000, math.ceil(timeout_seconds * 1000))),
        # Empty, so that PGOPTIONS of this shell is not sent either: a pooler takes no start-up options.
        "options": "",
        **given,
        "connect_timeout": str(max(2, math.ceil(timeout_seconds))),
        "application_name": application_name,
    }
    host, port = given.get("host", given.get("hostaddr", "")), given.get("port", "5432")
    parameters.update(_mapped(host, port, address_map))
    user = given.get("user", "")
    try:
        number = int(port.split(",")[0])
    except ValueError:
        raise UsageError("the port of the database address is no number") from None
    return Address(host, number, given.get("dbname", user), user, parameters, missing)


def _for_libpq(dsn: str) -> str:
    text = dsn.strip()
    if not text.startswith(("postgres://", "postgresql://")):
        return text
    parts = urlsplit(text)
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()} | {"ssl"}
    query = [
        (key, _NODE_SSLMODES.get(value, value) if key == "sslmode" else value)
        for key, value in parse_qsl(parts.query, keep_blank_values=True)
        if key in known and not (key == "ssl" and value != "true")
    ]
    return urlunsplit(parts._replace(query=urlencode(query)))


def _mapped(host: str, port: str, address_map: Mapping[str, str] | None) -> dict[str, str]:
    """The parameters that differ where the map names this host and port. It is asked once: an answer may be costly."""
    if not host or host.startswith("/") or "," in host or address_map is None:
        return {}
    target = address_map.get(f"{host}:{port}")
    if target is None:
        return {}
    to_host, _, to_port = target.rpartition(":")
    to_host = to_host.strip("[]")
    try:
        # The name stays, so that TLS checks the certificate for it.
        return {"hostaddr": str(ipaddress.ip_address(to_host)), "port": to_port}
    except ValueError:
        return {ELSEWHERE: to_host, "port": to_port}
