"""The processes that play an interleaving, forked from one warm process, so that killing one costs little."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Any

import psycopg

from tests.real.interleaving_actors import act
from tests.real.interleaving_stage import Job, Site

HANGS = 60.0
"""Seconds without any sign of an actor, after which the case has failed."""
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.real.interleaving_actors"])


class Actor:
    """A process and what is known of it."""

    def __init__(self, site: Site) -> None:
        self.pipe: Connection
        self.pipe, theirs = _FORKS.Pipe()
        self.process = _FORKS.Process(target=act, args=(theirs, site), daemon=True)
        self.process.start()
        theirs.close()
        self.label = ""
        self.at: str | None = None
        """The step at which it stands; None while it runs, and once it is done."""
        self.blocked = False
        self.done = False

    def begin(self, label: str, job: Job) -> None:
        """Give it something to do."""
        self.label, self.at, self.blocked, self.done = label, None, False, False
        self.pipe.send(job)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.join(HANGS)
        assert self.process.exitcode == -9, f"{self.label} ended with {self.process.exitcode}"
        self.pipe.close()
        self.at, self.blocked, self.done = None, False, True


class Troupe:
    """The actors, forked from one warm process. One that was killed is replaced ahead of the next case."""

    def __init__(self, site: Site, watch: psycopg.Connection[Any]) -> None:
        self._site, self._watch = site, watch
        self._idle = [Actor(site) for _ in range(5)]

    def take(self) -> Actor:
        """One that has nothing to do."""
        return self._idle.pop(0) if self._idle else Actor(self._site)

    def give_back(self, actor: Actor) -> None:
        """It may be killed or done."""
        self._idle.insert(0, actor) if actor.process.is_alive() else self._idle.append(Actor(self._site))

    def close(self) -> None:
        """End them all."""
        for actor in self._idle:
            actor.pipe.close()
            actor.process.join(5)
            if actor.process.is_alive():
                actor.kill()

    def waits_for_a_lock(self, actor: Actor) -> bool:
        """Whether the database holds it up."""
        name = f"actor-{actor.process.pid}"
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
        row = self._watch.execute(query, [name]).fetchone()
        return bool(row and row[0])

    def wait_until_forgotten(self, actor: Actor) -> None:
        """Return once the database has seen that a killed process is gone, or half a second later."""
        name = f"actor-{actor.process.pid}"
        end = time.monotonic() + 0.5
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        while (row := self._watch.execute(query, [name]).fetchone()) and row[0] and time.monotonic() < end:
            time.sleep(0.002)
