"""What this host's files tell: when they were last written, who may read them. Nothing is read in them."""

from __future__ import annotations

import stat
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


def readable_by_others(paths: Iterable[str]) -> tuple[str, ...]:
    """Those that users beside their owner may read, as given; one that may not be looked at is left out."""
    found = []
    for path in paths:
        try:
            mode = Path(path).stat().st_mode
        except OSError:
            continue
        if mode & (stat.S_IRGRP | stat.S_IROTH):
            found.append(path)
    return tuple(found)
