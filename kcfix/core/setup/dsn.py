"""Database addresses: which host, port and database a DSN names, and a Node program's URL made fit for libpq."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

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


def with_password(dsn: str, password: str) -> str:
    r"""The DSN with this password in the place of any that it has.

    >>> with_password("postgresql://u:old@db/kc?sslmode=require", "p@ss word")
    'postgresql://u:p%40ss%20word@db/kc?sslmode=require'
    >>> with_password("host=db user=u", "it's")
    "password=it\\'s host=db user=u"
    """
    if "://" not in dsn:
        # In front: who strips blanks off the end of a DSN would strip those of a password.
        return f"password={_escaped(password)} {without_password(dsn) or dsn}"
    head, _, rest = without_password(dsn).partition("://")
    end = min((rest.find(sign) for sign in "/?" if sign in rest), default=len(rest))
    user, _, host = rest[:end].rpartition("@")
    return f"{head}://{user}:{quote(password, safe='')}@{host}{rest[end:]}"


def without_password(dsn: str) -> str:
    """The DSN without its password, to be written into a file.

    >>> without_password("postgresql://u:p@db/kc?sslmode=require&password=x")
    'postgresql://u@db/kc?sslmode=require'
    >>> without_password("host=db user=u password='a b'")
    'host=db user=u'
    """
    if "://" not in dsn:
        try:
            words = shlex.split(dsn)
        except ValueError:
            return ""
        kept = [w for w in words if not w.lower().startswith(("password=", "sslpassword="))]
        return " ".join(_word(w) for w in kept)
    head, _, rest = dsn.partition("://")
    # The last @ before a blank or a ? ends the password, which may hold an unescaped @ or / itself.
    authority, mark, query = rest.partition("?")
    before, at, host = authority.rpartition("@")
    user = before.partition(":")[0]
    pairs = [(k, v) for k, v in parse_qsl(query, keep_blank_values=True) if not k.lower().endswith("password")]
    return (
        f"{head}://{user}{at if user else ''}{host}{mark if pairs else ''}{urlencode(pairs, quote_via=quote, safe='/')}"
    )


def _word(word: str) -> str:
    key, _, value = word.partition("=")
    return f"{key}={_escaped(value)}" if value else f"{key}=''"


def _escaped(value: str) -> str:
    """A value as libpq and a shell's words both read it: without quotes, what is special behind a backslash."""
    return "".join(c if c.isalnum() or ord(c) > 127 or c in "-_.,:/@%+" else f"\\{c}" for c in value)
