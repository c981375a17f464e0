"""A row of numbers as a line of small columns."""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN = "_.:-=+*#"
"""For a terminal that has no blocks."""
UNKNOWN = "?"


def sparkline(points: Sequence[int | None], *, blocks: bool = True) -> str:
    """One sign for each number, the highest for the largest; 0 is always the lowest sign, and only 0 is.

    >>> sparkline([0, 1, None, 100])
    '▁▂?█'
    """
    signs = BLOCKS if blocks else PLAIN
    most = max((p for p in points if p is not None), default=0)
    return "".join(UNKNOWN if p is None else signs[_step(p, most, len(signs))] for p in points)


def _step(value: int, most: int, steps: int) -> int:
    if value <= 0 or most <= 0:
        return 0
    return max(1, min(steps - 1, round(value * (steps - 1) / most)))
