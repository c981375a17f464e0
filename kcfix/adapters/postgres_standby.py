"""How far a standby lies behind its primary."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from kcfix.adapters.postgres_link import Link
from kcfix.core.ports.database import Behind

AGAIN_SECONDS = 0.2
"""What comes in while it is looked at is replayed within this time, unless it is held back."""
NEAR_SECONDS = 5.0
"""What was replayed so lately is no delay that anybody means."""
_LOOK = """SELECT clock_timestamp(),
       pg_last_wal_receive_lsn() - '0/0'::pg_lsn,
       pg_last_wal_replay_lsn() - '0/0'::pg_lsn,
       pg_last_xact_replay_timestamp(), EXISTS (SELECT FROM pg_stat_wal_receiver)
 WHERE pg_is_in_recovery()"""


def read_behind(link: Link) -> Behind | None:
    """None: it is no standby, or has replayed all that its primary has sent, to which it is connected.

    A connection that broke without a word is noticed by the standby only after its `wal_receiver_timeout`.
    """
    received = None
    for _ in range(2):
        with link.reading("asking how far behind it is") as cursor:
            row = cursor.execute(_LOOK).fetchone()
        if row is None:
            return None
        now, until, replayed, last, connected = row
        if received is None:
            received = until
        if connected and received is not None and replayed is not None and replayed >= received:
            return None
        if connected and last is not None and _seconds(now, last) < NEAR_SECONDS:
            return None
        time.sleep(AGAIN_SECONDS)
    as_of = None if last is None else last.astimezone(UTC)
    return Behind(label=link.address.label, as_of=as_of, cut_off=not connected)


def _seconds(now: datetime, then: datetime) -> float:
    return (now - then).total_seconds()
