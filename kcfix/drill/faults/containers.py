"""Faults of containers: a worker, the broker or the database is not there."""

from __future__ import annotations

import time

from kcfix.drill import broker, database, groups
from kcfix.drill.engine import translated
from kcfix.drill.faults.fault import FLOW, Site, State
from kcfix.drill.state import KAFKA, POSTGRES
from kcfix.errors import NotFound, Unreachable

WORKER = FLOW.purchase_worker
CRASHES = 2
"""Restarts that are waited for before a worker counts as crash looping."""


def stop_worker(site: Site) -> State:
    """The worker is stopped by hand, which `unless-stopped` respects."""
    site.stop_worker(WORKER)
    return {}


def start_worker(site: Site, _state: State) -> None:
    """A plain start: what waits on a partition without a committed offset is skipped, as in the live system."""
    site.start_worker(WORKER)


def remove_worker(site: Site) -> State:
    """The worker's container is gone, as after `docker compose rm`."""
    site.stop_worker(WORKER)
    site.engine.remove(site.drill, WORKER)
    return {}


def bring_worker_back(site: Site, _state: State) -> None:
    """The container is made again with its usual environment, unless someone has done it."""
    try:
        site.engine.container(site.drill, WORKER)
    except NotFound:
        since = time.time()
        site.make_worker(WORKER)
        groups.wait_joined(site.drill, FLOW.purchase_group, since=since)
    else:
        site.start_worker(WORKER)


def crash_worker(site: Site) -> State:
    """The worker comes up without REDIS_URL, dies while it loads, and Docker starts it again and again."""
    site.stop_worker(WORKER)  # else its member lingers for half a minute and keeps the mended worker out
    site.make_worker(WORKER, {"REDIS_URL": ""})
    site.report("waiting for its first crashes")
    deadline = time.monotonic() + 20
    while True:
        container = site.engine.container(site.drill, WORKER)
        if int(container.attrs.get("RestartCount", 0)) >= CRASHES:
            return {}
        if time.monotonic() > deadline:
            raise Unreachable(f"{container.name} does not crash", system="docker")
        time.sleep(0.2)


def uncrash_worker(site: Site, _state: State) -> None:
    """The container is made again with its usual environment: a restart would not re-read it."""
    since = time.time()
    site.make_worker(WORKER)
    groups.wait_joined(site.drill, FLOW.purchase_group, since=since)


def stop_broker(site: Site) -> State:
    """The broker is stopped under running workers."""
    site.engine.stop(site.drill, KAFKA, grace_seconds=20)
    return {}


def start_broker(site: Site, _state: State) -> None:
    """The broker is started and waited for, then the workers, who find it again by themselves within a minute."""
    site.engine.start(site.drill, KAFKA)
    broker.wait_until_ready(site.drill, lambda: None)
    site.report("waiting for the workers to join again")
    groups.wait_settled(site.drill, [stage.group for stage in FLOW.stages if stage.required])


def stop_database(site: Site) -> State:
    """The database is stopped under running workers, without waiting for them to let go."""
    container = site.engine.container(site.drill, POSTGRES)
    if container.status == "running":
        with translated(f"stopping {container.name}"):
            container.kill(signal="SIGINT")
            container.wait(timeout=20)
    return {}


def start_database(site: Site, _state: State) -> None:
    """The database is started and waited for."""
    site.engine.start(site.drill, POSTGRES)
    database.wait_until_ready(site.drill, lambda: None)
