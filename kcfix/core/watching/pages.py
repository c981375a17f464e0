"""A page as a value, whatever serves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

PLAIN = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Page:
    """An answer by HTTP."""

    status: int
    body: bytes
    content_type: str = PLAIN


Answer = Callable[[str, str], Page]
"""Given the path, decoded and without a query, and what the client accepts."""
