"""A file of JSON lines to which several operators add, each line in one write that is on the disk before it returns."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class SharedLines:
    """The file at this path; nothing is touched before the first write."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, use: Callable[[Iterator[str]], T], nothing: T) -> T:
        """What `use` makes of the lines; `nothing` where there is no such file.

        Raises:
            OSError: it is there and can't be read.
        """
        try:
            with self.path.open(encoding="utf-8", errors="replace") as file:
                return use(file)
        except FileNotFoundError:
            return nothing

    def append(self, lines: Iterable[str]) -> None:
        """Add the lines, all or none.

        Raises:
            OSError: nothing was added.
        """
        text = "".join(lines).encode()
        # It is made to be shared, so the umask alone says with whom.
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o664)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            size = os.fstat(handle).st_size
            if size and os.pread(handle, 1, size - 1) != b"\n":
                text = b"\n" + text  # closes off a line that a crash tore
            if os.write(handle, text) != len(text):
                os.ftruncate(handle, size)
                raise OSError(0, "the disk took only a part")
            os.fsync(handle)
        finally:
            os.close(handle)
