"""A question to a slow system, put by a child process, so that whoever waits for it may stop waiting at any time."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress

LONGEST_SECONDS = 5
"""After which a child that hangs is ended by its own alarm."""
UP = b"+"
"""Told by the child once the system was seen to be there: then it is worth waiting longer."""


def errand(work: Callable[[Callable[[], None]], bytes], *, wait: float, wait_if_up: float) -> bytes | None:
    """What `work` gives, if it gives it in time; None where not, and the child goes on by itself.

    `work` is handed a function to be called once the system was seen to be there. Until then `wait` seconds are
    waited, afterwards `wait_if_up` in all. To be called before there are threads: it forks.
    """
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        _as_child(work, theirs)
    os.close(theirs)
    try:
        return _wait(ours, time.monotonic(), wait, wait_if_up)
    finally:
        os.close(ours)


def _wait(pipe: int, started: float, wait: float, wait_if_up: float) -> bytes | None:
    told = b""
    while True:
        allowed = wait_if_up if told.startswith(UP) else wait
        left = allowed - (time.monotonic() - started)
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            return None
        part = os.read(pipe, 65536)
        if not part:
            return told.removeprefix(UP)
        told += part


def _as_child(work: Callable[[Callable[[], None]], bytes], pipe: int) -> None:
    """Do it and end; nothing of it reaches the terminal, nor does the shell wait for it."""
    with suppress(BaseException):
        os.setsid()
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, LONGEST_SECONDS)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        answer = work(lambda: _tell(pipe, UP))
        _tell(pipe, answer)
    os._exit(0)


def _tell(pipe: int, text: bytes) -> None:
    with suppress(OSError):  # nobody waits any more
        while text:
            text = text[os.write(pipe, text) :]
