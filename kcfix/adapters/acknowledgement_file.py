"""Acknowledgements in a file of JSON lines, which several operators may share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from kcfix.adapters.operator import who
from kcfix.adapters.shared_lines import SharedLines
from kcfix.core.acknowledgement import Acknowledged, Acknowledgement, as_line, read_lines
from kcfix.errors import Refused


class AcknowledgementsOnDisk:
    """The file at this path; nothing is touched before the first write."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self._lines = SharedLines(path)
        self.who = who(environ)

    @property
    def where(self) -> str:
        """See `AcknowledgementFile`."""
        return str(self._lines.path)

    def read(self) -> Acknowledged:
        """See `AcknowledgementFile`."""
        try:
            found = self._lines.read(read_lines, Acknowledged())
        except OSError as error:
            told = f"can't read {self.where}: {error.strerror or error}; nothing counts as acknowledged"
            return Acknowledged(problems=(told,))
        return Acknowledged(found.by_payment, tuple(f"{self.where}: {problem}" for problem in found.problems))

    def write(self, entries: Iterable[Acknowledgement]) -> None:
        """See `AcknowledgementFile`."""
        try:
            self._lines.append(as_line(entry) for entry in entries)
        except OSError as error:
            raise Refused(
                f"can't write {self.where}: {error.strerror or error}; nothing was acknowledged",
                hint="set acknowledgements to a file that can be written (KCFIX_ACKNOWLEDGEMENTS=FILE)",
            ) from error
