"""The catalogue of faults. To add one: a making, an undo, a row in the file of its area."""

from __future__ import annotations

from kcfix.drill.faults import (
    configuration,
    containers,
    database,
    downstream,
    holders,
    messages,
    offsets,
    payments,
    program,
    servers,
    topics,
)
from kcfix.drill.faults.fault import Fault
from kcfix.errors import NotFound

_FAULTS: tuple[Fault, ...] = (
    *containers.FAULTS,
    *servers.FAULTS,
    *configuration.FAULTS,
    *program.FAULTS,
    *offsets.FAULTS,
    *topics.FAULTS,
    *messages.FAULTS,
    *payments.FAULTS,
    *database.FAULTS,
    *holders.FAULTS,
    *downstream.FAULTS,
)


def faults() -> tuple[Fault, ...]:
    """All faults, by area, in the order in which they are listed."""
    return _FAULTS


def named(name: str) -> Fault:
    """The fault of that name.

    Raises:
        NotFound: there is none. Nothing was changed.
    """
    found = next((f for f in _FAULTS if f.name == name), None)
    if found is None:
        raise NotFound(f"there is no fault {name!r}", hint="kcfix drill faults")
    return found
