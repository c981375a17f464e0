"""What every actor of an interleaving has: the names of its steps, its job, its connections, and how it stops."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from os import getpid
from typing import Any

import psycopg

from kcfix.adapters.kafka import open_kafka
from kcfix.adapters.postgres import open_database
from kcfix.core.ports.database import DatabasePort
from kcfix.core.ports.kafka import KafkaPort
from kcfix.core.repair.plan import Strategy
from kcfix.flow import Flow

TIMEOUT = 15.0
PARTITIONS = 3

REPAIR_STEPS = (
    *("planned", "before-insert", "under-lock", "before-commit", "after-insert", "before-lock", "before-send"),
    *("after-send", "before-reading-back", "before-reading-again", "before-replay", "after-replay", "waiting"),
)
WORKER_STEPS = tuple(
    f"worker-{step}" for step in ("before-lock", "under-lock", "before-commit", "before-send", "before-offset")
)
Stop = Callable[[str], None]


@dataclass(frozen=True)
class Site:
    """How the servers are reached, and the names of the test's own topics and group."""

    brokers: tuple[str, ...]
    address_map: Mapping[str, str]
    flow: Flow


@dataclass(frozen=True)
class Job:
    """What an actor is to do."""

    dsn: str
    payments: tuple[str, ...] = ()
    """Those to be repaired, in this order; none: it is the worker."""
    strategy: Strategy = Strategy.AUTO
    working: bool = False
    """Whether the repair is to take the worker for a working one."""
    polls: int = 1
    """How many times the worker looks for messages and finds none before it is done."""


class Systems:
    """An actor's own connections, kept from one job to the next."""

    def __init__(self, site: Site) -> None:
        self.flow = site.flow
        self.kafka: KafkaPort = open_kafka(site.brokers, address_map=site.address_map, timeout=TIMEOUT)
        self.name = f"actor-{getpid()}"
        self._dsn = ""
        self._port: DatabasePort | None = None
        self._plain: list[psycopg.Connection[Any]] = []

    def database(self, dsn: str) -> DatabasePort:
        """Kcfix's port to this database."""
        self._use(dsn)
        if self._port is None:
            self._port = open_database(dsn, flow=self.flow, timeout=TIMEOUT, application_name=self.name)
        return self._port

    def connections(self, dsn: str) -> tuple[psycopg.Connection[Any], psycopg.Connection[Any]]:
        """The worker's: one for its transaction, one for what it writes beside it."""
        self._use(dsn)
        if not self._plain:
            self._plain = [psycopg.connect(dsn, autocommit=True, application_name=self.name) for _ in range(2)]
        return self._plain[0], self._plain[1]

    def _use(self, dsn: str) -> None:
        if dsn != self._dsn:
            if self._port is not None:
                self._port.close()
            for plain in self._plain:
                plain.close()
            self._port, self._plain, self._dsn = None, [], dsn


def stop(pipe: Connection, step: str) -> None:
    """Say which step comes next, and wait for the word to go on."""
    pipe.send(("stop", step))
    pipe.recv()


def made_up(*parts: object) -> str:
    """A UUID that is always the same for the same parts."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, ":".join(map(str, parts))))
