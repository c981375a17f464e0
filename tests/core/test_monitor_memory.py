"""A day of looks, replayed at speed: what a monitor holds does not grow with time."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace
from datetime import timedelta

from kcfix.core.watching.monitor import Monitor
from tests.watching import Watched

MINUTE = timedelta(minutes=1)
DAY = 1440
GROWTH_BYTES = 200_000
"""From when all that is kept is full to the end of the day. Samples without a bound would be some five million."""


def test_a_day_of_looks_takes_no_more_memory_than_its_first_hours() -> None:
    world = Watched()

    def between(n: int) -> None:  # records come and are read, a payment waits, a worker complains
        world.put(3)
        world.commit(3 * n)
        world.complain(f"trouble {n}")
        if n == 10:
            world.pay(1, sent=False)

    seen = []
    for n in range(24):
        between(n)
        seen.append(world.look(MINUTE))
    monitor = Monitor("1.2.3", interval=MINUTE, deadline=MINUTE)
    full = monitor.history.kept + 10
    held = 0
    tracemalloc.start()
    try:
        for minute in range(DAY):
            one = replace(seen[minute % len(seen)], taken_at=world.now + minute * MINUTE)
            if minute % 10:
                monitor.history.add(one)
            else:
                monitor.add(one, minute)  # what is published is made anew each time, which takes most of the time
            if minute == full:
                gc.collect()
                held = tracemalloc.get_traced_memory()[0]
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - held
    finally:
        tracemalloc.stop()
    assert held > GROWTH_BYTES
    assert grown < GROWTH_BYTES
    assert len(monitor.history.samples) == monitor.history.kept
    assert monitor.history.looks == DAY
