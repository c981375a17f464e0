"""What PostgreSQL's errors mean for the operator: one line, never a password, never the detail that quotes a row."""

from __future__ import annotations

import re

import psycopg
from psycopg import errors

from kcfix.adapters.postgres_address import Address
from kcfix.errors import AccessDenied, KcfixError, Unreachable

SYSTEM = "database"

_CONNECT: tuple[tuple[str, type[Unreachable], str, str | None], ...] = (
    (
        r"could not translate host name|failed to resolve|name or service not known|nodename nor servname",
        Unreachable,
        "its name can't be resolved on this host",
        "check the host in the DSN, or give --address-map for a name that only resolves inside Docker",
    ),
    (r"connection refused", Unreachable, "connection refused", None),
    (r"no such file or directory.*socket|socket.*no such file", Unreachable, "no server on that socket", None),
    (r"no route to host|network is unreachable", Unreachable, "no route to it", None),
    (r"connection reset|server closed the connection", Unreachable, "it closed the connection", None),
    (r"password authentication failed", AccessDenied, "it refused the user or the password", None),
    (r"no password supplied", AccessDenied, "it asks for a password and the DSN has none", None),
    (r"no pg_hba\.conf entry", AccessDenied, "its pg_hba.conf admits no such user from this host", None),
    (r'role "[^"]*" (does not exist|is not permitted)', AccessDenied, "it does not let this user in", None),
    (r'database "[^"]*" does not exist', Unreachable, "it has no database of that name", None),
    (r"permission denied for database", AccessDenied, "the user may not connect to that database", None),
    (
        r"too many (clients|connections)|remaining connection slots|connection limit",
        Unreachable,
        "it has no free connection (53300)",
        "the services' pools have used them up; try again, or close idle ones",
    ),
    (r"starting up", Unreachable, "it is starting up", "try again in a moment"),
    (r"shutting down|not yet accepting|recovery mode", Unreachable, "it is shutting down or recovering", None),
    (
        r"server does not support ssl",
        Unreachable,
        "it does not speak TLS and the DSN demands it",
        "sslmode=prefer in the DSN",
    ),
    (
        r"invalid response to (ssl|gssapi) negotiation|expected authentication request from server|protocol version",
        Unreachable,
        "what answers there is not PostgreSQL",
        "check host and port in the DSN",
    ),
    (r"certificate|ssl error|tls", Unreachable, "TLS failed", None),
)

_DENIED = re.compile(r"permission denied for (?:table|relation|view|materialized view|foreign table) \"?([^\s\"]+)")


def first_line(error: psycopg.Error, address: Address) -> str:
    """The server's own words in one line, without detail."""
    text = error.diag.message_primary or str(error).strip() or type(error).__name__
    return address.redacted(text.splitlines()[0].strip())


def timed_out(address: Address, doing: str, timeout_seconds: float) -> Unreachable:
    """No answer in time."""
    return Unreachable(
        f"database {address.label} did not answer within {timeout_seconds:.3g} s ({doing})",
        system=SYSTEM,
        hint="a longer --timeout, if it is only slow",
    )


def connect_error(error: psycopg.Error, address: Address, timeout_seconds: float) -> KcfixError:
    """Why no connection was made."""
    text = str(error)
    if isinstance(error, errors.ConnectionTimeout) or re.search(r"timeout expired|timed out", text, re.IGNORECASE):
        return timed_out(address, "connecting", timeout_seconds)
    for pattern, kind, words, hint in _CONNECT:
        if re.search(pattern, text, re.IGNORECASE | re.DOTALL):
            return kind(f"database {address.label}: {words}", system=SYSTEM, hint=hint)
    last = text.strip().splitlines()[-1:] or [type(error).__name__]
    return Unreachable(f"database {address.label}: {address.redacted(last[0].strip())}", system=SYSTEM)


def statement_error(error: psycopg.Error, address: Address, doing: str, timeout_seconds: float) -> KcfixError:
    """Why a statement of a reading transaction failed. Nothing was changed."""
    words = first_line(error, address)
    match error.sqlstate:
        case "57014":
            return timed_out(address, doing, timeout_seconds)
        case "55P03":
            return Unreachable(
                f"database {address.label}: another session holds a table locked ({doing})",
                system=SYSTEM,
                hint="pg_stat_activity and pg_locks name the session; try again once it is done",
            )
        case "42501":
            return access_denied(words, address, "SELECT")
        case "53300":
            return connect_error(error, address, timeout_seconds)
        case None if isinstance(error, errors.OperationalError):
            return Unreachable(f"database {address.label}: the connection was lost ({doing})", system=SYSTEM)
        case code:
            return Unreachable(
                f"database {address.label}: {words} ({code or type(error).__name__}, {doing})", system=SYSTEM
            )


def access_denied(words: str, address: Address, right: str) -> AccessDenied:
    """The right that is missing, with the statement that gives it where the table is known."""
    denied = _DENIED.search(words)
    user = address.user or "the user"
    if denied is None:
        return AccessDenied(f"database {address.label}: {words} ({user})", system=SYSTEM)
    table = denied.group(1)
    return AccessDenied(
        f"database {address.label}: user {user} has no right to {right} on {table}",
        system=SYSTEM,
        hint=f"GRANT {right} ON {table} TO {user};",
    )
