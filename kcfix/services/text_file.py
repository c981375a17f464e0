"""Files that the operator names: read whole, or replaced as a whole."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from kcfix.errors import Refused, UsageError

LARGEST = 256 * 1024 * 1024
"""Bytes of a file that is read; more is no list of payments and no plan."""


def read_text(name: str) -> str:
    """The text of a file, whatever is no UTF-8 replaced.

    Raises:
        UsageError: it can't be read, or is larger than any list of payments. Nothing was asked.
    """
    try:
        with Path(name).open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"can't read {name}: {error.strerror or error}") from error
    if len(data) > LARGEST:
        raise UsageError(f"{name} is larger than {LARGEST // 1024 // 1024} MiB")
    return data.decode("utf-8", "replace")


def write_text(name: str, text: str) -> None:
    """Put the text into the file, all of it or nothing; only its owner can read it.

    Raises:
        UsageError: it can't be written. A file that was there is as it was.
    """
    path = Path(name)
    try:
        handle, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(made).replace(path)
        except BaseException:
            Path(made).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(f"can't write {name}: {error.strerror or error}") from error


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet; only its owner can read it. Folders that are missing are made.

    Raises:
        Refused: something of that name is there already. UsageError: it can't be written. Nothing was changed.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise Refused(f"{path} is there already", hint="--overwrite replaces it; --file - only prints") from error
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror or error}") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise UsageError(f"can't write {path}: {error.strerror or error}") from error
