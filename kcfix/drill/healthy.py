"""States in which nothing is wrong with a drill, to find out whether anybody cries wolf."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from kcfix.drill import groups, wire
from kcfix.drill.buy import buy
from kcfix.drill.checkout import PARTITIONS
from kcfix.drill.engine import connected
from kcfix.drill.faults.site import FLOW, GROUP, TOPIC, Site
from kcfix.drill.state import Drill
from kcfix.errors import Unreachable

BUSY_A_SECOND = 3.0
"""10,000 payments an hour, the peak that is claimed (docs/system.md 7)."""
BACKLOG = 1500
"""Payments that keep a worker that comes back busy for half a minute, and less where the machine is idle."""
REST_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Healthy:
    """A state in which a drill is well."""

    name: str
    what: str
    enter: Callable[[Drill], AbstractContextManager[None]]
    """Inside it the drill is in that state; at its end all is read and the drill is idle."""


@contextmanager
def idle(drill: Drill) -> Iterator[None]:
    """Every partition has been read once and nothing comes."""
    _warm(drill)
    yield


@contextmanager
def busy(drill: Drill, rate: float = BUSY_A_SECOND) -> Iterator[None]:
    """Payments come all the time, so many a second, spread over the partitions.

    Raises:
        Unreachable: a payment could not be made, or what came was not read in time afterwards.
    """
    _warm(drill)
    stop = threading.Event()
    failed: list[Exception] = []

    def flow() -> None:
        try:
            while not stop.is_set():
                buy(drill, max(1, round(rate)), rate=rate)
        except Exception as error:  # noqa: BLE001 - raised again by the thread that waits
            failed.append(error)

    shop = threading.Thread(target=flow, name="shop")
    shop.start()
    try:
        time.sleep(1)
        yield
    finally:
        stop.set()
        shop.join()
    if failed:
        raise failed[0]
    rest(drill)


@contextmanager
def fresh(drill: Drill) -> Iterator[None]:
    """All workers were started a moment ago, and nothing has come since."""
    _warm(drill)
    with connected() as engine:
        Site(drill, engine).restart_workers()
    yield


@contextmanager
def catching_up(drill: Drill, backlog: int = BACKLOG) -> Iterator[None]:
    """purchase-worker was stopped for a while, all partitions protected, and works off what has come meanwhile."""
    _warm(drill)
    with connected() as engine:
        site = Site(drill, engine)
        site.stop_protected()
        buy(drill, backlog)
        site.start_worker()
    yield
    rest(drill)


HEALTHY = (
    Healthy("idle", "every partition has been read once and nothing comes", idle),
    Healthy("busy", "payments come at the rate of the busiest hour", busy),
    Healthy("fresh", "all workers were started a moment ago", fresh),
    Healthy("catching-up", "purchase-worker works off what came while it was stopped", catching_up),
)


def rest(drill: Drill, seconds: float = REST_SECONDS) -> None:
    """Returns once every group has read all that its topics hold, as far as it has offsets there.

    Raises:
        Unreachable: something still waits after that time.
    """
    deadline = time.monotonic() + seconds
    while True:
        waiting = [
            f"{topic}-{partition}"
            for stage in FLOW.stages
            if stage.required
            for topic in stage.topics
            for partition, lag in _lag(drill, stage.group, topic).items()
            if lag > 0
        ]
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise Unreachable(f"after {seconds:.0f} s something still waits on {', '.join(waiting)}", system="kafka")
        time.sleep(0.5)


def _lag(drill: Drill, group: str, topic: str) -> dict[int, int]:
    ends = wire.ends(drill, topic)
    return {p: ends[p][1] - offset for p, offset in groups.committed(drill, group, topic).items()}


def _warm(drill: Drill) -> None:
    """A payment on each partition that has no offset yet, read to the end: a drill that has been in use."""
    there = groups.committed(drill, GROUP, TOPIC)
    for partition in range(PARTITIONS):
        if partition not in there:
            buy(drill, 1, partition=partition)
            groups.wait_committed(drill, GROUP, TOPIC, partition, wire.ends(drill, TOPIC)[partition][1])
    rest(drill)
