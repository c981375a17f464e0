"""A day of looks, replayed at speed: what a monitor holds does not grow with time."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace
from datetime import timedelta

from kcfix.core.monitor import Monitor
from tests.watching import Watched

MINUTE = timedelta(minutes=1)
DAY = 1440
GROWTH_BYTES = 100_000
"""Between the hour in which everything that is kept is full and the end of the day. One look that is kept whole is
more than that, and a day of them a hundred times as much."""


def test_a_day_of_looks_takes_no_more_memory_than_its_first_hours() -> None:
    world = Watched()
    monitor = Monitor("1.2.3", interval=MINUTE, deadline=MINUTE)
    full = monitor.history.kept + 60
    grown = 0
    tracemalloc.start()
    try:
        for minute in range(DAY):
            if minute % 30 == 0:  # something happens: records come and are read, a payment waits, a worker complains
                world.put(3)
                world.commit(minute // 30 * 3)
                world.complain(f"trouble {minute}")
                seen = world.look(MINUTE)
            else:
                world.now += MINUTE
                seen = replace(seen, taken_at=world.now)
            monitor.add(seen, minute)
            if minute == full:
                gc.collect()
                grown -= tracemalloc.get_traced_memory()[0]
        # What the world itself holds: its records and lines.
        world.kafka = world.docker = world.database = None  # type: ignore[assignment]
        gc.collect()
        grown += tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert grown < GROWTH_BYTES
    assert len(monitor.history.samples) == monitor.history.kept
    assert monitor.history.looks == DAY
