"""Faults of the workers' containers: one is not there, does not run, or runs and can do nothing."""

from __future__ import annotations

from kcfix.drill import groups
from kcfix.drill.engine import translated
from kcfix.drill.faults.fault import Area, Fault
from kcfix.drill.faults.site import FLOW, GROUP, WORKER, Site, State
from kcfix.errors import NotFound

ALLOCATION, SESSION, CACHE = FLOW.allocation_worker, FLOW.session_worker, FLOW.cache_worker
TOO_LITTLE_BYTES = 12 * 1024 * 1024
"""Less than Node needs to load the program, as where `12m` stands in the place of `512m`."""


def stop_worker(site: Site) -> State:
    """The worker is stopped by hand, which `unless-stopped` respects."""
    site.stop_worker()
    return {}


def start_worker(site: Site, _state: State) -> None:
    """A plain start: what waits on a partition without a committed offset is skipped, as in the live system."""
    site.start_worker()


def remove_worker(site: Site) -> State:
    """The worker's container is gone, as after `docker compose rm`."""
    site.stop_worker()
    site.engine.remove(site.drill, WORKER)
    return {}


def bring_worker_back(site: Site, _state: State) -> None:
    """The container is made again with its usual environment, unless someone has done it."""
    try:
        site.container(WORKER)
    except NotFound:
        site.renew_worker()
    else:
        site.start_worker()


def renew_worker(site: Site, _state: State) -> None:
    """The container is made again as it should be: a restart would not re-read its environment and limits."""
    site.renew_worker()


def crash_worker(site: Site) -> State:
    """The worker comes up without REDIS_URL, dies while it loads, and Docker starts it again and again."""
    site.make_worker(environment={"REDIS_URL": None})
    site.wait_crashed()
    return {}


def crash_cache_worker(site: Site) -> State:
    """cache-worker comes up without REDIS_URL, and Docker starts it again and again."""
    site.make_worker(CACHE, {"REDIS_URL": None})
    site.wait_crashed(CACHE)
    return {}


def renew_cache_worker(site: Site, _state: State) -> None:
    """The container is made again with its usual environment."""
    site.renew_worker(CACHE)


def kill_worker(site: Site) -> State:
    """The worker is killed by `docker kill`, which counts as stopped by hand: Docker does not start it again."""
    site.engine.kill(site.drill, WORKER)
    return {}


def start_killed_worker(site: Site, _state: State) -> None:
    """Its ghost leaves the group, then a plain start."""
    groups.dismiss(site.drill, GROUP, WORKER)
    site.start_worker()


def pause_worker(site: Site) -> State:
    """The worker is frozen, as by `docker pause`: it runs, and does nothing."""
    with translated(f"pausing {WORKER}"):
        site.container(WORKER).pause()
    return {}


def unpause_worker(site: Site, _state: State) -> None:
    """The worker goes on, and joins its group again where it was thrown out meanwhile."""
    container = site.container(WORKER)
    if container.status == "paused":
        with translated(f"unpausing {WORKER}"):
            container.unpause()
    site.restart_worker()


def starve_worker(site: Site) -> State:
    """The worker's memory limit is below what it needs: the kernel kills it, Docker starts it, and so on."""
    site.make_worker(memory_bytes=TOO_LITTLE_BYTES)
    site.wait_crashed()
    return {}


def leave_worker_dead(site: Site) -> State:
    """The worker's container has no restart policy, and its process ends as the kernel ends one for want of memory."""
    site.make_worker(restart="no")
    groups.wait_joined(site.drill, GROUP)
    site.engine.kill(site.drill, WORKER)
    return {}


def unplug_worker(site: Site) -> State:
    """The worker's container is taken off the system's network, as a wrong `networks:` line does."""
    with translated(f"disconnecting {WORKER}"):
        site.engine.client.networks.get(site.drill.network).disconnect(site.container(WORKER))
    return {}


def plug_worker_in(site: Site, _state: State) -> None:
    """The container is made again, on the network."""
    site.stop_worker(grace_seconds=2)  # it would wait for a broker that it can't reach
    site.renew_worker()


def _stopped(worker: str, what: str, seen: str, modes: tuple[str, ...]) -> Fault:
    def make(site: Site) -> State:
        """The worker is stopped by hand."""
        site.stop_worker(worker)
        return {}

    def undo(site: Site, _state: State) -> None:
        """A plain start."""
        site.start_worker(worker)

    return Fault(f"{worker}-stopped", Area.WORKERS, modes, what, seen, make, undo)


FAULTS = (
    Fault(
        "worker-stopped",
        Area.WORKERS,
        ("5", "6", "1"),
        "purchase-worker is stopped by hand; payments wait, and a plain start skips some",
        "container exited (0), group Empty, lag grows",
        stop_worker,
        start_worker,
    ),
    Fault(
        "worker-removed",
        Area.WORKERS,
        ("5",),
        "purchase-worker has no container",
        "`docker ps -a` does not list it, group Empty",
        remove_worker,
        bring_worker_back,
    ),
    Fault(
        "worker-crash-looping",
        Area.WORKERS,
        ("52",),
        "purchase-worker lacks REDIS_URL, dies while it loads, and is started again and again",
        "container restarting (1), an uncaught exception and no `Starting` line",
        crash_worker,
        renew_worker,
    ),
    Fault(
        "worker-killed",
        Area.WORKERS,
        ("5", "8"),
        "purchase-worker was killed by `docker kill`, which Docker takes for a stop by hand",
        "container exited (137), no shut-down line; its ghost keeps the group Stable for half a minute",
        kill_worker,
        start_killed_worker,
    ),
    Fault(
        "worker-paused",
        Area.WORKERS,
        ("5",),
        "purchase-worker is frozen by `docker pause`",
        "container paused, no new log lines; the group turns Empty after half a minute",
        pause_worker,
        unpause_worker,
    ),
    Fault(
        "worker-oom-killed",
        Area.WORKERS,
        ("5",),
        "purchase-worker has a memory limit of 12 MiB and is killed by the kernel at each start",
        "container restarting (137), OOMKilled true, no log lines",
        starve_worker,
        renew_worker,
    ),
    Fault(
        "worker-not-restarted",
        Area.WORKERS,
        ("5",),
        "purchase-worker has no restart policy, and its process has died",
        "container exited (137), restart policy `no`",
        leave_worker_dead,
        renew_worker,
    ),
    Fault(
        "worker-off-network",
        Area.WORKERS,
        ("11",),
        "purchase-worker's container is not on the system's network",
        "container running, no network; it finds neither `kafka` nor the database (ENOTFOUND)",
        unplug_worker,
        plug_worker_in,
    ),
    _stopped(
        ALLOCATION,
        "allocation-worker is stopped: purchases are made and get no trainer",
        "container exited (0), group trainer-allocation-workers Empty, its lag grows",
        ("5",),
    ),
    _stopped(
        SESSION,
        "session-worker is stopped: trainers are allocated and nothing reads that",
        "container exited (0), group session-scheduling-workers Empty",
        ("5",),
    ),
    _stopped(
        CACHE,
        "cache-worker is stopped: the app shows purchases minutes late",
        "container exited (0), group cache-invalidation-workers Empty",
        ("5", "51"),
    ),
    Fault(
        "cache-worker-crash-looping",
        Area.WORKERS,
        ("52",),
        "cache-worker lacks REDIS_URL and is started again and again; purchases go on",
        "container restarting (1); the other three are well",
        crash_cache_worker,
        renew_cache_worker,
    ),
)
