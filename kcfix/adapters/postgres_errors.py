"""What PostgreSQL's errors mean for the operator: one line, never a password, never the detail that quotes a row."""

from __future__ import annotations

import re

import psycopg
from psycopg import errors

from kcfix.adapters.postgres_address import Address
from kcfix.core.rights import Right, grant
from kcfix.errors import AccessDenied, KcfixError, Obstacle, Unreachable

SYSTEM = "database"
NOT_VERIFIED = "certificate verify failed"

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
    (
        r"password authentication failed|SASL authentication failed",
        AccessDenied,
        "it refused the user or the password",
        None,
    ),
    (r"no password supplied", AccessDenied, "it asks for a password and the DSN has none", None),
    (
        r"pg_hba\.conf (entry|rejects)[^\n]*no encryption|FATAL:\s+SSL required",
        AccessDenied,
        "it admits no such user from this host without TLS",
        "sslmode=verify-full (or require) in the DSN",
    ),
    (
        r"no pg_hba\.conf entry|pg_hba\.conf rejects",
        AccessDenied,
        "its pg_hba.conf admits no such user from this host",
        None,
    ),
    (r'role "[^"]*" (does not exist|is not permitted)', AccessDenied, "it does not let this user in", None),
    (r'database "[^"]*" does not exist|no such database', Unreachable, "it has no database of that name", None),
    (r"permission denied for database", AccessDenied, "the user may not connect to that database", None),
    (
        r"too many (clients|connections)|remaining connection slots|connection limit|no more connections allowed",
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
        r"unsupported startup parameter: options",
        Unreachable,
        "a pooler stands before it and takes no start-up options",
        "leave options= out of the DSN",
    ),
    (
        r"query_wait_timeout|server login (has been|failed)|pgbouncer cannot connect to server",
        Unreachable,
        "a pooler stands before it and has no connection to it to give",
        "try again; if it lasts, look at the pooler (SHOW POOLS) and the server behind it",
    ),
    (
        r'server certificate for "[^"]*"[^\n]*does not match host name',
        Unreachable,
        "its certificate is for another name",
        "use a name that the certificate is for; sslmode=verify-ca would take any",
    ),
    (
        r"root certificate file [^\n]*does not exist",
        Unreachable,
        "sslmode asks to check its certificate, and the file of authorities (sslrootcert) is not there",
        "sslrootcert=FILE in the DSN; sslrootcert=system means those of this host",
    ),
    (
        r"could not read root certificate file",
        Unreachable,
        "the file of authorities (sslrootcert) can't be read as certificates in PEM form",
        None,
    ),
    (
        r"requires a valid client certificate|certificate authentication failed|alert certificate required",
        AccessDenied,
        "it demands a client certificate for this user",
        "sslcert=FILE and sslkey=FILE in the DSN; its CN is mostly the user's name",
    ),
    (
        r"alert unknown ca|alert (bad certificate|certificate (unknown|expired|revoked))",
        AccessDenied,
        "it does not take the client certificate",
        "sslcert and sslkey in the DSN",
    ),
    (
        r"private key file [^\n]*(group or world access|does not exist)|could not load private key file",
        Unreachable,
        "the client's private key (sslkey) can't be used: it is not there, others may read it, or its password"
        " (sslpassword) is wrong",
        "chmod 600, and openssl pkey -in FILE -noout",
    ),
    (
        r"invalid response to (ssl|gssapi) negotiation|expected authentication request from server|protocol version",
        Unreachable,
        "what answers there is not PostgreSQL",
        "check host and port in the DSN",
    ),
    (r"certificate|ssl error|tls", Unreachable, "TLS failed", None),
)

_OBSTACLES = (
    (r"can't be resolved", Obstacle.NAME),
    (r"connection refused", Obstacle.REFUSED),
    (r"no server on that socket", Obstacle.ABSENT),
    (r"no route", Obstacle.NO_ROUTE),
    (r"closed the connection", Obstacle.CLOSED),
    (r"is not PostgreSQL", Obstacle.PROTOCOL),
    (r"no database of that name", Obstacle.NO_DATABASE),
    (r"may not connect to that database", Obstacle.RIGHT),
    (r"TLS|certificate|sslrootcert|sslkey", Obstacle.TLS),
    (r"password|pg_hba|does not let this user in", Obstacle.AUTHENTICATION),
    (r"pooler|free connection|starting up|shutting down", Obstacle.NOT_READY),
)
"""By the words above, the first that fits; tests/contract/test_postgres_link.py sees to it that one does."""


def obstacle_of(words: str) -> Obstacle | None:
    """What stood in the way, by kcfix's own words for it.

    >>> obstacle_of("it has no database of that name")
    <Obstacle.NO_DATABASE: 'no_such_database'>
    """
    return next((obstacle for pattern, obstacle in _OBSTACLES if re.search(pattern, words)), None)


_DENIED = re.compile(
    r"permission denied for (table|relation|view|materialized view|foreign table|schema|function) \"?([^\s\"]+)"
)


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
        obstacle=Obstacle.TIMEOUT,
    )


def connect_error(error: psycopg.Error, address: Address, timeout_seconds: float) -> KcfixError:
    """Why no connection was made."""
    text = str(error)
    if isinstance(error, errors.ConnectionTimeout) or re.search(r"timeout expired|timed out", text, re.IGNORECASE):
        return timed_out(address, "connecting", timeout_seconds)
    if NOT_VERIFIED in text:
        why = text.partition(NOT_VERIFIED)[2].strip(": \n")
        told = f"its certificate is not trusted: {why}" if why else "its certificate is not trusted"
        hint = "sslrootcert=FILE in the DSN names the authority" if "authority" in why else None
        return Unreachable(f"database {address.label}: {told}", system=SYSTEM, hint=hint, obstacle=Obstacle.TLS)
    for pattern, kind, words, hint in _CONNECT:
        if re.search(pattern, text, re.IGNORECASE | re.DOTALL):
            told = f"database {address.label}: {words}"
            return kind(told, system=SYSTEM, hint=hint, obstacle=obstacle_of(words))
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
        return AccessDenied(f"database {address.label}: {words} ({user})", system=SYSTEM, obstacle=Obstacle.RIGHT)
    kind, name = denied.groups()
    operation = {"schema": "USAGE", "function": "EXECUTE"}.get(kind, right)
    lacking = Right(operation, kind if kind in ("schema", "function") else "table", name)
    line = grant(lacking, user)
    address.missing(lacking, line)
    on = name if lacking.kind == "table" else f"{lacking.kind} {name}"
    return AccessDenied(
        f"database {address.label}: user {user} has no right to {operation} on {on}",
        system=SYSTEM,
        hint=line,
        obstacle=Obstacle.RIGHT,
    )
