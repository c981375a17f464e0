"""Several readings at the same time, each with the same deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from kcfix.errors import KcfixError, Unreachable

T = TypeVar("T")


def run_readings(tasks: Mapping[str, Callable[[], T]], deadline: float) -> Mapping[str, T | KcfixError]:
    """The value of each task, or the error in its place, by the names and in the order of `tasks`.

    Daemon threads, so that one which hangs in a library does not hold up the end of the process.

    Raises:
        Exception: a task failed with something other than a KcfixError: a defect.
    """
    done: dict[str, T | KcfixError] = {}
    bugs: list[BaseException] = []

    def run(name: str, task: Callable[[], T]) -> None:
        try:
            done[name] = task()
        except KcfixError as error:
            done[name] = error
        except BaseException as error:  # noqa: BLE001 - carried over to the caller's thread
            bugs.append(error)

    threads = {
        name: threading.Thread(target=run, args=(name, task), name=f"reading {name}", daemon=True)
        for name, task in tasks.items()
    }
    end = time.monotonic() + deadline
    for thread in threads.values():
        thread.start()
    for thread in threads.values():
        thread.join(max(0.0, end - time.monotonic()))
    if bugs:
        raise bugs[0]
    late = f"no answer within {deadline:g} s"
    return {name: done.get(name, Unreachable(f"{name}: {late}", system=name)) for name in tasks}


def beside(here: Callable[[], T], there: Callable[[], object]) -> T:
    """What `here` gives, run in this thread, while `there` runs in another, which is waited for whatever happens.

    Raises:
        BaseException: what `here` raised, else what `there` did.
    """
    failed: list[BaseException] = []

    def run() -> None:
        try:
            there()
        except BaseException as error:  # noqa: BLE001 - carried over to the caller's thread
            failed.append(error)

    thread = threading.Thread(target=run, name="beside")
    thread.start()
    try:
        result = here()
    finally:
        thread.join()
    if failed:
        raise failed[0]
    return result
