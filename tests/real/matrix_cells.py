"""Which cells of the fault matrix are played: a part in the suite, all in `make matrix`."""

from __future__ import annotations

import os
from itertools import count

from tests.real.fault_proxy import Line
from tests.real.matrix_commands import READING, Change, Command
from tests.real.matrix_faults import FAULTS, Bite, Fault, System

WANTED = os.environ.get("KCFIX_MATRIX", "")
"""Empty for the suite's part, `all`, or names of systems."""
SYSTEMS = [s for s in System if WANTED in ("", "all") or s.name.lower() in WANTED.lower().split(",")]

Cell = tuple[Command, System | None, Fault | None]
ChangeCell = tuple[Change, System, Fault]


def reading_cells() -> list[Cell]:
    """Each command on the healthy system; then all faults, or of each system that it needs one, in turn."""
    cells: list[Cell] = [(command, None, None) for command in READING]
    turn = {system: count(n * 5) for n, system in enumerate(SYSTEMS)}
    for command in READING:
        for system in SYSTEMS:
            faults = [f for f in FAULTS if f.fits(system)]
            if not WANTED:
                faults = [faults[next(turn[system]) % len(faults)]] if system in command.silent else []
            elif not command.silent:
                faults = [f for f in faults if f.name == "hangs"]  # it asks nobody
            cells += [(command, system, fault) for fault in faults]
    if not WANTED:  # what had no turn is played on a command that asks them all
        played = {(system, fault) for _, system, fault in cells}
        doctor = next(c for c in READING if c.name == "doctor")
        cells += [(doctor, s, f) for s in SYSTEMS for f in FAULTS if f.fits(s) and (s, f) not in played]
    return cells


def changing_cells() -> list[ChangeCell]:
    """Every change under all faults, and an insert, a replay and an undo cut at many moments; the suite plays a few."""
    if WANTED:
        often = (Change.INSERT, Change.REPLAY, Change.UNDO)
        of_letters = ("down", "hangs later", "resets later", "no rights", "read-only", "disk full")
        return [
            (change, system, fault)
            for change in Change
            for system in SYSTEMS
            for fault in (*FAULTS, *(moments() if change in often else ()))
            if fault.fits(system) and (change is not Change.LETTER or fault.name in of_letters)
        ]
    telling = [f for f in (*FAULTS, *moments()) if f.bite is Bite.CHANGES or f.after]
    return [
        (change, system, telling[(n * 7 + m * 3) % len(telling)])
        for n, change in enumerate((Change.INSERT, Change.REPLAY, Change.PLAN, Change.OFFSETS, Change.UNDO))
        for m, system in enumerate((System.KAFKA, System.DATABASE))
        if system in change.needs
    ]


def moments() -> list[Fault]:
    """The line is reset in the middle of the answer after so many whole ones."""
    what = "the line is reset in the middle of a later answer"
    return [Fault(f"resets after {n}", what, line=Line.RESETS, after=n) for n in range(4, 24, 2)]
