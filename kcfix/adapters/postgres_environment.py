"""libpq's own environment variables: which of them would lead a connection elsewhere than kcfix's settings say.

libpq takes what a DSN leaves open from PGHOST, PGHOSTADDR and the like; PGHOSTADDR even replaces the host that a DSN
names. A stray one must not lead a named context elsewhere, nor any DSN away from its host. Variables that hold a secret
or say how to speak TLS (PGPASSWORD, PGPASSFILE, PGSSLROOTCERT, …) stay.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from kcfix.core.setup.dsn import database_address

_AGAINST_A_HOST = ("PGHOSTADDR", "PGSERVICE")
_LEADING = (
    "PGHOST",
    "PGHOSTADDR",
    "PGPORT",
    "PGDATABASE",
    "PGUSER",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGOPTIONS",
    "PGTARGETSESSIONATTRS",
)


def ignore_stray_variables(dsns: Iterable[str | None], *, named: bool) -> None:
    """Take the variables out of this process's environment, where libpq would find them.

    With a context chosen by name all that lead somewhere, else those that go against a host which a DSN names.
    """
    against = _AGAINST_A_HOST if any(dsn and _names_a_host(dsn) for dsn in dsns) else ()
    for variable in _LEADING if named else against:
        os.environ.pop(variable, None)


def _names_a_host(dsn: str) -> bool:
    # `localhost` is what `database_address` says for none: naming it is as good as leaving it open.
    address = database_address(dsn)
    return address is not None and (address.host != "localhost" or "localhost" in dsn)
