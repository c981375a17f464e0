"""The releases that kcfix is tried with. `make versions` plays all of them, each in a run of its own; the suite a part.

`scripts/versions.py` sets KCFIX_VERSION to the name of one of them, and writes down what came of it.
"""

from __future__ import annotations

import os

from tests.real.kafka_cluster import Release

WANTED = os.environ.get("KCFIX_VERSION", "")

KAFKAS = (
    Release("3.5.2", zookeeper=True),
    Release("3.5.2"),
    Release("3.9.1"),
    Release("4.0.2"),
    Release("4.4.0"),
)
"""What production runs in both of its modes, the last line of 3, the first and the newest of 4."""

POSTGRES = {"13": "13.16.0", "14": "14.13.0", "15": "15.8.0", "16": "16.4.0", "17": "17.0.0"}
"""By major version, the release of the server programs that are fetched."""


def wanted_kafkas() -> tuple[Release, ...]:
    """The one that is wanted; else ZooKeeper mode alone, for the others that the suite needs are drills there."""
    return tuple(r for r in KAFKAS if str(r) == WANTED) if WANTED else KAFKAS[:1]


def wanted_postgres() -> tuple[str, ...]:
    """The one that is wanted; else none, for the suite runs on the server of this host."""
    return tuple(name for name in POSTGRES if name == WANTED)
