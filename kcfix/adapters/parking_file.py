"""Parked messages in a file of JSON lines, which several operators may share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from kcfix.adapters.operator import who
from kcfix.adapters.shared_lines import SharedLines
from kcfix.core.dlq.parking import Parked, ParkEntry, as_line, read_lines
from kcfix.errors import Refused


class ParkedOnDisk:
    """The file at this path; nothing is touched before the first write."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self._lines = SharedLines(path)
        self.who = who(environ)

    @property
    def where(self) -> str:
        """See `ParkFile`."""
        return str(self._lines.path)

    def read(self, cluster_id: str | None) -> Parked:
        """See `ParkFile`."""
        try:
            found = self._lines.read(lambda lines: read_lines(lines, cluster_id), Parked())
        except OSError as error:
            told = f"can't read {self.where}: {error.strerror or error}; nothing counts as parked"
            return Parked(problems=(told,))
        return Parked(found.entries, tuple(f"{self.where}: {problem}" for problem in found.problems))

    def write(self, entries: Iterable[ParkEntry]) -> None:
        """See `ParkFile`."""
        try:
            self._lines.append(as_line(entry) for entry in entries)
        except OSError as error:
            raise Refused(
                f"can't write {self.where}: {error.strerror or error}; nothing was parked",
                hint="set parked to a file that can be written (KCFIX_PARKED=FILE)",
            ) from error
