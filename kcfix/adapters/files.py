"""What this host's files tell: when they were last written. Nothing is read in them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path


def modified_at(paths: Iterable[str]) -> dict[str, datetime]:
    """When each was last written; one that is not there, or may not be looked at, is left out."""
    found = {}
    for path in paths:
        try:
            found[path] = datetime.fromtimestamp(Path(path).stat().st_mtime, UTC)
        except OSError:
            continue
    return found
