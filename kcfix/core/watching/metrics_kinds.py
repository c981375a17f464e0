"""A metric as a value, whatever library will write it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Labels = Mapping[str, str]
Point = tuple[Labels, float]
"""Labels and value of one series."""
Write = Callable[[str], tuple[bytes, str]]
"""Given what a scraper accepts: the text of metrics, and its content type."""


class Kind(enum.StrEnum):
    """What Prometheus may do with a number."""

    GAUGE = "gauge"
    COUNTER = "counter"
    """It only grows, and falls to a new beginning; its name ends in `_total`."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric with its series; none where nothing is known."""

    name: str
    help: str
    kind: Kind
    labels: tuple[str, ...]
    """Names of its labels, the same for every series."""
    points: tuple[tuple[tuple[str, ...], float], ...]
    """Values of the labels, and the number."""


def series(name: str, text: str, kind: Kind, labels: tuple[str, ...], points: Sequence[Point]) -> Family:
    """A metric from its points, all of which have just these labels.

    >>> series("kcfix_up", "Up.", Kind.GAUGE, ("system",), [({"system": "kafka"}, 1)]).points
    ((('kafka',), 1.0),)
    """
    return Family(name, text, kind, labels, tuple((tuple(of[n] for n in labels), float(v)) for of, v in points))
