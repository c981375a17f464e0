"""Acknowledgements in a file of JSON lines, which several operators may share."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from kcfix.adapters.operator import who
from kcfix.core.acknowledgement import Acknowledged, Acknowledgement, as_line, read_lines
from kcfix.errors import Refused


class AcknowledgementsOnDisk:
    """The file at this path; nothing is touched before the first write."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self._path = path
        self.who = who(environ)

    @property
    def where(self) -> str:
        """See `AcknowledgementFile`."""
        return str(self._path)

    def read(self) -> Acknowledged:
        """See `AcknowledgementFile`."""
        try:
            with self._path.open(encoding="utf-8", errors="replace") as file:
                found = read_lines(file)
        except FileNotFoundError:
            return Acknowledged()
        except OSError as error:
            told = f"can't read {self._path}: {error.strerror or error}; nothing counts as acknowledged"
            return Acknowledged(problems=(told,))
        return Acknowledged(found.by_payment, tuple(f"{self._path}: {problem}" for problem in found.problems))

    def write(self, entries: Iterable[Acknowledgement]) -> None:
        """See `AcknowledgementFile`."""
        text = "".join(as_line(entry) for entry in entries).encode()
        try:
            # It is made to be shared, so the umask alone says with whom.
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o664)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                self._append(handle, text)
            finally:
                os.close(handle)
        except OSError as error:
            raise Refused(
                f"can't write {self._path}: {error.strerror or error}; nothing was acknowledged",
                hint="set acknowledgements to a file that can be written (KCFIX_ACKNOWLEDGEMENTS=FILE)",
            ) from error

    def _append(self, handle: int, text: bytes) -> None:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            text = b"\n" + text  # closes off a line that a crash tore
        if os.write(handle, text) != len(text):
            os.ftruncate(handle, size)
            raise OSError("the disk took only a part")
        os.fsync(handle)
