"""Making and undoing faults, with a note in the drill's data folder of what is broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from kcfix.drill.engine import connected
from kcfix.drill.faults.site import Site, State
from kcfix.drill.faults.table import named
from kcfix.drill.state import Drill, write_private
from kcfix.errors import Refused


@dataclass(frozen=True, slots=True)
class Broken:
    """A fault that was made and not undone yet."""

    name: str
    since: datetime
    state: State = field(default_factory=dict)

    @property
    def payments(self) -> tuple[str, ...]:
        """Ids of the payments that the fault made and that should become purchases, in order."""
        return tuple(self.state.get("payments", ()))

    @property
    def poison(self) -> tuple[str, ...]:
        """Ids of the payments that the fault made and that can't become purchases as they are."""
        return tuple(self.state.get("poison", ()))


def broken(drill: Drill) -> tuple[Broken, ...]:
    """What is broken in the drill, in the order in which it was broken."""
    try:
        entries = json.loads(_note(drill).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    return tuple(Broken(e["name"], datetime.fromisoformat(e["since"]), e["state"]) for e in entries)


def break_(drill: Drill, name: str, *, report: Callable[[str], None] = lambda _: None) -> Broken:
    """Makes the fault and remembers it; what it made.

    It is written down before it is begun: one that broke off half-way is undone by `mend` too.

    Raises:
        NotFound: no such fault. Nothing was changed.
        Refused: it is broken already. Nothing was changed.
        Unreachable: a system did not answer; the fault may be half made. Mend it.
    """
    fault = named(name)
    before = broken(drill)
    if any(b.name == name for b in before):
        raise Refused(f"{name} is broken already", hint=f"kcfix drill mend {name}")
    since = datetime.now(UTC)

    def remember(state: State) -> Broken:
        entry = Broken(name, since, state)
        _write(drill, (*before, entry))
        return entry

    with connected() as engine:
        site = Site(drill, engine, remember=remember, report=report)
        remember({})
        return remember(fault.make(site))


def break_all(
    drill: Drill, names: Sequence[str], *, report: Callable[[str], None] = lambda _: None
) -> tuple[Broken, ...]:
    """Makes these faults one after the other; what each made.

    Raises:
        NotFound: one of them is no fault. Nothing was changed.
        Refused: one is broken already, or is named twice. Nothing was changed.
        Unreachable: a system did not answer; the faults before are made, the one in hand perhaps in part. Mend them.
    """
    there = [b.name for b in broken(drill)]
    for name in names:
        if named(name).name in there:
            raise Refused(f"{name} is broken already", hint=f"kcfix drill mend {name}")
        there.append(name)
    return tuple(break_(drill, name, report=report) for name in names)


def mend(drill: Drill, name: str | None = None, *, report: Callable[[str], None] = lambda _: None) -> tuple[str, ...]:
    """Undoes one fault, or all, the last one first; the names of those undone. With nothing broken: an empty tuple.

    Raises:
        NotFound: no such fault. Nothing was changed.
        Refused: that fault is not broken. Nothing was changed.
        Unreachable: a system did not answer; this fault and those before it are still broken. Mend again.
    """
    there = broken(drill)
    if name is not None:
        named(name)
        if all(b.name != name for b in there):
            raise Refused(f"{name} is not broken", hint="kcfix drill faults")
    wanted = [b for b in reversed(there) if name in (None, b.name)]
    if not wanted:
        return ()
    undone: list[str] = []
    with connected() as engine:
        site = Site(drill, engine, report=report)
        for entry in wanted:
            report(f"mending {entry.name}")
            named(entry.name).undo(site, entry.state)
            undone.append(entry.name)
            _write(drill, tuple(b for b in there if b.name not in undone))
    return tuple(undone)


def _note(drill: Drill) -> Path:
    return drill.data_folder / "faults.json"


def _write(drill: Drill, entries: tuple[Broken, ...]) -> None:
    document = [{"name": b.name, "since": b.since.isoformat(), "state": b.state} for b in entries]
    write_private(_note(drill), json.dumps(document, indent=2) + "\n")
