"""Database addresses: which host, port and database a DSN names, and a Node program's URL made fit for libpq."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

_NODE_ONLY = frozenset(("ssl", "pgbouncer", "schema", "connection_limit", "pool_timeout", "uselibpqcompat", "supa"))
"""Parameters that Node's libraries take and libpq would refuse the whole URL for."""
_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def for_libpq(url: str, *, tls: bool) -> str:
    """The URL that a Node service is configured with, as libpq takes it.

    `tls` is POSTGRES_SSL=true: the services then use TLS without checking the certificate, which is
    `sslmode=require`. Parameters that libpq does not know (`ssl`, `pgbouncer`, `schema`, …) are left out. A text that
    is no URL is returned as it is.

    >>> for_libpq("postgres://u:p@db/kc?ssl=true&pgbouncer=true", tls=False)
    'postgres://u:p@db/kc?sslmode=require'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    if parts.scheme not in ("postgres", "postgresql"):
        return url
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    kept = {key: value for key, value in given.items() if key not in _NODE_ONLY}
    if kept.get("sslmode") not in _MODES:
        had_mode = kept.pop("sslmode", None)
        if tls or had_mode == "no-verify" or given.get("ssl", "").lower() in ("true", "1", "require"):
            kept["sslmode"] = "require"
    return urlunsplit(parts._replace(query=urlencode(kept), fragment=""))


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """Which database a DSN names. Never holds a password."""

    host: str
    port: int
    name: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.name}"


def database_address(dsn: str) -> DatabaseAddress | None:
    """Host, port and name in a DSN, a URL or `key=value` words; None where it can't be understood.

    What it leaves out is libpq's default: port 5432, the user's name for the database.

    >>> str(database_address("postgresql://u:p@db.example.com/kc_app"))
    'db.example.com:5432/kc_app'
    >>> str(database_address("host=db port=5433 dbname=kc"))
    'db:5433/kc'
    """
    try:
        if "://" in dsn:
            parts = urlsplit(dsn)
            query = dict(parse_qsl(parts.query))
            host = query.get("host") or unquote(parts.hostname or "")
            port = int(query.get("port") or parts.port or 5432)
            name = query.get("dbname") or unquote(parts.path.lstrip("/")) or unquote(parts.username or "")
        else:
            words = dict(word.split("=", 1) for word in shlex.split(dsn))
            host = words.get("host") or words.get("hostaddr", "")
            port = int(words.get("port") or 5432)
            name = words.get("dbname") or words.get("user", "")
    except ValueError:
        return None
    return DatabaseAddress(host.lower() or "localhost", port, name)


def database_user(dsn: str) -> str | None:
    """The user as whom a DSN comes; None where it names none, or can't be understood.

    >>> database_user("postgresql://app:p@db/kc"), database_user("host=db user=app")
    ('app', 'app')
    """
    try:
        if "://" in dsn:
            parts = urlsplit(dsn)
            return dict(parse_qsl(parts.query)).get("user") or unquote(parts.username or "") or None
        return dict(word.split("=", 1) for word in shlex.split(dsn)).get("user") or None
    except ValueError:
        return None
