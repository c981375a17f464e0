"""Passwords from where settings point to: the first line of a file, or of what a command prints. Never in a message."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from kcfix.core.redact import redact
from kcfix.errors import Obstacle, Unreachable

LONGEST = 64 * 1024
"""Bytes that are read: more is no password but the wrong file."""


def password_in_file(path: Path, *, setting: str, system: str) -> str:
    """The first line of the file.

    Raises:
        Unreachable: it can't be read, or has none. Nothing was asked of any system.
    """
    try:
        with path.open("rb") as file:
            return _first_line(file.read(LONGEST), f"{path} ({setting})", system)
    except OSError as error:
        raise Unreachable(
            f"can't read {path} ({setting}): {error.strerror or error}", system=system, obstacle=Obstacle.NOT_GIVEN
        ) from error


def password_of_command(
    words: Sequence[str], *, environ: Mapping[str, str], timeout: float, setting: str, system: str
) -> str:
    """The first line that the command prints. It runs without a shell and without input, for `timeout` seconds.

    Raises:
        Unreachable: it can't be started, failed, printed nothing or did not end in time.
    """
    # Not `name: value`: that is what passwords are masked by.
    named = f"{words[0]} ({setting})"
    try:
        # Of its own session, so that all that it started can be ended with it.
        running = subprocess.Popen(  # noqa: S603 - the user's own settings name it
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environ),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it can't be run"
        raise _none(f"{named} can't be started: {why}", system) from error
    with running:
        try:
            out, said = running.communicate(timeout=timeout)
        except BaseException as error:
            with suppress(OSError):
                os.killpg(running.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise _none(f"{named} did not end within {timeout:g} s", system, "--timeout gives it longer") from error
            raise
    if running.returncode != 0:
        last = said.decode("utf-8", "replace").strip().splitlines()[-1:]
        words_of_it = f": {redact(last[0])[:200]}" if last else ""
        raise Unreachable(
            f"{named} ended with {running.returncode}{words_of_it}", system=system, obstacle=Obstacle.NOT_GIVEN
        )
    return _first_line(out[:LONGEST], named, system)


def _first_line(data: bytes, named: str, system: str) -> str:
    try:
        line = data.split(b"\n", 1)[0].removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        raise _none(f"{named} gives no UTF-8 text", system) from None
    if not line or "\0" in line:
        raise _none(f"{named} gives no password on its first line", system)
    return line


def _none(message: str, system: str, hint: str | None = None) -> Unreachable:
    return Unreachable(message, system=system, hint=hint, obstacle=Obstacle.NOT_GIVEN)
