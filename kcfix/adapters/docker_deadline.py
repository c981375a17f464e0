"""Deadlines for a library that knows none: its time-out begins anew with each byte that comes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, call: Callable[[], T]) -> T:
    """What the call gives, made in a thread of its own.

    Raises:
        TimeoutError: it took longer. It is not stopped: it goes on until the process ends.
        Exception: whatever the call raises.
    """
    given: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            given.append(call())
        except BaseException as error:  # noqa: BLE001 - carried over to the caller's thread
            failed.append(error)

    thread = threading.Thread(target=run, name="docker call", daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not given:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return given[0]


def paced(chunks: Iterable[bytes], seconds: float, stop: Callable[[], object]) -> Iterator[bytes]:
    """The chunks, none of which may be waited for longer than that; `stop` has to make a wait for one end.

    Raises:
        TimeoutError: one did not come in time.
    """
    waiting_since: list[float | None] = [None]
    late: list[bool] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(seconds / 4):
            since = waiting_since[0]
            if since is not None and time.monotonic() - since > seconds:
                late.append(True)
                stop()
                return

    threading.Thread(target=watch, name="docker log", daemon=True).start()
    source = iter(chunks)
    try:
        while True:
            waiting_since[0] = time.monotonic()
            try:
                chunk = next(source, None)
            except Exception as error:
                if late:
                    raise TimeoutError(f"no answer within {seconds:g} s") from error
                raise
            waiting_since[0] = None
            if late:
                raise TimeoutError(f"no answer within {seconds:g} s")
            if chunk is None:
                return
            yield chunk
    finally:
        over.set()
